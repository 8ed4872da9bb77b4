"""The life of one payment: authorize → release → capture. Pure: (payment, event, now) → (payment, effects).

`TABLE` is the whole of it. A fact that a standing neither moves on nor is known to ignore is a contradiction: the money
stays as it is, and an alarm asks a person. While the lot is in doubt nothing is voided and nothing captured.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from cloud.payments.base import ProviderEvent, ProviderState
from cloud.views import PaymentStage
from parking.errors import Code
from parking.money import Yen
from parking.wire import InDoubt, Received, Refused, Settled

OVERDUE_AFTER: Final = timedelta(seconds=20)
"""Not settled by then: the driver is sent to the attendant."""
PAGE_PATIENCE: Final = timedelta(seconds=30)
"""How long after its deadline an open payment may still hear of an authorization in time."""
CLOCK_SLACK: Final = timedelta(seconds=5)
"""By how much the provider's clock may be behind or ahead of ours."""


class Standing(StrEnum):
    """Where the money is."""

    OPEN = "open"
    AUTHORIZED = "authorized"
    IN_DOUBT = "in_doubt"
    SETTLED = "settled"
    """The lot acted; being captured."""
    CAPTURED = "captured"
    REFUSED = "refused"
    """The lot did not act; being voided."""
    LATE = "late"
    """Authorized when it no longer counted, or for another amount; being voided without a completion."""
    VOIDED = "voided"
    DECLINED = "declined"
    EXPIRED = "expired"
    REFUNDING = "refunding"
    """Captured although nothing was settled; being given back."""
    REFUNDED = "refunded"


class Fact(StrEnum):
    """What happened, as the table sees it."""

    PENDING = "pending"
    AUTHORIZED = "authorized"
    AUTHORIZED_LATE = "authorized_late"
    AMOUNT_DIFFERS = "amount_differs"
    CAPTURED = "captured"
    VOIDED = "voided"
    REFUNDED = "refunded"
    DECLINED = "declined"
    EXPIRED = "expired"
    RECEIVED = "received"
    SETTLED = "settled"
    REFUSED = "refused"
    IN_DOUBT = "in_doubt"
    NOTHING_DUE = "nothing_due"
    PAGE_OVER = "page_over"
    OVERDUE = "overdue"
    ENDING = "ending"
    """In doubt, or not heard of, while two thirds of the authorization's life are over."""


class Act(StrEnum):
    """What a move brings about."""

    ISSUE = "issue"
    CAPTURE = "capture"
    VOID = "void"
    REFUND = "refund"
    ALARM = "alarm"


@dataclass(frozen=True, slots=True)
class Payment:
    """What decisions about a payment need. `stay_gone`: the car has left, as far as the lot reported."""

    standing: Standing
    amount: Yen
    authorize_by: datetime
    authorized_at: datetime | None = None
    code: str = ""
    overdue: bool = False
    ending: bool = False
    stay_gone: bool = False


@dataclass(frozen=True, slots=True)
class Limits:
    """How long an authorization lives, and how long its completion may release."""

    authorization: timedelta
    completion_valid: timedelta


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


Event = ProviderEvent | Received | Settled | Refused | InDoubt | Tick
Effect = IssueCompletion | Capture | Void | Refund | Alarm


@dataclass(frozen=True, slots=True)
class Move:
    """Where a fact leads (None: nowhere) and what it brings about."""

    to: Standing | None = None
    acts: tuple[Act, ...] = ()


_STAY: Final = Move()
_CONTRADICTION: Final = Move(None, (Act.ALARM,))
_REFUND: Final = Move(Standing.REFUNDING, (Act.REFUND, Act.ALARM))
_VOID_LATE: Final = Move(Standing.LATE, (Act.VOID,))
_WARN: Final = {Fact.ENDING: Move(None, (Act.ALARM,))}
_SETTLE: Final = Move(Standing.SETTLED, (Act.CAPTURE,))
_REFUSE: Final = Move(Standing.REFUSED, (Act.VOID,))
_TIMES: Final = (Fact.NOTHING_DUE, Fact.PAGE_OVER, Fact.OVERDUE, Fact.PENDING, Fact.RECEIVED)
_AUTHORIZED: Final = (Fact.AUTHORIZED, Fact.AUTHORIZED_LATE)
_NO_MONEY: Final = (Fact.VOIDED, Fact.DECLINED, Fact.EXPIRED)


def _row(moves: Mapping[Fact, Move], *quiet: Fact) -> Mapping[Fact, Move]:
    ignored = {*_TIMES, *quiet}
    return {fact: moves.get(fact, _STAY if fact in ignored else _CONTRADICTION) for fact in Fact}


_CLOSED: Final = {Fact.AUTHORIZED: _VOID_LATE, Fact.AUTHORIZED_LATE: _VOID_LATE, Fact.CAPTURED: _REFUND}
_VOIDING: Final = {fact: Move(Standing.VOIDED) for fact in _NO_MONEY} | {Fact.CAPTURED: _REFUND}

