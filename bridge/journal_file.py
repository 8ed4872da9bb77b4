"""The journal's file: made durable, checked, brought up to date; kept aside, never deleted, when it is damaged.

SQLite's own errors come out as Environment(DISK | JOURNAL), or as Damaged.
"""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Final
from urllib.parse import quote

from sqlite_utils import Database

from bridge import crash_points
from bridge.schema import migrations
from parking.errors import Code, Environment

PRAGMAS: Final = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 5000}
"""Set and read back on the connection: the default journal mode loses acknowledged rows in a power cut."""

_PARTS: Final = ("", "-wal", "-shm")
_PRIMARY: Final = 0xFF
"""SQLite's extended codes hold the primary one in their low byte."""

_DISK: Final = (
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PERM,
)
_DAMAGE: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_DISK_WORDS: Final = ("disk is full", "disk I/O error", "readonly database", "unable to open")


class Damaged(Environment):
    """The file cannot be trusted any more: what it says may be wrong, and what it held may be missing."""

    def __init__(self, detail: str) -> None:
        super().__init__(Code.JOURNAL, detail, "the file is kept aside; have the disk looked at")


def open_journal(path: Path) -> Database:
    """Open or create, with the pragmas held and all migrations applied; an older file is copied first.

    Raises Damaged, or Environment: DISK if it cannot be read or written, JOURNAL if a newer version made it or a
    pragma does not hold. A file that is refused is left as it was.
    """
    with blame(path):
        _check(path)
        db = Database(sqlite3.connect(str(path), check_same_thread=False, timeout=5.0))
        try:
            for name, value in PRAGMAS.items():
                db.execute(f"PRAGMA {name}={value}")
                held = db.execute(f"PRAGMA {name}").fetchone()[0]
                if held != value:
                    raise Environment(Code.JOURNAL, f"{path}: {name} is {held!r}, not {value!r}", "use a local disk")
            crash_points.each_statement(db.conn, "migration.statement")
            migrations.apply(db)
        except BaseException:
            db.close()
            raise
        return db


def keep_aside(path: Path, now: datetime) -> Path:
    """Rename the file and its -wal and -shm; returns the new name. Raises Environment(DISK)."""
    aside = path.with_name(f"{path.stem}.corrupt-{now:%Y%m%dT%H%M%S%f}Z{path.suffix}")
    try:
        for part in _PARTS:
            old = path.with_name(path.name + part)
            if old.exists():
                old.rename(aside.with_name(aside.name + part))
        _sync(path.parent)
    except OSError as error:
        raise Environment(Code.DISK, f"{path}: {error.strerror}", "make the folder writable") from error
    return aside


def same_file(path: Path, known: tuple[int, int]) -> bool:
    """Whether the file is still the one that was opened: nobody has removed or replaced it."""
    try:
        return identity_of(path) == known
    except OSError:
        return False


def identity_of(path: Path) -> tuple[int, int]:
    """What tells a file from others of the same name."""
    seen = path.stat()
    return seen.st_dev, seen.st_ino


@contextmanager
def blame(path: Path) -> Iterator[None]:
    """Say of SQLite's errors whether the disk, the file or neither is to blame."""
    try:
        yield
    except sqlite3.Error as error:
        text, code = str(error), (getattr(error, "sqlite_errorcode", None) or 0) & _PRIMARY
        if code in _DAMAGE:
            raise Damaged(f"{path}: {text}") from error
        if code in _DISK or any(sign in text for sign in _DISK_WORDS):
            raise Environment(Code.DISK, f"{path}: {text}", "free disk space, or make the folder writable") from error
        remedy = "stop the bridge and keep this file for the maker"
        raise Environment(Code.JOURNAL, f"{path}: {text}", remedy) from error


def _check(path: Path) -> None:
    """Look at the file without changing a byte of it."""
    wal = path.with_name(path.name + "-wal")
    if not path.exists() or not path.stat().st_size:
        if wal.exists() and wal.stat().st_size:
            raise Damaged(f"{path}: the file is gone, and its write-ahead log is there")
        return
    with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True, timeout=5.0)) as reader:
        (said,) = reader.execute("PRAGMA quick_check(1)").fetchone()
        if said != "ok":
            raise Damaged(f"{path}: {said}")
        db = Database(reader)
        applied = {migration.name for migration in migrations.applied(db)}
        if newer := applied - _known():
            detail = f"{path}: made by a newer version of this program ({', '.join(sorted(newer))})"
            raise Environment(Code.JOURNAL, detail, "install that version again; this one must not write into it")
        if applied and (pending := migrations.pending(db)):
            _copy(reader, path.with_name(f"{path.stem}.before-{pending[0].name}{path.suffix}"))


def _known() -> set[str]:
    """The steps of this version: all are still to come in an empty database."""
    empty = Database(memory=True)
    try:
        return {migration.name for migration in migrations.pending(empty)}
    finally:
        empty.close()


def _copy(reader: sqlite3.Connection, copy: Path) -> None:
    """Before a migration. A copy that is there already is that of an earlier try, and the better one."""
    if copy.exists():
        return
    part = copy.with_name(copy.name + ".part")
    part.unlink(missing_ok=True)
    with closing(sqlite3.connect(str(part))) as target:
        reader.backup(target)
    part.rename(copy)


def _sync(folder: Path) -> None:
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read_only(path: Path) -> sqlite3.Connection:
    """A journal as it stands, also beside a running bridge. Raises Environment(JOURNAL)."""
    try:
        journal = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True, timeout=5.0)
        journal.execute("select 1 from audit limit 1")
    except sqlite3.Error as error:
        raise Environment(Code.JOURNAL, f"{path}: {error}", "name the bridge.toml of a bridge that has run") from error
    return journal
