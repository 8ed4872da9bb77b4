"""One thread per port: the only one that talks to the devices behind it. Urgent jobs go ahead of polling."""

import logging
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum

log = logging.getLogger(__name__)

Job = Callable[[], None]


class Urgency(IntEnum):
    """Which job goes first when several wait."""

    BY_HAND = 0
    ACT = 1
    LOOK = 2
    ASK = 3


@dataclass(order=True, slots=True)
class _Waiting:
    urgency: int
    order: int
    job: Job = field(compare=False)


@dataclass(slots=True)
class _Round:
    every: float
    job: Job
    due: float


class PortWorker:
    """Runs jobs one at a time, and its rounds (periodic reads) when nothing else waits.

    A job must have deadlines of its own. A job that raises is logged and never stops the thread.
    """

    def __init__(self, name: str) -> None:
        """`name` appears in the log and as the thread's name."""
        self._jobs: queue.PriorityQueue[_Waiting] = queue.PriorityQueue()
        self._order = 0
        self._guard = threading.Lock()
        self._rounds: list[_Round] = []
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"port-{name}", daemon=True)

    def every(self, seconds: float, job: Job) -> None:
        """Run `job` every `seconds`, first as soon as the worker starts. Call before `start`."""
        self._rounds.append(_Round(seconds, job, 0.0))

    def submit(self, urgency: Urgency, job: Job) -> None:
        """Queue a job; first come, first served within an urgency."""
        with self._guard:
            self._order += 1
            waiting = _Waiting(urgency, self._order, job)
        self._jobs.put(waiting)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, seconds: float) -> bool:
        """Finish the job at hand and end; False if it is still busy after `seconds`."""
        self._stopping.set()
        self._jobs.put(_Waiting(-1, 0, lambda: None))
        if self._thread.is_alive():
            self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while not self._stopping.is_set():
            job = self._next()
            if job is None or self._stopping.is_set():
                continue
            try:
                job()
            except Exception:
                log.exception("bug in a job of %s", self._thread.name)

    def _next(self) -> Job | None:
        due = min(self._rounds, key=lambda one: one.due, default=None)
        now = time.monotonic()
        wait = None if due is None else max(0.0, due.due - now)
        try:
            return self._jobs.get(timeout=wait).job if wait != 0.0 else self._jobs.get_nowait().job
        except queue.Empty:
            if due is None:
                return None
            due.due = time.monotonic() + due.every
            return due.job
