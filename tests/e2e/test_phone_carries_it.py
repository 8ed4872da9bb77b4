"""The line is down, and the car leaves all the same, by the code on the phone. All programs are processes."""

import re
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import requests

from demo.driver import PlainDriver
from demo.program import ROOT, Trouble, run_module, wait_for
from demo.stack import Stack
from tests.rigs.line import Line

pytestmark = pytest.mark.timeout(180)  # processes take their time to start on a busy machine

PLATES = "bay-plates"
POLICY = '[policy]\npay_offline_minutes = 120\nattended = "00:00-24:00"\n\n'
BACK = 75.0
"""Seconds after which a bridge has tried again for sure, and what it reports has been acted on."""


class StackWithLine(Stack):
    """The line between office and cloud can be cut; phones reach the cloud by a way of their own."""

    def __init__(self, run: Path) -> None:
        super().__init__(run, lots=(PLATES,), speed=5)
        self.phones_url = self.cloud_url
        self.line = Line(self.cloud_url)
        text = self.cloud_config.read_text(encoding="utf-8")
        # bridges sign the address that they call
        self.cloud_config.write_text(text.replace(self.cloud_url, self.line.url, 1), encoding="utf-8")
        self.cloud_url = self.line.url

    def allow(self, policy: str) -> None:
        """Onboard the lot again, with a policy."""
        seed = ROOT / "seeds" / "lots" / f"{PLATES}.toml"
        text = seed.read_text(encoding="utf-8").replace("../tariffs", str(seed.parents[1] / "tariffs"))
        own = self.run / "lot.toml"
        own.write_text(text.replace("[roles]", f"{policy}[roles]", 1), encoding="utf-8")
        run_module(["cloud", "lot", "add", str(own), "--config", str(self.cloud_config)])

    def heard(self) -> bool:
        """Whether the cloud has kept when it last heard the lot."""
        with closing(sqlite3.connect(self.run / "cloud.sqlite3")) as db:
            return db.execute("SELECT heard_at FROM lots").fetchone()[0] is not None


@pytest.fixture
def dark() -> Iterator[StackWithLine]:
    """A car is in bay 7 and the cloud knows it; then the line is cut, and the cloud no longer hears the lot."""
    made = StackWithLine(Path(tempfile.mkdtemp(prefix="daiko-dark-")))
    try:
        made.up()
        made.allow(POLICY)
        arrive(made, PlainDriver(made.phones_url, made.code(PLATES)))
        wait_for("the last contact to be kept", made.heard)
        made.line.cut()
        made.cloud.stop()
        made.cloud.start()
        yield made
    finally:
        made.abandon()
        made.line.cut()
        shutil.rmtree(made.run)


@pytest.fixture
def stack() -> Iterator[Stack]:
    run = Path(tempfile.mkdtemp(prefix="daiko-phone-"))
    made = Stack(run, lots=(PLATES,), speed=5)
    try:
        made.up()
        yield made
    finally:
        made.abandon()
        shutil.rmtree(run)


def redeem(stack: Stack, text: str, stay: dict[str, Any]) -> dict[str, Any]:
    """As the console asks."""
    token = (stack.bridge_data / "api-token").read_text(encoding="ascii").strip()
    asked = {"schema": 1, "redeem_id": text, "lot": stack.lot_ids()[0], "text": text, "actor": "Sato", "stay": stay}
    url = f"{stack.bridge_api()['url']}/v1/codes"
    answer = requests.post(url, json=asked, headers={"Authorization": f"Bearer {token}"}, timeout=10)
    said: dict[str, Any] = answer.json()
    return said


def stay_of(stack: Stack, bay: str) -> dict[str, Any] | None:
    return next((one["stay"] for one in stack.snapshot()["stays"] if one["stay"]["name"] == bay), None)


def arrive(stack: Stack, driver: PlainDriver) -> None:
    """A car comes into bay 7, its driver sees the fee, and the bridge has the lot's keys."""
    lot = stack.lots[PLATES]
    lot.tell("arrive", bay="7")
    lot.wait_history("plate_up", exit="7")
    wait_for("the bridge to see the car", lambda: stay_of(stack, "7"))
    wait_for("the lot's keys", lambda: (stack.bridge_data / f"lot-{stack.lot_ids()[0]}.keys").exists() or None)
    wait_for("a fee", lambda: fee(driver))


def fee(driver: PlainDriver) -> str:
    """The page of the fee, or nothing."""
    try:
        return driver.ask_fee("7")
    except Trouble:
        return ""


