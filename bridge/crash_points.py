"""Named places at which a test can end the bridge at once, as kill -9 would (docs/testing.md).

`DAIKO_CRASH_AT=name` in the environment, or `name:n` for the n-th time, ends the process there with status 137;
nothing is flushed, closed or told. Without it each place costs one look at a constant.
"""

import os
import sqlite3
from collections.abc import Sequence
from typing import Final

from drivers.recorder import Direction
from drivers.transport import Tap

_WISH: Final = os.environ.get("DAIKO_CRASH_AT", "")
_NAME: Final = _WISH.partition(":")[0]
_passed: Final = [int(_WISH.partition(":")[2] or 1)]
STATUS: Final = 137
"""As a shell shows kill -9."""

AFTER_WRITE: Final = "act.after-write"
BEFORE_WRITE: Final = "act.before-write"


def here(name: str) -> None:
    """End the process if this is the place."""
    if _NAME and name == _NAME:
        _passed[0] -= 1
        if _passed[0] == 0:
            os._exit(STATUS)


def each(things: Sequence[object], when: str) -> None:
    """A place for each message, event or report, named after its type, like `intending.before-commit`.

    Anything else that is written is named after the method that has it written, like `byhand.keep.before-commit`.
    """
    if _NAME:
        for thing in things:
            here(f"{_called(thing)}.{when}")


def _called(thing: object) -> str:
    write = getattr(thing, "write", None)
    if write is None:
        return type(getattr(thing, "event", thing)).__name__.lower()
    return str(write.__qualname__).partition(".<locals>")[0].replace("._", ".").lower()


def each_statement(connection: sqlite3.Connection, name: str) -> None:
    """Every SQL statement from now on is a place."""
    if name == _NAME:
        connection.set_trace_callback(lambda _: here(name))


def tap() -> Tap | None:
    """For a device: the first bytes after an intent have left, and nothing was heard yet."""
    return _AfterWrite() if _NAME == AFTER_WRITE else None


class _AfterWrite:
    def note(self, direction: Direction, data: bytes) -> None:
        """Bytes went over the wire; those of an act only after its intent."""
        if direction is Direction.TX and data and _intended[0]:
            os._exit(STATUS)


_intended: Final = [False]


def intended() -> None:
    """An intent is committed, and the driver is about to write."""
    here(BEFORE_WRITE)
    if _NAME == AFTER_WRITE:
        _passed[0] -= 1
        _intended[0] = _passed[0] == 0
