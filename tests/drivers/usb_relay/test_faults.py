"""Releases under mishaps of board, cable and eye: one contact an order at most, and in the end every relay is off."""

import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from drivers.base import Applied, Refused, Uncertain
from drivers.modbus_io.sim import Faults as EyeFaults
from drivers.usb_relay import codec, reports
from drivers.usb_relay.codec import Switch
from drivers.usb_relay.sim import Faults
from parking import errors
from parking.errors import Environment, NotSent
from parking.outcome import Level
from tests.rigs.figures import SEED, count, size

ORDERS_A_LIFE = 10
AT_ONCE = {"lcus": 16, "lcus_hid": 4, "dcttech": 4}
"""Lives that are lived side by side: they wait far more than they compute, but a HID board has a process of its own."""
SERIAL, FEATURE = (
    {encode(Switch(relay, on)) for relay in (1, 2) for on in (True, False)} for encode in (codec.encode, reports.encode)
)
QUESTIONS = {codec.encode(codec.Ask()), codec.encode(codec.Ask(frame=True))}
SAID = {"lcus": SERIAL | QUESTIONS, "lcus_hid": SERIAL | QUESTIONS, "dcttech": FEATURE}
"""All that a board of each profile may ever be told."""
MISHAPS = {
    "unplugged": lambda rng: True,
    "unplug_on_write": lambda rng: True,
    "drop_on_once": lambda rng: True,
    "drop_offs": lambda rng: rng.randint(1, 4),
    "silent": lambda rng: True,
}
EYE = {
    "unplugged": lambda rng: True,
    "silent": lambda rng: True,
    "silent_once": lambda rng: True,
    "garbage": lambda rng: True,
    "delay_ms": lambda rng: rng.choice([5, 20, 60]),
}
"""What can be wrong with the inputs that see the arms."""
LONGEST = 0.5
"""Seconds for an order; one whose arm is not seen to move takes so long."""


def order(lot, rng, seen):
    """One order under up to two mishaps, checked; the number of mishaps, and what came of it."""
    channel, faults = rng.randrange(2), lot.faults
    if rng.random() < 0.9:
        lot.gates.lower_arms()
    by_hand = blinded(lot, rng, channel) if seen else False
    faults.own_power, faults.act = rng.random() < 0.7, rng.random() < 0.5
    on = lot.driver._link.encode(Switch(channel + 1, True))
    before, written = len(lot.gates.releases), lot.tape.written.count(on)
    names = rng.sample(list(MISHAPS), rng.choice([0, 1, 1, 2]))
    early, late = [name for name in names if rng.random() < 0.5], []
    for name in names:
        if name in early:
            setattr(faults, name, MISHAPS[name](rng))
        else:
            late.append((name, MISHAPS[name](rng)))
        if rng.random() < 0.5:
            lot.after(rng.uniform(0.02, 0.4), setattr, faults, name, getattr(Faults(), name))

    def intend(raw, counter):
        for one in late:
            setattr(faults, *one)

    try:
        outcome = lot.release(channel, LONGEST, intend)
    except (NotSent, Environment) as error:
        outcome = error
    mend(lot, seen)
    acted = len(lot.gates.releases) - before
    twice = lot.tape.written.count(on) - written > 1
    told = f"{names}, early {early}, {faults.own_power=}, {faults.act=}: {outcome!r}; acted {acted}"
    assert not twice, told
    check(outcome, acted, seen, by_hand, told)
    return len(names), outcome


def check(outcome, acted, seen, by_hand, told):
    """What must hold whatever happened; `acted` is how often the relay's contact closed."""
    assert acted <= 1, told
    match outcome:
        case Refused() | NotSent() | Environment():
            assert acted == 0, told
        case Applied(level=Level.PHYSICALLY_OBSERVED):
            assert seen, told
            assert acted == 1 or by_hand, told  # who raised the arm in these moments, nobody can tell
            if not acted:
                count("arms raised by hand, taken for ours")
        case Applied(level=Level.LINK_ACKED):
            assert acted == 1, told
        case Applied(level):
            assert level is Level.SENT, told


def blinded(lot, rng, channel):
    """Something is wrong with the eye, now or soon, for a while or to the end; whether somebody raises the arm, too."""
    faults, plan = lot.eye.faults, rng.random()
    if plan < 0.4:
        name = rng.choice(list(EYE))
        lot.after(rng.choice([0.0, rng.uniform(0.0, 0.2)]), setattr, faults, name, EYE[name](rng))
        if rng.random() < 0.5:
            lot.after(rng.uniform(0.05, 0.3), setattr, faults, name, getattr(EyeFaults(), name))
    if not 0.3 < plan < 0.5:
        return False
    lot.after(rng.uniform(0.0, 0.2), lot.gates.raise_arm, lot.target(channel).exit)
    return True


def mend(lot, seen):
    """Everything works again; the next reading of the bridge finds the port and every relay off."""
    lot.quiet()
    for name, value in vars(Faults()).items():
        setattr(lot.faults, name, value)
    if seen:
        for name, value in vars(EyeFaults()).items():
            setattr(lot.eye.faults, name, value)

    def read():
        try:
            return not lot.read().held
        except errors.DaikoError:
            return False

    lot.until(read)
    lot.heard_all()
    lot.until(lambda: not lot.is_on(1) and not lot.is_on(2))


@pytest.mark.timeout(size(120, 3600))
@pytest.mark.parametrize(
    ("profile", "seen", "orders"),
    [
        ("lcus", False, size(40, 10_000)),
        ("lcus", True, size(40, 10_000)),
        ("lcus_hid", False, size(20, 1_000)),
        ("dcttech", False, size(20, 1_000)),
    ],
    ids=["alone", "seen", "HID frames", "HID reports"],
)
def test_a_random_life_of_a_relay_board(rig, tmp_path, monkeypatch, profile, seen, orders):
    monkeypatch.setattr("drivers.usb_relay.board.OFF_PATIENCE", 0.3)
    rng = random.Random(f"{SEED} {profile} {seen}")
    lives = [(tmp_path / str(number), random.Random(rng.random())) for number in range(orders // ORDERS_A_LIFE)]

    def live(plan):
        folder, dice = plan
        folder.mkdir()
        lot = rig(seen, run_dir=folder, profile=profile, answers=profile == "lcus_hid" or dice.random() < 0.5)
        try:
            return [order(lot, dice, seen) for _ in range(ORDERS_A_LIFE)]
        finally:
            lot.stop()
            assert {data for direction, data, _ in lot.tape.chunks if direction == "tx"} <= SAID[profile]

    ends, tried = Counter(), Counter()
    where = f"({profile}) with inputs that see the arm" if seen else f"({profile}) alone"
    with ThreadPoolExecutor(AT_ONCE[profile]) as pool:
        for life in pool.map(live, lives):
            for mishaps, outcome in life:
                ends[type(outcome)] += 1
                end = outcome.level.name.lower() if isinstance(outcome, Applied) else type(outcome).__name__.lower()
                tried[f"orders to a USB relay {where}, under {mishaps} mishaps of the relay"] += 1
                tried[f"orders to a USB relay {where}, that ended as {end}"] += 1
    for what, often in tried.items():
        count(what, often)
    assert min(ends[Applied], ends[Uncertain]) > 0, ends
    assert orders < 1000 or ends[NotSent] + ends[Environment] > 0, ends
