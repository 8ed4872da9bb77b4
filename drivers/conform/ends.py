"""The ends of a spliced line: a socket, the machine's own port, a pty."""

import contextlib
import select
import socket
import time
from pathlib import Path
from typing import Final, Protocol

from drivers.line_settings import LineSettings
from drivers.pseudo_terminal import PseudoTerminal
from drivers.transport import Transport

DIAL: Final = 5.0
"""Seconds that opening and writing may take."""
CHUNK: Final = 4096


class End(Protocol):
    """One end of a line. `read` returns b"" when the time (seconds) is over; both raise OSError or DaikoError."""

    def read(self, seconds: float) -> bytes:
        """What has come."""
        ...

    def write(self, data: bytes) -> None:
        """All of it."""
        ...

    def close(self) -> None:
        """Idempotent."""
        ...


class SocketEnd:
    """A connection that stands."""

    def __init__(self, connected: socket.socket) -> None:
        """Takes the socket over."""
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = connected

    def read(self, seconds: float) -> bytes:
        """What has come."""
        self._socket.settimeout(seconds)
        try:
            data = self._socket.recv(CHUNK)
        except TimeoutError:
            return b""
        if not data:
            raise ConnectionResetError("closed")
        return data

    def write(self, data: bytes) -> None:
        """All of it."""
        self._socket.settimeout(DIAL)
        self._socket.sendall(data)

    def close(self) -> None:
        """Idempotent."""
        with contextlib.suppress(OSError):
            self._socket.close()


class PortEnd:
    """The machine's own port, by the product's own transport."""

    def __init__(self, url: str, settings: LineSettings) -> None:
        """Opens it; raises as Transport.write does."""
        self._port = Transport(url, settings)
        self._port.write(b"", time.monotonic() + DIAL)  # opens it

    def read(self, seconds: float) -> bytes:
        """What has come."""
        return self._port.read_some(time.monotonic() + seconds)

    def write(self, data: bytes) -> None:
        """All of it."""
        self._port.write(data, time.monotonic() + DIAL)

    def close(self) -> None:
        """Idempotent."""
        self._port.close()


class PtyEnd:
    """A pty that is pulled when this ends."""

    def __init__(self, path: Path) -> None:
        """Plug it in."""
        self._line = PseudoTerminal(path)
        self._line.plug()

    def read(self, seconds: float) -> bytes:
        """What has come."""
        return self._line.read() if select.select([self._line.descriptor], [], [], seconds)[0] else b""

    def write(self, data: bytes) -> None:
        """All of it."""
        self._line.write(data)

    def close(self) -> None:
        """Idempotent."""
        self._line.unplug()
