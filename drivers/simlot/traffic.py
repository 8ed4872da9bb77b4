"""Random traffic of a simulated lot: cars arrive, stay a while, pay cash now and then, and leave."""

import logging
import random
from typing import Final, Protocol

from drivers.simlot.books import SimTable
from drivers.simlot.clock import Clockwork
from parking.errors import Refused

log = logging.getLogger(__name__)

PATIENCE_MINUTES: Final = 10.0
"""How long a driver who means to pay by phone waits at the car before going for the pay station after all."""


class Named(Protocol):
    """A car, as far as traffic needs to know it."""

    @property
    def name(self) -> str:
        """Its bay or ticket."""
        ...


class Town(Protocol):
    """Where the traffic happens (drivers.simlot.World)."""

    def arrive(self) -> Named:
        """A car comes in; raises Refused when the lot is full."""
        ...

    def pay_cash(self, name: str) -> int:
        """It pays; raises Refused when there is nothing to pay."""
        ...

    def drive_out(self, name: str) -> None:
        """It leaves as soon as it can."""
        ...


class Traffic:
    """Arrivals at random intervals, with a rate of cars in an hour of lot time."""

    def __init__(self, town: Town, clock: Clockwork, dice: random.Random, table: SimTable) -> None:
        """Begin at once; one seed of `dice` gives one sequence."""
        self._town = town
        self._clock = clock
        self._dice = dice
        self._table = table
        self._schedule()

    def _schedule(self) -> None:
        self._clock.after_lot(self._dice.expovariate(self._table.cars_per_hour / 3600), self._arrival)

    def _arrival(self) -> None:
        self._schedule()
        try:
            name = self._town.arrive().name
        except Refused as full:
            log.info("a car turns away: %s", full.detail)
            return
        minutes = self._dice.expovariate(1 / self._table.stay_minutes)
        if self._dice.random() >= self._table.cash_share:
            minutes += PATIENCE_MINUTES
        self._clock.after_lot(minutes * 60, lambda: self._departure(name))

    def _departure(self, name: str) -> None:
        for deed in (self._town.pay_cash, self._town.drive_out):
            try:
                deed(name)
            except Refused as settled:
                log.debug("%s: %s", name, settled.detail)
