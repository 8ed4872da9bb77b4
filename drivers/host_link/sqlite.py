"""The tables of a host in an SQLite file: `sqlite:///srv/host/lot.db`, `sqlite:///C:/host/lot.db`.

The file is never created. Reading opens it read-only; while the host writes, we wait for its lock, until the deadline.
The booking's connection syncs every commit to the disk, whatever the host's own habit is.
"""

import contextlib
import sqlite3
import time
from collections.abc import Iterator, Sequence
from typing import Final

from drivers.host_link.host import Account, path_of
from drivers.host_link.rows import MOST_ROWS
from drivers.host_link.tables import Row, Statement, bounded, missing_tables
from parking.errors import Code, DaikoError, Environment, NotSent, Refused, Uncertain

LEAST_SECONDS: Final = 0.01
_SAID_NO: Final = (sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_TOOBIG)


class Sqlite:
    """One file. A connection lasts for one statement: that is quick, and nothing stays locked in between."""

    keeps_offsets = True
    conflict = "ON CONFLICT (authorisation_code) DO NOTHING"

    def __init__(self, url: str, account: Account) -> None:
        """Nothing is opened yet; raises Environment(CONFIG) if `url` names no file."""
        del account  # a file has none; who may open it is the system's matter
        self._path = path_of(url, "write it like sqlite:///srv/host/lot.db or sqlite:///C:/host/lot.db")
        self.url = url

    def close(self) -> None:
        """Nothing to give back."""

    def rows(self, statement: Statement, deadline: float) -> Sequence[Row]:
        """Read, at most MOST_ROWS."""
        with self._opened("ro", deadline) as database:
            try:
                return bounded(database.execute(statement.text, statement.values).fetchmany(MOST_ROWS + 1))
            except sqlite3.Error as error:
                raise self._trouble(error) from error

    def insert(self, statement: Statement, deadline: float) -> None:
        """Write and commit. Before the write lock is ours nothing has left."""
        with self._opened("rw", deadline) as database:
            try:
                database.execute("PRAGMA synchronous = EXTRA")
                database.execute("BEGIN IMMEDIATE")
            except sqlite3.Error as error:
                raise self._trouble(error) from error
            try:
                database.execute(statement.text, statement.values)
            except sqlite3.Error as error:
                if _primary(error) in _SAID_NO:
                    raise Refused(Code.DEVICE_REFUSED, str(error)) from error
                raise self._trouble(error) from error  # closing rolls back: certain
            try:
                database.execute("COMMIT")
            except sqlite3.Error as error:
                raise Uncertain(Code.NO_REPLY, f"{self.url}: the commit failed: {error}") from error

    @contextlib.contextmanager
    def _opened(self, mode: str, deadline: float) -> Iterator[sqlite3.Connection]:
        left = deadline - time.monotonic()
        if left < LEAST_SECONDS:
            raise NotSent(Code.NO_REPLY, f"{self.url}: no time left")
        if not self._path.is_file():
            raise Environment(
                Code.PORT_MISSING,
                f"{self.url}: no such file",
                "check the file's path in the lot profile, and the share",
            )
        try:
            address = f"{self._path.absolute().as_uri()}?mode={mode}"
            database = sqlite3.connect(address, timeout=left, isolation_level=None, uri=True)
        except sqlite3.Error as error:
            raise self._trouble(error) from error
        with contextlib.closing(database):
            yield database

    def _trouble(self, error: sqlite3.Error) -> DaikoError:
        """What kept us from reading, or from writing: in each case nothing was written."""
        what = f"{self.url}: {error}"
        match _primary(error):
            case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
                return NotSent(Code.DEVICE_UNAVAILABLE, what, "the host keeps the file locked; see what it is doing")
            case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_CANTOPEN | sqlite3.SQLITE_PERM | sqlite3.SQLITE_AUTH:
                remedy = "let this user read and write the file, and the folder that it is in"
                return Environment(Code.PORT_FORBIDDEN, what, remedy)
            case sqlite3.SQLITE_FULL | sqlite3.SQLITE_IOERR:
                return Environment(Code.DISK, what, "make room on the host's disk, or see to it")
            case sqlite3.SQLITE_NOTADB | sqlite3.SQLITE_CORRUPT:
                return Environment(Code.CONFIG, what, "name the host's own SQLite file in the lot profile")
        return missing_tables(self.url, str(error))


def _primary(error: sqlite3.Error) -> int:
    """SQLite's own number of an error, without the details in its upper bits."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF
