"""One thread per port: the only one that talks to the devices behind it. Urgent jobs go ahead of polling."""

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, Future
from dataclasses import dataclass, field
from enum import IntEnum
from heapq import heappop, heappush
from typing import TypeVar

from parking.errors import Code, NotSent

log = logging.getLogger(__name__)

Job = Callable[[], object]
T = TypeVar("T")


class Urgency(IntEnum):
    """Which job goes first when several wait."""

    BY_HAND = 0
    ACT = 1
    LOOK = 2
    ASK = 3
    BOOKS = 4


@dataclass(order=True, slots=True)
class _Waiting:
    urgency: int
    order: int
    job: Job = field(compare=False)
    withdrawn: Job | None = field(compare=False, default=None)
    stuck: Job | None = field(compare=False, default=None)


@dataclass(slots=True)
class _Round:
    every: float
    job: Job
    due: float


class PortWorker:
    """Runs jobs one at a time, and its rounds (periodic reads) when nothing else waits.

    A job must have deadlines of its own. One that runs longer than `limit` seconds all the same has hung: the port's
    system call does not return, and nothing can end it. What waits behind it can still be withdrawn, with the certainty
    that nothing was sent. A job that raises is logged and never stops the thread.
    """

    def __init__(self, name: str, limit: float = float("inf")) -> None:
        """`name` appears in the log and as the thread's name; `limit` is longer than any job's deadlines together."""
        self._news = threading.Condition()
        self._jobs: list[_Waiting] = []
        self._order = 0
        self._rounds: list[_Round] = []
        self._stopping = False
        self._running: _Waiting | None = None
        self._began = 0.0
        self._told = False
        self.limit = limit
        self._thread = threading.Thread(target=self._run, name=f"port-{name}", daemon=True)

    def every(self, seconds: float, job: Job) -> None:
        """Run `job` every `seconds`, first as soon as the worker starts. Call before `start`."""
        self._rounds.append(_Round(seconds, job, 0.0))

    def submit(self, urgency: Urgency, job: Job, withdrawn: Job | None = None, stuck: Job | None = None) -> None:
        """Queue a job; first come, first served within an urgency.

        `withdrawn` is called instead of the job, from another thread, if the port hangs before the job has begun:
        certainly nothing was sent. `stuck` is called once if it is this job that hangs: nobody knows.
        """
        with self._news:
            self._order += 1
            waiting = _Waiting(urgency, self._order, job, withdrawn, stuck)
            hung = withdrawn is not None and self._hung_for(time.monotonic()) is not None
            if not hung:
                heappush(self._jobs, waiting)
                self._news.notify_all()
        if hung and withdrawn is not None:
            withdrawn()

    def ask(self, urgency: Urgency, job: Callable[[], T], deadline: float) -> T:
        """Have a job done on this thread and wait for what it returns, until `deadline` (monotonic seconds).

        At once where this thread asks itself. Raises what the job raises; NotSent(DEVICE_UNAVAILABLE | PORT_HUNG) if it
        was not begun in time, and will not be.
        """
        if threading.current_thread() is self._thread:
            return job()
        answer: Future[T] = Future()

        def run() -> None:
            if answer.set_running_or_notify_cancel():
                try:
                    answer.set_result(job())
                except Exception as error:  # noqa: BLE001 - for who waits
                    answer.set_exception(error)

        self.submit(urgency, run, withdrawn=answer.cancel)
        try:
            return answer.result(max(0.0, deadline - time.monotonic()))
        except CancelledError:
            raise NotSent(Code.PORT_HUNG, f"{self._thread.name} hangs") from None
        except TimeoutError:
            answer.cancel()
            raise NotSent(Code.DEVICE_UNAVAILABLE, f"{self._thread.name} is busy") from None

    def is_wanted(self) -> bool:
        """Whether a job waits for the present one to end."""
        return bool(self._jobs)

    def hung(self) -> float | None:
        """For how many seconds the present job has been running, if that is longer than it may."""
        with self._news:
            return self._hung_for(time.monotonic())

    def withdraw(self) -> None:
        """If the port hangs: tell the job that hangs, once, and withdraw all that can be of what waits behind it."""
        with self._news:
            if self._running is None or self._hung_for(time.monotonic()) is None:
                return
            gone = sorted(one for one in self._jobs if one.withdrawn is not None)
            self._jobs = sorted(one for one in self._jobs if one.withdrawn is None)
            calls = [one.withdrawn for one in gone]
            if not self._told:
                self._told = True
                calls.insert(0, self._running.stuck)
        for call in calls:
            if call is not None:
                self._call(call)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self, seconds: float) -> bool:
        """Finish the job at hand and end; False if it is still busy after `seconds`."""
        with self._news:
            self._stopping = True
            self._news.notify_all()
        if self._thread.is_alive():
            self._thread.join(seconds)
        return not self._thread.is_alive()

    def _hung_for(self, now: float) -> float | None:
        ran = now - self._began
        return ran if self._running is not None and ran > self.limit else None

    def _run(self) -> None:
        while (waiting := self._next()) is not None:
            self._call(waiting.job)
            with self._news:
                if self._told:
                    log.warning("%s has come back after %.0f s", self._thread.name, time.monotonic() - self._began)
                self._running, self._told = None, False

    def _call(self, job: Job) -> None:
        try:
            job()
        except Exception:
            log.exception("bug in a job of %s", self._thread.name)

    def _next(self) -> _Waiting | None:
        """Wait for the next job or round; None when the worker is to end."""
        with self._news:
            while not self._stopping:
                now = time.monotonic()
                due = min(self._rounds, key=lambda one: one.due, default=None)
                if self._jobs:
                    return self._begin(heappop(self._jobs), now)
                if due is not None and due.due <= now:
                    due.due = now + due.every
                    return self._begin(_Waiting(len(Urgency), 0, due.job), now)
                self._news.wait(None if due is None else due.due - now)
            return None

    def _begin(self, waiting: _Waiting, now: float) -> _Waiting:
        self._running, self._began = waiting, now
        return waiting
