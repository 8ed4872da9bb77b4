"""What becomes of an order that lies with a host, what its witness says, and what is never told to anybody."""

import contextlib
import sqlite3
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from drivers import base
from drivers.host_link.driver import create, probe
from drivers.recorder import Recorder
from parking.errors import Code, DaikoError
from parking.outcome import EvidenceKind, Level
from tests.drivers.host_link.mishaps import ORDERS, WAYS, away, back, brief, mute, said, soon, until
from tests.rigs.databases import PASSWORD


def now() -> datetime:
    return datetime.now(UTC)


@pytest.fixture(params=WAYS)
def lane(request: pytest.FixtureRequest, lane_of: Any) -> Any:
    return lane_of(request.param)


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


@pytest.mark.parametrize("way", ["sqlite", "folder"])
def test_what_a_plate_paid_for_an_earlier_stay_is_not_this_ones(lane_of: Any, way: str) -> None:
    """Plates come again, and their old payments stand in the same books."""
    lane = lane_of(way)
    lane.served.faults.no_export = True
    time.sleep(0.1)
    place = Path(lane.device.url.partition("://")[2])
    if way == "sqlite":
        with contextlib.closing(sqlite3.connect(place, timeout=5)) as database:
            row = ("R0", lane.ticket, 600, "cash", "2026-01-02T03:04:05+00:00", None)
            database.execute("INSERT INTO daiko_books VALUES (?, ?, ?, ?, ?, ?)", row)
            database.execute("UPDATE daiko_fees SET due = 0")
            database.commit()
    else:
        head, end = (place / "payments.csv").read_text().splitlines()
        row_ = f"R0,{lane.ticket},600,cash,2026-01-02T03:04:05+00:00,"
        (place / "payments.csv").write_text(f"{head}\n{row_}\n{end.replace('END,0', 'END,1')}\n")
        (place / "stays.csv").write_text((place / "stays.csv").read_text().replace(",600", ",0"))
    paid = lane.driver._host.payments(lane.ticket, None, soon())
    assert (paid.payments, paid.due) == ((), 0)
    assert not isinstance(lane.who(), base.Cash)


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
