"""A simulated first management server behind tables: the schema of README.md, filled from the books of a `World`."""

import contextlib
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from drivers.host_link import rows
from drivers.host_link.simclerk import Clerk, word
from drivers.simlot.books import Booking
from drivers.simlot.world import World

FEES_EVERY: Final = timedelta(seconds=1)
Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a database spells: its type for times, how a time is written, a parameter, and what locks all tables."""

    times: str
    written: Callable[[datetime], Any]
    sign: str = "?"
    lock: tuple[str, ...] = ()


SQLITE: Final = Dialect("TEXT", lambda at: at.astimezone(UTC).isoformat(), lock=("BEGIN EXCLUSIVE",))


SCHEMA: Final = """
CREATE TABLE daiko_stays (
    ticket_no VARCHAR(64) NOT NULL PRIMARY KEY,
    entry_time TIMESTAMP NOT NULL,
    plate VARCHAR(40),
    paid_amount INTEGER NOT NULL,
    paid_by VARCHAR(16)
);
CREATE TABLE daiko_fees (
    ticket_no VARCHAR(64) NOT NULL PRIMARY KEY,
    entry_time TIMESTAMP NOT NULL,
    rate_time TIMESTAMP NOT NULL,
    valid_until TIMESTAMP NOT NULL,
    due INTEGER NOT NULL,
    paid INTEGER NOT NULL
);
CREATE TABLE daiko_books (
    receipt_no VARCHAR(64) NOT NULL PRIMARY KEY,
    ticket_no VARCHAR(64) NOT NULL,
    amount INTEGER NOT NULL,
    means VARCHAR(16) NOT NULL,
    payment_time TIMESTAMP NOT NULL,
    authorisation_code VARCHAR(64)
);
CREATE TABLE daiko_payments (
    authorisation_code VARCHAR(64) NOT NULL PRIMARY KEY,
    ticket_no VARCHAR(64) NOT NULL,
    amount INTEGER NOT NULL,
    payment_time TIMESTAMP NOT NULL,
    receipt_no VARCHAR(64),
    refusal VARCHAR(32),
    message VARCHAR(255)
)
"""
"""As in README.md; TIMESTAMP stands for the database's own type for times."""


def schema(dialect: Dialect) -> tuple[str, ...]:
    """The statements that make the tables."""
    return tuple(SCHEMA.replace("TIMESTAMP", dialect.times).split(";"))


