"""The eyes on an exit that one device moves and another one sees, used as the bridge uses them."""

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final, cast

from drivers import base
from drivers.conform.subject import Sight
from drivers.conform.words import Words
from drivers.profile import ExitTable
from parking.desk import Position
from parking.errors import Code, DaikoError, Environment, NotSent, Uncertain
from parking.outcome import Evidence, EvidenceKind, Level

log = logging.getLogger(__name__)

PAUSE: Final = 0.02
"""Seconds between two looks at a moving arm."""
RAISED: Final = (Position.CLOSED, Position.OPEN)
"""What must be seen before and after."""


class Eye:
    """The device that sees `exit_`, through its own driver. `opened` are the exits that it saw open in the last act."""

    def __init__(self, sight: Sight, exit_: ExitTable, driver: base.Driver) -> None:
        """`driver` is the sight's own. Nothing is opened yet. Raises Environment(CONFIG) if it cannot see exits."""
        self._sight, self._exit, self._driver = sight, exit_, driver
        if base.Role.SIGHT not in driver.capabilities.roles:
            raise Environment(Code.CONFIG, f"device {sight.device.id!r} cannot see exits", "see its driver's page")
        self.opened: set[str] = set()

    @property
    def place(self) -> Words:
        """The device and its channel, for people."""
        eye = self._exit.eye
        return Words(f"{eye.device}（チャンネル {eye.channel}）", f"{eye.device} (channel {eye.channel})")

    def close(self) -> None:
        """Give the port back; idempotent."""
        self._driver.close()

    def look(self) -> dict[str, Position]:
        """Where all the exits stand that the device sees, by their ids. Raises NotSent, Environment or Uncertain."""
        targets = tuple(base.Target(one.id, one.eye.channel) for one in self._sight.exits)
        deadline = time.monotonic() + self._sight.device.timeout_seconds
        states = cast("base.ExitDevice", self._driver).read(targets, deadline)
        return {target.exit: state.position for target, state in zip(targets, states, strict=True)}

    @property
    def position(self) -> Position:
        """Where the exit stands. Raises as `look` does."""
        return self.look()[self._exit.id]

    def watched(self, act: Callable[[], base.Outcome], deadline: float) -> base.Outcome:
        """Look, have it moved, look until it is seen open. Raises as `act` does."""
        self.opened.clear()
        try:
            before = self.look()
        except Uncertain as error:
            raise NotSent(Code.DEVICE_UNAVAILABLE, f"nobody sees {self._exit.id}: {error.detail}") from error
        if before[self._exit.id] is Position.OPEN:
            code = Code.ALREADY_PAID if self._exit.bay else Code.CONFLICT
            return base.Refused(code, f"{self._exit.id} is open already, as {self._sight.device.id} sees")
        outcome = act()
        while isinstance(outcome, base.Applied):
            try:
                after = self.look()
                self.opened |= {name for name in after if (before[name], after[name]) == RAISED}
            except DaikoError as error:
                log.debug("not to be seen just now: %s", error)
            if self._exit.id in self.opened:
                proof = Evidence(EvidenceKind.OBSERVED, f"{self._sight.device.id}: closed before, open after")
                return replace(outcome, level=Level.PHYSICALLY_OBSERVED, evidence=(proof, *outcome.evidence))
            if time.monotonic() + PAUSE >= deadline:
                break
            time.sleep(PAUSE)
        return outcome

    @property
    def testimony(self) -> Words:
        """What it showed of the last act."""
        place, others = self.place, " ".join(sorted(self.opened - {self._exit.id}))
        if self._exit.id not in self.opened:
            found = Words(f"{place.ja} では開かなかった", f"{place.en} did not show it open")
        else:
            found = Words(f"{place.ja}: 閉から開へ", f"{place.en}: closed before, open after")
        if not others:
            return found
        return Words(f"{found.ja}。{others} が開いたと示した", f"{found.en}; it showed {others} open")
