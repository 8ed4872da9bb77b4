"""A host that keeps its stays, fees and books in tables, and takes our payments from one of them.

A booking is one statement in one transaction on a connection of its own: a row under our reference, unless it is there.
The reference is the table's primary key, so a repetition changes nothing; the row itself tells what became of it.
"""

from collections.abc import Sequence
from datetime import datetime
from importlib import import_module
from typing import Final, Protocol, TypeVar, cast
from urllib.parse import urlsplit

import msgspec

from drivers import base
from drivers.host_link import codec, rows, tables
from drivers.host_link.host import Account, Payment, Slip, bad_option, options
from drivers.host_link.tables import Row, Statement, Tables
from drivers.profile import DeviceTable
from drivers.recorder import Direction
from drivers.transport import Tap
from parking.errors import Code, DaikoError, Environment, Refused, Uncertain


class Database(Protocol):
    """A database of one kind. Environment tells what a person must do, also where tables or rights are missing."""

    url: str
    conflict: str
    """Its words for "do nothing if the key is there"; "" if it has none."""
    keeps_offsets: bool
    """Whether its times have an offset; else they are written in the host's zone."""

    def rows(self, statement: Statement, deadline: float) -> Sequence[Row]:
        """Read, at most rows.MOST_ROWS; raises NotSent, Uncertain, Environment or BadMessage."""
        ...

    def insert(self, statement: Statement, deadline: float) -> None:
        """Write and commit, once, on a connection of its own.

        Raises NotSent or Environment if the statement certainly never left, Refused if the database said no to it and
        nothing was written, Uncertain otherwise.
        """
        ...

    def close(self) -> None:
        """Give the connection back; idempotent."""
        ...


KINDS: Final = {
    "sqlite": ("sqlite", "Sqlite"),
    "postgresql": ("postgresql", "PostgreSql"),
    "firebird": ("firebird", "Firebird"),
}
"""Module and class, by the scheme of the address."""
H = TypeVar("H")
_ORDER: Final = ("AuthorisationCode", "TicketNo", "Amount", "PaymentTime")


