"""The lot as `python -m drivers sim` simulates it, in a process of its own; spoken to by its control port alone."""

import contextlib
import itertools
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec
import requests

from drivers.conform.subject import Part, Seen, Subject
from drivers.profile import load
from parking.errors import Code, Environment

START: Final = 20.0
SPEED: Final = 10.0
"""Lot seconds per second: plates rise soon after a car has come."""
AGED: Final = 90
"""Minutes that a car has been in, so that its stay is worth something."""
OFF: Final = 0.5
"""Seconds without power."""
BETWEEN: Final = 0.5
"""Seconds between two customers at a pay station: it must see that the first one has gone."""
PRICES: Final = (2, 3, 1)
"""What customers at a pay station are asked for, in turn: some machines cannot tell two equal sales apart."""
STEP: Final = 100
"""Yen by which prices go, where the station's device does not say otherwise (`step_yen`)."""
PATIENCE: Final = 15.0
QUEUE: Final = 60.0
"""Seconds in which a queue before a gate has left, at most."""
STUCK: Final = 2.0
"""Seconds after which a car before a closed gate cannot leave by itself."""
ASK: Final = 5.0
IMPATIENT: Final[Mapping[str, Mapping[str, int]]] = {"zvt_terminal": {"t3_ms": 1000, "t4_ms": 2500}}
"""Machines that wait for minutes before they give up wait for seconds here."""


