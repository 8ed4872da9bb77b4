"""The cashless reader that we are, behind an adapter: what it says, what it believes, what it remembers.

Pure: no I/O, no threads; `now` is passed in (monotonic seconds), and so is the wall clock that a stay begins by. The
machine's word is what counts: a vend is a success when it says VEND SUCCESS, never because we wrote an approval.
"""

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from drivers.mdb_cashless.amounts import Amounts
from drivers.mdb_cashless.codec import LineCodec, Side
from drivers.mdb_cashless.request import Request, Stage
from drivers.mdb_cashless.words import (
    Acknowledged,
    Approve,
    AskVersion,
    Complaint,
    Configure,
    Configured,
    Deny,
    Dialect,
    Setting,
    Start,
    State,
    Status,
    Switched,
    Trouble,
    VendAsked,
    VendDone,
    Version,
    Word,
)
from parking.errors import one_line
from parking.money import Yen
from parking.stay import NameKind, StayRef

log = logging.getLogger(__name__)

REMEMBERED: Final = 64
"""Requests that are over and of which a witness can still tell."""
START_AGAIN: Final = 1.0
"""Seconds between two tries to open a session, where the machine has enabled us."""
UNANSWERED: Final = 2
"""Questions in a row without any answer after which the adapter counts as gone: one lost line is not the end of it."""


@dataclass(frozen=True, slots=True)
class Manner:
    """How this reader behaves. `credit`: what a session is opened with (nothing: always idle, the machine begins).

    `acknowledging`: the adapter writes down what the controller acknowledges. `patience`: seconds of silence after
    which an adapter that was asked counts as gone.
    """

    desk: str
    amounts: Amounts
    credit: Yen | None = None
    acknowledging: bool = True
    patience: float = 2.0


