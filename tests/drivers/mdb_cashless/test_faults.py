"""Payments by the hundred with every mishap of the simulator, and a checker that looks at the station's own books.

What it holds against each other: the outcomes and testimonies of the driver, and the sales that the station's history
tells. It knows nothing of lines, stages or blocks.
"""

import dataclasses
import random
from collections import Counter
from dataclasses import dataclass, field

import pytest

from drivers.base import Applied, Cash, Nobody, Ours, Refused, Uncertain
from drivers.mdb_cashless.simfaults import Faults
from parking.errors import Code, DaikoError, Environment, NotSent
from tests.rigs.figures import SEED, count, size
from tests.rigs.mdb_station import Rig, SteppedRig

SHARDS = 4
ON_PTYS = size(6, 50)
STEPPED = size(150, 2_500)
PATIENCE = 0.15
UNDISTURBED = 10.0
"""Seconds for an order that nothing befalls, on a busy computer."""

ONCE = (
    *("drop_approval_once", "drop_success_once", "drop_said_once", "fail_after_approval"),
    *("reset_before_approval", "reset_after_approval", "cancel_first", "cancel_second"),
    *("restart_on_approval", "restart_after_approval", "refuse_approval_once"),
)
MANNERS = ("two_digits", "tells_cancel", "tells_reset", "is_on")
"""How adapters differ; no mishaps."""
AROUND = (
    *("garbage", "bus_garbage", "slow", "late", "silent", "unplugged", "restart", "cancel", "cash", "twice", "dies"),
    "switched_off",
)


@dataclass
class Payment:
    """What was tried for one ticket, and what was said of it."""

    ticket: int
    amount: int
    mishaps: tuple[str, ...]
    results: dict[str, object] = field(default_factory=dict)
    testimonies: dict[str, object] = field(default_factory=dict)


def line_sales(history, ticket):
    """What the station itself says that its line has paid for a ticket."""
    return [
        int(line["yen"])
        for line in history
        if line["what"] == "sold" and line["by"] == "line" and line["ticket"] == str(ticket)
    ]


def check(payment, history):
    """Raises AssertionError for a payment that broke a promise."""
    sales, results = line_sales(history, payment.ticket), list(payment.results.values())
    assert len(sales) <= 1, "sold twice"
    assert sales in ([], [payment.amount]), "another amount was sold"
    applied = [one for one in results if isinstance(one, Applied)]
    doubtful = [one for one in results if isinstance(one, Uncertain)]
    assert len(applied) <= len(sales), "said to be done, but nothing was sold"
    assert len(sales) <= len(applied) + len(doubtful), "sold after every order was certainly undone"
    for reference, said in payment.testimonies.items():
        if isinstance(said, Ours):
            assert sales, "witnessed, but not sold"
            assert said.reference == reference
        if isinstance(said, Nobody):
            assert not sales, "witnessed as not sold, but it was"
        if isinstance(said, Cash):
            assert sales, "witnessed as paid by another, but nobody did"
        if isinstance(payment.results[reference], Applied):
            assert isinstance(said, Ours), "done, but the witness does not know"
        if isinstance(payment.results[reference], Refused | NotSent):
            assert not isinstance(said, Ours), "undone, but the witness says it was ours"


def befall(here, dice, mishap):
    """Order a mishap; what has to be waited for comes back."""
    faults, when = here.faults, dice.uniform(0, 0.04)
    if mishap in ONCE:
        setattr(faults, mishap, True)
    match mishap:
        case "garbage" | "bus_garbage":
            setattr(faults, mishap, True)
        case "slow":
            faults.byte_us = dice.randint(20, 200)
        case "late":
            faults.late_success_ms = dice.randint(5, 300)
        case "silent" | "unplugged" | "restart" | "switched_off":
            return [here.soon_after(when, lambda: setattr(faults, mishap, True))]
        case "cancel":
            return [here.soon_after(when, here.station.cancel)]
        case "cash":
            return [here.soon_after(when, lambda: here.station.open and here.station.pay_cash())]
    return []


def clear(faults):
    for one in dataclasses.fields(Faults):
        setattr(faults, one.name, one.default)


