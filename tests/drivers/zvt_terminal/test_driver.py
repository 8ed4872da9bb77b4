"""What the driver promises, over real ptys and sockets, with a pay station that sells by its own rules."""

import logging
import socket
import threading
import time
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from drivers.base import Applied, CannotTell, Cash, Nobody, Ours, Refused, Role, Uncertain
from drivers.zvt_terminal import driver
from drivers.zvt_terminal.codec import Apdu
from drivers.zvt_terminal.fields import Bmp, bcd, field, fields, unbcd
from parking import errors
from parking.errors import Code
from parking.outcome import Level
from parking.stay import NameKind, StayRef

WIRES = ["tcp", "tcp-prefix", "serial"]
every_wire = pytest.mark.parametrize("wire", WIRES)


def paid(rig):
    """What the station has sold to its payment line, in order."""
    return [sale.paid for sale in rig.station.sales if sale.tender == "line"]


def no(outcome):
    """The code of a refusal."""
    assert isinstance(outcome, Refused)
    return outcome.code


@every_wire
class TestPayment:
    def test_is_shown_quoted_approved_and_sold_once(self, rig, wire):
        lot = rig(wire)
        stay = lot.ask(300)
        assert (stay.kind, stay.name) == (NameKind.DESK, "1")
        at = datetime.now(UTC)
        quote = lot.driver.quote(stay, at, time.monotonic() + 1)
        assert (quote.stay, quote.amount, quote.valid_until) == (stay, 300, at + timedelta(seconds=60))
        outcome = lot.settle(stay, 300, "DK-1006-1")
        assert isinstance(outcome, Applied)
        assert outcome.level is Level.LEGACY_CONFIRMED
        assert paid(lot) == [300]
        assert lot.who(stay, "DK-1006-1") == Ours("DK-1006-1", lot.who(stay, "DK-1006-1").detail)
        assert lot.driver.stays(time.monotonic() + 1) == ()

    def test_commits_the_exact_bytes_before_the_first_of_them(self, rig, wire):
        lot = rig(wire)
        stay = lot.ask(300)
        heard = []

        def intend(raw, counter):
            time.sleep(0.05)
            heard.extend((raw, counter, [one for one in lot.ecr.said if one.control == 0x040F]))

        lot.settle(stay, 300, intend=intend)
        raw, counter, before = heard
        (result,) = [one for one in lot.ecr.said if one.control == 0x040F]
        assert (counter, before) == (None, [])
        assert raw == lot.ecr.line.frame(result)
        told = fields(result.data)
        assert (told[Bmp.RESULT], unbcd(told[Bmp.AMOUNT]), told[Bmp.CURRENCY]) == (b"\0", 300, b"\x03\x92")

    def test_does_not_happen_if_the_intent_is_not_committed(self, rig, wire):
        lot = rig(wire)
        stay = lot.ask(300)

        def refuse(raw, counter):
            raise errors.NotSent(Code.EXPIRED, "too late")

        with pytest.raises(errors.NotSent, match="too late"):
            lot.settle(stay, 300, "A", intend=refuse)
        assert lot.stay() == stay
        assert isinstance(lot.who(stay, "A"), Nobody)
        assert not [one for one in lot.ecr.said if one.control == 0x040F]
        assert isinstance(lot.settle(stay, 300, "A"), Applied)
        assert paid(lot) == [300]

    def test_after_another_is_a_stay_of_its_own(self, rig, wire):
        lot = rig(wire)
        stays = []
        for amount in (300, 300, 500):
            stays.append(lot.ask(amount))
            assert isinstance(lot.settle(stays[-1], amount), Applied)
            lot.idle()
        assert len({stay.key for stay in stays}) == 3
        assert paid(lot) == [300, 300, 500]


