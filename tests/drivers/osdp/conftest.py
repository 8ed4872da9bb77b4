"""A lot small enough to see through, machines on real ptys and sockets, and drivers that talk to them."""

import contextlib
import time
from datetime import UTC, datetime

import msgspec
import pytest

from drivers.base import ReleaseOrder, Target
from drivers.osdp import driver, sim
from drivers.peripheral import AGAIN
from drivers.profile import DeviceTable, ExitTable
from parking.desk import ExitKind, Position

SCBK = "f0e1d2c3b4a5968778695a4b3c2d1e0f"


class SmallLot:
    """The world behind a simulated machine; remembers every release that reached it."""

    def __init__(self):
        self.releases = []
        self.moves = True
        self.travel = 0.03
        self.stays_up = float("inf")
        self.places = {}
        self.holds = {}
        self.cars = set()

    def release(self, exit_id, by, reference=""):
        self.releases.append((exit_id, by, time.monotonic()))
        if self.moves:
            self.places[exit_id] = (time.monotonic() + self.travel, time.monotonic() + self.stays_up)

    def hold(self, exit_id, on, by):
        self.holds[exit_id] = on
        if on and self.moves:
            self.places[exit_id] = (time.monotonic() + self.travel, float("inf"))

    def position(self, exit_id):
        up, down = self.places.get(exit_id, (float("inf"), float("inf")))
        return Position.OPEN if up <= time.monotonic() < down else Position.CLOSED

    def put(self, exit_id, position):
        self.places[exit_id] = (0.0 if position is Position.OPEN else float("inf"), float("inf"))

    def held(self, exit_id):
        return self.holds.get(exit_id, False)

    def vehicle(self, exit_id):
        return exit_id in self.cars


def _options(mode, **more):
    key = {} if more.keys() & {"secure", "key_file", "install_mode"} else {"scbk": SCBK}
    own = {"card": 4711, "facility": 17} if mode == "reader" else {"channels": 4, "pulse_ms": 5000, "vehicle_base": 4}
    return {"mode": mode, "address": 5, **own, **key, **more}


def _device(mode, url="/dev/null", timeout=0.2, **options):
    return DeviceTable(id="gate", family="osdp", url=url, timeout_seconds=timeout, options=_options(mode, **options))


def _exits(count=1):
    return tuple(ExitTable(id=f"E{at}", kind=ExitKind.GATE, label={}, device="gate", channel=at) for at in range(count))


class Rig:
    """One machine, its lot, and a driver on the other end of the wire."""

    def __init__(self, mode, run_dir, url="/dev/null", timeout=0.2, recorder=None, faults=None, **options):
        self.world = SmallLot()
        self.exits = _exits(4 if mode == "output" else 1)
        device = _device(mode, url, timeout, **options)
        faults = faults or sim.Faults(poll_ms=10, patience_ms=100)
        self.served = sim.serve(self.world, device, self.exits, run_dir, faults)
        self.faults, self.machine = self.served.faults, self.served.machine
        self.device = msgspec.structs.replace(device, url=self.served.url)
        self.recorder = recorder
        self.intents = []
        self.driver = driver.create(self.device, self.exits, lambda: datetime.now(UTC), recorder)

    def target(self, channel=0):
        return Target(f"E{channel}", channel)

    def order(self, seconds=5.0, intend=None):
        def note(raw, counter):
            self.intents.append((raw, counter, len(self.world.releases)))

        return ReleaseOrder("DK-1-1", 1, time.monotonic() + seconds, intend or note)

    def release(self, channel=0, seconds=5.0, intend=None):
        return self.driver.release(self.target(channel), self.order(seconds, intend))

    def read(self, channel=0, seconds=5.0):
        return self.driver.read([self.target(channel)], time.monotonic() + seconds)[0]

    def replug(self):
        """The line is there again, if it was not."""
        self.faults.unplugged = False
        if self.served.running.plugged:
            return
        deadline = time.monotonic() + 2
        while not self.served.running.plugged and time.monotonic() < deadline:
            time.sleep(0.005)
        if self.device.options["mode"] == "reader":
            time.sleep(AGAIN)  # after which its thread tries the port again

    def restart_driver(self):
        """As when the bridge is restarted."""
        self.driver.close()
        self.driver = driver.create(self.device, self.exits, lambda: datetime.now(UTC), self.recorder)

    def stop(self):
        self.driver.close()
        self.served.stop()


@pytest.fixture
def rig(tmp_path):
    """Builds rigs and takes them down."""
    with contextlib.ExitStack() as stack:

        def build(mode="output", **more):
            made = Rig(mode, tmp_path, **more)
            stack.callback(made.stop)
            return made

        yield build


@pytest.fixture
def device():
    """Makes device tables."""
    return _device


@pytest.fixture
def exits():
    """Makes exit tables."""
    return _exits
