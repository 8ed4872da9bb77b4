"""The driver against a simulated pay station over a real pty: one payment, its ways to end, and who has paid."""

import os
import socket
import threading
import time
import tty
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from drivers.base import Applied, CannotTell, Cash, Nobody, Ours, Refused, Retry, Role, Uncertain
from drivers.mdb_cashless import driver
from drivers.profile import DeviceTable, ExitTable
from parking.desk import ExitKind
from parking.errors import Code, Environment, NotSent
from parking.outcome import EvidenceKind, Level
from parking.stay import NameKind, StayRef
from tests.rigs.mdb_station import NOON, soon, until


def proof_of(outcome):
    assert isinstance(outcome, Applied), outcome
    assert outcome.level is Level.LEGACY_CONFIRMED
    (proof,) = outcome.evidence
    assert proof.kind is EvidenceKind.WITNESS
    return proof.text


def test_it_plays_four_roles_and_never_repeats_an_act(rig):
    capabilities = rig().driver.capabilities
    assert capabilities.roles == Role.STAYS | Role.FEES | Role.SETTLE | Role.WITNESS
    assert (capabilities.retry, capabilities.settle_level) == (Retry.NEVER, Level.LEGACY_CONFIRMED)


# --- what the machine asks for ----------------------------------------------------------------------------------------


def test_there_is_a_stay_exactly_while_the_machine_asks(rig):
    here = rig()
    assert here.driver.stays(soon()) == ()
    stay = here.ask(450)
    assert stay == StayRef(NameKind.DESK, "1", NOON.replace(microsecond=0) + timedelta(seconds=60))
    here.station.cancel()
    until(lambda: here.driver.stays(soon()) == ())


def test_a_quote_is_the_amount_asked_for_and_holds_for_a_while(rig):
    here = rig(hold_seconds=90, desk="A-07")
    stay = here.ask(450)
    assert stay.name == "A7"
    at = datetime.now(UTC)
    quote = here.driver.quote(StayRef(NameKind.DESK, "A7"), at, soon())
    assert (quote.stay, quote.amount, quote.valid_until) == (stay, 450, at + timedelta(seconds=90))
    (line,) = quote.lines
    assert line.amount == 450
    assert set(line.text) == {"ja", "en"}


def test_nothing_is_quoted_that_is_not_asked_for_now(rig):
    here = rig()
    at = datetime.now(UTC)
    assert here.driver.quote(StayRef(NameKind.DESK, "1"), at, soon()).code is Code.STAY_UNKNOWN
    old = here.ask(450)
    assert here.driver.quote(StayRef(NameKind.DESK, "2"), at, soon()).code is Code.STAY_UNKNOWN
    here.station.cancel()
    until(lambda: here.driver.stays(soon()) == ())
    here.ask(600)
    assert here.driver.quote(old, at, soon()).code is Code.STAY_CHANGED


def test_what_is_being_paid_already_is_not_quoted_again(rig):
    here = rig()
    stay = here.ask(450)
    here.faults.drop_approval_once = True
    assert isinstance(here.settle(stay, seconds=0.2), Uncertain)
    assert here.driver.quote(stay, datetime.now(UTC), soon()).code is Code.ALREADY_PAID


def test_a_machine_that_counts_in_hundredths_or_in_tens_is_paid_exactly(rig):
    here = rig(decimals=2)
    assert proof_of(here.settle(here.ask(450)))
    assert (here.intents[0][0], here.sold) == (b"C,VEND,450.00\n", [450])


def test_an_amount_that_its_bus_cannot_carry_is_never_asked_for(rig):
    """16 bits of hundredths end at 655.34: the machine takes cash for more."""
    here = rig(decimals=2)
    here.driver.stays(soon())
    here.station.ask(700)
    time.sleep(0.1)
    assert here.driver.stays(soon()) == ()


# --- the approval -----------------------------------------------------------------------------------------------------


def test_a_payment_is_done_when_the_machine_says_so(rig):
    here = rig()
    stay = here.ask(450)
    assert proof_of(here.settle(stay)) == "the machine said VEND SUCCESS"
    assert here.sold == [450]
    assert here.driver.stays(soon()) == ()
    assert here.who(stay) == Ours("DK-1-1", "the machine said VEND SUCCESS")
    assert isinstance(here.who(stay, "DK-1-2"), Cash)


