"""SQLite connections whose statements run where they are called; only what may wait for the disk goes to a thread.

aiosqlite sends every call to a thread of its own, and SQLAlchemy makes about four calls a statement: a payment of ten
statements changes threads eighty times, which costs more than the statements. In WAL mode a statement touches memory
and the page cache only; taking the write lock and committing may wait, so these two go to the connection's thread.
"""

import os
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any, Final

from aiosqlite import Connection

_MAY_WAIT: Final = ("BEGIN IMMEDIATE", "PRAGMA")
_CHUNK: Final = 64


class NearConnection(Connection):
    """An aiosqlite connection for short statements on one event loop."""

    async def _execute(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Run `fn` here and now, unless it takes the write lock or commits."""
        connection = self._conn  # ValueError once closed, as in the base class
        sql = args[0] if args and isinstance(args[0], str) else ""
        if fn == connection.commit or sql.startswith(_MAY_WAIT):
            return await super()._execute(fn, *args, **kwargs)  # type: ignore[no-untyped-call] # untyped in aiosqlite
        return fn(*args, **kwargs)


def _open(path: str) -> sqlite3.Connection:
    """Open the file; a new one is its owner's alone, and SQLite gives its log the same permissions."""
    if path and path != ":memory:":
        with suppress(OSError):  # it is there; or SQLite says what is wrong
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    return sqlite3.connect(path, check_same_thread=False)


def connector(path: str) -> Callable[[], Awaitable[Connection]]:
    """What makes a new connection to the database file `path`, for SQLAlchemy's `async_creator`."""
    # The file is opened on the connection's thread and then used from two, one at a time.
    open_file = partial(_open, path)

    async def connect() -> Connection:
        return await NearConnection(open_file, _CHUNK)

    return connect
