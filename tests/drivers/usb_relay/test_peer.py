"""Our bytes, beside a stranger's: jumpstarter-driver-noyito-relay 0.9.0, a driver for such boards that is not ours.

The package itself is fetched, without the framework that it is a plug-in of: of that it uses two base classes and a
mark, which stand in here. What builds frames, talks to the port and reads answers is all its own.
"""

import subprocess
import sys

import pytest

from drivers.usb_relay.codec import BoardEar, Switch, encode

PACKAGE = "jumpstarter-driver-noyito-relay==0.9.0"
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
from jumpstarter_driver_noyito_relay.driver import NoyitoPowerSerial, _build_command

if sys.argv[2] == "frames":
    print(" ".join(_build_command(relay, on).hex() for relay in range(1, 9) for on in (1, 0)))
else:
    board = NoyitoPowerSerial(port=sys.argv[3], channel=int(sys.argv[4]))
    print(getattr(board, sys.argv[2])())
"""


@pytest.fixture(scope="module")
def stranger(tmp_path_factory):
    """Runs the stranger's driver: `frames`, or `on`, `off`, `status` with a port and a relay; what it prints."""
    folder = tmp_path_factory.mktemp("stranger")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-input", "--no-deps", "--target", str(folder)]
    try:
        done = subprocess.run([*pip, PACKAGE], capture_output=True, text=True, timeout=60, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip(f"pip did not install {PACKAGE} in time")
    if done.returncode:
        pytest.skip(f"pip cannot install {PACKAGE}: {done.stderr.strip()[-200:]}")

    def run(*words):
        command = [sys.executable, "-c", PROGRAM, str(folder), *map(str, words)]
        return subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout.strip()

    return run


@pytest.mark.timeout(100)
def test_a_stranger_writes_the_same_frames(stranger):
    ours = [encode(Switch(relay, on)) for relay in range(1, 9) for on in (True, False)]
    theirs = [bytes.fromhex(frame) for frame in stranger("frames").split()]
    assert theirs == ours
    assert BoardEar().feed(b"".join(theirs)) == [Switch(relay, on) for relay in range(1, 9) for on in (True, False)]


@pytest.mark.timeout(100)
def test_a_stranger_switches_our_simulated_board_and_reads_it(stranger, rig):
    lot = rig(answers=True, baud=9600)
    lot.driver.close()
    stranger("on", lot.served.url, 2)
    lot.until(lambda: lot.is_on(2))
    assert [name for name, _ in lot.gates.releases] == ["OUT1"]
    assert (stranger("status", lot.served.url, 2), stranger("status", lot.served.url, 1)) == ("on", "off")
    stranger("off", lot.served.url, 2)
    lot.until(lambda: not lot.is_on(2))


@pytest.mark.timeout(100)
def test_a_stranger_sees_what_our_driver_switched(stranger, rig):
    lot = rig(answers=True, baud=9600)
    lot.driver.hold_open(lot.target(0), lot.order())
    lot.driver.close()
    assert stranger("status", lot.served.url, 1) == "on"
