"""The life of one payment: authorize → release → capture. Pure: (payment, event, now) → (payment, effects).

`cloud.standing.TABLE` is the whole of it; here events become its facts, and its acts become effects.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from cloud.payments.base import ProviderEvent, ProviderState
from cloud.standing import TABLE, Act, Fact, Standing
from cloud.views import PaymentStage
from parking.errors import Code
from parking.money import Yen, yen
from parking.reports import InDoubt, Received, Redeemed, Refused, Settled

__all__ = [  # with the words of cloud.standing, so that who moves payments needs one import
    "TABLE", "Alarm", "Capture", "Effect", "Event", "Fact", "GiveBack", "IssueCompletion", "Limits", "Loss", "Payment",
    "Refund", "Standing", "Tick", "Void", "fact_of", "stage", "step",
]  # fmt: skip

OVERDUE_AFTER: Final = timedelta(seconds=20)
"""Not settled by then: the driver is sent to the attendant."""
UNSETTLED_AFTER: Final = timedelta(minutes=10)
"""Neither settled nor refused by then: an alarm, unless the lot's policy names another time."""
UNHEARD_AFTER: Final = timedelta(hours=24)
"""Never received by a bridge by then: voided by itself."""
CODE_GOOD: Final = timedelta(hours=6)
"""How long a typed code is good after payment, unless it is configured otherwise."""
PAGE_PATIENCE: Final = timedelta(seconds=30)
"""How long after its deadline an open payment may still hear of an authorization in time."""
CLOCK_SLACK: Final = timedelta(seconds=5)
"""By how much the provider's clock may be behind or ahead of ours."""


@dataclass(frozen=True, slots=True)
class Payment:
    """What decisions about a payment need.

    `stay_gone`: the car has left, as far as the lot reported; `received`: a bridge reported that it has the completion;
    `claim`: it pays a claim, nothing is to be released; `heard_at`: when its lot was last heard.
    """

    standing: Standing
    amount: Yen
    authorize_by: datetime
    authorized_at: datetime | None = None
    code: str = ""
    overdue: bool = False
    ending: bool = False
    stay_gone: bool = False
    unsettled: bool = False
    received: bool = False
    claim: bool = False
    heard_at: datetime | None = None
    charged: Yen | None = None
    """What is charged of the amount, where the machine took less."""

    @property
    def due(self) -> Yen:
        """What the provider collects."""
        return self.amount if self.charged is None else self.charged


@dataclass(frozen=True, slots=True)
class Limits:
    """How long an authorization lives, its completion may release, and a payment may wait for the lot.

    `completion_valid` counts for the line and the QR code, `code_good` for the typed code on a phone.
    """

    authorization: timedelta
    completion_valid: timedelta
    unsettled: timedelta = UNSETTLED_AFTER
    unheard: timedelta = UNHEARD_AFTER
    code_good: timedelta = CODE_GOOD

    def patience(self, authorized_at: datetime, heard_at: datetime | None) -> timedelta:
        """How long a payment that no bridge has received is kept.

        A lot that was not heard since the payment's code ended may have let the car out by it: as long as money can be
        had for it, then.
        """
        told = heard_at is not None and heard_at >= authorized_at + self.code_good
        return self.unheard if told else max(self.unheard, self.authorization)


@dataclass(frozen=True, slots=True)
class GiveBack:
    """A person (`by`) does not want the payment, whether it was captured or not, for this reason."""

    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class Tick:
    """Time passed."""


@dataclass(frozen=True, slots=True)
class IssueCompletion:
    """Sign a completion with the lot's next number, in this very transaction."""

    paid_at: datetime
    valid_until: datetime


@dataclass(frozen=True, slots=True)
class Capture:
    """Have the provider collect."""


@dataclass(frozen=True, slots=True)
class Void:
    """Have the provider let the authorization go."""


@dataclass(frozen=True, slots=True)
class Refund:
    """Have the provider give the money back."""


@dataclass(frozen=True, slots=True)
class Alarm:
    """A person must know."""

    code: Code
    detail: str


