"""Takes reports and answers out to the cloud. Reports are never dropped; an answer is worthless after its time."""

import logging
import queue
import threading
from collections.abc import Callable
from datetime import datetime
from typing import Final

from bridge import crash_points
from bridge.ports import Inbox
from bridge.uplink.cloud_line import CloudLine, Exchange, Refusal, Unreachable
from bridge.uplink.cloud_link import CloudLink
from bridge.uplink.pace import Backoff, Pace
from parking.errors import BadMessage, Bug, Code, DaikoError, Environment
from parking.reports import ReportBatch, ReportReply
from parking.stay import LotId
from parking.wire import Accepted, Answer, decode

BATCH: Final = 100
AWHILE: Final = 0.02
"""Seconds; a wait that ends at once without reports (the bridge stops) must not become a busy loop."""

ANSWERS: Final = 200
"""Answers that wait to be posted, at most: a driver has gone by the time that these are through."""

log = logging.getLogger(__name__)


class Reporter:
    """One lot's way out. `step` sends one batch, if there is something to send."""

    def __init__(
        self,
        lot: LotId,
        generation: int,
        line: CloudLine,
        inbox: Inbox,
        link: CloudLink,
        pace: Pace,
        clock: Callable[[], datetime],
    ) -> None:
        self._lot = lot
        self._path = f"/bridge/v1/lots/{lot}/reports"
        self._generation = generation
        self._line = line
        self._inbox = inbox
        self._link = link
        self._pace = pace
        self._clock = clock
        self._limit = BATCH
        self.backoff = Backoff(pace)

    def step(self) -> float:
        """Wait for reports and send them; returns how long to pause.

        Raises Unreachable, Stalled, Refusal, BadMessage, Environment.
        """
        self._inbox.wait_for_reports(self._lot, self._pace.idle)
        first, reports = self._inbox.reports(self._lot, self._limit)
        if not reports:
            return AWHILE
        batch = ReportBatch(generation=self._generation, first=first, reports=reports)
        crash_points.each(reports, "before-post")
        exchange = self._post(batch)
        crash_points.each(reports, "after-post")
        self._inbox.accepted(self._lot, exchange.reply.accepted_through)
        crash_points.each(reports, "forgotten")
        self._link.clock(exchange.reply.server_time, self._clock())
        if exchange.reply.accepted_through < first:
            detail = f"the cloud has reports up to {exchange.reply.accepted_through}, this bridge has them from {first}"
            raise BadMessage(Code.SEQUENCE_GAP, detail, "call support: reports were lost between bridge and cloud")
        self._limit = BATCH
        self.backoff.worked(self._pace.settled)
        self._link.reports("", exchange.latency_ms or None)
        return 0.0

    def failed(self, error: DaikoError) -> float:
        """What `step` or a bug ended with; returns after how many seconds to go on."""
        self._link.reports(str(error))
        if not isinstance(error, Refusal):
            return self.backoff.next()
        if error.date is not None and self._link.clock(error.date, self._clock()):
            return self._pace.first  # our clock was wrong, and is right now
        if error.status in (400, 413, 422):  # one report may be the reason: those before it get through alone
            self._limit = 1
        return self.backoff.refused() if error.is_final else self.backoff.next()

    def _post(self, batch: ReportBatch) -> Exchange[ReportReply]:
        """The cloud's own count is the truth, also where it says that ours does not follow it (409)."""
        try:
            return self._line.call(self._path, ReportReply, batch)
        except Refusal as refusal:
            if refusal.code is Code.JOURNAL_LOST:
                self._inbox.disowned(self._lot)
            if refusal.status != 409:
                raise
            try:
                return Exchange(decode(refusal.body, ReportReply), 0.0)
            except BadMessage:
                raise refusal from None


class Answers:
    """Posts answers from a small pool; a slow one does not hold up the others."""

    def __init__(self, lot: LotId, clock: Callable[[], datetime], pace: Pace) -> None:
        self._lot = lot
        self._path = f"/bridge/v1/lots/{lot}/answers"
        self._clock = clock
        self._pace = pace
        self._stopped = threading.Event()
        self._waiting: queue.Queue[tuple[Answer, datetime] | None] = queue.Queue(ANSWERS)

    def put(self, answer: Answer, expires_at: datetime) -> None:
        """Take an answer, from any thread."""
        try:
            self._waiting.put_nowait((answer, expires_at))
        except queue.Full:
            log.warning("lot %s: too many answers wait; %s is dropped", self._lot, answer.ask_id)

    def stop(self, workers: int) -> None:
        """End `run` in so many threads."""
        self._stopped.set()
        for _ in range(workers):
            try:
                self._waiting.put_nowait(None)
            except queue.Full:  # the workers see the flag
                return

    def run(self, line: CloudLine) -> None:
        """Post answers until `stop`."""
        while not self._stopped.is_set():
            item = self._waiting.get()
            if item is None:
                return
            try:
                self._post(line, *item)
            except DaikoError as error:
                log.warning("lot %s: answer %s: %s", self._lot, item[0].ask_id, error)
            except Exception:
                log.exception("%s", Bug(f"while answering {item[0].ask_id}"))

    def _post(self, line: CloudLine, answer: Answer, expires_at: datetime) -> None:
        backoff = Backoff(self._pace)
        while not self._stopped.is_set():
            left = (expires_at - self._clock()).total_seconds()
            if left <= 0:
                raise Environment(Code.EXPIRED, "its time ran out before it could be posted")
            try:
                line.call(self._path, Accepted, answer, patience=min(left, self._pace.reply))
            except Unreachable:
                self._stopped.wait(min(backoff.next(), left))
            else:
                return
