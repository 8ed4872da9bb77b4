"""A business day as text that a person can read, in Japanese or English. Pure."""

from typing import Final

from cloud.day_words import NAMES, said
from cloud.days import DayReport, Noted
from parking.money import Yen, show
from parking.reports import Anchored

_HEAD: Final = {
    "ja": "{lot} {day} 日次照合  {state}",
    "en": "{lot} {day} reconciliation  {state}",
}
_STATE: Final = {
    "none": ("未照合", "not compared yet"),
    "open": ("未締め (理由なし {n} 件)", "open ({n} without a reason)"),
    "ready": ("締められます", "ready to be closed"),
    "closed": ("締め済み ({by})", "closed by {by}"),
}
_CHAIN: Final = ("監査記録の先端", "head of the audit record")
_TOTALS: Final = {
    "ja": "決済 {payments} 件  請求 {captured}  返金・取消 {returned}  未確定 {waiting}  一致 {matched} 件",
    "en": "payments {payments}  charged {captured}  returned {returned}  not ended {waiting}  matched {matched}",
}


def render(report: DayReport, lot_name: str, language: str, head: Anchored | None) -> str:
    """The whole report; `language` is ja or en. `head` is that of the audit chain at the day's end, a copy on paper."""
    column = 0 if language == "ja" else 1
    lines = [_HEAD[language].format(lot=lot_name, day=report.day.isoformat(), state=_state(report, column))]
    if report.totals is not None:
        totals = report.totals
        sums = {name: show(Yen(getattr(totals, name)), language) for name in ("captured", "returned", "waiting")}
        lines.append(_TOTALS[language].format(payments=totals.payments, matched=totals.matched, **sums))
    for one in report.differences:
        lines += _difference(one, language, column)
    lines.append(f"{_CHAIN[column]}  {f'{head.entry}:{head.head}' if head else '-'}")
    return "\n".join(lines)


def _state(report: DayReport, column: int) -> str:
    if report.closed_at is not None:
        return _STATE["closed"][column].format(by=report.closed_by)
    if report.compared_at is None:
        return _STATE["none"][column]
    missing = len(report.unexplained)
    return _STATE["open"][column].format(n=missing) if missing else _STATE["ready"][column]


def _difference(one: Noted, language: str, column: int) -> list[str]:
    mark = "✓" if one.reason else "✗"
    about = f"  {show(Yen(one.yen), language)}" if one.yen else ""
    lines = [f"{mark} {NAMES[one.kind][column]}{about}  [{one.key}]", f"    {said(one.kind, one.facts, language)}"]
    if one.reason:
        lines.append(f"    → {one.reason} ({one.reason_by})")
    return lines
