"""S2: a phone that reaches the lot sees fee, payment and completion by way of it; all programs are processes."""

import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from demo.driver import PlainDriver
from demo.program import Trouble, wait_for
from demo.stack import Stack

PLATES = "bay-plates"


class StackWithLotPage(Stack):
    """The bridge has a page in the lot's network, here on loopback."""

    def __init__(self, run: Path) -> None:
        super().__init__(run, lots=(PLATES,), speed=5)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.lot_page = f"127.0.0.1:{probe.getsockname()[1]}"

    def write_bridge_config(self) -> None:
        super().write_bridge_config()
        with self.bridge_config.open("a", encoding="utf-8") as file:
            file.write(f'\n[lot_page]\nlisten = "{self.lot_page}"\n')


@pytest.fixture
def stack() -> Iterator[StackWithLotPage]:
    run = Path(tempfile.mkdtemp(prefix="daiko-lot-page-"))
    made = StackWithLotPage(run)
    made.up()
    yield made
    made.abandon()
    shutil.rmtree(run)


def fee(one: PlainDriver, name: str) -> str:
    """Ask until the cloud has heard of the car."""

    def ask() -> str:
        try:
            return one.ask_fee(name)
        except Trouble:
            return ""

    return wait_for("a fee", ask)


def test_a_whole_payment_and_its_completion_come_by_way_of_the_lot(stack: StackWithLotPage) -> None:
    here = f"http://{stack.lot_page}"
    lot = stack.lots[PLATES]
    lot.tell("arrive", bay="7")
    lot.wait_history("plate_up", exit="7")
    welcome = requests.get(here, timeout=5)
    assert "by the lot" in welcome.text
    on = requests.get(f"{here}/go", params={"lot": stack.code(PLATES), "spot": "7", "by": "lot"}, timeout=5)
    assert (on.status_code, on.url) == (200, f"{here}/l/{stack.code(PLATES)}/7")
    assert 'value="7"' in on.text

    one = PlainDriver(here, stack.code(PLATES))
    assert "¥" in fee(one, "7") or "円" in fee(one, "7")
    assert one.quote_url.startswith(here)
    one.go_to_payment()
    assert one.provider_page.startswith(stack.provider_url)  # the provider's page is the phone's own business
    one.decide()
    wait_for("the payment to be done", lambda: one.stage() == "done")
    lot.wait_history("plate_down", exit="7")

    number = stack.cases()[0]["number"]
    asked = {"reference": f"DK-{stack.lot_ids()[0]}-{number}"}
    said = requests.get(f"{here}/standing", params=asked, timeout=5)
    assert "精算が完了しました" in said.text
    stack.cloud.kill()  # the lot tells it by itself
    said_alone = requests.get(f"{here}/standing", params=asked, timeout=5)
    assert said_alone.content == said.content
    assert one.stage() == ""
