"""The line between the two processes of a simulated pay station by which its faults are switched.

No machine has it. A line of text for each thing: `FAULT VALUE` when one has changed at either end, other words as both
ends understand them.
"""

import contextlib
import dataclasses
import select
import socket
import threading
from typing import Final

from drivers.mdb_cashless.simfaults import Faults

PATIENCE: Final = 1.0
"""Seconds in which the other end takes a line; it does nothing else for longer than a moment."""
CHUNK: Final = 4096


class ControlLine:
    """One end. While it is open, `faults` and those at the other end are the same."""

    def __init__(self, end: socket.socket, faults: Faults) -> None:
        """Closes `end` when it is closed."""
        self.end: Final = end
        self._faults = faults
        self.end.settimeout(PATIENCE)
        self._lock = threading.Lock()
        self._rest = b""
        self.ended = False
        """The other end is no longer there."""
        faults.watched_by(self._tell)

    def tell_all(self) -> None:
        """Tell each fault as it is now."""
        for one in dataclasses.fields(self._faults):
            self._tell(one.name)

    def say(self, word: str) -> None:
        """Say a word; who is gone does not hear it. Thread-safe."""
        with self._lock:
            self._send(word)

    def heard(self) -> list[str]:
        """The words that have come by now, without waiting; changes of faults are made already."""
        said = []
        while not self.ended and select.select([self.end], [], [], 0)[0]:
            raw = b""
            with contextlib.suppress(OSError):
                raw = self.end.recv(CHUNK)
            self.ended = not raw
            *lines, self._rest = (self._rest + raw).split(b"\n")
            said += [line.decode("ascii") for line in lines]
        return [line for line in said if not self._learns(line)]

    def close(self) -> None:
        """No more of it; idempotent."""
        with self._lock:
            self.end.close()

    def _tell(self, name: str) -> None:
        """The value is read under the lock: what is said last is how it is."""
        with self._lock:
            self._send(f"{name} {int(getattr(self._faults, name))}")

    def _send(self, line: str) -> None:
        with contextlib.suppress(OSError):
            self.end.sendall(f"{line}\n".encode("ascii"))

    def _learns(self, line: str) -> bool:
        name, _, value = line.partition(" ")
        if value:
            self._faults.learn(name, type(getattr(self._faults, name))(int(value)))
        return bool(value)
