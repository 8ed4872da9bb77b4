"""SIGTERM and Ctrl-C, noticed by whichever thread the system hands them to.

Python runs a signal's handler on the main thread, but only once that thread wakes up. One that sleeps on a lock does
not wake up if the system gave the signal to another thread, and a handler that takes a lock may find it held by the
very code that it interrupted. So the main thread waits for a byte, which the interpreter writes from any thread.
"""

import signal
import socket
from types import TracebackType
from typing import Self


class StopSignal:
    """While entered, the first signal ends `wait`, and a second one the program at once. For the main thread."""

    SIGNALS = (signal.SIGTERM, signal.SIGINT)

    def __init__(self) -> None:
        """Listens once it is entered."""
        self._told = False
        self._here, self._there = socket.socketpair()
        self._there.setblocking(False)

    def __enter__(self) -> Self:
        self._former_fd = signal.set_wakeup_fd(self._there.fileno(), warn_on_full_buffer=False)
        self._former = {number: signal.signal(number, self._note) for number in self.SIGNALS}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._former.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._former_fd)
        self._here.close()
        self._there.close()

    def wait(self, seconds: float | None) -> bool:
        """Return True once told to stop, False after `seconds` (None: never)."""
        self._here.settimeout(seconds)
        while not self._told:
            try:
                said = self._here.recv(1)  # the signal's number; the handler may not have run yet
            except TimeoutError:
                return self._told
            self._told = self._told or said[0] in self.SIGNALS
        return True

    def _note(self, number: int, _frame: object) -> None:
        signal.signal(number, signal.SIG_DFL)
        self._told = True
