"""The driver seam: small Protocols, one per role, and the values that cross them.

A driver implements the roles it can and declares them in `Capabilities`. Calls block, carry a deadline and run on the
one thread that owns the port. Expected results are values (`Outcome`); exceptions are:

    NotSent      only when it is certain that no byte left
    Environment  the port is missing, busy or forbidden (also certain: no byte left)

After the first byte silence is `Uncertain`. There is no close command: closing belongs to the legacy controller.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import Flag, StrEnum, auto
from typing import Protocol, runtime_checkable

from parking.desk import Position
from parking.errors import Code
from parking.money import NOTHING, Yen
from parking.outcome import Evidence, Level
from parking.stay import StayRef
from parking.wire import FeeLine


class Role(Flag):
    """What a driver can be."""

    STAYS = auto()
    FEES = auto()
    SETTLE = auto()
    EXIT = auto()
    WITNESS = auto()
    BOOKS = auto()
    SIGHT = auto()
    """Shows where exits stand (`ExitDevice.read`), also those that another device moves."""


class Retry(StrEnum):
    """Whether an act may be repeated after an uncertain end. Declared by the driver, obeyed by the relay."""

    SAFE = "safe"
    SAME_SEQUENCE = "same_sequence"
    QUERY_FIRST = "query_first"
    NEVER = "never"


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a driver can do and prove.

    `settle_level` and `release_level` are the best level that its outcomes can reach; `counts` says that
    `read_counter` works, so that a counter delta can tell whether an act happened; `partial`, that its machine may take
    less than the amount (coins, until it is satisfied): then `Applied` and `Uncertain` name what it took, always.
    """

    roles: Role
    retry: Retry = Retry.NEVER
    settle_level: Level = Level.SENT
    release_level: Level = Level.SENT
    counts: bool = False
    partial: bool = False


@dataclass(frozen=True, slots=True)
class Stay:
    """An open stay as the legacy reports it; `paid` is what has been paid for it so far, by whatever means."""

    ref: StayRef
    paid: Yen = NOTHING
    paid_by: str = ""
    plate: str = ""


@dataclass(frozen=True, slots=True)
class Quote:
    """The legacy's own fee for a stay at an instant, good until `valid_until`.

    `at_most`: nobody knows the fee before it is paid (coins); the amount is what may be taken at most.
    """

    stay: StayRef
    amount: Yen
    lines: tuple[FeeLine, ...]
    valid_until: datetime
    at_most: bool = False


@dataclass(frozen=True, slots=True)
class Target:
    """One gate or lock plate: the profile's name for it and its channel on the device, from 0."""

    exit: str
    channel: int


@dataclass(frozen=True, slots=True)
class ExitState:
    """What an exit device showed. `vehicle` is None where no loop or bay sensor is wired."""

    position: Position
    held: bool
    vehicle: bool | None


Intend = Callable[[bytes, int | None], None]
"""Called by a driver right before the first byte, with the exact bytes and the device's counter (None: has none).

It returns once the intent is committed to disk, or raises NotSent if the act must not go ahead: nothing is written
then.
"""


@dataclass(frozen=True, slots=True)
class SettleOrder:
    """Mark `stay` paid with `amount` under our `reference`, not later than `deadline` (monotonic seconds)."""

    stay: StayRef
    amount: Yen
    reference: str
    paid_at: datetime
    attempt: int
    deadline: float
    intend: Intend


@dataclass(frozen=True, slots=True)
class ReleaseOrder:
    """Let one car out. `reference` says on whose behalf, for logs and devices that keep one."""

    reference: str
    attempt: int
    deadline: float
    intend: Intend


@dataclass(frozen=True, slots=True)
class Applied:
    """The device acted, as far as `level` says.

    `credited`: what a machine that may take less (`Capabilities.partial`) took of the amount; None: all of it. Never
    nothing: that is `Refused`.
    """

    level: Level
    evidence: tuple[Evidence, ...]
    credited: Yen | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """The device said no; nothing happened."""

    code: Code
    detail: str


