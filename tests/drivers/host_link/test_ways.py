"""What holds for every way to reach a host: one booking per reference, ever, and what is claimed is true.

The databases are real servers, started here: implementations that we did not write. What a host makes of its tables and
files is ours (drivers/host_link/simtables.py, simfolder.py).
"""

import dataclasses
import os
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from drivers import base
from drivers.host_link.driver import create, probe
from drivers.recorder import Recorder
from parking.errors import Code, DaikoError, Environment, NotSent
from parking.outcome import EvidenceKind, Level
from parking.stay import NameKind, StayRef
from tests.rigs.databases import PASSWORD

WAYS = ("http", "sqlite", "postgresql", "firebird", "folder")
TABLES = ("sqlite", "postgresql", "firebird")
ORDERS = (*TABLES, "folder")
ROOT = Path(__file__).parents[3]


def soon(seconds: float = 2.0) -> float:
    return time.monotonic() + seconds


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture(params=WAYS)
def lane(request: pytest.FixtureRequest, lane_of: Any) -> Any:
    return lane_of(request.param)


class TestReading:
    def test_lists_the_open_stays(self, lane: Any) -> None:
        second = lane.world.arrive().name
        lane.world.pay_cash(second)
        lane.shown()
        found = {stay.ref.name: stay for stay in lane.driver.stays(soon())}
        assert set(found) == {lane.ticket, second}
        there = lane.world.host_stays()[0]
        assert (found[lane.ticket].ref.entered_at, found[lane.ticket].plate) == (there.entered_at, there.plate)
        assert (found[lane.ticket].paid, found[lane.ticket].paid_by) == (0, "")
        assert until(lambda: [one for one in lane.driver.stays(soon()) if (one.paid, one.paid_by) == (200, "cash")])

    def test_a_quote_is_the_hosts_fee_and_holds_for_as_long_as_it_says(self, lane: Any) -> None:
        at = now() - timedelta(hours=3)  # our clock may be another than the host's
        quote = lane.driver.quote(lane.stay(), at, soon())
        assert (quote.stay.name, quote.amount) == (lane.ticket, 600)
        assert quote.stay.entered_at == lane.world.host_stays()[0].entered_at
        assert timedelta(0) < quote.valid_until - at <= timedelta(seconds=180)

    def test_a_paid_an_unknown_and_a_changed_stay_have_no_fee(self, lane: Any) -> None:
        yesterday = StayRef(NameKind.TICKET, lane.ticket, lane.world.host_stays()[0].entered_at - timedelta(days=1))
        assert lane.driver.quote(yesterday, now(), soon()).code is Code.STAY_CHANGED
        assert lane.driver.quote(lane.stay("00000001"), now(), soon()).code is Code.STAY_UNKNOWN
        lane.world.pay_cash(lane.ticket)
        assert until(lambda: isinstance(lane.driver.quote(lane.stay(), now(), soon()), base.Refused))
        assert lane.driver.quote(lane.stay(), now(), soon()).code is Code.ALREADY_PAID

    def test_the_books_show_what_came_under_a_reference_and_no_cash(self, lane: Any) -> None:
        lane.settle()
        lane.world.pay_cash(lane.world.arrive().name)
        lane.shown()
        (paid,) = lane.world.host_bookings(lane.ticket)
        hour = timedelta(hours=1)
        since = paid.at - hour if lane.way != "folder" else paid.at  # the folder's books begin with the simulator
        (booking,) = until(lambda: lane.driver.bookings(since, paid.at + timedelta(microseconds=1), soon()))
        assert (booking.reference, booking.amount, booking.receipt) == ("DK-1002-1", 600, paid.receipt)
        assert abs(booking.booked_at - paid.at) < timedelta(seconds=1)
        assert not [one for one in lane.driver.bookings(paid.at, paid.at, soon()) if one.booked_at != paid.at]

    def test_a_booking_that_was_struck_is_not_in_the_books_any_more(self, lane: Any) -> None:
        lane.settle()
        (paid,) = lane.world.host_bookings(lane.ticket)
        lane.world.strike_booking("DK-1002-1")
        assert until(lambda: lane.driver.bookings(paid.at, paid.at + timedelta(microseconds=1), soon()) == [])


