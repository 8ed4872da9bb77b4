"""A stay is one car's time in a lot; this is how it is named.

A lot names its stays by bay, by ticket or by plate. What a person types and what a machine reports are folded to one
spelling (`normalise`), so that `Ａ－０７`, `a-7` and `A7` are the same bay.
"""

import re
import unicodedata
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, NewType

from parking.errors import BadMessage, Code

LotId = NewType("LotId", int)
"""The cloud's number of a lot, 1…2**32-1."""

NAME_BYTES: Final = 32
"""Longest name, in UTF-8 bytes: a full Japanese plate (region, class, kana, serial) needs 20."""


class NameKind(StrEnum):
    """By what a lot names its stays."""

    BAY = "bay"
    TICKET = "ticket"
    PLATE = "plate"


_SEPARATORS = re.compile(r"[\s\-‐‑‒–—―−ー・._/]+")  # a full-width hyphen becomes "-" under NFKC
_LEADING_ZEROS = re.compile(r"(?<!\d)0+(?=\d)")
_KATAKANA_TO_HIRAGANA: Final = {code: code - 0x60 for code in range(0x30A1, 0x30F7)}


def normalise(kind: NameKind, text: str) -> str:
    """Fold a typed or reported name to its one spelling.

    Full-width and half-width forms are unified (NFKC), letters become upper case, katakana becomes hiragana, spaces and
    hyphens go. Bays also lose leading zeros; a ticket keeps them, because they are printed on it.

    Raises BadMessage(BAD_NAME) if nothing is left, if a control character is in it, or if it is too long.
    """
    folded = unicodedata.normalize("NFKC", text).upper().translate(_KATAKANA_TO_HIRAGANA)
    folded = _SEPARATORS.sub("", folded)
    if kind is NameKind.BAY:
        folded = _LEADING_ZEROS.sub("", folded)
    if not folded or len(folded.encode()) > NAME_BYTES or not folded.isalnum():
        raise BadMessage(
            Code.BAD_NAME,
            f"{text[:40]!r} is not a {kind.value} number",
            f"letters and digits only, at most {NAME_BYTES} bytes",
        )
    return folded


@dataclass(frozen=True, slots=True)
class StayRef:
    """Which stay: a normalised name and when it began.

    The entry time tells today's car in bay 7 from yesterday's. It is aware UTC in whole seconds, or None where the lot
    cannot tell (then the name alone must be unique, as a ticket number is).
    """

    kind: NameKind
    name: str
    entered_at: datetime | None = None

    def __post_init__(self) -> None:
        """Raise BadMessage unless the name is normalised and the time aware and in whole seconds."""
        if normalise(self.kind, self.name) != self.name:
            raise BadMessage(Code.BAD_NAME, f"{self.name!r} is not a normalised {self.kind.value} name")
        at = self.entered_at
        if at is not None and (at.utcoffset() is None or at.microsecond):
            raise BadMessage(Code.BAD_NAME, f"entry time {at!r} must be aware and in whole seconds")

    @property
    def key(self) -> str:
        """One text per stay, usable as a database key: `bay:A7@1766000000`."""
        at = self.entered_at
        return f"{self.kind.value}:{self.name}" + (f"@{int(at.timestamp())}" if at else "")

    def same_as(self, other: "StayRef") -> bool:
        """Whether both name the same stay; an unknown entry time matches any."""
        if (self.kind, self.name) != (other.kind, other.name):
            return False
        return self.entered_at is None or other.entered_at is None or self.entered_at == other.entered_at


def parse_key(key: str) -> StayRef:
    """Read a stay back from its `StayRef.key`; raise BadMessage(BAD_NAME) if it is none."""
    kind, colon, rest = key.partition(":")
    name, at_sign, seconds = rest.partition("@")
    try:
        entered = datetime.fromtimestamp(int(seconds), UTC) if at_sign else None
        if not colon:
            raise ValueError(key)
        return StayRef(NameKind(kind), name, entered)
    except (ValueError, OverflowError) as error:
        raise BadMessage(Code.BAD_NAME, f"{key[:60]!r} is not a stay key") from error
