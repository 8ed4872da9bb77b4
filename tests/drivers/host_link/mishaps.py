"""What tests do to each kind of host, and what they wait for."""

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import msgspec

from parking.errors import Environment, NotSent

WAYS = ("http", "sqlite", "postgresql", "firebird", "folder")
ORDERS = ("sqlite", "postgresql", "firebird", "folder")
ROOT = Path(__file__).parents[3]


def soon(seconds: float = 2.0) -> float:
    return time.monotonic() + seconds


def until(look: Any, seconds: float = 5.0) -> Any:
    """The first true thing that `look` returns; the last one, if none is."""
    end = time.monotonic() + seconds
    while not (seen := look()) and time.monotonic() < end:
        time.sleep(0.02)
    return seen


def brief(lane: Any) -> float:
    """Seconds in which an order can be left, and not much more. Each look at Firebird is a connection of its own."""
    return 0.8 if lane.way == "firebird" else 0.4


def said(lane: Any, kind: type) -> Any:
    testimony = lane.who()
    return testimony if isinstance(testimony, kind) else None


def settled(lane: Any) -> Any:
    try:
        return lane.settle()
    except (NotSent, Environment):
        return None


def away(lane: Any) -> None:
    """Nobody is there: the plug is out, the server has ended, file or folder are gone."""
    if lane.server is not None:
        lane.server.stop()
    else:
        lane.served.faults.unplugged = True
        time.sleep(0.1)


def back(lane: Any) -> None:
    if lane.server is not None:
        lane.server.start()
    lane.served.faults.unplugged = False


def mute(lane: Any, on: bool) -> None:
    """Somebody is there and says nothing."""
    if lane.server is not None:
        lane.server.freeze(on)
    elif lane.way == "http":
        lane.served.faults.silent = on
    elif lane.way == "sqlite":
        lane.served.faults.locked = on
        time.sleep(0.1)
    else:
        lane.served.faults.no_export = on
        if on:
            time.sleep(0.1)
            (lane.served._folder / "stays.csv").write_text("ticket_no,entry")


def quiet(lane: Any, on: bool) -> None:
    """The host takes what comes and does not answer it."""
    if lane.way == "http":
        lane.served.faults.delay_ms = 300 if on else 0
    else:
        lane.served.faults.stopped = on


CHILD = """
import json, sys, time
from datetime import UTC, datetime
import msgspec
from drivers import base
from drivers.host_link.driver import create
from drivers.profile import DeviceTable
from parking.stay import NameKind, StayRef

device, ticket = msgspec.json.decode(sys.argv[1], type=DeviceTable), sys.argv[2]
driver = create(device, (), lambda: datetime.now(UTC))
tell = lambda raw, counter: print("intent", flush=True)
stay = StayRef(NameKind.TICKET, ticket)
driver.settle(base.SettleOrder(stay, 600, "DK-1002-1", datetime.now(UTC), 1, time.monotonic() + 20, tell))
"""


def killed_after_writing(lane: Any) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, msgspec.json.encode(lane.device).decode(), lane.ticket],
        cwd=ROOT,
        stdout=subprocess.PIPE,
    )
    assert child.stdout is not None
    assert child.stdout.readline() == b"intent\n"
    if lane.way == "http":
        assert until(lambda: lane.references())
    else:
        assert until(lambda: lane.driver._host.slip("DK-1002-1", soon()))
    child.kill()
    child.wait()
    child.stdout.close()
