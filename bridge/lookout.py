"""Looks after the bridge itself, each second: journal, clock, ports; says what is wrong, and puts right what can be."""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from bridge.alarms import REJECT_KEPT, Condition, Reject, alarms
from bridge.board import Board
from bridge.case import Case
from bridge.core import Core
from bridge.journal import Journal
from bridge.lines import Lines
from bridge.messages import Write
from bridge.reserve import Reserve
from bridge.steady_clock import SteadyClock
from bridge.worker import PortWorker
from parking.desk import LinkView
from parking.errors import Code, DaikoError
from parking.stay import LotId

log = logging.getLogger(__name__)

EVERY: Final = 1.0
MEND_EVERY: Final = 3
"""Rounds between two tries to make a journal in trouble work again."""

RECOVERY_SECONDS: Final = 5.0
"""How long the feed stays shut for doubts of the last run to be looked into."""

KEEP_TIME: Final = timedelta(seconds=60)
CLOUD_TIME: Final = "clock:cloud"
"""Counter of the journal: the latest time that the cloud has told, in seconds since 1970."""


class Lookout:
    """One round a second, on a thread of its own; `round` may also be called by hand, before `start`."""

    def __init__(
        self,
        *,
        journal: Journal,
        core: Core,
        board: Board,
        lines: Lines,
        reserve: Reserve,
        alarm_seconds: Mapping[LotId, float],
        workers: Mapping[tuple[LotId, str], PortWorker],
        clock: Callable[[], datetime],
        usable: Callable[[], None],
        keyless: Callable[[LotId], bool],
    ) -> None:
        """`usable` is called once, when the journal works for the first time in this run.

        `keyless` tells lots whose stays cannot be named yet.
        """
        self._journal, self._core, self._board, self._lines = journal, core, board, lines
        self._reserve, self._alarm_seconds, self._workers = reserve, alarm_seconds, workers
        self._clock, self._usable, self._keyless = clock, usable, keyless
        self._rounds = 0
        self._cases: Sequence[Case] = ()
        self._rejects: Mapping[LotId, Sequence[Reject]] = {}
        self._kept: datetime | None = None
        self._loaded_at: float | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lookout", daemon=True)

    def start(self) -> None:
        """Begin the rounds."""
        self._thread.start()

    def stop(self) -> None:
        """End; within a moment."""
        self._stopped.set()
        if self._thread.ident is not None:
            self._thread.join(3.0)

    def round(self) -> None:
        """Look at everything once. Each part by itself: none keeps the others from being looked at."""
        for part in (self._look_at_ports, self._look_at_journal, self._keep_time, self._look_at_alarms):
            try:
                part()
            except DaikoError as error:
                log.warning("%s", error)
            except Exception:  # the other parts, and the next round, must go on
                log.exception("bug in the lookout")
        self._rounds += 1

    def _run(self) -> None:
        while not self._stopped.wait(EVERY):
            self.round()

    def _look_at_journal(self) -> None:
        self._journal.look()
        if self._journal.trouble is not None:
            if self._journal.trouble.code is Code.DISK:
                self._reserve.free()
            if self._rounds % MEND_EVERY or not self._journal.mend(self._clock()):
                return
            log.warning("the journal works again")
        if not self._core.loaded.is_set():
            self._usable()
            self._core.load()
            return
        if self._loaded_at is None:
            self._loaded_at = time.monotonic()
        if self._core.wait_recovered(0) or time.monotonic() - self._loaded_at >= RECOVERY_SECONDS:
            self._reserve.hold()
            self._lines.tend()

    def _look_at_ports(self) -> None:
        for (lot, device), worker in self._workers.items():
            if worker.hung() is None:
                continue
            worker.withdraw()
            detail = f"[{Code.PORT_HUNG}] the port does not answer at all — unplug and plug the adapter"
            link = f"{lot}/{device}"
            self._board.link(LinkView(link=link, kind="device", up=False, since=self._clock(), detail=detail))

    def _look_at_alarms(self) -> None:
        now = self._clock()
        if self._journal.readable:
            self._cases = self._journal.oldest_open_cases(LOOKED_AT)
            self._rejects = self._read_rejects(now - REJECT_KEPT)
        found = [alarm for lot in self._alarm_seconds for alarm in alarms(self._condition(lot), now)]
        self._board.alarms(found)

    def _read_rejects(self, since: datetime) -> dict[LotId, list[Reject]]:
        rejects: dict[LotId, list[Reject]] = {}
        for lot, number, code, detail, at in self._journal.rejects(since):
            rejects.setdefault(LotId(lot), []).append(Reject(number, code, detail, at))
        return rejects

    def _condition(self, lot: LotId) -> Condition:
        skew = self._clock.skew() if isinstance(self._clock, SteadyClock) else timedelta(0)
        return Condition(
            lot=lot,
            alarm_seconds=self._alarm_seconds[lot],
            cases=[case for case in self._cases if case.lot == lot],
            rejects=self._rejects.get(lot, ()),
            journal=self._journal.trouble,
            lost=self._lines.lost(lot) if self._journal.readable else "",
            skew=skew,
            hung=[device for (whose, device), worker in self._workers.items() if whose == lot and worker.hung()],
            keyless=self._keyless(lot),
        )

    def _keep_time(self) -> None:
        """The cloud's time outlives the bridge: a PC that wakes up in the past is not believed."""
        heard = self._clock.heard if isinstance(self._clock, SteadyClock) else None
        if heard is None or self._journal.trouble is not None:
            return
        if self._kept is None or abs(heard - self._kept) >= KEEP_TIME:
            self._kept = heard
            seconds = int(heard.timestamp())
            self._core.put(Write(lambda tx: tx.put_counter(CLOUD_TIME, seconds)))


LOOKED_AT: Final = 500
"""Open cases, at most, that are looked at for alarms: the oldest ones."""


def kept_time(journal: Journal) -> datetime | None:
    """The latest time that the cloud has told in a former run. Raises Environment."""
    seconds = journal.counters(CLOUD_TIME).get("", 0)
    return datetime.fromtimestamp(seconds, UTC) if seconds else None
