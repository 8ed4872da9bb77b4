"""The bridge's journal: SQLite with WAL and `synchronous=FULL`, so that what is committed survives a power cut (P3).

One connection, one lock. Writes happen inside `transaction()`; each of its methods is a statement of that transaction.
SQLite's own errors come out as Environment(DISK | JOURNAL).
"""

import logging
import os
import shutil
import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import msgspec
from sqlite_utils import Database

from bridge import audit as chain
from bridge.case import Case, Opening
from bridge.days import Mark, TellRecord
from bridge.exit_log import LINGER, Exit, Turn
from bridge.fallback import Line
from bridge.journal_file import PRAGMAS, Damaged, blame, identity_of, keep_aside, open_journal, same_file
from bridge.stays import KnownStay
from bridge.transaction import Transaction
from parking.desk import CasePhase, CommandState, CommandView, OverrideView, TimelineEntry
from parking.errors import Code, Environment
from parking.reports import Report
from parking.stay import LotId, StayRef

__all__ = ("PRAGMAS", "Journal", "Transaction")

LEAST_FREE: Final = 512 * 1024
"""Bytes; a journal in trouble is not tried again with less: the little that is left is for the fallback log."""

_OPEN_PHASES = tuple(phase.value for phase in CasePhase if phase not in (CasePhase.SETTLED, CasePhase.REFUSED))

log = logging.getLogger(__name__)