class TestBooking:
    def test_is_confirmed_with_the_hosts_receipt(self, lane: Any) -> None:
        outcome = lane.settle()
        assert isinstance(outcome, base.Applied), outcome
        assert outcome.level is Level.LEGACY_CONFIRMED
        (booked,) = lane.world.host_bookings(lane.ticket)
        assert (booked.reference, booked.amount) == ("DK-1002-1", 600)
        assert outcome.evidence[0].kind is EvidenceKind.RECEIPT
        assert booked.receipt in outcome.evidence[0].text

    def test_is_journaled_before_and_holds_what_is_written(self, lane: Any) -> None:
        lane.settle()
        (raw,) = lane.journal.intents
        assert lane.journal.booked_before == [0]
        for word in (b"DK-1002-1", lane.ticket.encode(), b"600"):
            assert word in raw
        assert PASSWORD.encode() not in raw

    def test_does_not_happen_if_the_intent_cannot_be_committed(self, lane: Any) -> None:
        lane.journal.refuse = NotSent(Code.JOURNAL, "disk full")
        with pytest.raises(NotSent):
            lane.settle()
        time.sleep(0.1)
        assert lane.references() == []
        lane.journal.refuse = None
        assert isinstance(lane.settle(), base.Applied)

    def test_again_under_the_same_reference_writes_nothing(self, lane: Any) -> None:
        first, again = lane.settle(), lane.settle()
        assert isinstance(first, base.Applied)
        assert isinstance(again, base.Applied)
        assert again.level is Level.LEGACY_CONFIRMED
        assert len(lane.journal.intents) == 1
        assert lane.references() == ["DK-1002-1"]

    def test_of_another_stay_under_a_used_reference_does_not_happen(self, lane: Any) -> None:
        lane.settle()
        lane.ticket = lane.world.arrive(minutes_ago=65).name
        lane.shown()
        outcome = lane.settle()
        wanted = (base.Uncertain, Code.CONTRADICTION) if lane.way == "folder" else (base.Refused, Code.CONFLICT)
        assert (type(outcome), outcome.code) == wanted  # of a folder only the host's answer is left
        assert lane.references() == []

    def test_gives_way_to_cash(self, lane: Any) -> None:
        lane.world.pay_cash(lane.ticket)
        assert until(lambda: isinstance(lane.driver.quote(lane.stay(), now(), soon()), base.Refused))
        assert lane.settle().code is Code.ALREADY_PAID
        assert lane.journal.intents == []
        assert lane.references() == [""]

    def test_gives_way_to_cash_also_between_the_look_and_the_writing(self, lane: Any) -> None:
        lane.journal.meanwhile = lambda: lane.world.pay_cash(lane.ticket)
        outcome = lane.settle()
        assert isinstance(outcome, base.Refused), outcome
        assert outcome.code is Code.ALREADY_PAID
        assert lane.references() == [""]
        assert isinstance(until(lambda: said(lane, base.Cash)), base.Cash)

    @pytest.mark.parametrize("amount", [400, 800])
    def test_of_an_amount_that_is_not_due_does_not_happen(self, lane: Any, amount: int) -> None:
        outcome = lane.settle(amount)
        assert (outcome.code, lane.journal.intents, lane.references()) == (Code.WRONG_AMOUNT, [], [])

    def test_for_another_stay_under_the_same_ticket_does_not_happen(self, lane: Any) -> None:
        yesterday = StayRef(NameKind.TICKET, lane.ticket, lane.world.host_stays()[0].entered_at - timedelta(days=1))
        assert lane.driver.settle(dataclasses.replace(lane.order(), stay=yesterday)).code is Code.STAY_CHANGED
        assert lane.journal.intents == []

    def test_of_a_stay_that_the_host_does_not_know_does_not_happen(self, lane: Any) -> None:
        lane.ticket = "00000001"
        assert lane.settle().code is Code.STAY_UNKNOWN
        assert lane.journal.intents == []

    def test_where_the_host_is_away_is_certainly_not_sent_and_works_again(self, lane: Any) -> None:
        away(lane)
        for deed in (lane.settle, lambda: lane.driver.stays(soon())):
            with pytest.raises((NotSent, Environment)) as error:
                deed()
            assert error.value.remedy
        assert isinstance(lane.who(), base.CannotTell)
        assert lane.journal.intents == []
        back(lane)
        assert isinstance(until(lambda: settled(lane)), base.Applied)
        assert lane.references() == ["DK-1002-1"]

    def test_is_ours_to_a_bridge_that_was_killed_right_after_writing(self, lane: Any) -> None:
        """A process of its own is killed as soon as its writing shows; a new driver asks who paid."""
        quiet(lane, True)
        killed_after_writing(lane)
        if lane.way != "http":
            assert isinstance(lane.who(), base.CannotTell)
        quiet(lane, False)
        assert isinstance(until(lambda: said(lane, base.Ours)), base.Ours)
        assert isinstance(lane.settle(), base.Applied)
        assert lane.journal.intents == []
        assert lane.references() == ["DK-1002-1"]


