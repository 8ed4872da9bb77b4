"""What holds simulated cars: lock plates in bays and gates at exit lanes (machines only, no bytes, no money).

A machine moves on a release or a hold and closes by itself, as its own controller does; there is no close command.
Movements take real seconds; the plate's rise after an arrival and its grace after a release run in lot time.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from drivers.simlot.clock import Clockwork, Timer
from parking.desk import Position
from parking.stay import NameKind

PLATE_TRAVEL: Final = 0.3
PLATE_AFTER_ARRIVAL: Final = 3.0
PLATE_GRACE: Final = 240.0
PLATE_AFTER_LEAVING: Final = 2.0
ARM_TRAVEL: Final = 0.8
ARM_AFTER_PASSING: Final = 1.5
ARM_WITHOUT_CAR: Final = 8.0
DRIVE: Final = 0.5
"""Seconds which a car needs to roll over a lowered plate or through a raised arm."""


class Whereabouts(StrEnum):
    """Where a simulated car is."""

    PARKED = "parked"
    LEAVING = "leaving"
    QUEUED = "queued"
    AT_EXIT = "at_exit"
    GONE = "gone"


@dataclass(slots=True)
class Car:
    """A simulated car; `name` is its bay or ticket, `entered_at` is lot time in whole seconds."""

    name: str
    kind: NameKind
    plate: str
    entered_at: datetime
    exit: str = ""
    where: Whereabouts = Whereabouts.PARKED


class Barrier:
    """What plate and gate have in common: a position, a hold, and one pending movement at a time.

    `car` is the one in the bay, or on the gate's loop.
    """

    _travel: float
    _words: tuple[str, str]

    def __init__(self, exit_id: str, clock: Clockwork, left: Callable[[Car], None]) -> None:
        """`left` is told about each car that went out."""
        self.exit_id = exit_id
        self.position = Position.CLOSED
        self.held = False
        self.car: Car | None = None
        self._clock = clock
        self._left = left
        self._opening = False
        self._pending: Timer | None = None

    @property
    def vehicle(self) -> bool:
        """Whether the bay sensor or the loop shows a car."""
        return self.car is not None

    def hold(self, on: bool) -> None:
        """Open and stay open, or give closing back to the machine."""
        self.held = on
        if on:
            self.release()
        else:
            self._end_hold()

    def release(self) -> None:
        """Open for one car; nothing moves if it is open or opening."""
        if self.position is Position.OPEN or self._opening:
            return
        self._opening = True
        self.position = Position.MOVING
        self._next(self._clock.after(self._travel, self._opened))

    def _end_hold(self) -> None:
        """What happens when a hold ends."""

    def _now_open(self) -> None:
        """What happens once it is open."""

    def _now_closed(self) -> None:
        """What happens once it is closed."""

    def _next(self, timer: Timer | None) -> None:
        if self._pending is not None:
            self._pending.call_off()
        self._pending = timer

    def _opened(self) -> None:
        self._opening = False
        self.position = Position.OPEN
        self._clock.say(self._words[0], self.exit_id, self.car.name if self.car else "")
        self._now_open()

    def _close(self) -> None:
        if self.held or self.position is not Position.OPEN:
            return
        self.position = Position.MOVING
        self._next(self._clock.after(self._travel, self._closed))

    def _closed(self) -> None:
        self.position = Position.CLOSED
        self._clock.say(self._words[1], self.exit_id, self.car.name if self.car else "")
        self._now_closed()


class Plate(Barrier):
    """A lock plate (ロック板): open is down, closed is up. It blocks leaving only, never arriving."""

    _travel = PLATE_TRAVEL
    _words = ("plate_down", "plate_up")

    def __init__(self, exit_id: str, clock: Clockwork, left: Callable[[Car], None], *, rises_empty: bool) -> None:
        """The bay is empty and its plate down; `rises_empty`: it goes up two seconds after a car left."""
        super().__init__(exit_id, clock, left)
        self.position = Position.OPEN
        self._rises_empty = rises_empty
        self._rolling: Timer | None = None

    def arrive(self, car: Car) -> None:
        """A car parks; the plate goes up some lot seconds later."""
        self.car = car
        if self.position is Position.OPEN and not self._opening:
            self._next(self._clock.after_lot(PLATE_AFTER_ARRIVAL, self._close))

    def drive_out(self, car: Car) -> None:
        """The car leaves as soon as the plate is down."""
        car.where = Whereabouts.LEAVING
        if self.position is Position.OPEN:
            self._roll()

    def _now_open(self) -> None:
        if self.car is None:
            self._rise_empty()
            return
        self._next(self._clock.after_lot(PLATE_GRACE, self._close))
        if self.car.where is Whereabouts.LEAVING:
            self._roll()

    def _end_hold(self) -> None:
        if self.car is None:
            self._rise_empty()
        elif self.position is Position.OPEN:
            self._next(self._clock.after_lot(PLATE_GRACE, self._close))

    def _roll(self) -> None:
        if self._rolling is None:
            self._next(None)  # no plate rises under a rolling car
            self._rolling = self._clock.after(DRIVE, self._gone)

    def _gone(self) -> None:
        self._rolling = None
        car, self.car = self.car, None
        if car is not None:
            self._left(car)
        self._rise_empty()

    def _rise_empty(self) -> None:
        if self._rises_empty and self.position is Position.OPEN:
            self._next(self._clock.after(PLATE_AFTER_LEAVING, self._close))


class Gate(Barrier):
    """A gate with an exit loop and a queue behind it: one release lets one car out, a hold lets all out."""

    _travel = ARM_TRAVEL
    _words = ("gate_up", "gate_down")

    def __init__(
        self, exit_id: str, clock: Clockwork, left: Callable[[Car], None], at_loop: Callable[[Car], None]
    ) -> None:
        """`at_loop` is told when a car pulls up, so that the legacy can look at its ticket."""
        super().__init__(exit_id, clock, left)
        self._at_loop = at_loop
        self._queue: deque[Car] = deque()
        self._spent = True
        self._passing = False

    def drive_out(self, car: Car) -> None:
        """The car queues for the loop and leaves through a raised arm."""
        car.where, car.exit = Whereabouts.QUEUED, self.exit_id
        self._queue.append(car)
        self._pull_up()

    def _now_open(self) -> None:
        self._spent = False
        self._next(self._clock.after(ARM_WITHOUT_CAR, self._close))
        self._pass()
        self._pull_up()

    def _now_closed(self) -> None:
        self._spent = True
        self._pull_up()

    def _end_hold(self) -> None:
        if self.position is Position.OPEN and not self._passing:
            self._next(self._clock.after(ARM_AFTER_PASSING, self._close))

    def _pull_up(self) -> None:
        """The next car drives onto the loop, but never behind another through an arm that is up for that one."""
        arm_is_someone_elses = self._spent and not self.held and self.position is not Position.CLOSED
        if self.car is not None or not self._queue or arm_is_someone_elses:
            return
        car = self.car = self._queue.popleft()
        car.where = Whereabouts.AT_EXIT
        self._clock.say("drive_up", self.exit_id, car.name)
        self._at_loop(car)
        self._pass()

    def _pass(self) -> None:
        free = self.held or not self._spent
        if self.car is None or self._passing or self.position is not Position.OPEN or not free:
            return
        self._passing, self._spent = True, True
        self._next(None)  # no arm falls on a car
        self._clock.after(DRIVE, self._passed)

    def _passed(self) -> None:
        car, self.car, self._passing = self.car, None, False
        if car is not None:
            self._left(car)
        self._next(self._clock.after(ARM_AFTER_PASSING, self._close))
        if self.held:
            self._pull_up()
