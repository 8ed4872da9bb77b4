"""What the terminal keeps of each charge and of each approval that it was given. Pure data."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from drivers.zvt_terminal.codec import Apdu
from drivers.zvt_terminal.fields import Bmp, Control, Result, bcd
from drivers.zvt_terminal.fields import field as bmp
from drivers.zvt_terminal.settings import Options


class Delivery(StrEnum):
    """How far an approval has got."""

    QUEUED = "queued"
    """No byte has left."""
    SAID = "said"
    """The result (04 0F) was said; whether the machine has it is not known."""
    ACKNOWLEDGED = "acknowledged"
    """The machine has the result; whether it took the end (06 0F), and so sold, is not known."""
    COMPLETED = "completed"
    """The machine has acknowledged the result and has the end: `proof` says how that is known."""
    WITHDRAWN = "withdrawn"
    """Ended before a byte had left."""
    REJECTED = "rejected"
    """The machine said no to the result: goods not issued, or another no and then it took our abort (06 1E)."""


UNDELIVERED = frozenset((Delivery.SAID, Delivery.ACKNOWLEDGED))

MOST_ENDS: Final = 1
"""Ends of one sale that may stay unanswered: a machine that lets more of them pass answers none."""


@dataclass(slots=True)
class Charge:
    """What the machine asks for: `units` in its own currency unit, `amount` in yen; `began` monotonic seconds."""

    number: int
    units: int
    amount: int
    began: float
    heard: float
    """When it was asked for last."""
    ended: str = ""
    """Why it is over, if nothing was approved."""


@dataclass(slots=True)
class Approval:
    """Our yes to a charge, on behalf of a payment."""

    reference: str
    charge: Charge
    result: Apdu
    receipt: int
    given: float
    state: Delivery = Delivery.QUEUED
    told: int = 0
    """In how many dialogues it was said, or was about to be."""
    ends: int = 0
    """How often its end was said, each time after the machine had answered the result."""
    note: str = ""
    says: list[str] = field(default_factory=list)
    """What the machine said about it, in order."""
    proof: str = ""
    """How it is known that the machine has the end of the dialogue, if it is."""

    @property
    def detail(self) -> str:
        """In words: the receipt, how far it got, what the machine said."""
        said = f" ({'; '.join([*self.says, self.note] if self.note else self.says)})" if self.says or self.note else ""
        return f"receipt {self.receipt:04d}, amount {self.charge.amount}: {self.state.value}{said}"

    def is_said_again(self, now: float, repeat_seconds: float) -> bool:
        """Whether the same amount once more is the same sale: not completed, fresh, its end not said in vain so far."""
        fresh = now - self.given <= repeat_seconds
        return self.state in UNDELIVERED and fresh and self.ends <= MOST_ENDS


def result_of(charge: Charge, receipt: int, stamp: datetime, options: Options) -> Apdu:
    """The status information that says yes (04 0F with result 00)."""
    data = bmp(Bmp.RESULT, bytes((Result.SUCCESS,))) + bmp(Bmp.AMOUNT, bcd(charge.units, 6))
    data += bmp(Bmp.TRACE, bcd(receipt, 3)) + bmp(Bmp.TERMINAL, bytes.fromhex(options.tid))
    data += bmp(Bmp.CURRENCY, bytes.fromhex(options.currency))
    data += bmp(Bmp.TIME, bytes.fromhex(f"{stamp:%H%M%S}"))
    data += bmp(Bmp.DATE, bytes.fromhex(f"{stamp:%m%d}")) + bmp(Bmp.RECEIPT, bcd(receipt, 2))
    if options.card:
        data += bmp(Bmp.CARD_TYPE, bytes((options.card.type,)))
    if options.card and options.card.name:
        data += bmp(Bmp.CARD_NAME, options.card.name.encode("ascii") + b"\0")
    if options.text:
        data += bmp(Bmp.TEXT, options.text.encode("ascii"))
    return Apdu(Control.STATUS_INFORMATION, data)


def failure_of(charge: Charge, options: Options) -> Apdu:
    """The status information that says: this one was not paid."""
    data = bmp(Bmp.RESULT, bytes((Result.ABORTED,))) + bmp(Bmp.AMOUNT, bcd(charge.units, 6))
    return Apdu(Control.STATUS_INFORMATION, data + bmp(Bmp.CURRENCY, bytes.fromhex(options.currency)))


def totals_of(units: int, options: Options) -> Apdu:
    """The status information of an end of day: what was approved since the last one."""
    data = bmp(Bmp.RESULT, bytes((Result.SUCCESS,))) + bmp(Bmp.AMOUNT, bcd(units, 6))
    data += bmp(Bmp.TERMINAL, bytes.fromhex(options.tid)) + bmp(Bmp.CURRENCY, bytes.fromhex(options.currency))
    return Apdu(Control.STATUS_INFORMATION, data)


def printed(charge: Charge, receipt: int, options: Options) -> tuple[Apdu, ...]:
    """The lines that the machine is asked to print (06 D1): attribute 00, then text in ASCII."""
    paid = {"ja": "DENSHI KESSAI", "en": "PAID BY PHONE"}[options.language]
    lines = (paid, f"{charge.amount} YEN", f"NO. {receipt:04d}")
    return tuple(Apdu(Control.PRINT_LINE, b"\0" + line.encode("ascii")) for line in lines)