class TestWitness:
    def test_names_who_paid(self, lane: Any) -> None:
        other = lane.ticket
        lane.settle()
        assert isinstance(lane.who(), base.Ours)
        lane.ticket = lane.world.arrive(minutes_ago=65).name
        lane.world.pay_cash(lane.ticket)
        lane.shown()
        if lane.way != "folder":  # there, what was never written cannot be told from what was taken away
            assert isinstance(lane.who("DK-1002-2"), base.Cash)
            assert isinstance(until(lambda: lane.driver.who_settled(lane.stay(other), "DK-1002-2", soon())), base.Cash)
        lane.ticket = "00000001"
        assert isinstance(lane.who("DK-1002-2"), base.CannotTell)

    def test_says_nobody_while_nobody_paid(self, lane: Any) -> None:
        said_ = lane.who()
        assert isinstance(said_, base.CannotTell if lane.way == "folder" else base.Nobody), said_


class TestTime:
    def test_silence_ends_at_the_deadline(self, lane: Any) -> None:
        mute(lane, True)
        try:
            deeds = (lambda: lane.settle(seconds=0.4), lambda: lane.driver.stays(soon(0.4)))
            for deed in deeds[: 1 if lane.way == "firebird" else 2]:
                began = time.monotonic()
                with pytest.raises(DaikoError):
                    deed()
                assert time.monotonic() - began < (1.6 if lane.way == "firebird" else 0.8)
            began = time.monotonic()
            assert isinstance(lane.who(seconds=0.4), base.CannotTell)
            assert time.monotonic() - began < (1.6 if lane.way == "firebird" else 0.8)
        finally:
            mute(lane, False)
        assert lane.references() == []


class TestOrdersThatLieThere:
    """Of hosts that take up what we leave for them, in their own time."""

    @pytest.fixture(params=ORDERS)
    def lane(self, request: pytest.FixtureRequest, lane_of: Any) -> Any:
        return lane_of(request.param)

    def test_are_no_payment_until_the_host_says_so(self, lane: Any) -> None:
        lane.served.faults.stopped = True
        outcome = lane.settle(seconds=brief(lane))
        assert isinstance(outcome, base.Applied), outcome
        assert outcome.level is Level.LINK_ACKED
        assert {proof.kind for proof in outcome.evidence} == {EvidenceKind.ECHO}
        assert isinstance(lane.who(), base.CannotTell)
        again = lane.settle(seconds=brief(lane))
        assert (again.level, len(lane.journal.intents)) == (Level.LINK_ACKED, 1)
        lane.served.faults.stopped = False
        assert isinstance(until(lambda: said(lane, base.Ours)), base.Ours)
        assert lane.settle().level is Level.LEGACY_CONFIRMED
        assert lane.references() == ["DK-1002-1"]

    def test_beside_cash_are_still_not_known_to_be_refused(self, lane: Any) -> None:
        lane.served.faults.stopped = True
        lane.settle(seconds=brief(lane))
        lane.world.pay_cash(lane.ticket)
        lane.shown()
        assert isinstance(lane.who(), base.CannotTell)
        lane.served.faults.stopped = False
        assert isinstance(until(lambda: said(lane, base.Cash)), base.Cash)
        assert lane.references() == [""]

    def test_may_be_refused_and_nothing_was_booked(self, lane: Any) -> None:
        lane.served.faults.refuse_once = True
        outcome = lane.settle()
        assert isinstance(outcome, base.Refused), outcome
        assert (outcome.code, "the till is closed" in outcome.detail) == (Code.DEVICE_REFUSED, True)
        assert isinstance(lane.who(), base.Nobody)
        assert lane.settle().code is Code.DEVICE_REFUSED  # a reference that was refused stays so
        assert lane.references() == []

    def test_are_waited_for_while_there_is_time(self, lane: Any) -> None:
        lane.served.faults.slow_ms = 250
        assert lane.settle(seconds=3).level is Level.LEGACY_CONFIRMED
        assert lane.references() == ["DK-1002-1"]


