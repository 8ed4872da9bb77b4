"""The bridge's clock: wall time as of the start, carried on by a clock that nobody can set, and put right by the cloud.

A PC whose clock jumps, or is days off, must not make a payment expire, let an expired one live, or lose its voice: the
cloud refuses stale signatures. `Reckoning` is the arithmetic, without a clock; `SteadyClock` reads the two of this PC.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

MOST_SKEW: Final = timedelta(seconds=120)
"""Beyond it the cloud takes our signatures for stale, and its time is taken at once."""

LEAST_SKEW: Final = timedelta(seconds=1)
"""Below it nothing is done: messages take their time, and `Date` knows whole seconds."""

SLEW: Final = 0.05
"""Small differences are made up at this rate, in seconds a second. Below 1: time never runs backwards for them."""

NOTHING: Final = timedelta(0)


@dataclass(frozen=True, slots=True)
class Reckoning:
    """Time by dead reckoning: `anchor` was at `tick` (monotonic seconds); `owed` is still to be made up."""

    anchor: datetime
    tick: float
    owed: timedelta = NOTHING

    def at(self, tick: float) -> datetime:
        """What the time is at a tick; never less at a later one."""
        elapsed = max(0.0, tick - self.tick)
        most = timedelta(seconds=elapsed * SLEW)
        return self.anchor + timedelta(seconds=elapsed) + max(-most, min(most, self.owed))

    def not_before(self, floor: datetime, tick: float) -> "Reckoning":
        """It is certainly not earlier than `floor`: that has been seen."""
        return self if self.at(tick) >= floor else Reckoning(floor, tick)

    def hear(self, theirs: datetime, tick: float) -> tuple["Reckoning", timedelta]:
        """The cloud's time at a tick; also how far the clock was moved at once, zero if it was not."""
        now = self.at(tick)
        off = theirs - now
        if abs(off) > MOST_SKEW:
            return Reckoning(theirs, tick), off
        return replace(self, anchor=now, tick=tick, owed=off if abs(off) >= LEAST_SKEW else NOTHING), NOTHING


def wall_clock() -> datetime:
    """The PC's own clock, which anybody can set."""
    return datetime.now(UTC)


def since_boot() -> float:
    """Seconds of a clock that nobody can set and that, where the system has one, also counts while asleep."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)
    return time.clock_gettime(clock) if clock is not None else time.monotonic()


class SteadyClock:
    """Call it for aware UTC. Thread-safe.

    It goes back only when the cloud says that it is more than `MOST_SKEW` fast; `moved` is told of that, and of jumps
    forward.
    """

    def __init__(self, wall: Callable[[], datetime] = wall_clock, monotonic: Callable[[], float] = since_boot) -> None:
        self._wall, self._monotonic = wall, monotonic
        self._guard = threading.Lock()
        self._reckoning = Reckoning(wall(), monotonic())
        self._heard: datetime | None = None
        self.moved: Callable[[timedelta], None] | None = None

    def __call__(self) -> datetime:
        """Now."""
        with self._guard:
            return self._reckoning.at(self._monotonic())

    @property
    def heard(self) -> datetime | None:
        """The latest time that the cloud has told in this run."""
        return self._heard

    def not_before(self, floor: datetime) -> None:
        """At start: what the cloud has said in a former run is past."""
        with self._guard:
            self._reckoning = self._reckoning.not_before(floor, self._monotonic())

    def hear(self, theirs: datetime) -> bool:
        """Take the cloud's time to heart; whether ours was so wrong that what was refused may be tried again now."""
        with self._guard:
            self._reckoning, by = self._reckoning.hear(theirs, self._monotonic())
            self._heard = theirs
        if by and self.moved is not None:
            self.moved(by)
        return bool(by)

    def skew(self) -> timedelta:
        """How far this PC's own clock is ahead of this one."""
        return self._wall() - self()
