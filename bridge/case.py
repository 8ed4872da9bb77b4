"""One completion in the lot: what is known of it. A value; `bridge.relay` alone decides how it changes."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

import msgspec

from parking.completion import Completion
from parking.desk import CasePhase
from parking.outcome import Evidence, Level
from parking.reports import Way
from parking.stay import LotId, StayRef


class Step(StrEnum):
    """What a completion makes a lot do, in this order."""

    SETTLE = "settle"
    """The legacy system books the payment."""
    RELEASE = "release"
    """The exit device lets the car out."""


class Case(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A completion's way through the lot.

    `step` is the act under way or in doubt; `booked` says that the legacy has booked our payment, after which a refusal
    is impossible. `attempt` counts tries, `sent` those of this step that were let write; `intent` and `counter` were
    committed before the first byte of the latest attempt. `since` is when the phase began, `tried_since` when the
    present step was first tried, `due` when the relay looks again,
    `sent_at` when a release was last let write, `doubted` whether the present step was in doubt.
    `turn` numbers the releases of a bridge in their order; `crowded`: an earlier one at this exit might still have
    acted.
    `sequence` is the attempt under whose number the step was first sent: what a device that knows repetitions by their
    number is told again. `refusals` counts those that left a booked payment unreleased.

    `way` is how the completion came in, `brought_by` who brought it, if not the feed; `matched` is False for a typed
    code whose signed completion has not come yet.
    `left`: the car was seen to go while its release was being sent.
    `let_out`: a person has opened for this stay by hand, in their words; `given_back`: they do not want the money.
    `credited`: the most that the machine can have taken of the amount, where it may take less (nothing as long as it
    has not said); None: all or nothing.
    """

    lot: LotId
    number: int
    reference: str
    stay: StayRef
    exit: str
    amount: int
    paid_at: datetime
    valid_until: datetime
    since: datetime
    phase: CasePhase = CasePhase.RECEIVED
    step: Step | None = None
    attempt: int = 0
    sent: int = 0
    sequence: int = 0
    refusals: int = 0
    queries: int = 0
    booked: bool = False
    intent: bytes = b""
    counter: int | None = None
    tried_since: datetime | None = None
    due: datetime | None = None
    sent_at: datetime | None = None
    doubted: bool = False
    turn: int = 0
    crowded: bool = False
    code: str = ""
    detail: str = ""
    level: Level | None = None
    evidence: tuple[Evidence, ...] = ()
    by: str = "relay"
    way: Way = Way.FEED
    brought_by: str = ""
    matched: bool = True
    left: str = ""
    let_out: str = ""
    given_back: bool = False
    credited: int | None = None

    @property
    def charged(self) -> int:
        """What the driver is charged for it, should it be settled."""
        return self.amount if self.credited is None else min(self.credited, self.amount)

    def taking(self, credited: int | None) -> "Case":
        """With what the machine took of the amount, if it says so."""
        return self if credited is None else msgspec.structs.replace(self, credited=credited)

    @property
    def over(self) -> bool:
        """Whether nothing can change any more."""
        return self.phase in (CasePhase.SETTLED, CasePhase.REFUSED)

    @property
    def key(self) -> tuple[int, int]:
        """Lot and number."""
        return (self.lot, self.number)


class Opening(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """An exit that a person opened for a stay; unless `confirmed` it is not known whether it moved.

    `number` is the payment that it ended; 0 as long as none was there to be ended.
    """

    command_id: str
    lot: LotId
    stay: StayRef
    actor: str
    reason: str
    at: datetime
    give_back: bool = False
    confirmed: bool = True
    number: int = 0


@dataclass(frozen=True, slots=True)
class Stated:
    """What a typed code stated, once it was proven: as a completion, but without a signature."""

    lot: LotId
    number: int
    stay: StayRef
    amount: int
    paid_at: datetime
    valid_until: datetime
    exit: str

    @property
    def reference(self) -> str:
        """Our name of this payment towards legacy systems, as in parking.completion."""
        return f"DK-{self.lot}-{self.number}"


def open_case(completion: Completion | Stated, now: datetime, way: Way = Way.FEED, by: str = "") -> Case:
    """The case of a verified completion, as first journaled; `by` is who brought it in."""
    return Case(
        lot=completion.lot,
        number=completion.number,
        reference=completion.reference,
        stay=completion.stay,
        exit=completion.exit,
        amount=completion.amount,
        paid_at=completion.paid_at,
        valid_until=completion.valid_until,
        since=now,
        way=way,
        brought_by=by,
        matched=way is not Way.CODE,
    )
