"""The cloud's durable truth: one async SQLAlchemy engine, with SQLite (default) or PostgreSQL below it.

Writes to SQLite are serialised by one lock and begin with BEGIN IMMEDIATE; every SQLite connection is set to WAL,
`synchronous=FULL`, foreign keys and a busy time-out, and these are read back. Wake-ups are rung after the commit only.
"""

import asyncio
import logging
import sqlite3
import weakref
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy import Connection, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from cloud.near_sqlite import connector
from parking.errors import Code, Environment

log = logging.getLogger(__name__)

MIGRATIONS: Final = Path(__file__).parent / "migrations"
_PRAGMAS: Final = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 5000}
_WRITE: Final = "daiko_write"


class Bells:
    """Wake-ups inside this process. They are hints: whoever waits looks into the store again, rung or not."""

    def __init__(self) -> None:
        self._events: weakref.WeakValueDictionary[Hashable, asyncio.Event] = weakref.WeakValueDictionary()
        self._closed = False

    @property
    def closed(self) -> bool:
        """Whether the program stops: waiters then return at once."""
        return self._closed

    def listen(self, key: Hashable) -> asyncio.Event:
        """The event that the next ring of `key` sets. Take it before you look, wait after."""
        found = self._events.get(key)
        if found is None:
            found = asyncio.Event()
            if self._closed:
                found.set()
            self._events[key] = found
        return found

    def ring(self, key: Hashable) -> None:
        """Wake everybody who listens for `key`."""
        found = self._events.pop(key, None)
        if found is not None:
            found.set()

    def close(self) -> None:
        """Wake everybody, for good."""
        self._closed = True
        for key in list(self._events):
            self.ring(key)


async def wait(bell: asyncio.Event, seconds: float) -> bool:
    """Wait for a bell up to `seconds`; whether it rang."""
    try:
        await asyncio.wait_for(bell.wait(), max(seconds, 0))
    except TimeoutError:
        return False
    return True


class Transaction:
    """One write transaction: its connection, and the bells to ring once it is committed."""

    def __init__(self, connection: AsyncConnection) -> None:
        self.connection = connection
        self.rings: list[Hashable] = []

    def ring(self, key: Hashable) -> None:
        """Ring `key` after the commit; not at all if there is none."""
        self.rings.append(key)


class Store:
    """Reads and writes of the database."""

    def __init__(self, url: str) -> None:
        """Prepare an engine for `url`; nothing is opened yet."""
        self.bells = Bells()
        self._sqlite = url.startswith("sqlite")
        self._lock = asyncio.Lock()
        near = {"async_creator": connector(make_url(url).database or "")} if self._sqlite else {}
        self._engine = create_async_engine(url, **near)
        if self._sqlite:
            event.listen(self._engine.sync_engine, "connect", _prepare)
            event.listen(self._engine.sync_engine, "begin", _begin)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A connection to read with; what it reads is one snapshot."""
        async with self._engine.connect() as connection, connection.begin():
            yield connection

    @asynccontextmanager
    async def write(self) -> AsyncIterator[Transaction]:
        """A transaction: committed durably when the block ends, rolled back if it raises; then the bells ring.

        Keep it short and never wait for a network inside.
        """
        async with self._lock, self._engine.connect() as plain:
            connection = await plain.execution_options(**{_WRITE: True}) if self._sqlite else plain
            transaction = Transaction(connection)
            async with connection.begin():
                yield transaction
        for key in transaction.rings:
            self.bells.ring(key)

    async def migrate(self) -> None:
        """Bring the schema up to date.

        Raises Environment(CONFIG) if the database is newer than this program or cannot be opened.
        """
        try:
            async with self.write() as transaction:
                await transaction.connection.run_sync(_upgrade)
        except CommandError as error:
            raise Environment(Code.CONFIG, f"the database does not fit: {error}", "run a newer program") from error
        except SQLAlchemyError as error:
            raise Environment(Code.CONFIG, f"the database cannot be opened: {error}", "check database_url") from error

    async def close(self) -> None:
        """Give the connections back."""
        await self._engine.dispose()


def _prepare(connection: DBAPIConnection, entry: ConnectionPoolEntry) -> None:
    del entry
    # BEGIN is ours to send (see _begin): sqlite3 would send a deferred one, too late for a write lock.
    connection.isolation_level = None
    cursor = connection.cursor()
    try:
        for name, wanted in _PRAGMAS.items():
            cursor.execute(f"PRAGMA {name}={wanted}")
            found = _one(cursor, f"PRAGMA {name}")
            if found != wanted:
                raise Environment(
                    Code.DISK, f"SQLite keeps {name}={found!r}, not {wanted!r}", "use a local disk for the database"
                )
    finally:
        cursor.close()


def _one(cursor: Any, sql: str) -> object:
    cursor.execute(sql)
    return cursor.fetchone()[0]


def _begin(connection: Connection) -> None:
    immediate = connection.get_execution_options().get(_WRITE)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if immediate else "BEGIN")


def _upgrade(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def sqlite_version() -> str:
    """The SQLite library's version, for the log."""
    return sqlite3.sqlite_version
