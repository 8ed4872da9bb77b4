"""What the console and the cloud are told of a case. Pure."""

from datetime import datetime

from bridge.case import Case
from parking.desk import CasePhase, CaseView
from parking.outcome import Level
from parking.wire import InDoubt, Received, Refused, Report, Settled


def case_view(case: Case) -> CaseView:
    """The console's row of a case."""
    return CaseView(
        lot=case.lot,
        number=case.number,
        stay=case.stay,
        amount=case.amount,
        phase=case.phase,
        since=case.since,
        exit=case.exit,
        code=case.code,
        detail=case.detail,
        evidence=case.evidence,
        by=case.by,
    )


def case_report(case: Case, now: datetime) -> Report | None:
    """What the cloud is told when a case enters a phase; None for phases that are the bridge's own business."""
    match case.phase:
        case CasePhase.RECEIVED if case.attempt == 0:
            return Received(number=case.number, at=now)
        case CasePhase.SETTLED:
            level = case.level or Level.SENT
            return Settled(number=case.number, at=now, level=level, evidence=case.evidence, by=case.by)
        case CasePhase.REFUSED:
            return Refused(number=case.number, at=now, code=case.code, detail=case.detail, by=case.by)
        case CasePhase.IN_DOUBT:
            return InDoubt(number=case.number, at=now, code=case.code, detail=case.detail)
        case _:
            return None


def timeline_word(case: Case) -> str:
    """The stable word for a change of phase in a stay's timeline."""
    if case.phase is CasePhase.RECEIVED and case.attempt:
        return "waiting"
    return case.phase.value
