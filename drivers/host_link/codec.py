"""The messages of the host link, both directions, sans-I/O.

Shaped like the public interfaces of parking access and revenue control systems (CalculateRate, ApplyPayment with
facility, ticket, amount and an authorisation code of the payer's choice; see APT SKIDATA MobileAPI). JSON, whole yen,
times with an offset:

    GET  /api/stays?facility=F            StayList
    POST /api/calculate-rate              RateRequest    → RateReply       read-only
    POST /api/apply-payment               PaymentRequest → PaymentReply    books once per AuthorisationCode
    GET  /api/payments?facility=F&ticket=T                 PaymentList     who paid
    GET  /api/bookings?facility=F&since=S&until=U          BookingList     what was paid from S to before U, in order
    every other status                    Problem with a code

The key goes into the header `X-Api-Key`. Requests are read strictly. Replies are read strictly too, but may hold fields
that we do not know: a host that learned more still speaks to us.
"""

import re
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final, TypeVar

import msgspec

from parking.errors import BadMessage, Code

STAYS_PATH: Final = "/api/stays"
RATE_PATH: Final = "/api/calculate-rate"
PAY_PATH: Final = "/api/apply-payment"
PAYMENTS_PATH: Final = "/api/payments"
BOOKINGS_PATH: Final = "/api/bookings"
KEY_HEADER: Final = "X-Api-Key"
MOST_BYTES: Final = 1_000_000
"""No honest message is larger."""

_TEXT: Final = rb'("(?:%b)"\s*:\s*")((?:[^"\\]|\\.)*)'
_PLATES: Final = re.compile(_TEXT % b"Plate")
_NAMES: Final = re.compile(_TEXT % b"Plate|TicketNo")
_WORDS: Final = re.compile(_TEXT % b"Message")
_QUERY: Final = re.compile(rb"([?&]ticket=)([^&\s]*)")
MOST_KNOWN: Final = 2000
"""Plates of a host that are remembered, to be struck out wherever they turn up."""

_UNRESERVED: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")

Sum = Annotated[int, msgspec.Meta(ge=0, le=9_999_999)]
Word = Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
Instant = Annotated[datetime, msgspec.Meta(tz=True)]


class _Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="pascal"):
    """Base of what a client sends."""


