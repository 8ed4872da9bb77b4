"""A pay station with its software on a real pty or socket, and the driver that is its terminal."""

import contextlib
import json
import time
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from drivers import profile as profiles
from drivers.base import SettleOrder
from drivers.profile import DeviceTable
from drivers.simlot.world import HISTORY, World
from drivers.zvt_terminal import driver, sim
from parking.errors import DaikoError
from parking.money import yen

LOT = Path(__file__).parents[3] / "seeds" / "lots" / "zvt-station.toml"
FAST = {"answer_seconds": 0.4, "status_seconds": 0.1, "charge_seconds": 5.0}


def _device(wire="tcp", **options):
    url = "listen://127.0.0.1:20007" if wire.startswith("tcp") else "/dev/ttyUSB0"
    more = {"prefix": True} if wire == "tcp-prefix" else {}
    return DeviceTable(id="pt", family="zvt_terminal", url=url, timeout_seconds=2.0, options=FAST | more | options)


class Rig:
    """One pay station, and a driver at its payment line."""

    def __init__(self, run_dir, wire="tcp", recorder=None, clock=None, **options):
        run_dir.mkdir(exist_ok=True)
        self.run_dir = run_dir
        profile = profiles.load(LOT)
        self.clock = clock or (lambda: datetime.now(UTC))
        self.world = World(profile, run_dir, self.clock)
        device = _device(wire, **options)
        self.served = sim.serve(self.world, device, (), run_dir, sim.Faults(t3_ms=4000, t4_ms=4000))
        self.faults, self.ecr = self.served.faults, self.served.ecr
        self.station = self.world.station("pt")
        self.device = msgspec.structs.replace(device, url=self.served.url)
        self.driver = driver.create(self.device, (), self.clock, recorder)
        self.intents = []
        self.number = 0

    def ask(self, amount):
        """A customer puts a ticket in; returns the stay that the driver shows for it."""
        self.station.ask(amount)
        return self.stay()

    def stay(self, seconds=20.0):
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            with contextlib.suppress(DaikoError):
                if found := self.driver.stays(time.monotonic() + 1):
                    return found[0].ref
            time.sleep(0.005)
        raise AssertionError("the driver shows no stay")

    def order(self, stay, amount, reference="", seconds=10.0, intend=None):
        self.number += 1

        def note(raw, counter):
            self.intents.append((raw, counter))

        return SettleOrder(
            stay=stay,
            amount=yen(amount),
            reference=reference or f"DK-1006-{self.number}",
            paid_at=self.clock(),
            attempt=1,
            deadline=time.monotonic() + seconds,
            intend=intend or note,
        )

    def settle(self, stay, amount, reference="", seconds=10.0, intend=None):
        return self.driver.settle(self.order(stay, amount, reference, seconds, intend))

    def who(self, stay, reference):
        return self.driver.who_settled(stay, reference, time.monotonic() + 1)

    def until(self, look, seconds=20.0):
        until = time.monotonic() + seconds
        while not (found := look()):
            assert time.monotonic() < until, "did not happen"
            time.sleep(0.005)
        return found

    def idle(self):
        return self.until(lambda: not self.station.open)

    def history(self):
        return [json.loads(line) for line in (self.run_dir / HISTORY).read_text(encoding="utf-8").splitlines()]

    def stop(self):
        self.served.stop()
        self.driver.close()
        self.world.close()


@pytest.fixture
def rig(tmp_path):
    """Builds rigs and takes them down."""
    with contextlib.ExitStack() as stack:
        built = []

        def build(wire="tcp", **more):
            made = Rig(tmp_path / str(len(built)), wire, **more)
            built.append(made)
            stack.callback(made.stop)
            return made

        yield build


@pytest.fixture
def device():
    """Makes device tables."""
    return _device
