"""A device of ours that a legacy machine talks to: payment terminal, coin acceptor, cashless reader, card reader.

Such a machine asks when it likes and waits milliseconds only, so its line is served by a thread of its own. What is
said is decided by the family's `Peripheral`, which does no I/O and reads no clock; the roles of the driver run on the
port's worker, and look at it and change it under the lock (`Serving.held`), or wait for it (`Serving.wait`).
"""

import contextlib
import logging
import threading
import time
from collections.abc import Callable, Iterator
from typing import Final, Generic, Protocol, TypeVar

from drivers.transport import Transport
from parking.errors import Code, DaikoError, NotSent, Uncertain

log = logging.getLogger(__name__)

TICK: Final = 0.01
"""Seconds after which what a role has changed is said on an idle line."""

WRITE: Final = 1.0
"""Seconds that a write may take before the line counts as broken."""

AGAIN: Final = 0.2
"""Seconds between two tries to open a line."""

_STOP_WITHIN: Final = 5.0


class Peripheral(Protocol):
    """The device as its line sees it. `now` is monotonic seconds; nothing here blocks or raises."""

    def opened(self, now: float) -> None:
        """The line is there, for the first time or again: what was said before may have been lost."""
        ...

    def lost(self, now: float, certain: bool) -> None:
        """The line broke. `certain`: no byte of what was about to be said has left."""
        ...

    def receive(self, data: bytes, now: float) -> bytes:
        """Take what the machine says (any bytes, in any pieces); returns what is to be said at once."""
        ...

    def due(self, now: float) -> bytes:
        """What is to be said unasked by now; called after each `receive`, and every tick."""
        ...

    def written(self, now: float) -> None:
        """All that was given out last has been handed to the line."""
        ...


P = TypeVar("P", bound=Peripheral)
T = TypeVar("T")


class Serving(Generic[P]):
    """Serves one line from a thread that starts when first used. Thread-safe."""

    def __init__(self, transport: Transport, peripheral: P, clock: Callable[[], float] = time.monotonic) -> None:
        """Nothing is opened yet."""
        self._transport, self._peripheral, self._clock = transport, peripheral, clock
        self._news = threading.Condition()
        self._thread: threading.Thread | None = None
        self._stopping = False
        self._trouble: DaikoError | None = None
        self._up = False

    @contextlib.contextmanager
    def held(self, deadline: float) -> Iterator[P]:
        """The peripheral, with the line standing still meanwhile: be brief. What it has to say then goes out in a tick.

        Raises what keeps the line from being there: Environment, or NotSent.
        """
        self._start()
        with self._news:
            self._news.wait_for(lambda: self._up or self._trouble is not None, max(0.0, deadline - self._clock()))
            if not self._up:
                raise self._trouble or NotSent(Code.DEVICE_UNAVAILABLE, f"{self._transport.url}: not opened in time")
            yield self._peripheral

    def wait(self, look: Callable[[P], T | None], deadline: float) -> T | None:
        """The first answer of `look` that is not None; None at the deadline. Also while the line is down."""
        self._start()
        found: list[T] = []

        def seen() -> bool:
            answer = look(self._peripheral)
            if answer is not None:
                found.append(answer)
            return bool(found)

        with self._news:
            self._news.wait_for(seen, max(0.0, deadline - self._clock()))
        return found[0] if found else None

    def close(self) -> None:
        """End the thread and give the port back; idempotent. The next use starts anew."""
        with self._news:
            thread, self._thread, self._stopping = self._thread, None, True
        if thread is not None:
            thread.join(_STOP_WITHIN)

    def _start(self) -> None:
        with self._news:
            if self._thread is None or not self._thread.is_alive():
                self._stopping, self._up, self._trouble = False, False, None
                self._thread = threading.Thread(target=self._run, name=f"line-{self._transport.url}", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        try:
            while not self._stopping:
                try:
                    self._serve()
                except DaikoError as error:
                    self._down(error)
        finally:
            self._transport.close()

    def _serve(self) -> None:
        """Serve until the line breaks. Raises what broke it."""
        self._transport.write(b"", self._clock() + WRITE)  # opens it
        with self._news:
            self._up, self._trouble = True, None
            self._peripheral.opened(self._clock())
            self._news.notify_all()
        heard = b""
        while not self._stopping:
            with self._news:
                now = self._clock()
                said = (self._peripheral.receive(heard, now) if heard else b"") + self._peripheral.due(now)
                if said:
                    self._transport.write(said, now + WRITE)
                    self._peripheral.written(self._clock())
                if heard or said:
                    self._news.notify_all()
            heard = self._transport.read_some(self._clock() + TICK)

    def _down(self, error: DaikoError) -> None:
        with self._news:
            if self._up:
                # A machine that dials may well hang up after each payment, and dial anew for the next.
                log.log(logging.INFO if self._transport.is_dialled else logging.WARNING, "the line broke: %s", error)
                self._peripheral.lost(self._clock(), certain=not isinstance(error, Uncertain))
            # Of what a role still has to say no byte has left, whatever became of the bytes before.
            self._trouble = NotSent(error.code, error.detail, error.remedy) if isinstance(error, Uncertain) else error
            self._up = False
            self._news.notify_all()
            self._news.wait_for(lambda: self._stopping, AGAIN)
