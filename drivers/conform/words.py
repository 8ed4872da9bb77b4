"""What the suite says, in the languages of those who read its sheet. Texts of drivers and machines stay as they are."""

from collections.abc import Mapping
from typing import Final

from drivers.base import Applied, CannotTell, Cash, Nobody, Ours, Outcome, Refused, Testimony, Uncertain
from drivers.language import Words
from parking.errors import DaikoError, NotSent
from parking.outcome import Level

__all__ = ["LEVELS", "Words", "as_is", "told", "witnessed"]


def as_is(text: str) -> Words:
    """What a driver or a machine says, which has one language."""
    return Words(text, text)


LEVELS: Final[Mapping[Level, Words]] = {
    Level.SENT: Words("送信のみ", "sent"),
    Level.LINK_ACKED: Words("機器が受信を確認", "link acknowledged"),
    Level.LEGACY_CONFIRMED: Words("既設機が確認", "legacy confirmed"),
    Level.PHYSICALLY_OBSERVED: Words("動作をセンサーで確認", "physically observed"),
}
"""How sure it is that something happened."""


def told(outcome: Outcome | DaikoError) -> Words:
    """An outcome in words."""
    match outcome:
        case Applied(level=level, evidence=evidence):
            proof = f" ({evidence[0].text})" if evidence else ""
            return Words(f"実行（{LEVELS[level].ja}）{proof}", f"applied, {LEVELS[level].en}{proof}")
        case Refused(code=code, detail=detail):
            return Words(f"拒否 {code.value}: {detail}", f"refused, {code.value}: {detail}")
        case Uncertain(detail=detail):
            return Words(f"結果不明: {detail}", f"uncertain: {detail}")
        case NotSent():
            return Words(f"未送信: {outcome.detail}", f"not sent: {outcome.detail}")
    return Words(f"環境の問題: {outcome.detail}", f"environment: {outcome.detail}")


def witnessed(testimony: Testimony) -> Words:
    """What a witness says."""
    match testimony:
        case Ours():
            return Words("こちらの支払い", "it was us")
        case Cash():
            return Words("ほかの人の支払い", "somebody else paid")
        case Nobody():
            return Words("支払いなし", "nobody paid")
        case CannotTell():
            return Words("分からない", "it cannot tell")
