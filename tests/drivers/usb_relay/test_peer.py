"""Our bytes, beside strangers': jumpstarter-driver-noyito-relay 0.9.0 and pyhid-usb-relay 1.4.0, which are not ours.

The former is fetched without the framework that it is a plug-in of: of that it uses two base classes and a mark, which
stand in here. What builds frames, talks to the port and reads answers is all its own. Its HID driver opens a board by
its USB numbers, for which udev would have to know our device node; so the path is put in their place; and it reads with
`timeout_ms`, which the `hid` package calls `timeout`. Under it are that package and Debian's own libhidapi, neither of
which is the hidapi that we use.

The latter speaks to a USB device by control transfers. What it is given here as that device turns those for the feature
report into the same ioctl that hidapi calls, and answers the one for the product's name itself.
"""

import subprocess
import sys

import pytest

from drivers.usb_relay.codec import BoardEar, Switch, encode
from tests.rigs.strangers import python_with

PACKAGES = ("jumpstarter-driver-noyito-relay==0.9.0", "hid==1.0.9")
PROGRAM = """
import dataclasses, logging, sys, types

def module(name, **names):
    sys.modules[name] = types.ModuleType(name)
    vars(sys.modules[name]).update(names)

class Driver:
    logger = logging.getLogger("peer")

module("jumpstarter")
module("jumpstarter.driver", Driver=dataclasses.dataclass(kw_only=True)(Driver), export=lambda method: method)
module("jumpstarter_driver_power")
module("jumpstarter_driver_power.driver", PowerInterface=type("PowerInterface", (), {}), PowerReading=object)
sys.path.insert(0, sys.argv[1])
from jumpstarter_driver_noyito_relay.driver import NoyitoPowerHID, NoyitoPowerSerial, _build_command

if sys.argv[2] == "frames":
    print(" ".join(_build_command(relay, on).hex() for relay in range(1, 9) for on in (1, 0)))
else:
    place, relay = sys.argv[3], int(sys.argv[4])
    if place.startswith("hid://"):
        import hid

        class AtPath(hid.Device):
            def __init__(self, vendor, product):
                super().__init__(path=place.removeprefix("hid://").encode())

            def read(self, size, timeout_ms):
                return super().read(size, timeout_ms)

        hid.Device = AtPath
        board = NoyitoPowerHID(num_channels=4, channel=relay)
    else:
        board = NoyitoPowerSerial(port=place, channel=relay)
    print(getattr(board, sys.argv[2])())
"""
PYHID = """
import array, fcntl, os, sys
from pyhid_usb_relay.controller import Controller

SFEATURE, GFEATURE = 0xC0094806, 0xC0094807  # linux/hidraw.h, 9 bytes: the report's number, 0, and the report

class Device:
    iProduct, langids = 2, (0x0409,)

    def __init__(self, path):
        self.node = os.open(path, os.O_RDWR)

    def ctrl_transfer(self, bmRequestType, bRequest, wValue, wIndex, data_or_wLength, timeout=None):
        kind = bmRequestType, bRequest, wValue
        if kind == (0x80, 6, 0x0302):
            text = "USBRelay4".encode("utf-16-le")
            return array.array("B", bytes((2 + len(text), 3)) + text)
        if kind == (0x20, 9, 0x0300):
            fcntl.ioctl(self.node, SFEATURE, b"\\0" + bytes(data_or_wLength))
            return len(data_or_wLength)
        assert (*kind, data_or_wLength) == (0xA0, 1, 0x0300, 8)
        return array.array("B", fcntl.ioctl(self.node, GFEATURE, bytes(9))[1:])

board = Controller(Device(sys.argv[1]))
for word in sys.argv[2:]:
    relay, _, level = word.partition("=")
    if level:
        board[int(relay)] = level == "on"
print(board.serial, *("on" if board[relay] else "off" for relay in (1, 2, 3, 4)))
"""


@pytest.fixture(scope="module")
def stranger(tmp_path_factory):
    """Runs the stranger's driver: `frames`, or `on`, `off`, `status` with a port and a relay; what it prints."""
    folder = tmp_path_factory.mktemp("stranger")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-input", "--no-deps", "--target", str(folder)]
    try:
        done = subprocess.run([*pip, *PACKAGES], capture_output=True, text=True, timeout=60, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip(f"pip did not install {PACKAGES} in time")
    if done.returncode:
        pytest.skip(f"pip cannot install {PACKAGES}: {done.stderr.strip()[-200:]}")

    def run(*words):
        command = [sys.executable, "-c", PROGRAM, str(folder), *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
        if "Unable to load any of the following libraries" in done.stderr:
            pytest.skip("libhidapi is not installed (apt: libhidapi-hidraw0)")
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    return run


@pytest.mark.timeout(100)
def test_a_stranger_writes_the_same_frames(stranger):
    ours = [encode(Switch(relay, on)) for relay in range(1, 9) for on in (True, False)]
    theirs = [bytes.fromhex(frame) for frame in stranger("frames").split()]
    assert theirs == ours
    assert BoardEar().feed(b"".join(theirs)) == [Switch(relay, on) for relay in range(1, 9) for on in (True, False)]


BOARDS = {"serial": {"baud": 9600}, "hid": {"profile": "lcus_hid"}}


@pytest.mark.parametrize("kind", BOARDS)
@pytest.mark.timeout(100)
def test_a_stranger_switches_our_simulated_board_and_reads_it(stranger, rig, kind):
    lot = rig(answers=True, **BOARDS[kind])
    lot.driver.close()
    stranger("on", lot.served.url, 2)
    lot.until(lambda: lot.is_on(2))
    assert [name for name, _ in lot.gates.releases] == ["OUT1"]
    assert (stranger("status", lot.served.url, 2), stranger("status", lot.served.url, 1)) == ("on", "off")
    stranger("off", lot.served.url, 2)
    lot.until(lambda: not lot.is_on(2))


@pytest.mark.parametrize("kind", BOARDS)
@pytest.mark.timeout(100)
def test_a_stranger_sees_what_our_driver_switched(stranger, rig, kind):
    lot = rig(answers=True, **BOARDS[kind])
    lot.driver.hold_open(lot.target(0), lot.order())
    lot.driver.close()
    assert stranger("status", lot.served.url, 1) == "on"


@pytest.mark.timeout(200)
def test_a_stranger_and_our_driver_see_what_the_other_switched_by_feature_reports(rig):
    lot = rig(profile="dcttech")
    python = python_with("pyhid-usb-relay==1.4.0")

    def stranger(*words):
        command = [python, "-c", PYHID, lot.served.url.removeprefix("hid://"), *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.split()

    assert not lot.read(1).held
    assert stranger() == ["USB00", "off", "off", "off", "off"]
    assert stranger("2=on") == ["USB00", "off", "on", "off", "off"]
    assert [name for name, _ in lot.gates.releases] == ["OUT1"]
    assert (lot.read(0).held, lot.read(1).held) == (False, True)
    assert stranger("2=off", "4=on") == ["USB00", "off", "off", "off", "on"]
    lot.driver.hold_open(lot.target(0), lot.order())
    assert stranger() == ["USB00", "on", "off", "off", "on"]
    lot.driver.end_hold(lot.target(0), lot.order())
    assert stranger() == ["USB00", "off", "off", "off", "on"]
