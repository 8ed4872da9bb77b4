"""Brings completions and asks in from the cloud: server-sent events, or long poll where they do not pass.

The cursor is the journal's, so that a lost, repeated or reordered entry costs nothing but another request. A stream is
read by one thread and journaled by another: what arrives while a commit is under way makes the next group.
"""

import logging
import queue
import time
from collections.abc import Callable
from datetime import datetime
from typing import Final, NoReturn, TypeVar

import msgspec

from bridge.config import FeedWay
from bridge.ports import Inbox
from bridge.uplink.cloud_line import CloudLine, Refusal, Stalled, Unreachable
from bridge.uplink.cloud_link import CloudLink
from bridge.uplink.pace import Backoff, FeedChoice, Pace
from bridge.uplink.sse import EventParser, StreamEvent
from parking.errors import BadMessage, Bug, Code, DaikoError, Environment
from parking.stay import LotId
from parking.wire import Accepted, Answer, Ask, Entry, FeedBatch, Part, decode

GROUP: Final = 100
"""Completions in one commit, at most."""

WAITING: Final = 1000
"""Completions between reader and journal, at most; then the reader stops reading, and TCP holds the cloud back."""

P = TypeVar("P", bound=Part)

log = logging.getLogger(__name__)


class Intake:
    """Hands entries to the journal in groups, on a thread of its own. After a failure it lets the rest pass unread."""

    def __init__(self, inbox: Inbox, lot: LotId, failed: Callable[[], None]) -> None:
        self._inbox = inbox
        self._lot = lot
        self._failed = failed
        self._entries: queue.Queue[Entry | None] = queue.Queue(WAITING)
        self.failure: DaikoError | None = None
        self.highest = 0

    def begin(self) -> None:
        """A new stream begins at the journal's cursor: what the last one left is asked for again."""
        while not self._entries.empty():
            self._entries.get_nowait()
        self.failure = None
        self.highest = 0

    def put(self, entry: Entry) -> None:
        """Take an entry; called by the reading thread alone. Raises the failure of an earlier group."""
        if self.failure is not None:
            raise self.failure
        self._entries.put(entry)

    def stop(self) -> None:
        """End `run`."""
        while True:
            try:
                self._entries.put_nowait(None)
            except queue.Full:
                self.begin()
            else:
                return

    def is_idle(self) -> bool:
        """Whether nothing waits."""
        return self._entries.empty()

    def run(self) -> None:
        """Journal groups until `stop`."""
        while True:
            group, stopped = self._group()
            if group and self.failure is None:
                self._accept(group)
            if stopped:
                return

    def _group(self) -> tuple[list[Entry], bool]:
        group: list[Entry] = []
        entry = self._entries.get()
        while entry is not None:
            group.append(entry)
            try:
                if len(group) == GROUP:
                    return group, False
                entry = self._entries.get_nowait()
            except queue.Empty:
                return group, False
        return group, True

    def _accept(self, group: list[Entry]) -> None:
        try:
            self._inbox.accept(self._lot, group)
            self.highest = max(self.highest, *(entry.number for entry in group))
        except DaikoError as error:
            self.failure = error
        except Exception as error:  # the thread must live on; the trace goes to the log
            log.exception("lot %s: the journal failed in a way that nobody foresaw", self._lot)
            self.failure = Bug(f"while journaling: {type(error).__name__}")
        if self.failure is not None:
            self._failed()


