"""The catalogue of mutants: each switches one rule of the product off, in its source, by a replacement.

One entry says what it is about and why it matters; `catalogue/*.toml` hold them, by the part of the product they harm.
An entry whose text does not stand exactly once in its file any more is an error: it must be mended, never passed over.
"""

from pathlib import Path
from typing import Annotated, Final

import msgspec

ROOT: Final = Path(__file__).resolve().parents[2]
FOLDER: Final = Path(__file__).resolve().parent / "catalogue"

Text = Annotated[str, msgspec.Meta(min_length=1)]


class StaleEntryError(Exception):
    """An entry that no longer fits the source."""


class Mutant(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One rule, switched off.

    `promise` is what it belongs to: one of P1…P11, or a word for what is none of them (docs/testing.md). `before` is
    replaced by `after` in `file`; then one at least of `killed_by`, pytest's node ids, must fail: the fewer the better.
    `slow`: those tests take more than a few seconds.
    """

    name: Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$")]
    promise: Annotated[str, msgspec.Meta(pattern=r"^(P([1-9]|10|11)|R16|access|money)$")]
    why: Text
    file: Annotated[str, msgspec.Meta(pattern=r"^[a-z_]+(/\w+)*\.py$")]
    before: Text
    after: str
    killed_by: Annotated[tuple[Text, ...], msgspec.Meta(min_length=1, max_length=3)]
    slow: bool = False

    def harm(self, text: str) -> str:
        """The source with the rule switched off. Raises StaleEntryError."""
        if (times := text.count(self.before)) != 1:
            raise StaleEntryError(f"{self.name}: its text stands {times} times in {self.file}, not once")
        return text.replace(self.before, self.after)


class _Page(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    mutant: tuple[Mutant, ...]


def read(folder: Path = FOLDER) -> tuple[Mutant, ...]:
    """All entries, in the order of the files' names. Raises StaleEntryError: not readable, or a name twice."""
    found: list[Mutant] = []
    for file in sorted(folder.glob("*.toml")):
        try:
            found += msgspec.toml.decode(file.read_bytes(), type=_Page).mutant
        except msgspec.MsgspecError as error:
            raise StaleEntryError(f"{file.name}: {error}") from error
    names = [mutant.name for mutant in found]
    if twice := {name for name in names if names.count(name) > 1}:
        raise StaleEntryError(f"named twice: {', '.join(sorted(twice))}")
    return tuple(found)