TABLE: Final[Mapping[Standing, Mapping[Fact, Move]]] = {
    Standing.OPEN: _row(
        {
            Fact.AUTHORIZED: Move(Standing.AUTHORIZED, (Act.ISSUE,)),
            Fact.AUTHORIZED_LATE: _VOID_LATE,
            Fact.AMOUNT_DIFFERS: Move(Standing.LATE, (Act.VOID, Act.ALARM)),
            Fact.CAPTURED: _REFUND,
            Fact.VOIDED: Move(Standing.VOIDED),
            Fact.DECLINED: Move(Standing.DECLINED),
            Fact.EXPIRED: Move(Standing.EXPIRED),
            Fact.PAGE_OVER: Move(Standing.EXPIRED),
        }
    ),
    Standing.AUTHORIZED: _row(
        {Fact.SETTLED: _SETTLE, Fact.REFUSED: _REFUSE, Fact.IN_DOUBT: Move(Standing.IN_DOUBT)} | _WARN,
        *_AUTHORIZED,
    ),
    Standing.IN_DOUBT: _row({Fact.SETTLED: _SETTLE, Fact.REFUSED: _REFUSE} | _WARN, Fact.IN_DOUBT, *_AUTHORIZED),
    Standing.SETTLED: _row({Fact.CAPTURED: Move(Standing.CAPTURED)}, Fact.SETTLED, *_AUTHORIZED),
    Standing.CAPTURED: _row(
        {Fact.REFUNDED: Move(Standing.REFUNDED, (Act.ALARM,))}, Fact.SETTLED, Fact.CAPTURED, *_AUTHORIZED
    ),
    Standing.REFUSED: _row(_VOIDING, Fact.REFUSED, *_AUTHORIZED),
    Standing.LATE: _row(_VOIDING, *_AUTHORIZED),
    Standing.VOIDED: _row({Fact.CAPTURED: _REFUND}, Fact.REFUSED, *_AUTHORIZED, *_NO_MONEY),
    Standing.DECLINED: _row(_CLOSED, *_NO_MONEY),
    Standing.EXPIRED: _row(_CLOSED, *_NO_MONEY),
    Standing.REFUNDING: _row({Fact.REFUNDED: Move(Standing.REFUNDED)}, Fact.REFUSED, Fact.CAPTURED, *_AUTHORIZED),
    Standing.REFUNDED: _row({}, Fact.REFUSED, Fact.REFUNDED, Fact.CAPTURED, *_AUTHORIZED),
}

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
}


def step(payment: Payment, event: Event, now: datetime, limits: Limits) -> tuple[Payment, tuple[Effect, ...]]:
    """What an event makes of a payment. Repeating an event changes nothing and brings nothing about."""
    fact = fact_of(payment, event, now, limits)
    move = TABLE[payment.standing][fact]
    effects = tuple(_effect(act, payment, event, fact, now, limits) for act in move.acts)
    after = replace(
        payment,
        standing=move.to or payment.standing,
        overdue=payment.overdue or fact is Fact.OVERDUE,
        ending=payment.ending or fact is Fact.ENDING,
    )
    if move.to is not None:
        after = replace(after, code=_code(payment, event, fact, move.to))
    if Act.ISSUE in move.acts:
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
        case Received():
            return Fact.RECEIVED
        case Settled():
            return Fact.SETTLED
        case Refused():
            return Fact.REFUSED
        case InDoubt():
            return Fact.IN_DOUBT
        case Tick():
            return _due(payment, now, limits)


def _provider_fact(payment: Payment, event: ProviderEvent, now: datetime, limits: Limits) -> Fact:
    fact = _PROVIDER[event.state]
    if fact in (Fact.AUTHORIZED, Fact.CAPTURED) and event.amount != payment.amount:
        return Fact.AMOUNT_DIFFERS
    if fact is Fact.AUTHORIZED and payment.standing is Standing.OPEN:
        at = min(event.at, now)
        late = at > payment.authorize_by + CLOCK_SLACK or now >= at + limits.completion_valid
        return Fact.AUTHORIZED_LATE if late or payment.stay_gone else fact
    return fact


def _due(payment: Payment, now: datetime, limits: Limits) -> Fact:
    if payment.standing is Standing.OPEN:
        return Fact.PAGE_OVER if now > payment.authorize_by + PAGE_PATIENCE else Fact.NOTHING_DUE
    if payment.standing not in (Standing.AUTHORIZED, Standing.IN_DOUBT) or payment.authorized_at is None:
        return Fact.NOTHING_DUE
    age = now - payment.authorized_at
    if not payment.ending and age >= limits.authorization * 2 / 3:
        return Fact.ENDING
    if not payment.overdue and payment.standing is Standing.AUTHORIZED and age >= OVERDUE_AFTER:
        return Fact.OVERDUE
    return Fact.NOTHING_DUE


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


def _alarm(payment: Payment, event: Event, fact: Fact) -> Alarm:
    if fact is Fact.AMOUNT_DIFFERS:
        stated = event.amount if isinstance(event, ProviderEvent) else 0
        return Alarm(Code.WRONG_AMOUNT, f"the provider states {stated} yen, the quote {payment.amount}")
    if fact is Fact.ENDING:
        return Alarm(Code.EXPIRED, f"the authorization ends soon and the payment is still {payment.standing}")
    return Alarm(Code.CONTRADICTION, f"{fact} although the payment is {payment.standing}")


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
        Fact.DECLINED: Code.PROVIDER,
    }.get(fact)
    return payment.code or found or ""


def _stated_at(event: Event, now: datetime) -> datetime:
    """When the provider says it was paid, in whole seconds and never in the future."""
    at = event.at if isinstance(event, ProviderEvent) else now
    return min(at, now).replace(microsecond=0)
