"""The bridge's one thread of decisions: takes messages, asks the relay, commits, and only then lets effects happen.

Messages that arrive together share one commit (group commit). If the commit fails nothing is carried out: who waits is
told, and what a device reported is kept and tried again, for it must not be lost.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from functools import partial

from bridge import crash_points, events
from bridge.case import Case, Stated
from bridge.casebook import Casebook, Staged
from bridge.journal import Journal, Transaction
from bridge.messages import ByCode, ForCase, Incoming, Key, Message, Reply, Write
from bridge.views import case_view
from parking.desk import CaseView
from parking.errors import Code, DaikoError, Environment, NotSent
from parking.reports import Report, Way
from parking.signing import KeyRing
from parking.stay import LotId
from parking.wire import Entry

log = logging.getLogger(__name__)

BATCH = 200
INTEND_SECONDS = 5.0
RETRY_SECONDS = 1.0


class Core:
    """Owns all open cases. Thread-safe through its queue."""

    def __init__(
        self,
        *,
        journal: Journal,
        keys: KeyRing,
        generation: int,
        clock: Callable[[], datetime],
        scene: Callable[[Case, bool], events.Scene],
        perform: Callable[[Case, events.Act | events.Look], None],
        show: Callable[[CaseView], None],
    ) -> None:
        """`perform` queues an act or a look on the right port; `show` tells the console."""
        self._journal, self._generation, self._clock = journal, generation, clock
        self._perform, self._show = perform, show
        self._messages: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self._read_book = partial(Casebook, journal, keys, generation, scene)
        self._book: Casebook | None = None
        self._held: list[Message] = []
        self._retry_at = 0.0
        self._complaint = ""
        self.loaded = threading.Event()
        """Set once the cases of the former runs have been taken up; until then nothing may be accepted."""
        self._recovered = threading.Event()
        self.news = threading.Condition()
        self._thread = threading.Thread(target=self._run, name="core", daemon=True)

    def start(self) -> None:
        """Begin, with recovery first (P4): every open intent becomes in doubt and is looked into.

        With a journal in trouble that waits for `load`; what devices do meanwhile is kept for it.
        """
        if self._journal.trouble is None:
            self._load()
        self._thread.start()

    def load(self) -> None:
        """The journal works now: take up its cases and recover, on the core's own thread."""
        self.put(Write(_nothing))

    def _load(self) -> Casebook:
        book = self._book = self._read_book()
        for message in book.beginning():
            self._messages.put(message)
        if book.recovered:
            self._recovered.set()
        self.loaded.set()
        return book

    def clock_moved(self, by: timedelta) -> None:
        """What waits for a time must not wait longer because the clock was wrong."""

        def shift() -> None:
            if self._book is not None:
                self._book.shift(by)

        self.put(Write(_nothing, after=shift))

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

    def accept(
        self, lot: LotId, entries: Sequence[Entry], seconds: float, way: Way = Way.FEED, actor: str = ""
    ) -> None:
        """Journal completions; durable on return. Raises Environment or NotSent if they could not be committed."""
        reply = Reply()
        self.put(Incoming(lot, entries, reply, way, actor))
        reply.wait(seconds)

    def accept_code(self, stated: Stated, actor: str, seconds: float) -> None:
        """Journal what a typed code stated, already proven. Durable on return; raises as `accept` does."""
        reply = Reply()
        self.put(ByCode(stated, actor, reply))
        reply.wait(seconds)

    def intend(self, key: Key, attempt: int, intent: bytes, counter: int | None) -> None:
        """Commit an intent for a waiting driver; raises NotSent if it must not write."""
        reply = Reply()
        self.put(ForCase(key, events.Intending(attempt, intent, counter), reply))
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
        batch: list[Message] = []
        try:
            message = self._messages.get(timeout=self._patience())
            while message is not None:
                batch.append(message)
                if len(batch) >= BATCH:
                    return self._behind_held(batch), True
                message = self._messages.get_nowait()
            return self._held + batch, False
        except queue.Empty:
            pass
        if self._book is not None:
            batch += self._book.due(self._clock())
        return self._behind_held(batch), True

    def _patience(self) -> float | None:
        """Seconds until something is to be done without a message."""
        due = self._book.next_due() if self._book is not None else None
        waits = [] if due is None else [(due - self._clock()).total_seconds()]
        if self._held:
            waits.append(self._retry_at - time.monotonic())
        return max(0.0, min(waits)) if waits else None

    def _behind_held(self, batch: list[Message]) -> list[Message]:
        """What a dead journal did not take goes first, in its order; whoever waits for a reply need not wait for it."""
        if not self._held:
            return batch
        if time.monotonic() >= self._retry_at:
            batch, self._held = self._held + batch, []
            return batch
        self._held += [message for message in batch if message.reply is None]
        return [message for message in batch if message.reply is not None]

    def _commit(self, batch: Sequence[Message]) -> None:
        if not batch:
            return
        now, staged = self._clock(), Staged()
        with self._journal.transaction() as tx:
            book = self._book or self._load()
            for message in batch:
                if isinstance(message, Write):
                    message.write(tx)
                else:
                    book.decide(tx, message, now, staged)
            crash_points.each(batch, "before-commit")
        crash_points.each(batch, "after-commit")
        self._complaint = ""
        self._merge(book, staged)
        for message in batch:
            if not isinstance(message, ForCase) and message.reply is not None:
                message.reply.settle()
        for case, effect, reply in staged.effects:
            self._carry_out(case, effect, reply)
        self._end(batch)
        with self.news:
            self.news.notify_all()

    def _end(self, batch: Sequence[Message]) -> None:
        for message in batch:
            if isinstance(message, Write) and message.after is not None:
                message.after()
        for message in batch:
            if isinstance(message, ForCase) and isinstance(message.event, events.Intending):
                self._fail(message, NotSent(Code.JOURNAL, "the journal does not know this case"))
            elif message.reply is not None:
                message.reply.settle()  # for those that no effect has answered yet

    def _merge(self, book: Casebook, staged: Staged) -> None:
        book.merge(staged)
        for case in staged.cases.values():
            self._show(case_view(case))
        if book.recovered:
            self._recovered.set()

    def _carry_out(self, case: Case, effect: events.Effect, reply: Reply | None) -> None:
        match effect:
            case events.Go():
                if reply is not None:
                    reply.settle()
            case events.Halt():
                if reply is not None:
                    reply.settle(NotSent(Code.CONFLICT, f"{case.reference} is {case.phase.value}: {case.detail}"))
            case events.Act() | events.Look():
                self._perform(case, effect)

    def _postpone(self, batch: Sequence[Message], error: Environment) -> None:
        """The commit failed: whoever waits is told; what devices have done is kept for another try in a second."""
        for message in batch:
            if message.reply is not None:
                self._fail(message, error)
            else:
                self._held.append(message)
        self._retry_at = time.monotonic() + RETRY_SECONDS
        if error.detail != self._complaint:  # a disk that stays full is not news each second
            log.error("journal: %s", error)
            self._complaint = error.detail

    @staticmethod
    def _fail(message: Message, error: DaikoError) -> None:
        if message.reply is not None:
            message.reply.settle(error)


def _nothing(_: Transaction) -> None:
    """A commit for its own sake."""