def test_it_commits_the_exact_bytes_before_the_first_of_them(rig):
    here = rig()
    stay = here.ask(450)
    here.settle(stay)
    assert here.intents == [(b"C,VEND,450\n", None, 0)]


def test_nothing_is_written_if_the_intent_is_not_committed(rig):
    here = rig()
    stay = here.ask(450)

    def no_disk(raw, counter):
        raise NotSent(Code.JOURNAL, "disk full")

    with pytest.raises(NotSent):
        here.settle(stay, intend=no_disk)
    time.sleep(0.1)
    assert here.sold == []
    assert here.who(stay) == Nobody("the machine still asks for it")
    assert proof_of(here.settle(stay))
    assert here.sold == [450]


def test_our_write_is_no_sale_and_the_machine_may_say_so_late(rig):
    here = rig()
    stay = here.ask(450)
    here.faults.late_success_ms = 400
    assert isinstance(here.settle(stay, seconds=0.2), Uncertain)
    assert isinstance(here.who(stay), CannotTell)
    assert until(lambda: isinstance(here.who(stay), Ours))
    assert here.sold == [450]


def test_the_same_payment_twice_is_written_once(rig):
    here = rig()
    stay = here.ask(450)
    first, again = here.settle(stay), here.settle(stay)
    assert proof_of(first) == proof_of(again)
    assert len(here.intents) == 1
    assert here.sold == [450]


def test_a_second_payment_of_a_request_is_refused_once_the_first_is_in(rig):
    here = rig()
    stay = here.ask(450)
    here.settle(stay)
    refused = here.settle(stay, reference="DK-1-2")
    assert isinstance(refused, Refused)
    assert refused.code is Code.ALREADY_PAID
    assert here.sold == [450]


def test_a_second_payment_waits_while_the_first_is_under_way(rig):
    here = rig()
    stay = here.ask(450)
    here.faults.late_success_ms = 300
    thread, results = here.in_background(stay)
    until(lambda: here.intents)
    with pytest.raises(NotSent):
        here.settle(stay, reference="DK-1-2")
    thread.join()
    assert proof_of(results[0])
    assert len(here.intents) == 1


@pytest.mark.parametrize("amount", [449, 451, 45])
def test_another_amount_is_refused(rig, amount):
    here = rig()
    stay = here.ask(450)
    refused = here.settle(stay, amount=amount)
    assert isinstance(refused, Refused)
    assert refused.code is Code.WRONG_AMOUNT
    assert here.intents == []


def test_a_payment_that_comes_after_the_cancel_is_refused(rig):
    here = rig()
    stay = here.ask(450)
    here.station.cancel()
    until(lambda: here.driver.stays(soon()) == ())
    assert here.settle(stay).code is Code.STAY_UNKNOWN
    assert here.who(stay) == Nobody("the machine withdrew its request")
    here.ask(450)
    assert here.settle(stay).code is Code.STAY_UNKNOWN
    assert here.intents == []


def test_cash_at_the_machine_ends_the_stay(rig):
    here = rig()
    stay = here.ask(450)
    here.station.pay_cash()
    until(lambda: here.driver.stays(soon()) == ())
    assert here.settle(stay).code is Code.STAY_UNKNOWN
    assert [sale.tender for sale in here.station.sales] == ["cash"]


def test_a_stay_without_its_beginning_is_never_paid(rig):
    here = rig()
    here.ask(450)
    assert here.settle(StayRef(NameKind.DESK, "1")).code is Code.STAY_CHANGED
    assert here.intents == []


def test_a_stay_of_an_earlier_run_is_refused_and_not_witnessed(rig):
    here = rig()
    stay = here.ask(450)
    here.driver.close()
    here.driver = driver.create(here.device, (), here.clock)
    here.clock.tick(60)
    assert here.stay() != stay
    assert here.settle(stay).code is Code.STAY_CHANGED
    assert here.who(stay) == CannotTell("nothing is remembered of this request")


# --- how the machine ends it ------------------------------------------------------------------------------------------


