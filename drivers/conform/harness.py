"""One driver as the bridge uses it: looks and single orders, of the part that is tested."""

import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import cast

from drivers import base
from drivers.conform.sight import Eye
from drivers.conform.subject import Subject
from drivers.registry import create_driver
from parking.desk import Position
from parking.money import yen
from parking.outcome import Level
from parking.stay import StayRef, normalise


def now() -> datetime:
    """Aware UTC."""
    return datetime.now(UTC)


@dataclass(slots=True)
class Harness:
    """Holds the driver of `subject`, whose address is where the line begins. Raises Environment(CONFIG).

    `eye` is there where another device sees the exit; then the proof is its.
    """

    subject: Subject
    driver: base.Driver = field(init=False)
    eye: Eye | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        """Nothing is opened yet."""
        self.anew()
        exit_, sight = self.subject.exit, self.subject.sight
        if exit_ is not None and sight is not None:
            self.eye = Eye(sight, exit_, create_driver(sight.device, sight.exits, now))

    def close(self) -> None:
        """Give the ports back; idempotent."""
        self.driver.close()
        if self.eye is not None:
            self.eye.close()

    def anew(self) -> None:
        """The bridge starts again: a driver that remembers nothing. The former one must be closed."""
        self.driver = create_driver(self.subject.device, self.subject.exits, now)

    @property
    def able(self) -> base.Capabilities:
        """What the driver declares, and the eye makes of it."""
        able = self.driver.capabilities
        return able if self.eye is None else replace(able, release_level=Level.PHYSICALLY_OBSERVED)

    @property
    def target(self) -> base.Target:
        """The exit that is tested; Part.EXIT only."""
        exit_ = self.subject.exit
        if exit_ is None:
            raise ValueError(f"{self.subject.title.en} has no exit")
        return base.Target(exit_.id, exit_.channel)

    @property
    def position(self) -> Position:
        """What the device shows of its exit now, or who sees it. Raises DaikoError."""
        own = cast("base.ExitDevice", self.driver).read((self.target,), self._soon())[0].position
        return own if self.eye is None else self.eye.position

    def counter(self) -> int | None:
        """The device's own counter of releases, where it has one. Raises DaikoError."""
        if not self.able.counts:
            return None
        return cast("base.ExitDevice", self.driver).read_counter(self.target, self._soon())

    def seen(self, name: str) -> StayRef | None:
        """A stay as the driver sees it now, the first for ""; None if it is not there. Raises DaikoError."""
        wanted = normalise(self.subject.names, name) if name else ""
        stays = cast("base.StayFeed", self.driver).stays(self._soon())
        return next((one.ref for one in stays if wanted in ("", one.ref.name)), None)

    def fee(self, stay: StayRef, otherwise: int) -> int | base.Refused:
        """What is to be paid: by the machine, or `otherwise` where it names nothing. Raises DaikoError."""
        if base.Role.FEES not in self.able.roles:
            return otherwise
        quote = cast("base.FeeSource", self.driver).quote(stay, now(), self._soon())
        return quote if isinstance(quote, base.Refused) else quote.amount

    def order(
        self, stay: StayRef | None, worth: int, reference: str, deadline: float, intend: base.Intend
    ) -> base.Outcome:
        """Give one order: settle `stay`, or release the exit if it is None. Raises as the driver does."""
        if stay is None:
            release = base.ReleaseOrder(reference, 1, deadline, intend)
            device, target = cast("base.ExitDevice", self.driver), self.target
            if self.eye is None:
                return device.release(target, release)
            return self.eye.watched(lambda: device.release(target, release), deadline)
        settle = base.SettleOrder(stay, yen(worth), reference, now(), 1, deadline, intend)
        return cast("base.Settler", self.driver).settle(settle)

    def testimony(self, stay: StayRef, reference: str) -> base.Testimony | None:
        """Who paid, by the driver's witness; None if it is none."""
        if base.Role.WITNESS not in self.able.roles:
            return None
        return cast("base.Witness", self.driver).who_settled(stay, reference, self._soon())

    def _soon(self) -> float:
        return time.monotonic() + self.subject.device.timeout_seconds
