"""A stay as a row that can be searched and sorted quickly: pure."""

import re
from dataclasses import dataclass
from typing import Final

from parking.desk import StayView
from parking.errors import BadMessage
from parking.stay import NameKind, StayRef, normalise

_DIGITS: Final = re.compile(r"(\d+)")

Natural = tuple[tuple[int, int, str], ...]


@dataclass(frozen=True, slots=True)
class StayRow:
    """A stay's view with what showing ten thousand of them needs, made once per change of the row.

    `state` is the plain word (an enum member hashes in Python, some ten times slower); `order` sorts by lot and then by
    name as people count.
    """

    view: StayView
    key: str
    state: str
    haystack: str
    bay: str
    order: tuple[int, Natural]

    @property
    def shown(self) -> str:
        """What names the stay to a person; '' for a plate that is erased."""
        return shown_name(self.view.stay, self.view.plate)


def stay_row(view: StayView) -> StayRow:
    """Fold a view once."""
    stay = view.stay
    plate = fold(view.plate)
    reference = f"DK{view.lot}{view.case}" if view.case else ""
    name = "" if stay.kind is NameKind.PLATE else stay.name
    haystack = "\n".join(text for text in (name, plate, reference) if text)
    bay = stay.name if stay.kind is NameKind.BAY else ""
    return StayRow(view, view.key, view.state.value, haystack, bay, (view.lot, natural(name or plate)))


def shown_name(stay: StayRef, plate: str) -> str:
    """A stay's name for a person: where it is a plate's token, the plate."""
    return plate if stay.kind is NameKind.PLATE else stay.name


def fold(text: str) -> str:
    """`text` in the one spelling of names (parking.stay): width, case, kana, spaces and hyphens; '' if none is left."""
    return _folded(NameKind.PLATE, text)


def fold_bay(text: str) -> str:
    """The same for a bay, which also loses leading zeros."""
    return _folded(NameKind.BAY, text)


def natural(name: str) -> Natural:
    """A sort key under which A2 comes before A10."""
    return tuple((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in _DIGITS.split(name) if part)


def _folded(kind: NameKind, text: str) -> str:
    try:
        return normalise(kind, text)
    except BadMessage:
        return ""
