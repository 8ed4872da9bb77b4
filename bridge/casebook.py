"""The decisions of all cases, without threads and clock: messages in, rows of a transaction and effects out.

`bridge.core` runs it on a thread over the real journal; the simulation runs the same code over faults. Nothing here is
carried out: the caller commits first, then `merge`s, and only then lets the effects happen.
"""

import heapq
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from dataclasses import replace as with_turn
from datetime import datetime, timedelta
from typing import Protocol

from msgspec.structs import replace

from bridge import events, relay
from bridge.case import Case, Opening, Step, open_case
from bridge.evidence import among_others
from bridge.exit_log import KEPT, Exit, ExitLog, Turn, turn_of
from bridge.messages import ByCode, ForCase, HandActed, Incoming, Key, Message, Reply, Write
from bridge.views import case_report, given_back, timeline_word
from parking import completion as completions
from parking.completion import Completion
from parking.desk import CasePhase
from parking.errors import BadMessage, Code
from parking.reports import Refused, Report, Way
from parking.signing import KeyRing, from_text
from parking.stay import LotId, StayRef
from parking.wire import Entry

log = logging.getLogger(__name__)

Place = tuple[int, str, str]
"""Lot, and kind and name of a stay: where cases can be rivals."""


class Journaled(Protocol):
    """What is read of the journal to decide."""

    def open_cases(self) -> Sequence[Case]:
        """All cases that are not over."""
        ...

    def recent_cases(self, limit: int) -> Sequence[Case]:
        """The latest cases, over or not."""
        ...

    def recent_by_hand(self, limit: int) -> Sequence[tuple[Exit, Turn]]:
        """The latest orders by hand that may have moved an exit, as turns of a former run."""
        ...

    def case(self, lot: LotId, number: int) -> Case | None:
        """One case, over or not."""
        ...

    def openings(self, lot: LotId, stay: StayRef, since: datetime) -> Sequence[Opening]:
        """What people have opened for this stay since then, oldest first."""
        ...

    def known(self, lot: LotId, number: int) -> bool:
        """Whether this number has been journaled, as a case or as a reject."""
        ...


class Rows(Protocol):
    """What is written of a decision, inside one transaction."""

    def put_case(self, case: Case, packed: bytes | None = None) -> None:
        """Insert a case with its packed completion, or store its new state."""
        ...

    def put_opening(self, opening: Opening) -> None:
        """Keep what a person has opened for a stay, as it stands."""
        ...

    def put_reject(self, lot: LotId, number: int, entry: str, code: str, detail: str, at: datetime) -> None:
        """Keep a completion aside that does not verify."""
        ...

    def advance_cursor(self, lot: LotId) -> None:
        """Move the cursor over all numbers that are there."""
        ...

    def report(self, lot: LotId, generation: int, report: Report) -> None:
        """Queue a report under the lot's next sequence number."""
        ...

    def note(self, lot: LotId, stay: str, at: datetime, source: str, what: str, detail: str = "") -> None:
        """Add a line to a stay's timeline."""
        ...


@dataclass(slots=True)
class Staged:
    """What one transaction has changed so far; merged only when it is committed."""

    cases: dict[Key, Case] = field(default_factory=dict)
    by_place: dict[Place, set[Key]] = field(default_factory=dict)
    effects: list[tuple[Case, events.Effect, Reply | None]] = field(default_factory=list)
    looked: list[Key] = field(default_factory=list)

    def put(self, case: Case) -> None:
        """A case as it stands within the transaction."""
        self.cases[case.key] = case
        self.by_place.setdefault(_place(case), set()).add(case.key)


