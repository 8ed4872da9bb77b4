"""Texts in Japanese and English, and which of the two the system speaks."""

import locale
import os
from collections.abc import Mapping
from typing import Final

import msgspec

LANGUAGES: Final = ("ja", "en")


class Words(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One statement in Japanese and in English."""

    ja: str
    en: str

    def of(self, language: str) -> str:
        """In one of them."""
        return self.ja if language == "ja" else self.en


class Phrases:
    """A table of texts in one language."""

    def __init__(self, table: Mapping[str, Words], language: str) -> None:
        self.language = language
        self._table = table

    def __call__(self, key: str, **values: object) -> str:
        """The text of `key` with its values; raises KeyError for a key that is in no table (a mistake of ours)."""
        return self._table[key].of(self.language).format(**values)


def system_language() -> str:
    """Japanese where the system speaks it, English elsewhere."""
    named = (os.environ.get(name) for name in ("LC_ALL", "LC_MESSAGES", "LANG"))  # Windows has none of them
    spoken = next(filter(None, named), None) or locale.getlocale()[0] or ""
    return "ja" if spoken.lower().startswith("ja") else "en"
