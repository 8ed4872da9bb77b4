"""What the driver promises about payments at a pay station: on a real pty with threads, and in a time of its own."""

import threading
import time
from datetime import UTC, datetime

import pytest

from drivers.base import Applied, CannotTell, Nobody, Ours, Refused, Role, Uncertain
from drivers.cctalk_coin import driver
from drivers.cctalk_coin.account import Account, Credit, Fate, verdict
from drivers.cctalk_coin.codec import Check, Codec, Frame
from drivers.cctalk_coin.headers import Header
from drivers.cctalk_coin.simhost import Faults
from drivers.profile import DeviceTable
from parking import errors
from parking.errors import Code, Environment
from parking.outcome import Level
from parking.stay import NameKind, StayRef


def soon(seconds=3.0):
    return time.monotonic() + seconds


class TestOnAPty:
    @pytest.mark.parametrize("echo", [True, False])
    @pytest.mark.parametrize("checksum", ["sum", "crc"])
    def test_a_payment_is_credited_until_the_station_has_enough(self, rig, echo, checksum):
        lot = rig(echo=echo, checksum=checksum)
        stay = lot.ask(500)
        quote = lot.driver.quote(stay, datetime.now(UTC), soon())
        assert quote.amount == 3000
        outcome = lot.settle(stay, quote.amount)
        assert (outcome.level, outcome.credited) == (Level.LEGACY_CONFIRMED, 500)
        assert [(sale.asked, sale.paid) for sale in lot.station.sales] == [(500, 500)]
        assert lot.driver.stays(soon()) == ()

    @pytest.mark.parametrize("straight", [False, True])
    @pytest.mark.parametrize("more", [{}, {"echo": False}, {"checksum": "sum"}])
    def test_a_payment_is_credited_in_bills_until_the_station_has_enough(self, rig, straight, more):
        faults = Faults(poll_ms=40, answer_ms=60, straight=straight, no_echo=not more.get("echo", True))
        lot = rig(faults=faults, accepts="bills", cap_yen=10_000, **more)
        stay = lot.ask(3000)
        quote = lot.driver.quote(stay, datetime.now(UTC), soon())
        assert quote.amount == 10_000
        assert quote.lines[0].text["en"].startswith("Bills are credited")
        outcome = lot.settle(stay, quote.amount)
        assert (outcome.level, outcome.credited) == (Level.LEGACY_CONFIRMED, 3000)
        assert [(sale.asked, sale.paid) for sale in lot.station.sales] == [(3000, 3000)]
        assert outcome.evidence[0].text == f"event counter 0 → {3 if straight else 6}: 3×1000"

    def test_a_probe_hears_that_a_host_asks_for_bills(self, rig):
        lot = rig(accepts="bills")
        lot.faults.answer_ms = 40
        finding = driver.probe(lot.served.url, soon())
        assert finding.hints == ("address = 40", 'checksum = "crc"', "baud = 9600", 'accepts = "bills"')

    def test_the_intent_is_committed_before_the_first_coin_with_the_exact_bytes_and_the_counter(self, rig):
        lot = rig()
        for times, before in ((1, 0), (2, 3)):
            seen = []
            stay = lot.ask(300)

            def note(raw, counter, seen=seen):
                seen.append((raw, counter, sum(lot.host.counted.values())))

            assert isinstance(lot.settle(stay, 300, reference=f"DK-1-{times}", intend=note), Applied)
            ((raw, counter, credited),) = seen
            assert (counter, credited) == (before, before)
            shown = Codec(Check.SUM, None).feed(raw)
            assert [frame.data[0] for frame in shown] == [before + 1, before + 2, before + 3]
            assert {frame.data[1] for frame in shown} == {3}

    def test_nothing_is_credited_if_the_intent_is_not_committed(self, rig):
        lot = rig()
        stay = lot.ask(300)

        def refuse(raw, counter):
            raise errors.NotSent(Code.EXPIRED, "too late")

        with pytest.raises(errors.NotSent, match="too late"):
            lot.settle(stay, 300, intend=refuse)
        time.sleep(0.2)
        assert (lot.station.coins, lot.station.open) == (0, True)

    def test_a_slow_disk_does_not_keep_the_host_waiting(self, rig):
        lot = rig()
        stay = lot.ask(200)
        outcome = lot.settle(stay, 200, intend=lambda raw, counter: time.sleep(0.5))
        assert isinstance(outcome, Applied)
        assert lot.host.gave_up == 0

    def test_a_line_that_is_pulled_out_leaves_a_doubt_and_comes_back_as_after_a_power_failure(self, rig):
        lot = rig()
        stay = lot.ask(3000)
        pull = threading.Timer(0.6, setattr, (lot.faults, "unplugged", True))
        pull.start()
        outcome = lot.settle(stay, 3000, seconds=6)
        assert isinstance(outcome, Uncertain | Applied)
        known = lot.station.coins
        with pytest.raises((Environment, errors.NotSent)):
            lot.driver.stays(soon(0.1))
        lot.faults.unplugged = False
        time.sleep(1.0)
        assert lot.station.coins == known
        assert lot.driver.stays(soon())[0].ref != stay

    def test_a_missing_port_is_told_with_its_remedy(self, tmp_path):
        device = DeviceTable(id="coin", family="cctalk_coin", url=str(tmp_path / "ttyUSB9"))
        made = driver.create(device, (), lambda: datetime.now(UTC))
        with pytest.raises(Environment) as caught:
            made.stays(soon(1))
        assert caught.value.code is Code.PORT_MISSING
        made.close()

    def test_a_probe_hears_the_host_and_says_nothing(self, rig):
        lot = rig()
        lot.faults.answer_ms = 40
        said = []
        lot.served.line._bus.we_say = lambda raw, now: said.append(raw)
        finding = driver.probe(lot.served.url, soon())
        assert finding.answered
        assert "asks address 2" in finding.identity
        assert finding.hints == ("address = 2", 'checksum = "sum"', "baud = 9600")
        assert said == []

    def test_a_probe_of_a_silent_line_says_so(self, rig):
        lot = rig()
        lot.faults.cut = True
        finding = driver.probe(lot.served.url, soon(0.3))
        assert not finding.answered


