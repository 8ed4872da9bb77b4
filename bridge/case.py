"""One completion in the lot: what is known of it. A value; `bridge.relay` alone decides how it changes."""

from datetime import datetime
from enum import StrEnum

import msgspec

from parking.completion import Completion
from parking.desk import CasePhase
from parking.outcome import Evidence, Level
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
    present step was first tried, `due` when the relay looks again.
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
    queries: int = 0
    booked: bool = False
    intent: bytes = b""
    counter: int | None = None
    tried_since: datetime | None = None
    due: datetime | None = None
    code: str = ""
    detail: str = ""
    level: Level | None = None
    evidence: tuple[Evidence, ...] = ()
    by: str = "relay"

    @property
    def over(self) -> bool:
        """Whether nothing can change any more."""
        return self.phase in (CasePhase.SETTLED, CasePhase.REFUSED)

    @property
    def key(self) -> tuple[int, int]:
        """Lot and number."""
        return (self.lot, self.number)


def open_case(completion: Completion, now: datetime) -> Case:
    """The case of a verified completion, as first journaled."""
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
    )