@dataclass(frozen=True, slots=True)
class Loss:
    """The car left and the money is not ours: for the list of losses, where a person deals with it."""

    detail: str
    amount: Yen


Event = ProviderEvent | Received | Redeemed | Settled | Refused | InDoubt | GiveBack | Tick
Effect = IssueCompletion | Capture | Void | Refund | Alarm | Loss


_PROVIDER: Final = {
    ProviderState.PENDING: Fact.PENDING,
    ProviderState.AUTHORIZED: Fact.AUTHORIZED,
    ProviderState.CAPTURED: Fact.CAPTURED,
    ProviderState.VOIDED: Fact.VOIDED,
    ProviderState.REFUNDED: Fact.REFUNDED,
    ProviderState.DECLINED: Fact.DECLINED,
    ProviderState.EXPIRED: Fact.EXPIRED,
}
_STAGES: Final = {
    Standing.OPEN: PaymentStage.OPEN,
    Standing.AUTHORIZED: PaymentStage.RELEASING,
    Standing.IN_DOUBT: PaymentStage.ATTENDANT,
    Standing.SETTLED: PaymentStage.DONE,
    Standing.CAPTURED: PaymentStage.DONE,
    Standing.LOST: PaymentStage.DONE,
    Standing.UNWANTED: PaymentStage.REFUNDED,
    Standing.REFUNDING: PaymentStage.REFUNDED,
    Standing.REFUNDED: PaymentStage.REFUNDED,
}


def step(payment: Payment, event: Event, now: datetime, limits: Limits) -> tuple[Payment, tuple[Effect, ...]]:
    """What an event makes of a payment. Repeating an event changes nothing and brings nothing about."""
    fact = fact_of(payment, event, now, limits)
    move = TABLE[payment.standing][fact]
    effects = tuple(_effect(act, payment, event, fact, now, limits) for act in move.acts)
    if move.to is not None and (took := _took(payment, event)) is not None:
        payment = replace(payment, charged=took)
    after = replace(
        payment,
        standing=move.to or payment.standing,
        overdue=payment.overdue or fact is Fact.OVERDUE,
        unsettled=payment.unsettled or fact is Fact.UNSETTLED,
        ending=payment.ending or fact is Fact.ENDING,
    )
    if move.to is not None:
        after = replace(after, code=_code(payment, event, fact, move.to))
    if payment.standing is Standing.OPEN and move.to in (Standing.AUTHORIZED, Standing.SETTLED):
        after = replace(after, authorized_at=_stated_at(event, now))
    return after, effects


def stage(payment: Payment) -> PaymentStage:
    """What the driver sees: the attendant if it takes too long, `not charged` once no money will move."""
    if payment.standing is Standing.AUTHORIZED and payment.overdue:
        return PaymentStage.ATTENDANT
    return _STAGES.get(payment.standing, PaymentStage.NOT_CHARGED)


def fact_of(payment: Payment, event: Event, now: datetime, limits: Limits) -> Fact:
    """How the table sees an event, for this payment and at this moment."""
    match event:
        case ProviderEvent():
            return _provider_fact(payment, event, now, limits)
        case Received() | Redeemed():
            return Fact.RECEIVED
        case Settled():
            return Fact.SETTLED
        case Refused():
            return Fact.REFUSED
        case InDoubt():
            return Fact.IN_DOUBT
        case GiveBack():
            return Fact.GIVE_BACK
        case Tick():
            return _due(payment, now, limits)


def _provider_fact(payment: Payment, event: ProviderEvent, now: datetime, limits: Limits) -> Fact:
    fact = _PROVIDER[event.state]
    wanted = {Fact.AUTHORIZED: payment.amount, Fact.CAPTURED: payment.due}
    if event.amount != wanted.get(fact, event.amount):
        return Fact.AMOUNT_DIFFERS
    if fact is Fact.AUTHORIZED and payment.standing is Standing.OPEN:
        at = min(event.at, now)
        if at > payment.authorize_by + CLOCK_SLACK:
            return Fact.AUTHORIZED_LATE
        if payment.claim:
            return Fact.AUTHORIZED_CLAIM
        return Fact.AUTHORIZED_LATE if payment.stay_gone or now >= at + limits.completion_valid else fact
    return fact


