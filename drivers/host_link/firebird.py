"""The tables of a host in Firebird: `firebird://user@host:3050/alias`, or the path of its file after the third slash.

Imported only where a profile has such an address: firebird-driver is an extra, and needs Firebird's client library.
That waits for a server without end, and what it has to break off a wait does not always wake it; so each exchange goes
over a line of ours, which is cut at the deadline (line.py).
"""

import contextlib
import time
from collections.abc import Iterator, Sequence
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import firebird.driver as fb

from drivers.host_link.host import Account
from drivers.host_link.line import HERE, Line
from drivers.host_link.rows import MOST_ROWS
from drivers.host_link.tables import Row, Statement, bounded, missing_tables
from parking.errors import Code, DaikoError, Environment, NotSent, Refused, Uncertain

PORT: Final = 3050
LEAST_SECONDS: Final = 0.01
WORDS: Final = "write it like firebird://user@192.168.0.10:3050/alias, the password under [device.options]"
_EXCEPTION: Final = 335544517  # isc_except: a trigger of the host said no
_SIGN_IN: Final = 335544472  # isc_login
_REJECTED: Final = 335544421  # isc_connect_reject; also what is said when a server does not answer
_FULL: Final = 335544675  # isc_io_write_err, the server's disk


class Firebird:
    """One database. Each statement has a connection and a transaction of its own, so none looks at an old state."""

    keeps_offsets = False
    conflict = ""  # there are no such words; a key that is there already raises, and changes nothing

    def __init__(self, url: str, account: Account) -> None:
        """Nothing is opened yet; raises Environment(CONFIG) if `url` is no address, or holds a password."""
        try:
            parts = urlsplit(url)
            host, port, name = parts.hostname, parts.port or PORT, unquote(parts.path[1:])
            good = bool(host) and parts.port != 0 and bool(name) and not parts.query and parts.password is None
        except ValueError:
            good, host, port, name, parts = False, "", PORT, "", urlsplit("")
        if not good or not host:
            raise Environment(Code.CONFIG, f"{url.rpartition('@')[2]!r} is not a Firebird database's address", WORDS)
        _load()
        self.url = f"firebird://{host}:{port}/{name}"
        self._host, self._port, self._name = host, port, name
        self._user = unquote(parts.username or "")
        self._account = account

    def close(self) -> None:
        """Nothing to give back."""

    def rows(self, statement: Statement, deadline: float) -> Sequence[Row]:
        """Read, at most MOST_ROWS, in a transaction that cannot change anything."""
        with self._opened(deadline, fb.TraAccessMode.READ) as (connection, line):
            try:
                with contextlib.closing(connection.cursor()) as cursor:
                    cursor.execute(statement.text, statement.values)
                    return bounded(cursor.fetchmany(MOST_ROWS + 1))
            except fb.Error as error:
                if not line.over and (trouble := self._mendable(error)) is not None:
                    raise trouble from error
                raise Uncertain(Code.NO_REPLY, f"{self.url}: {_said(error, line)}") from error

    def insert(self, statement: Statement, deadline: float) -> None:
        """Write and commit. A key that is there already is refused as well; the row tells which it was."""
        with self._opened(deadline, fb.TraAccessMode.WRITE) as (connection, line):
            try:
                with contextlib.closing(connection.cursor()) as cursor:
                    cursor.execute(statement.text, statement.values)
            except fb.Error as error:
                if not line.over:
                    if (trouble := self._mendable(error)) is not None:
                        raise trouble from error
                    if _state(error)[:2] in ("22", "23", "27") or _EXCEPTION in _codes(error):
                        raise Refused(Code.DEVICE_REFUSED, _said(error, line)) from error
                raise Uncertain(Code.NO_REPLY, f"{self.url}: {_said(error, line)}") from error
            try:
                connection.commit()
            except fb.Error as error:
                raise Uncertain(Code.NO_REPLY, f"{self.url}: the commit: {_said(error, line)}") from error

    @contextlib.contextmanager
    def _opened(self, deadline: float, mode: Any) -> Iterator[tuple[Any, Line]]:
        """A new connection, over a line that is cut at the deadline. Raises NotSent or Environment."""
        if deadline - time.monotonic() < LEAST_SECONDS:
            raise NotSent(Code.NO_REPLY, f"{self.url}: no time left")
        secret = self._account.secret()
        try:
            line = Line(self._host, self._port, deadline)
        except OSError as error:
            what = f"{self.url}: not reached: {error.strerror or error}"
            raise NotSent(Code.LINK_DOWN, what, "check the server's power, cable, address") from error
        with line:
            dsn = f"{HERE}/{line.port}:{self._name}"
            try:
                connection = fb.connect(dsn, user=self._user or None, password=secret or None, charset="UTF8")
            except fb.Error as error:
                raise self._not_reached(error, line) from error
            try:
                wait = max(1, int(deadline - time.monotonic()))
                tpb = fb.tpb(fb.Isolation.READ_COMMITTED_RECORD_VERSION, lock_timeout=wait, access_mode=mode)
                try:
                    connection.begin(tpb)
                except fb.Error as error:
                    raise NotSent(Code.LINK_DOWN, f"{self.url}: {_said(error, line)}") from error
                yield connection, line
            finally:
                with contextlib.suppress(Exception):
                    connection.close()  # the goodbye is an exchange as well: it may never be answered

    def _not_reached(self, error: Any, line: Line) -> DaikoError:
        what = f"{self.url}: {_said(error, line)}"
        if _SIGN_IN in _codes(error):
            remedy = "correct the user in the address, and password or password_file under [device.options]"
            return Environment(Code.UNAUTHORIZED, what, remedy)
        if _state(error) in ("08001", "08004") and _REJECTED not in _codes(error):
            return Environment(Code.CONFIG, what, "correct the alias or path in the address")
        return NotSent(Code.LINK_DOWN, what, "check the server's power, cable, address")

    def _mendable(self, error: Any) -> DaikoError | None:
        """What a person must mend: tables, columns, rights, a full disk. Nothing was written."""
        if _state(error)[:2] in ("42", "28"):
            return missing_tables(self.url, _said(error))
        if _FULL in _codes(error):
            return Environment(Code.DISK, f"{self.url}: {_said(error)}", "make room on the server")
        return None


def _load() -> None:
    """Load the client library; raises Environment(CONFIG) if it is not installed."""
    try:
        fb.get_api()
    except Exception as error:
        raise Environment(
            Code.CONFIG,
            f"Firebird's client library cannot be loaded: {error}",
            "install it: libfbclient2 on Debian and Ubuntu, the client of Firebird's own installer on Windows",
        ) from error


def _codes(error: Any) -> Sequence[int]:
    return getattr(error, "gds_codes", None) or ()


def _state(error: Any) -> str:
    return getattr(error, "sqlstate", None) or ""


def _said(error: Any, line: Line | None = None) -> str:
    if line is not None and line.over:
        return "no answer in time"
    return " ".join(str(error).split()) or type(error).__name__
