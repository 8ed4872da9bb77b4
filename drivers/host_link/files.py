"""The files of a folder that a host shares with us, both directions, sans-I/O. README.md has the whole arrangement.

    DK-1002-1.json    our order, JSON: TicketNo, Amount, AuthorisationCode, PaymentTime
    DK-1002-1.ok      the host's answer, JSON: ReceiptNo, TicketNo, Amount, AuthorisationCode
    DK-1002-1.err     or this one, JSON: AuthorisationCode, Code, Message
    stays.csv         a snapshot, rewritten by the host: the columns of rows.STAYS and rows.FEES, in any order
    payments.csv      the same for its books: the columns of rows.BOOKS

A snapshot's last line is `END,<rows>,<when it was made>`, that of the books also `,<since when they go back>`. A JSON
object and a file with its last line are whole; everything else is not there yet.
"""

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Final, TypeVar

import msgspec

from drivers.host_link import codec, rows
from drivers.host_link.host import Payment, Slip
from parking.errors import BadMessage, Code

ORDER: Final = ".json"
OK: Final = ".ok"
ERR: Final = ".err"
UNSENT: Final = ".json.tmp"
STAYS: Final = "stays.csv"
BOOKS: Final = "payments.csv"
TAKEN: Final = "taken"
"""A host that moves an order while it books it moves it here."""
END: Final = "END"
MOST_BYTES: Final = 8_000_000
"""No snapshot is larger."""
ENCODINGS: Final = ("utf-8", "cp932")
_PLAIN: Final = re.compile(r"[A-Za-z0-9-]")
STAYS_COLUMNS: Final = (*rows.STAYS, "rate_time", "valid_until", "due")


F = TypeVar("F", bound=msgspec.Struct)


class Order(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="pascal"):
    """A payment that the host is to book once, under its code."""

    ticket_no: codec.Word
    amount: codec.Sum
    authorisation_code: codec.Word
    payment_time: codec.Instant


class Refusal(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """The host's no: nothing was booked."""

    authorisation_code: codec.Word
    code: codec.Word
    message: str = ""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A whole file: its rows by column, when it was made, and since when it goes back, if it says so."""

    rows: tuple[Mapping[str, str], ...]
    made_at: datetime
    since: datetime | None


def stem(reference: str) -> str:
    """A reference as the beginning of a file's name: all but letters, digits and "-" as `%XX`."""
    return "".join(
        sign if _PLAIN.match(sign) else "".join(f"%{byte:02X}" for byte in sign.encode()) for sign in reference
    )


def order(payment: Payment) -> bytes:
    """The order's file."""
    return msgspec.json.encode(
        Order(
            ticket_no=payment.ticket,
            amount=payment.amount,
            authorisation_code=payment.reference,
            payment_time=payment.paid_at,
        )
    )


def slip(reference: str, order: bytes | None, ok: bytes | None, err: bytes | None) -> Slip | None:
    """What became of an order, by the files that are there; None if none is. Never raises.

    An answer that is not whole, or speaks of another order, is none; what it lacks stands in `unread`.
    """
    if order is None and ok is None and err is None:
        return None
    ours = _read(order, Order)
    yes, no = _read(ok, codec.PaymentReply), _read(err, Refusal)
    ticket, amount = (ours.ticket_no, ours.amount) if ours else ("", 0)
    if ok is not None and err is not None:
        return Slip(ticket, amount, unread="the host has answered yes and no")
    answer = yes or no
    if answer is not None and answer.authorisation_code != reference:
        return Slip(ticket, amount, unread="the host's answer speaks of another order")
    if yes is not None:
        return Slip(ticket, amount, receipt=yes.receipt_no, booked=(yes.ticket_no, yes.amount))
    if no is not None:
        return Slip(ticket, amount, refusal=no.code, message=no.message)
    return Slip(ticket, amount, unread="" if ok is None and err is None else "the host's answer cannot be read")


def snapshot(raw: bytes, wanted: Sequence[str], encoding: str, zone: tzinfo) -> Snapshot:
    """Read a snapshot; raises BadMessage(BAD_MESSAGE) that says what is missing or wrong, never what a plate is."""
    if len(raw) > MOST_BYTES:
        raise BadMessage(Code.BAD_MESSAGE, f"a file of more than {MOST_BYTES} bytes")
    try:
        text = io.StringIO(raw.decode(encoding).removeprefix("\ufeff"), newline="")
        lines = list(csv.reader(text, strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise BadMessage(Code.BAD_MESSAGE, f"no CSV file in {encoding}: {type(error).__name__}") from error
    lines = [line for line in lines if line]
    if not raw.endswith(b"\n") or len(lines) < 2 or lines[-1][0].strip() != END or len(lines[-1]) not in (3, 4):
        raise BadMessage(Code.BAD_MESSAGE, f"its last line is not {END},<rows>,<time> and a line end: not whole")
    head, found, end = [name.strip().lower() for name in lines[0]], lines[1:-1], lines[-1]
    if end[1].strip() != str(len(found)) or len(found) > rows.MOST_ROWS:
        raise BadMessage(Code.BAD_MESSAGE, f"{len(found)} rows, and {END} does not say so, or too many")
    missing = [name for name in wanted if name not in head]
    if missing or any(len(line) != len(head) for line in found):
        raise BadMessage(Code.BAD_MESSAGE, f"columns missing, or rows longer or shorter than the head: {missing}")
    made_at, *since = (_time(text, zone) for text in end[2:])
    return Snapshot(tuple(dict(zip(head, line, strict=True)) for line in found), made_at, next(iter(since), None))


def stays(shown: Snapshot, zone: tzinfo) -> list[codec.OpenStay]:
    """The open stays of a snapshot."""
    return [rows.read(codec.OpenStay, rows.STAYS, [row[name] for name in rows.STAYS], zone) for row in shown.rows]


def rate(shown: Snapshot, ticket: str, zone: tzinfo) -> codec.RateReply | None:
    """What a ticket costs by a snapshot; None if it is not in it, BadMessage if it is in it twice."""
    found = [row for row in shown.rows if row["ticket_no"].strip() == ticket]
    if len(found) > 1:
        raise BadMessage(Code.CONTRADICTION, "one ticket is in the stays twice")
    values = [found[0]["paid_amount" if name == "paid" else name] for name in rows.FEES] if found else []
    return rows.read(codec.RateReply, rows.FEES, values, zone) if found else None


def books(shown: Snapshot, zone: tzinfo, ticket: str = "") -> list[codec.Booked]:
    """The payments of a snapshot, those for one ticket alone if it is named, oldest first."""
    found = (row for row in shown.rows if not ticket or row["ticket_no"].strip() == ticket)
    booked = (rows.read(codec.Booked, rows.BOOKS, [row[name] for name in rows.BOOKS], zone) for row in found)
    return sorted(booked, key=lambda one: (one.payment_time, one.receipt_no))


def _read(raw: bytes | None, kind: type[F]) -> F | None:
    if raw is None or len(raw) > codec.MOST_BYTES:
        return None
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def _time(text: str, zone: tzinfo) -> datetime:
    try:
        at = datetime.fromisoformat(text.strip())
        return at if at.utcoffset() is not None else at.replace(tzinfo=zone)
    except ValueError as error:
        raise BadMessage(Code.BAD_MESSAGE, f"{END}: {text[:40]!r} is no time") from error
