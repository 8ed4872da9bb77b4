"""Releases under mishaps of board and cable: one contact an order at most, and in the end every relay is off."""

import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from drivers.base import Applied, Refused, Uncertain
from drivers.usb_relay import codec, reports
from drivers.usb_relay.codec import Switch
from drivers.usb_relay.sim import Faults
from parking import errors
from parking.errors import Environment, NotSent
from parking.outcome import Level
from tests.rigs.figures import SEED, count, size

ORDERS_A_LIFE = 10
SERIAL, FEATURE = (
    {encode(Switch(relay, on)) for relay in (1, 2) for on in (True, False)} for encode in (codec.encode, reports.encode)
)
QUESTIONS = {codec.encode(codec.Ask()), codec.encode(codec.Ask(frame=True))}
BOARDS = {
    "serial": {},
    "serial that answers": {"answers": True},
    "HID frames": {"profile": "lcus_hid", "answers": True},
    "HID reports": {"profile": "dcttech"},
}
MISHAPS = {
    "unplugged": lambda rng: True,
    "unplug_on_write": lambda rng: True,
    "drop_on_once": lambda rng: True,
    "drop_offs": lambda rng: rng.randint(1, 4),
    "silent": lambda rng: True,
}


def order(lot, rng):
    """One order under up to two mishaps, checked; the number of mishaps, and what came of it."""
    channel, faults = rng.randrange(2), lot.faults
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
        outcome = lot.release(channel, 1.0, intend)
    except (NotSent, Environment) as error:
        outcome = error
    mend(lot)
    acted = len(lot.gates.releases) - before
    told = f"{names}, early {early}, {faults.own_power=}, {faults.act=}: {outcome!r}; acted {acted}"
    assert lot.tape.written.count(on) - written <= 1, told
    assert acted <= 1, told
    match outcome:
        case Refused() | NotSent() | Environment():
            assert acted == 0, told
        case Applied(level=Level.LINK_ACKED):
            assert acted == 1, told
        case Applied(level):
            assert level is Level.SENT, told
    return len(names), outcome


def mend(lot):
    """Everything works again; the next reading of the bridge finds the port and every relay off."""
    lot.faults.drop_offs = 0
    for _ in range(2):  # a mishap that was to end later may end just now
        for name, value in vars(Faults()).items():
            setattr(lot.faults, name, value)

    def read():
        try:
            return not lot.read().held
        except errors.DaikoError:
            return False

    lot.until(read)
    lot.until(lambda: not lot.is_on(1) and not lot.is_on(2))


@pytest.mark.timeout(size(120, 3600))
@pytest.mark.parametrize("board", BOARDS)
def test_a_random_life_of_a_relay_board(rig, tmp_path, monkeypatch, board):
    monkeypatch.setattr("drivers.usb_relay.board.OFF_PATIENCE", 0.3)
    orders, rng = size(20, 1_000), random.Random(SEED)
    lives = [(tmp_path / str(number), random.Random(rng.random())) for number in range(orders // ORDERS_A_LIFE)]

    def live(plan):
        folder, dice = plan
        folder.mkdir()
        lot = rig(run_dir=folder, **BOARDS[board])
        try:
            return [order(lot, dice) for _ in range(ORDERS_A_LIFE)]
        finally:
            lot.stop()
            chunks = {data for direction, data, _ in lot.tape.chunks if direction == "tx"}
            assert chunks <= (FEATURE if board == "HID reports" else SERIAL | QUESTIONS)

    ends = Counter()
    with ThreadPoolExecutor(4) as pool:
        for life in pool.map(live, lives):
            for mishaps, outcome in life:
                ends[type(outcome)] += 1
                count(f"orders to a USB relay ({board}) under {mishaps} mishaps")
    assert min(ends[Applied], ends[Uncertain]) > 0, ends
    assert orders < 1000 or ends[NotSent] + ends[Environment] > 0, ends
