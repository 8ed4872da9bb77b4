"""A simulated adapter from outside: its process (simprogram.py), its power, and the controller's end of its bus."""

import contextlib
import select
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from drivers.mdb_cashless.options import Options
from drivers.mdb_cashless.simbus import RESPONSE
from drivers.mdb_cashless.simcontrol import ControlLine
from drivers.mdb_cashless.simfaults import Faults

CHUNK: Final = 4096


class AdapterProcess:
    """One life of it: it has power until `kill`. A `drivers.mdb_cashless.simbus.Bus`; for one thread.

    It ends with this process even if that is killed: nobody else holds the other ends of its sockets.
    """

    def __init__(self, path: Path, options: Options, faults: Faults) -> None:
        """Switch it on; its line will be at `path`. Raises OSError if no process can be started."""
        self._path = path
        self._bus, bus = socket.socketpair()
        end, control = socket.socketpair()
        self._control = ControlLine(end, faults)
        with bus, control:
            ends = bus.fileno(), control.fileno()
            numbers = *ends, options.dialect, options.decimals, options.scale, int(options.wide)
            words = [sys.executable, "-m", "drivers.mdb_cashless.simprogram", str(path), *map(str, numbers)]
            self._process = subprocess.Popen(  # noqa: S603 - this very program
                words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, pass_fds=ends
            )
        self._control.tell_all()
        self._words: list[str] = []
        self._until = 0.0
        self.ready = False
        """Its line is there, and it listens."""

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    @property
    def gone(self) -> bool:
        """Whether it has ended by itself, or somebody else has ended it."""
        return self._control.ended

    def holds(self) -> bool:
        """Look what it tells by now: whether it has just read an approval, with which it waits until `heed`."""
        return self._told("held")

    def heed(self) -> None:
        """Let it go on, once it has heard what is on the bus and before anything that is put there from now on."""
        self._control.say("heed")
        until = time.monotonic() + RESPONSE
        while not self._told("heeded") and not self.gone and (left := until - time.monotonic()) > 0:
            select.select([self._control.end], [], [], left)

    def _told(self, word: str) -> bool:
        """Whether it has said so; it counts once."""
        self._words += self._control.heard()
        self.ready = self.ready or "ready" in self._words
        if word not in self._words:
            return False
        self._words.remove(word)
        return True

    def kill(self) -> int:
        """Take its power (SIGKILL), and wait until it is gone. Returns how the process ended.

        The path goes first: a dead program cannot take it along, and its pty's number is soon somebody else's.
        """
        self._path.unlink(missing_ok=True)
        self._process.kill()
        status = self._process.wait()
        self._bus.close()
        self._control.close()
        return status

    # --- the bus ------------------------------------------------------------------------------------------------------

    def ask(self, raw: bytes, seconds: float) -> None:
        """Forget what came too late, put this on the bus, and allow so much time for an answer."""
        self._until = 0.0
        while self.hear():
            pass
        self.put(raw)
        self._until = time.monotonic() + seconds

    def hear(self) -> bytes:
        """The next piece of the answer; b"" once the time is over, or if there is nobody."""
        left = max(0.0, self._until - time.monotonic())
        if not self.ready or not select.select([self._bus], [], [], left)[0]:
            return b""
        with contextlib.suppress(OSError):
            return self._bus.recv(CHUNK)
        return b""

    def put(self, raw: bytes) -> None:
        """Put this on the bus; without a reader that runs nobody hears it."""
        with contextlib.suppress(OSError):
            if self.ready:
                self._bus.sendall(raw)