class Journal:
    """The journal in one file. Thread-safe.

    In `trouble` nothing is written until `mend` has seen that it works again; reads go on where the file still opens.
    """

    def __init__(self, path: Path, *, patient: bool = False) -> None:
        """Open or create; raises Environment(JOURNAL | DISK): damaged, unwritable, or a pragma does not hold.

        A `patient` journal raises nothing and touches no file: it stands closed, in trouble, until `mend` opens it.
        """
        self._lock = threading.RLock()
        self._path = path
        self._db: Database | None = None
        self._file = (0, 0)
        self._trouble: Environment | None = None
        self.opened = 0
        """How often a file has been opened: after another one has been, what is remembered of the first is void."""
        self.aside: Path | None = None
        """Where the last damaged file was put."""
        if patient:
            self._trouble = Environment(Code.JOURNAL, f"{path}: not opened yet")
        else:
            self._open()

    @property
    def trouble(self) -> Environment | None:
        """Why nothing can be journaled, if so."""
        return self._trouble

    @property
    def readable(self) -> bool:
        """Whether what was journaled can be read; on a full disk it can."""
        return self._db is not None and not isinstance(self._trouble, Damaged)

    def mend(self, now: datetime) -> bool:
        """Try a journal in trouble again; whether it works. A damaged file is kept aside and a fresh one made."""
        with self._lock:
            if self._trouble is None:
                return True
            try:
                self._mend(now)
            except Environment as error:
                self._trouble = error
                return False
            self._trouble = None
            return True

    def look(self) -> None:
        """See that the file is still there: rows that go into a removed one would be gone at the next start."""
        with self._lock:
            if self._db is not None and self._trouble is None and not same_file(self._path, self._file):
                self._trouble = Damaged(f"{self._path}: somebody has removed or replaced the file while it was in use")

    def close(self) -> None:
        """Checkpoint and close."""
        with self._lock:
            if self._db is not None:
                self._db.close()

    @contextmanager
    def transaction(self) -> Iterator["Transaction"]:
        """One atomic, durable change: synced to disk when the block ends, undone if it raises."""
        with self._lock:
            if self._trouble is not None:
                raise self._trouble
            with self._watched() as db, _immediate(db):
                yield Transaction(db)

    def erase_plates(self, served: Collection[int], now: datetime, before: datetime) -> int:
        """Erase the plates of stays that ended before then, so that nothing of them is left in the file; how many.

        Those of lots that are not `served` here any more count as ended now: nobody will see their cars leave. Raises
        Environment.
        """
        with self._lock:
            with self.transaction() as tx:
                tx.end_plates_but(served, now)
                erased = tx.erase_plates(before)
            if erased:
                with self._watched() as db:  # older pages of the log beside the file hold them, too
                    db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return erased

    def _open(self) -> None:
        db = open_journal(self._path)
        former, self._db = self._db, db
        self._file = identity_of(self._path)
        self.opened += 1
        if former is not None:
            former.close()

    def _mend(self, now: datetime) -> None:
        if isinstance(self._trouble, Damaged):
            self._begin_afresh(now)
        if self._db is None:
            self._open_or_begin_afresh(now)
        if shutil.disk_usage(self._path.parent).free < LEAST_FREE:
            raise Environment(Code.DISK, f"{self._path.parent}: the disk is full", "make room on the disk")
        try:
            self._probe()
        except Environment:  # a connection that has seen its disk go may never recover
            self._open_or_begin_afresh(now)
            self._probe()

    def _open_or_begin_afresh(self, now: datetime) -> None:
        try:
            self._open()
        except Damaged as error:
            log.error("%s", error)
            self._begin_afresh(now)
            self._open()

    def _begin_afresh(self, now: datetime) -> None:
        if os.name == "nt" and self._db is not None:
            self._db.close()  # what is open cannot be renamed there
        self.aside = keep_aside(self._path, now)
        if self._db is not None:
            self._db.close()
            self._db = None
        log.error("the damaged journal is kept as %s, and a fresh one begins", self.aside)

    def _probe(self) -> None:
        """A write, for nothing else shows that writing works."""
        if self._db is not None:
            with blame(self._path), _immediate(self._db):
                Transaction(self._db).put_counter("probe", self.opened)

    @contextmanager
    def _watched(self) -> Iterator[Database]:
        """The database, if it can be trusted; what goes wrong with disk or file is remembered."""
        with self._lock:
            if self._db is None or isinstance(self._trouble, Damaged):
                raise self._trouble or Environment(Code.JOURNAL, f"{self._path}: closed")
            try:
                with blame(self._path):
                    yield self._db
            except Environment as error:
                if error.code is Code.DISK or isinstance(error, Damaged):
                    self._trouble = error
                raise

    # --- reads -------------------------------------------------------------------------------------------------------

    def open_cases(self) -> list[Case]:
        """All cases that are not over, in the order of their numbers."""
        marks = ",".join("?" * len(_OPEN_PHASES))
        rows = self._rows(f"select body from cases where phase in ({marks}) order by lot, number", _OPEN_PHASES)  # noqa: S608 - only question marks
        return [msgspec.json.decode(body, type=Case) for (body,) in rows]

    def oldest_open_cases(self, limit: int) -> list[Case]:
        """Cases that are not over, those that were journaled first."""
        marks = ",".join("?" * len(_OPEN_PHASES))
        sql = f"select body from cases where phase in ({marks}) order by rowid limit ?"  # noqa: S608 - only question marks
        return [msgspec.json.decode(body, type=Case) for (body,) in self._rows(sql, (*_OPEN_PHASES, limit))]

    def cases(self, lot: LotId, stay: str) -> list[Case]:
        """All cases of a stay, oldest first."""
        rows = self._rows("select body from cases where lot=? and stay=? order by number", (lot, stay))
        return [msgspec.json.decode(body, type=Case) for (body,) in rows]

    def cases_of(self, lot: LotId, stay: StayRef) -> list[Case]:
        """All cases of a stay's name, whenever it began, oldest first; StayRef.same_as tells them apart."""
        name = StayRef(stay.kind, stay.name).key
        rows = self._rows(
            "select body from cases where lot=? and (stay=? or stay like ? escape '!') order by number",
            (lot, name, name.replace("!", "!!").replace("%", "!%").replace("_", "!_") + "@%"),
        )
        return [msgspec.json.decode(body, type=Case) for (body,) in rows]

    def recent_cases(self, limit: int) -> list[Case]:
        """The latest cases, newest first."""
        rows = self._rows("select body from cases order by rowid desc limit ?", (limit,))
        return [msgspec.json.decode(body, type=Case) for (body,) in rows]

    def recent_by_hand(self, limit: int) -> list[tuple[Exit, Turn]]:
        """The latest orders by hand that may have moved an exit, as turns of a former run."""
        rows = self._rows("select lot, exit, body from commands order by rowid desc limit ?", (limit,))
        views = [(lot, exit_, msgspec.json.decode(body, type=CommandView)) for lot, exit_, body in rows]
        return [
            ((lot, exit_), Turn(view.command_id, 0, view.at, view.at + LINGER, None))
            for lot, exit_, view in views
            if view.state is not CommandState.REFUSED
        ]

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

    def sealed_plate(self, lot: LotId, token: str) -> bytes | None:
        """A plate as it was sealed; None if it is not known or erased."""
        rows = self._rows("select sealed from plates where lot=? and token=?", (lot, token))
        return bytes(rows[0][0]) if rows else None

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

    def generation(self, lot: LotId) -> int:
        """The enrolment that this journal was begun with, by its birth mark; 0 if it has none."""
        return self._counter(f"generation:{lot}")

    def rejects(self, since: datetime) -> list[tuple[int, int, str, str, datetime]]:
        """Completions kept aside since then: lot, number, code, detail and time."""
        rows = self._rows("select lot, number, code, detail, at from rejects where at >= ?", (since.isoformat(),))
        return [(lot, number, code, detail, datetime.fromisoformat(at)) for lot, number, code, detail, at in rows]

    def counters(self, prefix: str) -> dict[str, int]:
        """All counters whose names begin so, without the prefix."""
        rows = self._rows("select name, value from counters where substr(name, 1, ?) = ?", (len(prefix), prefix))
        return {name[len(prefix) :]: int(value) for name, value in rows}

    def audit_head(self) -> chain.Head:
        """Where the audit chain ends."""
        with self._watched() as db:
            return chain.head_of(db)

    def unmatched(self) -> list[OverrideView]:
        """Openings by hand of which nobody has said yet for whom they were, oldest first."""
        rows = self._rows("select body from overrides where open=1 order by rowid", ())
        return [msgspec.json.decode(body, type=OverrideView) for (body,) in rows]

    def openings(self, lot: LotId, stay: StayRef, since: datetime) -> list[Opening]:
        """What people have opened for this stay since then, oldest first."""
        name = StayRef(stay.kind, stay.name).key
        rows = self._rows(
            "select body from openings where lot=? and name=? and at>=? order by at", (lot, name, since.timestamp())
        )
        found = [msgspec.json.decode(body, type=Opening) for (body,) in rows]
        return [one for one in found if one.stay.same_as(stay)]

    def claimed(self, lot: LotId, day: str) -> int:
        """Yen that left against claims on a business day."""
        return int(self._rows("select coalesce(sum(amount), 0) from claims where lot=? and day=?", (lot, day))[0][0])

    def command(self, command_id: str) -> CommandView | None:
        """An order by hand as it was last stored."""
        rows = self._rows("select body from commands where command_id=?", (command_id,))
        return msgspec.json.decode(rows[0][0], type=CommandView) if rows else None

    def cases_paid(self, lot: LotId, since: datetime, until: datetime) -> list[Case]:
        """The cases that were paid in a span of time; whole seconds, as completions state them."""
        sql = "select body from cases where lot=? and json_extract(body, '$.paid_at') >= ?"
        rows = self._rows(sql + " and json_extract(body, '$.paid_at') < ?", (lot, _utc(since), _utc(until)))
        return [msgspec.json.decode(body, type=Case) for (body,) in rows]

    def cases_turned(self, lot: LotId, after: int, through: int) -> list[Case]:
        """The cases whose latest turn at an exit is among these."""
        sql = "select body from cases where lot=? and json_extract(body, '$.turn') > ?"
        rows = self._rows(sql + " and json_extract(body, '$.turn') <= ?", (lot, after, through))
        return [msgspec.json.decode(body, type=Case) for (body,) in rows]

    def commands_between(self, lot: LotId, after: int, through: int) -> list[tuple[str, int, CommandView]]:
        """The orders by hand in these rows: exit, row, and how it ended."""
        sql = "select exit, rowid, body from commands where lot=? and rowid > ? and rowid <= ?"
        rows = self._rows(sql, (lot, after, through))
        return [(exit_, row, msgspec.json.decode(body, type=CommandView)) for exit_, row, body in rows]

    def marks(self, lot: LotId) -> dict[str, list[Mark]]:
        """Where the exits' counters stood at the ends of days: by exit, oldest first."""
        sql = "select exit, day, count, turn, command, at from day_marks where lot=? order by day"
        found: dict[str, list[Mark]] = {}
        for exit_, day, count, turn, command, at in self._rows(sql, (lot,)):
            mark = Mark(exit_, day, count, turn, command, datetime.fromisoformat(at))
            found.setdefault(exit_, []).append(mark)
        return found

    def told_days(self, lot: LotId) -> dict[str, TellRecord]:
        """What is kept of the days of a lot."""
        rows = self._rows("select day, body from told_days where lot=?", (lot,))
        return {day: msgspec.json.decode(body, type=TellRecord) for day, body in rows}

    def under_way(self) -> list[Line]:
        """Orders by hand that were begun and have no outcome, oldest first."""
        rows = self._rows("select ordered from commands where ordered<>'' order by rowid", ())
        return [msgspec.json.decode(body, type=Line) for (body,) in rows]

    def _counter(self, name: str) -> int:
        rows = self._rows("select value from counters where name=?", (name,))
        return int(rows[0][0]) if rows else 0

    def _rows(self, sql: str, parameters: Sequence[Any]) -> list[Any]:
        with self._watched() as db:
            return db.execute(sql, parameters).fetchall()


def _utc(at: datetime) -> str:
    """As msgspec writes whole seconds into a body."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@contextmanager
def _immediate(db: Database) -> Iterator[None]:
    """A transaction that holds the write lock from its beginning.

    A command line may write into the same journal (`bridge operator`): one that begins by reading would fail at its
    first write then, instead of waiting.
    """
    db.conn.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.conn.execute("COMMIT")
    except BaseException:
        db.conn.rollback()  # does nothing if SQLite has undone it already
        raise