class TestStays:
    def test_are_the_time_in_which_coins_are_enabled(self, timed):
        line = timed()
        line.run(2)
        assert line.driver.stays(0) == ()
        first = line.ask(200)
        assert first == StayRef(NameKind.DESK, "1", datetime(2026, 11, 25, 3, 0, 2, tzinfo=UTC))
        line.station.cancel()
        line.run(1)
        assert line.driver.stays(0) == ()
        second = line.ask(300)
        assert second != first
        assert line.driver.quote(first, line.clock(), 0).code is Code.STAY_CHANGED
        assert line.settle(first, 200).code is Code.STAY_CHANGED

    def test_two_within_a_second_have_different_names(self, timed):
        line = timed(Faults(poll_ms=50))
        first = line.ask(200)
        line.station.cancel()
        line.run(1, until=lambda: line.acceptor.period is None)
        assert line.ask(200) != first

    def test_of_other_places_are_not_ours(self, timed):
        line = timed(desk="7")
        line.ask(200)
        for other in (StayRef(NameKind.DESK, "1"), StayRef(NameKind.BAY, "7")):
            assert line.driver.quote(other, line.clock(), 0).code is Code.STAY_UNKNOWN
        assert line.driver.quote(StayRef(NameKind.DESK, "7"), line.clock(), 0).amount == 3000

    def test_are_over_while_the_station_takes_no_coins(self, timed):
        line = timed()
        line.run(2)
        stay = StayRef(NameKind.DESK, "1")
        assert line.driver.quote(stay, line.clock(), 0).code is Code.STAY_UNKNOWN
        assert line.settle(stay, 100).code is Code.STAY_UNKNOWN

    def test_of_a_host_that_never_inhibits_is_one_until_it_is_declared_always_open(self, timed):
        endless = timed(Faults(never_inhibits=True))
        stay = endless.ask(200)
        assert isinstance(endless.settle(stay, 200), Applied)
        endless.run(3)
        assert [one.ref for one in endless.driver.stays(0)] == [stay]
        assert endless.driver.stays(0)[0].paid == 200
        assert endless.driver.quote(stay, endless.clock(), 0).code is Code.ALREADY_PAID
        assert endless.settle(stay, 200, reference="DK-1-2").code is Code.ALREADY_PAID
        renewed = timed(Faults(never_inhibits=True), always_open=True)
        stay = renewed.ask(200)
        assert isinstance(renewed.settle(stay, 200), Applied)
        (after,) = renewed.driver.stays(0)
        assert after.ref != stay
        assert renewed.driver.quote(after.ref, renewed.clock(), 0).amount == 3000


