"""A simulated pay station as its bus sees it: the controller, hands at the station, and mishaps of more than one side.

Pure: no I/O, no threads, no clock. Who owns the bus gives it in (sim.py: another process at its end).
"""

from typing import Final, Protocol

from drivers.mdb_cashless import simbus
from drivers.mdb_cashless.options import Options, Sessions
from drivers.mdb_cashless.simfaults import Faults
from drivers.mdb_cashless.vmc import Controller
from drivers.simlot.station import Station


class AdapterEnd(simbus.Bus, Protocol):
    """The bus to an adapter that may hold an approval back."""

    def heed(self) -> None:
        """Let it go on, before anything that is put on the bus from now on."""
        ...


class Machine:
    """One exchange on the bus or more for each `turn`. `adapter` is None while there is none that has power."""

    def __init__(self, station: Station, options: Options, faults: Faults) -> None:
        """Everything has just got its power."""
        self.faults: Final = faults
        self.controller: Final = Controller(station, options.amounts, options.sessions is Sessions.ALWAYS_IDLE, faults)
        self._station = station

    def turn(self, adapter: AdapterEnd | None, now: float) -> None:
        """The controller does the next thing."""

        def exchange(block: bytes, wanted: bytes | None) -> bytes | None:
            noise = simbus.NOISE if self.faults.bus_garbage else b""
            return None if adapter is None else simbus.exchange(adapter, block, wanted, noise)

        before = self.controller.successes
        self.controller.turn(exchange, now)
        if self.controller.successes > before and self.faults.take("restart_after_approval"):
            self.faults.restart = True

    def approval_held(self, adapter: AdapterEnd, now: float) -> None:
        """The adapter has read an approval, and waits with it for what happens around it."""
        if self.faults.take("cancel_first"):
            self._station.cancel()
            self.turn(adapter, now)
        adapter.heed()
        if self.faults.take("cancel_second"):
            self._station.cancel()
        if self.faults.take("reset_before_approval"):
            self.controller.reset()
