"""The program of a simulated adapter: a process with the bus on one side and a pty of its own on the other.

`python -m drivers.mdb_cashless.simprogram PATH BUS CONTROL DIALECT DECIMALS SCALE WIDE`; BUS and CONTROL are sockets
that it inherits (simprocess.py). Who started it is the bus' other end: when that closes it ends, however that came.
"""

import contextlib
import math
import os
import select
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Final

from drivers.mdb_cashless.amounts import Amounts
from drivers.mdb_cashless.dialects import DIALECTS, Spelling
from drivers.mdb_cashless.simbox import Box
from drivers.mdb_cashless.simcontrol import ControlLine
from drivers.mdb_cashless.simfaults import Faults
from drivers.pseudo_terminal import PseudoTerminal

CHUNK: Final = 4096


class PacedLine:
    """What is on its way to the program, each byte at its time."""

    def __init__(self, line: PseudoTerminal) -> None:
        self._line, self._waiting, self._next = line, bytearray(), 0.0

    def write(self, raw: bytes, seconds: float, now: float) -> float | None:
        """Add this, and write what is due where a byte takes so many seconds. Returns for how long nothing more is."""
        if not self._waiting:
            self._next = max(self._next, now)
        self._waiting += raw
        due = len(self._waiting)
        if seconds:
            due = min(due, max(0, math.floor((now - self._next) / seconds) + 1))
            self._next += due * seconds
        self._line.write(bytes(self._waiting[:due]))
        del self._waiting[:due]
        return max(0.0, self._next - now) if self._waiting else None


def serve(box: Box, line: PseudoTerminal, bus: socket.socket, control: ControlLine, faults: Faults) -> None:
    """Until the bus or the control line ends. Raises OSError when the bus breaks.

    The control line is looked at before what came by the others is heeded: a fault that was set before a byte was sent
    befalls that byte. An approval that was held is gone on with once all is heard that was on the bus by then.
    """
    paced, pause = PacedLine(line), None
    others = [line.descriptor, bus.fileno()]
    while True:
        select.select([*others, control.end.fileno()], [], [], pause)
        words = control.heard()
        ready = select.select(others, [], [], 0)[0]
        if control.ended:
            return
        if bus.fileno() in ready:
            raw = bus.recv(CHUNK)
            if not raw:
                return
            bus.sendall(box.hear_bus(raw))
        held = box.held
        if "heed" in words:
            box.heed()
            control.say("heeded")
            held = False
        if line.descriptor in ready:
            box.hear_line(line.read())
        if box.dead:
            line.path.unlink(missing_ok=True)
            os.kill(os.getpid(), signal.SIGKILL)
        if box.held and not held:
            control.say("held")
        pause = paced.write(box.say(), faults.byte_us / 1_000_000, time.monotonic())


def main(path: str, bus: str, control: str, dialect: str, *numbers: str) -> None:
    """The adapter gets its power."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is for who started it, and ends it with that
    faults = Faults()
    decimals, scale, wide = map(int, numbers)
    box = Box(Amounts(decimals, scale, bool(wide)), DIALECTS[Spelling(dialect)](), faults)
    wire, told = socket.socket(fileno=int(bus)), ControlLine(socket.socket(fileno=int(control)), faults)
    line = PseudoTerminal(Path(path))
    line.plug()
    told.say("ready")
    with contextlib.suppress(OSError):
        serve(box, line, wire, told, faults)
    line.unplug()


if __name__ == "__main__":
    main(*sys.argv[1:])
