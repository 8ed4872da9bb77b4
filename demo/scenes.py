"""What the demo plays, scene by scene, on a stack that is up. Each scene checks what it promises and raises Trouble."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser

from demo.attendant import Attendant
from demo.phone import Phone
from demo.program import Trouble, wait_for
from demo.stack import Stack

BAY_LOT, GATED_LOT = "bay-plates", "gated-host"
OUT = "OUT1"


@dataclass(slots=True)
class Journey:
    """What the scenes leave for the report: steps with their times, and what each scene found."""

    began: float = field(default_factory=time.monotonic)
    steps: list[dict[str, Any]] = field(default_factory=list)
    found: dict[str, Any] = field(default_factory=dict)

    def step(self, text: str) -> None:
        """Say what has just happened, and when."""
        at = time.monotonic() - self.began
        self.steps.append({"at": round(at, 3), "step": text})
        print(f"{at:7.2f} s  {text}", flush=True)


@dataclass(slots=True)
class Stage:
    """Everything that a scene works with."""

    stack: Stack
    browser: Browser
    attendant: Attendant
    shots: Path
    journey: Journey

    @contextmanager
    def phone(self, language: str) -> Iterator[Phone]:
        """A driver's phone for one scene."""
        phone = Phone(self.browser, self.shots, language)
        try:
            yield phone
        finally:
            phone.close()

    def url(self, lot: str, spot: str) -> str:
        """What the QR code at a spot of a lot says."""
        return f"{self.stack.cloud_url}/l/{self.stack.code(lot)}/{spot}"

    def park(self, bay: str) -> None:
        """A car drives into a bay; wait until plate and bridge have noticed."""
        lot = self.stack.lots[BAY_LOT]
        lot.tell("arrive", bay=bay)
        lot.wait_history("plate_up", exit=bay)
        wait_for(f"the bridge to see bay {bay}", lambda: self._stay(1001, bay))

    def fill(self) -> None:
        """Some other cars, as on any day."""
        for bay in ("2", "5", "9", "18"):
            self.stack.lots[BAY_LOT].tell("arrive", bay=bay)
        for minutes in (25, 70, 190):
            self.stack.lots[GATED_LOT].tell("arrive", minutes_ago=minutes)

    def take_ticket(self) -> str:
        """A car takes a ticket at the gated lot; returns the number."""
        ticket = str(self.stack.lots[GATED_LOT].tell("arrive", minutes_ago=100)["name"])
        wait_for(f"the bridge to see ticket {ticket}", lambda: self._stay(1002, ticket))
        return ticket

    def case(self, lot: int, name: str) -> dict[str, Any]:
        """The latest completion for a stay, as the bridge sees it."""

        def there() -> dict[str, Any] | None:
            cases = [case for case in self.stack.cases() if case["lot"] == lot and case["stay"]["name"] == name]
            return cases[-1] if cases else None

        return wait_for(f"a completion for {name}", there)

    def _stay(self, lot: int, name: str) -> bool:
        stays = self.stack.snapshot()["stays"]
        return any(stay["lot"] == lot and stay["stay"]["name"] == name for stay in stays)


def bay_lot(stage: Stage) -> None:
    """Twenty bays with lock plates: our tariff, a serial line at 9600 baud."""
    say, lot = stage.journey.step, stage.stack.lots[BAY_LOT]
    stage.park("7")
    say("若葉町: a car is in bay 7 and its lock plate is up")
    with stage.phone("ja-JP") as phone:
        phone.scan(stage.url(BAY_LOT, "7"))
        phone.shot("1-bay-lot")
        fee = phone.ask_fee("7")
        phone.shot("2-bay-fee")
        say(f"the phone shows the fee, computed by our tariff: {fee}")
        phone.go_to_payment()
        phone.shot("3-provider")
        phone.approve()
        say("the driver has approved on the provider's page")
        say(f"the phone says: {phone.wait_stage('done')}")
        phone.shot("4-bay-done")
    down = lot.wait_history("plate_down", exit="7")
    lot.tell("drive-out", name="7")
    lot.wait_history("left", stay="7")
    say("the plate went down and the car has left bay 7")
    stage.journey.found["bay_7"] = {"plate_down": down["at"], "evidence": stage.case(1001, "7")["evidence"]}


