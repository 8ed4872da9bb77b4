"""A business day from its first payment to its close, over real processes: told by the bridge, compared by the cloud.

The night is the cloud's clock alone: the bridge takes its time, as it would on a PC whose clock is wrong.
"""

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from pymodbus.client import ModbusSerialClient

from demo.driver import PlainDriver
from demo.program import Program, Trouble, run_module, wait_for
from demo.stack import Stack, _profile
from parking.reports import day_of

PLATES, GATED = "bay-plates", "gated-host"
TOKYO = ZoneInfo("Asia/Tokyo")
LATER = "tests.rigs.later_cloud"


class StackWithNights(Stack):
    """Its lots' days begin half a day away from now; `sleep` lets days go by for the cloud."""

    def __init__(self, run: Path) -> None:
        self.day_starts = (datetime.now(TOKYO).hour + 12) % 24
        self.nights = 0
        super().__init__(run, speed=1)
        self.first = day_of(datetime.now(UTC), TOKYO, self.day_starts)

    def profile(self, name: str) -> Path:
        own, seed = self.run / f"{name}.toml", _profile(name)
        text = seed.read_text(encoding="utf-8").replace("../tariffs", f"{seed.parents[1].as_posix()}/tariffs")
        lines = [f"day_starts = {self.day_starts}" if "day_starts" in line else line for line in text.splitlines()]
        own.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return own

    def sleep(self) -> None:
        """The cloud goes on a day later."""
        self.cloud.stop()
        self.nights += 1
        arguments = [LATER, str(self.nights), "serve", "--config", str(self.cloud_config)]
        self.cloud = Program("cloud", arguments, self.run / "cloud.log", self.run / "cloud.json")
        self.cloud.start()

    def day(self, do: str, name: str, *more: str, of: int = 0, language: str = "en") -> str:
        """`python -m cloud day …` as it is printed now, of the first day or a later one."""
        day = (self.first + timedelta(days=of)).isoformat()
        words = ["day", do, self.code(name), day, *more, "--language", language, "--config", str(self.cloud_config)]
        return run_module([LATER, str(self.nights), *words])

    def journal(self) -> sqlite3.Connection:
        """The bridge's journal, as somebody who gets at the file."""
        return sqlite3.connect(self.bridge_data / "journal.db", timeout=10)


@pytest.fixture
def stack() -> Iterator[StackWithNights]:
    run = Path(tempfile.mkdtemp(prefix="daiko-days-"))
    made = StackWithNights(run)
    try:
        made.up()
        wait_for("the counters' first reading", lambda: marks(made) == 20)
        yield made
    finally:
        made.abandon()
        shutil.rmtree(run)


def marks(stack: StackWithNights) -> int:
    with closing(stack.journal()) as db:
        return int(db.execute("select count(*) from day_marks").fetchone()[0])


def pay(stack: StackWithNights, lot: str, name: str, cash: bool = False) -> str:
    """A driver pays by phone; with `cash` somebody was faster at the pay station. How it ends at the cloud."""
    one = PlainDriver(stack.cloud_url, stack.code(lot))

    def fee() -> str:
        try:
            return one.ask_fee(name)
        except Trouble:
            return ""

    wait_for("a fee", fee)
    one.go_to_payment()
    if cash:
        stack.lots[lot].tell("pay-cash", name=name)
    one.decide()

    def ended() -> str:
        standing = next(p["standing"] for p in stack.payments() if f":{name}" in p["stay"].partition("@")[0])
        return str(standing) if standing in ("captured", "voided") else ""

    return wait_for("the payment's end", ended, 30, 0.3)


def park(stack: StackWithNights, lot: str, **where: object) -> str:
    name = str(stack.lots[lot].tell("arrive", **where)["name"])
    if lot == PLATES:
        stack.lots[lot].wait_history("plate_up", exit=name)
    wait_for("the bridge to see the car", lambda: any(s["stay"]["name"] == name for s in stack.snapshot()["stays"]))
    return name


def by_hand(stack: StackWithNights, **order: str) -> None:
    reply = stack.command(lot=stack.lot_ids()[0], actor="Sato", **order)
    assert reply["accepted"], reply


def shown(stack: StackWithNights, lot: str, *words: str, of: int = 0) -> str:
    """The day's report, once it has all these words."""

    def show() -> str:
        text = stack.day("show", lot, of=of)
        return text if all(word in text for word in words) else ""

    try:
        return wait_for(f"{words} in the report of {lot}", show, 90, 1.0)
    except Trouble as trouble:
        raise Trouble(f"{trouble}\n{stack.day('show', lot, of=of)}\n{stack.bridge.tail(30)}") from None


@pytest.mark.slow
@pytest.mark.timeout(400)  # two nights; each look at the report is a program of its own
def test_a_good_day_has_no_difference_and_what_was_tampered_with_is_named_explained_and_closed(
    stack: StackWithNights,
) -> None:
    assert pay(stack, PLATES, park(stack, PLATES, bay="7")) == "captured"
    assert pay(stack, GATED, park(stack, GATED, minutes_ago=45)) == "captured"
    assert pay(stack, GATED, park(stack, GATED, minutes_ago=45), cash=True) == "voided"
    park(stack, PLATES, bay="9")
    by_hand(stack, command_id="c9", verb="release", exit="9", reason="no time to say", whose="later")
    stack.lots[PLATES].wait_history("release", exit="9")

    stack.sleep()
    shown(stack, PLATES, "[override_unmatched:c9]", "1 without a reason")
    by_hand(stack, command_id="c10", verb="assign", override="c9", reason="test of the repaired plate", whose="nobody")
    for lot, matched in ((PLATES, "payments 1"), (GATED, "payments 2")):
        good = shown(stack, lot, "ready to be closed", matched)
        assert "✗" not in good
    assert "締められます" in stack.day("show", GATED, language="ja")

    stack.lots[GATED].tell("strike-booking", reference=f"DK-{stack.lot_ids()[1]}-1")
    stack.bridge.stop()
    with closing(stack.journal()) as db, db:
        assert db.execute("delete from cases where lot=?", (stack.lot_ids()[0],)).rowcount == 1
    with closing(ModbusSerialClient(stack.lots[PLATES].urls["plates"], baudrate=9600)) as laptop:
        assert laptop.connect()
        assert not laptop.write_coil(2, True, device_id=1).isError()
    stack.sleep()
    stack.bridge.start()

    shown(stack, GATED, "[not_booked:1]", "1 without a reason")
    shown(stack, PLATES, "[not_in_journal:1]", "[count:7]", "2 without a reason")
    shown(stack, PLATES, "[count:3]", "(1 times)", "1 without a reason", of=1)

    with pytest.raises(Trouble, match="no reason yet"):
        stack.day("close", PLATES, "--by", "Sato")
    assert "count:7" in stack.day("explain", PLATES, "not_in_journal:1", "--by", "Sato", "--reason", "PC replaced")
    stack.day("explain", PLATES, "all", "--by", "Sato", "--reason", "the same")
    assert "closed by Sato" in stack.day("close", PLATES, "--by", "Sato")
    for again in (("close", PLATES, "--by", "Sato"), ("compare", PLATES)):
        with pytest.raises(Trouble, match="is closed"):
            stack.day(*again)