class TestSettle:
    def test_of_less_than_is_wanted_credits_just_that(self, timed):
        line = timed()
        stay = line.ask(800)
        outcome = line.settle(stay, 350)
        assert (outcome.level, outcome.credited) == (Level.LINK_ACKED, 350)
        assert line.station.missing == 450
        assert line.driver.stays(0)[0].paid == 350

    def test_of_an_amount_that_cannot_be_made_is_refused(self, timed):
        line = timed(coins=[100, 500])
        stay = line.ask(800)
        assert line.settle(stay, 350).code is Code.DEVICE_REFUSED
        assert line.settle(stay, 3100).code is Code.WRONG_AMOUNT
        assert line.station.coins == 0

    def test_in_bills_is_of_what_these_make_exactly(self, timed):
        line = timed(accepts="bills")
        stay = line.ask(2000)
        outcome = line.settle(stay, 1500)
        assert outcome.code is Code.DEVICE_REFUSED
        assert "of the bills that are enabled" in outcome.detail
        assert line.settle(stay, 2000).credited == 2000
        assert line.host.counted == {1000: 2}

    def test_at_its_deadline_gives_a_bill_back_of_which_the_station_has_not_said_anything(self, timed):
        line = timed(Faults(forgets=1), accepts="bills")
        stay = line.ask(2000)
        before = line.now
        assert isinstance(line.settle(stay, 2000, seconds=5), Refused)
        assert line.now - before <= 5.1
        assert isinstance(line.driver.who_settled(stay, "DK-1-1", 0), Nobody)
        line.run(5)
        assert line.host.counted == {}

    def test_with_too_little_time_writes_nothing(self, timed):
        line = timed()
        stay = line.ask(200)
        with pytest.raises(errors.NotSent):
            line.settle(stay, 200, seconds=1.0)

    def test_that_was_cancelled_while_the_intent_was_committed_is_refused(self, timed):
        line = timed()
        stay = line.ask(200)

        def cancel(raw, counter):
            line.station.cancel()
            line.run(1)

        assert line.settle(stay, 200, intend=cancel).code is Code.STAY_CHANGED
        line.run(5)
        assert line.host.counted == {}

    def test_that_changed_hands_while_the_intent_was_committed_is_refused(self, timed):
        line = timed()
        stay = line.ask(200)

        def another_customer(raw, counter):
            line.station.cancel()
            line.run(1)
            line.ask(200)

        outcome = line.settle(stay, 200, intend=another_customer)
        assert (type(outcome).__name__, getattr(outcome, "code", "")) == ("Refused", Code.STAY_CHANGED)
        line.run(5)
        assert line.host.counted == {}

    def test_again_for_the_same_payment_shows_no_second_coin(self, timed):
        line = timed()
        stay = line.ask(500)
        first = line.settle(stay, 300)
        assert line.settle(stay, 300) == first
        assert line.station.coins == 300

    def test_ends_at_its_deadline_with_what_is_known(self, timed):
        line = timed()
        stay = line.ask(3000)
        before = line.now
        outcome = line.settle(stay, 3000, seconds=5)
        assert line.now - before <= 5.1
        assert isinstance(outcome, Applied)
        assert outcome.credited == line.station.coins == line.host.counted.total() * 100

    def test_in_a_station_that_stops_asking_when_it_has_enough(self, timed):
        """With one poll as proof its inhibit is one; with three the last coin stays unknown."""
        line = timed(Faults(quiet_when_shut=True), confirm_polls=1)
        assert line.settle(line.ask(200), 3000).credited == 200
        careful = timed(Faults(quiet_when_shut=True))
        outcome = careful.settle(careful.ask(200), 3000)
        assert isinstance(outcome, Uncertain)
        assert "100 of 3000 yen credited" in outcome.detail


