"""A board on a pty or a HID device node, the gates that hang on it, our driver; inputs that see the arms, if wanted."""

import contextlib
import os
import threading
import time
from datetime import UTC, datetime

import msgspec
import pytest

from bridge.seen_elsewhere import SeenElsewhere
from drivers.base import ReleaseOrder, Target
from drivers.modbus_io import driver as modbus_driver
from drivers.modbus_io import sim as modbus_sim
from drivers.profile import DeviceTable, ExitTable, Eye
from drivers.usb_relay import driver, sim
from drivers.usb_relay.codec import Ask, encode
from drivers.usb_relay.options import BoardProfile
from parking.desk import ExitKind, Position
from parking.errors import Environment

PULSE = 0.06


class Gates:
    """The world behind the board; remembers each contact that closed or was taken for a hold, and moves the arms."""

    TRAVEL = 0.01

    def __init__(self):
        self.releases = []
        self.holds = []
        self._up_at = {}

    def release(self, exit_id, by, reference=""):
        self.releases.append((exit_id, time.monotonic()))
        self.raise_arm(exit_id)

    def hold(self, exit_id, on, by):
        self.holds.append((exit_id, on))

    def raise_arm(self, exit_id):
        """Also by hand."""
        self._up_at.setdefault(exit_id, time.monotonic() + self.TRAVEL)

    def lower_arms(self):
        """The cars are through."""
        self._up_at.clear()

    def position(self, exit_id):
        up_at = self._up_at.get(exit_id)
        if up_at is None:
            return Position.CLOSED
        return Position.OPEN if time.monotonic() >= up_at else Position.MOVING

    def held(self, exit_id):
        return False

    def vehicle(self, exit_id):
        return False


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
        self.gates, self.tape, self.intents, self.timers = Gates(), Tape(), [], []
        self.served = serve(self.gates, table(**options), run_dir)
        self.faults = self.served.faults
        self._questions, self._hear = 0, self.served.relays.hear
        self.served.relays.hear = self._heard
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

    def _heard(self, word):
        self._questions += isinstance(word, Ask)
        return self._hear(word)

    def heard_all(self):
        """Wait until a board that says nothing has heard all that was written to it: a question is last.

        One that answers has heard all when a reading ends; a question more would be answered while the next is asked.
        A HID board has heard what was written when the write ends.
        """
        options = self.driver._options
        if options.tells or options.profile is not BoardProfile.LCUS:
            return
        before = self._questions
        self.driver._link._port.write(encode(Ask()), time.monotonic() + 1)
        self.until(lambda: self._questions > before)

    def until(self, check, seconds=3.0):
        end = time.monotonic() + seconds
        while not check():
            assert time.monotonic() < end, "waited in vain"
            time.sleep(0.005)

    def after(self, seconds, call, *words):
        timer = threading.Timer(seconds, call, words)
        timer.daemon = True
        timer.start()
        self.timers.append(timer)

    def quiet(self):
        """Wait until nothing is to come any more."""
        while self.timers:
            self.timers.pop().join()

    def stop(self):
        self.driver.close()
        self.served.stop()


class SeenRig(Rig):
    """The same, and a board of inputs that sees the arms; both asked as the bridge asks them."""

    def __init__(self, run_dir, **options):
        super().__init__(run_dir, **options)
        seen = tuple(msgspec.structs.replace(one, seen_by=Eye(device="eye", channel=one.channel)) for one in exits())
        inputs = {"profile": "input_board", "framing": "tcp", "channels": 4}
        eye = DeviceTable(id="eye", family="modbus_io", timeout_seconds=0.05, options=inputs)
        self.eye = modbus_sim.serve(self.gates, eye, seen, run_dir)
        self.inputs = modbus_driver.create(msgspec.structs.replace(eye, url=self.eye.url), seen, lambda: None, None)
        self.both = SeenElsewhere(self.driver, {one.id: one for one in seen}, self.see)

    def see(self, device, targets, deadline):
        assert device == "eye"
        return self.inputs.read(targets, deadline)

    def release(self, channel=0, seconds=1.0, intend=None):
        return self.both.release(self.target(channel), self.order(seconds, intend))

    def stop(self):
        super().stop()
        self.inputs.close()
        self.eye.stop()


@pytest.fixture
def rig(tmp_path):
    """Builds rigs and takes them down."""
    with contextlib.ExitStack() as stack:

        def build(seen=False, **options):
            made = (SeenRig if seen else Rig)(options.pop("run_dir", tmp_path), **options)
            stack.callback(made.stop)
            return made

        yield build
