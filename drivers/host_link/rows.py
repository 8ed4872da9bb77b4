"""Rows of a host's tables and snapshots as the messages of the host link, sans-I/O.

    stays      ticket_no, entry_time, plate, paid_amount, paid_by
    fees       ticket_no, entry_time, rate_time, valid_until, due, paid
    books      receipt_no, ticket_no, amount, means, payment_time, authorisation_code

Values are what a database driver gives (text, whole numbers, Decimal, date and time) or the text of a CSV file. A time
without an offset is one of the host's own zone. Everything is checked as strictly as a reply over HTTP.
"""

from collections.abc import Sequence
from datetime import datetime, tzinfo
from decimal import Decimal
from typing import Final, TypeVar

import msgspec

from drivers.host_link import codec
from parking.errors import BadMessage, Code

STAYS: Final = ("ticket_no", "entry_time", "plate", "paid_amount", "paid_by")
FEES: Final = ("ticket_no", "entry_time", "rate_time", "valid_until", "due", "paid")
BOOKS: Final = ("receipt_no", "ticket_no", "amount", "means", "payment_time", "authorisation_code")
SUMS: Final = frozenset({"paid_amount", "due", "paid", "amount"})
TIMES: Final = frozenset({"entry_time", "rate_time", "valid_until", "payment_time"})
MOST_ROWS: Final = 50_000
"""No lot has more cars, nor more payments in two weeks."""

R = TypeVar("R", codec.OpenStay, codec.RateReply, codec.Booked)


def read(kind: type[R], columns: Sequence[str], values: Sequence[object], zone: tzinfo) -> R:
    """One row as a message; raises BadMessage(BAD_MESSAGE) that names the column, never a value: it may be a plate."""
    fields = {}
    for column, value in zip(columns, values, strict=True):
        found = plain(column, value, zone)
        if found is not None:
            fields[field(column)] = found
    try:
        return msgspec.convert(fields, kind)
    except msgspec.ValidationError as error:
        raise BadMessage(Code.BAD_MESSAGE, f"{kind.__name__}: {error}") from error


def field(column: str) -> str:
    """The field of a message that a column stands for."""
    return "".join(word.capitalize() for word in column.split("_"))


def text(value: object) -> str:
    """A text column: NULL is empty, a column of fixed width is padded."""
    return "" if value is None else str(value).strip()


def plain(column: str, value: object, zone: tzinfo) -> object:
    """A column's value in the form that the messages have; what cannot be turned stays, and is refused there."""
    if isinstance(value, str):
        value = value.strip()
        if column in SUMS and value.isascii() and value.isdecimal() and len(value) < 19:
            return int(value)
        if column in TIMES:
            return _instant(value, zone)
    elif isinstance(value, Decimal):
        whole = value.is_finite() and value == value.to_integral_value() and abs(value) < Decimal(10) ** 18
        return int(value) if whole else float(value)
    elif isinstance(value, datetime):
        return value if value.utcoffset() is not None else value.replace(tzinfo=zone)
    elif column not in SUMS and isinstance(value, int):
        return str(value)  # a ticket's number in a column of whole numbers
    return value


def _instant(value: str, zone: tzinfo) -> object:
    try:
        at = datetime.fromisoformat(value)
    except ValueError:
        return value or None
    return at if at.utcoffset() is not None else at.replace(tzinfo=zone)
