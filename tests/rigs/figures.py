"""Sizes of the rigs' trials, and a place for what they counted."""

import os
import sys
from collections import defaultdict
from pathlib import Path

FULL = bool(os.environ.get("DAIKO_FULL"))
"""`python3 dev.py faults` sets it; without it each rig does a slice that fits into CI."""
SEED = int(os.environ.get("DAIKO_SEED", "1"))


def size(slice_: int, full: int) -> int:
    """How much to do."""
    return full if FULL else slice_


def count(what: str, number: int = 1) -> None:
    """Count something that was tried and held: on the test's output, and in the file that DAIKO_FIGURES names."""
    line = f"{what}\t{number}\n"
    sys.stdout.write(line)
    if name := os.environ.get("DAIKO_FIGURES"):
        with Path(name).open("a", encoding="utf-8") as file:
            file.write(line)


def table(file: Path) -> list[str]:
    """All that was counted, the same things added up, in the order of their names."""
    sums: dict[str, int] = defaultdict(int)
    for line in file.read_text(encoding="utf-8").splitlines():
        what, _, number = line.partition("\t")
        sums[what] += int(number)
    wide = max((len(what) for what in sums), default=0)
    return [f"{what:{wide}} {sums[what]:>14,}" for what in sorted(sums)]
