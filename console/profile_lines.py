"""Writes what a probe found as lines for a lot profile (docs/lot-profile.md). Pure."""

import json
import tomllib

from console.toolbox import FindingRow
from parking.errors import one_line


def profile_lines(found: FindingRow, url: str) -> str:
    """A `[[device]]` table. The family's name is the device's until somebody gives it another.

    Hints that are one key and one value become options; others are for people, and become comments.
    """
    options, remarks = [], []
    for hint in found.hints:
        name, value = _option(hint)
        if name == "url" and isinstance(value, str):
            url = value
        elif name and name != "family":
            options.append(hint.strip())
        elif not name:
            remarks.append(f"# {one_line(hint.strip())}")
    lines = ["[[device]]", f"id = {_quoted(found.family[:24])}", f"family = {_quoted(found.family)}"]
    lines.append(f"url = {_quoted(url)}")
    if options:
        lines += ["", "[device.options]", *options]
    return "\n".join([*lines, *remarks]) + "\n"


def _option(hint: str) -> tuple[str, object]:
    """The key and value of a hint; "" as key for what is no single plain value."""
    try:
        table = tomllib.loads(hint)
    except (ValueError, RecursionError):  # also a number or a list beyond all measure
        return "", None
    pairs = list(table.items())
    plain = len(pairs) == 1 and isinstance(pairs[0][1], str | int | float) and hint.strip().isprintable()
    return pairs[0] if plain else ("", None)


def _quoted(text: str) -> str:
    """A TOML string: JSON's, as long as nothing in it needs more than JSON spells out."""
    return json.dumps(one_line(text), ensure_ascii=False)
