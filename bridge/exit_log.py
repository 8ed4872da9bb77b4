"""Who else had an exit act since: a counter that moved, or a gate seen open, may be another car's. Pure, in memory."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from bridge.case import Case
from parking.desk import CasePhase
from parking.errors import Code

KEPT: Final = 300
"""Acts remembered per exit; a doubt older than all of them is not judged by the exit any more."""

Exit = tuple[int, str]
"""Lot and exit."""


LINGER: Final = timedelta(seconds=60)
"""How long after an order an exit may still act on it, if nobody knows better, or still be seen open for it."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One order to an exit. `number` orders turns, not the clock (P10); 0 for one of a former run, by hand.

    `until` is when it was over: known at once from a reply, else `LINGER` after `at`. `acted` None: nobody knows
    whether the exit moved.
    """

    who: str
    number: int
    at: datetime
    until: datetime
    acted: bool | None


@dataclass(frozen=True, slots=True)
class Others:
    """What others did at an exit since an attempt.

    `done`: certain releases; `unknown`: there may be more; `open`: the exit may be seen open for one of them.
    """

    done: int = 0
    unknown: bool = False
    open: bool = False

    def __bool__(self) -> bool:
        """Whether there were others at all."""
        return bool(self.done) or self.unknown or self.open


class ExitLog:
    """The latest orders of each exit, by the relay and by hand."""

    def __init__(self) -> None:
        self._turns: dict[Exit, deque[Turn]] = {}
        self._last = 0

    def next(self) -> int:
        """The number of the next turn."""
        self._last += 1
        return self._last

    def note(self, exit_: Exit, turn: Turn) -> None:
        """An order to an exit was let write, or its outcome is known now."""
        self._last = max(self._last, turn.number)
        turns = self._turns.setdefault(exit_, deque(maxlen=KEPT))
        for at, old in enumerate(turns):
            if (old.who, old.number) == (turn.who, turn.number):
                turns[at] = turn
                return
        turns.append(turn)

    def by_hand(self, exit_: Exit, turn: Turn) -> None:
        """The same for an order by hand, which gets its number here when it is first heard of."""
        known = next((old.number for old in self._turns.get(exit_, ()) if old.who == turn.who and old.number), 0)
        self.note(exit_, replace(turn, number=known or self.next()))

    def crowded(self, exit_: Exit, who: str, now: datetime) -> bool:
        """Whether an order of somebody else, given to the exit before, may still act: nobody has heard how it ended.

        An earlier one of `who` does not count: it is only repeated once it is proven not to have acted.
        """
        turns = self._turns.get(exit_, ())
        return any(turn.acted is None and turn.who != who and now <= turn.until for turn in turns)

    def others(self, exit_: Exit, case: Case) -> Others:
        """What everybody but this case did there since it was let write.

        it was paid: then one turn since is that opening. If there are more, nobody knows for whom the exit is open.
        it was paid: then one turn since is that opening. If there are more, nobody knows for whom the exit stands open.
        """
        turns: Sequence[Turn] = self._turns.get(exit_, deque())
        rest = [turn for turn in turns if turn.who != case.reference and turn.acted is not False]
        if case.sent_at is None:
            since = [turn for turn in rest if turn.at >= case.paid_at - LINGER]
            return Others(open=len(since) > (case.code == Code.NOT_OBSERVED))
        later = [turn for turn in rest if turn.number > case.turn]
        unknown_order = any(not turn.number and turn.until >= case.sent_at for turn in rest)
        forgotten = len(turns) == KEPT and turns[0].number > case.turn
        return Others(
            done=sum(turn.acted is True for turn in later),
            unknown=case.crowded or unknown_order or forgotten or any(turn.acted is None for turn in later),
            open=any(turn.at >= case.sent_at - LINGER for turn in rest),
        )


def turn_of(case: Case) -> Turn | None:
    """What a case did at its exit; None if it was never let write there."""
    if case.sent_at is None:
        return None
    known = case.phase in (CasePhase.SETTLED, CasePhase.REFUSED) and not case.doubted
    until = case.since if known else case.sent_at + LINGER
    return Turn(case.reference, case.turn, case.sent_at, until, _acted(case))


def _acted(case: Case) -> bool | None:
    if case.phase is CasePhase.SETTLED:
        return True if case.by == "relay" and not case.let_out else None
    return False if case.phase is CasePhase.REFUSED and case.by == "relay" else None
