"""The bridge's journal: SQLite with WAL and `synchronous=FULL`, so that what is committed survives a power cut (P3).

One connection, one lock. Writes happen inside `transaction()`; each of its methods is a statement of that transaction.
SQLite's own errors come out as Environment(DISK | JOURNAL).
"""

import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec
from sqlite_utils import Database
from sqlite_utils.migrations import Migrations

from bridge.case import Case
from bridge.stays import KnownStay
from parking.desk import CasePhase, CommandView, TimelineEntry
from parking.errors import Code, Environment
from parking.stay import LotId
from parking.wire import Report

PRAGMAS: Final = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 5000}
"""Set and read back on the connection: the default journal mode loses acknowledged rows in a power cut."""

_OPEN_PHASES = tuple(phase.value for phase in CasePhase if phase not in (CasePhase.SETTLED, CasePhase.REFUSED))
_DISK_FULL = ("disk is full", "disk I/O error", "readonly database", "unable to open")

migrations = Migrations("bridge-journal")


@migrations()
def first(db: Database) -> None:
    """The first schema."""
    db.table("cases").create(
        {"lot": int, "number": int, "phase": str, "stay": str, "packed": bytes, "body": str}, pk=("lot", "number")
    )
    db.table("cases").create_index(["lot", "stay"])
    db.table("cases").create_index(["phase"])
    db.table("rejects").create(
        {"lot": int, "number": int, "entry": str, "code": str, "detail": str, "at": str}, pk=("lot", "number")
    )
    db.table("timeline").create(
        {"id": int, "lot": int, "stay": str, "at": str, "source": str, "what": str, "detail": str}, pk="id"
    )
    db.table("timeline").create_index(["lot", "stay"])
    db.table("reports").create(
        {"lot": int, "generation": int, "seq": int, "body": str}, pk=("lot", "generation", "seq")
    )
    db.table("counters").create({"name": str, "value": int}, pk="name")
    db.table("stays").create({"lot": int, "key": str, "open": int, "body": str}, pk=("lot", "key"))
    db.table("stays").create_index(["lot", "open"])
    db.table("commands").create(
        {"command_id": str, "lot": int, "exit": str, "body": str, "intent": bytes}, pk="command_id"
    )