class TestDiscretion:
    def test_no_recording_holds_a_plate_or_a_password(self, lane: Any, tmp_path: Path) -> None:
        recorder = Recorder(tmp_path / "wire.jsonl", now)
        lane.world.arrive(plate="多摩 581 に 64-37")
        lane.shown()
        lane.driver.close()
        lane.driver = create(lane.device, (), now, recorder)
        assert "多摩 581 に 64-37" in [one.plate for one in lane.driver.stays(soon())]
        assert isinstance(lane.settle(), base.Applied)
        lane.driver.close()
        recorder.close()
        lines = [msgspec.json.decode(line)["hex"] for line in (tmp_path / "wire.jsonl").read_bytes().splitlines()]
        text = b"".join(bytes.fromhex(line) for line in lines).decode()
        assert "多摩" not in text
        assert PASSWORD not in text
        assert "DK-1002-1" in text
        assert lane.ticket in text


class TestProbe:
    def test_finds_a_host_and_changes_nothing(self, lane: Any) -> None:
        before = lane.world.host_booked()
        finding = probe(lane.served.url, soon())
        assert finding.answered
        if lane.way not in ("postgresql", "firebird"):  # those want a password, and that is all that is found
            assert 'family = "host_link"' in finding.hints
        assert lane.world.host_booked() == before

    def test_finds_nothing_where_nothing_is(self, lane: Any) -> None:
        away(lane)
        finding = probe(lane.served.url, soon())
        assert (finding.answered, bool(finding.hints)) == (False, True)
        back(lane)


# --- what is done to each kind of host --------------------------------------------------------------------------------


def until(look: Any, seconds: float = 5.0) -> Any:
    """The first true thing that `look` returns; the last one, if none is."""
    end = time.monotonic() + seconds
    while not (seen := look()) and time.monotonic() < end:
        time.sleep(0.02)
    return seen


def brief(lane: Any) -> float:
    """Seconds in which an order can be left, and not much more. Each look at Firebird is a connection of its own."""
    return 1.0 if lane.way == "firebird" else 0.4


def said(lane: Any, kind: type) -> Any:
    testimony = lane.who()
    return testimony if isinstance(testimony, kind) else None


def settled(lane: Any) -> Any:
    try:
        return lane.settle()
    except (NotSent, Environment):
        return None


def away(lane: Any) -> None:
    """Nobody is there: the plug is out, the server has ended, file or folder are gone."""
    if lane.server is not None:
        lane.server.stop()
    else:
        lane.served.faults.unplugged = True
        time.sleep(0.1)


def back(lane: Any) -> None:
    if lane.server is not None:
        lane.server.start()
    lane.served.faults.unplugged = False


def mute(lane: Any, on: bool) -> None:
    """Somebody is there and says nothing."""
    if lane.server is not None:
        os.kill(lane.server.pid, signal.SIGSTOP if on else signal.SIGCONT)
        for child in children(lane.server.pid):
            os.kill(child, signal.SIGSTOP if on else signal.SIGCONT)
    elif lane.way == "http":
        lane.served.faults.silent = on
    elif lane.way == "sqlite":
        lane.served.faults.locked = on
        time.sleep(0.1)
    else:
        lane.served.faults.no_export = on
        if on:
            time.sleep(0.1)
            (lane.served._folder / "stays.csv").write_text("ticket_no,entry")


def quiet(lane: Any, on: bool) -> None:
    """The host takes what comes and does not answer it."""
    if lane.way == "http":
        lane.served.faults.delay_ms = 300 if on else 0
    else:
        lane.served.faults.stopped = on


def children(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in listed]


CHILD = """
import json, sys, time
from datetime import UTC, datetime
import msgspec
from drivers import base
from drivers.host_link.driver import create
from drivers.profile import DeviceTable
from parking.stay import NameKind, StayRef

device, ticket = msgspec.json.decode(sys.argv[1], type=DeviceTable), sys.argv[2]
driver = create(device, (), lambda: datetime.now(UTC))
tell = lambda raw, counter: print("intent", flush=True)
stay = StayRef(NameKind.TICKET, ticket)
driver.settle(base.SettleOrder(stay, 600, "DK-1002-1", datetime.now(UTC), 1, time.monotonic() + 20, tell))
"""


def killed_after_writing(lane: Any) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, msgspec.json.encode(lane.device).decode(), lane.ticket],
        cwd=ROOT,
        stdout=subprocess.PIPE,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == b"intent\n"
    if lane.way == "http":
        assert until(lambda: lane.references())
    else:
        assert until(lambda: lane.driver._host.slip("DK-1002-1", soon()))
    child.kill()
    child.wait()
    child.stdout.close()
