"""The pay station at the other end of the line: it dials by TCP, or stands at a pty. Used by simulated lots only."""

import contextlib
import logging
import select
import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import xor
from pathlib import Path
from typing import Final, Protocol
from urllib.parse import urlsplit

from drivers.profile import DeviceTable, ExitTable
from drivers.pseudo_terminal import PseudoTerminal
from drivers.zvt_terminal.codec import NAK, Apdu, SerialFraming
from drivers.zvt_terminal.ecr import Ecr, Faults, Station, StoppedError
from drivers.zvt_terminal.line import Line, SerialLine
from drivers.zvt_terminal.settings import by_tcp, line_of, options_of

log = logging.getLogger(__name__)

__all__ = ["Faults", "Served", "serve"]

PAUSE: Final = 0.02
"""Seconds between two tries to dial, and after which a switched fault is noticed on an idle line."""

DIALLING: Final = 1.0
"""Seconds for which it dials anew in mid-payment."""
GARBAGE: Final = b"\xff\x13\x37\x10\x41\x15\x06"
"""Begins no message, on neither kind of line."""

TCP_GARBAGE: Final = b"\xff\x13\x37"


class World(Protocol):
    """The simulated lot (drivers.simlot.world.World)."""

    def station(self, device: str) -> Station:
        """The pay station in which a device is built."""
        ...


class _EitherFraming(SerialFraming):
    """By order with an XOR of all bytes in the place of the CRC: one published implementation has it, nobody else."""

    def __init__(self, faults: Faults) -> None:
        super().__init__()
        self._faults = faults

    def encode(self, apdu: Apdu) -> bytes:
        """The exact bytes on the line."""
        framed = super().encode(apdu)
        return framed[:-2] + bytes((reduce(xor, apdu.raw),)) if self._faults.xor_lrc else framed


class _Wire:
    """What both kinds of line have in common: plugged when first used, garbled by order."""

    def __init__(self, faults: Faults, ended: threading.Event) -> None:
        self._faults, self._ended = faults, ended
        self.plugged = False

    def read(self, seconds: float) -> bytes:
        """What comes within that time. Raises OSError when the line breaks."""
        if not select.select([self.descriptor()], [], [], seconds)[0]:
            return b""
        raw = self.take()
        frame = raw.find(b"\x10\x02")
        if frame >= 0 and self._faults.take("nak_once"):
            self.put(bytes((NAK,)))
            return raw[:frame]
        return raw

    def write(self, data: bytes) -> None:
        """Send, spoilt if so ordered. Raises OSError."""
        if len(data) > 3 and self._faults.take("spoil_once"):
            data = data[:-3] + bytes((data[-3] ^ 0x55,)) + data[-2:]
        if len(data) >= 3 and self._faults.garbage:
            data = self.garbage() + data
        self.put(data)

    def garbage(self) -> bytes:
        """Bytes that mean nothing."""
        return GARBAGE

    def renew(self) -> None:
        """Hang up and dial anew. Raises OSError."""
        self.unplug()
        until = time.monotonic() + DIALLING
        if self._faults.unplugged:
            raise ConnectionResetError("unplugged")
        while True:
            try:
                return self.plug()
            except OSError:
                if time.monotonic() > until or self._faults.unplugged or self._ended.wait(PAUSE):
                    raise

    def descriptor(self) -> int: ...  # type: ignore[empty-body]  # abstract
    def take(self) -> bytes: ...  # type: ignore[empty-body]  # abstract
    def put(self, data: bytes) -> None: ...
    def plug(self) -> None: ...
    def unplug(self) -> None: ...


