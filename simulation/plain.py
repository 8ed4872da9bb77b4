"""Cases without what no decision reads, so that situations that cannot be told apart are one. Pure.

Each line here is a claim about the shipped rules, and about the instants of the small lot: what it makes equal must
behave alike ever after. Only then is nothing missed by looking at one of the two.

* Of a case that is over the rules read its turn at the exit, and of that whether and until when it may still act.
* A doubt looks again at the next instant, whatever its number of looks: within an instant it looks once, and all waits
  between looks are shorter than the steps from one instant to the next.
* Attempts are compared with each other, never counted: the latest may be called 1, or 2 if the device knows the step
  under the number of an earlier one. Turns are compared likewise, and counters subtracted from each other.
* A turn may linger for a minute: until the last instant, when nothing is sent any more. When it began does not matter.
* Giving up needs 20 s, which only pass between the instants at 9 s and 40 s, and after; an act shows after 4 s.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from msgspec.structs import replace

from bridge.case import Case, Step
from bridge.exit_log import turn_of
from parking.desk import CasePhase
from parking.errors import Code
from simulation.small import INSTANTS, LAST
from simulation.timeline import EPOCH

MOMENTS = [EPOCH + timedelta(seconds=seconds) for seconds in INSTANTS]
"""The instants as times of day."""
OBSERVE = timedelta(seconds=4)
GIVE_UP = timedelta(seconds=20)
_LONG_AGO = EPOCH - timedelta(seconds=1)


def plain(case: Case, instant: int) -> Case:
    """The case as everything that is to come sees it, from this instant on; its attempt and turn stay as they are."""
    if case.over:
        return _over(case, instant)
    let_write = case.sent_at is not None
    return replace(
        case,
        evidence=(),
        detail="",
        code=case.code if _by_hand(case) else "",
        intent=b"",
        level=None,
        queries=0,
        since=_since(case, instant),
        due=_due(case.due, instant),
        tried_since=_tried(case.tried_since, instant),
        sent_at=EPOCH if let_write else None,
        turn=case.turn if let_write else 0,
        crowded=case.crowded and let_write,
        doubted=case.doubted and case.step is not Step.SETTLE,
    )


def _by_hand(case: Case) -> bool:
    """Whether it is in doubt about an opening by hand, rather than about something that was sent."""
    return case.phase is CasePhase.IN_DOUBT and case.sent_at is None and case.code == Code.NOT_OBSERVED


def _over(case: Case, instant: int) -> Case:
    left = Case(
        lot=case.lot,
        number=case.number,
        reference=case.reference,
        stay=case.stay,
        exit=case.exit,
        amount=case.amount,
        paid_at=case.paid_at,
        valid_until=case.valid_until,
        phase=case.phase,
        since=EPOCH,
    )
    turn = turn_of(case)
    if turn is None:
        return left
    known = replace(left, step=Step.RELEASE, sent_at=EPOCH, turn=case.turn)
    if turn.acted is not None:
        return known
    if case.doubted:  # it may act as long as any turn lingers
        return replace(known, by="person", doubted=True)
    return replace(known, by="person", since=case.since if case.since == MOMENTS[instant] else _LONG_AGO)


def _since(case: Case, instant: int) -> datetime:
    """Matters in doubt only: whether the act has had the time to show."""
    if case.phase is not CasePhase.IN_DOUBT or instant == LAST or waited(case, instant):
        return EPOCH
    alike = [[now - at >= OBSERVE for now in MOMENTS[instant:]] for at in (*MOMENTS, case.since)]
    return MOMENTS[alike.index(alike[-1])]


def waited(case: Case, instant: int) -> bool:
    """Whether an act would have shown by now; in the end one may wait for ever."""
    return instant == LAST or MOMENTS[instant] - case.since >= OBSERVE


def _due(due: datetime | None, instant: int) -> datetime | None:
    """The instant at which it is seen to have come; in the end one may look for ever."""
    if due is None or due <= MOMENTS[instant] or instant == LAST:
        return due and MOMENTS[instant]
    return next((at for at in MOMENTS if at >= due), MOMENTS[LAST])


def _tried(since: datetime | None, instant: int) -> datetime | None:
    """Matters by when one gives up: of those who do so at the same instants, the earliest."""
    if since is None:
        return None
    alike = [[now - at >= GIVE_UP for now in MOMENTS[instant:]] for at in (*MOMENTS, since)]
    return MOMENTS[alike.index(alike[-1])]


def numbered_anew(case: Case) -> Case:
    """Its attempts as small as they can be; only when no port has a job of the case, which would not be found again."""
    if 0 < case.sequence < case.attempt:
        return replace(case, sequence=1, attempt=2)
    return replace(case, sequence=min(case.sequence, 1), attempt=min(case.attempt, 1))


def ranks(turns: Iterable[int]) -> dict[int, int]:
    """Turns by their order, from 1; 0 is none."""
    return {0: 0} | {turn: rank for rank, turn in enumerate(sorted({*turns} - {0}), start=1)}


def least_count(cases: Sequence[Case]) -> int | None:
    """The lowest count that an open case has read of its exit; None if no case holds it against a later one."""
    return min((case.counter for case in cases if case.counter is not None and not case.over), default=None)