class Tables(Clerk):
    """Keeps the tables of one database as the world's books are."""

    def __init__(self, world: World, url: str, dialect: Dialect, connect: Callable[[], Any], file: Path | None) -> None:
        """`connect` gives a DB-API connection; `file` is moved away while the fault `unplugged` lasts."""
        super().__init__(world)
        self.url = url
        self._dialect, self._connect, self._file = dialect, connect, file
        self._open: Any = None
        self._begun = False
        self._shown: dict[str, dict[str, Row]] | None = None
        self._fees_at = datetime.min.replace(tzinfo=UTC)
        self._away: Path | None = None

    def round(self) -> None:
        """One transaction: what is new in the books is shown, and orders are taken up and answered."""
        if self._plug():
            return
        if self._open is None:
            self._open = self._connect()
        if self.faults.locked and self._dialect.lock:
            self._hold()
            return
        orders = [] if self.faults.stopped else self._orders()
        if orders and self.faults.slow_ms:
            self._commit()
            self.dawdle()
        for order in orders:
            self._answer(*order)
        shown = None if self.faults.no_export else self._show()
        self._commit()
        self._shown = shown or self._shown

    def give_up(self) -> None:
        """Begin with a new connection, and show everything anew: nobody knows what was committed."""
        gone, self._open, self._shown, self._begun = self._open, None, None, False
        if gone is not None:
            gone.close()

    def leave(self) -> None:
        """Close, and put the file back."""
        self.faults.unplugged = False
        with contextlib.suppress(Exception):
            self._plug()
            self.give_up()

    def _plug(self) -> bool:
        """Whether the file is away."""
        if self._file is not None and self.faults.unplugged != (self._away is not None):
            self.give_up()
            if self._away is None:
                self._away = self._file.rename(self._file.with_suffix(".away"))
            else:
                self._away.rename(self._file)
                self._away = None
        return self._away is not None

    def _hold(self) -> None:
        self._commit()
        for statement in self._dialect.lock:
            self._do(statement)
        while self.faults.locked and not self._over.wait(0.01):
            pass
        self._open.rollback()
        self._begun = False

    def _commit(self) -> None:
        """End the transaction, if one was begun: Firebird's driver stumbles over none."""
        if self._begun:
            self._open.commit()
        self._begun = False

    def _do(self, text: str, *values: Any) -> list[Row]:
        self._begun = True
        with contextlib.closing(self._open.cursor()) as cursor:
            cursor.execute(text.replace("?", self._dialect.sign), values)
            return list(cursor.fetchall()) if cursor.description else []

    def _orders(self) -> list[Row]:
        return self._do(
            "SELECT ticket_no, amount, authorisation_code FROM daiko_payments"
            " WHERE receipt_no IS NULL AND refusal IS NULL"
        )

    def _answer(self, ticket: str, amount: int, reference: str) -> None:
        answer = self.judge(ticket, amount, reference)
        if isinstance(answer, Booking):
            self._do("UPDATE daiko_payments SET receipt_no = ? WHERE authorisation_code = ?", answer.receipt, reference)
            return
        self._do(
            "UPDATE daiko_payments SET refusal = ?, message = ? WHERE authorisation_code = ?",
            *(word(answer), answer.detail[:255], reference),
        )

    # --- what is shown ------------------------------------------------------------------------------------------------

    def _show(self) -> dict[str, dict[str, Row]]:
        """Bring the three tables up to date; returns what they hold once this is committed."""
        wanted, columns = self._wanted(), {"stays": rows.STAYS, "fees": rows.FEES, "books": rows.BOOKS}
        for table, names in columns.items():
            before = (self._shown or {}).get(table, {})
            if self._shown is None:
                self._do(_said("DELETE FROM", table))
            by_key = ("WHERE", names[0], "= ?")
            for name in before.keys() - wanted[table].keys():
                self._do(_said("DELETE FROM", table, *by_key), name)
            for name, row in wanted[table].items():
                if before.get(name) == row:
                    continue
                if name in before:
                    self._do(_said("DELETE FROM", table, *by_key), name)
                self._do(_said("INSERT INTO", table, "VALUES", f"({', '.join('?' * len(row))})"), *row)
        return wanted

    def _wanted(self) -> dict[str, dict[str, Row]]:
        at, world = self._dialect.written, self.world
        by_ticket: dict[str, list[Booking]] = {}
        for booking in world.host_booked():
            by_ticket.setdefault(booking.ticket, []).append(booking)
        stays: dict[str, Row] = {}
        for stay in world.host_stays():
            paid = by_ticket.get(stay.ticket, [])
            total, means = sum(one.amount for one in paid), paid[-1].means.value if paid else None
            stays[stay.ticket] = (stay.ticket, at(stay.entered_at), stay.plate or None, total, means)
        books = {
            one.receipt: (one.receipt, one.ticket, one.amount, one.means.value, at(one.at), one.reference or None)
            for paid in by_ticket.values()
            for one in paid
        }
        return {"stays": stays, "fees": self._fees(), "books": books}

    def _fees(self) -> dict[str, Row]:
        """Rates as they were shown before, unless they are old or something was paid."""
        at, now = self._dialect.written, self.world.lot_time()
        before: Mapping[str, Row] = (self._shown or {}).get("fees", {})
        fresh = now - self._fees_at < FEES_EVERY
        found: dict[str, Row] = {}
        for rate, _ in self.world.host_books():
            row = (rate.ticket, at(rate.entered_at), at(rate.at), at(rate.valid_until), rate.due, rate.paid)
            known = before.get(rate.ticket)
            found[rate.ticket] = known if known and fresh and known[4:] == row[4:] else row
        self._fees_at = self._fees_at if fresh else now
        return found


def _said(verb: str, table: str, *rest: str) -> str:
    return " ".join((verb, f"daiko_{table}", *rest))


def serve(world: World, url: str, dialect: Dialect, connect: Callable[[], Any]) -> Tables:
    """Make the tables in an empty database and keep them."""
    with contextlib.closing(connect()) as connection:
        with contextlib.closing(connection.cursor()) as cursor:
            for statement in schema(dialect):
                cursor.execute(statement)
        connection.commit()
    clerk = Tables(world, url, dialect, connect, None)
    clerk.start()
    return clerk


def serve_file(world: World, file: Path) -> Tables:
    """The same in a new SQLite file."""

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(file, timeout=5, check_same_thread=False)

    file.unlink(missing_ok=True)
    with contextlib.closing(connect()) as database:
        database.executescript(";".join(schema(SQLITE)))
    clerk = Tables(world, f"sqlite://{file.absolute().as_posix()}", SQLITE, connect, file)
    clerk.start()
    return clerk
