"""What the console and the cloud are told of a case. Pure."""

from collections.abc import Mapping
from datetime import datetime

from bridge.case import Case
from drivers.profile import LotProfile
from parking.desk import CasePhase, CaseView, ExitView, LotView
from parking.errors import Code
from parking.outcome import Level
from parking.reports import InDoubt, OverrideMatched, Received, Redeemed, Refused, Report, Settled, Way, Whose
from parking.stay import LotId


def case_view(case: Case) -> CaseView:
    """The console's row of a case."""
    return CaseView(
        lot=case.lot,
        number=case.number,
        stay=case.stay,
        amount=case.charged,
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
        case CasePhase.RECEIVED if case.attempt == 0 and case.way is Way.FEED:
            return Received(number=case.number, at=now)
        case CasePhase.RECEIVED if case.attempt == 0:
            return Redeemed(
                number=case.number, at=now, way=case.way, actor=case.brought_by, stay=case.stay, amount=case.amount
            )
        case CasePhase.SETTLED if case.amount > case.charged == 0:
            detail = f"settled by {case.by}, but nobody knows how much the machine took: nothing is charged"
            return Refused(number=case.number, at=now, code=Code.NOT_OBSERVED, detail=detail, by=case.by)
        case CasePhase.SETTLED:
            level = case.level or Level.SENT
            return Settled(
                number=case.number,
                at=now,
                level=level,
                evidence=case.evidence,
                by=case.by,
                credited=None if case.charged == case.amount else case.charged,
            )
        case CasePhase.REFUSED:
            return Refused(number=case.number, at=now, code=case.code, detail=case.detail, by=case.by)
        case CasePhase.IN_DOUBT:
            return InDoubt(number=case.number, at=now, code=case.code, detail=case.detail)
        case _:
            return None


def given_back(case: Case, now: datetime) -> OverrideMatched:
    """The machine had acted before a person's wish to give the payment back could stop it: the cloud refunds it."""
    return OverrideMatched(
        command_id=f"given-back-{case.number}",
        actor=case.by,
        reason=case.let_out,
        at=now,
        whose=Whose.STAY,
        stay=case.stay,
        number=case.number,
        give_back=True,
    )


def timeline_word(case: Case) -> str:
    """The stable word for a change of phase in a stay's timeline."""
    if case.phase is CasePhase.RECEIVED and case.attempt:
        return "waiting"
    return case.phase.value


def lot_views(lots: Mapping[LotId, LotProfile]) -> list[LotView]:
    """The console's rows of the lots."""
    return [LotView(lot=lot, name=profile.lot.name, time_zone=profile.lot.time_zone) for lot, profile in lots.items()]


def exit_views(lots: Mapping[LotId, LotProfile]) -> list[ExitView]:
    """The console's rows of the exits, not read yet."""
    return [
        ExitView(lot=lot, exit=exit_.id, kind=exit_.kind, label=exit_.label, device=exit_.device)
        for lot, profile in lots.items()
        for exit_ in profile.exit
    ]