def pay(here, dice, payment, stay, reference):
    """One order; its result, which comes in time whatever happens."""
    intends = []
    patience = PATIENCE if payment.mishaps else UNDISTURBED
    latest = here.soon(patience + 2 * patience)

    def intend(raw, counter):
        intends.append(raw)
        if "dies" in payment.mishaps:
            raise NotSent(Code.JOURNAL, "disk full")

    try:
        result = here.settle(stay, payment.amount, patience, reference, intend)
    except Environment as error:
        result = NotSent(error.code, error.detail)  # the port has gone: just as certain
    except NotSent as error:
        result = error
    assert here.soon(0) < latest + 2, "stuck"
    assert isinstance(result, Applied | Refused | Uncertain | NotSent)
    assert len(intends) <= 1
    return result


def one_payment(here, dice):
    """A customer with a phone, and what befalls them."""
    mishaps = tuple(dice.sample(ONCE + AROUND, dice.choice((0, 1, 1, 1, 2, 2, 3))))
    amount = dice.choice((1, 100, 450, 1_200, dice.randint(1, 65_534)))
    for manner in MANNERS:
        setattr(here.faults, manner, dice.random() < 0.5)
    stay = here.ask(amount)
    payment = Payment(here.station.ticket, amount, mishaps)
    waiting = [timer for one in mishaps for timer in befall(here, dice, one)]
    if dice.random() < 0.3:
        here.rest(dice.uniform(0, 0.03))
    references = ["DK-1", "DK-2"] if "twice" in mishaps else ["DK-1"]
    for reference in references:
        payment.results[reference] = pay(here, dice, payment, stay, reference)
    for timer in waiting:
        timer()
    clear(here.faults)
    here.station.cancel()
    settle_down(here)
    for reference in references:
        payment.testimonies[reference] = here.driver.who_settled(stay, reference, here.soon())
    return payment


def settle_down(here):
    """Until the line is there and nothing is asked for.

    Where the machine's last words were lost and the line did not break, nothing tells: until the next customer comes.
    """
    here.settled_in()
    for _ in range(4):
        for _ in range(15):
            if quiet(here):
                return
            here.rest(0.1)
        here.station.ask(1)
        here.rest(0.1)
        here.station.cancel()
        count("mdb_cashless: stale request ended by the next customer")
    reader = here.driver._serving._peripheral
    raise AssertionError(f"nothing is asked for, and the driver never notices: {reader.alive}, {reader.request}")


def quiet(here):
    """Whether the line is there and nothing is asked for."""
    try:
        return here.driver.stays(here.soon(0.2)) == ()
    except DaikoError:
        return False


def begins(shard):
    """One shard of machines that want their sessions begun by the reader."""
    return {"sessions": "begin_session", "credit": 65_534} if shard == SHARDS - 1 else {}


def run(here, dice, payments):
    """So many payments, each checked at once and once more at the end."""
    made, tried = [], Counter()
    for _ in range(payments):
        payment = one_payment(here, dice)
        check(payment, here.world.history)
        made.append(payment)
        tried.update(payment.mishaps or ("nothing",))
        tried.update(type(one).__name__ for one in payment.results.values())
        if not payment.mishaps:
            assert isinstance(payment.results["DK-1"], Applied), payment
    for payment in made[-200:]:
        check(payment, here.world.history)
    for what, number in tried.items():
        count(f"mdb_cashless: {what}", number)


@pytest.mark.parametrize("shard", range(SHARDS))
@pytest.mark.timeout(size(60, 3600))
def test_no_mishap_sells_twice_or_loses_a_payment_however_words_cross(shard):
    dice = random.Random(SEED * SHARDS + shard)
    run(SteppedRig(dice, **begins(shard)), dice, STEPPED)


@pytest.mark.parametrize("shard", range(SHARDS))
@pytest.mark.timeout(size(120, 3600))
def test_nor_on_real_ptys(tmp_path, shard):
    dice = random.Random(SEED * SHARDS + shard)
    here = Rig(tmp_path, timeout=0.3, **begins(shard))
    try:
        run(here, dice, ON_PTYS)
    finally:
        here.stop()
