"""The tables of a host in PostgreSQL: `postgresql://user@host:5432/db`, with libpq's own settings after a `?`.

Imported only where a profile has such an address: psycopg is an extra. Its own time-out for connecting is two seconds
at least, so the connection is made step by step here; every later wait ends at the deadline too, whatever the server
does.
"""

import contextlib
import selectors
import time
from collections.abc import Generator, Sequence
from typing import Any, Final, TypeVar
from urllib.parse import parse_qs, urlsplit

import psycopg
from psycopg import pq
from psycopg.conninfo import make_conninfo

from drivers.host_link.host import Account
from drivers.host_link.rows import MOST_ROWS
from drivers.host_link.tables import Row, Statement, bounded, missing_tables
from parking.errors import Code, DaikoError, Environment, NotSent, Refused, Uncertain

LEAST_SECONDS: Final = 0.01
READ_ONLY: Final = " -c default_transaction_read_only=on"
LONGEST_READING: Final = 60.0
"""Seconds after which the server itself ends a reading that we have given up."""
WORDS: Final = "write it like postgresql://user@192.168.0.10:5432/db, the password under [device.options]"


V = TypeVar("V")


class Patient(psycopg.Connection[Any]):
    """A connection whose waits end at a deadline, which is set before each statement."""

    deadline = 0.0

    def wait(self, gen: Generator[Any, Any, V], interval: float = 0.1, timeout: float | None = None) -> V:
        """As psycopg's own, but not for longer."""
        del timeout
        return super().wait(gen, interval, timeout=max(0.001, self.deadline - time.monotonic()))


class PostgreSql:
    """One database. A connection for reading is kept; the server itself lets it change nothing."""

    keeps_offsets = True
    conflict = "ON CONFLICT (authorisation_code) DO NOTHING"

    def __init__(self, url: str, account: Account) -> None:
        """Nothing is opened yet; raises Environment(CONFIG) if `url` is no address, or holds a password."""
        try:
            parts = urlsplit(url)
            good = bool(parts.hostname) and parts.port != 0 and len(parts.path) > 1 and not parts.fragment
            good = good and "password" not in parse_qs(parts.query) and "passfile" not in parse_qs(parts.query)
            shown = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
        except ValueError:
            good, shown, parts = False, url, urlsplit("")
        if parts.password is not None or not good:
            raise Environment(Code.CONFIG, f"{shown!r} is not a database's address", WORDS)
        self.url = shown
        self._url = url
        self._account = account
        self._kept: Patient | None = None

    def close(self) -> None:
        """Give the connection back."""
        kept, self._kept = self._kept, None
        if kept is not None:
            with contextlib.suppress(Exception):
                kept.close()

    def rows(self, statement: Statement, deadline: float) -> Sequence[Row]:
        """Read, at most MOST_ROWS."""
        try:
            if self._kept is None or self._kept.closed:
                self._kept = self._connected(deadline, read_only=True)
            most = Statement(f"{statement.text} LIMIT {MOST_ROWS + 1}", statement.values)
            return bounded(self._ask(self._kept, most, deadline).fetchall())
        except psycopg.Error as error:
            self.close()
            if (no := self._no_rights(error)) is not None:
                raise no from error
            raise Uncertain(Code.NO_REPLY, f"{self.url}: {_said(error)}") from error

    def insert(self, statement: Statement, deadline: float) -> None:
        """Write and commit: one statement is a transaction of its own."""
        connection = self._connected(deadline, read_only=False)
        try:
            self._ask(connection, statement, deadline)
        except psycopg.Error as error:
            if (no := self._no_rights(error)) is not None:
                raise no from error
            if error.sqlstate and error.sqlstate[:2] in _SAID_NO:
                raise Refused(Code.DEVICE_REFUSED, _said(error)) from error
            raise Uncertain(Code.NO_REPLY, f"{self.url}: {_said(error)}") from error
        finally:
            with contextlib.suppress(Exception):
                connection.close()

    def _connected(self, deadline: float, *, read_only: bool) -> Patient:
        """A new connection. Raises NotSent or Environment."""
        left = deadline - time.monotonic()
        if left < LEAST_SECONDS:
            raise NotSent(Code.NO_REPLY, f"{self.url}: no time left")
        try:
            # Writing, the server gives up before we do: what waits for a lock is not carried out behind our back.
            most = LONGEST_READING if read_only else 0.8 * left
            settings = f"-c statement_timeout={int(most * 1000) + 1}" + READ_ONLY * read_only
            facts: dict[str, Any] = {"options": settings, "application_name": "daiko"}
            if secret := self._account.secret():
                facts["password"] = secret
            raw = pq.PGconn.connect_start(make_conninfo(self._url, **facts).encode())
            _finish(raw, deadline)
        except psycopg.Error as error:
            raise self._not_reached(_said(error)) from error
        if raw.status != pq.ConnStatus.OK:
            detail = raw.error_message.decode(errors="replace").strip() or "no answer in time"
            raw.finish()
            raise self._not_reached(detail)
        raw.nonblocking = 1
        connection = Patient(raw)
        connection.deadline = deadline
        connection.autocommit = True
        return connection

    def _ask(self, connection: Patient, statement: Statement, deadline: float) -> psycopg.Cursor[Any]:
        connection.deadline = deadline
        return connection.execute(statement.text.replace("?", "%s"), statement.values)

    def _not_reached(self, detail: str) -> DaikoError:
        line = " ".join(detail.split())
        if any(word in line for word in ("authentication failed", "no password supplied", "no pg_hba.conf entry")):
            remedy = "correct the user in the address, and password or password_file under [device.options]"
            return Environment(Code.UNAUTHORIZED, f"{self.url}: {line}", remedy)
        if " does not exist" in line:
            return Environment(Code.CONFIG, f"{self.url}: {line}", "correct user and database in the address")
        return NotSent(Code.LINK_DOWN, f"{self.url}: not reached: {line}", "check the server's power, cable, address")

    def _no_rights(self, error: psycopg.Error) -> DaikoError | None:
        """What a person must mend: tables, columns, rights (SQLSTATE class 42), a disk. Nothing was written."""
        state = error.sqlstate or ""
        if state.startswith("42"):
            return missing_tables(self.url, _said(error))
        if state == "25006":
            remedy = "this server is a read-only copy, or set read-only: name the one that takes writes"
            return Environment(Code.PORT_FORBIDDEN, f"{self.url}: {_said(error)}", remedy)
        if state.startswith("53") and state != "53300":
            return Environment(Code.DISK, f"{self.url}: {_said(error)}", "make room on the server")
        return None


_SAID_NO: Final = ("22", "23", "27", "44", "P0")
"""SQLSTATE classes with which the statement itself was refused: value, constraint, trigger, check option, RAISE."""


def _finish(raw: pq.abc.PGconn, deadline: float) -> None:
    """Go on with connecting as libpq asks, until it is made, has failed, or the time is over."""
    status: int = pq.PollingStatus.WRITING
    while status in (pq.PollingStatus.READING, pq.PollingStatus.WRITING):
        left = deadline - time.monotonic()
        if left <= 0 or raw.status == pq.ConnStatus.BAD:
            return
        with selectors.DefaultSelector() as wait:
            reading = status == pq.PollingStatus.READING
            wait.register(raw.socket, selectors.EVENT_READ if reading else selectors.EVENT_WRITE)
            if wait.select(left):
                status = raw.connect_poll()


def _said(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