def gated_lot(stage: Stage) -> None:
    """A first management server that knows fees and books payments; a gate on a Modbus TCP relay."""
    say, lot = stage.journey.step, stage.stack.lots[GATED_LOT]
    ticket = stage.take_ticket()
    say(f"南口: a car took ticket {ticket}; it drives up to exit 1")
    lot.tell("drive-out", name=ticket, exit=OUT)
    lot.wait_history("drive_up", stay=ticket)
    with stage.phone("en-GB") as phone:
        phone.scan(stage.url(GATED_LOT, OUT))
        fee = phone.ask_fee(ticket)
        phone.shot("5-gated-fee")
        say(f"the phone shows the fee, asked of the legacy server through the bridge: {fee}")
        phone.go_to_payment()
        phone.approve()
        say(f"the phone says: {phone.wait_stage('done')}")
        phone.shot("6-gated-done")
    lot.wait_history("host_paid", stay=ticket)
    lot.wait_history("left", stay=ticket)
    say("the legacy server has booked the payment, the gate opened, the car has left")
    stage.journey.found["gated"] = {"ticket": ticket, "evidence": stage.case(1002, ticket)["evidence"]}


def cash_race(stage: Stage) -> None:
    """The driver looks at the provider's page while a passenger pays cash: the phone must not be charged."""
    say, lot = stage.journey.step, stage.stack.lots[GATED_LOT]
    ticket = stage.take_ticket()
    with stage.phone("ja-JP") as phone:
        phone.scan(stage.url(GATED_LOT, OUT))
        phone.ask_fee(ticket)
        phone.go_to_payment()
        lot.tell("pay-cash", name=ticket)
        lot.wait_history("cash", stay=ticket)
        say(f"cash race: ticket {ticket} is paid in cash while the phone is on the provider's page")
        phone.approve()
        say(f"the phone says: {phone.wait_stage('not_charged')}")
        phone.shot("7-cash-race")
    case = stage.case(1002, ticket)
    if (case["phase"], case["code"]) != ("refused", "already-paid"):
        raise Trouble(f"the cash race ended as {case['phase']} {case['code']}")
    lot.tell("drive-out", name=ticket, exit=OUT)
    stage.journey.found["cash_race"] = {"ticket": ticket, "number": case["number"]}


def unplugged(stage: Stage) -> None:
    """The line is cut while the release is on it: nobody knows, until a person looks."""
    say, lot = stage.journey.step, stage.stack.lots[BAY_LOT]
    stage.park("12")
    with stage.phone("ja-JP") as phone:
        phone.scan(stage.url(BAY_LOT, "12"))
        phone.ask_fee("12")
        phone.go_to_payment()
        lot.tell("fault", device="plates", fault="unplug_on_write")
        phone.approve()
        say("the serial line is unplugged while the release for bay 12 is on it")
        say(f"the phone says: {phone.wait_stage('attendant')}")
        phone.shot("8-in-doubt-phone")
        case = stage.case(1001, "12")
        if case["phase"] != "in_doubt":
            raise Trouble(f"bay 12 is {case['phase']}, not in doubt")
        lot.tell("hand-release", exit="12")
        lot.wait_history("plate_down", exit="12")
        say("the attendant lowers the plate of bay 12 with the machine's own key switch")
        told = {"verdict": "settled", "note": "key switch, car may leave", "actor": "田中"}
        stage.attendant.tell("resolve", **told, shot=str(stage.shots / "9-console-in-doubt.png"))
        say("the doubt is resolved in the console, by name and with a reason")
        phone.wait_stage("done")
        phone.shot("10-in-doubt-resolved")
    lot.tell("clear-faults")
    lot.tell("drive-out", name="12")
    lot.wait_history("left", stay="12")
    say("the line is plugged in again; the car has left bay 12")
    stage.journey.found["in_doubt"] = {"number": case["number"], "resolved_by": stage.case(1001, "12")["by"]}


def by_hand(stage: Stage) -> None:
    """A release by hand from the console: commanded, then confirmed by the device."""
    say, lot = stage.journey.step, stage.stack.lots[BAY_LOT]
    stage.park("15")
    wait_for("the line to be up again", lambda: _device_up(stage, "1001/plates"))
    said = stage.attendant.tell("release", exit="1001/15", note="coin jam", actor="田中")
    if said["state"] != "confirmed":
        raise Trouble(f"the release by hand is {said['state']}: {said['detail']}")
    say(f"the attendant releases bay 15 from the console: {said['state']} ({said['detail']})")
    stage.attendant.tell("stay", name="15")
    stage.attendant.tell("shot", file=str(stage.shots / "11-console-ja.png"))
    stage.attendant.tell("language", to="en")
    stage.attendant.tell("shot", file=str(stage.shots / "12-console-en.png"))
    lot.tell("drive-out", name="15")
    lot.wait_history("left", stay="15")
    say("the car has left bay 15")
    stage.journey.found["by_hand"] = said


def _device_up(stage: Stage, link: str) -> bool:
    return any(one["link"] == link and one["up"] for one in stage.stack.snapshot()["links"])


SCENES: tuple[Callable[[Stage], None], ...] = (bay_lot, gated_lot, cash_race, unplugged, by_hand)
