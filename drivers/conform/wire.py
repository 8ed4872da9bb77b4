"""A line with mishaps to order, spliced in between a driver and its machine. It knows no protocol, only bytes.

The driver is given `Splice.url` instead of the machine's own address. Serial lines become a pty (POSIX only); TCP, HTTP
and machines that dial us go over loopback. What is not a line (a file, a table) cannot be spliced.
"""

import random
import socket
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from drivers.conform.ends import DIAL, End, PortEnd, PtyEnd, SocketEnd
from drivers.line_settings import LineSettings
from drivers.listening import Door
from parking.errors import DaikoError, NotSent

LOOK: Final = 0.002
"""Seconds for which each side is listened to in turn: what the splice adds to a line at most, each way."""
BYTE_GAP: Final = 0.001
"""Between two bytes of a slow line. More than 1.5 characters would break a Modbus frame, by its specification."""
NOISE: Final = 7

ACCEPT: Final = 0.05

LOST: Final = (OSError, DaikoError)


@dataclass(slots=True)
class Mishaps:
    """What is wrong with the line; set at any time, from any thread.

    `lose_up` and `lose_down` count the next chunks to and from the machine that are lost, `twice_down` those that
    arrive twice. `noise`: garbage goes before each chunk, both ways. `slow`: byte by byte. `deaf`: nothing passes.
    """

    lose_up: int = 0
    lose_down: int = 0
    twice_down: int = 0
    noise: bool = False
    slow: bool = False
    deaf: bool = False

    def take(self, name: str) -> bool:
        """Whether one of what is counted down is due; it is used up now."""
        left: int = getattr(self, name)
        setattr(self, name, max(0, left - 1))
        return left > 0


Pair = tuple[End, End]
"""The driver's end and the machine's."""


class Splice:
    """A spliced line; begins with `start`, ends with `close`. `url` is the driver's."""

    def __init__(self, url: str, char: float = 0.0) -> None:
        """Nothing passes yet. `char`: seconds that each byte takes at least."""
        self.url = url
        self._char = char
        self.mishaps = Mishaps()
        self._said = bytearray()
        self._out, self._idle, self._over, self._there = (threading.Event() for _ in range(4))
        self._dice = random.Random(1)  # noqa: S311 - noise on a line, no secret
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Let bytes pass. Raises OSError if no port is free."""
        self._plug()
        self._spawn(self._run)
        self._there.wait(DIAL)

    def mark(self) -> None:
        """Forget what the driver has said so far."""
        self._said.clear()

    @property
    def said(self) -> bytes:
        """What the driver has said since `mark`, whether it arrived or not."""
        return bytes(self._said)

    def cut(self) -> None:
        """Break the line: whoever has it open loses it, and nobody can open it."""
        self._out.set()
        self._idle.wait(2 * DIAL)

    def mend(self) -> None:
        """The line is there again; nothing happens if it was not cut."""
        if not self._out.is_set():
            return
        self._idle.clear()
        self._there.clear()
        self._out.clear()
        self._there.wait(DIAL)

    def close(self) -> None:
        """End; idempotent."""
        self._over.set()
        self._out.set()
        for thread in self._threads:
            thread.join(2 * DIAL)

    def _plug(self) -> None:
        """Be there for whoever dials."""

    def _unplug(self) -> None:
        """Be there no more."""

    def _meet(self) -> Pair | None:
        """The next pair of ends; None if nobody has dialled. Raises OSError or DaikoError."""
        raise NotImplementedError

    def _spawn(self, run: Callable[..., None], *words: object) -> None:
        thread = threading.Thread(target=run, args=words, name=f"splice-{self.url}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _run(self) -> None:
        plugged = True
        while not self._over.is_set():
            if self._out.is_set():
                if plugged:
                    self._unplug()
                    plugged = False
                self._idle.set()
                self._over.wait(LOOK)
                continue
            try:
                if not plugged:
                    self._plug()
                    plugged = True
                self._serve()
            except LOST:
                self._over.wait(50 * LOOK)
        self._unplug()

    def _serve(self) -> None:
        self._there.set()
        if (pair := self._meet()) is not None:
            self._spawn(self._pass, *pair)

    def _pass(self, near: End, far: End) -> None:
        try:
            while not self._out.is_set():
                if data := near.read(LOOK):
                    self._said += data
                    self._up(data, far)
                if data := far.read(LOOK):
                    self._down(data, near)
        except LOST:
            pass
        finally:
            near.close()
            far.close()

    def _up(self, data: bytes, far: End) -> None:
        if self.mishaps.deaf or self.mishaps.take("lose_up"):
            return
        self._carry(data, far)

    def _down(self, data: bytes, near: End) -> None:
        if self.mishaps.deaf or self.mishaps.take("lose_down"):
            return
        self._carry(data, near)
        if self.mishaps.take("twice_down"):
            self._carry(data, near)

    def _carry(self, data: bytes, end: End) -> None:
        if self.mishaps.noise:
            end.write(self._dice.randbytes(NOISE))
        if not self.mishaps.slow:
            time.sleep(len(data) * self._char)
            end.write(data)
            return
        for one in data:
            end.write(bytes((one,)))
            time.sleep(BYTE_GAP)


class _Dialled(Splice):
    """Stands where the machine listens, and dials it for each connection of the driver."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)
        self._target = f"socket://{parts.hostname}:{port}"
        self._port = _free_port()
        super().__init__(f"{parts.scheme}://127.0.0.1:{self._port}")

    def _plug(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self._port))
        self._listener.settimeout(ACCEPT)

    def _unplug(self) -> None:
        self._listener.close()

    def _meet(self) -> Pair | None:
        try:
            caller = self._listener.accept()[0]
        except TimeoutError:
            return None
        try:
            return SocketEnd(caller), PortEnd(self._target, LineSettings())
        except DaikoError:
            caller.close()
            raise


