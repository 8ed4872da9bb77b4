"""The machine at the other end: a relay board or lock-plate controller as a Modbus slave on a pty or a TCP port.

Used by simulated lots only. A pty is paced like a real line: a request counts as heard after its wire time, an answer
is delivered at an absolute deadline. Faults are switched by attribute while it runs.
"""

import contextlib
import logging
import selectors
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from drivers.modbus_io.codec import Codec, Frame, RtuCodec, Side, TcpCodec
from drivers.modbus_io.pdu import Request, WriteMany, WriteOne
from drivers.modbus_io.profiles import Framing, Profile, profile_of, seen_exits
from drivers.modbus_io.simboard import Board, World
from drivers.profile import DeviceTable, ExitTable
from drivers.pseudo_terminal import PseudoTerminal
from drivers.simlot.mishaps import Mishaps

log = logging.getLogger(__name__)

TICK: Final = 0.02
"""Seconds after which a switched fault is noticed on an idle line."""


@dataclass
class Faults(Mishaps):
    """What is wrong with the machine or its line; set at any time, from any thread.

    `silent_once` leaves the next request of any kind without an answer; the other `…_once` faults and `unplug_on_write`
    wait for the next write command and are then used up; `act` says whether a command that unplugs the line is still
    carried out.
    """

    unplugged: bool = False
    silent: bool = False
    silent_once: bool = False
    drop_request_once: bool = False
    drop_reply_once: bool = False
    unplug_on_write: bool = False
    act: bool = False
    garbage: bool = False
    delay_ms: int = 0


@dataclass
class Slave:
    """Answers requests, as far as its faults let it. `pause(seconds)` returns early when the simulator stops."""

    board: Board
    unit: int
    faults: Faults
    pause: Callable[[float], object]

    def respond(self, frame: Frame, codec: Codec) -> bytes | None:
        """The bytes of the answer, or None if there is silence."""
        faults, request = self.faults, frame.pdu
        if frame.unit != self.unit or not isinstance(request, Request) or faults.silent or faults.unplugged:
            return None
        if faults.take("silent_once"):
            return None
        writes = isinstance(request, WriteOne | WriteMany)
        if writes and faults.take("drop_request_once"):
            return None
        if writes and faults.take("unplug_on_write"):
            if faults.act:
                self.board.answer(request)
            faults.unplugged = True
            return None
        reply = self.board.answer(request)
        if writes and faults.take("drop_reply_once"):
            return None
        self.pause(faults.delay_ms / 1000)
        raw = codec.encode(Frame(frame.unit, reply, frame.transaction))
        return bytes(byte ^ 0x5A for byte in raw) if faults.garbage else raw


class _Wire(threading.Thread):
    """What both kinds of wire have in common: plugged and unplugged while running, stopped once."""

    def __init__(self, name: str, faults: Faults) -> None:
        super().__init__(name=name, daemon=True)
        self.ended = threading.Event()
        self.faults = faults

    def run(self) -> None:
        """Serve until stopped."""
        plugged = True
        while not self.ended.is_set():
            if self.faults.unplugged:
                if plugged:
                    self.unplug()
                plugged = False
                self.ended.wait(TICK)
                continue
            if not plugged:
                plugged = self._plugged_again()
                continue
            self.serve_some()
        if plugged:
            self.unplug()

    def _plugged_again(self) -> bool:
        try:
            self.plug()
        except OSError:  # meanwhile somebody else has the port: for a connection, which will end
            self.ended.wait(TICK)
            return False
        return True

    def plug(self) -> None:
        """Make the line appear."""

    def unplug(self) -> None:
        """Make the line vanish."""

    def serve_some(self) -> None:
        """Serve what comes within a tick."""


