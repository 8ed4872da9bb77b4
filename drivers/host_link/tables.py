"""The statements that read and write a host's tables, sans-I/O. README.md has the schema.

`?` marks a parameter; a database whose driver wants another sign turns it. Reading goes by ticket or by days: a time's
text may have any offset, so a span is asked for with two days to spare and cut to measure here.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

from drivers.host_link import codec, rows
from drivers.host_link.host import Payment, Slip, as_json
from parking.errors import BadMessage, Code, Environment

SLIP: Final = ("ticket_no", "amount", "receipt_no", "refusal", "message")
ORDER: Final = ("authorisation_code", "ticket_no", "amount", "payment_time")
SPARE: Final = timedelta(days=2)


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement with its parameters."""

    text: str
    values: tuple[str | int, ...] = ()

    def journaled(self, names: Sequence[str]) -> bytes:
        """The text, and the values by name: exactly what the database is given, for journal and recording."""
        return self.text.encode() + b"\n" + as_json(**dict(zip(names, self.values, strict=True)))


class Tables:
    """The statements for tables whose names begin with `prefix`."""

    def __init__(self, prefix: str, conflict: str, naive_zone: tzinfo | None) -> None:
        """`conflict` is what the database understands for "do nothing if the key is there"; "" if it has no words.

        `naive_zone` is the zone of its times, if they have no offset.
        """
        self._prefix = prefix
        self._conflict = conflict
        self._naive_zone = naive_zone

    def stays(self) -> Statement:
        """All cars that are in."""
        return self._select(rows.STAYS, "stays")

    def fee(self, ticket: str) -> Statement:
        """What a ticket costs now."""
        return self._select(rows.FEES, "fees", "ticket_no = ?", ticket)

    def payments(self, ticket: str) -> Statement:
        """The host's books for a ticket."""
        return self._select(rows.BOOKS, "books", "ticket_no = ?", ticket)

    def booked(self, since: datetime, until: datetime) -> Statement:
        """The host's books from before `since` to after `until`."""
        days = [f"{at.astimezone(UTC) + spare:%Y-%m-%d}" for at, spare in ((since, -SPARE), (until, SPARE))]
        return self._select(rows.BOOKS, "books", "payment_time >= ? AND payment_time < ?", *days)

    def slip(self, reference: str) -> Statement:
        """Our row."""
        return self._select(SLIP, "payments", "authorisation_code = ?", reference)

    def order(self, payment: Payment) -> Statement:
        """The one statement that writes: a row under our reference, unless one is there."""
        into = ("INSERT INTO", f"{self._prefix}payments", f"({', '.join(ORDER)})", "VALUES (?, ?, ?, ?)")
        paid_at = payment.paid_at.astimezone(self._naive_zone or UTC).replace(microsecond=0)
        shown = f"{paid_at:%Y-%m-%d %H:%M:%S}" if self._naive_zone else paid_at.isoformat()
        return Statement(
            " ".join((*into, self._conflict)).strip(), (payment.reference, payment.ticket, payment.amount, shown)
        )

    def _select(self, columns: Sequence[str], table: str, where: str = "", *values: str) -> Statement:
        text = " ".join(("SELECT", ", ".join(columns), "FROM", self._prefix + table))
        return Statement(f"{text} WHERE {where}" if where else text, values)


Row = Sequence[object]


def one_slip(found: Sequence[Row]) -> Slip | None:
    """Our row, read; raises BadMessage for a row that is none, or for several."""
    if not found:
        return None
    ticket, amount, receipt, refusal, message = found[0]
    if len(found) > 1 or not isinstance(yen := rows.plain("amount", amount, UTC), int):
        raise BadMessage(Code.BAD_MESSAGE, "authorisation_code is no key of the payments, or amount no whole number")
    return Slip(rows.text(ticket), yen, rows.text(receipt), rows.text(refusal), rows.text(message))


def one_rate(found: Sequence[Row], ticket: str, zone: tzinfo) -> codec.RateReply | None:
    """What a ticket costs; raises BadMessage for a row that is none, for several, or for another ticket's."""
    if not found:
        return None
    rate = rows.read(codec.RateReply, rows.FEES, found[0], zone)
    if len(found) > 1 or rate.ticket_no != ticket:
        raise BadMessage(Code.CONTRADICTION, "asked for the fee of one ticket, the host shows another or several")
    return rate


def books(found: Iterable[Row], zone: tzinfo) -> list[codec.Booked]:
    """The host's books, oldest first."""
    booked = (rows.read(codec.Booked, rows.BOOKS, row, zone) for row in found)
    return sorted(booked, key=lambda one: (one.payment_time, one.receipt_no))


def bounded(found: Sequence[Row]) -> Sequence[Row]:
    """What was fetched; raises BadMessage if it is more than any lot has."""
    if len(found) > rows.MOST_ROWS:
        raise BadMessage(Code.BAD_MESSAGE, f"an answer of more than {rows.MOST_ROWS} rows")
    return found


def missing_tables(url: str, detail: str) -> Environment:
    """The database knows no such table or column, or lets us not use it."""
    return Environment(
        Code.CONFIG, f"{url}: {detail}", "let the host's vendor make the tables of drivers/host_link/README.md"
    )
