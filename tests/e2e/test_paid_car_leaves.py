"""All programs as processes: drivers pay by plain forms; the judge reads the records of lots and provider."""

import json
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from demo.driver import PlainDriver
from demo.program import Trouble, wait_for
from demo.stack import SimLot, Stack

PLATES, GATED = "bay-plates", "gated-host"


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    run = Path(tempfile.mkdtemp(prefix="daiko-e2e-"))
    made = Stack(run, speed=5)
    made.up()
    yield made
    made.abandon()
    shutil.rmtree(run)


@pytest.fixture(autouse=True)
def calm(stack: Stack) -> Iterator[None]:
    yield
    stack.behave(behave="normal")
    for lot in stack.lots.values():
        lot.tell("clear-faults")


def driver(stack: Stack, lot: str) -> PlainDriver:
    return PlainDriver(stack.cloud_url, stack.code(lot))


def park(stack: Stack, bay: str) -> SimLot:
    lot = stack.lots[PLATES]
    lot.tell("arrive", bay=bay)
    lot.wait_history("plate_up", exit=bay)
    wait_for("the bridge to see the car", lambda: any(s["stay"]["name"] == bay for s in stack.snapshot()["stays"]))
    return lot


def ticket(stack: Stack) -> str:
    name = str(stack.lots[GATED].tell("arrive", minutes_ago=45)["name"])
    wait_for("the bridge to see the car", lambda: any(s["stay"]["name"] == name for s in stack.snapshot()["stays"]))
    return name


def fee(one: PlainDriver, name: str, exit_: str = "") -> str:
    """Ask until the cloud has heard of the car."""

    def ask() -> str:
        try:
            return one.ask_fee(name, exit_)
        except Trouble:
            return ""

    return wait_for("a fee", ask)


def payment(stack: Stack, name: str) -> dict[str, object]:
    """The payment of a bay or ticket: of this very one, not of a ticket that begins like it."""
    return next(one for one in stack.payments() if str(one["stay"]).partition("@")[0].partition(":")[2] == name)


def releases(lot: SimLot, exit_: str) -> int:
    return sum(line["what"] == "release" and line["exit"] == exit_ and line["by"] == "bus" for line in lot.history())


def test_a_bay_is_paid_and_left_and_charged_once(stack: Stack) -> None:
    lot, one = park(stack, "7"), driver(stack, PLATES)
    fee(one, "7")
    one.go_to_payment()
    one.decide()
    wait_for("the release", lambda: one.stage() == "done")
    lot.tell("drive-out", name="7")
    lot.wait_history("left", stay="7")
    wait_for("the capture", lambda: payment(stack, "7")["standing"] == "captured", 10, 0.3)
    assert releases(lot, "7") == 1


def test_a_declined_card_moves_nothing(stack: Stack) -> None:
    lot, one = park(stack, "8"), driver(stack, PLATES)
    fee(one, "8")
    one.go_to_payment()
    one.decide("decline")
    wait_for("the refusal", lambda: one.stage() == "not_charged")
    assert releases(lot, "8") == 0


def test_cash_wins_and_the_phone_is_not_charged(stack: Stack) -> None:
    name, one = ticket(stack), driver(stack, GATED)
    fee(one, name, "OUT1")
    one.go_to_payment()
    stack.lots[GATED].tell("pay-cash", name=name)
    one.decide()
    wait_for("the refusal", lambda: one.stage() == "not_charged")
    wait_for("the void", lambda: payment(stack, name)["standing"] == "voided", 10, 0.3)


def test_a_ticket_paid_away_from_the_exit_is_booked_and_no_gate_opens(stack: Stack) -> None:
    name, one, lot = ticket(stack), driver(stack, GATED), stack.lots[GATED]
    before = releases(lot, "OUT1")
    fee(one, name)
    one.go_to_payment()
    one.decide()
    wait_for("the booking", lambda: one.stage() == "done")
    lot.wait_history("host_paid", stay=name)
    assert releases(lot, "OUT1") == before


