"""The escrow of a bill validator: one bill waits there until the host says what becomes of it. Pure.

Generic Specification 4.7, part 2, header 154: 0 gives the bill back, 1 sends it to the stacker, 255 asks for more time;
the answer is an acknowledgement, or 254 (the escrow is empty) or 255 (the bill cannot be moved). What became of the
bill is an event of its own, and only that of a bill in the stacker credits it. Beyond the specification, the same order
said again before that event was read is acknowledged again: its first answer may have been lost.
"""

from enum import Enum, auto
from typing import Final

from drivers.cctalk_coin.billtable import RETURNED, STACKED
from drivers.cctalk_coin.inhibits import Event

BACK: Final = 0
STACK: Final = 1
MORE_TIME: Final = 255
TAKING: Final = frozenset({bytes((STACK,)), bytes((MORE_TIME,))})
"""Orders that only a host gives which knows that a bill is there, and wants it."""

DONE: Final = b""
IS_EMPTY: Final = b"\xfe"
FAILED: Final = b"\xff"


class State(Enum):
    """Where the bill is."""

    EMPTY = auto()
    HOLDS = auto()
    STACKS = auto()
    """On its way to the stacker: the host was told so, and has not yet read the event that credits it."""
    RETURNS = auto()
    """On its way back: nothing will credit it."""


class Escrow:
    """Holds a bill for `seconds` at most."""

    def __init__(self, seconds: float) -> None:
        """Empty."""
        self._seconds = seconds
        self.clear()

    def clear(self) -> None:
        """As after power-up."""
        self.state = State.EMPTY
        self.bill_type = 0
        self._since = 0.0

    def take(self, bill_type: int, now: float) -> None:
        """A bill is here from now on."""
        self.state, self.bill_type, self._since = State.HOLDS, bill_type, now

    def route(self, code: int, now: float) -> bytes:
        """Do what the host orders; the answer's data."""
        if self.state is State.EMPTY:
            return IS_EMPTY
        if self.state is not State.HOLDS:
            again = code == (STACK if self.state is State.STACKS else BACK)
            return DONE if again else FAILED
        if code == MORE_TIME:
            self._since = now
        elif code in (BACK, STACK):
            self.state = State.STACKS if code == STACK else State.RETURNS
        else:
            return FAILED
        return DONE

    def give_back(self) -> None:
        """The bill goes back unasked."""
        self.state = State.RETURNS

    def overdue(self, now: float) -> bool:
        """Whether the host has taken too long."""
        return self.state is State.HOLDS and now - self._since > self._seconds

    def moved(self) -> Event | None:
        """The event that says what became of the bill, once; the escrow is empty then."""
        event = {State.STACKS: (self.bill_type, STACKED), State.RETURNS: RETURNED}.get(self.state)
        if event is not None:
            self.clear()
        return event