def test_a_vend_failure_gives_the_payment_back(rig):
    here = rig()
    stay = here.ask(450)
    here.faults.fail_after_approval = True
    assert here.settle(stay).code is Code.DEVICE_REFUSED
    assert isinstance(here.who(stay), Nobody)
    assert here.sold == []


def test_a_reset_after_the_approval_is_a_success_with_evidence_of_its_own(rig):
    here = rig()
    stay = here.ask(450)
    here.faults.reset_after_approval = True
    assert 'reset after VEND APPROVED: "shall be interpreted as a VEND SUCCESS"' in proof_of(here.settle(stay))
    assert isinstance(here.who(stay), Ours)
    assert here.sold == [450]


def test_a_reset_before_the_machine_has_the_approval_is_uncertain_and_never_given_back(rig):
    here = rig()
    stay = here.ask(450)
    here.faults.reset_before_approval = True
    assert isinstance(here.settle(stay, seconds=0.3), Uncertain)
    assert isinstance(here.who(stay), CannotTell)
    assert here.sold == []


def test_a_cancel_that_reaches_the_adapter_first_is_certainly_no_sale(rig):
    here = rig()
    stay = here.ask(450)
    here.faults.cancel_first = True
    assert here.settle(stay).code is Code.STAY_UNKNOWN
    assert isinstance(here.who(stay), Nobody)
    assert here.sold == []


def test_a_cancel_right_behind_the_approval_is_uncertain_where_the_adapter_does_not_tell(rig):
    here = rig()
    stay = here.ask(450)
    here.faults.cancel_second = True
    assert isinstance(here.settle(stay, seconds=0.3), Uncertain)
    assert isinstance(here.who(stay), CannotTell)
    assert here.sold == []


@pytest.mark.parametrize("fault", ["cancel_first", "cancel_second"])
def test_an_adapter_that_tells_a_cancel_by_number_changes_nothing_of_that(rig, fault):
    here = rig()
    here.faults.tells_cancel = True
    stay = here.ask(450)
    setattr(here.faults, fault, True)
    outcome = here.settle(stay, seconds=0.3)
    assert isinstance(outcome, Refused if fault == "cancel_first" else Uncertain), outcome
    assert here.sold == []


def test_an_approval_of_which_the_adapter_can_make_nothing_is_refused_at_once_and_the_machine_goes_on(rig):
    here = rig()
    stay = here.ask(450)
    here.faults.refuse_approval_once = True
    assert here.settle(stay).code is Code.DEVICE_REFUSED
    assert isinstance(here.who(stay), Nobody)
    assert here.driver.stays(soon()) == ()
    assert here.sold == []
    here.station.cancel()
    assert proof_of(here.settle(here.ask(600), amount=600))


@pytest.mark.parametrize("before", [True, False])
def test_a_reset_told_by_number_counts_like_any_other(rig, before):
    here = rig()
    here.faults.tells_reset = True
    stay = here.ask(450)
    setattr(here.faults, "reset_before_approval" if before else "reset_after_approval", True)
    outcome = here.settle(stay, seconds=0.3 if before else 1.0)
    assert isinstance(outcome, Uncertain if before else Applied), outcome
    assert here.sold == ([] if before else [450])


def test_amounts_with_zeros_behind_the_point_are_paid_and_said_back_as_written(rig):
    here = rig()
    here.faults.two_digits = True
    assert proof_of(here.settle(here.ask(450)))
    assert (here.intents[0][0], here.sold) == (b"C,VEND,450.00\n", [450])


@pytest.mark.parametrize("is_on", [True, False])
def test_an_adapter_that_was_on_already_is_paid_through_with_a_warning(rig, caplog, is_on):
    here = rig()
    here.faults.is_on = is_on
    assert proof_of(here.settle(here.ask(450)))
    here.driver.close()
    here.driver = driver.create(here.device, (), here.clock)
    assert here.driver.stays(soon()) == ()
    assert proof_of(here.settle(here.ask(600), amount=600, reference="DK-1-2"))
    assert "settings not taken: the adapter was on already" in caplog.text


