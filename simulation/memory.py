"""A journal in memory with the semantics of the real one: what is committed survives a crash, the rest never was.

Or the real one itself: what the simulation needs of either is `Kept`.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Protocol

from bridge.case import Case, Opening
from bridge.casebook import Journaled, Rows
from bridge.exit_log import LINGER, Exit, Turn
from bridge.journal import Journal
from parking.desk import CommandState, CommandView
from parking.reports import Report
from parking.stay import LotId, StayRef

Key = tuple[int, int]


class KeptRows(Rows, Protocol):
    """What the simulation writes besides what the casebook does."""

    def begin_feed(self, lot: LotId, after: int) -> None:
        """What a former bridge may have acted upon ends here."""
        ...

    def accepted(self, lot: LotId, generation: int, through: int) -> None:
        """Forget reports that the cloud has committed."""
        ...

    def put_command(self, lot: LotId, exit_: str, view: CommandView, intent: bytes = b"") -> None:
        """Store an order by hand as it stands."""
        ...


class Kept(Journaled, Protocol):
    """What the simulation reads besides what the casebook does."""

    def cursor(self, lot: LotId) -> int:
        """The highest number below which none is missing."""
        ...

    def reports(self, lot: LotId, generation: int, limit: int) -> tuple[int, Sequence[Report]]:
        """The oldest unaccepted reports and the sequence number of the first."""
        ...

    def transaction(self) -> AbstractContextManager[KeptRows]:
        """All or nothing."""
        ...


class Storage(Protocol):
    """Where a bridge keeps its journal: survives its crashes, but not the loss of the PC."""

    def open(self) -> Kept:
        """The journal, as a new process finds it."""
        ...

    def lose(self) -> None:
        """The PC is gone."""
        ...


class InMemory:
    """The fast one."""

    def __init__(self) -> None:
        self._journal = MemoryJournal()

    def open(self) -> Kept:
        """See Storage."""
        return self._journal

    def lose(self) -> None:
        """See Storage."""
        self._journal = MemoryJournal()


class OnDisk:
    """The bridge's own, on SQLite."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._lost = folder, 0
        self._journal: Journal | None = None

    def open(self) -> Kept:
        """See Storage."""
        self.close()
        self._journal = Journal(self._folder / f"journal-{self._lost}.db")
        return self._journal

    def lose(self) -> None:
        """See Storage."""
        self._lost += 1

    def close(self) -> None:
        """End the process that has it open."""
        if self._journal is not None:
            self._journal.close()


class MemoryJournal:
    """Implements bridge.casebook's Journaled and Rows. One transaction at a time."""

    def __init__(self) -> None:
        self._cases: dict[Key, Case] = {}
        self._rejects: set[Key] = set()
        self._cursor: dict[int, int] = {}
        self._reports: list[Report] = []
        self._accepted = 0
        self.by_hand: list[tuple[Exit, Turn]] = []
        self._openings: dict[str, Opening] = {}
        self._undo: list[tuple[dict[Key, Case | None], int, dict[int, int], set[Key], dict[str, Opening]]] = []

    # --- Journaled ---------------------------------------------------------------------------------------------------

    def open_cases(self) -> Sequence[Case]:
        """All cases that are not over."""
        return [case for _, case in sorted(self._cases.items()) if not case.over]

    def recent_cases(self, limit: int) -> Sequence[Case]:
        """The latest cases."""
        return list(self._cases.values())[-limit:]

    def recent_by_hand(self, limit: int) -> Sequence[tuple[Exit, Turn]]:
        """Orders by hand of a former run."""
        return self.by_hand[-limit:]

    def case(self, lot: LotId, number: int) -> Case | None:
        """One case."""
        return self._cases.get((lot, number))

    def openings(self, lot: LotId, stay: StayRef, since: datetime) -> Sequence[Opening]:
        """What people have opened for a stay."""
        rows = self._openings.values()
        return [one for one in rows if one.lot == lot and one.stay.same_as(stay) and one.at >= since]

    def known(self, lot: LotId, number: int) -> bool:
        """Whether this number is a case or a reject."""
        return (lot, number) in self._cases or (lot, number) in self._rejects

    def cursor(self, lot: int) -> int:
        """The highest number below which none is missing."""
        return self._cursor.get(lot, 0)

    def reports(self, lot: LotId, generation: int, limit: int) -> tuple[int, Sequence[Report]]:
        """The oldest unaccepted reports and the sequence number of the first."""
        del lot, generation
        return self._accepted + 1, self._reports[self._accepted : self._accepted + limit]

    # --- Rows --------------------------------------------------------------------------------------------------------

    @contextmanager
    def transaction(self) -> Iterator["MemoryJournal"]:
        """All or nothing."""
        self._undo.append(({}, len(self._reports), dict(self._cursor), set(self._rejects), dict(self._openings)))
        try:
            yield self
        except BaseException:
            cases, reports, cursor, rejects, openings = self._undo[-1]
            for key, case in cases.items():
                if case is None:
                    del self._cases[key]
                else:
                    self._cases[key] = case
            del self._reports[reports:]
            self._cursor, self._rejects, self._openings = cursor, rejects, openings
            raise
        finally:
            self._undo.pop()

    def put_case(self, case: Case, packed: bytes | None = None) -> None:
        """Insert or store a case."""
        del packed
        self._undo[-1][0].setdefault(case.key, self._cases.get(case.key))
        self._cases[case.key] = case

    def put_opening(self, opening: Opening) -> None:
        """Keep what a person has opened."""
        self._openings = {**self._openings, opening.command_id: opening}

    def put_reject(self, lot: LotId, number: int, entry: str, code: str, detail: str, at: datetime) -> None:
        """Keep a completion aside."""
        del entry, code, detail, at
        self._rejects.add((lot, number))

    def put_command(self, lot: LotId, exit_: str, view: CommandView, intent: bytes = b"") -> None:
        """Store an order by hand; of a refused one no exit has moved."""
        del intent
        self.by_hand = [one for one in self.by_hand if one[1].who != view.command_id]
        if view.state is not CommandState.REFUSED:
            self.by_hand.append(((lot, exit_), Turn(view.command_id, 0, view.at, view.at + LINGER, None)))

    def begin_feed(self, lot: LotId, after: int) -> None:
        """What a former bridge may have acted upon ends here."""
        self._cursor[lot] = max(after, self.cursor(lot))

    def accepted(self, lot: LotId, generation: int, through: int) -> None:
        """Forget reports that the cloud has committed."""
        del lot, generation
        self._accepted = max(self._accepted, through)

    def advance_cursor(self, lot: LotId) -> None:
        """Move over all numbers that are there."""
        at = self.cursor(lot)
        while self.known(lot, at + 1):
            at += 1
        self._cursor[lot] = at

    def report(self, lot: LotId, generation: int, report: Report) -> None:
        """Queue a report."""
        del lot, generation
        self._reports.append(report)

    def note(self, lot: LotId, stay: str, at: datetime, source: str, what: str, detail: str = "") -> None:
        """The timeline plays no part in decisions."""
        del lot, stay, at, source, what, detail
