"""Speaks to the attendant in Japanese or English: looks up texts and writes times, amounts and ages. No Qt."""

from collections.abc import Mapping
from datetime import datetime, timedelta, tzinfo
from enum import StrEnum
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from console.texts import TEXTS
from console.words import CODES, HAPPENINGS, SOURCES
from parking.money import show, yen
from parking.stay import NameKind


class Language(StrEnum):
    """The languages of the window; the value is also the key of localized names in messages."""

    JA = "ja"
    EN = "en"


def language_of(locale: str) -> Language:
    """Japanese where the system speaks it, English elsewhere; `locale` as in `ja_JP`."""
    return Language.JA if locale.lower().startswith("ja") else Language.EN


class Phrases:
    """The texts in the language chosen now; `language` may be changed at any time."""

    def __init__(self, language: Language) -> None:
        self.language = language

    def __call__(self, key: str, **values: object) -> str:
        """The text of `key`; raises KeyError for a key that is in no catalogue (a mistake of ours)."""
        return TEXTS[key][self._column].format(**values)

    def code(self, code: str) -> str:
        """An error code in words; an unknown one as it came."""
        return self._word(CODES, code)

    def happening(self, what: str) -> str:
        """A timeline word, or an order with its outcome (`release_not_confirmed`); an unknown one as it came."""
        for verb in ("release", "hold_open", "end_hold", "resolve", "assign"):
            outcome = TEXTS.get(f"outcome.{what.removeprefix(verb + '_')}")
            if outcome and what != verb and what.startswith(verb):
                return f"{self._word(HAPPENINGS, verb)} — {outcome[self._column]}"
        return self._word(HAPPENINGS, what)

    def source(self, source: str) -> str:
        """Who said so; a device or a person keeps their own name."""
        return self._word(SOURCES, source)

    def cause(self, code: str, detail: str) -> str:
        """A code with its particulars."""
        return " — ".join(text for text in (self.code(code) if code else "", detail) if text)

    def particular(self, text: str) -> str:
        """A reason's or a code's stable word as the attendant knows it; any other text as it came."""
        found = TEXTS.get(f"reason.{text}") or CODES.get(text)
        return found[self._column] if found else text

    def named(self, names: dict[str, str], otherwise: str = "") -> str:
        """A localized name, in the other language if there is none in ours."""
        return names.get(self.language) or next(iter(names.values()), otherwise)

    def stay(self, kind: NameKind, name: str) -> str:
        """A stay's name with what kind of name it is; '' for a plate that is erased or not known any more."""
        return self(f"kind.{kind}", name=name) if name else self("plate.erased")

    def amount(self, amount: int | None) -> str:
        """Yen, or a dash."""
        return "–" if amount is None else show(yen(amount), self.language)

    def age(self, age: timedelta) -> str:
        """A duration in its two largest useful units."""
        seconds = max(int(age.total_seconds()), 0)
        if seconds < 60:
            return self("age.seconds", n=seconds)
        if seconds < 3600:
            return self("age.minutes", n=seconds // 60)
        if seconds < 86400:
            return self("age.hours", h=seconds // 3600, m=seconds // 60 % 60)
        return self("age.days", d=seconds // 86400, h=seconds // 3600 % 24)

    def day(self, at: datetime, zone: tzinfo) -> str:
        """Date and time with seconds: `11/23(月) 14:02:31`."""
        local = at.astimezone(zone)
        names = self("weekdays")
        weekday = names.split()[local.weekday()] if " " in names else names[local.weekday()]
        return f"{local:%m/%d}({weekday}) {local:%H:%M:%S}"

    def moment(self, at: datetime, now: datetime, zone: tzinfo, *, seconds: bool = True) -> str:
        """A time of day, with the date in front unless it is today's."""
        local = at.astimezone(zone)
        clock = f"{local:%H:%M:%S}" if seconds else f"{local:%H:%M}"
        return clock if local.date() == now.astimezone(zone).date() else f"{local:%m/%d} {clock}"

    @property
    def _column(self) -> int:
        return 0 if self.language is Language.JA else 1

    def _word(self, table: Mapping[str, tuple[str, str]], word: str) -> str:
        found = table.get(word)
        return found[self._column] if found else word


def elapsed(since: datetime, now: datetime) -> str:
    """Hours and minutes as they stand on a parking ticket: `4:21`."""
    minutes = max(int((now - since).total_seconds()) // 60, 0)
    return f"{minutes // 60}:{minutes % 60:02d}"


def zone_of(name: str) -> tzinfo:
    """A lot's time zone; this PC's own if its database does not know the name."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return datetime.now().astimezone().tzinfo or ZoneInfo("UTC")
