"""A stay as a row that can be searched and sorted quickly: pure."""

import re
from dataclasses import dataclass
from typing import Final

from parking.desk import StayView
from parking.errors import BadMessage
from parking.stay import NameKind, normalise

_DIGITS: Final = re.compile(r"(\d+)")

SortKey = tuple[tuple[int, int, str], ...]


@dataclass(frozen=True, slots=True)
class StayRow:
    """A stay's view with what searching and sorting need, made once: folded texts and a natural order of its name."""

    view: StayView
    haystack: str
    bay: str
    order: SortKey


def stay_row(view: StayView) -> StayRow:
    """Fold a view once."""
    stay = view.stay
    plate = fold(view.plate)
    reference = f"DK{view.lot}{view.case}" if view.case else ""
    haystack = "\n".join(text for text in (stay.name, plate, reference) if text)
    return StayRow(view, haystack, stay.name if stay.kind is NameKind.BAY else "", natural(stay.name))


def fold(text: str) -> str:
    """`text` in the one spelling of names (parking.stay): width, case, kana, spaces and hyphens; '' if none is left."""
    return _folded(NameKind.PLATE, text)


def fold_bay(text: str) -> str:
    """The same for a bay, which also loses leading zeros."""
    return _folded(NameKind.BAY, text)


def natural(name: str) -> SortKey:
    """A sort key under which A2 comes before A10."""
    return tuple((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in _DIGITS.split(name) if part)


def _folded(kind: NameKind, text: str) -> str:
    try:
        return normalise(kind, text)
    except BadMessage:
        return ""