class TestRefusal:
    def test_of_what_is_not_asked_for(self, rig):
        lot = rig()
        stay = lot.ask(300)
        before = StayRef(NameKind.DESK, "1", stay.entered_at - timedelta(seconds=9))
        assert no(lot.settle(before, 300)) is Code.STAY_CHANGED
        assert no(lot.settle(stay, 200)) is Code.WRONG_AMOUNT
        assert lot.driver.quote(before, datetime.now(UTC), time.monotonic() + 1).code is Code.STAY_CHANGED
        assert isinstance(lot.who(before, "X"), CannotTell)
        assert (lot.intents, paid(lot)) == ([], [])
        lot.settle(stay, 300)
        assert lot.settle(stay, 300, "again").code is Code.ALREADY_PAID
        assert lot.driver.quote(stay, datetime.now(UTC), time.monotonic() + 1).code is Code.ALREADY_PAID
        assert isinstance(lot.who(stay, "again"), Cash)
        assert (len(lot.intents), paid(lot)) == (1, [300])

    def test_of_what_was_cancelled_at_the_machine(self, rig):
        lot = rig()
        stay = lot.ask(300)
        lot.station.cancel()
        lot.until(lambda: not lot.driver.stays(time.monotonic() + 1))
        assert lot.settle(stay, 300, "A").code is Code.STAY_UNKNOWN
        assert isinstance(lot.who(stay, "A"), Nobody)
        assert paid(lot) == []

    def test_of_what_was_paid_in_cash_meanwhile(self, rig):
        lot = rig()
        stay = lot.ask(300)
        lot.station.pay_cash()
        outcome = lot.settle(stay, 300, "A")
        assert isinstance(outcome, Refused)
        assert isinstance(lot.who(stay, "A"), Nobody)
        assert paid(lot) == []

    def test_by_the_machine_that_does_not_issue_the_goods(self, rig):
        lot = rig()
        lot.faults.refuse_goods_once = True
        stay = lot.ask(300)
        outcome = lot.settle(stay, 300, "A")
        assert isinstance(outcome, Refused)
        assert outcome.code is Code.DEVICE_REFUSED
        assert isinstance(lot.who(stay, "A"), Nobody)
        assert paid(lot) == []

    def test_the_machine_aborts_by_itself(self, rig):
        lot = rig()
        lot.faults.abort_ms = 150
        stay = lot.ask(300)
        lot.idle()
        lot.until(lambda: not lot.driver.stays(time.monotonic() + 1))
        assert lot.settle(stay, 300).code is Code.STAY_UNKNOWN


@every_wire
class TestDoubt:
    def test_a_result_that_was_not_answered_is_in_doubt(self, rig, wire):
        lot = rig(wire)
        lot.faults.lose_result_answer_once = True
        stay = lot.ask(300)
        outcome = lot.settle(stay, 300, "A", seconds=0.6)
        assert isinstance(outcome, Uncertain)
        assert isinstance(lot.who(stay, "A"), CannotTell)
        assert len([one for one in lot.ecr.said if one.control == 0x040F]) == 1

    def test_a_machine_that_raises_after_t4_has_the_result_and_does_not_sell(self, rig, wire):
        lot = rig(wire)
        lot.faults.raises_after_t4 = True
        lot.faults.t4_ms = 1000
        stay = lot.ask(300)
        outcome = lot.settle(stay, 300, "A", seconds=0.3)
        assert isinstance(outcome, Uncertain)
        assert outcome.code is Code.NOT_OBSERVED
        lot.idle()
        assert paid(lot) == []
        assert isinstance(lot.who(stay, "A"), CannotTell), "whether it sold can only be seen at the machine"

    def test_a_machine_that_sells_and_whose_last_word_is_lost(self, rig, wire):
        lot = rig(wire)
        lot.faults.lose_end_answer_once = True
        stay = lot.ask(300)
        assert isinstance(lot.settle(stay, 300, "A", seconds=0.5), Uncertain)
        assert paid(lot) == [300]
        assert isinstance(lot.who(stay, "A"), CannotTell)

    def test_a_machine_that_asks_again_gets_the_same_result_and_sells_once(self, rig, wire):
        lot = rig(wire)
        lot.faults.repeats = lot.faults.hang_up_on_result_once = True
        stay = lot.ask(300)
        outcome = lot.settle(stay, 300, "A", seconds=0.1)
        assert isinstance(outcome, Uncertain)
        lot.until(lambda: isinstance(lot.who(stay, "A"), Ours))
        assert paid(lot) == [300]
        assert len({one.data for one in lot.ecr.said if one.control == 0x040F}) == 1
        assert lot.intents == lot.intents[:1]

    def test_a_machine_that_asks_again_in_time_makes_it_certain_at_once(self, rig, wire):
        lot = rig(wire)
        lot.faults.repeats = lot.faults.hang_up_on_result_once = True
        assert isinstance(lot.settle(lot.ask(300), 300, seconds=10), Applied)
        assert paid(lot) == [300]

    def test_a_machine_that_asks_for_the_receipt_settles_the_doubt(self, rig, wire):
        lot = rig(wire)
        lot.faults.enquires = lot.faults.lose_result_once = True
        lot.faults.t4_ms = 1000
        stay = lot.ask(300)
        assert isinstance(lot.settle(stay, 300, "A", seconds=0.3), Uncertain)
        lot.until(lambda: isinstance(lot.who(stay, "A"), Ours))
        assert paid(lot) == [300]

    def test_the_receipt_of_a_charge_that_was_not_approved_sells_nothing(self, rig, wire):
        lot = rig(wire)
        lot.settle(lot.ask(300), 300)
        lot.idle()
        lot.faults.enquires = lot.faults.hang_up_once = True
        lot.station.ask(300)
        lot.idle()
        assert paid(lot) == [300]


