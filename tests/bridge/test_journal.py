"""The journal keeps what it has acknowledged (P3) and says so when it cannot (P9)."""

import sqlite3
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace
from sqlite_utils import Database

from bridge.case import Case
from bridge.journal import PRAGMAS, Journal
from bridge.schema import migrations
from bridge.stays import KnownStay
from parking.desk import CasePhase, CommandState, CommandView
from parking.errors import Code, Environment
from parking.reports import DeviceHealth
from parking.stay import LotId, NameKind, StayRef

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


def aside(path: Path) -> list[Path]:
    return sorted(path.parent.glob("journal.corrupt-*Z.db"))


def test_a_patient_journal_keeps_a_damaged_file_aside_and_begins_afresh(path: Path) -> None:
    path.write_bytes(b"this is no database, and the only copy of something" * 100)
    before = path.read_bytes()
    journal = Journal(path, patient=True)
    assert journal.trouble is not None
    assert not journal.readable
    assert journal.mend(NOW)
    assert [file.read_bytes() for file in aside(path)] == [before]
    assert journal.aside == aside(path)[0]
    assert (journal.trouble, journal.generation(LOT), journal.open_cases()) == (None, 0, [])
    journal.close()


def test_a_file_that_turns_out_damaged_while_in_use_takes_nothing_more_and_is_kept(path: Path) -> None:
    journal = Journal(path)
    with journal.transaction() as tx:
        for number in range(1, 400):
            tx.put_case(case(number), b"packed")
    journal._db.execute("pragma wal_checkpoint(truncate)").fetchall()
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xa5" * (size - 4096))
    spoiled = path.read_bytes()
    journal._db.execute("pragma shrink_memory").fetchall()
    with pytest.raises(Environment) as caught:
        journal.case(LOT, 200)
    assert caught.value.code is Code.JOURNAL
    with pytest.raises(Environment), journal.transaction() as tx:
        tx.put_counter("x", 1)
    assert journal.mend(NOW)
    assert [file.read_bytes() for file in aside(path)] == [spoiled]
    assert journal.case(LOT, 200) is None
    journal.close()


def test_a_log_without_its_file_is_kept_aside_too(path: Path) -> None:
    wal = path.with_name("journal.db-wal")
    wal.write_bytes(b"committed, and not yet in the file")
    with pytest.raises(Environment):
        Journal(path)
    journal = Journal(path, patient=True)
    assert journal.mend(NOW)
    assert [file.name for file in path.parent.glob("*corrupt*-wal")] != []
    journal.close()


def test_a_removed_file_is_noticed(path: Path) -> None:
    journal = Journal(path)
    journal.look()
    assert journal.trouble is None
    path.unlink()
    journal.look()
    assert journal.trouble is not None
    assert journal.mend(NOW)
    assert path.exists()
    journal.close()


def test_a_journal_in_trouble_takes_nothing_until_it_is_mended(path: Path) -> None:
    journal = Journal(path)
    with pytest.raises(Environment):
        put_and_fail(journal, sqlite3.OperationalError("database or disk is full"))
    with pytest.raises(Environment) as caught, journal.transaction() as tx:
        tx.put_counter("x", 1)
    assert caught.value.code is Code.DISK
    assert journal.counters("x") == {}
    assert journal.mend(NOW)
    with journal.transaction() as tx:
        tx.put_counter("x", 1)
    assert journal.counters("x") == {"": 1}
    journal.close()


def test_a_journal_of_a_newer_version_is_refused_and_left_as_it_is(path: Path) -> None:
    Journal(path).close()
    with sqlite3.connect(path) as db:
        db.execute("insert into _sqlite_migrations (migration_set, name, applied_at) values (?,?,?)", NEWER)
    db.close()
    before = path.read_bytes()
    patient = Journal(path, patient=True)
    assert not patient.mend(NOW)
    assert patient.trouble is not None
    assert "newer version" in patient.trouble.detail
    assert patient.trouble.code is Code.JOURNAL
    assert (path.read_bytes(), aside(path)) == (before, [])


NEWER = ("bridge-journal", "from_next_year", "2027-01-01")


def test_an_older_journal_is_copied_then_brought_up_to_date_with_its_birth_mark(path: Path) -> None:
    db = Database(str(path))
    migrations.apply(db, stop_before="birth_marks")
    for name in ("report:1001:2", "report:1001:11", "report:1002:3", "cursor:1001"):
        db.execute("insert into counters (name, value) values (?, 5)", (name,))
    db.conn.commit()
    db.close()
    journal = Journal(path)
    assert (journal.generation(LOT), journal.generation(LotId(1002))) == (11, 3)
    journal.close()
    with sqlite3.connect(path.with_name("journal.before-birth_marks.db")) as copy:
        names = {name for (name,) in copy.execute("select name from counters")}
    copy.close()
    assert names == {"report:1001:2", "report:1001:11", "report:1002:3", "cursor:1001"}


def test_a_migration_that_fails_leaves_the_journal_as_it_was(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    db = Database(str(path))
    migrations.apply(db, stop_before="birth_marks")
    db.close()

    def bad(db: Database) -> None:
        db.execute("insert into counters (name, value) values ('half', 1)")
        raise sqlite3.OperationalError("database or disk is full")

    (step,) = (one for one in migrations._migrations if one.name == "birth_marks")
    monkeypatch.setattr(step, "fn", bad)
    with pytest.raises(Environment):
        Journal(path)
    monkeypatch.undo()
    journal = Journal(path)
    assert journal.counters("half") == {}
    journal.close()


def test_a_journal_that_is_older_than_its_reports_loses_its_birth_mark(path: Path) -> None:
    journal = Journal(path)
    with journal.transaction() as tx:
        tx.mark(LOT, 1)
        tx.report(LOT, 1, report("a"))
        tx.accepted(LOT, 1, 1)
    assert journal.generation(LOT) == 1
    with journal.transaction() as tx:
        tx.report(LOT, 1, report("b"))
        tx.accepted(LOT, 1, 3)
    assert (journal.generation(LOT), journal.reports(LOT, 1, 9)) == (0, (2, (report("b"),)))
    journal.close()
