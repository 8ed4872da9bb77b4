"""A pay station, its bus and adapter simulated, and our reader behind it: on a real pty, or in a time of its own."""

import contextlib
import threading
import time
from datetime import UTC, datetime, timedelta

import msgspec

from drivers.base import SettleOrder
from drivers.mdb_cashless import driver, sim
from drivers.mdb_cashless.options import options_of
from drivers.mdb_cashless.simfaults import Faults
from drivers.profile import DeviceTable
from drivers.simlot.station import Station
from parking.errors import Code, DaikoError, NotSent
from parking.money import yen
from tests.rigs.mdb_bench import Bench

NOON = datetime(2026, 11, 25, 3, 0, 0, 250_000, tzinfo=UTC)


class SmallLot:
    """The world behind a simulated machine: its stations, and all that happened."""

    def __init__(self):
        self.history = []
        self.stations = {}

    def station(self, device):
        return self.stations.setdefault(device, Station(device, lambda: datetime.now(UTC), self.history.append))


class WallClock:
    """The time of day, moved by hand."""

    def __init__(self):
        self.now = NOON

    def __call__(self):
        return self.now

    def tick(self, seconds):
        self.now += timedelta(seconds=seconds)


def soon(seconds=15.0):
    return time.monotonic() + seconds


def until(look, seconds=15.0):
    """The first truth that `look` tells; fails after `seconds`."""
    end = soon(seconds)
    while not (found := look()):
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.002)
    return found


class Rig:
    """One pay station, and a driver at the other end of its adapter's line."""

    def __init__(self, run_dir, timeout=0.6, recorder=None, **options):
        self.world, self.clock = SmallLot(), WallClock()
        device = DeviceTable(id="pay", family="mdb_cashless", timeout_seconds=timeout, options=options)
        self.served = sim.serve(self.world, device, (), run_dir)
        self.faults, self.station = self.served.faults, self.world.station("pay")
        self.device = msgspec.structs.replace(device, url=self.served.url)
        self.driver = driver.create(self.device, (), self.clock, recorder)
        self.intents = []

    def ask(self, amount=450):
        """A customer puts a ticket in; the stay as soon as our reader is asked for money."""
        self.station.ask(amount)
        self.clock.tick(60)
        return self.stay()

    def stay(self):
        return until(lambda: self.driver.stays(soon()))[0].ref

    def order(self, stay, amount=450, seconds=1.0, reference="DK-1-1", intend=None):
        def note(raw, counter):
            self.intents.append((raw, counter, len(self.station.sales)))

        return SettleOrder(stay, yen(amount), reference, datetime.now(UTC), 1, soon(seconds), intend or note)

    def settle(self, stay, amount=450, seconds=1.0, reference="DK-1-1", intend=None):
        return self.driver.settle(self.order(stay, amount, seconds, reference, intend))

    def in_background(self, stay, **more):
        """Settle from a thread; its result is in the list once it has ended."""
        results = []

        def run():
            try:
                results.append(self.settle(stay, **more))
            except DaikoError as error:
                results.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        return thread, results

    def who(self, stay, reference="DK-1-1"):
        return self.driver.who_settled(stay, reference, soon())

    def soon(self, seconds=15.0):
        return soon(seconds)

    def soon_after(self, seconds, act):
        """Let something happen meanwhile; what waits for it comes back."""
        timer = threading.Timer(seconds, act)
        timer.start()
        return timer.join

    def rest(self, seconds):
        time.sleep(seconds)

    def settled_in(self):
        """Wait until faults that were cleared have no effect any more."""
        cycles = self.served.line.cycles + 2
        until(lambda: self.served.line.cycles > cycles)

    @property
    def sold(self):
        """What the station sold by its line."""
        return [sale.paid for sale in self.station.sales if sale.tender == "line"]

    def stop(self):
        self.driver.close()
        self.served.stop()


