"""What the console is told of the connection to the cloud: one state from two threads, on changes only."""

import logging
import threading
from collections.abc import Callable
from datetime import datetime
from typing import Final

from bridge.ports import Inbox
from parking.stay import LotId

MOST_SKEW: Final = 120.0
"""Seconds; beyond it the cloud takes our signatures for stale."""

log = logging.getLogger(__name__)


class CloudLink:
    """Up if both the feed and the reports get through; the detail is that of the one which does not."""

    def __init__(self, inbox: Inbox, lot: LotId, hear: Callable[[datetime], bool] | None = None) -> None:
        """`hear` is told the cloud's time, and says whether ours was so wrong that it has been set by it."""
        self._inbox = inbox
        self._hear = hear
        self._lot = lot
        self._lock = threading.Lock()
        self._feed: str | None = None
        self._reports: str | None = ""
        self._skew = ""
        self._latency: float | None = None
        self._told: tuple[bool, str] | None = None

    def feed(self, problem: str, latency_ms: float | None = None) -> None:
        """The feed is up if `problem` is empty."""
        with self._lock:
            self._feed = problem
            self._tell(latency_ms)

    def reports(self, problem: str, latency_ms: float | None = None) -> None:
        """Reports get through if `problem` is empty."""
        with self._lock:
            self._reports = problem
            self._tell(latency_ms)

    def clock(self, theirs: datetime, ours: datetime) -> bool:
        """The cloud's clock at the same instant as ours (half a round trip does not matter here).

        Whether ours has been put right by it, so that what was refused for it may be tried again at once.
        """
        if self._hear is not None:
            return self._hear(theirs)
        skew = (ours - theirs).total_seconds()
        text = ""
        if abs(skew) > MOST_SKEW:
            way = "fast" if skew > 0 else "slow"
            text = f"[clock] this computer's clock is {abs(skew):.0f} s {way} — set it, or switch time sync on"
        with self._lock:
            if bool(text) != bool(self._skew):
                self._skew = text
                self._tell(None)
        return False

    def _tell(self, latency_ms: float | None) -> None:
        self._latency = latency_ms if latency_ms is not None else self._latency
        if self._feed is None:  # nothing has been tried yet
            return
        up = not self._feed and not self._reports
        detail = " · ".join(part for part in dict.fromkeys((self._feed, self._reports, self._skew)) if part)
        if self._told == (up, detail):
            return
        self._inbox.cloud_link(self._lot, up, detail, self._latency)
        log.log(logging.INFO if up and not detail else logging.WARNING, "lot %s: cloud %s %s", *self._words(up, detail))
        self._told = (up, detail)

    def _words(self, up: bool, detail: str) -> tuple[int, str, str]:
        return self._lot, "up" if up else "down", detail
