"""A lot that goes by number plates, with everything that can happen in it: afterwards no file of ours holds a plate."""

import base64
import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
import requests

from demo.driver import PlainDriver
from demo.program import Trouble, wait_for
from demo.stack import Stack
from parking.stay import NameKind, StayRef, is_plate_token, normalise

LOT, TICKETS = "gated-plates", "gated-host"
SPELLINGS = {
    "paid": ("品川 330 あ 73-91", "品川３３０ア７３－９１"),
    "cash": ("なにわ 500 さ 82-46", "なにわ５００ サ ８２・４６"),
    "lost": ("多摩 581 に 64-37", "多摩581ﾆ64-37"),
}
"""As the camera reads a plate, and as its driver or an attendant types it."""
BESIDE_A_TICKET = "札幌 399 ら 71-25"
NEVER_THERE = "横浜 301 む 95-28"
MISTYPED = "練馬 502 ね 47-83 !!"


class Recorded(Stack):
    """With everything written down that can be: all bytes of the devices, and the bridge's log at its loudest."""

    def write_bridge_config(self) -> None:
        super().write_bridge_config()
        text = self.bridge_config.read_text(encoding="utf-8")
        more = 'data = "bridge"\nrecord = true\nlog_level = "debug"'
        self.bridge_config.write_text(text.replace('data = "bridge"', more), encoding="utf-8")


@pytest.fixture
def stack() -> Iterator[Stack]:
    run = Path(tempfile.mkdtemp(prefix="daiko-no-plates-"))
    made = Recorded(run, lots=(LOT, TICKETS), speed=5)
    made.up()
    yield made
    made.abandon()
    shutil.rmtree(run)


def arrive(stack: Stack, plate: str) -> dict[str, Any]:
    """A car comes in, and the attendant sees its plate; the stay as the bridge shows it."""
    stack.lots[LOT].tell("arrive", plate=plate, minutes_ago=100)
    folded = normalise(NameKind.PLATE, plate)

    def seen() -> dict[str, Any] | None:
        return next((one for one in stack.snapshot()["stays"] if one["plate"] == folded), None)

    return wait_for("the bridge to see the car", seen)


def fee(stack: Stack, typed: str) -> PlainDriver:
    driver = PlainDriver(stack.cloud_url, stack.code(LOT))

    def ask() -> str:
        try:
            return driver.ask_fee(typed, "OUT1")
        except Trouble:
            return ""

    page = wait_for("a fee", ask)
    assert re.search(rf"(ending in|末尾) {typed.translate(WIDE)[-2:]}", page), (
        "the last two digits, from the phone itself"
    )
    return driver


WIDE = str.maketrans("０１２３４５６７８９", "0123456789")


def timeline(stack: Stack, stay: dict[str, Any]) -> list[dict[str, Any]]:
    """As the console asks: by the stay's key, which is an address, too."""
    token = (stack.bridge_data / "api-token").read_text(encoding="ascii").strip()
    key = msgspec.convert(stay["stay"], StayRef).key
    answer = requests.get(
        f"{stack.bridge_api()['url']}/v1/timeline",
        params={"lot": str(stay["lot"]), "stay": key},
        headers={"Authorization": f"Bearer {token}"},
        timeout=5,
    )
    entries: list[dict[str, Any]] = answer.json()["entries"]
    return entries


def case_of(stack: Stack, stay: dict[str, Any], *phases: str) -> dict[str, Any]:
    def there() -> dict[str, Any] | None:
        cases = [one for one in stack.cases() if one["stay"] == stay["stay"] and one["phase"] in phases]
        return cases[-1] if cases else None

    return wait_for(f"the case to be {phases}", there, 40)