class TestWitness:
    def test_names_us_only_if_all_was_delivered(self, timed):
        line = timed()
        stay = line.ask(300)
        line.settle(stay, 300)
        assert isinstance(line.driver.who_settled(stay, "DK-1-1", 0), Ours)
        part = timed()
        stay = part.ask(300)
        part.settle(stay, 3000)
        said = part.driver.who_settled(stay, "DK-1-1", 0)
        assert isinstance(said, CannotTell)
        assert "300 of 3000 yen" in said.detail

    def test_knows_nothing_after_a_restart_of_the_bridge_or_of_others(self, timed):
        line = timed()
        stay = line.ask(300)
        assert isinstance(line.driver.who_settled(stay, "DK-1-9", 0), CannotTell)
        line.settle(stay, 300)
        other = StayRef(NameKind.DESK, "1", datetime(2020, 1, 1, tzinfo=UTC))
        assert isinstance(line.driver.who_settled(other, "DK-1-1", 0), CannotTell)

    def test_says_nobody_if_no_coin_was_shown(self, timed):
        line = timed()
        stay = line.ask(300)
        line.at = []

        def stop(raw, counter):
            line.after(0.0, lambda: setattr(line.faults, "cut", True))
            line.run(0.01)

        outcome = line.settle(stay, 300, intend=stop)
        assert isinstance(outcome, Refused)
        assert isinstance(line.driver.who_settled(stay, "DK-1-1", 0), Nobody)
        assert line.host.counted == {}

    def test_learns_what_became_of_a_coin_after_the_deadline(self, timed):
        line = timed()
        stay = line.ask(3000)
        line.run(2)
        line.faults.no_echo = True  # what we say is not seen on the line: nothing proves that it was heard
        outcome = line.settle(stay, 100, seconds=3)
        assert isinstance(outcome, Uncertain)
        assert isinstance(line.driver.who_settled(stay, "DK-1-1", 0), CannotTell)
        line.faults.no_echo = False
        line.run(2)
        assert isinstance(line.driver.who_settled(stay, "DK-1-1", 0), Ours)
        assert line.station.coins == 100


@pytest.mark.parametrize(
    ("options", "word"),
    [
        ({"colour": "red"}, "colour"),
        ({"coins": []}, "coins"),
        ({"desk": "01"}, "desk"),
        ({"cap_yen": 3010, "coins": [100]}, "cap_yen"),
        ({"step_yen": 5}, "step_yen"),
        ({"baud": 115200}, "baud"),
        ({"patience": 0}, "patience"),
        ({"accepts": "cheques"}, "accepts"),
        ({"accepts": "bills", "step_yen": 100}, "step_yen"),
        ({"accepts": "bills", "cap_yen": 3500}, "cap_yen"),
        ({"accepts": "bills", "scaling": 1}, "scaling 1 leaves no name of four digits for bills of 10000 yen"),
        ({"accepts": "bills", "bills": [1000, 1500]}, "1500"),
        ({"accepts": "bills", "escrow_seconds": 0}, "escrow_seconds"),
    ],
)
def test_wrong_options_are_told_with_the_device_and_the_option(options, word):
    device = DeviceTable(id="coin", family="cctalk_coin", url="x", options=options)
    with pytest.raises(Environment) as caught:
        driver.create(device, (), lambda: datetime.now(UTC))
    assert caught.value.code is Code.CONFIG
    assert "'coin'" in caught.value.detail
    assert word in caught.value.detail


def test_it_says_what_it_can_do():
    capabilities = driver.CAPABILITIES
    assert capabilities.roles == Role.STAYS | Role.FEES | Role.SETTLE | Role.WITNESS
    assert (capabilities.retry, capabilities.counts) == ("never", False)


def test_the_bytes_of_a_poll_and_of_a_credit():
    """Spelled out once: host 1 polls acceptor 2, which shows its first coin of 100 yen (place 3, path 1)."""
    codec = Codec(Check.SUM, None)
    assert codec.encode(Frame(2, Header.CREDIT)) == bytes.fromhex("02 00 01 e5 18")
    raw = codec.encode(Frame(1, 0, bytes((1, 3, 1, 0, 0, 0, 0, 0, 0, 0, 0)), 2))
    assert raw == bytes.fromhex("01 0b 02 00 01 03 01 00 00 00 00 00 00 00 00 ed")


def test_a_doubt_names_the_most_that_can_have_been_taken():
    stay = StayRef(NameKind.DESK, "1", datetime(2026, 11, 25, tzinfo=UTC))
    account = Account("DK-1", stay, 3000, before=0, until=60.0)
    fates = (Fate.DELIVERED, Fate.DELIVERED, Fate.UNKNOWN)
    account.credits += [Credit(100, number, fate) for number, fate in enumerate(fates, 1)]
    assert verdict(account) == Uncertain(account.words, credited=300)
