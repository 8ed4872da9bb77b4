"""The bridge's one thread of decisions: takes messages, asks the relay, commits, and only then lets effects happen.

Messages that arrive together share one commit (group commit). If the commit fails nothing is carried out: who waits is
told, and what a device reported is kept and tried again, for it must not be lost.
"""

import heapq
import logging
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from bridge import relay
from bridge.case import Case, open_case
from bridge.journal import Journal, Transaction
from bridge.messages import ForCase, Incoming, Key, Message, Reply, Write
from bridge.views import case_report, case_view, timeline_word
from parking import completion as completions
from parking.desk import CasePhase, CaseView
from parking.errors import BadMessage, Code, DaikoError, Environment, NotSent
from parking.signing import KeyRing, from_text
from parking.stay import LotId
from parking.wire import Entry, Refused, Report

log = logging.getLogger(__name__)

Place = tuple[int, str, str]
"""Lot, and kind and name of a stay: where cases can be rivals."""
BATCH = 200
INTEND_SECONDS = 5.0


@dataclass(slots=True)
class _Staged:
    """What one transaction has changed so far; merged into the core only when it is committed."""

    cases: dict[Key, Case] = field(default_factory=dict)
    by_place: dict[Place, set[Key]] = field(default_factory=dict)
    effects: list[tuple[Case, relay.Effect, Reply | None]] = field(default_factory=list)
    done: list[Callable[[], None]] = field(default_factory=list)

    def put(self, case: Case) -> None:
        """A case as it stands within the transaction."""
        self.cases[case.key] = case
        self.by_place.setdefault(_place(case), set()).add(case.key)


