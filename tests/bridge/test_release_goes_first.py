"""A release goes ahead of status polling: on a real pty at 9600 baud, with the bridge's own port worker and watch."""

import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec.structs import replace

from bridge.board import Board
from bridge.core import Core
from bridge.journal import Journal
from bridge.machines import LotMachines
from bridge.port_jobs import PortJobs
from bridge.watch import LotWatch
from bridge.worker import Urgency
from drivers import profile
from drivers.base import ReleaseOrder
from drivers.modbus_io import sim
from drivers.modbus_io.pdu import Function
from drivers.simlot.world import World
from parking.desk import Position
from parking.signing import KeyRing

SEED = Path(__file__).parents[2] / "seeds" / "lots" / "bay-plates.toml"
SILENCE = 3.5 * 10 / 9600
POLL = {Function.READ_INPUTS: (8 + 5 + 5) * 10 / 9600, Function.READ_COILS: (8 + 5 + 3) * 10 / 9600}
"""Seconds on the wire of a poll's two exchanges: 20 plates and 20 cars, 20 holds."""
LOOK = (8 + 6) * 10 / 9600


def now():
    return datetime.now(UTC)


class Tape:
    """The requests that were written, with their times."""

    def __init__(self):
        self.requests = []
        self.begun = threading.Condition()

    def note(self, direction, data):
        if direction.value == "tx":
            with self.begun:
                self.requests.append((time.monotonic(), Function(data[1])))
                self.begun.notify_all()

    def wait_for(self, function):
        with self.begun:
            count = len(self.requests)
            assert self.begun.wait_for(lambda: function in [one for _, one in self.requests[count:]], 5)


class Line:
    """Twenty lock plates at 9600 baud, polled without a pause, and the worker that owns their port."""

    def __init__(self, run):
        read = profile.load(SEED)
        self.world, self.tape = World(read, run, now, speed=30), Tape()
        (table,) = read.device
        self.served = sim.serve(self.world, table, read.exit, run)
        table = replace(table, url=self.served.url, poll_seconds=0.05)
        lot = self.lot = LotMachines(replace(read, device=(table,)), now, tapping=lambda _: self.tape)
        self.journal = Journal(run / "journal.db")
        core = Core(
            journal=self.journal,
            keys=KeyRing({}),
            generation=1,
            clock=now,
            scene=lot.scene,
            perform=lambda case, effect: None,
            show=lambda view: None,
        )
        watch = LotWatch(lot=lot, known={}, core=core, board=Board([], [], now()), clock=now)
        self.jobs = PortJobs(lots={lot.lot: lot}, watches={lot.lot: watch}, core=core, clock=now)
        self.worker = self.jobs.workers[(lot.lot, table.id)]
        self.jobs.start()

    def release(self):
        """Order a release of bay 1 now; the requests from then to its command, and how long that took."""
        done, came = threading.Event(), []
        exit_ = self.lot.exits["1"]
        machine = self.lot.machines["plates"]

        def act():
            order = ReleaseOrder("DK-1-1", 1, time.monotonic() + 1, lambda raw, counter: None)
            came.append(machine.driver.release(machine.target(exit_), order))
            done.set()

        count, ordered = len(self.tape.requests), time.monotonic()
        self.worker.submit(Urgency.ACT, act)
        assert done.wait(5)
        since = self.tape.requests[count:]
        at = next(place for place, (_, function) in enumerate(since) if function is Function.WRITE_COIL)
        return came[0], [function for _, function in since[:at]], since[at][0] - ordered

    def stop(self):
        self.jobs.stop()
        self.served.stop()
        self.world.close()
        self.journal.close()


@pytest.fixture
def line(tmp_path):
    made = Line(tmp_path)
    yield made
    made.stop()


@pytest.mark.parametrize("function", POLL)
@pytest.mark.parametrize("into_it", [0.0, 0.004, 0.012])
def test_a_release_in_the_midst_of_a_poll_waits_for_that_one_exchange_alone(line, function, into_it):
    """Nothing of the poll, nor of polls that are due, is asked between the order and its command."""
    line.world.arrive(bay="1")
    while line.world.position("1") is not Position.CLOSED:
        time.sleep(0.02)
    line.tape.wait_for(function)
    time.sleep(into_it)
    _, asked_before, waited = line.release()
    assert asked_before in ([], [Function.READ_INPUTS])
    most = POLL[function] + SILENCE + (LOOK + SILENCE if asked_before else 0.0)
    assert waited <= most + 0.025, "a busy machine may add some milliseconds"
