"""What must not go unseen: payments that are not settled for long, and what is wrong with the lot's surroundings. Pure.

An alarm lasts as long as its cause does, and no longer; `parking.desk.AlarmView` has the words for the console.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from bridge.case import Case
from parking.desk import AlarmView, CasePhase
from parking.errors import Code, Environment
from parking.stay import LotId

DOUBT_SECONDS: Final = 30.0
"""A doubt that evidence ends by itself in this time is nobody's business."""

BEGUN_SECONDS: Final = 20.0
"""What was paid long ago and has only just come gets this long: in it nearly everything is settled."""

REJECT_KEPT: Final = timedelta(days=1)
"""How long a completion that was kept aside is shown: it is over, but somebody may be standing at the gate."""

MOST_SKEW: Final = timedelta(seconds=120)
KEYLESS: Final = (
    "this lot goes by number plates, and the key that names them has not come: no car can be shown or paid for"
    " — let the bridge reach the cloud once; until then open by hand"
)


@dataclass(frozen=True, slots=True)
class Reject:
    """A completion that could not be acted on."""

    number: int
    code: str
    detail: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Condition:
    """How a lot stands. `hung` names devices; `lost` says, if it is so, that the journal is not the enrolment's.

    `keyless`: the lot goes by number plates, and the key that names them has never come.
    """

    lot: LotId
    alarm_seconds: float
    cases: Sequence[Case] = ()
    rejects: Sequence[Reject] = ()
    journal: Environment | None = None
    lost: str = ""
    skew: timedelta = timedelta(0)
    hung: Sequence[str] = ()
    keyless: bool = False


def alarms(condition: Condition, now: datetime) -> list[AlarmView]:
    """All alarms of a lot."""
    lot = condition.lot
    found = [alarm for case in condition.cases if (alarm := _of_case(case, condition.alarm_seconds, now))]
    for reject in condition.rejects:
        if now - reject.at <= REJECT_KEPT:
            detail = f"completion {reject.number} was kept aside: {reject.detail}"
            found.append(_alarm(lot, f"reject-{reject.number}", reject.code, detail, reject.at))
    if condition.journal is not None:
        error = condition.journal
        detail = f"{error.detail} — {error.remedy}" if error.remedy else error.detail
        found.append(_alarm(lot, "journal", error.code, detail, now))
    if condition.lost:
        found.append(_alarm(lot, "journal-lost", Code.JOURNAL_LOST, condition.lost, now))
    if abs(condition.skew) > MOST_SKEW:
        found.append(_alarm(lot, "clock", Code.CLOCK, _skew(condition.skew), now))
    if condition.keyless:
        found.append(_alarm(lot, "plate-key", Code.PLATE_KEY, KEYLESS, now))
    for device in condition.hung:
        detail = f"{device}: its port does not answer at all — unplug and plug the adapter, or restart the bridge"
        found.append(_alarm(lot, f"hung-{device}", Code.PORT_HUNG, detail, now))
    return found


def changes(shown: Mapping[str, AlarmView], found: Sequence[AlarmView]) -> tuple[list[AlarmView], list[str]]:
    """What is to be raised (new, or with new words), and the keys of what has ended; `since` stays with the cause."""
    raised = []
    for alarm in found:
        old = shown.get(alarm.key)
        if old is None or (old.code, old.detail) != (alarm.code, alarm.detail):
            raised.append(alarm)
    lasting = {alarm.key for alarm in found}
    return raised, [key for key in shown if key not in lasting]


def _of_case(case: Case, alarm_seconds: float, now: datetime) -> AlarmView | None:
    if case.over:
        return None
    overdue = case.paid_at + timedelta(seconds=alarm_seconds)
    begun = case.tried_since or case.since
    if now >= overdue and (now - begun).total_seconds() >= min(BEGUN_SECONDS, alarm_seconds):
        detail = f"{case.reference}, {case.amount} yen, is {case.phase.value}"
        detail += f": [{case.code}] {case.detail}" if case.code else ""
        return _case_alarm(case, Code.UNSETTLED, detail, overdue)
    if case.phase is CasePhase.IN_DOUBT and (now - case.since).total_seconds() >= DOUBT_SECONDS:
        return _case_alarm(case, case.code, f"{case.reference}, {case.amount} yen: {case.detail}", case.since)
    return None


def _case_alarm(case: Case, code: str, detail: str, since: datetime) -> AlarmView:
    what = f"case-{case.number}"
    return AlarmView(lot=case.lot, what=what, code=code, detail=detail, since=since, case=case.number, stay=case.stay)


def _alarm(lot: LotId, what: str, code: str, detail: str, since: datetime) -> AlarmView:
    return AlarmView(lot=lot, what=what, code=code, detail=detail, since=since)


def _skew(skew: timedelta) -> str:
    """To the minute, so that the words stay the same while the cause does."""
    minutes = round(abs(skew).total_seconds() / 60)
    way = "fast" if skew > timedelta(0) else "slow"
    return f"this computer's clock is {minutes} min {way}; the bridge goes by the cloud's — set it, and let NTP keep it"