class Core:
    """Owns all open cases. Thread-safe through its queue."""

    def __init__(
        self,
        *,
        journal: Journal,
        keys: KeyRing,
        generation: int,
        clock: Callable[[], datetime],
        scene: Callable[[Case, bool], relay.Scene],
        perform: Callable[[Case, relay.Act | relay.Look], None],
        show: Callable[[CaseView], None],
    ) -> None:
        """`perform` queues an act or a look on the right port; `show` tells the console."""
        self._journal, self._keys, self._generation, self._clock = journal, keys, generation, clock
        self._scene, self._perform, self._show = scene, perform, show
        self._messages: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self._cases: dict[Key, Case] = {case.key: case for case in journal.open_cases()}
        self._by_place: dict[Place, set[Key]] = {}
        for case in self._cases.values():
            self._by_place.setdefault(_place(case), set()).add(case.key)
        self._timers: list[tuple[datetime, Key]] = []
        self._recovering: set[Key] = {key for key, case in self._cases.items() if case.phase in _UNPROVEN}
        self._recovered = threading.Event()
        self.news = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="core", daemon=True)

    def start(self) -> None:
        """Begin, with recovery first (P4): every open intent becomes in doubt and is looked into."""
        if not self._recovering:
            self._recovered.set()
        for key in sorted(self._cases):
            self._messages.put(ForCase(key, relay.Start()))
        self._thread.start()

    def wait_recovered(self, seconds: float) -> bool:
        """Return once each doubt of the last run has been looked into once."""
        return self._recovered.wait(seconds)

    def stop(self) -> None:
        """Finish what is queued and end."""
        self._messages.put(None)
        if self._thread.is_alive():
            self._thread.join(5.0)
        with self.news:
            self.news.notify_all()

    def put(self, message: Message) -> None:
        """Queue a message."""
        self._messages.put(message)

    def accept(self, lot: LotId, entries: Sequence[Entry], seconds: float) -> None:
        """Journal completions; durable on return. Raises Environment or NotSent if they could not be committed."""
        reply = Reply()
        self.put(Incoming(lot, entries, reply))
        reply.wait(seconds)

    def intend(self, key: Key, attempt: int, intent: bytes, counter: int | None) -> None:
        """Commit an intent for a waiting driver; raises NotSent if it must not write."""
        reply = Reply()
        self.put(ForCase(key, relay.Intending(attempt, intent, counter), reply))
        try:
            reply.wait(INTEND_SECONDS)
        except Environment as error:
            raise NotSent(error.code, f"the intent could not be committed: {error.detail}") from error

    def write(self, write: Callable[[Transaction], None], seconds: float) -> None:
        """Commit something and wait for it. Raises Environment or NotSent."""
        reply = Reply()
        self.put(Write(write, reply))
        reply.wait(seconds)

    def report(self, tx: Transaction, lot: LotId, report: Report) -> None:
        """Queue a report inside a transaction."""
        tx.report(lot, self._generation, report)

    # --- the thread --------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        going = True
        while going:
            batch, going = self._collect()
            try:
                self._commit(batch)
            except Environment as error:
                log.error("journal: %s", error)
                self._postpone(batch, error)
            except Exception:
                if len(batch) > 1:
                    for message in batch:
                        self._alone(message)
                elif batch:
                    log.exception("bug while handling %s", type(batch[0]).__name__)
                    self._fail(batch[0], NotSent(Code.BUG, "a defect of the bridge; see its log"))

    def _alone(self, message: Message) -> None:
        """One bad message must not take the others of its batch with it (P9)."""
        try:
            self._commit([message])
        except Environment as error:
            self._postpone([message], error)
        except Exception:
            log.exception("bug while handling %s", type(message).__name__)
            self._fail(message, NotSent(Code.BUG, "a defect of the bridge; see its log"))

    def _collect(self) -> tuple[list[Message], bool]:
        now = self._clock()
        wait = max(0.0, (self._timers[0][0] - now).total_seconds()) if self._timers else None
        batch: list[Message] = []
        try:
            message = self._messages.get(timeout=wait)
            while message is not None:
                batch.append(message)
                if len(batch) >= BATCH:
                    return batch, True
                message = self._messages.get_nowait()
            return batch, False
        except queue.Empty:
            pass
        now = self._clock()
        while self._timers and self._timers[0][0] <= now:
            batch.append(ForCase(heapq.heappop(self._timers)[1], relay.Due()))
        return batch, True

    def _commit(self, batch: Sequence[Message]) -> None:
        if not batch:
            return
        now, staged = self._clock(), _Staged()
        with self._journal.transaction() as tx:
            for message in batch:
                self._apply(tx, message, now, staged)
        self._merge(staged)
        for message in batch:
            if not isinstance(message, ForCase) and message.reply is not None:
                message.reply.settle()
        for case, effect, reply in staged.effects:
            self._carry_out(case, effect, reply)
        for done in staged.done:
            done()
        for message in batch:
            if message.reply is not None:
                message.reply.settle()  # for those that no effect has answered yet
        with self.news:
            self.news.notify_all()

    def _apply(self, tx: Transaction, message: Message, now: datetime, staged: _Staged) -> None:
        match message:
            case Incoming(lot, entries):
                self._incoming(tx, lot, entries, now, staged)
            case ForCase(key, event, reply):
                self._step(tx, key, event, now, staged, reply)
            case Write(write, _, after):
                write(tx)
                if after is not None:
                    staged.done.append(after)

    def _merge(self, staged: _Staged) -> None:
        for key, case in staged.cases.items():
            if case.over:
                self._cases.pop(key, None)
                self._forget_place(case)
            else:
                self._cases[key] = case
                self._by_place.setdefault(_place(case), set()).add(key)
                if case.due is not None:
                    heapq.heappush(self._timers, (case.due, key))
            self._show(case_view(case))

    def _forget_place(self, case: Case) -> None:
        place = _place(case)
        there = self._by_place.get(place, set())
        there.discard(case.key)
        if not there:
            self._by_place.pop(place, None)

    def _carry_out(self, case: Case, effect: relay.Effect, reply: Reply | None) -> None:
        match effect:
            case relay.Go():
                if reply is not None:
                    reply.settle()
            case relay.Halt():
                if reply is not None:
                    reply.settle(NotSent(Code.CONFLICT, f"{case.reference} is {case.phase.value}: {case.detail}"))
            case relay.Act() | relay.Look():
                self._perform(case, effect)

    def _incoming(self, tx: Transaction, lot: LotId, entries: Sequence[Entry], now: datetime, staged: _Staged) -> None:
        for entry in entries:
            if self._journal.known(lot, entry.number):
                continue
            try:
                packed = from_text(entry.completion)
                completion = completions.verify(packed, self._keys)
                if (completion.lot, completion.number) != (lot, entry.number):
                    raise BadMessage(
                        Code.WRONG_LOT,
                        f"is number {completion.number} of lot {completion.lot}, not {entry.number} of {lot}",
                    )
            except BadMessage as error:
                log.error("completion %d of lot %d: %s", entry.number, lot, error)
                tx.put_reject(lot, entry.number, entry.completion, error.code, error.detail, now)
                tx.note(lot, "", now, "bridge", "rejected", f"{entry.number}: {error}")
                self.report(tx, lot, Refused(number=entry.number, at=now, code=error.code, detail=error.detail))
                continue
            case = open_case(completion, now)
            begun, effects = relay.step(case, relay.Start(), now, self._scene(case, self._has_rival(case, staged)))
            tx.put_case(begun, packed)
            self._record(tx, None, case, now)
            self._record(tx, case, begun, now)
            staged.put(begun)
            staged.effects += [(begun, effect, None) for effect in effects]
        tx.advance_cursor(lot)

    def _step(
        self, tx: Transaction, key: Key, event: relay.RelayEvent, now: datetime, staged: _Staged, reply: Reply | None
    ) -> None:
        case = staged.cases.get(key) or self._cases.get(key)
        if case is None:
            case = self._journal.case(LotId(key[0]), key[1])
        if case is None:
            return
        new, effects = relay.step(case, event, now, self._scene(case, self._has_rival(case, staged)))
        if new != case:
            tx.put_case(new)
            self._record(tx, case, new, now)
            staged.put(new)
        staged.effects += [(new, effect, reply) for effect in effects]
        if isinstance(event, relay.Proof) or new.over:
            staged.done.append(lambda: self._looked(key))

    def _has_rival(self, case: Case, staged: _Staged) -> bool:
        """Whether an earlier completion for the same stay is still open, or a later one is already being sent."""
        place = _place(case)
        for key in self._by_place.get(place, _NONE) | staged.by_place.get(place, _NONE):
            other = staged.cases.get(key) or self._cases.get(key)
            if other is None or key == case.key or other.over or not other.stay.same_as(case.stay):
                continue
            if other.number < case.number or other.phase in _UNPROVEN:
                return True
        return False

    def _record(self, tx: Transaction, old: Case | None, new: Case, now: datetime) -> None:
        """Timeline and report of a change of phase."""
        if old is not None and old.phase is new.phase:
            return
        tx.note(new.lot, new.stay.key, now, "relay", timeline_word(new), f"{new.reference} {new.detail}".strip())
        if (report := case_report(new, now)) is not None:
            self.report(tx, new.lot, report)

    def _looked(self, key: Key) -> None:
        self._recovering.discard(key)
        if not self._recovering:
            self._recovered.set()

    def _postpone(self, batch: Sequence[Message], error: Environment) -> None:
        """The commit failed: whoever waits is told; what devices have done is kept for another try in a second."""
        for message in batch:
            if message.reply is not None:
                self._fail(message, error)
            elif isinstance(message, (ForCase, Write)):
                threading.Timer(1.0, self.put, (message,)).start()

    @staticmethod
    def _fail(message: Message, error: DaikoError) -> None:
        if message.reply is not None:
            message.reply.settle(error)


def _place(case: Case) -> Place:
    return (case.lot, case.stay.kind.value, case.stay.name)


_NONE: frozenset[Key] = frozenset()
_UNPROVEN = (CasePhase.SENDING, CasePhase.IN_DOUBT)