class SqlHost:
    """One facility of a host behind its tables."""

    takes_orders = True

    def __init__(self, database: Database, account: Account, recorder: Tap | None) -> None:
        """Nothing is opened yet; raises Environment(CONFIG) for a time zone that is none."""
        self.url = database.url
        self._database = database
        self._zone = account.zone
        self._tables = Tables(account.prefix, database.conflict, None if database.keeps_offsets else account.zone)
        self._recorder = recorder
        self._blacken = codec.Blackener(tickets=account.names == "plate")

    def close(self) -> None:
        """Give the connection back."""
        self._database.close()

    def stays(self, deadline: float) -> Sequence[codec.OpenStay]:
        """All open stays."""
        found = self._read(self._tables.stays(), (), deadline)
        return self._heard([rows.read(codec.OpenStay, rows.STAYS, row, self._zone) for row in found])

    def rate(self, ticket: str, deadline: float) -> codec.RateReply | base.Refused:
        """What a ticket costs now."""
        rate = self._fee(ticket, deadline)
        return rate or base.Refused(Code.STAY_UNKNOWN, "the host's fees do not have this stay")

    def payments(self, ticket: str, entered_at: datetime | None, deadline: float) -> codec.PaymentList | base.Refused:
        """Who paid for the stay, and what is due. A plate comes again: what it paid for earlier stays is left out."""
        rate = self._fee(ticket, deadline)
        found = self._heard(
            tables.books(self._read(self._tables.payments(ticket), ("TicketNo",), deadline), self._zone)
        )
        begun = entered_at or (rate.entry_time if rate else None)
        paid = tuple(one for one in found if begun is None or one.payment_time >= begun)
        if rate is None and not paid:
            return base.Refused(Code.STAY_UNKNOWN, "neither the host's fees nor its books have this stay")
        return codec.PaymentList(ticket_no=ticket, due=rate.due if rate else 0, payments=paid)

    def bookings(self, since: datetime, until: datetime, deadline: float) -> Sequence[codec.Booked]:
        """Every payment in a span of time."""
        found = tables.books(self._read(self._tables.booked(since, until), ("Since", "Until"), deadline), self._zone)
        return self._heard([one for one in found if since <= one.payment_time < until])

    def slip(self, reference: str, deadline: float) -> Slip | None:
        """Our row, on a new connection: one that is kept may have died unnoticed, or look at an old state."""
        self._database.close()
        slip = tables.one_slip(self._read(self._tables.slip(reference), ("AuthorisationCode",), deadline))
        if slip is not None:
            told = {"TicketNo": slip.ticket, "Receipt": slip.receipt, "Code": slip.refusal, "Message": slip.message}
            self._heard([told])
        return slip

    def never_left(self, reference: str) -> bool:  # noqa: ARG002 - a row that is not there was never committed
        """True: rows stay (README.md)."""
        return True

    def compose(self, payment: Payment) -> bytes:
        """The statement with its values."""
        return self._tables.order(payment).journaled(_ORDER)

    def book(self, payment: Payment, deadline: float) -> base.Refused | None:
        """Insert our row. The no of a constraint or trigger is certain, unless a row under our reference is there.

        A word of codec.ProblemCode in it says why.
        """
        statement = self._tables.order(payment)
        self._note(Direction.TX, statement.journaled(_ORDER))
        try:
            self._database.insert(statement, deadline)
        except Refused as error:
            self._heard([{"Message": error.detail}])
            if self._lies_there(payment.reference, deadline):
                return None
            word = next((known for known in codec.ProblemCode if known in error.detail), "")
            return Slip(payment.ticket, payment.amount, refusal=word or "refused", message=error.detail).refused
        return None

    def _lies_there(self, reference: str, deadline: float) -> bool:
        """Whether a row is there, after ours was refused; it may be an earlier one of ours, so silence is a doubt."""
        try:
            return self.slip(reference, deadline) is not None
        except DaikoError as error:
            raise Uncertain(error.code, error.detail) from error

    def _fee(self, ticket: str, deadline: float) -> codec.RateReply | None:
        found = self._read(self._tables.fee(ticket), ("TicketNo",), deadline)
        rate = tables.one_rate(found, ticket, self._zone)
        if rate is not None:
            self._heard([rate])
        return rate

    def _read(self, statement: Statement, names: Sequence[str], deadline: float) -> Sequence[Row]:
        self._note(Direction.TX, statement.journaled(names))
        return self._database.rows(statement, deadline)

    def _heard(self, found: list[H]) -> list[H]:
        if self._recorder is not None:
            self._note(Direction.RX, msgspec.json.encode(found))
        return found

    def _note(self, direction: Direction, data: bytes) -> None:
        if self._recorder is not None:
            self._recorder.note(direction, self._blacken(data))


def create(device: DeviceTable, recorder: Tap | None) -> SqlHost:
    """The host behind a database's address; raises Environment(CONFIG) that names what is wrong."""
    account = options(device, Account)
    if account.password and account.password_file:
        raise bad_option(device, "password and password_file: give one of them")
    return SqlHost(_database(device.url, account), account, recorder)


def _database(url: str, account: Account) -> Database:
    """The database behind an address; its module, and with it the library that it needs, is imported only now."""
    module, kind = KINDS[urlsplit(url).scheme]
    try:
        made = getattr(import_module(f"drivers.host_link.{module}"), kind)(url, account)
    except ImportError as error:
        raise Environment(
            Code.CONFIG, f"{urlsplit(url).scheme}: {error}", "install Daiko with its extra `hosts`"
        ) from error
    return cast("Database", made)


def probe(url: str, deadline: float) -> base.Finding:
    """Look, without changing anything, whether the tables of such a host are at `url`; signs in without a password."""
    try:
        database = _database(url, Account())
        try:
            database.rows(Tables("daiko_", "", None).stays(), deadline)
        finally:
            database.close()
    except Environment as error:
        answered = error.code is Code.UNAUTHORIZED
        return base.Finding(answered, "a database that wants a password" if answered else "", (str(error),))
    except DaikoError as error:
        return base.Finding(False, "", (str(error),))
    hints = ('family = "host_link"', f'url = "{url}"')  # with the user, which the database's own name leaves out
    return base.Finding(True, "first management server (host link), its table of stays", hints)