class Feed:
    """One lot's way in. `step` is one stream's life, or one long poll."""

    def __init__(
        self,
        lot: LotId,
        line: CloudLine,
        inbox: Inbox,
        link: CloudLink,
        way: FeedWay,
        pace: Pace,
        clock: Callable[[], datetime],
        answer: Callable[[Answer, datetime], None],
    ) -> None:
        self._lot = lot
        self._path = f"/bridge/v1/lots/{lot}/feed"
        self._line = line
        self._inbox = inbox
        self._link = link
        self._pace = pace
        self._clock = clock
        self._answer = answer
        self._choice = FeedChoice(way, pace)
        self._unknown: set[str] = set()
        self._began = 0.0
        self._heard = False
        self._suspect = False
        self.backoff = Backoff(pace)
        self.intake = Intake(inbox, lot, line.cut)

    def step(self) -> float:
        """Receive; returns how long to pause. Raises Unreachable, Stalled, Refusal, BadMessage, Environment.

        A stream ends with one of these, always.
        """
        self._began = time.monotonic()
        self._heard = False
        if self._choice.streams(self._began):
            self._stream()
        return self._poll()

    def failed(self, error: DaikoError) -> float:
        """What `step` or a bug ended with; returns after how many seconds to go on."""
        first = self.backoff.failures == 0
        self._suspect = not isinstance(error, Unreachable | Stalled | Refusal)
        if isinstance(error, Refusal) and error.date is not None and self._link.clock(error.date, self._clock()):
            return self._pace.first  # our clock was wrong, and is right now
        if isinstance(error, Environment) and error.code in (Code.DISK, Code.JOURNAL, Code.JOURNAL_LOST):
            self._link.feed(str(error))
            return self._pace.sick
        # a line that had worked and broke off is tried once more before anybody is told: proxies cut streams
        if not (first and self._heard and isinstance(error, Unreachable)):
            self._link.feed(str(error))
        final = isinstance(error, Refusal) and error.is_final
        return self.backoff.refused() if final else self.backoff.next()

    def _stream(self) -> NoReturn:
        self.intake.begin()
        opened = False
        try:
            with self._line.stream(self._path, self._inbox.cursor(self._lot), self._pace.heartbeat * 2) as (
                chunks,
                took,
            ):
                opened = True
                parser = EventParser()
                for chunk in chunks:
                    for event in parser.feed(chunk):
                        self._event(event, took)
            raise Unreachable(Code.LINK_DOWN, "the cloud ended the feed", "the bridge connects again by itself")
        except DaikoError as error:
            if self.intake.failure is not None:
                raise self.intake.failure from error
            if not self._heard and (opened or isinstance(error, Stalled | BadMessage)):
                self._choice.mute(time.monotonic(), stalled=isinstance(error, Stalled))
            raise

    def _event(self, event: StreamEvent, took: float) -> None:
        if event.name == "completion":
            self.intake.put(_part(event, Entry))
        elif event.name == "ask":
            self._ask(_part(event, Ask))
        elif event.name == "heartbeat":
            self._link.clock(decode(event.data, Accepted).server_time, self._clock())
            self._check_gap()
        elif event.name not in self._unknown and len(self._unknown) < 100:
            self._unknown.add(event.name)
            log.warning("lot %s: the feed speaks of %r, which this bridge does not know", self._lot, event.name[:40])
        self._works(took)

    def _works(self, took: float | None) -> None:
        """Something came. After bad messages or a sick journal, that alone does not make the line a good one."""
        self._heard = True
        self._choice.heard()
        lived = time.monotonic() - self._began
        if self._suspect and not self.intake.highest and lived < self._pace.settled:
            return
        self._suspect = False
        self.backoff.worked(lived)
        self._link.feed("", took)

    def _check_gap(self) -> None:
        cursor = self._inbox.cursor(self._lot)
        if self.intake.is_idle() and cursor < self.intake.highest:
            raise _gap(cursor)

    def _poll(self) -> float:
        after = self._inbox.cursor(self._lot)
        wait = self._pace.poll_wait
        patience = wait + self._pace.reply
        batch = self._line.call(self._path, FeedBatch, params={"after": after, "wait": wait}, patience=patience).reply
        self._link.clock(batch.server_time, self._clock())
        for ask in batch.asks:
            self._ask(ask)
        if batch.entries:
            self._inbox.accept(self._lot, batch.entries)
            if self._inbox.cursor(self._lot) == after:
                raise _gap(after)
            self._suspect = False
        self._works(None)
        # a cloud that answers empty at once, instead of waiting, is not asked in a busy loop
        return 0.0 if batch.entries or batch.asks else max(0.0, self._pace.idle - (time.monotonic() - self._began))

    def _ask(self, ask: Ask) -> None:
        if ask.expires_at <= self._clock():
            log.info("lot %s: ask %s came too late", self._lot, ask.ask_id)
            return
        try:
            self._inbox.ask(self._lot, ask, lambda answer: self._answer(answer, ask.expires_at))
        except DaikoError as error:  # a driver gets no fee; the completions behind must not wait for that
            log.warning("lot %s: ask %s: %s", self._lot, ask.ask_id, error)


def _part(event: StreamEvent, kind: type[P]) -> P:
    try:
        return msgspec.json.decode(event.data, type=kind)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise BadMessage(
            Code.BAD_MESSAGE, f"feed, {event.name}: {error}", "update the older of the two programs"
        ) from error


def _gap(cursor: int) -> BadMessage:
    return BadMessage(Code.SEQUENCE_GAP, f"the feed left out number {cursor + 1}", "the bridge asks for it again")
