"""A board on a pty or a HID device node, the gates that hang on it, and our driver at the other end."""

import contextlib
import os
import threading
import time
from datetime import UTC, datetime

import msgspec
import pytest

from drivers.base import ReleaseOrder, Target
from drivers.profile import DeviceTable, ExitTable
from drivers.usb_relay import driver, sim
from parking.desk import ExitKind
from parking.errors import Environment

PULSE = 0.06


class Gates:
    """The world behind the board; remembers each contact that closed or was taken for a hold."""

    def __init__(self):
        self.releases = []
        self.holds = []

    def release(self, exit_id, by, reference=""):
        self.releases.append((exit_id, time.monotonic()))

    def hold(self, exit_id, on, by):
        self.holds.append((exit_id, on))


class Tape:
    """Every chunk that crossed the port."""

    def __init__(self):
        self.chunks = []
        self.breaks_at = None

    def note(self, direction, data):
        self.chunks.append((direction.value, data, time.monotonic()))
        if data == self.breaks_at:
            time.sleep(0.02)
            raise MemoryError

    @property
    def written(self):
        return b"".join(data for direction, data, _ in self.chunks if direction == "tx")


def table(**options):
    """A board of four relays; `url` and `timeout` may be given."""
    url, timeout = options.pop("url", "nowhere"), options.pop("timeout", 0.15)
    known = {"relays": 4, "pulse_ms": round(PULSE * 1000), "baud": 57600}
    return DeviceTable(id="usb", family="usb_relay", url=url, timeout_seconds=timeout, options=known | options)


def exits(count=2):
    return tuple(
        ExitTable(id=f"OUT{at}", kind=ExitKind.GATE, label={}, device="usb", channel=at) for at in range(count)
    )


def serve(gates, device, run_dir):
    """A board. Where no file system may be mounted a HID board cannot be simulated, and the test is skipped."""
    try:
        return sim.serve(gates, device, exits(), run_dir)
    except Environment as error:
        pytest.skip(str(error))


class Rig:
    """One board, its gates, and a driver."""

    def __init__(self, run_dir, **options):
        self.gates, self.tape, self.intents = Gates(), Tape(), []
        self.served = serve(self.gates, table(**options), run_dir)
        self.faults = self.served.faults
        self.device = msgspec.structs.replace(table(**options), url=self.served.url)
        self.driver = self.made()

    def made(self):
        """Another driver for the same board, as a bridge that starts anew has one."""
        return driver.create(self.device, exits(), lambda: datetime.now(UTC), self.tape)

    def target(self, channel=0):
        return Target(f"OUT{channel}", channel)

    def order(self, seconds=1.0, intend=None):
        def note(raw, counter):
            self.intents.append((raw, counter, self.tape.written))

        return ReleaseOrder("DK-1-1", 1, time.monotonic() + seconds, intend or note)

    def release(self, channel=0, seconds=1.0, intend=None):
        return self.driver.release(self.target(channel), self.order(seconds, intend))

    def read(self, channel=0, seconds=1.0):
        return self.driver.read([self.target(channel)], time.monotonic() + seconds)[0]

    def is_on(self, relay=1):
        """Whether a relay is closed, by the board itself."""
        return relay in self.served.relays.on

    def is_plugged(self):
        return os.path.lexists(self.served.url.removeprefix("hid://"))

    def until(self, check, seconds=3.0):
        end = time.monotonic() + seconds
        while not check():
            assert time.monotonic() < end, "waited in vain"
            time.sleep(0.005)

    def after(self, seconds, call, *words):
        timer = threading.Timer(seconds, call, words)
        timer.daemon = True
        timer.start()

    def stop(self):
        self.driver.close()
        self.served.stop()


@pytest.fixture
def rig(tmp_path):
    """Builds rigs and takes them down."""
    with contextlib.ExitStack() as stack:

        def build(**options):
            made = Rig(options.pop("run_dir", tmp_path), **options)
            stack.callback(made.stop)
            return made

        yield build
