"""A host that listens, or keeps tables, or shares a folder; a driver that speaks with it; an order with its journal."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from drivers import base, profile
from drivers.host_link.driver import HostLink, create
from drivers.profile import DeviceTable, LotProfile
from drivers.simlot.world import World
from parking.money import Yen
from parking.stay import NameKind, StayRef
from tests.drivers.host_link.hosts import SERVERS, host_of
from tests.rigs import databases

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
    meanwhile: Callable[[], object] | None = None

    def intend(self, raw: bytes, counter: int | None) -> None:
        assert counter is None
        if self.refuse is not None:
            raise self.refuse
        self.intents.append(raw)
        self.booked_before.append(sum(len(payments) for _, payments in self.world.host_books()))
        if self.meanwhile is not None:
            self.meanwhile()


@dataclass
class Lane:
    """One host, one driver, one car with its ticket."""

    world: World
    served: Any
    driver: HostLink
    journal: Journal
    ticket: str
    way: str = "http"
    device: DeviceTable | None = None
    server: Any = None

    def stay(self, ticket: str = "") -> StayRef:
        return StayRef(NameKind.TICKET, ticket or self.ticket)

    def order(self, amount: int = 600, reference: str = "DK-1002-1", seconds: float = 2.0) -> base.SettleOrder:
        deadline = time.monotonic() + seconds
        return base.SettleOrder(self.stay(), Yen(amount), reference, now(), 1, deadline, self.journal.intend)

    def settle(self, amount: int = 600, reference: str = "DK-1002-1", seconds: float = 2.0) -> base.Outcome:
        return self.driver.settle(self.order(amount, reference, seconds))

    def who(self, reference: str = "DK-1002-1", seconds: float = 2.0) -> base.Testimony:
        return self.driver.who_settled(self.stay(), reference, time.monotonic() + seconds)

    def references(self) -> list[str]:
        return [booking.reference for booking in self.world.host_bookings(self.ticket)]

    def shown(self) -> None:
        """Wait until what happened in the world is in the host's tables and files as well."""
        wanted = {(one.receipt, one.amount) for one in self.world.host_booked()}
        stays = {stay.ticket for stay in self.world.host_stays()}
        until = time.monotonic() + 5
        while time.monotonic() < until:
            seen = self.driver._host.bookings(datetime(2020, 1, 1, tzinfo=UTC), now(), until) if self.tables else []
            listed = {stay.ticket_no for stay in self.driver._host.stays(until)}
            if listed == stays and (not self.tables or {(one.receipt_no, one.amount) for one in seen} == wanted):
                return
            time.sleep(0.01)
        raise AssertionError("the host never showed it")

    @property
    def tables(self) -> bool:
        return self.way not in ("http", "folder")


@pytest.fixture
def lot() -> LotProfile:
    return profile.load(SEED_LOT)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[databases.PostgreSqlServer]:
    yield from databases.postgresql()


@pytest.fixture(scope="session")
def firebird() -> Iterator[databases.FirebirdServer]:
    yield from databases.firebird()


@pytest.fixture
def lane_of(lot: LotProfile, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Callable[[str], Lane]]:
    """Makes lanes: a car has been in for 65 minutes, 600 yen are due; how the host is reached is up to the test."""
    made: list[Lane] = []

    def make(way: str) -> Lane:
        run_dir = tmp_path / way
        world = World(lot, run_dir, now, seed=11)
        ticket = world.arrive(minutes_ago=65).name
        server = request.getfixturevalue(way) if way in SERVERS else None
        served, device = host_of(way, world, lot, run_dir, server)
        lane = Lane(world, served, create(device, (), now), Journal(world), ticket, way, device, server)
        made.append(lane)
        return lane

    yield make
    for lane in made:
        lane.driver.close()
        lane.served.stop()
        lane.world.close()


@pytest.fixture
def lane(lane_of: Callable[[str], Lane]) -> Lane:
    """The host is reached over HTTP."""
    return lane_of("http")


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