def test_a_reader_that_is_switched_off_is_set_up_again_and_its_stay_is_over(rig):
    here = rig()
    stay = here.ask(450)
    here.faults.switched_off = True
    assert until(lambda: here.who(stay) == Nobody("the adapter plays no reader any more"))
    here.clock.tick(60)
    fresh = here.stay()
    assert fresh != stay
    assert here.settle(stay).code is Code.STAY_UNKNOWN
    assert proof_of(here.settle(fresh))
    assert here.sold == [450]


@pytest.mark.parametrize("fault", ["drop_approval_once", "drop_success_once"])
def test_a_lost_line_either_way_is_uncertain(rig, fault):
    here = rig()
    stay = here.ask(450)
    setattr(here.faults, fault, True)
    assert isinstance(here.settle(stay, seconds=0.3), Uncertain)
    assert here.sold == ([450] if fault == "drop_success_once" else [])
    assert isinstance(here.who(stay), CannotTell)


def test_an_approval_goes_through_noise_and_a_slow_line(rig):
    here = rig()
    here.faults.garbage, here.faults.byte_us = True, 100
    assert proof_of(here.settle(here.ask(450)))
    assert here.sold == [450]


# --- the adapter and its line -----------------------------------------------------------------------------------------


def test_an_adapter_that_is_not_there_is_told_with_its_remedy(tmp_path):
    here = driver.create(DeviceTable(id="pay", family="mdb_cashless", url=str(tmp_path / "none")), (), lambda: NOON)
    try:
        with pytest.raises(Environment) as caught:
            here.stays(soon())
        assert caught.value.code is Code.PORT_MISSING
        assert isinstance(here.who_settled(StayRef(NameKind.DESK, "1", None), "DK-1-1", soon(0.1)), CannotTell)
    finally:
        here.close()


def test_a_silent_adapter_is_unavailable_and_nothing_is_written(rig):
    here = rig(timeout=0.2)
    stay = here.ask(450)
    here.faults.silent = True
    with pytest.raises(NotSent) as caught:
        until(lambda: here.driver.stays(soon(0.2)) and False)
    assert caught.value.code is Code.DEVICE_UNAVAILABLE
    with pytest.raises(NotSent):
        here.settle(stay, seconds=0.3)
    assert here.intents == []


def test_an_unplugged_adapter_comes_back_and_the_machine_asks_anew(rig):
    here = rig()
    stay = here.ask(450)
    here.faults.unplugged = True

    def gone():
        try:
            here.driver.stays(soon(0.1))
        except (NotSent, Environment):
            return True
        return False

    until(gone)
    assert isinstance(here.who(stay), Nobody)
    here.faults.unplugged = False
    until(lambda: not gone())
    here.clock.tick(60)
    fresh = here.stay()
    assert fresh != stay
    assert here.settle(stay).code is Code.STAY_UNKNOWN
    assert proof_of(here.settle(fresh))
    assert here.sold == [450]


def test_a_restart_with_the_approval_in_it_is_uncertain(rig):
    here = rig()
    stay = here.ask(450)
    here.faults.restart_on_approval = True
    assert isinstance(here.settle(stay, seconds=0.4), Uncertain)
    assert isinstance(here.who(stay), CannotTell)


def test_a_restart_after_the_machine_has_it_is_uncertain_too(rig):
    here = rig()
    stay = here.ask(450)
    here.faults.restart_after_approval = True
    assert isinstance(here.settle(stay, seconds=0.4), Uncertain)
    assert isinstance(here.who(stay), CannotTell)
    assert here.sold == [450]


def test_sessions_that_we_begin(rig):
    here = rig(sessions="begin_session", credit=5000)
    for _ in range(3):
        assert proof_of(here.settle(here.ask(450)))
    assert here.sold == [450] * 3


class ByHand:
    """An adapter on a pty whose every byte is said by hand."""

    def __init__(self):
        self.near, self.far = os.openpty()
        tty.setraw(self.far)
        self.url = os.ttyname(self.far)

    def says(self, *lines):
        os.write(self.near, "".join(f"{line}\n" for line in lines).encode())

    def hears(self, wanted):
        heard = b""
        while wanted not in heard:
            heard += os.read(self.near, 4096)
        return heard

    def close(self):
        os.close(self.near)
        os.close(self.far)


