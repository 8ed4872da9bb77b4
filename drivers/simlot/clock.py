"""The clockwork of a simulated lot: the instant, what is due, and the history that tests read.

Machines move in real time; stays, tariffs and grace periods run in lot time, which may be faster (`speed`). A deed that
is due between two steps happens at its own instant, so the size of the steps changes nothing.
"""

import heapq
import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

Deed = Callable[[], None]


@dataclass(slots=True)
class Timer:
    """Something that will happen unless it is called off."""

    deed: Deed
    off: bool = False

    def call_off(self) -> None:
        """The deed is not done; harmless if it already was."""
        self.off = True


class History:
    """What happened, one JSON object a line, each flushed at once; also kept in memory for the control port."""

    def __init__(self, path: Path) -> None:
        """Append to `path`; raises OSError if it cannot be opened."""
        self._file = path.open("a", encoding="utf-8")
        self.entries: list[dict[str, str]] = []

    def add(self, entry: dict[str, str]) -> None:
        """Write one line; after closing, memory alone keeps it."""
        self.entries.append(entry)
        if not self._file.closed:
            self._file.write(json.dumps(entry, ensure_ascii=False) + "\n")
            self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


class Clockwork:
    """Time of one simulated lot. Not thread-safe: the world's lock is held around every call."""

    def __init__(self, start: datetime, speed: float, history: History) -> None:
        """Begin at `start` (aware UTC), where real time and lot time agree."""
        self.now = start
        self.history = history
        self._start = start
        self._speed = speed
        self._due: list[tuple[datetime, int, Timer]] = []
        self._order = itertools.count()
        self._running = False

    @property
    def lot_time(self) -> datetime:
        """The lot's own time: runs `speed` times as fast as the world's."""
        return self._start + (self.now - self._start) * self._speed

    def after(self, seconds: float, deed: Deed) -> Timer:
        """Do something after some seconds of real time."""
        timer = Timer(deed)
        heapq.heappush(self._due, (self.now + timedelta(seconds=seconds), next(self._order), timer))
        return timer

    def after_lot(self, seconds: float, deed: Deed) -> Timer:
        """Do something after some seconds of lot time."""
        return self.after(seconds / self._speed, deed)

    def advance(self, now: datetime) -> None:
        """Do all that is due until `now`, in order; a clock that went back stands still instead.

        A deed may itself ask for the time to go on: it stays at the deed's own instant.
        """
        if self._running:
            return
        self._running = True
        try:
            self._run(now)
        finally:
            self._running = False

    def _run(self, now: datetime) -> None:
        while self._due and self._due[0][0] <= now:
            at, _, timer = heapq.heappop(self._due)
            self.now = max(self.now, at)
            if not timer.off:
                timer.deed()
        self.now = max(self.now, now)

    def say(self, what: str, exit_id: str = "", stay: str = "", by: str = "", reference: str = "") -> None:
        """Add a line to the history, at this instant."""
        at = self.now.isoformat(timespec="milliseconds")
        self.history.add(
            {"at": at, "what": what, "exit": exit_id, "stay": stay, "by": by, "reference": reference},
        )
