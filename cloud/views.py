"""What the driver's pages may know, and the `Cashier` that they talk to. Values only; no I/O."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from cloud.payments.base import ProviderEvent
from parking.money import Yen
from parking.stay import LotId, NameKind, StayRef
from parking.wire import FeeLine

Text = dict[str, str]


@dataclass(frozen=True, slots=True)
class LotPage:
    """A lot as its driver sees it. `exits` are the lanes where a release can follow; `online`: its bridge is heard.

    `when_down`: what becomes of a driver who cannot pay by phone: hold, claim or attendant (the lot's policy).
    `heard_at`: while it is not online, when it last was. `pay_offline`: it is not online, and a driver may pay all the
    same, to be let out by the code on his phone.
    """

    lot: LotId
    code: str
    name: Text
    address: Text
    names: NameKind
    time_zone: str
    exits: dict[str, Text]
    online: bool
    latitude: float
    longitude: float
    radius_m: int
    when_down: str = "attendant"
    heard_at: datetime | None = None
    pay_offline: bool = False


@dataclass(frozen=True, slots=True)
class QuotePage:
    """A fee with its working, good until `valid_until`; `token` (random, 128 bits) names it in URLs."""

    token: str
    lot: LotPage
    stay: StayRef
    exit: str
    amount: Yen
    lines: tuple[FeeLine, ...]
    at: datetime
    valid_until: datetime
    fee_by: str
    at_most: bool = False
    """The machine will say what it takes; this is the most."""


class PaymentStage(StrEnum):
    """What the driver sees of a payment; the money's exact state is in cloud.checkout."""

    OPEN = "open"
    """The provider's page is open; nothing is known yet."""
    RELEASING = "releasing"
    """Authorized; the lot is being told."""
    DONE = "done"
    """Released; captured or being captured."""
    NOT_CHARGED = "not_charged"
    """Declined, expired, or refused by the lot and voided: no money moved."""
    ATTENDANT = "attendant"
    """In doubt or late: show this page to the attendant."""
    REFUNDED = "refunded"
    """Captured, and given back or being given back."""


@dataclass(frozen=True, slots=True)
class PaymentPage:
    """A payment as its driver sees it. `completion` is the packed signed completion as digits, once there is one."""

    token: str
    stage: PaymentStage
    quote: QuotePage
    code: str
    reference: str
    completion: str
    paid_at: datetime | None
    changed_at: datetime
    version: int
    claim: str = ""
    """The claim against which the car leaves, to be paid later; empty: it is paid now."""
    charged: Yen | None = None
    """What is charged, where the machine took less than the fee that was shown."""


@dataclass(frozen=True, slots=True)
class ClaimOffer:
    """Payment is impossible now; the driver may leave and pay `amount` later, until `until`."""

    amount: Yen
    until: datetime


@dataclass(frozen=True, slots=True)
class ClaimPage:
    """A claim as its driver sees it. `state`: held, due, paid, cancelled, expired or forgiven (cloud.claims).

    `paying`: a payment for it is open or being collected. A claim made by hand may name no stay.
    """

    claim_id: str
    lot: LotPage
    stay: StayRef | None
    amount: Yen
    made_at: datetime
    until: datetime
    state: str
    paying: bool


class Cashier(Protocol):
    """The two stages of the phone, and what follows. Errors are those of parking.errors, with codes for the texts."""

    async def lot(self, code: str) -> LotPage:
        """The lot with this code. Raises Refused(LOT_UNKNOWN)."""
        ...

    async def lots_near(self, latitude: float, longitude: float) -> list[tuple[LotPage, int]]:
        """Lots by distance in metres, nearest first, at most five within 3 km."""
        ...

    async def fee(self, code: str, typed: str, exit_: str) -> QuotePage:
        """Stage one: find the stay that the driver typed and what it costs.

        Raises Refused(LOT_UNKNOWN | STAY_UNKNOWN | ALREADY_PAID | EXIT_UNKNOWN), BadMessage(BAD_NAME),
        Environment(LOT_OFFLINE | DEVICE_UNAVAILABLE).
        """
        ...

    async def quote(self, token: str) -> QuotePage:
        """A quote by its token. Raises Refused(NOT_FOUND)."""
        ...

    async def pay(self, token: str, language: str, *, line_down: bool = False) -> str:
        """Stage two: the URL of the provider's page. The same quote always leads to the same payment.

        A fee of 0 yen needs no provider: the completion is issued at once, and the URL is the payment's own page.
        `line_down`: the driver was told that the lot's line is down and what that means, and wants to pay.

        Raises Refused(NOT_FOUND | QUOTE_EXPIRED | CONFLICT), Environment(PROVIDER | LOT_OFFLINE).
        """
        ...

    async def claim_offer(self, token: str) -> ClaimOffer | None:
        """What the driver may do instead of paying this quote now, since `pay` has just raised PROVIDER; or None."""
        ...

    async def claim(self, token: str) -> str:
        """Leave now, pay later: the completion is issued against a claim. The URL of the payment's page.

        Raises Refused(NOT_FOUND | QUOTE_EXPIRED | CONFLICT | CLAIM_POLICY | BUDGET), Environment(LOT_OFFLINE).
        """
        ...

    async def claim_page(self, claim_id: str) -> ClaimPage:
        """A claim by its name. Raises Refused(NOT_FOUND)."""
        ...

    async def pay_claim(self, claim_id: str, language: str) -> str:
        """The URL of the provider's page for a claim, which leads back to /c/{claim_id}.

        Raises Refused(NOT_FOUND | ALREADY_PAID | EXPIRED | CONFLICT), Environment(PROVIDER).
        """
        ...

    async def payment(self, token: str) -> PaymentPage:
        """The payment that belongs to a quote's token. Raises Refused(NOT_FOUND)."""
        ...

    async def changed(self, token: str, version: int, seconds: float) -> PaymentPage:
        """Like `payment`, but waits up to `seconds` for a version above `version`."""
        ...

    async def apply(self, event: ProviderEvent) -> None:
        """What the provider states, from webhook or poll; repeating an event changes nothing. Committed on return.

        Raises Refused(NOT_FOUND) for an order that is not ours, Refused(CONFLICT) if amount or state cannot be.
        """
        ...