def forms(plates: list[str]) -> dict[str, bytes]:
    """How a plate, or its kana with the serial, may stand in a file."""
    folded = [normalise(NameKind.PLATE, plate.rstrip(" !")) for plate in plates]
    texts = {*plates, *folded, *(one[-5:] for one in folded)}
    found = {}
    for text in texts:
        raw = text.encode()
        found |= {f"{text} in {code}": text.encode(code, "ignore") for code in ("utf-8", "utf-16-le", "cp932")}
        found |= {f"{text} in hex": raw.hex().encode(), f"{text} in HEX": raw.hex().upper().encode()}
        found |= {f"{text} quoted": quote(text).encode(), f"{text} escaped": text.encode("ascii", "backslashreplace")}
        for lead in range(3):
            coded = base64.b64encode(bytes(lead) + raw)
            found[f"{text} in base64, {lead}"] = coded[4 if lead else 0 : len(coded) // 4 * 4 - 4]
    return {what: raw for what, raw in found.items() if len(raw) >= 6}


def places(root: Path, wanted: dict[str, bytes]) -> list[str]:
    files = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    return [
        f"{path.relative_to(root)}: {what}"
        for path, data in files.items()
        for what, raw in wanted.items()
        if raw in data
    ]


def test_no_file_of_ours_and_no_address_holds_a_plate_whatever_has_happened(stack: Stack) -> None:
    lot = stack.lots[LOT]
    drivers = []

    paid = arrive(stack, SPELLINGS["paid"][0])
    assert is_plate_token(paid["stay"]["name"])
    assert [entry["what"] for entry in timeline(stack, paid)] == ["arrived"]
    drivers.append(fee(stack, SPELLINGS["paid"][1]))
    name = normalise(NameKind.PLATE, SPELLINGS["paid"][0])
    lot.tell("drive-out", name=name, exit="OUT1")
    drivers[-1].go_to_payment()
    drivers[-1].decide()
    lot.wait_history("left", 40, stay=name)
    case_of(stack, paid, "settled")

    cash = arrive(stack, SPELLINGS["cash"][0])
    drivers.append(fee(stack, SPELLINGS["cash"][1]))
    drivers[-1].go_to_payment()
    lot.tell("pay-cash", name=normalise(NameKind.PLATE, SPELLINGS["cash"][0]))
    drivers[-1].decide()
    refused = case_of(stack, cash, "refused")
    assert (refused["code"], refused["plate"]) == ("already-paid", cash["plate"])
    drivers.append(PlainDriver(stack.cloud_url, stack.code(LOT)))
    for typed in (SPELLINGS["cash"][1], NEVER_THERE, MISTYPED):  # already paid; not in the lot; not a number
        with pytest.raises(Trouble):
            drivers[-1].ask_fee(typed, "OUT1")
    order = {"command_id": "hand-1", "lot": cash["lot"], "verb": "release", "actor": "Sato", "exit": "OUT1"}
    said = stack.command(**order, reason=f"{SPELLINGS['cash'][1]} は現金で精算済み", stay=cash["stay"], whose="stay")
    assert said["accepted"], said

    stack.lots[TICKETS].tell("arrive", plate=BESIDE_A_TICKET)
    wait_for(
        "its plate in the window", lambda: [one for one in stack.snapshot()["stays"] if one["plate"] == BESIDE_A_TICKET]
    )

    lost = arrive(stack, SPELLINGS["lost"][0])
    drivers.append(fee(stack, SPELLINGS["lost"][1]))
    drivers[-1].go_to_payment()
    lot.tell("fault", device="host", fault="drop_reply_once")
    lot.tell("fault", device="gate", fault="unplug_on_write")
    drivers[-1].decide()
    case_of(stack, lost, "in_doubt", "settled", "refused")

    wanted = forms([*(text for pair in SPELLINGS.values() for text in pair), BESIDE_A_TICKET, NEVER_THERE, MISTYPED])
    legacy = stack.run / LOT
    assert places(legacy, wanted), "the search itself must find what the simulated legacy system has written down"
    (legacy / "history.jsonl").unlink()  # the simulated world's own diary, the only file that is not ours
    stack.bridge.kill()  # as in a power cut: the journal's log is still beside it
    for when in ("killed", "stopped"):
        if when == "stopped":
            stack.bridge.start()
            wait_for("the bridge to show the cars again", lambda: stack.snapshot()["stays"])
            stack.down()
        (legacy / "history.jsonl").unlink(missing_ok=True)
        assert not places(stack.run, wanted), when
    addresses = [address.encode() for driver in drivers for address in driver.visited]
    assert addresses
    assert not [raw for raw in addresses for form in wanted.values() if form in raw]
