"""A pay station with its host at one end of a line and our driver at the other: on a pty, or in a time of its own."""

import contextlib
import time
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from drivers.base import SettleOrder
from drivers.cctalk_coin import driver, sim
from drivers.cctalk_coin.device import Acceptor
from drivers.cctalk_coin.options import options_of
from drivers.cctalk_coin.simhost import Faults, Host
from drivers.cctalk_coin.simline import Bus
from drivers.profile import DeviceTable
from drivers.simlot.station import Station
from parking.money import Yen

TICK = 0.005


class WallClock:
    """The time of day; goes on by itself only as far as somebody moves it."""

    def __init__(self):
        self.now = datetime(2026, 11, 25, 3, 0, 0, 250_000, tzinfo=UTC)

    def __call__(self):
        return self.now

    def tick(self, seconds):
        self.now += timedelta(seconds=seconds)


class Stations:
    """As much of a simulated world as the host needs."""

    def __init__(self, clock):
        self.history = []
        self.stations = {}
        self.clock = clock

    def station(self, name):
        return self.stations.setdefault(name, Station(name, self.clock, self.history.append))


def table(**options):
    return DeviceTable(id="coin", family="cctalk_coin", url="nowhere", options=options)


def order_for(stay, amount, deadline, reference="DK-1-1", intend=None):
    now = datetime(2026, 11, 25, 3, 0, tzinfo=UTC)
    return SettleOrder(stay, Yen(amount), reference, now, 1, deadline, intend or (lambda raw, counter: None))


class TimedLine:
    """Host, wire and acceptor in a time of their own; has the face of drivers.peripheral.Serving."""

    def __init__(self, faults=None, **options):
        self.clock = WallClock()
        self.world = Stations(self.clock)
        self.station = self.world.station("coin")
        self.faults = faults or Faults()
        parsed = options_of(table(**options))
        self.faults.no_echo = not parsed.echo
        settings = parsed.settings
        self.bills = parsed.accepts == "bills"
        self.acceptor = Acceptor(settings)
        ways = {"simple_polls": parsed.simple_polls, "master_only": parsed.master_only}
        self.host = Host(
            self.station, self.faults, settings.values, settings.address, settings.check, parsed.kind, **ways
        )
        self.bus = Bus(self.faults)
        self.now = 1000.0
        self.stalled_until = 0.0
        self.at = []
        """What is to happen: (when, what), oldest first."""
        self.said = []
        """All that we said, with the time."""
        self.plugged = True
        self.acceptor.opened(self.now)
        self.driver = driver.CctalkCoin(table(**options), self.clock, None, self, lambda: self.now)

    def tick(self):
        self.now += TICK
        self.clock.tick(TICK)
        while self.at and self.at[0][0] <= self.now:
            self.at.pop(0)[1]()
        self.host.hear(self.bus.for_host(self.now), self.now)
        self.bus.host_says(self.host.step(self.now), self.now)
        if self.plugged is self.faults.unplugged:
            self._replug()
        if not self.plugged:
            self.bus.for_us(self.now)
        elif self.now >= self.stalled_until:
            heard = self.bus.for_us(self.now)
            said = (self.acceptor.receive(heard, self.now) if heard else b"") + self.acceptor.due(self.now)
            if said:
                self.said.append((self.now, said))
                self.acceptor.written(self.now)
                self.bus.we_say(said, self.now)

    def _replug(self):
        self.plugged = not self.plugged
        if self.plugged:
            self.bus.for_us(self.now)
            self.acceptor.opened(self.now)
        else:
            self.acceptor.lost(self.now, certain=False)

    def after(self, seconds, do):
        self.at = sorted([*self.at, (self.now + seconds, do)], key=lambda one: one[0])

    def stall(self, seconds):
        self.stalled_until = self.now + seconds

    def run(self, seconds=0.0, until=lambda: False):
        end = self.now + seconds
        while self.now < end and not until():
            self.tick()
        return self

    # --- drivers.peripheral.Serving ---

    @contextlib.contextmanager
    def held(self, deadline):
        yield self.acceptor

    def wait(self, look, deadline):
        while (found := look(self.acceptor)) is None and self.now < deadline:
            self.tick()
        return found

    def close(self):
        pass

    # --- people ---

    def ask(self, amount):
        """A customer puts a ticket in, and the host lets money in."""
        self.station.ask(amount)
        self.run(5, until=lambda: self.acceptor.period is not None)
        (stay,) = self.driver.stays(self.now)
        return stay.ref

    def settle(self, stay, amount, seconds=30.0, reference="DK-1-1", intend=None):
        return self.driver.settle(order_for(stay, amount, self.now + seconds, reference, intend))


@pytest.fixture
def timed():
    """Builds lines in a time of their own."""
    return TimedLine


class Rig:
    """The same on a real pty, with threads."""

    def __init__(self, run_dir, faults=None, **options):
        self.clock = lambda: datetime.now(UTC)
        self.world = Stations(self.clock)
        self.station = self.world.station("coin")
        quick = {"patience": 1.5, "satisfied_seconds": 0.5, "confirm_polls": 2} | options
        device = table(**quick)
        faults = faults or Faults(poll_ms=40, answer_ms=60, no_echo=not quick.get("echo", True))
        self.served = sim.serve(self.world, device, (), run_dir, faults)
        self.faults, self.host = faults, self.served.host
        self.driver = driver.create(msgspec.structs.replace(device, url=self.served.url), (), self.clock)

    def ask(self, amount):
        self.station.ask(amount)
        end = time.monotonic() + 5
        while time.monotonic() < end:
            for stay in self.driver.stays(time.monotonic() + 1):
                return stay.ref
            time.sleep(0.01)
        raise AssertionError("the station does not take coins")

    def settle(self, stay, amount, seconds=10.0, reference="DK-1-1", intend=None):
        return self.driver.settle(order_for(stay, amount, time.monotonic() + seconds, reference, intend))

    def stop(self):
        self.driver.close()
        self.served.stop()


@pytest.fixture
def rig(tmp_path):
    """Builds rigs and takes them down."""
    with contextlib.ExitStack() as stack:

        def build(**more):
            made = Rig(tmp_path, **more)
            stack.callback(made.stop)
            return made

        yield build
