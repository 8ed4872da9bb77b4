"""How a host goes on from poll to poll: what that proves of our replies, and which option its ways would need. Pure.

A poll that follows a reply which showed the counter proves that the host goes on as before. What it asks between the
two does not matter (status, coils, counters, what we do not know), unless only a host asks it that begins anew: such a
one has lost its state, so the next poll proves nothing of what was shown before.
"""

from collections import deque
from dataclasses import dataclass
from statistics import median
from typing import Final

from drivers.cctalk_coin.codec import OVERHEAD, Frame
from drivers.cctalk_coin.escrow import TAKING, Escrow, State
from drivers.cctalk_coin.headers import Header
from drivers.cctalk_coin.inhibits import Inhibits
from drivers.cctalk_coin.settings import Settings

SURE: Final = 3
"""So often a habit must have been seen before we speak of it."""
GAPS: Final = 8
"""Spaces between two polls that are kept in mind."""
MOST: Final = 32
"""Requests in such a space that are kept in mind."""
TIME_OUT: Final = 0.2
"""Seconds that `patience` is to be above the interval of a host: more than one time-out, less than its tries."""


@dataclass(slots=True)
class Told:
    """A reply that showed the counter: its bytes, when it left, and whether the line gave it back."""

    size: int
    written: float | None = None
    echoed: bool = False


class Course:
    """What one host does."""

    def __init__(self, settings: Settings, inhibits: Inhibits, escrow: Escrow) -> None:
        """Nothing was heard yet. What its orders mean is seen from `inhibits` and `escrow`."""
        self._settings, self._inhibits, self._escrow = settings, inhibits, escrow
        self._kind = inhibits.kind
        self._heard_at: float | None = None
        self._longest = 0.0
        self._silences: deque[float] = deque(maxlen=5)
        self.forget()

    def forget(self) -> None:
        """As after power-up: nothing is proven. How long a host is silent between its polls is still known."""
        self.follows = 0
        """Polls and the like that followed since the last event, each after a reply that certainly was on the line."""
        self._told: Told | None = None
        self._since: list[int] | None = None
        self._gaps: deque[tuple[int, ...]] = deque(maxlen=GAPS)
        self._anew = (0, 0)
        self._named = False

    def show(self, size: int) -> Told:
        """A reply of so many bytes shows the counter as it stands; tell it what became of it."""
        self._told = Told(size)
        return self._told

    def begins_anew(self, frame: Frame) -> bool:
        """Whether only a host says this that begins anew.

        One that goes on may ask what the bill in escrow is called, if all that it says of it then is that it wants it.
        """
        header, data = frame.header, frame.data
        if self._escrow.state is State.HOLDS and self._inhibits.describes(header, data, self._escrow.bill_type):
            self._named = True
            return False
        anew = self._identifies(header) or self._inhibits.says_again(header, data)
        if not self._named or not (anew or header in self._kind.running):
            return anew
        self._named = False
        return header != Header.ROUTE_BILL or data not in TAKING

    def beginning(self, header: int) -> str:
        """What is said of a host that began anew with this header."""
        why = f"the host began to identify us anew (header {header})"
        if header != Header.SIMPLE_POLL:
            return why
        return f"{why}; if it asks that between its polls, set simple_polls to true"

    def because(self, why: str) -> str:
        """The same, and what may help."""
        return f"{why}; {self.advice}" if self.advice else why

    def hear(self, frames: list[Frame], now: float) -> bool:
        """Take requests that came together; whether they go on as before, after a reply that showed the counter."""
        if self._heard_at is not None:
            self._longest = max(self._longest, now - self._heard_at)
        self._heard_at = now
        header = frames[0].header
        if header == self._kind.poll:
            self._silences.append(self._longest)
            self._longest = 0.0
        told = self._told
        if told is None:
            return False
        if len(frames) > 1 or not self._was_heard(told, now):
            self._told = None
        elif header in self._kind.running:
            self._told, self._anew = None, (0, 0)
            self.follows += 1
            return True
        elif self._identifies(header) or header in (Header.ADDRESS_POLL, Header.SET_BILL_MODE):
            self._told, self._anew = None, (header, self._anew[1] + 1)
        return False

    def went_by(self, header: int) -> None:
        """A request was done."""
        if header == self._kind.poll:
            if self._since is not None:
                self._gaps.append(tuple(self._since))
            self._since = []
        elif self._since is not None and len(self._since) < MOST:
            self._since.append(header)

    @property
    def as_usual(self) -> bool:
        """Whether the host has said nothing since its last poll but what it says there usually: it goes on as before.

        A simple poll must have stood there the last time as well: a host that gave up tries often, and then asks that.
        """
        if self._since is None:
            return False
        since, gaps = tuple(self._since), list(self._gaps)
        if Header.SIMPLE_POLL in since:
            gaps = gaps[-1:]
        return not since or any(gap[: len(since)] == since for gap in gaps)

    @property
    def advice(self) -> str:
        """Why such a host gets no money from us, and the option that would mend it; empty if it may get some."""
        patience = self._settings.patience
        if len(self._silences) >= SURE and (silent := median(self._silences)) > patience:
            enough = round(silent + TIME_OUT, 1)
            return f"this host polls every {silent:.1f} s, and patience is {patience:g} s: set patience to {enough:g}"
        header, times = self._anew
        if times < SURE:
            return ""
        if header == Header.SIMPLE_POLL:
            return "this host asks header 254 between its polls: set simple_polls to true"
        return f"this host asks header {header} between its polls, as one does that begins anew"

    def _identifies(self, header: int) -> bool:
        """With `simple_polls` header 254 says nothing of the kind."""
        known = self._settings.simple_polls and header == Header.SIMPLE_POLL
        return header in self._kind.identifying and not known

    def _was_heard(self, told: Told, now: float) -> bool:
        """Whether the reply was on the line before the host asked again."""
        if told.written is None:
            return False
        on_the_wire = (told.size + OVERHEAD) * self._settings.seconds_per_char
        return told.echoed if self._settings.echo else now - told.written >= on_the_wire