class _PtyWire(_Wire):
    """An RTU line on a pty; its path is a symlink that survives unplugging."""

    def __init__(self, path: Path, slave: Slave, profile: Profile) -> None:
        super().__init__(f"modbus {path.name}", slave.faults)
        self._line = PseudoTerminal(path)
        self._slave = slave
        self._codec = RtuCodec(Side.SLAVE, profile.unit)
        self._char = profile.line.seconds_per_char
        self._began: float | None = None
        self.plug()

    @property
    def url(self) -> str:
        """Where the line is."""
        return str(self._line.path)

    def plug(self) -> None:
        """The line is there again; what was half said on it is forgotten."""
        self._line.plug()
        self._codec.reset()
        self._began = None

    def unplug(self) -> None:
        """Who has it open gets an I/O error."""
        self._line.unplug()

    def serve_some(self) -> None:
        """Serve what comes within a tick, each request after its wire time."""
        if not _readable(self._line.descriptor, TICK):
            self._began = None
            return
        began = self._began = self._began or time.monotonic()
        for frame in self._codec.feed(self._line.read()):
            heard_at = began + len(self._codec.encode(frame)) * self._char
            _sleep_until(heard_at)
            self._began = None
            raw = self._slave.respond(frame, self._codec)
            if raw is not None:
                _sleep_until(max(heard_at, time.monotonic() - 0.001) + len(raw) * self._char)
                self._line.write(raw)


class _TcpWire(_Wire):
    """A Modbus TCP server on a port of its own, which stays the same when it is unplugged and plugged in again."""

    def __init__(self, device: str, slave: Slave) -> None:
        super().__init__(f"modbus {device}", slave.faults)
        self._slave = slave
        self._port = 0
        self._selector = selectors.DefaultSelector()
        self._listener: socket.socket
        self.plug()

    @property
    def url(self) -> str:
        """Where the server is."""
        return f"socket://127.0.0.1:{self._port}"

    def plug(self) -> None:
        """Listen."""
        self._listener = socket.create_server(("127.0.0.1", self._port))
        self._listener.setblocking(False)
        self._port = self._listener.getsockname()[1]
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ, None)

    def unplug(self) -> None:
        """Drop all connections and refuse new ones."""
        for key in list(self._selector.get_map().values()):
            if isinstance(key.fileobj, socket.socket):
                key.fileobj.close()
        self._selector.close()

    def serve_some(self) -> None:
        """Serve what comes within a tick."""
        for key, _ in self._selector.select(TICK):
            if key.data is None:
                self._welcome()
            elif isinstance(key.fileobj, socket.socket) and not self.faults.unplugged:
                self._serve(key.fileobj, key.data)

    def _welcome(self) -> None:
        with contextlib.suppress(OSError):
            client, _ = self._listener.accept()
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._selector.register(client, selectors.EVENT_READ, TcpCodec(Side.SLAVE))

    def _serve(self, client: socket.socket, codec: TcpCodec) -> None:
        try:
            data = client.recv(4096)
            for frame in codec.feed(data):
                raw = self._slave.respond(frame, codec)
                if raw is not None:
                    client.sendall(raw)
        except OSError as error:
            log.debug("connection lost: %s", error)
            data = b""
        if not data:
            self._selector.unregister(client)
            client.close()


@dataclass(frozen=True, slots=True)
class Served:
    """A machine that runs: where it is reached, and its faults."""

    url: str
    faults: Faults
    wire: _Wire

    def stop(self) -> None:
        """End it; idempotent."""
        self.wire.ended.set()
        self.wire.join()


def serve(
    world: World, device: DeviceTable, exits: Sequence[ExitTable], run_dir: Path, faults: Faults | None = None
) -> Served:
    """Start a machine: on a pty at `run_dir`/<device id>, or on a TCP port that the system chooses.

    `exits` may be all of the lot. Raises Environment(CONFIG) if the device's options are wrong.
    """
    profile = profile_of(device, exits)
    moved = {exit_.channel: exit_.id for exit_ in exits if exit_.device == device.id}
    seen = {channel: exit_.id for channel, exit_ in seen_exits(device, exits)}
    faults = faults or Faults()
    ended = threading.Event()
    slave = Slave(Board(world, profile, moved, seen), profile.unit, faults, ended.wait)
    wire: _PtyWire | _TcpWire
    wire = (
        _PtyWire(run_dir / device.id, slave, profile) if profile.framing is Framing.RTU else _TcpWire(device.id, slave)
    )
    wire.ended = ended
    wire.start()
    return Served(wire.url, faults, wire)


def _readable(descriptor: int, seconds: float) -> bool:
    with selectors.DefaultSelector() as selector:
        selector.register(descriptor, selectors.EVENT_READ)
        return bool(selector.select(seconds))


def _sleep_until(instant: float) -> None:
    left = instant - time.monotonic()
    if left > 0:
        time.sleep(left)
