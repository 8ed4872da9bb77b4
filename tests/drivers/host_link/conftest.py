"""A host that listens, a driver that speaks with it, and an order with its journal."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from drivers import base, profile
from drivers.host_link.driver import HostLink, create
from drivers.host_link.sim import Served, serve
from drivers.profile import LotProfile
from drivers.simlot.world import World
from parking.money import Yen
from parking.stay import NameKind, StayRef

SEED_LOT = Path(__file__).parents[3] / "seeds" / "lots" / "gated-host.toml"


def now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Journal:
    """What a driver committed before its first byte, and what the world looked like then."""

    world: World
    intents: list[bytes] = field(default_factory=list)
    booked_before: list[int] = field(default_factory=list)
    refuse: Exception | None = None

    def intend(self, raw: bytes, counter: int | None) -> None:
        assert counter is None
        if self.refuse is not None:
            raise self.refuse
        self.intents.append(raw)
        self.booked_before.append(sum(len(payments) for _, payments in self.world.host_books()))


@dataclass
class Lane:
    """One host, one driver, one car with its ticket."""

    world: World
    served: Served
    driver: HostLink
    journal: Journal
    ticket: str

    def stay(self, ticket: str = "") -> StayRef:
        return StayRef(NameKind.TICKET, ticket or self.ticket)

    def order(self, amount: int = 600, reference: str = "DK-1002-1", seconds: float = 2.0) -> base.SettleOrder:
        deadline = time.monotonic() + seconds
        return base.SettleOrder(self.stay(), Yen(amount), reference, now(), 1, deadline, self.journal.intend)

    def settle(self, amount: int = 600, reference: str = "DK-1002-1", seconds: float = 2.0) -> base.Outcome:
        return self.driver.settle(self.order(amount, reference, seconds))

    def references(self) -> list[str]:
        return [booking.reference for booking in self.world.host_bookings(self.ticket)]


@pytest.fixture
def lot() -> LotProfile:
    return profile.load(SEED_LOT)


@pytest.fixture
def lane(lot: LotProfile, tmp_path: Path) -> Iterator[Lane]:
    """A car has been in for 65 minutes: 600 yen are due."""
    world = World(lot, tmp_path, now, seed=11)
    ticket = world.arrive(minutes_ago=65).name
    served = serve(world, lot.device[0], lot.exit, tmp_path)
    device = msgspec.structs.replace(lot.device[0], url=served.url, timeout_seconds=0.3)
    driver = create(device, (), now)
    yield Lane(world, served, driver, Journal(world), ticket)
    driver.close()
    served.stop()
    world.close()


@pytest.fixture
def driver_at(lot: LotProfile) -> Iterator[Callable[[str], HostLink]]:
    """Makes drivers for other addresses, and closes them."""
    made: list[HostLink] = []

    def make(url: str) -> HostLink:
        made.append(create(msgspec.structs.replace(lot.device[0], url=url, timeout_seconds=0.3), (), now))
        return made[-1]

    yield make
    for driver in made:
        driver.close()
