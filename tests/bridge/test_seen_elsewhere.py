"""An exit that a plain USB relay moves and an input board sees. Real ptys, sockets and ports' threads."""

import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from bridge.case import Case, Step
from bridge.events import Finding
from bridge.machines import LotMachines
from bridge.worker import PortWorker, Urgency
from drivers import profile
from drivers.base import Applied, Refused, Uncertain
from drivers.modbus_io import sim as modbus_sim
from drivers.simlot.world import World
from drivers.usb_relay import sim as usb_sim
from parking.commands import Verb
from parking.desk import Position
from parking.errors import Code, DaikoError, Environment, NotSent
from parking.outcome import EvidenceKind, Level
from parking.stay import NameKind, StayRef

SEED = Path(__file__).parents[2] / "seeds" / "lots" / "usb-relay.toml"
SIMS = {"relay": usb_sim, "inputs": modbus_sim}


def now():
    return datetime.now(UTC)


class Lane:
    """The exit lane of the seed lot: both devices served, each on a port's thread of its own."""

    def __init__(self, run):
        read = profile.load(SEED)
        self.world = World(read, run, now)
        self.served = {
            name: sim.serve(self.world, self.table(read, name), read.exit, run) for name, sim in SIMS.items()
        }
        quick = tuple(replace(self.table(read, name), url=self.served[name].url, timeout_seconds=0.4) for name in SIMS)
        host = self.table(read, "host")
        self.profile = replace(read, device=(host, *quick), times=replace(read.times, observe=1.2))
        self.machines = LotMachines(self.profile, now)
        self.workers = {name: PortWorker(name) for name in SIMS}
        self.asked_on = []
        self.machines.on_port = self.on_port
        for worker in self.workers.values():
            worker.start()
        self.exit = self.machines.exits["OUT1"]
        self.intents = []

    @staticmethod
    def table(read, name):
        return next(device for device in read.device if device.id == name)

    @property
    def relay(self):
        return self.served["relay"].faults

    @property
    def inputs(self):
        return self.served["inputs"].faults

    def on_port(self, device, job, deadline):
        def noted():
            self.asked_on.append((device, threading.current_thread().name))
            return job()

        return self.workers[device].ask(Urgency.LOOK, noted, deadline)

    def on_relays_port(self, job):
        return self.workers["relay"].ask(Urgency.ACT, job, time.monotonic() + 20)

    def intend(self, raw, counter):
        self.intents.append(raw)

    def case(self):
        stay = StayRef(NameKind.TICKET, "12345678", now().replace(microsecond=0))
        paid = now()
        return Case(
            lot=self.machines.lot,
            number=1,
            reference="DK-1-1",
            stay=stay,
            amount=100,
            paid_at=paid,
            valid_until=paid + timedelta(minutes=9),
            since=paid,
            exit="OUT1",
            step=Step.RELEASE,
            attempt=1,
            sent=1,
        )

    def release(self):
        return self.on_relays_port(lambda: self.machines.act(self.case(), {}, self.intend))

    def by_hand(self, verb):
        return self.on_relays_port(lambda: self.machines.by_hand(verb, self.exit, "HAND-1", self.intend))

    def read(self):
        machine = self.machines.machines["relay"]
        return self.on_relays_port(lambda: self.machines.read_exits(machine))[0]

    def released(self):
        return [entry["by"] for entry in self.world.history() if entry["what"] == "release"]

    def raise_arm(self):
        self.world.release("OUT1", "hand")
        while self.world.position("OUT1") is not Position.OPEN:
            time.sleep(0.01)

    def stop(self):
        for worker in self.workers.values():
            worker.stop(5)
        for name, served in self.served.items():
            self.machines.machines[name].driver.close()
            served.stop()
        self.world.close()


@pytest.fixture
def lane(tmp_path):
    made = Lane(tmp_path)
    yield made
    made.stop()