class Casebook:
    """All open cases, and what messages make of them. Not thread-safe: one caller."""

    def __init__(
        self,
        journal: Journaled,
        keys: KeyRing,
        generation: int,
        scene: Callable[[Case, bool], events.Scene],
    ) -> None:
        """Take up the open cases of the journal. `scene` says what profile and drivers say about a case."""
        self._journal, self._keys, self._generation, self._scene = journal, keys, generation, scene
        self._cases: dict[Key, Case] = {case.key: case for case in journal.open_cases()}
        self._by_place: dict[Place, set[Key]] = {}
        for case in self._cases.values():
            self._by_place.setdefault(_place(case), set()).add(case.key)
        self._timers: list[tuple[datetime, Key]] = []
        self._exits = ExitLog()
        for case in journal.recent_cases(KEPT):
            self._note_turn(case)
        for exit_, turn in journal.recent_by_hand(KEPT):
            self._exits.note(exit_, turn)
        self._recovering: set[Key] = {key for key, case in self._cases.items() if case.phase in _UNPROVEN}

    def _note_turn(self, case: Case) -> None:
        turn = turn_of(case)
        if turn is not None:
            self._exits.note((case.lot, self._scene(case, False).exit), turn)

    @property
    def recovered(self) -> bool:
        """Whether each doubt of the last run has been looked into once."""
        return not self._recovering

    def beginning(self) -> list[ForCase]:
        """The messages to begin a run with (P4): every open intent becomes in doubt and is looked into."""
        return [ForCase(key, events.Start()) for key in sorted(self._cases)]

    def shift(self, by: timedelta) -> None:
        """The clock was moved: what waits for a time waits as long as before."""
        for key, case in self._cases.items():
            due, tried = case.due and case.due + by, case.tried_since and case.tried_since + by
            sent = case.sent_at and case.sent_at + by
            self._cases[key] = replace(case, since=case.since + by, due=due, tried_since=tried, sent_at=sent)
        self._timers = [(due + by, key) for due, key in self._timers]  # still a heap: the order stays

    def next_due(self) -> datetime | None:
        """When `due` has something next."""
        return self._timers[0][0] if self._timers else None

    def due(self, now: datetime) -> list[ForCase]:
        """Messages for the cases whose time has come, each once."""
        found: list[ForCase] = []
        while self._timers and self._timers[0][0] <= now:
            found.append(ForCase(heapq.heappop(self._timers)[1], events.Due()))
        return found

    def decide(self, tx: Rows, message: Message, now: datetime, staged: Staged) -> None:
        """Decide what a message brings, given what is staged already; `Write` is the caller's business."""
        match message:
            case Incoming():
                self._incoming(tx, message, now, staged)
            case ByCode(stated, actor):
                if not self._journal.known(stated.lot, stated.number):
                    self._open(tx, open_case(stated, now, Way.CODE, actor), b"", now, staged)
                    tx.advance_cursor(stated.lot)
            case HandActed(exit_, turn):
                self._exits.by_hand(exit_, turn)
            case ForCase(key, event, reply):
                self._step(tx, key, event, now, staged, reply)
            case Write():
                pass

    def merge(self, staged: Staged) -> None:
        """The transaction is committed: what was staged is so."""
        for key, case in staged.cases.items():
            self._note_turn(case)
            if case.over:
                self._cases.pop(key, None)
                self._forget_place(case)
            else:
                self._cases[key] = case
                self._by_place.setdefault(_place(case), set()).add(key)
                if case.due is not None:
                    heapq.heappush(self._timers, (case.due, key))
        self._recovering.difference_update(staged.looked)

    def _forget_place(self, case: Case) -> None:
        place = _place(case)
        there = self._by_place.get(place, set())
        there.discard(case.key)
        if not there:
            self._by_place.pop(place, None)

    def _incoming(self, tx: Rows, message: Incoming, now: datetime, staged: Staged) -> None:
        lot = message.lot
        for entry in message.entries:
            if self._journal.known(lot, entry.number):
                self._again(tx, lot, entry, now, staged)
                continue
            try:
                completion, packed = self._read(lot, entry)
            except BadMessage as error:
                if message.way is Way.FEED:
                    self._reject(tx, lot, entry, error, now)
                else:  # anybody can show a forged code: it must not use up the number of a real payment
                    tx.note(lot, "", now, message.actor, "rejected", f"{entry.number}: {error}")
                continue
            self._open(tx, open_case(completion, now, message.way, message.actor), packed, now, staged)
        tx.advance_cursor(lot)

    def _read(self, lot: LotId, entry: Entry) -> tuple[Completion, bytes]:
        packed = from_text(entry.completion)
        completion = completions.verify(packed, self._keys)
        if (completion.lot, completion.number) != (lot, entry.number):
            raise BadMessage(
                Code.WRONG_LOT, f"is number {completion.number} of lot {completion.lot}, not {entry.number} of {lot}"
            )
        return completion, packed

    def _open(self, tx: Rows, case: Case, packed: bytes, now: datetime, staged: Staged) -> None:
        """A new case. A person who opened for its stay after it was paid, but before we heard of it, is heard first."""
        spent = any(one.number for one in self._journal.openings(case.lot, case.stay, case.paid_at))
        scene = self._scene(case, spent or self._has_rival(case, staged))
        told = case if scene.rival else self._told(tx, case, now, scene)
        begun, effects = relay.step(told, events.Start(), now, scene)
        tx.put_case(begun, packed)
        self._record(tx, None, case, now)
        self._record(tx, case, begun, now)
        staged.put(begun)
        staged.effects += [(begun, effect, None) for effect in effects]

    def _told(self, tx: Rows, case: Case, now: datetime, scene: events.Scene) -> Case:
        """The case in the light of what people have opened for its stay since it was paid, and it does not know yet."""
        for one in self._journal.openings(case.lot, case.stay, case.paid_at):
            if one.number or case.over:
                continue
            opened = events.Overridden(one.actor, one.reason, one.give_back, one.confirmed)
            case, _ = relay.step(case, opened, now, scene)
            if case.let_out:
                tx.put_opening(replace(one, number=case.number))
        return case

    def _again(self, tx: Rows, lot: LotId, entry: Entry, now: datetime, staged: Staged) -> None:
        """A number that is known: a no-op, but a typed code is held against the signed completion once it comes."""
        case = staged.cases.get((lot, entry.number)) or self._journal.case(lot, entry.number)
        if case is None or case.matched:
            return
        try:
            completion, _ = self._read(lot, entry)
            if _code_lied(case, completion):
                raise BadMessage(
                    Code.CONTRADICTION,
                    f"a typed code said {case.stay.key}, {case.amount} yen; signed is {completion.stay.key}, "
                    f"{completion.amount} yen: somebody may have forged the code",
                )
        except BadMessage as error:
            self._reject(tx, lot, entry, error, now)
        matched = replace(case, matched=True)
        tx.put_case(matched)
        staged.put(matched)

    def _reject(self, tx: Rows, lot: LotId, entry: Entry, error: BadMessage, now: datetime) -> None:
        """Keep a completion aside that cannot be acted on, and say so; it never blocks those behind it (P9)."""
        log.error("completion %d of lot %d: %s", entry.number, lot, error)
        tx.put_reject(lot, entry.number, entry.completion, error.code, error.detail, now)
        tx.note(lot, "", now, "bridge", "rejected", f"{entry.number}: {error}")
        refused = Refused(number=entry.number, at=now, code=error.code, detail=error.detail)
        tx.report(lot, self._generation, refused)

    def _step(
        self, tx: Rows, key: Key, event: events.Event, now: datetime, staged: Staged, reply: Reply | None
    ) -> None:
        case = staged.cases.get(key) or self._cases.get(key)
        if case is None:
            case = self._journal.case(LotId(key[0]), key[1])
        if case is None:
            return
        scene = self._scene(case, self._has_rival(case, staged))
        if case.step is Step.RELEASE and isinstance(event, events.Proof):
            others = self._exits.others((case.lot, scene.exit), case)
            event = among_others(event, others) if others else event
        elif case.step is Step.RELEASE and isinstance(event, events.Intending):
            crowded = self._exits.crowded((case.lot, scene.exit), case.reference, now)
            scene = with_turn(scene, turn=self._exits.next(), crowded=crowded)
        told = self._told(tx, case, now, scene) if isinstance(event, events.Start) else case
        new, effects = relay.step(told, event, now, scene)
        if isinstance(event, events.Overridden) and new != case and new.let_out:
            self._spend(tx, new)
        if new != case:
            tx.put_case(new)
            self._record(tx, case, new, now)
            staged.put(new)
        staged.effects += [(new, effect, reply) for effect in effects]
        if isinstance(event, events.Proof) or new.over:
            staged.looked.append(key)

    def _spend(self, tx: Rows, case: Case) -> None:
        """What was opened for this case's stay has ended its payment, and ends no other one."""
        for one in self._journal.openings(case.lot, case.stay, case.paid_at):
            if not one.number:
                tx.put_opening(replace(one, number=case.number))

    def _has_rival(self, case: Case, staged: Staged) -> bool:
        """Whether an earlier payment of the same stay is still open, or the machine may have acted on a later one."""
        place = _place(case)
        for key in self._by_place.get(place, _NONE) | staged.by_place.get(place, _NONE):
            other = staged.cases.get(key) or self._cases.get(key)
            if other is None or key == case.key or other.over or not other.stay.same_as(case.stay):
                continue
            if other.number < case.number or relay.may_have_acted(other):
                return True
        return False

    def _record(self, tx: Rows, old: Case | None, new: Case, now: datetime) -> None:
        """Timeline and report of a change of phase."""
        if old is not None and old.phase is new.phase:
            return
        tx.note(new.lot, new.stay.key, now, "relay", timeline_word(new), f"{new.reference} {new.detail}".strip())
        if (report := case_report(new, now)) is not None:
            tx.report(new.lot, self._generation, report)
        if new.given_back and new.phase is CasePhase.SETTLED:
            tx.report(new.lot, self._generation, given_back(new, now))


def _code_lied(case: Case, completion: Completion) -> bool:
    """Whether a typed code stated something else than what is signed under its number; codes know minutes only."""
    minutes = abs((case.paid_at - completion.paid_at).total_seconds())
    return not case.stay.same_as(completion.stay) or case.amount != completion.amount or minutes >= 60


def _place(case: Case) -> Place:
    return (case.lot, case.stay.kind.value, case.stay.name)


_NONE: frozenset[Key] = frozenset()
_UNPROVEN = (CasePhase.SENDING, CasePhase.IN_DOUBT)