class Journal:
    """The journal in one file. Thread-safe."""

    def __init__(self, path: Path) -> None:
        """Open or create; raises Environment(JOURNAL | DISK): corrupt, unwritable, or a pragma does not hold."""
        self._lock = threading.RLock()
        with _blame(path):
            connection = sqlite3.connect(str(path), check_same_thread=False, timeout=5.0)
            self._db = Database(connection)
            for name, value in PRAGMAS.items():
                self._db.execute(f"PRAGMA {name}={value}")
                held = self._db.execute(f"PRAGMA {name}").fetchone()[0]
                if held != value:
                    raise Environment(Code.JOURNAL, f"{path}: {name} is {held!r}, not {value!r}", "use a local disk")
            migrations.apply(self._db)
        self._path = path

    def close(self) -> None:
        """Checkpoint and close."""
        with self._lock:
            self._db.close()

    @contextmanager
    def transaction(self) -> Iterator["Transaction"]:
        """One atomic, durable change: synced to disk when the block ends, undone if it raises."""
        with self._lock, _blame(self._path), self._db.atomic():
            yield Transaction(self._db)

    # --- reads -------------------------------------------------------------------------------------------------------

    def open_cases(self) -> list[Case]:
        """All cases that are not over, in the order of their numbers."""
        marks = ",".join("?" * len(_OPEN_PHASES))
        rows = self._rows(f"select body from cases where phase in ({marks}) order by lot, number", _OPEN_PHASES)  # noqa: S608 - only question marks
        return [msgspec.json.decode(body, type=Case) for (body,) in rows]

    def cases(self, lot: LotId, stay: str) -> list[Case]:
        """All cases of a stay, oldest first."""
        rows = self._rows("select body from cases where lot=? and stay=? order by number", (lot, stay))
        return [msgspec.json.decode(body, type=Case) for (body,) in rows]

    def recent_cases(self, limit: int) -> list[Case]:
        """The latest cases, newest first."""
        rows = self._rows("select body from cases order by rowid desc limit ?", (limit,))
        return [msgspec.json.decode(body, type=Case) for (body,) in rows]

    def case(self, lot: LotId, number: int) -> Case | None:
        """One case."""
        rows = self._rows("select body from cases where lot=? and number=?", (lot, number))
        return msgspec.json.decode(rows[0][0], type=Case) if rows else None

    def known(self, lot: LotId, number: int) -> bool:
        """Whether this number has been journaled before, as a case or as a reject."""
        return bool(
            self._rows(
                "select 1 from cases where lot=? and number=? union select 1 from rejects where lot=? and number=?",
                (lot, number, lot, number),
            )
        )

    def cursor(self, lot: LotId) -> int:
        """The highest number below which none is missing."""
        return self._counter(f"cursor:{lot}")

    def open_stays(self, lot: LotId) -> list[KnownStay]:
        """Stays that have not ended, as far as the journal knows."""
        rows = self._rows("select body from stays where lot=? and open=1 order by key", (lot,))
        return [msgspec.json.decode(body, type=KnownStay) for (body,) in rows]

    def timeline(self, lot: LotId, stay: str) -> tuple[TimelineEntry, ...]:
        """What happened to a stay, oldest first."""
        rows = self._rows(
            "select at, source, what, detail from timeline where lot=? and stay=? order by id", (lot, stay)
        )
        return tuple(
            TimelineEntry(at=datetime.fromisoformat(at), source=source, what=what, detail=detail)
            for at, source, what, detail in rows
        )

    def reports(self, lot: LotId, generation: int, limit: int) -> tuple[int, tuple[Report, ...]]:
        """The oldest unaccepted reports and the sequence number of the first; (0, ()) if there are none."""
        rows = self._rows(
            "select seq, body from reports where lot=? and generation=? order by seq limit ?", (lot, generation, limit)
        )
        if not rows:
            return 0, ()
        return rows[0][0], tuple(msgspec.json.decode(body, type=Report) for _, body in rows)

    def command_ids(self) -> list[str]:
        """The ids of the latest orders by hand."""
        return [name for (name,) in self._rows("select command_id from commands order by rowid desc limit 1000", ())]

    def last_commands(self, lot: LotId) -> dict[str, CommandView]:
        """The last order by hand of each exit of a lot."""
        rows = self._rows("select exit, body from commands where lot=? order by rowid", (lot,))
        return {exit_: msgspec.json.decode(body, type=CommandView) for exit_, body in rows}

    def _counter(self, name: str) -> int:
        rows = self._rows("select value from counters where name=?", (name,))
        return int(rows[0][0]) if rows else 0

    def _rows(self, sql: str, parameters: Sequence[Any]) -> list[Any]:
        with self._lock, _blame(self._path):
            return self._db.execute(sql, parameters).fetchall()


