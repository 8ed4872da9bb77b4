"""What a person types, read as they mean it: full-width or not, names in either language. Pure."""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Final

from drivers.profile import ExitTable

YES: Final = frozenset(("y", "yes", "はい"))
NO: Final = frozenset(("n", "no", "いいえ"))
BETWEEN: Final = re.compile(r"[\s,、]+")


def folded(text: str) -> str:
    """As it is compared: neither width, case nor spaces matter."""
    return "".join(unicodedata.normalize("NFKC", text).casefold().split())


def yes(text: str) -> bool | None:
    """Yes or no; None if it is neither."""
    said = folded(text)
    return True if said in YES else False if said in NO else None


def number(text: str) -> int | None:
    """A count or yen, from 0; None if it is none."""
    said = folded(text).replace(",", "").removeprefix("¥").removesuffix("円")
    return int(said) if said.isdecimal() else None


def names(exits: Iterable[ExitTable]) -> Mapping[str, str]:
    """The ids of exits by all that people may call them: the id, and the labels that no other exit has."""
    exits = tuple(exits)
    called: dict[str, set[str]] = {}
    for exit_ in exits:
        for label in exit_.label.values():
            called.setdefault(folded(label), set()).add(exit_.id)
    found = {label: next(iter(ids)) for label, ids in called.items() if len(ids) == 1}
    return found | {folded(exit_.id): exit_.id for exit_ in exits}


def named(text: str, known: Mapping[str, str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The ids of the exits that an answer names, each once, and the words that name none. Labels may have spaces."""
    words = [word for word in BETWEEN.split(unicodedata.normalize("NFKC", text)) if word]
    found: dict[str, None] = {}
    unknown: list[str] = []
    at = 0
    while at < len(words):
        ends = range(len(words), at, -1)  # the longest name first: "Exit 1" before "Exit"
        end = next((end for end in ends if folded("".join(words[at:end])) in known), None)
        if end is None:
            unknown.append(words[at])
            at += 1
        else:
            found[known[folded("".join(words[at:end]))]] = None
            at = end
    return tuple(found), tuple(unknown)
