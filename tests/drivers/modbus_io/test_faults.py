"""Releases under mishaps: each fault of the simulator, cash and keys meanwhile; the checker knows the history alone."""

import os
import random
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from drivers.base import Applied, Refused, Uncertain
from drivers.modbus_io.sim import Faults
from parking import errors
from parking.desk import Position
from parking.errors import Environment, NotSent
from parking.outcome import EvidenceKind, Level
from tests.rigs.figures import SEED, count, size

LIVES_AT_ONCE = 6
ORDERS_A_LIFE = 25
TIMEOUT, PATIENCE = 0.04, 0.2
"""Seconds for one answer, and for a whole order."""

STANDING = {
    "unplugged": lambda rng: True,
    "silent": lambda rng: True,
    "silent_once": lambda rng: True,
    "garbage": lambda rng: True,
    "delay_ms": lambda rng: rng.choice([5, 20, 35, 60, 90]),
}
AT_THE_COMMAND = {
    **STANDING,
    "drop_request_once": lambda rng: True,
    "drop_reply_once": lambda rng: True,
    "unplug_on_write": lambda rng: True,
}
PEOPLE = ("cash", "hand")


class Life:
    """One machine and our driver through many orders; what it counted."""

    def __init__(self, lot, rng):
        self.lot, self.rng = lot, rng
        lot.world.travel = 0.005
        self.ends, self.counted, self.people, self.timers = Counter(), Counter(), Counter(), []

    def run(self, orders):
        for number in range(orders):
            mishaps, outcome = self.order(number)
            self.ends[type(outcome)] += 1
            self.counted[f"exit orders under {len(mishaps)} mishaps"] += 1
        return self

    def order(self, number):
        """One order from the car at the exit to the quiet afterwards, checked."""
        lot, rng = self.lot, self.rng
        channel = rng.randrange(4)
        target = lot.target(channel)
        if rng.random() < 0.9:
            lot.world.put(target.exit, Position.CLOSED)
        if rng.random() < 0.3:
            lot.read(channel)  # as polling does: counters are read ahead
        before, self.people, intents = self.by_bus(), Counter(), []
        mishaps, at_the_command = self.plan(target.exit)

        def intend(raw, counter):
            intents.append(raw)
            at_the_command()

        try:
            outcome = lot.release(channel, PATIENCE, intend)
        except (NotSent, Environment) as error:
            outcome = error
        self.settle(channel)
        acted = self.by_bus() - before
        told = f"order {number} at {target.exit}: {mishaps}: {outcome!r}; by bus {dict(acted)}"
        assert len(intents) <= 1, told
        self.check(outcome, acted[target.exit], told)
        assert acted.total() == acted[target.exit], told
        return mishaps, outcome

    def plan(self, exit_id):
        """Begin up to two mishaps now or at the command; returns their names, and what is to happen at the command."""
        rng, faults = self.rng, self.lot.faults
        faults.act = rng.random() < 0.5
        names, later = [], []
        for _ in range(rng.choice([0, 1, 1, 1, 2])):
            if rng.random() < 0.25:
                who = rng.choice(PEOPLE)
                names.append(who)
                self.after(rng.uniform(0, PATIENCE), self.by_person, exit_id, who)
                continue
            at_once = rng.random() < 0.4
            mishaps = STANDING if at_once else AT_THE_COMMAND
            name = rng.choice(list(mishaps))
            names.append(name)
            later.append((name, mishaps[name](rng)))
            if at_once:
                setattr(faults, *later.pop())
            if rng.random() < 0.5:
                self.after(rng.uniform(0.01, PATIENCE), setattr, faults, name, getattr(Faults(), name))
        return names, lambda: [setattr(faults, *one) for one in later]

    def after(self, seconds, call, *words):
        timer = threading.Timer(seconds, call, words)
        timer.daemon = True
        timer.start()
        self.timers.append(timer)

    def by_person(self, exit_id, who):
        self.people[exit_id] += 1
        self.lot.world.release(exit_id, who)

    def by_bus(self):
        """Releases by exit that came over the bus: all that the checker knows."""
        return Counter(name for name, by, _ in list(self.lot.world.releases) if by == "bus")

    def settle(self, channel):
        """Everything works again, and nothing is under way any more."""
        for timer in self.timers:
            timer.join()
        self.timers = []
        time.sleep(2 * self.lot.world.travel)  # arms that somebody moved have arrived
        for name, value in vars(Faults()).items():
            setattr(self.lot.faults, name, value)
        end = time.monotonic() + 5
        while True:
            try:
                self.lot.read(channel, 0.5)
                return
            except errors.DaikoError:
                assert time.monotonic() < end, "the line does not come back"
                time.sleep(0.01)

    def check(self, outcome, acted, told):
        """What must hold whatever happened; `acted` is how often the machine was moved by us."""
        match outcome:
            case Refused() | NotSent() | Environment():
                assert acted == 0, told
            case Uncertain():
                assert acted <= 1, told
            case Applied(level, evidence):
                kinds = {proof.kind for proof in evidence}
                if kinds == {EvidenceKind.OBSERVED} and self.people:
                    # No counter and no answer: who raised the arm in these moments cannot be told (README.md).
                    assert level is Level.PHYSICALLY_OBSERVED, told
                    assert acted <= 1, told
                    self.counted["arms raised by somebody, taken for ours for want of a counter"] += acted == 0
                else:
                    assert acted == 1, told


@pytest.mark.timeout(size(120, 3600))
def test_a_random_life_of_relay_boards_and_lock_plates(rig, tmp_path):
    """At most one release an order; what is called done was done by us, what is called undone was not."""
    orders = size(60, 10_000)
    rng = random.Random(SEED)
    lives = []
    for number in range(-(-orders // ORDERS_A_LIFE)):
        folder = tmp_path / str(number)
        folder.mkdir()
        lives.append((folder, rng.choice(["lock_plate", "lock_plate", "relay_board"]), random.Random(rng.random())))

    def live(plan):
        folder, profile, dice = plan
        framing = dice.choice(["tcp", "tcp", "tcp", "rtu"])
        lot = rig(profile, framing, timeout=TIMEOUT, run_dir=folder, baud=115_200)
        try:
            return Life(lot, dice).run(ORDERS_A_LIFE)
        finally:
            lot.stop()

    ends = Counter()
    with ThreadPoolExecutor(min(LIVES_AT_ONCE, 3 * (os.cpu_count() or 1))) as pool:
        for life in pool.map(live, lives):
            ends += life.ends
            for what, often in life.counted.items():
                count(what, often)
    assert min(ends[kind] for kind in (Applied, Refused, Uncertain)) > 0, ends
    assert ends[NotSent] + ends[Environment] > 0, ends
    assert ends[Applied] > ends.total() / 3, ends