class Reader:
    """A `drivers.peripheral.Peripheral`. Not thread-safe by itself: used under the lock of its line."""

    def __init__(self, manner: Manner, dialect: Dialect, clock: Callable[[], datetime]) -> None:
        """`clock` gives aware UTC."""
        self._manner, self._clock = manner, clock
        self._pause = manner.patience / UNANSWERED
        self._session_check = 4 * manner.patience
        """After so long without a word about a session it may be over; an adapter that has one open only complains."""
        self._codec = LineCodec(dialect, Side.READER)
        amounts = manner.amounts
        setting = Setting(manner.credit is None, amounts.decimals, amounts.scale)
        set_up = dialect.set_up(setting)
        self._set_up = self._codec.encode(*set_up)
        self._settings = sum(isinstance(word, Configure) for word in set_up)
        self._taken, self._set = 0, False
        """Settings taken since the set-up was said last; whether all of them ever were."""
        self._told_unset = False
        self._requests: deque[Request] = deque(maxlen=REMEMBERED)
        self._last_began: datetime | None = None
        self.alive = False
        """Whether the adapter has said since the line opened that it plays our reader, and still answers."""
        self._enabled = False
        self.version: Version | None = None
        self._deny_due = False
        self._set_up_due, self._start_due = float("-inf"), float("-inf")
        self._next_question, self._questions = float("-inf"), 0

    # --- what the roles look at and change ----------------------------------------------------------------------------

    @property
    def request(self) -> Request | None:
        """What the machine asks for now, or has an approval for and has not finished."""
        last = self._requests[-1] if self._requests else None
        return last if last is not None and last.open else None

    def about(self, stay: StayRef) -> Request | None:
        """The request that a stay is, as far as it is remembered; the youngest where the stay has no beginning."""
        return next((one for one in reversed(self._requests) if one.ref.same_as(stay)), None)

    def wording(self, request: Request) -> bytes:
        """The exact bytes of its approval: the amount as the adapter wrote it."""
        return self._codec.encode(Approve(request.written))

    # --- what the line tells ------------------------------------------------------------------------------------------

    def opened(self, now: float) -> None:
        """Set the adapter up; until it says that it plays our reader, nothing is known. Nothing holds from before."""
        self._codec.reset()
        self.lost(now, certain=False)
        self._questions, self._next_question = 0, now + self._pause

    def lost(self, now: float, certain: bool) -> None:
        """What was asked for is forgotten, what was approved stays open to late news."""
        self.alive, self._enabled, self._set_up_due = False, False, now
        if self._requests:
            self._requests[-1].lost(certain)

    def receive(self, data: bytes, now: float) -> bytes:
        """Nothing is answered at once; what is to be said is due at the end of the same breath."""
        for word in self._codec.feed(data):
            self._questions, self._next_question = 0, now + self._pause
            self._hear(word, now)
        return b""

    def due(self, now: float) -> bytes:
        """The set-up, an approval, a refusal, a session, or a question whether the adapter is still there."""
        said = b""
        if now >= self._next_question:
            said += self._ask(now)
        if not self.alive and now >= self._set_up_due:
            self._set_up_due, self._taken = now + self._manner.patience, 0
            said += self._set_up
        request = self.request
        if request is not None and request.stage is Stage.READY:
            request.stage = Stage.SAID
            said += self.wording(request)
        if self._deny_due:
            self._deny_due = False
            said += self._codec.encode(Deny())
        credit = self._manner.credit
        if credit is not None and self.alive and now >= self._start_due:
            self._start_due = now + (START_AGAIN if self._enabled else self._session_check)
            said += self._codec.encode(Start(self._manner.amounts.say(credit) or "0"))
        return said

    def written(self, now: float) -> None:
        """What was said has left."""
        del now
        if (request := self.request) is not None and request.stage is Stage.SAID:
            request.stage = Stage.APPROVED

    # --- what is heard ------------------------------------------------------------------------------------------------

    def _ask(self, now: float) -> bytes:
        """Ask whether it is still there. After a silence it may be a restarted one: as if the line had broken."""
        if self._questions >= UNANSWERED and self.alive:
            log.warning("the adapter does not answer any more")
            self.lost(now, certain=False)
        self._questions, self._next_question = self._questions + 1, now + self._pause
        return self._codec.encode(AskVersion())

    def _hear(self, word: Word, now: float) -> None:
        last = self._requests[-1] if self._requests else None
        match word:
            case VendAsked(amount, _):
                self._asked(amount, now)
            case Status(state):
                self._status(state, now)
            case VendDone() if last is None or not last.succeeded():
                log.warning("VEND SUCCESS for no approval of ours")
            case Complaint(trouble, text):
                self._complaint(trouble, one_line(text), now)
            case Configured():
                self._taken += 1
                self._set = self._set or self._taken == self._settings
            case Acknowledged() if last is not None and last.stage is Stage.APPROVED:
                last.acknowledged = True
            case Switched(on):
                self._switched(on, now)
            case Version():
                self.version = word

    def _asked(self, written: str, now: float) -> None:
        self.alive, self._enabled, self._start_due = True, False, now + self._session_check
        if self._requests:
            self._requests[-1].superseded()
        amount = self._manner.amounts.read(written, zeros=self._set)
        if amount is None:
            but = "" if self._set else ", which the adapter has not taken"
            log.warning("the machine asks for %s: no amount by this profile's decimals and scale%s", written, but)
            self._deny_due = True
            return
        began = self._clock().replace(microsecond=0)
        if self._last_began is not None and began <= self._last_began:
            began = self._last_began + timedelta(seconds=1)  # no two requests are ever the same stay
        self._last_began = began
        self._requests.append(Request(StayRef(NameKind.DESK, self._manner.desk, began), amount, written))

    def _switched(self, on: bool, now: float) -> None:
        """An adapter that has ceased to play our reader is set up again; what was asked for goes with it."""
        self.alive, self._start_due = on, now + self._session_check
        if not on:
            self._enabled = False
            if self._requests:
                self._requests[-1].left("the adapter plays no reader any more")

    def _status(self, state: State, now: float) -> None:
        self.alive, self._enabled = True, state is State.ENABLED
        self._start_due = now if self._enabled else now + self._session_check
        if not self._requests:
            return
        if state is State.INACTIVE:
            self._requests[-1].reset(self._manner.acknowledging)
        else:
            self._requests[-1].left()

    def _complaint(self, trouble: Trouble, text: str, now: float) -> None:
        last = self._requests[-1] if self._requests else None
        match trouble:
            case Trouble.IS_ON:
                self._switched(True, now)
                self._tell_unset()
            case Trouble.IS_OFF:
                self._switched(False, now)
            case Trouble.NO_VEND if last is not None:
                last.nothing_asked(text)
            case Trouble.NOT_TAKEN if last is not None and last.not_taken(text):
                log.warning("the adapter did not take %s: %s; are decimals and scale right?", last.written, text)
                self._deny_due = True  # or the machine would wait for what can never be said to it
            case Trouble.CANCELLED if last is not None:
                last.left()
            case Trouble.RESET if last is not None:
                last.reset(self._manner.acknowledging)
            case Trouble.VEND_FAILED if last is None or not last.failed():
                log.warning("VEND FAILURE for no approval of ours: %s", text)
            case Trouble.OTHER:
                log.debug("the adapter complains: %s", text)

    def _tell_unset(self) -> None:
        """Once; what the adapter took from us before, it still has."""
        if not self._set and not self._told_unset:
            self._told_unset = True
            log.warning(
                "settings not taken: the adapter was on already; if its amounts or sessions are not as the profile has "
                "them, take its power away (bus and USB) while nobody pays, and give it back"
            )