class Simulated:
    """A simulated lot; ends with `close`."""

    simulated = True

    def __init__(self, profile: Path, run_dir: Path) -> None:
        """Start it. Raises Environment if it does not come up."""
        words = [sys.executable, "-m", "drivers", "sim", str(profile), "--run-dir", str(run_dir)]
        self._log = (run_dir / "sim.log").open("wb")
        self._process = subprocess.Popen(  # noqa: S603 - this very program
            [*words, "--speed", str(SPEED), "--seed", "1"], stdin=subprocess.DEVNULL, stdout=self._log, stderr=self._log
        )
        self._prices = itertools.cycle(PRICES)
        self._price = 0
        self._before: dict[str, int] = {}
        self._session = requests.Session()
        self._session.trust_env = False
        until = time.monotonic() + START
        while not (run_dir / "sim.json").exists():
            if self._process.poll() is not None or time.monotonic() > until:
                self.close()
                why = (run_dir / "sim.log").read_text(errors="replace").strip()
                raise Environment(Code.CONFIG, f"the simulator did not start: {why[-500:]}", "see docs/lot-profile.md")
            time.sleep(0.02)
        said = msgspec.json.decode((run_dir / "sim.json").read_bytes())
        self._urls: dict[str, str] = said["urls"]
        self._control: str = said["control"]
        devices = load(profile).device
        self._families = {device.id: device.family for device in devices}
        self._steps = {device.id: int(device.options.get("step_yen", STEP)) for device in devices}
        self._hurry()

    def close(self) -> None:
        """End it; idempotent."""
        self._process.terminate()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()

    def url(self, device: str) -> str:
        """Where a device is."""
        return self._urls[device]

    def car(self, subject: Subject) -> str:
        """A car comes and wants out, or a customer puts a ticket into the pay station."""
        if subject.part is Part.DESK:
            time.sleep(BETWEEN)
            self._price = next(self._prices) * self._steps[subject.device.id]
            self._tell("ask", device=subject.device.id, amount=self._price)
            return ""
        bay = subject.exit.bay if subject.exit else ""
        if subject.exit is not None and not bay:
            self._empty(subject.exit.id)
        name = str(self._tell("arrive", bay=bay, minutes_ago=AGED)["name"])
        if subject.exit is not None and not bay:
            self._tell("drive-out", name=name, exit=subject.exit.id)
        return name

    def price(self, subject: Subject) -> int:
        """What the pay station asks its present customer for."""
        del subject
        return self._price

    def taken(self, subject: Subject, reference: str, *, now: bool) -> int:
        """By the world's own books."""
        del now  # they are always up to date
        world = self._world()
        if subject.exit is not None:
            return int(world["exits"][subject.exit.id]["released_by_bus"])
        if subject.part is Part.DESK:
            return int(world["stations"].get(subject.device.id, {}).get("taken", 0))
        payments = [one for stay in world["books"] for one in stay["payments"]]
        return sum(int(one["amount"]) for one in payments if one["reference"] == reference)

    def stand_by(self, subject: Subject) -> None:
        """Remember how everything stands."""
        self._before = self._marks(subject)

    def watch(self, subject: Subject) -> Seen:
        """Every exit of the lot, or the station or host itself."""
        until = time.monotonic() + subject.seconds
        while time.monotonic() < until:
            moved = tuple(name for name, mark in self._marks(subject).items() if mark > self._before.get(name, 0))
            if moved:
                return Seen(moved, time.monotonic())
            time.sleep(0.02)
        return Seen((), None)

    def _marks(self, subject: Subject) -> dict[str, int]:
        """What grows when something moves: by exit, or by device."""
        world = self._world()
        if subject.exit is not None:
            return {name: int(at["position"] == "open") for name, at in world["exits"].items()}
        if subject.part is Part.DESK:
            return {name: int(at["line_sales"]) for name, at in world["stations"].items()}
        booked = sum(bool(one["reference"]) for stay in world["books"] for one in stay["payments"])
        return {subject.device.id: booked}

    def cash(self, subject: Subject, name: str) -> None:
        """Coins at the pay station or the plate, the key at a gate."""
        if subject.part is Part.DESK:
            self._tell("insert-cash", device=subject.device.id)
        elif subject.exit is not None and not subject.exit.bay:
            self._tell("hand-release", exit=subject.exit.id)
        else:
            self._tell("pay-cash", name=name)

    def cancel(self, subject: Subject) -> None:
        """At the pay station."""
        self._tell("cancel", device=subject.device.id)

    def restart(self, subject: Subject) -> None:
        """Its plug is pulled and put back."""
        self._tell("fault", device=subject.device.id, fault="unplugged", on=True)
        time.sleep(OFF)
        self._tell("fault", device=subject.device.id, fault="unplugged", on=False)

    def tidy(self, subject: Subject, name: str) -> None:
        """Everybody leaves; whoever cannot is let out by hand."""
        self._tell("clear-faults")
        self._hurry()
        if subject.part is Part.DESK:
            self._tell("cancel", device=subject.device.id)
        elif subject.exit is not None:
            self._leave(subject.exit.id, name)
        else:
            for what in ("pay-cash", "drive-out"):
                with contextlib.suppress(Environment):  # it is paid for, or gone
                    self._tell(what, name=name)

    def _hurry(self) -> None:
        for device, family in self._families.items():
            for fault, value in IMPATIENT.get(family, {}).items():
                self._tell("fault", device=device, fault=fault, value=value)

    def _empty(self, exit_id: str) -> None:
        """Let cars of former tests, which have paid at the host, leave by this gate: it would open for them meanwhile.

        Whoever stands there without having paid is let out by hand.
        """
        until, moved = time.monotonic() + QUEUE, time.monotonic()
        last: list[Any] = []
        while time.monotonic() < until:
            world = self._world()
            there, position = (
                [one for one in world["cars"] if one["exit"] == exit_id],
                world["exits"][exit_id]["position"],
            )
            if position == "closed" and not there:
                return
            if (now := [position, there]) != last:
                last, moved = now, time.monotonic()
            elif position == "closed" and time.monotonic() > moved + STUCK:
                self._tell("hand-release", exit=exit_id)
                moved = time.monotonic()
            time.sleep(0.05)

    def _leave(self, exit_id: str, name: str) -> None:
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            world = self._world()
            car = next((one for one in world["cars"] if one["name"] == name), None)
            at = world["exits"][exit_id]
            if car is None and at["position"] in (("closed",) if at["kind"] == "gate" else ("closed", "open")):
                return
            if car is not None and car["where"] == "parked":
                self._tell("drive-out", name=name, exit=exit_id)
            elif car is not None and at["position"] == "closed":
                self._tell("hand-release", exit=exit_id)
            time.sleep(0.05)

    def _world(self) -> dict[str, Any]:
        return self._answer("GET", "world")

    def _tell(self, what: str, **words: Any) -> dict[str, Any]:
        return self._answer("POST", what, words)

    def _answer(self, method: str, what: str, words: dict[str, Any] | None = None) -> dict[str, Any]:
        """Raises Environment if the lot refuses, or is gone."""
        try:
            answer = self._session.request(method, f"{self._control}/{what}", json=words, timeout=ASK)
        except requests.RequestException as error:
            raise Environment(Code.DEVICE_UNAVAILABLE, f"the simulated lot is gone: {error}", "try again") from error
        if not answer.ok:
            raise Environment(Code.CONFLICT, f"the simulated lot refuses {what}: {answer.text}", "try again")
        said: dict[str, Any] = answer.json()
        return said