class Transaction:
    """The statements of one transaction."""

    def __init__(self, db: Database) -> None:
        """Made by `Journal.transaction` only."""
        self._db = db

    def put_case(self, case: Case, packed: bytes | None = None) -> None:
        """Insert a case with its packed completion, or store its new state."""
        body = msgspec.json.encode(case).decode()
        if packed is None:
            self._db.execute(
                "update cases set phase=?, body=? where lot=? and number=?",
                (case.phase.value, body, case.lot, case.number),
            )
        else:
            self._db.execute(
                "insert into cases (lot, number, phase, stay, packed, body) values (?,?,?,?,?,?)",
                (case.lot, case.number, case.phase.value, case.stay.key, packed, body),
            )

    def put_reject(self, lot: LotId, number: int, entry: str, code: str, detail: str, at: datetime) -> None:
        """Keep a completion aside that does not verify."""
        self._db.execute(
            "insert into rejects (lot, number, entry, code, detail, at) values (?,?,?,?,?,?)",
            (lot, number, entry, code, detail, at.isoformat()),
        )

    def advance_cursor(self, lot: LotId) -> None:
        """Move the cursor over all numbers that are there."""
        (start,) = self._db.execute(
            "select coalesce((select value from counters where name=?), 0)", (f"cursor:{lot}",)
        ).fetchone()
        while self._db.execute(
            "select 1 from cases where lot=? and number=? union select 1 from rejects where lot=? and number=?",
            (lot, start + 1, lot, start + 1),
        ).fetchone():
            start += 1
        self._set_counter(f"cursor:{lot}", start)

    def begin_feed(self, lot: LotId, after: int) -> None:
        """What a former bridge may have acted upon ends at `after`; it never comes again, so it is not missing."""
        name = f"cursor:{lot}"
        (held,) = self._db.execute("select coalesce((select value from counters where name=?), 0)", (name,)).fetchone()
        if held < after:
            self._set_counter(name, after)
            self.advance_cursor(lot)

    def report(self, lot: LotId, generation: int, report: Report) -> None:
        """Queue a report under the lot's next sequence number."""
        name = f"report:{lot}:{generation}"
        (last,) = self._db.execute("select coalesce((select value from counters where name=?), 0)", (name,)).fetchone()
        self._db.execute(
            "insert into reports (lot, generation, seq, body) values (?,?,?,?)",
            (lot, generation, last + 1, msgspec.json.encode(report).decode()),
        )
        self._set_counter(name, last + 1)

    def accepted(self, lot: LotId, generation: int, through: int) -> None:
        """Forget reports that the cloud has committed."""
        self._db.execute("delete from reports where lot=? and generation=? and seq<=?", (lot, generation, through))

    def carry_over(self, lot: LotId, generation: int) -> None:
        """After a new enrolment: queue what the former generation never reported, in order, under the new one."""
        rows = self._db.execute(
            "select generation, seq, body from reports where lot=? and generation<>? order by generation, seq",
            (lot, generation),
        ).fetchall()
        for former, seq, body in rows:
            self._db.execute("delete from reports where lot=? and generation=? and seq=?", (lot, former, seq))
            self.report(lot, generation, msgspec.json.decode(body, type=Report))

    def put_stay(self, lot: LotId, stay: KnownStay, still_open: bool) -> None:
        """Store a stay as it stands."""
        self._db.execute(
            "insert into stays (lot, key, open, body) values (?,?,?,?)"
            " on conflict (lot, key) do update set open=excluded.open, body=excluded.body",
            (lot, stay.ref.key, int(still_open), msgspec.json.encode(stay).decode()),
        )

    def note(self, lot: LotId, stay: str, at: datetime, source: str, what: str, detail: str = "") -> None:
        """Add a line to a stay's timeline (an empty `stay` means the lot itself)."""
        self._db.execute(
            "insert into timeline (lot, stay, at, source, what, detail) values (?,?,?,?,?,?)",
            (lot, stay, at.isoformat(), source, what, detail),
        )

    def put_command(self, lot: LotId, exit_: str, view: CommandView, intent: bytes = b"") -> None:
        """Store an order by hand as it stands."""
        self._db.execute(
            "insert into commands (command_id, lot, exit, body, intent) values (?,?,?,?,?)"
            " on conflict (command_id) do update set body=excluded.body,"
            " intent=case when length(excluded.intent) > 0 then excluded.intent else intent end",
            (view.command_id, lot, exit_, msgspec.json.encode(view).decode(), intent),
        )

    def _set_counter(self, name: str, value: int) -> None:
        self._db.execute(
            "insert into counters (name, value) values (?,?) on conflict (name) do update set value=excluded.value",
            (name, value),
        )


@contextmanager
def _blame(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.Error as error:
        text = str(error)
        if any(sign in text for sign in _DISK_FULL):
            raise Environment(Code.DISK, f"{path}: {text}", "free disk space, or make the folder writable") from error
        raise Environment(
            Code.JOURNAL, f"{path}: {text}", "stop the bridge and keep this file for the maker"
        ) from error
