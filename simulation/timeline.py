"""Virtual time: a queue of what is to happen, and a trace of what did. Runs as fast as it can."""

import heapq
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

EPOCH = datetime(2026, 4, 1, tzinfo=UTC)


class Timeline:
    """Events in the order of their virtual time; equal times in the order in which they were planned."""

    def __init__(self, trace: list[str] | None = None) -> None:
        self.seconds = 0.0
        self._trace = trace
        self._queue: list[tuple[float, int, Callable[[], object]]] = []
        self._planned = 0

    @property
    def now(self) -> datetime:
        """The virtual time of day."""
        return EPOCH + timedelta(seconds=self.seconds)

    def after(self, seconds: float, do: Callable[[], object]) -> None:
        """Plan something."""
        self._planned += 1
        heapq.heappush(self._queue, (self.seconds + seconds, self._planned, do))

    def tell(self, text: str) -> None:
        """Add a line to the trace, if there is one."""
        if self._trace is not None:
            self._trace.append(f"{self.seconds:10.2f}  {text}")

    def run(self, until: float, most: int = 200_000) -> None:
        """Let everything happen up to a time; raises RuntimeError if it never gets quiet."""
        while self._queue and self._queue[0][0] <= until:
            self.seconds, _, do = heapq.heappop(self._queue)
            do()
            most -= 1
            if not most:
                raise RuntimeError("the world does not come to rest")
        self.seconds = max(self.seconds, until)


class Poll:
    """Something done again and again, at the latest when it is asked for."""

    def __init__(self, line: Timeline, do: Callable[[], object]) -> None:
        self._line, self._do = line, do
        self._due = float("inf")

    def within(self, seconds: float) -> None:
        """Do it by then, unless it is planned earlier."""
        due = self._line.seconds + seconds
        if due < self._due:
            self._due = due
            self._line.after(seconds, lambda: self._fire(due))

    def _fire(self, due: float) -> None:
        if due == self._due:
            self._due = float("inf")
            self._do()
