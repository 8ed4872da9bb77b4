"""The messages that threads put into the core's queue, and the reply that a thread waits for."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bridge import events
from bridge.case import Stated
from bridge.exit_log import Exit, Turn
from bridge.journal import Transaction
from parking.errors import Code, DaikoError, NotSent
from parking.reports import Way
from parking.stay import LotId
from parking.wire import Entry

Key = tuple[int, int]
"""Lot and number of a case."""


class Reply:
    """What a waiting thread gets: nothing (committed), or an error."""

    def __init__(self) -> None:
        self._done = threading.Event()
        self._error: DaikoError | None = None

    def settle(self, error: DaikoError | None = None) -> None:
        """Wake the waiting thread; the first answer stands."""
        if not self._done.is_set():
            self._error = error
            self._done.set()

    def wait(self, seconds: float) -> None:
        """Return when committed; raise the error, or NotSent when the time is up."""
        if not self._done.wait(seconds):
            raise NotSent(Code.JOURNAL, f"the journal did not answer within {seconds:.0f} s")
        if self._error is not None:
            raise self._error


@dataclass(frozen=True, slots=True)
class Incoming:
    """Signed completions, by whatever way; `actor` is who brought them in, where it was not the feed."""

    lot: LotId
    entries: Sequence[Entry]
    reply: Reply
    way: Way = Way.FEED
    actor: str = ""


@dataclass(frozen=True, slots=True)
class ByCode:
    """What a typed code stated, already proven against the lot's secret."""

    stated: Stated
    actor: str
    reply: Reply


@dataclass(frozen=True, slots=True)
class HandActed:
    """An order by hand is about to be written to an exit, or its outcome is known: None means nobody knows."""

    exit: Exit
    turn: Turn
    reply: None = None


@dataclass(frozen=True, slots=True)
class ForCase:
    """An event for one case; `reply` is set when a thread waits for Go or for a decision."""

    key: Key
    event: events.Event
    reply: Reply | None = None


@dataclass(frozen=True, slots=True)
class Write:
    """Anything else that belongs into the journal; `after` runs once it is committed."""

    write: Callable[[Transaction], None]
    reply: Reply | None = None
    after: Callable[[], None] | None = None


Message = Incoming | ByCode | HandActed | ForCase | Write
