"""The machine at the other end of an OSDP line: a reader with outputs, or an access panel, by the device's `mode`.

Used by simulated lots only. Served on a pty, or on a TCP port where the profile says `socket://`.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from drivers.osdp.options import Outputs, settings_of
from drivers.osdp.simboard import BUS, SimReader, World
from drivers.osdp.simpanel import SimPanel
from drivers.osdp.simwire import TICK, Faults, PtyWire, TcpWire, Wire
from drivers.profile import DeviceTable, ExitTable

__all__ = ["Faults", "Served", "serve"]


class Machine(Protocol):
    """What both kinds of machine are to their line."""

    def reset(self) -> None:
        """Start anew."""
        ...

    def work(self, wire: Wire, faults: Faults, clock: Callable[[], float]) -> None:
        """Do what is due, for a moment."""
        ...


class _Running(threading.Thread):
    """Works until stopped; plugged and unplugged meanwhile."""

    def __init__(self, name: str, machine: Machine, wire: Wire, faults: Faults) -> None:
        super().__init__(name=f"osdp {name}", daemon=True)
        self.ended = threading.Event()
        self._machine, self._wire, self._faults = machine, wire, faults
        self.plugged = True

    def run(self) -> None:
        """Serve until stopped."""
        while not self.ended.is_set():
            if self._faults.unplugged and self.plugged:
                self.plugged = False
                self._wire.unplug()
                self._machine.reset()
            elif not self._faults.unplugged and not self.plugged:
                self._wire.plug()
                self.plugged = True
            if self.plugged:
                self._machine.work(self._wire, self._faults, time.monotonic)
            else:
                self.ended.wait(TICK)
        if self.plugged:
            self._wire.unplug()


@dataclass(frozen=True, slots=True)
class Served:
    """A machine that runs: where it is reached, its faults, and itself for tests to look at."""

    url: str
    faults: Faults
    machine: Machine
    running: _Running

    def stop(self) -> None:
        """End it; idempotent."""
        self.running.ended.set()
        self.faults.unplugged = True  # ends a wait for an answer at once
        self.running.join()


def serve(
    world: World, device: DeviceTable, exits: Sequence[ExitTable], run_dir: Path, faults: Faults | None = None
) -> Served:
    """Start a machine: on a pty at `run_dir`/<device id>, or on a TCP port that the system chooses.

    `exits` may be all of the lot. Raises Environment(CONFIG) if the device's options are wrong.
    """
    own = [exit_ for exit_ in exits if exit_.device == device.id]
    settings, faults = settings_of(device, own), faults or Faults()
    machine: Machine
    if isinstance(settings.options, Outputs):
        machine = SimReader(world, settings, settings.options, own)
    else:
        machine = SimPanel(settings, settings.options, partial(_open, world, own))
    wire: Wire = TcpWire() if device.url.startswith("socket://") else PtyWire(run_dir / device.id)
    running = _Running(device.id, machine, wire, faults)
    running.start()
    return Served(wire.url, faults, machine, running)


def _open(world: World, exits: Sequence[ExitTable]) -> None:
    for exit_ in exits:
        world.release(exit_.id, BUS)