STEP = 0.004
REOPENED_AFTER = 0.2


class Stepped:
    """What `drivers.peripheral.Serving` is, without thread and clock: time passes only where somebody waits.

    Bytes in both directions are held back for some steps at random, in their order, so that words cross on their way.
    """

    def __init__(self, reader, bench, dice):
        self.now, self.dice = 1000.0, dice
        self._reader, self._bench = reader, bench
        self._there, self._back = [], []
        self._up, self._change_at = False, self.now
        self._timers = []

    @contextlib.contextmanager
    def held(self, deadline):
        if not self._up:
            self.step()
            raise NotSent(Code.LINK_DOWN, "the line is down")
        yield self._reader

    def wait(self, look, deadline):
        while (answer := look(self._reader)) is None and self.now < deadline:
            self.step()
        return answer

    def close(self):
        pass

    def later(self, seconds, act):
        self._timers.append((self.now + seconds, act))

    def step(self):
        self.now += STEP
        due = [act for at, act in self._timers if at <= self.now]
        self._timers = [(at, act) for at, act in self._timers if at > self.now]
        for act in due:
            act()
        if self._bench.falters():
            self._break()
        elif not self._up:
            self._bench.poll_nobody(self.now)
            if self.now >= self._change_at:
                self._up = True
                self._reader.opened(self.now)
        else:
            self._carry()

    def _break(self):
        if self._up:
            self._reader.lost(self.now, certain=False)
        self._bench.lose_power()
        self._up, self._change_at, self._there, self._back = False, self.now + REOPENED_AFTER, [], []
        self._bench.poll_nobody(self.now)

    def _carry(self):
        heard = self._arrived(self._back, 12 if self._bench.faults.byte_us else 4096)
        if heard:
            self._reader.receive(heard, self.now)
        if said := self._reader.due(self.now):
            self._reader.written(self.now)
            self._send(self._there, said)
        self._send(self._back, self._bench.cycle(self._arrived(self._there, 4096), self.now))

    def _send(self, queue, data):
        if data:
            queue.append((self.now + STEP * self.dice.choice((0, 0, 0, 1, 2, 5)), data))

    def _arrived(self, queue, most):
        arrived = b""
        while queue and queue[0][0] <= self.now and len(arrived) < most:
            data = queue.pop(0)[1]
            arrived += data
        if len(arrived) > most:
            queue.insert(0, (self.now, arrived[most:]))
        return arrived[:most]


class SteppedRig(Rig):
    """The same pay station and driver, in a time that passes by itself only."""

    def __init__(self, dice, timeout=0.3, **options):
        self.world, self.clock = SmallLot(), WallClock()
        self.device = DeviceTable(id="pay", family="mdb_cashless", timeout_seconds=timeout, options=options)
        self.station, self.faults = self.world.station("pay"), Faults()
        self.bench = Bench(self.station, options_of(self.device), self.faults)
        self.driver = driver.create(self.device, (), self.clock)
        self.line = self.driver._serving = Stepped(self.driver._serving._peripheral, self.bench, dice)
        self.intents = []

    def soon(self, seconds=15.0):
        return self.line.now + seconds

    def stay(self):
        for _ in range(5_000):
            with contextlib.suppress(NotSent):
                if found := self.driver.stays(self.soon()):
                    return found[0].ref
            self.line.step()
        raise AssertionError("the machine never asks")

    def order(self, stay, amount=450, seconds=1.0, reference="DK-1-1", intend=None):
        return SettleOrder(stay, yen(amount), reference, NOON, 1, self.soon(seconds), intend)

    def soon_after(self, seconds, act):
        self.line.later(seconds, act)
        return lambda: self.rest(seconds + STEP)

    def rest(self, seconds):
        end = self.line.now + seconds
        while self.line.now < end:
            self.line.step()

    def settled_in(self):
        self.rest(10 * STEP)

    def stop(self):
        self.driver.close()