@dataclass(frozen=True, slots=True)
class Uncertain:
    """Bytes left; nobody knows what happened. `credited`, as in `Applied`: the most that the machine can have taken."""

    detail: str
    code: Code = Code.NO_REPLY
    credited: Yen | None = None


Outcome = Applied | Refused | Uncertain


@dataclass(frozen=True, slots=True)
class Ours:
    """The witness names our reference."""

    reference: str
    detail: str


@dataclass(frozen=True, slots=True)
class Cash:
    """Somebody else paid: cash, a prepaid card, a validation."""

    detail: str


@dataclass(frozen=True, slots=True)
class Nobody:
    """The stay is not paid."""

    detail: str = ""


@dataclass(frozen=True, slots=True)
class CannotTell:
    """The witness does not answer or does not know the stay."""

    detail: str


Testimony = Ours | Cash | Nobody | CannotTell


class Driver(Protocol):
    """What every driver has. `close` is idempotent; after it the driver opens its port again when next used."""

    capabilities: Capabilities

    def close(self) -> None:
        """Give the port back."""
        ...


@runtime_checkable
class GivesWay(Protocol):
    """A driver whose readings take several exchanges, and that leaves out what may be older if somebody waits."""

    give_way: Callable[[], bool]
    """Whether somebody waits for the port; set by who owns it."""


class StayFeed(Protocol):
    """Knows which cars are in the lot."""

    def stays(self, deadline: float) -> Sequence[Stay]:
        """All open stays, now. Raises NotSent, Environment, or Uncertain (no reply)."""
        ...


class FeeSource(Protocol):
    """Knows what a stay costs."""

    def quote(self, stay: StayRef, at: datetime, deadline: float) -> Quote | Refused:
        """The fee at `at`; Refused with STAY_UNKNOWN or ALREADY_PAID. Raises as `stays` does."""
        ...


class Settler(Protocol):
    """Makes the legacy system book our payment."""

    def settle(self, order: SettleOrder) -> Outcome:
        """Re-read, `order.intend(...)`, write, read back."""
        ...


class ExitDevice(Protocol):
    """Opens gates or lowers lock plates."""

    def release(self, target: Target, order: ReleaseOrder) -> Outcome:
        """Let one car out: a device-timed pulse, or a level that ends by itself."""
        ...

    def hold_open(self, target: Target, order: ReleaseOrder) -> Outcome:
        """Open and stay open until `end_hold`."""
        ...

    def end_hold(self, target: Target, order: ReleaseOrder) -> Outcome:
        """Give closing back to the legacy controller."""
        ...

    def read(self, targets: Sequence[Target], deadline: float) -> Sequence[ExitState]:
        """The state of each target, in order. Raises NotSent, Environment or errors.Uncertain."""
        ...

    def read_counter(self, target: Target, deadline: float) -> int | None:
        """How often the device has released this target by our command; None where it does not count."""
        ...


class Witness(Protocol):
    """Can say who paid."""

    def who_settled(self, stay: StayRef, reference: str, deadline: float) -> Testimony:
        """Whether `reference`, somebody else or nobody paid for the stay; CannotTell when in doubt. Never raises."""
        ...


@dataclass(frozen=True, slots=True)
class Booking:
    """One payment in the legacy's books that came under a `reference` from outside; `booked_at` is by its own clock."""

    reference: str
    amount: Yen
    booked_at: datetime
    receipt: str = ""


class Books(Protocol):
    """Keeps books that can be read again: what was booked, not for one stay, but in a span of time."""

    def bookings(self, since: datetime, until: datetime, deadline: float) -> Sequence[Booking]:
        """All bookings with a reference, from `since` to before `until`, oldest first; cash has none.

        Raises NotSent, Environment, BadMessage or Uncertain: books that cannot be read whole are not read at all.
        """
        ...


@dataclass(frozen=True, slots=True)
class Finding:
    """What a read-only probe of a URL found: whether something answered, what it says it is, hints for the profile."""

    answered: bool
    identity: str
    hints: tuple[str, ...] = field(default=())
