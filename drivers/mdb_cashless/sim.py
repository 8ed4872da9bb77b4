"""The machine at the other end: a simulated pay station whose adapter is on a pty, for simulated lots.

One thread carries its bytes and lets its time pass. Faults are switched by attribute while it runs.
"""

import select
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from drivers.mdb_cashless.options import options_of
from drivers.mdb_cashless.simbench import Bench, Faults
from drivers.profile import DeviceTable, ExitTable
from drivers.pseudo_terminal import PseudoTerminal
from drivers.simlot.world import World

POLL: Final = 0.004
"""Seconds between two exchanges on the bus; machines take 25 to 200 ms, a test has no time."""
REPLUG: Final = 0.05


class PtyLine(threading.Thread):
    """The adapter's line; its path is a symlink that survives unplugging."""

    def __init__(self, path: Path, bench: Bench) -> None:
        """The line is there at once."""
        super().__init__(name=f"mdb {path.name}", daemon=True)
        self.ended = threading.Event()
        self.cycles = 0
        """Counts what it has gone through; a fault that was cleared before two more of them has no effect any more."""
        self._line, self._bench = PseudoTerminal(path), bench
        self._line.plug()

    def run(self) -> None:
        """Serve until stopped."""
        while not self.ended.is_set():
            if self._bench.falters():
                self._replug()
            self._put(self._bench.cycle(self._hear(), time.monotonic()))
            self.cycles += 1
        self._line.unplug()

    def _replug(self) -> None:
        """The line is away for a moment, or as long as it stays unplugged."""
        self._line.unplug()
        self._bench.lose_power()
        end = time.monotonic() + REPLUG
        while (self._bench.faults.unplugged or time.monotonic() < end) and not self.ended.wait(POLL):
            self._bench.poll_nobody(time.monotonic())
        self._line.plug()

    def _hear(self) -> bytes:
        """What the program has written by now; waits for one bus cycle."""
        return self._line.read() if select.select([self._line.descriptor], [], [], POLL)[0] else b""

    def _put(self, raw: bytes) -> None:
        """Byte by byte where the line is slow. A line that nobody reads swallows what it cannot hold."""
        pace = self._bench.faults.byte_us / 1_000_000
        for piece in [raw[at : at + 1] for at in range(len(raw))] if pace else [raw]:
            self._line.write(piece)
            if pace:
                self.ended.wait(pace)


@dataclass(frozen=True, slots=True)
class Served:
    """A machine that runs: where its adapter is reached, and its faults."""

    url: str
    faults: Faults
    line: PtyLine

    def stop(self) -> None:
        """End it; idempotent."""
        self.line.ended.set()
        self.line.join()


def serve(
    world: World, device: DeviceTable, exits: Sequence[ExitTable], run_dir: Path, faults: Faults | None = None
) -> Served:
    """Start a machine; its adapter is on a pty at `run_dir`/<device id>.

    Raises Environment(CONFIG) if the device's options are wrong.
    """
    del exits  # a pay station opens none
    bench = Bench(world.station(device.id), options_of(device), faults or Faults())
    line = PtyLine(run_dir / device.id, bench)
    line.start()
    return Served(str(run_dir / device.id), bench.faults, line)