class _Reply(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """Base of what a host answers."""


class RateRequest(_Request, frozen=True, kw_only=True):
    """Asks what a ticket costs now."""

    facility: Word
    ticket_no: Word


class PaymentRequest(_Request, frozen=True, kw_only=True):
    """`amount` yen were paid for a ticket elsewhere; `authorisation_code` names the payment, for ever."""

    facility: Word
    ticket_no: Word
    amount: Sum
    authorisation_code: Word
    payment_time: Instant


class OpenStay(_Reply, frozen=True, kw_only=True):
    """A car that is in. `paid_by` is empty, or the means of its last payment."""

    ticket_no: Word
    entry_time: Instant
    plate: str = ""
    paid_amount: Sum = 0
    paid_by: str = ""


class StayList(_Reply, frozen=True, kw_only=True):
    """All open stays of a facility."""

    facility: Word
    time: Instant
    stays: tuple[OpenStay, ...]


class RateLine(_Reply, frozen=True, kw_only=True):
    """One line of the working behind a fee, by language."""

    text: dict[str, str]
    amount: int


class RateReply(_Reply, frozen=True, kw_only=True):
    """`due` is what is left to pay; it stays the same from `rate_time` until `valid_until`, by the host's clock."""

    ticket_no: Word
    entry_time: Instant
    rate_time: Instant
    valid_until: Instant
    due: Sum
    paid: Sum = 0
    lines: tuple[RateLine, ...] = ()


class PaymentReply(_Reply, frozen=True, kw_only=True):
    """The booking: the host's own receipt number, and what it booked under which code."""

    receipt_no: Word
    ticket_no: Word
    amount: Sum
    authorisation_code: Word


class BookedPayment(_Reply, frozen=True, kw_only=True):
    """One payment in the host's books; the code is empty for its own pay station."""

    receipt_no: Word
    amount: Sum
    means: Word
    payment_time: Instant
    authorisation_code: str = ""


class PaymentList(_Reply, frozen=True, kw_only=True):
    """Who paid for a ticket, oldest first, and what is left to pay now (0 after the car went out)."""

    ticket_no: Word
    due: Sum
    payments: tuple[BookedPayment, ...]


class Booked(BookedPayment, frozen=True, kw_only=True):
    """One payment in the host's books, with the ticket that it was for."""

    ticket_no: Word


class BookingList(_Reply, frozen=True, kw_only=True):
    """Every payment that the host booked from `since` to before `until` by its own clock, oldest first."""

    facility: Word
    since: Instant
    until: Instant
    payments: tuple[Booked, ...]


class ProblemCode(StrEnum):
    """Why a host says no. Each means that nothing was booked."""

    BAD_REQUEST = "bad-request"
    BAD_KEY = "bad-key"
    UNKNOWN_FACILITY = "unknown-facility"
    UNKNOWN_TICKET = "unknown-ticket"
    ALREADY_PAID = "already-paid"
    CODE_REUSED = "code-reused"
    AMOUNT_TOO_LOW = "amount-too-low"
    NO_SUCH_PAGE = "no-such-page"


class Problem(_Reply, frozen=True, kw_only=True):
    """The body of a refusal."""

    code: ProblemCode
    message: str


Message = RateRequest | PaymentRequest | StayList | RateReply | PaymentReply | PaymentList | BookingList | Problem
M = TypeVar("M", bound=Message)
R = TypeVar("R", RateReply, PaymentList)


def encode(message: Message) -> bytes:
    """The message as JSON."""
    return msgspec.json.encode(message)


def decode(raw: bytes, kind: type[M]) -> M:
    """Read one message; raises BadMessage(BAD_MESSAGE) that names the offending place, whatever the bytes are."""
    if len(raw) > MOST_BYTES:
        raise BadMessage(Code.BAD_MESSAGE, f"{kind.__name__}: {len(raw)} bytes are more than {MOST_BYTES}")
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise BadMessage(Code.BAD_MESSAGE, f"{kind.__name__}: {error}") from error


def _quoted(text: str) -> str:
    """Percent-encoding (RFC 3986, section 2): nothing in a ticket's number can end the query or the request line."""
    return "".join(chr(byte) if chr(byte) in _UNRESERVED else f"%{byte:02X}" for byte in text.encode())


def stays_target(facility: str) -> str:
    """Path and query of the list of open stays."""
    return f"{STAYS_PATH}?facility={_quoted(facility)}"


def payments_target(facility: str, ticket: str) -> str:
    """Path and query of the payments for one ticket."""
    return f"{PAYMENTS_PATH}?facility={_quoted(facility)}&ticket={_quoted(ticket)}"


def bookings_target(facility: str, since: datetime, until: datetime) -> str:
    """Path and query of all payments in a span of time."""
    span = f"since={_quoted(since.isoformat())}&until={_quoted(until.isoformat())}"
    return f"{BOOKINGS_PATH}?facility={_quoted(facility)}&{span}"


def request_bytes(target: str, host: str, body: bytes) -> bytes:
    """A POST for the journal: request line, host, type, length and exact body; without the key, which is a secret."""
    head = (
        f"POST {target} HTTP/1.1",
        f"Host: {host}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    )
    return "\r\n".join((*head, "", "")).encode() + body


class Blackener:
    """Strikes plates out of what is recorded of the exchanges with one host; all other bytes stay as they are.

    The field `Plate` always; where the host's tickets are plates (`tickets`) these too, wherever they stand, and the
    host's own words, which may repeat them.
    """

    def __init__(self, *, tickets: bool) -> None:
        self._fields = (_NAMES, _QUERY, _WORDS) if tickets else (_PLATES,)
        self._known: dict[bytes, None] = {}

    def __call__(self, data: bytes) -> bytes:
        """What may be written down."""
        for plate in (_NAMES if _QUERY in self._fields else _PLATES).findall(data):
            self._known[plate[1]] = None
        while len(self._known) > MOST_KNOWN:
            del self._known[next(iter(self._known))]
        for field in self._fields:
            data = field.sub(lambda found: found[1] + b"*" * len(found[2]), data)
        for plate in self._known:
            data = data.replace(plate, b"*" * len(plate)) if plate else data
        return data
