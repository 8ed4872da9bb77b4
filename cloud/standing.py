"""Where the money of a payment can stand, what can happen to it, and what each fact does in each standing. Pure.

`TABLE` is the whole of it. A fact that a standing neither moves on nor is known to ignore is a contradiction: the money
stays as it is, and an alarm asks a person. While the lot is in doubt nothing is voided, captured or given back. A
release that turns up after its money went back is a loss to be listed, never a new charge.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Standing(StrEnum):
    """Where the money is."""

    OPEN = "open"
    AUTHORIZED = "authorized"
    IN_DOUBT = "in_doubt"
    SETTLED = "settled"
    """The lot acted; being captured."""
    UNWANTED = "unwanted"
    """The lot acted, and a person gives the money back: captured first, because the capture may be under way."""
    CAPTURED = "captured"
    REFUSED = "refused"
    """The lot did not act; being voided."""
    LATE = "late"
    """Authorized when it no longer counted, or for another amount; being voided without a completion."""
    VOIDED = "voided"
    DECLINED = "declined"
    EXPIRED = "expired"
    REFUNDING = "refunding"
    """Captured although nothing was settled, or not wanted by a person; being given back."""
    REFUNDED = "refunded"
    LOST = "lost"
    """The lot acted, but the provider has let the money go: on the list of losses."""


class Fact(StrEnum):
    """What happened, as the table sees it."""

    PENDING = "pending"
    AUTHORIZED = "authorized"
    AUTHORIZED_LATE = "authorized_late"
    AUTHORIZED_CLAIM = "authorized_claim"
    """For a claim whose car left long ago: nothing is to be released, so it is captured at once."""
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
    GIVE_BACK = "give_back"
    """A person gives the payment back."""
    NOTHING_DUE = "nothing_due"
    PAGE_OVER = "page_over"
    OVERDUE = "overdue"
    ENDING = "ending"
    """In doubt, or not heard of, while two thirds of the authorization's life are over."""
    UNSETTLED = "unsettled"
    """Neither settled nor refused for so long that a person must look."""
    UNHEARD = "unheard"
    """No bridge has ever received it, and by now none would act on it."""


class Act(StrEnum):
    """What a move brings about."""

    ISSUE = "issue"
    CAPTURE = "capture"
    VOID = "void"
    REFUND = "refund"
    ALARM = "alarm"
    LOSS = "loss"


@dataclass(frozen=True, slots=True)
class Move:
    """Where a fact leads (None: nowhere) and what it brings about."""

    to: Standing | None = None
    acts: tuple[Act, ...] = ()


_STAY: Final = Move()
_CONTRADICTION: Final = Move(None, (Act.ALARM,))
_REFUND: Final = Move(Standing.REFUNDING, (Act.REFUND, Act.ALARM))
_VOID_LATE: Final = Move(Standing.LATE, (Act.VOID,))
_LOSS: Final = Move(None, (Act.LOSS,))
_WARN: Final = {Fact.ENDING: Move(None, (Act.ALARM,)), Fact.UNSETTLED: Move(None, (Act.ALARM,))}
_SETTLE: Final = Move(Standing.SETTLED, (Act.CAPTURE,))
_REFUSE: Final = Move(Standing.REFUSED, (Act.VOID,))
_TIMES: Final = (Fact.NOTHING_DUE, Fact.PAGE_OVER, Fact.OVERDUE, Fact.UNHEARD, Fact.PENDING, Fact.RECEIVED)
_AUTHORIZED: Final = (Fact.AUTHORIZED, Fact.AUTHORIZED_LATE, Fact.AUTHORIZED_CLAIM)
_NO_MONEY: Final = (Fact.VOIDED, Fact.DECLINED, Fact.EXPIRED)


def _row(moves: Mapping[Fact, Move], *quiet: Fact) -> Mapping[Fact, Move]:
    # who gives back what is not taken has his will: only where the lot settled does money move
    ignored = {*_TIMES, *quiet, Fact.GIVE_BACK}
    return {fact: moves.get(fact, _STAY if fact in ignored else _CONTRADICTION) for fact in Fact}