def test_a_release_by_a_relay_that_says_nothing_is_seen_by_the_inputs(lane):
    outcome = lane.release()
    assert isinstance(outcome, Applied)
    assert outcome.level is Level.PHYSICALLY_OBSERVED
    assert [(proof.kind, proof.text) for proof in outcome.evidence] == [
        (EvidenceKind.OBSERVED, "inputs: closed before, open after")
    ]
    assert lane.released() == ["bus"]


def test_each_device_is_asked_on_the_thread_of_its_own_port(lane):
    lane.release()
    assert set(lane.asked_on) == {("inputs", "port-inputs")}


def test_what_is_open_already_is_refused_before_any_intent(lane):
    lane.raise_arm()
    outcome = lane.release()
    assert isinstance(outcome, Refused)
    assert (outcome.code, lane.intents, lane.released()) == (Code.CONFLICT, [], ["hand"])


@pytest.mark.parametrize("fault", ["silent", "unplugged"])
def test_nothing_is_sent_while_nobody_sees_the_exit(lane, fault):
    setattr(lane.inputs, fault, True)
    time.sleep(0.1)
    with pytest.raises(NotSent):
        lane.release()
    assert (lane.intents, lane.released()) == ([], [])


def test_a_release_that_is_lost_is_sent_and_no_more(lane):
    lane.relay.drop_on_once = True
    outcome = lane.release()
    assert isinstance(outcome, Applied)
    assert (outcome.level, lane.released()) == (Level.SENT, [])


def test_eyes_that_close_after_the_command_leave_it_at_sent(lane):
    def blind(raw, counter):
        lane.inputs.silent = True

    lane.intend = blind
    outcome = lane.release()
    assert isinstance(outcome, Applied)
    assert (outcome.level, lane.released()) == (Level.SENT, ["bus"])


def test_a_relay_that_may_still_be_on_stays_a_doubt_though_the_arm_is_seen_up(lane, monkeypatch):
    monkeypatch.setattr("drivers.usb_relay.board.OFF_PATIENCE", 0.3)
    lane.relay.own_power = lane.relay.unplug_on_write = lane.relay.act = True
    outcome = lane.release()
    assert isinstance(outcome, Uncertain)
    assert "may still be on" in outcome.detail
    while lane.world.position("OUT1") is not Position.OPEN:
        time.sleep(0.01)
    proof = lane.on_relays_port(lambda: lane.machines.look(lane.case(), now()))
    assert (proof.finding, proof.evidence[0].kind) == (Finding.OURS, EvidenceKind.OBSERVED)
    with pytest.raises(DaikoError, match="relay 1 may be on"):
        lane.read()


def test_holds_come_from_the_relay_and_positions_from_the_inputs(lane):
    assert (lane.read().position, lane.read().held) == (Position.CLOSED, False)
    outcome = lane.by_hand(Verb.HOLD_OPEN)
    assert outcome.level is Level.PHYSICALLY_OBSERVED
    assert [proof.text for proof in outcome.evidence] == ["inputs: open"]
    assert (lane.read().position, lane.read().held) == (Position.OPEN, True)
    lane.by_hand(Verb.END_HOLD)
    assert not lane.read().held


def test_an_order_by_hand_is_seen_as_well(lane):
    assert lane.by_hand(Verb.RELEASE).level is Level.PHYSICALLY_OBSERVED


def test_a_device_that_sees_nothing_cannot_be_named(lane):
    blind = replace(lane.exit, device="inputs", seen_by=profile.Eye(device="relay", channel=0))
    wrong = replace(lane.profile, exit=(blind,))
    with pytest.raises(Environment, match="cannot"):
        LotMachines(wrong, now)
    host = replace(lane.exit, seen_by=profile.Eye(device="host", channel=0))
    with pytest.raises(Environment, match="'host' cannot see exits"):
        LotMachines(replace(lane.profile, exit=(host,)), now)


def test_an_exit_that_nobody_sees_is_warned_of_when_more_is_wanted_than_sent(lane, caplog):
    assert "in doubt" not in caplog.text
    unseen = replace(lane.profile, exit=(replace(lane.exit, seen_by=None),))
    LotMachines(unseen, now)
    assert (
        "exit OUT1: sent at best, done_when = physically_observed: every payment there will end in doubt" in caplog.text
    )
