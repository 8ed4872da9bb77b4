"""Many payments with everything going wrong that can, and a checker that knows nothing of the driver.

It looks at what the station has sold and at what the driver said: at most one sale a payment, none after "refused" or
"not sent", "applied" only if the station sold, "ours" only if it did, "nobody" only if it did not, nothing stuck.
"""

import contextlib
import random
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest

from drivers.base import Applied, CannotTell, Nobody, Ours, Refused, Uncertain
from parking import errors
from parking.stay import StayRef
from tests.rigs.figures import FULL, SEED, count, size

PAYMENTS = size(64, 10_000)
RIGS = 8
WIRES = ("tcp", "serial")
LONGEST = 8.0
"""Seconds after which a payment counts as stuck."""

ONCE = [
    *("lose_result_once", "lose_result_answer_once", "lose_end_once", "lose_end_answer_once", "hang_up_on_result_once"),
    *("hang_up_once", "refuse_goods_once", "refuse_result_once", "please_wait_once", "nak_once", "spoil_once"),
]
LASTING = [
    *("raises_after_t4", "books_on_result", "repeats", "enquires", "garbage", "silent", "xor_lrc", "never_answers_end"),
    *(
        "takes_any_end",
        "keeps_alive",
        "answers_answers",
        "aborts_as_terminals_do",
        "yes_is_84_00",
        "starts_up",
        "tagged_currency",
        "long_lengths",
    ),
]
PEOPLE = ["cancel", "cash", "abort", "unplug", ""]


@dataclass
class Tried:
    """One payment: what was wrong, what the driver said about it, how long it took.

    `later`: what the witness says at its end; `latest`: after the next customer, by whom a machine shows what it read.
    """

    amount: int
    wrong: tuple[str, ...]
    stay: StayRef | None
    said: str
    later: str
    seconds: float
    latest: str = ""

    @property
    def reference(self):
        return f"R{self.amount}"


def pay(lot, dice, amount):
    """One payment, with up to three things wrong."""
    wrong = dice.sample([*ONCE, *LASTING], dice.choice([0, 1, 1, 2, 3]))
    person = dice.choice(PEOPLE) if dice.random() < 0.4 else ""
    began = time.monotonic()
    lot.faults.t3_ms, lot.faults.t4_ms = 400, dice.choice([700, 900])
    for name in LASTING:
        setattr(lot.faults, name, False)
    early = dice.random() < 0.3
    if early:
        set_all(lot.faults, wrong)
    lot.station.ask(amount)
    stay = shown(lot)
    if not early:
        set_all(lot.faults, wrong)
    timer = threading.Timer(dice.random() * 0.1, act, (lot, person))
    timer.start()
    tried = Tried(amount, (*wrong, person), stay, "unseen", "unseen", 0.0)
    if stay is not None:
        tried.said = settle(lot, stay, amount, tried.reference, dice.choice([0.1, 0.3, 0.6]))
    timer.join()
    reset(lot.faults)
    idle(lot, began)
    tried.later = witness(lot, tried)
    tried.seconds = time.monotonic() - began
    return tried


def witness(lot, tried):
    return type(lot.who(tried.stay, tried.reference)).__name__ if tried.stay is not None else "unseen"


def set_all(faults, names):
    for name in names:
        setattr(faults, name, True)


def reset(faults):
    """All faults but those that say how the machine sells and asks again are over."""
    for name in [*ONCE, "silent", "garbage", "xor_lrc", "unplugged"]:
        setattr(faults, name, False)
    faults.abort_ms = 0


def act(lot, person):
    """Somebody does something at the station, or to its cable."""
    match person:
        case "cancel":
            lot.station.cancel()
        case "cash":
            with contextlib.suppress(errors.Refused):
                lot.station.pay_cash()
        case "abort":
            lot.faults.abort_ms = 1
        case "unplug":
            lot.faults.unplugged = True
            time.sleep(0.05)
            lot.faults.unplugged = False


def shown(lot):
    until = time.monotonic() + 1.0
    while time.monotonic() < until:
        try:
            if found := lot.driver.stays(time.monotonic() + 0.5):
                return found[0].ref
        except (errors.NotSent, errors.Environment):
            pass
        if not lot.station.open:
            return None
        time.sleep(0.005)
    return None


def settle(lot, stay, amount, reference, seconds):
    try:
        return type(lot.settle(stay, amount, reference, seconds)).__name__
    except errors.NotSent:
        return "NotSent"
    except errors.Environment:
        return "Environment"


def idle(lot, began):
    """Until the machine has done with the ticket; who waits too long takes it back."""
    while lot.station.open and time.monotonic() - began < LONGEST:
        time.sleep(0.005)


def check(tried, sold):
    """What the station sold by its line, against what the driver said."""
    assert sold <= 1, f"sold {sold} times: {tried}"
    assert tried.seconds < LONGEST, f"stuck: {tried}"
    if Ours.__name__ in (tried.later, tried.latest) or tried.said == Applied.__name__:
        assert sold == 1, f"not sold: {tried}"
    no = tried.said in (Refused.__name__, "NotSent", "Environment", "unseen")
    if no or Nobody.__name__ in (tried.later, tried.latest):
        assert sold == 0, f"sold: {tried}"
    allowed = {
        Applied.__name__: {Ours.__name__},
        Refused.__name__: {Nobody.__name__},
        "NotSent": {Nobody.__name__},
        "Environment": {Nobody.__name__},
        Uncertain.__name__: {Ours.__name__, CannotTell.__name__, Nobody.__name__},
        "unseen": {"unseen"},
    }
    assert {tried.later, tried.latest} <= allowed[tried.said], tried
    assert tried.later == CannotTell.__name__ or tried.later == tried.latest, tried


@pytest.mark.timeout(size(60, 7200))
def test_whatever_goes_wrong_a_payment_is_sold_at_most_once_and_never_after_a_no(rig):
    lots = [rig(WIRES[at % 2], answer_seconds=0.08, status_seconds=0.05, charge_seconds=0.5) for at in range(RIGS)]

    def work(at):
        dice = random.Random(f"{SEED} {at}")
        tried = []
        for turn in range(PAYMENTS // RIGS):
            tried.append(pay(lots[at], dice, 1000 + at * 100_000 + turn * 10))
            for one in tried[-2:]:
                one.latest = witness(lots[at], one)
        return tried

    with ThreadPoolExecutor(RIGS) as pool:
        tried = [payment for some in pool.map(work, range(RIGS)) for payment in some]
    sold = Counter(sale.paid for lot in lots for sale in lot.station.sales if sale.tender == "line")
    for payment in tried:
        check(payment, sold[payment.amount])
    assert set(sold) <= {payment.amount for payment in tried}
    said = Counter(payment.said for payment in tried)
    count("zvt: payments with faults", len(tried))
    for outcome, number in sorted(said.items()):
        count(f"zvt: payments {outcome}", number)
    if FULL:
        assert {"Applied", "Refused", "Uncertain", "NotSent"} <= set(said)
    assert said["Applied"] >= PAYMENTS // 8