_CLOSED: Final = dict.fromkeys(_AUTHORIZED, _VOID_LATE) | {Fact.CAPTURED: _REFUND}
_VOIDING: Final = {fact: Move(Standing.VOIDED) for fact in _NO_MONEY} | {Fact.CAPTURED: _REFUND}
_GONE: Final = {fact: Move(Standing.LOST, (Act.LOSS,)) for fact in _NO_MONEY}
_BACK: Final = Move(Standing.REFUNDED, (Act.ALARM,))

TABLE: Final[Mapping[Standing, Mapping[Fact, Move]]] = {
    Standing.OPEN: _row(
        {
            Fact.AUTHORIZED: Move(Standing.AUTHORIZED, (Act.ISSUE,)),
            Fact.AUTHORIZED_LATE: _VOID_LATE,
            Fact.AUTHORIZED_CLAIM: _SETTLE,
            Fact.AMOUNT_DIFFERS: Move(Standing.LATE, (Act.VOID, Act.ALARM)),
            Fact.CAPTURED: _REFUND,
            Fact.VOIDED: Move(Standing.VOIDED),
            Fact.DECLINED: Move(Standing.DECLINED),
            Fact.EXPIRED: Move(Standing.EXPIRED),
            Fact.PAGE_OVER: Move(Standing.EXPIRED),
        }
    ),
    Standing.AUTHORIZED: _row(
        {
            Fact.SETTLED: _SETTLE,
            Fact.REFUSED: _REFUSE,
            Fact.UNHEARD: _REFUSE,
            Fact.IN_DOUBT: Move(Standing.IN_DOUBT),
        }
        | _WARN,
        *_AUTHORIZED,
    ),
    Standing.IN_DOUBT: _row({Fact.SETTLED: _SETTLE, Fact.REFUSED: _REFUSE} | _WARN, Fact.IN_DOUBT, *_AUTHORIZED),
    Standing.SETTLED: _row(
        {Fact.CAPTURED: Move(Standing.CAPTURED), Fact.GIVE_BACK: Move(Standing.UNWANTED), Fact.REFUNDED: _BACK} | _GONE,
        Fact.SETTLED,
        *_AUTHORIZED,
    ),
    Standing.UNWANTED: _row(
        {Fact.CAPTURED: Move(Standing.REFUNDING, (Act.REFUND,)), Fact.REFUNDED: Move(Standing.REFUNDED)}
        | {fact: Move(Standing.VOIDED) for fact in _NO_MONEY},
        Fact.SETTLED,
        *_AUTHORIZED,
    ),
    Standing.CAPTURED: _row(
        {Fact.GIVE_BACK: Move(Standing.REFUNDING, (Act.REFUND,)), Fact.REFUNDED: _BACK},
        Fact.SETTLED,
        Fact.CAPTURED,
        *_AUTHORIZED,
    ),
    Standing.REFUSED: _row(_VOIDING | {Fact.SETTLED: _LOSS}, Fact.REFUSED, *_AUTHORIZED),
    Standing.LATE: _row(_VOIDING, *_AUTHORIZED),
    Standing.VOIDED: _row({Fact.CAPTURED: _REFUND, Fact.SETTLED: _LOSS}, Fact.REFUSED, *_AUTHORIZED, *_NO_MONEY),
    Standing.DECLINED: _row(_CLOSED, *_NO_MONEY),
    Standing.EXPIRED: _row(_CLOSED, *_NO_MONEY),
    Standing.REFUNDING: _row(
        {Fact.REFUNDED: Move(Standing.REFUNDED), Fact.SETTLED: _LOSS}, Fact.REFUSED, Fact.CAPTURED, *_AUTHORIZED
    ),
    Standing.REFUNDED: _row({Fact.SETTLED: _LOSS}, Fact.REFUSED, Fact.REFUNDED, Fact.CAPTURED, *_AUTHORIZED),
    Standing.LOST: _row({Fact.CAPTURED: Move(Standing.CAPTURED)}, Fact.SETTLED, *_AUTHORIZED, *_NO_MONEY),
}
