"""The wires of simulated OSDP machines: a pty, or a TCP port as a serial server has it; plugged and unplugged.

Used by drivers.osdp.sim only.
"""

import contextlib
import select
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from drivers.pseudo_terminal import PseudoTerminal
from drivers.simlot.mishaps import Mishaps

TICK: Final = 0.02
"""Seconds after which a switched fault is noticed on an idle line."""


@dataclass
class Faults(Mishaps):
    """What is wrong with the machine or its line; set at any time, from any thread.

    The act is an OUT command (mode "output"), or the card that the panel reads (mode "reader"). The `…_once` faults and
    `unplug_on_act` wait for the next one and are then used up; `act` says whether a machine that restarts or is
    unplugged still carries it out.

    Of a device: `busy_once`, `refuse_once`, `bad_mac_once`: so it answers; `no_repeat`: it answers a repetition with
    NAK 04; `acts_again`: it takes a repetition for a new command, as libosdp's does. Of a panel: `no_lamp`: it shows
    nothing; `unknown_card`: it does not know our card; `no_patience`: it begins the link anew at the first lost answer;
    it polls every `poll_ms` and waits `patience_ms` for an answer (5.7: 200). `byte_us` paces the line.
    """

    unplugged: bool = False
    silent: bool = False
    drop_request_once: bool = False
    drop_reply_once: bool = False
    reply_twice_once: bool = False
    restart_once: bool = False
    unplug_on_act: bool = False
    act: bool = False
    busy_once: bool = False
    refuse_once: bool = False
    bad_mac_once: bool = False
    no_repeat: bool = False
    acts_again: bool = False
    no_lamp: bool = False
    unknown_card: bool = False
    no_patience: bool = False
    garbage: bool = False
    byte_us: int = 0
    poll_ms: int = 60
    patience_ms: int = 200

    def pace(self, raw: bytes) -> None:
        """Stay as long as these bytes take on the line."""
        if self.byte_us:
            time.sleep(len(raw) * self.byte_us / 1_000_000)


class Wire(Protocol):
    """One end of a line. Nothing here raises: a broken line reads as silence."""

    @property
    def url(self) -> str:
        """Where the other end is."""
        ...

    def plug(self) -> None:
        """Make the line appear, under the same address as ever."""
        ...

    def unplug(self) -> None:
        """Make it vanish."""
        ...

    def read(self, seconds: float) -> bytes:
        """What comes within that time."""
        ...

    def write(self, raw: bytes) -> None:
        """Say something."""
        ...


class PtyWire:
    """A pty."""

    def __init__(self, path: Path) -> None:
        """Plugged at once."""
        self._line = PseudoTerminal(path)
        self.plug()

    @property
    def url(self) -> str:
        """Its path."""
        return str(self._line.path)

    def plug(self) -> None:
        """The line is there."""
        self._line.plug()

    def unplug(self) -> None:
        """Who has it open gets an I/O error."""
        self._line.unplug()

    def read(self, seconds: float) -> bytes:
        """What comes within that time."""
        ready, _, _ = select.select([self._line.descriptor], [], [], seconds)
        return self._line.read() if ready else b""

    def write(self, raw: bytes) -> None:
        """Say something."""
        self._line.write(raw)


class TcpWire:
    """A port that stays the same; one connection at a time, the newest."""

    def __init__(self) -> None:
        """Plugged at once."""
        self._port = 0
        self._client: socket.socket | None = None
        self._listener: socket.socket
        self.plug()

    @property
    def url(self) -> str:
        """Where the port is."""
        return f"socket://127.0.0.1:{self._port}"

    def plug(self) -> None:
        """Listen."""
        self._listener = socket.create_server(("127.0.0.1", self._port))
        self._port = self._listener.getsockname()[1]

    def unplug(self) -> None:
        """Drop the connection and refuse new ones."""
        self._hang_up()
        self._listener.close()

    def read(self, seconds: float) -> bytes:
        """What comes within that time."""
        ends = [self._listener, *([self._client] if self._client else [])]
        ready, _, _ = select.select(ends, [], [], seconds)
        if self._listener in ready:
            self._hang_up()
            self._client, _ = self._listener.accept()
            self._client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return b""
        if not ready or self._client is None:
            return b""
        data = b""
        with contextlib.suppress(OSError):
            data = self._client.recv(4096)
        if not data:
            self._hang_up()
        return data

    def write(self, raw: bytes) -> None:
        """Say something."""
        if self._client is not None:
            try:
                self._client.sendall(raw)
            except OSError:
                self._hang_up()

    def _hang_up(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None
