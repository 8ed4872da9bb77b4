"""A lot small enough to see through, machines on real ptys and sockets, and drivers that talk to them."""

import contextlib
import os
import selectors
import shutil
import subprocess
import sys
import threading
import time
import tty
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from drivers.base import ReleaseOrder, Target
from drivers.modbus_io import driver, sim
from drivers.profile import DeviceTable, ExitTable, Eye
from parking.desk import ExitKind, Position

HERE = Path(__file__).parent


class SmallLot:
    """The world behind a simulated machine; remembers every release that reached it."""

    def __init__(self):
        self.releases = []
        self.moves = True
        self.counts = True
        self.counts_holds = False
        self.travel = 0.03
        self.places = {}
        self.holds = {}
        self.cars = set()

    def release(self, exit_id, by, reference=""):
        self.releases.append((exit_id, by, time.monotonic()))
        if self.moves:
            self.places[exit_id] = (Position.MOVING, time.monotonic() + self.travel)

    def hold(self, exit_id, on, by):
        self.holds[exit_id] = on
        if on and self.counts_holds:
            self.releases.append((exit_id, by, time.monotonic()))
        if on and self.moves:
            self.places[exit_id] = (Position.MOVING, time.monotonic() + self.travel)

    def position(self, exit_id):
        place, until = self.places.get(exit_id, (Position.CLOSED, 0))
        return Position.OPEN if place is Position.MOVING and time.monotonic() >= until else place

    def put(self, exit_id, position):
        self.places[exit_id] = (position, 0)

    def held(self, exit_id):
        return self.holds.get(exit_id, False)

    def vehicle(self, exit_id):
        return exit_id in self.cars

    def release_count(self, exit_id):
        return sum(name == exit_id and by == "bus" for name, by, _ in self.releases) if self.counts else 0


class WallClock:
    """The time of day, moved by hand."""

    def __init__(self):
        self.now = datetime(2025, 4, 1, 3, 0, 0, 250_000, tzinfo=UTC)

    def __call__(self):
        return self.now

    def tick(self, seconds):
        self.now += timedelta(seconds=seconds)


def _device(profile, framing, timeout=0.08, **options):
    return DeviceTable(
        id="io",
        family="modbus_io",
        timeout_seconds=timeout,
        options={"profile": profile, "framing": framing, "channels": 8, "baud": 57600} | options,
    )


def _exits(profile, count=4):
    kind, bays = (ExitKind.PLATE, True) if profile == "lock_plate" else (ExitKind.GATE, False)
    return tuple(
        ExitTable(id=f"E{at}", kind=kind, label={}, device="io", channel=at, bay=str(at + 1) if bays else "")
        for at in range(count)
    )


class Rig:
    """One machine, its lot, and a driver on the other end of the wire."""

    def __init__(self, profile, framing, run_dir, timeout=0.08, recorder=None, **options):
        self.world, self.clock = SmallLot(), WallClock()
        self.exits = _exits(profile)
        if profile == "input_board":
            self.exits = tuple(
                msgspec.structs.replace(one, device="relay", seen_by=Eye(device="io", channel=one.channel))
                for one in self.exits
            )
        device = _device(profile, framing, timeout, **options)
        self.served = sim.serve(self.world, device, self.exits, run_dir)
        self.faults = self.served.faults
        self.device = msgspec.structs.replace(device, url=self.served.url)
        self.driver = driver.create(self.device, self.exits, self.clock, recorder)
        self.intents = []

    def target(self, channel=2):
        return Target(f"E{channel}", channel)

    def order(self, seconds=0.35, intend=None):
        def note(raw, counter):
            self.intents.append((raw, counter, len(self.world.releases)))

        return ReleaseOrder("DK-1-1", 1, time.monotonic() + seconds, intend or note)

    def release(self, channel=2, seconds=0.35, intend=None):
        return self.driver.release(self.target(channel), self.order(seconds, intend))

    def read(self, channel=2, seconds=2.0):
        return self.driver.read([self.target(channel)], time.monotonic() + seconds)[0]

    def stop(self):
        self.driver.close()
        self.served.stop()


@pytest.fixture
def rig(tmp_path):
    """Builds rigs and takes them down."""
    with contextlib.ExitStack() as stack:

        def build(profile="lock_plate", framing="rtu", **more):
            made = Rig(profile, framing, more.pop("run_dir", tmp_path), **more)
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


@pytest.fixture
def null_modem():
    """Two pty paths joined by a cable."""
    ends = [os.openpty() for _ in range(2)]
    for _, slave in ends:
        tty.setraw(slave)
    wake_out, wake_in = os.pipe()

    def carry():
        (one, _), (other, _) = ends
        across = {one: other, other: one}
        with selectors.DefaultSelector() as selector:
            for descriptor in (one, other, wake_out):
                selector.register(descriptor, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    if key.fd == wake_out:
                        return
                    os.write(across[key.fd], os.read(key.fd, 4096))

    cable = threading.Thread(target=carry, daemon=True)
    cable.start()
    yield tuple(os.ttyname(slave) for _, slave in ends)
    os.write(wake_in, b"x")
    cable.join()
    for descriptor in (wake_in, wake_out, *(end for pair in ends for end in pair)):
        os.close(descriptor)


@pytest.fixture
def peer():
    """Starts a program that prints one line when it is ready, and returns that line; ends it afterwards."""
    with contextlib.ExitStack() as stack:

        def start(*command):
            process = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
            stack.callback(process.wait)
            stack.callback(process.terminate)
            return process.stdout.readline().strip()

        yield start


@pytest.fixture
def pymodbus_server(peer):
    """Starts the pymodbus lock-plate controller: `tcp`, or `rtu` with a port."""
    return lambda *arguments: peer(sys.executable, str(HERE / "pymodbus_server.py"), *arguments)


@pytest.fixture(scope="session")
def libmodbus_program(tmp_path_factory):
    """Compiles the libmodbus lock-plate controller."""
    gcc = shutil.which("gcc")
    if gcc is None:
        pytest.skip("gcc is not installed: the libmodbus server cannot be compiled")
    program = tmp_path_factory.mktemp("libmodbus") / "server"
    command = [gcc, "-Wall", "-o", str(program), str(HERE / "libmodbus_server.c"), "-lmodbus"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=25, check=False)
    if "modbus/modbus.h: No such file" in done.stderr:
        pytest.skip("libmodbus-dev is not installed: the libmodbus server cannot be compiled")
    assert done.returncode == 0, done.stderr
    return str(program)


@pytest.fixture
def libmodbus_server(peer, libmodbus_program):
    """Starts the libmodbus lock-plate controller: `tcp`, or `rtu` with a port."""
    return lambda *arguments: peer(libmodbus_program, *arguments)
