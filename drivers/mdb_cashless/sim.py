"""The machine at the other end: a simulated pay station, for simulated lots, whose adapter is a process of its own.

One thread is its controller: it owns the bus, gives the adapter its power, and lets time pass. Faults are switched by
attribute while it runs.
"""

import logging
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from drivers.mdb_cashless.options import Options, options_of
from drivers.mdb_cashless.simfaults import Faults
from drivers.mdb_cashless.simmachine import Machine
from drivers.mdb_cashless.simprocess import AdapterProcess
from drivers.profile import DeviceTable, ExitTable
from drivers.simlot.world import World
from parking.errors import Code, Environment

log = logging.getLogger(__name__)

POLL: Final = 0.004
"""Seconds between two exchanges on the bus; machines take 25 to 200 ms, a test has no time."""
REPLUG: Final = 0.05
"""Seconds without power, at least."""
START: Final = 15.0
"""Seconds in which the adapter's process is up, on a busy computer."""


class Controlling(threading.Thread):
    """The controller's thread. The path of the adapter's line survives the adapter."""

    def __init__(self, path: Path, options: Options, machine: Machine) -> None:
        """Nothing runs yet."""
        super().__init__(name=f"mdb {path.name}", daemon=True)
        self.up = threading.Event()
        """Set once the adapter's line is there for the first time."""
        self.ended = threading.Event()
        self.cycles = 0
        """Counts what it has gone through; a fault that was cleared before two more of them has no effect any more."""
        self.adapter: AdapterProcess | None = None
        self._path, self._options, self._machine = path, options, machine
        self._power_at = 0.0

    def run(self) -> None:
        """Serve until stopped."""
        try:
            while not self.ended.wait(POLL):
                self._turn(time.monotonic())
                self.cycles += 1
        finally:
            if self.adapter is not None:
                self.adapter.kill()

    def _turn(self, now: float) -> None:
        self._give_power(now)
        if self.adapter is not None and self.adapter.holds():
            self._machine.approval_held(self.adapter, now)
        self._machine.turn(self.adapter, now)
        if self.adapter is not None and self.adapter.ready:
            self.up.set()

    def _give_power(self, now: float) -> None:
        """Or take it. One whose process has ended gets it again, as after a restart."""
        faults = self._machine.faults
        restart = faults.take("restart")
        if self.adapter is not None and (restart or faults.unplugged or self.adapter.gone):
            gone, status = self.adapter.gone, self.adapter.kill()
            if gone:
                log.warning("the simulated adapter at %s has ended by itself: status %d", self._path, status)
            self.adapter, self._power_at = None, now + REPLUG
        if self.adapter is None and not faults.unplugged and now >= self._power_at:
            self.adapter = AdapterProcess(self._path, self._options, faults)


@dataclass(frozen=True, slots=True)
class Served:
    """A machine that runs: where its adapter is reached, and its faults."""

    url: str
    faults: Faults
    line: Controlling

    def stop(self) -> None:
        """End it; idempotent."""
        self.line.ended.set()
        self.line.join()


def serve(
    world: World, device: DeviceTable, exits: Sequence[ExitTable], run_dir: Path, faults: Faults | None = None
) -> Served:
    """Start a machine; its adapter is on a pty at `run_dir`/<device id>, which is there when this returns.

    Raises Environment(CONFIG) if the device's options are wrong, or the adapter's process does not come up.
    """
    del exits  # a pay station opens none
    options = options_of(device)
    machine = Machine(world.station(device.id), options, faults or Faults())
    served = Served(str(run_dir / device.id), machine.faults, Controlling(run_dir / device.id, options, machine))
    served.line.start()
    if not machine.faults.unplugged and not served.line.up.wait(START):
        served.stop()
        raise Environment(Code.CONFIG, f"the simulated adapter of {device.id!r} does not start", "see its own words")
    return served
