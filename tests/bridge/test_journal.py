"""The journal keeps what it has acknowledged (P3) and says so when it cannot (P9)."""

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from bridge.case import Case
from bridge.journal import PRAGMAS, Journal
from bridge.stays import KnownStay
from parking.desk import CasePhase, CommandState, CommandView
from parking.errors import Code, Environment
from parking.stay import LotId, NameKind, StayRef
from parking.wire import DeviceHealth

NOW = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
LOT = LotId(1001)


def case(number: int = 1, phase: CasePhase = CasePhase.RECEIVED) -> Case:
    return Case(
        lot=LOT,
        number=number,
        reference=f"DK-1001-{number}",
        stay=StayRef(NameKind.BAY, "7", NOW),
        exit="",
        amount=600,
        paid_at=NOW,
        valid_until=NOW + timedelta(minutes=20),
        since=NOW,
        phase=phase,
        intent=b"\x01\x05\x00",
    )


def put_and_fail(journal: Journal, error: Exception) -> None:
    with journal.transaction() as tx:
        tx.put_case(case(1), b"packed")
        raise error


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


def test_durability_is_switched_on_and_checked(path: Path) -> None:
    journal = Journal(path)
    held = {name: journal._db.execute(f"pragma {name}").fetchone()[0] for name in PRAGMAS}
    journal.close()
    assert held == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 5000}


def test_a_journal_that_cannot_be_made_durable_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Environment) as caught:
        Journal(Path(":memory:"))  # SQLite keeps no write-ahead log in memory
    assert caught.value.code is Code.JOURNAL
    assert "journal_mode" in caught.value.detail


def test_cases_come_back_as_they_were(path: Path) -> None:
    journal = Journal(path)
    settled = replace(case(2), phase=CasePhase.SETTLED)
    with journal.transaction() as tx:
        tx.put_case(case(1), b"packed")
        tx.put_case(case(2), b"packed")
        tx.put_case(settled)
    journal.close()
    journal = Journal(path)
    assert journal.open_cases() == [case(1)]
    assert journal.case(LOT, 2) == settled
    assert journal.recent_cases(10) == [settled, case(1)]
    journal.close()


def test_a_failed_transaction_leaves_nothing(path: Path) -> None:
    journal = Journal(path)
    with pytest.raises(RuntimeError):
        put_and_fail(journal, RuntimeError("power"))
    assert journal.open_cases() == []
    journal.close()


def test_the_cursor_stops_at_a_gap(path: Path) -> None:
    journal = Journal(path)
    for number, expected in ((1, 1), (3, 1), (2, 3)):
        with journal.transaction() as tx:
            tx.put_case(case(number), b"packed")
            tx.advance_cursor(LOT)
        assert journal.cursor(LOT) == expected
    journal.close()


def test_the_cursor_passes_over_rejects(path: Path) -> None:
    journal = Journal(path)
    with journal.transaction() as tx:
        tx.put_reject(LOT, 1, "garbage", Code.BAD_SIGNATURE, "forged", NOW)
        tx.put_case(case(2), b"packed")
        tx.advance_cursor(LOT)
    assert journal.cursor(LOT) == 2
    assert journal.known(LOT, 1)
    assert not journal.known(LOT, 3)
    journal.close()


def test_the_feed_of_a_replaced_bridge_begins_where_the_former_one_may_have_acted(path: Path) -> None:
    journal = Journal(path)
    with journal.transaction() as tx:
        tx.begin_feed(LOT, 7)
    assert journal.cursor(LOT) == 7
    with journal.transaction() as tx:
        tx.put_case(case(8), b"packed")
        tx.advance_cursor(LOT)
        tx.begin_feed(LOT, 7)
    assert journal.cursor(LOT) == 8
    journal.close()


def report(device: str) -> DeviceHealth:
    return DeviceHealth(device=device, up=True, detail="", at=NOW)


def test_reports_are_numbered_without_gaps_and_kept_until_accepted(path: Path) -> None:
    journal = Journal(path)
    with journal.transaction() as tx:
        for name in "abc":
            tx.report(LOT, 1, report(name))
    assert journal.reports(LOT, 1, 2) == (1, (report("a"), report("b")))
    with journal.transaction() as tx:
        tx.accepted(LOT, 1, 2)
        tx.report(LOT, 1, report("d"))
    assert journal.reports(LOT, 1, 9) == (3, (report("c"), report("d")))
    journal.close()


def test_a_new_enrolment_carries_over_what_was_never_reported(path: Path) -> None:
    journal = Journal(path)
    with journal.transaction() as tx:
        for name in "abc":
            tx.report(LOT, 1, report(name))
        tx.accepted(LOT, 1, 1)
        tx.carry_over(LOT, 2)
        tx.carry_over(LOT, 2)
    assert journal.reports(LOT, 1, 9) == (0, ())
    assert journal.reports(LOT, 2, 9) == (1, (report("b"), report("c")))
    journal.close()


def test_stays_open_and_close(path: Path) -> None:
    journal = Journal(path)
    stay = KnownStay(ref=StayRef(NameKind.BAY, "7", NOW), seen_at=NOW)
    with journal.transaction() as tx:
        tx.put_stay(LOT, stay, still_open=True)
    assert journal.open_stays(LOT) == [stay]
    with journal.transaction() as tx:
        tx.put_stay(LOT, stay, still_open=False)
    assert journal.open_stays(LOT) == []
    journal.close()


def test_the_timeline_keeps_its_order(path: Path) -> None:
    journal = Journal(path)
    with journal.transaction() as tx:
        tx.note(LOT, "bay:7@1", NOW, "relay", "received", "DK-1001-1")
        tx.note(LOT, "bay:7@1", NOW, "Tanaka", "release_confirmed")
    assert [(entry.source, entry.what) for entry in journal.timeline(LOT, "bay:7@1")] == [
        ("relay", "received"),
        ("Tanaka", "release_confirmed"),
    ]
    journal.close()


def test_an_order_keeps_the_bytes_of_its_intent(path: Path) -> None:
    journal = Journal(path)
    view = CommandView(command_id="c1", verb="release", state=CommandState.COMMANDED, at=NOW, actor="Tanaka")
    done = replace(view, state=CommandState.CONFIRMED)
    with journal.transaction() as tx:
        tx.put_command(LOT, "7", view, b"\x01\x05")
        tx.put_command(LOT, "7", done)
    assert journal.last_commands(LOT) == {"7": done}
    assert journal.command_ids() == ["c1"]
    kept = journal._db.execute("select intent from commands").fetchone()[0]
    journal.close()
    assert kept == b"\x01\x05"


def test_a_corrupt_journal_is_named_and_left_alone(path: Path) -> None:
    path.write_bytes(b"this is no database, and the only copy of something" * 100)
    before = path.read_bytes()
    with pytest.raises(Environment) as caught:
        Journal(path)
    assert caught.value.code is Code.JOURNAL
    assert path.read_bytes() == before


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(Environment) as caught:
        Journal(tmp_path / "missing" / "journal.db")
    assert caught.value.code is Code.DISK
    assert caught.value.remedy


def test_sqlite_errors_inside_a_transaction_tell_blame(path: Path) -> None:
    journal = Journal(path)
    with pytest.raises(Environment) as caught:
        put_and_fail(journal, sqlite3.OperationalError("database or disk is full"))
    assert caught.value.code is Code.DISK
    assert journal.open_cases() == []
    journal.close()
