"""A release goes ahead of status polling: on a real pty at 9600 baud, with the bridge's own port worker and watch."""

import statistics
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
from parking.outcome import Level
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

    def release(self, bay):
        """Order a release now; its outcome, the requests from then to its command, and how long that took."""
        done, came = threading.Event(), []
        exit_ = self.lot.exits[bay]
        machine = self.lot.machines["plates"]

        def act():
            order = ReleaseOrder("DK-1-1", 1, time.monotonic() + 2, lambda raw, counter: None)
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


def test_a_release_in_the_midst_of_a_poll_waits_for_that_one_exchange_alone(line):
    """Nothing of the poll, nor of polls that are due, is asked between the order and its command."""
    moments = [(function, into_it) for function in 2 * [*POLL] for into_it in (0.0, 0.004, 0.011)]
    bays = [str(bay) for bay in range(1, len(moments) + 1)]
    for bay in bays:
        line.world.arrive(bay=bay)
    while any(line.world.position(bay) is not Position.CLOSED for bay in bays):
        time.sleep(0.02)
    waits = []
    for bay, (function, into_it) in zip(bays, moments, strict=True):
        line.tape.wait_for(function)
        time.sleep(into_it)
        outcome, asked_before, waited = line.release(bay)
        assert outcome.level is Level.PHYSICALLY_OBSERVED
        assert asked_before in ([], [Function.READ_INPUTS]), "its own look is all that may come before"
        waits.append(waited - (LOOK + SILENCE if asked_before else 0.0))
    assert statistics.median(waits) <= max(POLL.values()) + 2 * SILENCE