@every_wire
class TestHabits:
    """Of software that is about: each comes from a published client."""

    def test_a_machine_that_never_answers_the_end_sells_once_and_shows_it_by_its_next_command(self, rig, wire):
        lot = rig(wire)
        lot.faults.never_answers_end = True
        stay = lot.ask(300)
        outcome = lot.settle(stay, 300, "A", seconds=0.5)
        assert isinstance(outcome, Uncertain)
        assert outcome.code is Code.NOT_OBSERVED
        lot.idle()
        fresh = lot.ask(500)
        assert isinstance(lot.who(stay, "A"), CannotTell if wire == "serial" else Ours)
        assert lot.driver.quote(fresh, datetime.now(UTC), time.monotonic() + 1).amount == 500
        assert paid(lot) == [300]

    def test_its_next_customer_with_the_same_fee_pays_himself(self, rig, wire):
        lot = rig(wire)
        lot.faults.never_answers_end = True
        lot.settle(lot.ask(300), 300, "A", seconds=0.5)
        lot.idle()
        lot.station.ask(300)
        if wire != "serial":  # there it registers first, as after it was off: the next customer may go with the first
            lot.stay()
            time.sleep(0.2)
            assert paid(lot) == [300]

    def test_a_machine_that_enquires_in_mid_payment_and_takes_any_end_sells_for_a_payment_alone(self, rig, wire):
        lot = rig(wire)
        lot.faults.keeps_alive = lot.faults.takes_any_end = True
        stay = lot.ask(300)
        time.sleep(0.3)
        assert paid(lot) == []
        assert [one for one in lot.ecr.said if one.control == 0x8483]
        assert isinstance(lot.settle(stay, 300), Applied)
        lot.idle()
        lot.ask(500)
        lot.station.cancel()
        lot.until(lambda: not lot.driver.stays(time.monotonic() + 1))
        assert paid(lot) == [300]

    @pytest.mark.parametrize("habit", ["yes_is_84_00", "starts_up", "tagged_currency", "long_lengths"])
    def test_other_ways_to_say_the_same_are_understood(self, rig, wire, habit):
        lot = rig(wire)
        setattr(lot.faults, habit, True)
        assert isinstance(lot.settle(lot.ask(300), 300), Applied)
        assert paid(lot) == [300]

    def test_a_machine_that_refuses_the_result_and_takes_our_abort_has_not_sold(self, rig, wire):
        lot = rig(wire)
        lot.faults.refuse_result_once = True
        stay = lot.ask(300)
        assert no(lot.settle(stay, 300, "A")) is Code.DEVICE_REFUSED
        assert isinstance(lot.who(stay, "A"), Nobody)
        assert paid(lot) == []