def _due(payment: Payment, now: datetime, limits: Limits) -> Fact:
    if payment.standing is Standing.OPEN:
        return Fact.PAGE_OVER if now > payment.authorize_by + PAGE_PATIENCE else Fact.NOTHING_DUE
    if payment.standing not in (Standing.AUTHORIZED, Standing.IN_DOUBT) or payment.authorized_at is None:
        return Fact.NOTHING_DUE
    age, waits = now - payment.authorized_at, payment.standing is Standing.AUTHORIZED
    due = (
        (Fact.OVERDUE, waits and not payment.overdue and age >= OVERDUE_AFTER),
        (Fact.UNSETTLED, not payment.unsettled and age >= limits.unsettled),
        (Fact.ENDING, not payment.ending and age >= limits.authorization * 2 / 3),
        (
            Fact.UNHEARD,
            waits and not payment.received and age >= limits.patience(payment.authorized_at, payment.heard_at),
        ),
    )
    return next((fact for fact, is_due in due if is_due), Fact.NOTHING_DUE)


def _effect(act: Act, payment: Payment, event: Event, fact: Fact, now: datetime, limits: Limits) -> Effect:
    match act:
        case Act.ISSUE:
            paid_at = _stated_at(event, now)
            return IssueCompletion(paid_at, paid_at + limits.completion_valid)
        case Act.CAPTURE:
            return Capture()
        case Act.VOID:
            return Void()
        case Act.REFUND:
            return Refund()
        case Act.ALARM:
            return _alarm(payment, event, fact)
        case Act.LOSS:
            took = _took(payment, event)
            return Loss(
                f"{_stated(event)} although the payment is {payment.standing}", payment.due if took is None else took
            )


def _took(payment: Payment, event: Event) -> Yen | None:
    """What the machine took, where it says that it may be less; never more than the driver agreed to."""
    if not isinstance(event, Settled) or event.credited is None:
        return None
    return yen(min(event.credited, payment.amount))


def _alarm(payment: Payment, event: Event, fact: Fact) -> Alarm:
    if fact is Fact.AMOUNT_DIFFERS:
        stated = event.amount if isinstance(event, ProviderEvent) else 0
        return Alarm(Code.WRONG_AMOUNT, f"the provider states {stated} yen, the quote {payment.amount}")
    if fact is Fact.ENDING:
        return Alarm(Code.EXPIRED, f"the authorization ends soon and the payment is still {payment.standing}")
    if fact is Fact.UNSETTLED:
        return Alarm(Code.UNSETTLED, f"the lot has neither settled nor refused it; it is {payment.standing}")
    return Alarm(Code.CONTRADICTION, f"{fact} although the payment is {payment.standing}")


def _stated(event: Event) -> str:
    if isinstance(event, Settled):
        seen = "; ".join(f"{one.kind}: {one.text}" for one in event.evidence)
        return f"settled, by {event.by} ({seen})"
    return f"{event.state} at the provider" if isinstance(event, ProviderEvent) else type(event).__name__


def _code(payment: Payment, event: Event, fact: Fact, to: Standing) -> str:
    """Why a payment stands where it does; the first reason stays, unless all turned out well."""
    if isinstance(event, Refused | InDoubt):
        return event.code
    if to in (Standing.SETTLED, Standing.CAPTURED):
        return ""
    found = {
        Fact.AUTHORIZED_LATE: Code.STAY_CHANGED if payment.stay_gone else Code.QUOTE_EXPIRED,
        Fact.AMOUNT_DIFFERS: Code.WRONG_AMOUNT,
        Fact.EXPIRED: Code.EXPIRED,
        Fact.PAGE_OVER: Code.EXPIRED,
        Fact.UNHEARD: Code.LOT_OFFLINE,
        Fact.DECLINED: Code.PROVIDER,
    }.get(fact)
    return payment.code or found or ""


def _stated_at(event: Event, now: datetime) -> datetime:
    """When the provider says it was paid, in whole seconds and never in the future."""
    at = event.at if isinstance(event, ProviderEvent) else now
    return min(at, now).replace(microsecond=0)