@pytest.fixture
def by_hand():
    made = ByHand()
    yield made
    made.close()


def test_an_approval_is_not_said_once_the_machine_has_withdrawn_while_it_was_journaled(by_hand, rig):
    """The cancel came in while the intent went to disk: it is heard before the approval would be said."""
    here = rig()
    reader = driver.create(msgspec.structs.replace(here.device, url=by_hand.url), (), here.clock)
    try:
        threading.Thread(target=lambda: by_hand.hears(b"C,1\n") and by_hand.says("c,1", "c,STATUS,VEND,450,1")).start()
        (stay,) = until(lambda: reader.stays(soon()))

        def slowly(raw, counter):
            by_hand.says("c,STATUS,IDLE", "c,STATUS,ENABLED")

        assert reader.settle(here.order(stay.ref, intend=slowly)).code is Code.STAY_UNKNOWN
        assert reader.who_settled(stay.ref, "DK-1-1", soon()) == Nobody("the machine withdrew its request")
        by_hand.says("V")
        os.set_blocking(by_hand.near, False)
        time.sleep(0.05)
        with pytest.raises(BlockingIOError):
            os.read(by_hand.near, 100)
    finally:
        reader.close()


def test_it_is_served_through_a_serial_server_as_well(rig):
    """`socket://`: the adapter's line carried over TCP."""
    here = rig()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def carry():
            client, _ = server.accept()
            port = os.open(here.served.url, os.O_RDWR | os.O_NOCTTY)
            with client:
                threading.Thread(target=lambda: _pump(lambda: client.recv(99), lambda d: os.write(port, d))).start()
                _pump(lambda: os.read(port, 99), client.sendall)

        threading.Thread(target=carry, daemon=True).start()
        here.driver.close()
        url = f"socket://127.0.0.1:{server.getsockname()[1]}"
        here.driver = driver.create(msgspec.structs.replace(here.device, url=url), (), here.clock)
        assert proof_of(here.settle(here.ask(450)))


def _pump(source, sink):
    try:
        while data := source():
            sink(data)
    except OSError:
        pass


# --- options and probe ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "place"),
    [
        ({"colour": "red"}, "colour"),
        ({"desk": ""}, "$.desk"),
        ({"desk": "!"}, "$.desk"),
        ({"decimals": 4}, "$.decimals"),
        ({"scale": 0}, "$.scale"),
        ({"dialect": "wizarpos"}, "$.dialect"),
        ({"sessions": "begin_session", "decimals": 2}, "$.credit"),
    ],
)
def test_wrong_options_are_told_with_their_place(options, place):
    with pytest.raises(Environment) as caught:
        driver.create(DeviceTable(id="pay", family="mdb_cashless", options=options), (), lambda: NOON)
    assert caught.value.code is Code.CONFIG
    assert place in caught.value.detail
    assert "'pay'" in caught.value.detail


def test_no_exit_hangs_on_a_pay_station():
    gate = ExitTable(id="OUT1", kind=ExitKind.GATE, label={}, device="pay", channel=0)
    with pytest.raises(Environment) as caught:
        driver.create(DeviceTable(id="pay", family="mdb_cashless"), (gate,), lambda: NOON)
    assert "OUT1" in caught.value.detail


def test_a_probe_asks_for_the_version_and_nothing_else(by_hand):
    heard = []

    def answer():
        heard.append(by_hand.hears(b"\n"))
        by_hand.says("rubbish", "v,4.0.2.0,4a002500d1fa")

    thread = threading.Thread(target=answer)
    thread.start()
    finding = driver.probe(by_hand.url, soon())
    thread.join()
    assert heard == [b"V\n"]
    assert finding.answered
    assert "4a002500d1fa" in finding.identity
    assert 'family = "mdb_cashless"' in finding.hints


def test_a_probe_of_nobody_says_so(by_hand):
    began = time.monotonic()
    assert not driver.probe(by_hand.url, soon(0.3)).answered
    assert time.monotonic() - began < 1
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    assert not driver.probe(f"socket://127.0.0.1:{port}", soon(0.3)).answered