def test_a_lost_webhook_is_found_by_asking(stack: Stack) -> None:
    lot, one = park(stack, "9"), driver(stack, PLATES)
    fee(one, "9")
    one.go_to_payment()
    stack.behave(behave="lose_webhook")
    one.decide()
    wait_for("the poll", lambda: one.stage() == "done", 25)
    assert releases(lot, "9") == 1


def test_a_repeated_webhook_releases_once(stack: Stack) -> None:
    lot, one = park(stack, "10"), driver(stack, PLATES)
    fee(one, "10")
    one.go_to_payment()
    stack.behave(behave="repeat_webhook", times=4)
    one.decide()
    wait_for("the release", lambda: one.stage() == "done")
    time.sleep(1.0)
    assert releases(lot, "10") == 1
    assert sum(case["stay"]["name"] == "10" for case in stack.cases()) == 1


def test_coming_back_from_the_provider_completes_nothing(stack: Stack) -> None:
    lot, one = park(stack, "11"), driver(stack, PLATES)
    fee(one, "11")
    one.go_to_payment()
    assert one.stage() == "open"
    time.sleep(0.5)
    assert releases(lot, "11") == 0
    assert one.stage() == "open"


def test_two_phones_cannot_pay_for_one_car(stack: Stack) -> None:
    park(stack, "13")
    first, second = driver(stack, PLATES), driver(stack, PLATES)
    fee(first, "13")
    fee(second, "13")
    first.go_to_payment()
    with pytest.raises(requests.HTTPError) as caught:
        second.go_to_payment()
    assert caught.value.response.status_code == 409


@pytest.mark.parametrize(
    ("path", "status"),
    [("/l/ZZZZZZ9", 404), ("/q/AAAAAAAAAAAAAAAAAAAAAA", 404), ("/p/AAAAAAAAAAAAAAAAAAAAAA", 404)],
)
def test_what_does_not_exist_says_so_in_both_languages(stack: Stack, path: str, status: int) -> None:
    for language, word in (("ja", "駐車"), ("en", "parking")):
        answer = requests.get(f"{stack.cloud_url}{path}", headers={"Accept-Language": language}, timeout=5)
        assert answer.status_code == status
        assert word in answer.text.lower()


def test_a_stranger_at_the_bridges_door_is_turned_away(stack: Stack) -> None:
    for path in ("feed", "reports", "answers"):
        url = f"{stack.cloud_url}/bridge/v1/lots/1001/{path}"
        answer = requests.get(url, timeout=5) if path == "feed" else requests.post(url, data=b"{}", timeout=5)
        assert answer.status_code == 401
        assert answer.json()["code"]


def test_a_webhook_without_its_signature_changes_nothing(stack: Stack) -> None:
    park(stack, "14")
    one = driver(stack, PLATES)
    fee(one, "14")
    one.go_to_payment()
    order = payment(stack, "14")["order_id"]
    forged = json.dumps({"event_id": "evt_x", "order_id": order, "state": "authorized", "amount": 100}).encode()
    answer = requests.post(f"{stack.cloud_url}/webhooks/sandbox", data=forged, timeout=5)
    assert answer.status_code == 401
    assert one.stage() == "open"


@pytest.mark.timeout(90)  # all programs start twice, one after the other: 25 s on a quiet machine
def test_everything_stops_cleanly_and_starts_again_where_it_was(tmp_path: Path) -> None:
    stack = Stack(tmp_path, lots=(PLATES,), speed=5)
    try:
        stack.up()
        lot, one = park(stack, "7"), driver(stack, PLATES)
        fee(one, "7")
        one.go_to_payment()
        one.decide()
        wait_for("the release", lambda: one.stage() == "done")
        for program in (stack.bridge, stack.cloud, stack.provider):
            assert program.stop() == 0
        for program in (stack.provider, stack.cloud, stack.bridge):
            program.start()
        assert one.stage() == "done"
        assert [case["phase"] for case in stack.cases()] == ["settled"]
        assert releases(lot, "7") == 1
        stack.down()
    finally:
        stack.abandon()
