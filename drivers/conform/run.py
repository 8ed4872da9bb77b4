"""Runs the cases of the suite at each subject of a lot, and tells each result as it comes."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from drivers.conform.bench import Bench, NotReadyError
from drivers.conform.cases import CASES, Skip
from drivers.conform.report import Result, Verdict
from drivers.conform.subject import Lot, Subject
from drivers.conform.words import Words, quoting, told
from parking.errors import DaikoError

Begin = Callable[[str], None]
"""Told before each case, by its name."""
Tell = Callable[[Result], None]


def run(subject: Subject, lot: Lot, folder: Path, names: Sequence[str], begin: Begin, tell: Tell) -> tuple[Result, ...]:
    """Run the cases of these names at one subject. Raises Environment(CONFIG) for bad options."""
    bench = Bench(subject, lot, folder)
    found = []
    try:
        for name in names:
            begin(name)
            found.append(_one(bench, name))
            tell(found[-1])
    finally:
        bench.close()
    return tuple(found)


def _one(bench: Bench, name: str) -> Result:
    began = time.monotonic()
    broken: tuple[Words, ...] = ()
    try:
        broken, detail = CASES[name].run(bench)
        verdict = Verdict.FAILED if broken else Verdict.PASSED
    except Skip as skip:
        verdict, detail = Verdict.SKIPPED, skip.why
    except NotReadyError as late:
        verdict, detail = Verdict.FAILED, late.what
    except DaikoError as error:
        verdict, detail = Verdict.FAILED, told(error)
    seconds = time.monotonic() - began
    try:
        bench.tidy()
    except DaikoError as error:
        why = told(error)
        left = quoting(f"試験の後、元に戻せない: {why.ja}", f"could not be put right afterwards: {why.en}", why)
        verdict, broken = Verdict.FAILED, (*broken, left)
    return Result(
        subject=bench.subject.title,
        case=name,
        verdict=verdict,
        detail=bench.lasting(detail),
        seconds=seconds,
        broken=tuple(map(bench.lasting, broken)),
    )