class TestSilence:
    def test_before_the_approval_is_not_sent(self, rig):
        lot = rig()
        stay = lot.ask(300)
        lot.faults.silent = True
        time.sleep(0.25)  # the next intermediate status finds no answer
        with pytest.raises(errors.NotSent):
            lot.settle(stay, 300, "A", seconds=0.2)
        assert isinstance(lot.who(stay, "A"), Nobody)
        assert not [one for one in lot.ecr.said if one.control == 0x040F]
        assert lot.stay() == stay

    def test_an_abort_while_the_approval_waits_refuses_it(self, rig):
        lot = rig()
        stay = lot.ask(300)
        lot.faults.silent = True
        time.sleep(0.25)
        threading.Timer(0.2, lambda: lot.served.ecr.wire.unplug()).start()
        outcome = lot.settle(stay, 300, "A", seconds=2)
        assert isinstance(outcome, Refused)
        assert isinstance(lot.who(stay, "A"), Nobody)


class TestSerialMistakes:
    @pytest.mark.parametrize("mistake", ["nak_once", "spoil_once", "garbage"])
    def test_are_mended_by_saying_it_again(self, rig, mistake):
        lot = rig("serial")
        setattr(lot.faults, mistake, True)
        stay = lot.ask(300)
        assert isinstance(lot.settle(stay, 300, seconds=15), Applied)
        assert paid(lot) == [300]

    @pytest.mark.parametrize("mistake", ["nak_once", "spoil_once"])
    def test_are_mended_in_mid_payment(self, rig, mistake):
        lot = rig("serial", charge_seconds=20)
        stay = lot.ask(300)
        outcome = lot.settle(stay, 300, seconds=15, intend=lambda raw, counter: setattr(lot.faults, mistake, True))
        assert isinstance(outcome, Applied)
        assert paid(lot) == [300]

    def test_a_machine_with_another_check_sum_is_never_understood(self, rig):
        lot = rig("serial")
        lot.faults.xor_lrc = True
        lot.faults.t3_ms = 1500
        lot.station.ask(300)
        lot.idle()
        assert lot.driver.stays(time.monotonic() + 1) == ()
        assert paid(lot) == []


class TestLine:
    def test_garbage_on_tcp_is_passed_over(self, rig):
        lot = rig()
        lot.faults.garbage = True
        assert isinstance(lot.settle(lot.ask(300), 300), Applied)

    def test_a_machine_that_hangs_up_after_its_payment_is_no_trouble(self, rig, caplog):
        lot = rig()
        lot.settle(lot.ask(300), 300)
        lot.idle()
        with caplog.at_level(logging.INFO, "drivers.peripheral"):
            lot.served.stop()
            lot.until(lambda: caplog.records)
        assert {record.levelname for record in caplog.records} == {"INFO"}

    def test_please_wait_is_waited_for(self, rig):
        lot = rig()
        lot.faults.please_wait_once = True
        assert isinstance(lot.settle(lot.ask(300), 300, seconds=10), Applied)
        assert paid(lot) == [300]

    def test_nobody_there_is_told_until_the_machine_has_dialled_once(self, rig):
        lot = rig()
        lot.faults.unplugged = True
        time.sleep(0.2)  # the machine may be about to dial: there is nobody yet, and it is too late then
        assert not lot.served.ecr.wire.plugged
        with pytest.raises(errors.NotSent) as caught:
            lot.driver.stays(time.monotonic() + 3)
        assert caught.value.code is Code.DEVICE_UNAVAILABLE
        lot.faults.unplugged = False
        lot.settle(lot.ask(300), 300)
        lot.faults.unplugged = True
        lot.until(lambda: not lot.served.ecr.wire.plugged)
        lot.until(lambda: lot.driver.stays(time.monotonic() + 1) == ())

    def test_the_newest_connection_wins_over_one_that_is_half_open(self, rig):
        lot = rig()
        lot.served.stop()
        host, _, port = lot.served.url.partition("://")[2].partition(":")
        with pytest.raises(errors.NotSent):
            lot.driver.stays(time.monotonic() + 3)
        with socket.create_connection((host, int(port)), timeout=5) as old:
            old.sendall(Apdu(0x0602).raw)
            assert old.recv(100) == Apdu(0x8000).raw
            for amount in (777, 888):
                with socket.create_connection((host, int(port)), timeout=5) as anew:
                    anew.sendall(Apdu(0x0601, field(Bmp.AMOUNT, bcd(amount, 6))).raw)
                    assert anew.recv(3) == Apdu(0x8000).raw
                    stay = lot.stay()
                    quote = lot.driver.quote(stay, datetime.now(UTC), time.monotonic() + 1)
                    assert quote.amount == amount
            assert old.recv(100) == b""

    def test_a_serial_line_that_vanishes_ends_the_charge(self, rig):
        lot = rig("serial", answer_seconds=1.5)
        stay = lot.ask(300)
        lot.faults.unplugged = True

        def away():
            try:
                lot.driver.stays(time.monotonic() + 1)
            except (errors.NotSent, errors.Environment):
                return True
            return False

        lot.until(away)
        with pytest.raises((errors.NotSent, errors.Environment)):
            lot.settle(stay, 300, "A")
        lot.faults.unplugged = False
        fresh = lot.stay()
        assert fresh != stay
        assert lot.settle(stay, 300, "A").code is Code.STAY_CHANGED
        assert isinstance(lot.settle(fresh, 300), Applied)
        assert paid(lot) == [300]

    def test_closed_and_used_again_it_has_forgotten_the_charge(self, rig):
        lot = rig()
        stay = lot.ask(300)
        lot.driver.close()
        lot.driver.close()
        lot.idle()
        lot.until(lambda: lot.driver.stays(time.monotonic() + 3) == ())
        assert lot.settle(stay, 300).code is Code.STAY_UNKNOWN
        again = lot.ask(500)
        assert isinstance(lot.settle(again, 500), Applied)


