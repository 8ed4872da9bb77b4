"""What the suite says, in the languages of those who read its sheet. Texts of drivers and machines stay as they are."""

from collections.abc import Mapping
from typing import Final

from drivers.base import Applied, CannotTell, Cash, Nobody, Ours, Outcome, Refused, Testimony, Uncertain
from drivers.conform.codes import CODES
from drivers.language import Words as Plain
from parking import errors
from parking.errors import Code, DaikoError, NotSent
from parking.outcome import Level


class Words(Plain, frozen=True, forbid_unknown_fields=True):
    """One statement in Japanese and in English. `said` is what a driver or a machine said of it, in its one language.

    That stands apart from the statement: in brackets on the screen, in small print on the sheet.
    """

    said: str = ""

    def plain(self, language: str) -> str:
        """The statement alone, in one of them."""
        return super().of(language)

    def of(self, language: str) -> str:
        """The statement in one of them, and what was said."""
        return self.plain(language) + (f" [{self.said}]" if self.said else "")


def quoting(ja: str, en: str, *parts: Words) -> Words:
    """A statement made of others, with what was said of them."""
    return Words(ja, en, "; ".join(part.said for part in parts if part.said))


def renamed(words: Words, names: Mapping[str, str]) -> Words:
    """The same with a name for each address in what was said, however that is spelt there."""
    spelt = {spelling: name for address, name in names.items() for spelling in _spellings(address)}
    said = words.said
    for spelling in sorted(spelt, key=len, reverse=True):
        said = said.replace(spelling, spelt[spelling])
    return Words(words.ja, words.en, said)


def _spellings(address: str) -> list[str]:
    """An address as drivers and libraries write it: whole, without its scheme, or host and port one by one."""
    place = address.partition("://")[2]
    host, _, port = place.rpartition(":")
    return [one for one in (address, place, f"host='{host}', port={port}" if host else "") if one]


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
            proof = evidence[0].text if evidence else ""
            return Words(f"実行（{LEVELS[level].ja}）", f"applied, {LEVELS[level].en}", proof)
        case Refused(code=code, detail=detail) | errors.Refused(code=code, detail=detail):
            return _blamed("拒否", "refused", code, detail)
        case Uncertain(code=code, detail=detail) | errors.Uncertain(code=code, detail=detail):
            return _blamed("結果不明", "uncertain", code, detail)
        case NotSent(code=code, detail=detail):
            return _blamed("未送信", "not sent", code, detail)
        case errors.Environment(code=code, detail=detail):
            return _blamed("環境の問題", "environment", code, detail)
    return _blamed("通信の問題", "trouble", outcome.code, outcome.detail)


def _blamed(ja: str, en: str, code: Code, detail: str) -> Words:
    meaning = CODES.get(code, (code.value, code.value))
    return Words(f"{ja}: {meaning[0]}", f"{en}: {meaning[1]}", detail)


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
