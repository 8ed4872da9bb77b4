"""The relay with real machines: a second pulse never goes out without a look that proves the first one did nothing.

A lock-plate controller counts what it was told; a relay board times its pulse itself and counts nothing. Real sockets.
"""

import dataclasses
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from bridge import events, relay
from bridge.case import Case, Step
from bridge.machines import LotMachines
from drivers import profile
from drivers.base import Retry
from drivers.modbus_io import sim
from drivers.modbus_io.pdu import Function
from drivers.simlot.world import World
from parking.desk import CasePhase
from parking.errors import Code, NotSent
from parking.outcome import EvidenceKind
from parking.stay import NameKind, StayRef

SEED = Path(__file__).parents[2] / "seeds" / "lots" / "gated-host.toml"
COUNTS = {"profile": "lock_plate", "framing": "tcp", "car_base": -1}
COUNTS_NOTHING = {"profile": "relay_board", "framing": "tcp", "pulse_ms": 300}
OBSERVE = 1.2


def now():
    return datetime.now(UTC)


class Lane:
    """One exit, and a relay that carries its case through without the rest of the bridge."""

    def __init__(self, run, options):
        read = profile.load(SEED)
        host, gate = read.device
        gate = replace(gate, options=options, timeout_seconds=0.15)
        self.world = World(read, run, now)
        self.served = sim.serve(self.world, gate, read.exit, run)
        self.asked = []
        times = replace(read.times, observe=OBSERVE)
        lot = replace(read, device=(host, replace(gate, url=self.served.url)), times=times)
        self.machines = LotMachines(lot, now, tapping=lambda table: self if table.id == "gate" else None)
        paid = now()
        self.case = Case(
            lot=self.machines.lot,
            number=1,
            reference="DK-1-1",
            stay=StayRef(NameKind.TICKET, "12345678", paid.replace(microsecond=0)),
            amount=100,
            paid_at=paid,
            valid_until=paid + timedelta(minutes=9),
            since=paid,
            exit="OUT1",
        )
        self.scene = dataclasses.replace(self.machines.scene(self.case, rival=False), steps=(Step.RELEASE,))
        self.looks, self.ahead = 0, timedelta(0)

    def now(self):
        """The relay's time: it goes on faster while it waits for its next look."""
        return now() + self.ahead

    def note(self, direction, data):
        if direction.value == "tx":
            self.asked.append(Function(data[7]))

    def hear(self, event):
        self.case, effects = relay.step(self.case, event, self.now(), self.scene)
        for effect in effects:
            if isinstance(effect, events.Act):
                self.hear(self.act())
            elif isinstance(effect, events.Look):
                self.looks += 1
                self.hear(self.machines.look(self.case, self.now()))

    def act(self):
        attempt = self.case.attempt
        try:
            return events.Finished(attempt, self.machines.act(self.case, {}, self.intend))
        except NotSent as error:
            return events.NothingSent(attempt, error.code, error.detail)

    def intend(self, raw, counter):
        self.hear(events.Intending(self.case.attempt, raw, counter))

    def go(self, looks=4):
        """Until it is over, or has looked in vain so often."""
        self.hear(events.Start())
        while not self.case.over and self.looks < looks:
            self.ahead += max(
                self.case.due - self.now(), timedelta(0)
            )  # nothing moves any more that is worth waiting for
            self.hear(events.Due())
        return self.case

    def releases(self):
        return [entry["by"] for entry in self.world.history() if entry["what"] == "release"]

    def between_commands(self):
        """What was asked after the first command and before the second."""
        first = self.asked.index(Function.WRITE_COIL)
        return self.asked[first + 1 : self.asked.index(Function.WRITE_COIL, first + 1)]

    def stop(self):
        self.machines.machines["gate"].driver.close()
        self.served.stop()
        self.world.close()


@pytest.fixture
def lane(tmp_path):
    made = []

    def build(options):
        made.append(Lane(tmp_path, options))
        return made[0]

    yield build
    made[0].stop()


def test_where_the_device_counts_a_lost_pulse_goes_again_after_a_look(lane):
    gate = lane(COUNTS)
    assert gate.scene.release_retry is Retry.QUERY_FIRST
    gate.served.faults.drop_request_once = True
    case = gate.go()
    assert (case.phase, case.sent, gate.releases()) == (CasePhase.SETTLED, 2, ["bus"])
    looked = gate.between_commands()
    assert {Function.READ_REGISTERS, Function.READ_INPUTS} <= set(looked)
    assert gate.looks >= 1


def test_where_the_device_counts_a_pulse_whose_answer_is_lost_does_not_go_again(lane):
    gate = lane(COUNTS)
    gate.served.faults.drop_reply_once = True
    case = gate.go()
    assert (case.phase, case.sent, gate.releases()) == (CasePhase.SETTLED, 1, ["bus"])
    assert EvidenceKind.COUNTER in {proof.kind for proof in case.evidence}


def test_where_nothing_counts_a_lost_pulse_is_a_doubt_for_a_person_and_never_goes_again(lane):
    gate = lane(COUNTS_NOTHING)
    assert gate.scene.release_retry is Retry.NEVER
    gate.served.faults.drop_request_once = True
    case = gate.go()
    assert (case.phase, case.sent, gate.releases()) == (CasePhase.IN_DOUBT, 1, [])
    assert gate.looks == 4
    assert gate.asked.count(Function.WRITE_COIL) == 1


def test_where_nothing_counts_a_pulse_whose_answer_is_lost_is_seen_and_does_not_go_again(lane):
    gate = lane(COUNTS_NOTHING)
    gate.served.faults.drop_reply_once = True
    case = gate.go()
    assert (case.phase, case.sent, gate.releases()) == (CasePhase.SETTLED, 1, ["bus"])
    assert {proof.kind for proof in case.evidence} == {EvidenceKind.OBSERVED}


@pytest.mark.parametrize("options", [COUNTS, COUNTS_NOTHING])
@pytest.mark.parametrize("acted", [False, True])
def test_nothing_goes_again_while_nobody_can_look(lane, options, acted):
    gate = lane(options)
    gate.served.faults.unplug_on_write, gate.served.faults.act = True, acted
    case = gate.go(looks=3)
    assert (case.phase, case.sent, len(gate.releases())) == (CasePhase.IN_DOUBT, 1, acted)
    assert gate.asked.count(Function.WRITE_COIL) == 1
    assert case.code in (Code.NO_REPLY, Code.LINK_DOWN)
