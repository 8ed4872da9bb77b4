"""A stay is one car's time in a lot; this is how it is named.

A lot names its stays by bay, by ticket, by plate or by pay station. What a person types and what a machine reports are
folded to one spelling (`normalise`), so that `Ａ－０７`, `a-7` and `A7` are the same bay.

A plate is personal data: only a machine's driver and a person's eyes get it. Everywhere else a stay named by plate
bears the plate's token (`plate_token`, ADR 0033).
"""

import hashlib
import hmac
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, NewType

from parking.errors import BadMessage, Code

LotId = NewType("LotId", int)
"""The cloud's number of a lot, 1…2**32-1."""

NAME_BYTES: Final = 32
"""Longest name, in UTF-8 bytes: a full Japanese plate (region, class, kana, serial) needs 20."""

TOKEN_SIGNS: Final = 20
"""Length of a plate's token: 100 bits in Crockford's alphabet; no longer than a plate, and no plate looks like it."""

STRUCK: Final = "***"
"""What stands where a plate was struck out."""


class NameKind(StrEnum):
    """By what a lot names its stays."""

    BAY = "bay"
    TICKET = "ticket"
    PLATE = "plate"
    DESK = "desk"
    """A pay station: its "stay" is what it asks for now, from the moment it began to ask (ADR 0034)."""

    @property
    def is_place(self) -> bool:
        """Whether the name is that of a place in the lot, which holds one stay at a time; else it goes with the car."""
        return self in (NameKind.BAY, NameKind.DESK)


_SEPARATORS = re.compile(r"[\s\-‐‑‒–—―−ー・._/]+")  # a full-width hyphen becomes "-" under NFKC
_LEADING_ZEROS = re.compile(r"(?<!\d)0+(?=\d)")
_CROCKFORD: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_TOKEN: Final = re.compile(f"[{_CROCKFORD}]{{{TOKEN_SIGNS}}}")
_PLATE_DOMAIN: Final = b"daiko-plate-v1"
_KATAKANA_TO_HIRAGANA: Final = {code: code - 0x60 for code in range(0x30A1, 0x30F7)}


def normalise(kind: NameKind, text: str) -> str:
    """Fold a typed or reported name to its one spelling.

    Full-width and half-width forms are unified (NFKC), letters become upper case, katakana becomes hiragana, spaces and
    hyphens go. Bays and desks also lose leading zeros; a ticket keeps them, because they are printed on it.

    Raises BadMessage(BAD_NAME) if nothing is left, if a control character is in it, or if it is too long.
    """
    folded = _SEPARATORS.sub("", _unified(text))
    if kind.is_place:
        folded = _LEADING_ZEROS.sub("", folded)
    if not folded or len(folded.encode()) > NAME_BYTES or not folded.isalnum():
        raise BadMessage(
            Code.BAD_NAME,
            f"{_quoted(kind, text)} is not a {kind.value} number",
            f"letters and digits only, at most {NAME_BYTES} bytes",
        )
    return folded


def _unified(text: str) -> str:
    return unicodedata.normalize("NFKC", text).upper().translate(_KATAKANA_TO_HIRAGANA)


def _quoted(kind: NameKind, text: str) -> str:
    """A name in an error's words, which end in logs: what may be a plate is never repeated there."""
    return "this" if kind is NameKind.PLATE else repr(text[:40])


def fold_digits(text: str) -> str:
    """A code as a scanner or a person types it, in one spelling: NFKC, without spaces and hyphens. Checks nothing."""
    return _SEPARATORS.sub("", unicodedata.normalize("NFKC", text))


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
            raise BadMessage(
                Code.BAD_NAME, f"{_quoted(self.kind, self.name)} is not a normalised {self.kind.value} name"
            )
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
    except (ValueError, OverflowError, OSError) as error:  # OSError: a year that the C library cannot say
        shown = "this" if kind == NameKind.PLATE else repr(key[:60])
        raise BadMessage(Code.BAD_NAME, f"{shown} is not a stay key") from error


def plate_token(key: bytes, plate: str) -> str:
    """The name of a plate outside the machines: HMAC-SHA256 under the lot's key, 100 bits as 20 signs.

    The same for every spelling of the plate, and a normalised name itself. Raises BadMessage(BAD_NAME) as `normalise`.
    """
    name = normalise(NameKind.PLATE, plate)
    digest = hmac.digest(key, _PLATE_DOMAIN + b"\0" + name.encode(), hashlib.sha256)
    value = int.from_bytes(digest[:13], "big") >> 4
    return "".join(_CROCKFORD[value >> shift & 31] for shift in range(5 * (TOKEN_SIGNS - 1), -1, -5))


def is_plate_token(name: str) -> bool:
    """Whether a name is the form of a token."""
    return _TOKEN.fullmatch(name) is not None


def strike_out(text: str, plates: Iterable[str]) -> str:
    """`text` without these plates (normalised), however they are spelled in it; unchanged if none is."""
    shown = unicodedata.normalize("NFKC", text)
    folded, origin = "", []
    for at, sign in enumerate(shown):
        one = _SEPARATORS.sub("", _unified(sign))
        folded += one
        origin += [at] * len(one)
    struck: set[int] = set()
    for plate in filter(None, plates):
        begin = folded.find(plate)
        while begin >= 0:
            struck.update(range(origin[begin], origin[begin + len(plate) - 1] + 1))
            begin = folded.find(plate, begin + 1)
    if not struck:
        return text
    kept = (
        "" if at in struck and at - 1 in struck else STRUCK if at in struck else sign for at, sign in enumerate(shown)
    )
    return "".join(kept)
