"""What drivers read, in every language: look-up, choice of language, and times as people write them. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from cloud.texts_en import EN
from cloud.texts_ja import JA

CATALOGUES: Final[Mapping[str, Mapping[str, str]]] = {"ja": JA, "en": EN}
"""By language tag, in the order in which they are offered."""

HOME: Final = "ja"
"""For phones that state no preference."""
ABROAD: Final = "en"
"""For phones that prefer languages which we do not speak."""


@dataclass(frozen=True, slots=True)
class Texts:
    """The texts of one language; `language` is a key of CATALOGUES."""

    language: str

    def __call__(self, key: str, **values: object) -> str:
        """The text under `key` with its placeholders filled; a KeyError is a defect of ours."""
        return CATALOGUES[self.language][key].format(**values)

    def pick(self, text: Mapping[str, str]) -> str:
        """The lot's own text in this language, else in English, else in whatever there is."""
        return text.get(self.language) or text.get(ABROAD) or next(iter(text.values()), "")

    def problem(self, code: str, names: str = "") -> tuple[str, str]:
        """What went wrong and what to do, for a stable error code; unknown codes read as a defect of ours.

        `names`: by what the lot names its stays, where it is known: some have words of their own.
        """
        words = (f"{code}.{names}", code, "bug")
        known = next(one for one in words if f"error.{one}.title" in CATALOGUES[self.language])
        return self(f"error.{known}.title"), self(f"error.{known}.do")

    def joined(self, *sentences: str) -> str:
        """Sentences one after the other, with a space between them where the language has one."""
        return ("" if self.language == "ja" else " ").join(sentences)

    def reason(self, code: str, names: str) -> str:
        """Why a payment was not charged, for the code of its end; `names` as in `problem`."""
        words = (f"{code}.{names}", code, "other")
        known = next(one for one in words if f"reason.{one}" in CATALOGUES[self.language])
        return self(f"reason.{known}")

    def clock(self, at: datetime, zone: str, today: datetime) -> str:
        """A time of day in the lot's zone; with its date unless that is the local day of `today`."""
        local = at.astimezone(ZoneInfo(zone))
        if local.date() == today.astimezone(ZoneInfo(zone)).date():
            return f"{local:%H:%M}"
        return self.date(at, zone)

    def date(self, at: datetime, zone: str) -> str:
        """Date and time in the lot's zone."""
        local = at.astimezone(ZoneInfo(zone))
        if self.language == "ja":
            return f"{local.year}年{local.month}月{local.day}日 {local:%H:%M}"
        return f"{local.day} {_MONTHS[local.month - 1]} {local.year} {local:%H:%M}"

    def distance(self, metres: int) -> str:
        """A distance as people say it: `350 m`, `2.6 km`."""
        return f"{metres} m" if metres < 1000 else f"{metres / 1000:.1f} km"

    def duration(self, span: timedelta) -> str:
        """A length of time in hours and minutes, rounded down."""
        hours, minutes = divmod(max(int(span.total_seconds()), 0) // 60, 60)
        return self("duration", hours=hours, minutes=minutes) if hours else self("duration.minutes", minutes=minutes)


# strftime("%b") would follow the server's locale.
_MONTHS: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def choose(asked: str, remembered: str, accept: str) -> str:
    """The language to answer in: asked for, else remembered, else the best of an Accept-Language header."""
    for language in (asked, remembered):
        if language in CATALOGUES:
            return language
    ranked = sorted(_preferences(accept), reverse=True)
    for quality, _, tag in ranked:
        if quality > 0 and tag in CATALOGUES:
            return tag
    return ABROAD if ranked else HOME


def _preferences(accept: str) -> list[tuple[float, int, str]]:
    """Quality, negated position and primary tag of each entry; entries that make no sense are skipped."""
    found = []
    for position, entry in enumerate(accept.split(",")[:20]):
        tag, _, parameter = entry.strip().partition(";")
        try:
            quality = float(parameter.strip().removeprefix("q=") or 1)
        except ValueError:
            continue
        primary = tag.strip().lower().partition("-")[0]
        if primary and primary != "*":
            found.append((quality, -position, primary))
    return found