class _PtyWire(_Wire):
    """A serial line; its path is a symlink that survives unplugging."""

    def __init__(self, path: Path, faults: Faults, ended: threading.Event) -> None:
        super().__init__(faults, ended)
        self._line = PseudoTerminal(path)

    @property
    def url(self) -> str:
        """Where the terminal finds the line."""
        return str(self._line.path)

    def descriptor(self) -> int:
        """The end that is ours."""
        return self._line.descriptor

    def take(self) -> bytes:
        """What has come."""
        return self._line.read()

    def put(self, data: bytes) -> None:
        """Send."""
        self._line.write(data)

    def plug(self) -> None:
        """The line is there."""
        self._line.plug()
        self.plugged = True

    def unplug(self) -> None:
        """Who has it open gets an I/O error."""
        self.plugged = False
        self._line.unplug()


class _TcpWire(_Wire):
    """Dials the terminal."""

    def __init__(self, url: str, faults: Faults, ended: threading.Event) -> None:
        super().__init__(faults, ended)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self._port = probe.getsockname()[1]
        self._scheme = urlsplit(url).scheme
        self._socket = socket.socket()

    @property
    def url(self) -> str:
        """Where the terminal is to listen."""
        return f"{self._scheme}://127.0.0.1:{self._port}"

    def garbage(self) -> bytes:
        """Bytes that mean nothing."""
        return TCP_GARBAGE

    def descriptor(self) -> int:
        """The connection."""
        return self._socket.fileno()

    def take(self) -> bytes:
        """What has come."""
        raw = self._socket.recv(4096)
        if not raw:
            raise ConnectionResetError("the terminal hung up")
        return raw

    def put(self, data: bytes) -> None:
        """Send."""
        self._socket.sendall(data)

    def plug(self) -> None:
        """Dial."""
        if not self.plugged:
            self._socket.close()
            self._socket = socket.create_connection(("127.0.0.1", self._port), timeout=1)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self.plugged = True

    def unplug(self) -> None:
        """Hang up."""
        self.plugged = False
        self._socket.close()


class _Machine(threading.Thread):
    """Works until stopped."""

    def __init__(self, name: str, ecr: Ecr, wire: _PtyWire | _TcpWire, ended: threading.Event) -> None:
        super().__init__(name=f"zvt {name}", daemon=True)
        self._ecr, self._wire, self._ended = ecr, wire, ended

    def run(self) -> None:
        """Serve until stopped."""
        with contextlib.suppress(StoppedError):
            while not self._ended.is_set():
                try:
                    if self._ecr.faults.unplugged:
                        raise ConnectionResetError("unplugged")
                    self._wire.plug()
                    self._ecr.work()
                except OSError as error:
                    log.debug("machine: the line is down: %s", error)
                    self._wire.unplug()
                    self._ecr.line.reset()
                    self._ended.wait(PAUSE)
        self._wire.unplug()


@dataclass(frozen=True, slots=True)
class Served:
    """A machine that runs: where its terminal is to be, its faults, and itself for tests to look at."""

    url: str
    faults: Faults
    ecr: Ecr
    machine: _Machine
    ended: threading.Event

    def stop(self) -> None:
        """End it; idempotent."""
        self.ended.set()
        self.machine.join()


def serve(
    world: World, device: DeviceTable, exits: Sequence[ExitTable], run_dir: Path, faults: Faults | None = None
) -> Served:
    """Start a machine: at a pty at `run_dir`/<device id>, or dialling a TCP port that the system chooses.

    Raises Environment(CONFIG) if the device's options are wrong.
    """
    del exits
    options = options_of(device)
    faults, ended = faults or Faults(), threading.Event()
    wire: _PtyWire | _TcpWire
    line: Line
    if by_tcp(device.url):
        wire, line = _TcpWire(device.url, faults, ended), line_of(device.url, options)
    else:
        wire, line = (
            _PtyWire(run_dir / device.id, faults, ended),
            SerialLine(options.answer_seconds, _EitherFraming(faults)),
        )
        wire.plug()
    ecr = Ecr(world.station(device.id), options, faults, line, wire, ended.is_set)
    machine = _Machine(device.id, ecr, wire, ended)
    machine.start()
    return Served(wire.url, faults, ecr, machine, ended)
