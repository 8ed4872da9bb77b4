"""kill -9 of bridge or cloud at random moments of real payments: nothing lost, nothing released twice.

The judge shares no code with the programs: it reads the lots' own histories and the provider's own ledger.
"""

import random
import shutil
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from demo.driver import PlainDriver
from demo.program import Trouble, wait_for
from demo.stack import Stack
from tests.rigs.figures import SEED, count, size

KILLS = size(15, 300)
PLATES, GATED = "bay-plates", "gated-host"


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    run = Path(tempfile.mkdtemp(prefix="daiko-kill-"))
    made = Stack(run, speed=5)
    made.up()
    yield made
    made.abandon()
    shutil.rmtree(run)


def releases(stack: Stack, name: str, stay: str) -> int:
    """How often the device of a lot received our release for a stay, by its own record."""
    lot = stack.lots[name]
    return sum(line["what"] == "release" and line["by"] == "bus" and line["stay"] == stay for line in lot.history())


def kill(stack: Stack, victim: str) -> None:
    program = stack.bridge if victim == "bridge" else stack.cloud
    program.kill()
    program.start()


def resolve_by_looking(stack: Stack) -> None:
    """What an attendant does with what no evidence can settle: looks at the gate, and decides."""
    for case in stack.cases():
        if case["phase"] != "in_doubt" or case["lot"] != 1002:
            continue
        lot = stack.lots[GATED]
        world = lot.wait_history("arrive", stay=case["stay"]["name"])
        left = any(line["what"] == "left" and line["stay"] == world["stay"] for line in lot.history())
        if not left:
            lot.tell("hand-release", exit="OUT1")
        stack.command(
            command_id=f"resolve-{case['lot']}-{case['number']}-{time.monotonic_ns()}",
            lot=case["lot"],
            verb="resolve",
            case=case["number"],
            verdict="settled",
            actor="Tanaka",
            reason="looked at the gate",
        )


def at_rest(stack: Stack, orders: int) -> dict[str, Any] | None:
    """All payments of the provider by order, once none is under way."""
    try:
        resolve_by_looking(stack)
    except (requests.RequestException, OSError):
        return None
    payments = [payment for payment in stack.provider_payments() if payment["state"] != "pending"]
    if len(payments) < orders or any(payment["state"] == "authorized" for payment in payments):
        return None
    return {payment["order_id"]: payment for payment in payments}


@pytest.mark.slow
@pytest.mark.timeout(240)
@pytest.mark.parametrize("seed", range(KILLS))
def test_a_plug_pulled_at_any_moment_breaks_no_promise(stack: Stack, seed: int) -> None:
    chance = random.Random((SEED - 1) * 10_000 + seed)
    before = len([payment for payment in stack.provider_payments() if payment["state"] != "pending"])
    name = chance.choice([PLATES, GATED])
    lot = stack.lots[name]
    if name == PLATES:
        taken = {car["name"] for car in stack.snapshot()["stays"] for car in [car["stay"]] if car["kind"] == "bay"}
        stay = chance.choice([bay for bay in map(str, range(1, 21)) if bay not in taken])
        up = len([line for line in lot.history() if line["what"] == "plate_up" and line["exit"] == stay])
        was = releases(stack, name, stay)
        lot.tell("arrive", bay=stay)
        wait_for("the plate", lambda: sum(x["what"] == "plate_up" and x["exit"] == stay for x in lot.history()) > up)
        exit_ = ""
    else:
        stay, exit_, was = str(lot.tell("arrive")["name"]), "OUT1", 0
        lot.tell("drive-out", name=stay, exit=exit_)
        lot.wait_history("drive_up", stay=stay)
    driver = PlainDriver(stack.cloud_url, stack.code(name))
    wait_for("a fee", lambda: fee(driver, stay, exit_), 60)
    driver.go_to_payment()
    victim, delay = (
        chance.choice(["bridge", "cloud"]),
        chance.choice([0.0, chance.uniform(0, 0.2), chance.uniform(0, 1.2)]),
    )
    driver.decide()
    time.sleep(delay)
    kill(stack, victim)
    ledger = wait_for(
        f"money at rest ({victim} killed {delay:.3f} s after the approval of {stay} in {name})",
        lambda: at_rest(stack, before + 1),
        60,
        0.1,
    )
    acts = releases(stack, name, stay) - was
    assert acts <= 1, f"{stay} was released {acts} times"
    states = Counter(payment["state"] for payment in ledger.values())
    assert set(states) <= {"captured", "voided"}
    captured = sum(payment["amount"] for payment in ledger.values() if payment["state"] == "captured")
    settled = sum(case["amount"] for case in stack.cases() if case["phase"] == "settled")
    assert captured == settled
    if name == PLATES and acts:
        lot.tell("drive-out", name=stay)
    elif name == PLATES:
        lot.tell("hand-release", exit=stay)
        lot.tell("drive-out", name=stay)
    try:
        wait_for(f"{stay} to leave", lambda: lot_left(stack, name, stay), 60)
    except Trouble as error:
        shown = [view for view in stack.snapshot()["stays"] if view["stay"]["name"] == stay]
        pytest.fail(f"{error}; {acts} releases; shown {shown}; lot: {lot.history()[-8:]}; {stack.bridge.tail()}")
    count(f"kill -9: rounds in which the {victim} died")


def lot_left(stack: Stack, name: str, stay: str) -> bool:
    return not any(view["stay"]["name"] == stay for view in stack.snapshot()["stays"])


def fee(driver: PlainDriver, stay: str, exit_: str) -> str:
    try:
        return driver.ask_fee(stay, exit_)
    except (Trouble, requests.RequestException):
        return ""