def shown(driver: PlainDriver) -> str:
    """The digits on the phone."""
    page = requests.get(driver.quote_url.replace("/q/", "/p/"), timeout=5).text
    return "".join(re.findall(r"<span>(\d{7})</span>", page))


def pay_in_the_dark(stack: StackWithLine) -> tuple[PlainDriver, str]:
    """A driver is warned, pays all the same, and sees his code."""
    one = PlainDriver(stack.phones_url, stack.code(PLATES))
    page = wait_for("a fee although the line is down", lambda: fee(one))
    assert "回線が切れています" in page
    one.go_to_payment(line_down=True)
    one.decide()
    return one, wait_for("the code on the phone", lambda: shown(one))


def standings(stack: Stack) -> list[str]:
    """Where the payments stand."""
    return [payment["standing"] for payment in stack.payments()]


def test_the_code_on_the_phone_opens_with_no_line_and_its_payment_is_captured_once_the_line_is_back(
    stack: Stack,
) -> None:
    lot, one = stack.lots[PLATES], PlainDriver(stack.cloud_url, stack.code(PLATES))
    arrive(stack, one)
    one.go_to_payment()
    stack.bridge.kill()  # before the payment is made: the lot never hears of it by the line
    one.decide()

    code = wait_for("the code on the phone", lambda: shown(one))
    stack.cloud.stop()
    stack.bridge.start()
    stay = wait_for("the bridge to see the car again", lambda: stay_of(stack, "7"))

    said = redeem(stack, " ".join((code[:7], code[7:14], code[14:])), stay)
    assert (said["accepted"], said["stay"]) == (True, stay)
    lot.wait_history("plate_down", exit="7")

    stack.cloud.start()
    wait_for("the capture", lambda: [p for p in stack.payments() if p["standing"] == "captured"], BACK, 0.3)
    time.sleep(1.0)  # the completion comes by the feed, too, and changes nothing
    (case,) = stack.cases()
    assert (case["number"], case["phase"]) == (said["number"], "settled")
    assert redeem(stack, code, stay)["code"] == "code-used"
    lines = lot.history()
    assert sum(line["what"] == "release" and line["exit"] == "7" and line["by"] == "bus" for line in lines) == 1


def test_who_pays_with_the_line_down_leaves_by_the_code_and_is_charged_once_it_is_back(dark: StackWithLine) -> None:
    lot = dark.lots[PLATES]
    one, code = pay_in_the_dark(dark)
    assert not dark.cases(), "the bridge has heard of nothing"
    stay = stay_of(dark, "7")
    assert stay is not None

    said = redeem(dark, code, stay)
    assert (said["accepted"], said["stay"]) == (True, stay)
    lot.wait_history("plate_down", exit="7")
    assert standings(dark) == ["authorized"], "nobody is charged before the lot says what it did"

    dark.line.mend()
    wait_for("the capture", lambda: standings(dark) == ["captured"], BACK, 0.5)
    assert one.stage() == "done"
    assert [case["phase"] for case in dark.cases()] == ["settled"]
    assert sum(line["what"] == "release" and line["exit"] == "7" for line in lot.history()) == 1


def test_who_pays_in_cash_meanwhile_is_not_let_out_by_the_code_and_not_charged(dark: StackWithLine) -> None:
    lot = dark.lots[PLATES]
    one, code = pay_in_the_dark(dark)
    stay = stay_of(dark, "7")
    assert stay is not None
    lot.tell("pay-cash", name="7")
    lot.wait_history("plate_down", exit="7")

    redeem(dark, code, stay)
    wait_for("the refusal", lambda: [case["phase"] for case in dark.cases()] == ["refused"])
    dark.line.mend()
    wait_for("the payment to be voided", lambda: standings(dark) == ["voided"], BACK, 0.5)
    assert one.stage() == "not_charged"
    assert not any(line["what"] == "release" and line.get("by") == "bus" for line in lot.history())


def test_a_code_that_nobody_uses_is_not_charged(dark: StackWithLine) -> None:
    lot = dark.lots[PLATES]
    one, _ = pay_in_the_dark(dark)
    lot.tell("pay-cash", name="7")
    lot.wait_history("plate_down", exit="7")
    lot.tell("drive-out", name="7")
    wait_for("the bay to be empty", lambda: stay_of(dark, "7") is None or None)

    dark.line.mend()
    wait_for("the payment to be voided", lambda: standings(dark) == ["voided"], BACK, 0.5)
    assert one.stage() == "not_charged"