class _Called(Splice):
    """Stands where the machine dials, and dials the driver for each connection of the machine."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._address = (parts.hostname or "127.0.0.1", parts.port or 0)
        self._near = _free_port()
        super().__init__(f"listen://127.0.0.1:{self._near}")

    def _plug(self) -> None:
        self._door = Door(*self._address)

    def _unplug(self) -> None:
        self._door.close()

    def _meet(self) -> Pair | None:
        try:
            machine = self._door.accept(time.monotonic() + ACCEPT)
        except NotSent:
            return None
        try:
            return SocketEnd(socket.create_connection(("127.0.0.1", self._near), DIAL)), SocketEnd(machine)
        except OSError:
            machine.close()
            raise


class _Serial(Splice):
    """A pty before the machine's own port."""

    def __init__(self, url: str, settings: LineSettings, folder: Path, paced: bool) -> None:
        self._device, self._settings = url, settings
        self._path = folder / f"spliced-{Path(url).name}"
        super().__init__(str(self._path), settings.seconds_per_char if paced else 0.0)

    def _serve(self) -> None:
        far = PortEnd(self._device, self._settings)
        near = PtyEnd(self._path)
        self._there.set()
        self._pass(near, far)


def splice(url: str, settings: LineSettings, folder: Path, paced: bool) -> Splice | None:
    """Splice the line of a machine at `url`; None where there is no line, or none that can be had here.

    `folder` gets the pty. `paced`: a serial line is as slow as its baud rate, which a simulated one is not by itself.
    Raises OSError or Environment if an address is taken.
    """
    scheme = url.partition("://")[0].lower() if "://" in url else ""
    made: Splice | None = None
    if scheme in ("http", "https", "socket"):
        made = _Dialled(url)
    elif scheme == "listen":
        made = _Called(url)
    elif scheme == "" and sys.platform != "win32":
        made = _Serial(url, settings, folder, paced)
    if made is not None:
        made.start()
    return made


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])
