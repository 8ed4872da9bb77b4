"""Lots that go by pay stations: our device is built into one that asks for money; the phone pays what it asks for."""

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from demo.driver import PlainDriver
from demo.program import Trouble, wait_for
from demo.stack import SimLot, Stack

ROOT = Path(__file__).parents[2]
CHARGED = ("mdb-station", "zvt-station")
"""Stations that name an amount (class A)."""
COINS = "coin-station"
BILLS = "bill-station"
"""Those that take coins or bills until they are satisfied (class B)."""
NEVER_ASKED = {"asked": 0, "ticket": 0, "line_sales": 0, "line_yen": 0}

pytestmark = pytest.mark.timeout(120)


class PatientStack(Stack):
    """With an acceptor that bears a busy computer: these hosts never give up, so it need not forget so soon."""

    def profile(self, name: str) -> Path:
        """The profile of a lot; with more patience than the seed lot has, where money is put in piece by piece."""
        seed = super().profile(name)
        if name not in (COINS, BILLS):
            return seed
        patient = self.run / f"{name}.toml"
        patient.write_text(seed.read_text().replace("[device.options]\n", "[device.options]\npatience = 3.0\n"))
        return patient


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    run = Path(tempfile.mkdtemp(prefix="daiko-desk-"))
    made = PatientStack(run, lots=(*CHARGED, BILLS, COINS))
    made.up()
    yield made
    made.abandon()
    shutil.rmtree(run)


def device(stack: Stack, name: str) -> str:
    """The device that our payments go through."""
    return str(stack.profile_table(name)["roles"]["settle"])


def asks(stack: Stack, name: str, amount: int) -> SimLot:
    """A customer puts a ticket into the station; who stood there before has taken his back."""
    lot = stack.lots[name]
    if station(stack, name)["asked"]:
        lot.tell("cancel", device=device(stack, name))
        time.sleep(0.5)  # nobody is so quick that the machine does not see it
    lot.tell("ask", device=device(stack, name), amount=amount)
    return lot


def phone(stack: Stack, name: str) -> PlainDriver:
    """A phone that has scanned the station's code and shows a fee."""
    one = PlainDriver(stack.cloud_url, stack.code(name))

    def shown() -> bool:
        try:
            return bool(one.ask_fee("1"))
        except Trouble:
            return False

    wait_for(f"the phone to show what {name} asks for", shown)
    return one


def station(stack: Stack, name: str) -> dict[str, int]:
    """What the station itself says of its sales."""
    stations: dict[str, dict[str, int]] = stack.lots[name].world()["stations"]
    return stations.get(device(stack, name), NEVER_ASKED)


@pytest.mark.parametrize("name", CHARGED)
def test_the_phone_pays_exactly_what_the_station_asks_for_and_the_station_says_so(stack: Stack, name: str) -> None:
    before = station(stack, name)
    asks(stack, name, 1_230)
    one = phone(stack, name)
    assert "1,230" in one.ask_fee("1")
    one.go_to_payment()
    one.decide()
    wait_for("the phone to say so", lambda: one.stage() == "done")
    after = station(stack, name)
    assert (after["line_sales"], after["line_yen"]) == (before["line_sales"] + 1, before["line_yen"] + 1_230)
    case = stack.cases()[-1]
    assert (case["phase"], case["amount"]) == ("settled", 1_230)
    assert case["evidence"]


@pytest.mark.parametrize("name", CHARGED)
@pytest.mark.parametrize("end", ["cancel", "insert-cash"])
def test_who_gives_up_or_pays_cash_at_the_station_meanwhile_is_not_charged(stack: Stack, name: str, end: str) -> None:
    lot = asks(stack, name, 800)
    one = phone(stack, name)
    one.go_to_payment()
    sold = station(stack, name)["line_sales"]
    lot.tell(end, device=device(stack, name))
    one.decide()
    wait_for("the phone to say so", lambda: one.stage() == "not_charged")
    assert station(stack, name)["line_sales"] == sold
    wait_for("the money to be let go", lambda: all(pay["state"] != "authorized" for pay in stack.provider_payments()))


@pytest.mark.parametrize(("name", "asked", "most"), [(COINS, 700, "3,000"), (BILLS, 2_000, "10,000")])
def test_money_is_credited_until_the_station_is_satisfied_and_just_that_is_charged(
    stack: Stack, name: str, asked: int, most: str
) -> None:
    before, began = station(stack, name), datetime.now(UTC)
    asks(stack, name, asked)
    one = phone(stack, name)
    assert f"上限 {most}円 で支払う" in one.ask_fee("1")  # said before: this is the most, not the fee
    one.go_to_payment()
    one.decide()
    wait_for("the phone to say so", lambda: one.stage() == "done", 40)
    after = station(stack, name)
    assert (after["line_sales"], after["line_yen"]) == (before["line_sales"] + 1, before["line_yen"] + asked)
    wait_for(
        "the capture",
        lambda: [p["amount"] for p in stack.provider_payments() if p["state"] == "captured"][-1:] == [asked],
    )
    assert stack.cases()[-1]["amount"] == asked
    box = in_the_box(stack, name, began, {COINS: "500=1,100=8", BILLS: "1000=2"}[name])
    assert box == {COINS: "cash in all ¥600", BILLS: "cash in all ¥0"}[name]


def in_the_box(stack: Stack, name: str, since: datetime, counted: str) -> str:
    """The last line of the cash audit."""
    words = ["--lot", str(stack.profile_table(name)["lot"]["id"]), "--since", since.isoformat(), "--counted", counted]
    command = [sys.executable, "-m", "bridge", "cash", "--config", str(stack.bridge_config), *words]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=20)
    return done.stdout.splitlines()[-1]


def test_a_plug_pulled_among_the_coins_charges_nothing_that_nobody_can_tell(stack: Stack) -> None:
    lot = asks(stack, COINS, 900)
    one = phone(stack, COINS)
    one.go_to_payment()
    one.decide()
    lot.wait_history("coin", ticket=str(station(stack, COINS)["ticket"]))
    stack.bridge.kill()
    stack.bridge.start()
    number = stack.cases()[-1]["number"]
    wait_for("the doubt", lambda: stack.cases()[-1]["phase"] == "in_doubt")
    order = {"verb": "resolve", "verdict": "settled", "actor": "Tanaka", "reason": "the ticket came back"}
    stack.command(command_id="coins-1", lot=stack.lot_ids()[-1], case=number, second="Sato", **order)
    wait_for("the phone to say so", lambda: one.stage() == "not_charged")
    wait_for("the money to be let go", lambda: stack.provider_payments()[-1]["state"] == "voided")