class TestOptions:
    @pytest.mark.parametrize(
        "options",
        [
            {"colour": "red"},
            {"tid": "1"},
            {"currency": "JPY"},
            {"decimals": 9},
            {"password": "abc"},
            {"language": "fr"},
            {"desk": "!"},
            {"text": "円"},
            {"card": {"type": 256}},
        ],
    )
    def test_that_are_wrong_are_refused_when_the_driver_is_made(self, device, options):
        with pytest.raises(errors.Environment) as caught:
            driver.create(device(**options), (), lambda: datetime.now(UTC))
        assert caught.value.code is Code.CONFIG
        assert "'pt'" in caught.value.detail
        assert next(iter(options)) in caught.value.detail

    def test_the_usual_port_is_filled_in(self, device):
        for url, whole in [
            ("listen://0.0.0.0", "listen://0.0.0.0:20007"),
            ("listen://[::1]", "listen://[::1]:20007"),
            ("listen://10.0.0.5:4000", "listen://10.0.0.5:4000"),
        ]:
            made = driver.create(msgspec.structs.replace(device(), url=url), (), lambda: datetime.now(UTC))
            assert made._serving._transport.url == whole

    def test_it_can_do_what_it_says(self, device):
        able = driver.create(device(), (), lambda: datetime.now(UTC)).capabilities
        assert able.roles == Role.STAYS | Role.FEES | Role.SETTLE | Role.WITNESS
        assert (able.retry, able.settle_level) == ("never", Level.LEGACY_CONFIRMED)

    def test_password_and_desk(self, rig):
        lot = rig(password="123456", desk="07")  # the simulated machine says 000000
        lot.station.ask(300)
        lot.until(lambda: lot.driver.stays(time.monotonic() + 1) == () and not lot.station.open)
        assert paid(lot) == []
        other = rig(desk="07")
        assert other.ask(300).name == "7"


class TestProbe:
    @every_wire
    def test_hears_a_machine_and_answers_nothing(self, rig, wire):
        lot = rig(wire)
        lot.station.ask(300)
        found = driver.probe(lot.served.url, time.monotonic() + 4)
        assert found.answered
        assert "0600" in found.identity
        assert ("prefix = true" in found.hints) == (wire == "tcp-prefix")
        assert list(lot.ecr.said) == []

    def test_says_that_nobody_is_there(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
        found = driver.probe(f"listen://127.0.0.1:{port}", time.monotonic() + 0.2)
        assert (found.answered, found.hints) == (False, ())
