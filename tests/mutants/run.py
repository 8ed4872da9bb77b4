"""Switch rules off, one after the other, and see tests go red: python -m tests.mutants.run [NAME…] [--jobs N]

Exit status 1 if a mutant survives, or if its entry does not fit the source any more.
"""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from tests.mutants.catalogue import Mutant, StaleEntryError, read
from tests.mutants.trial import Trial, Verdict, Workshop, workshop

WORDS = {Verdict.PASSED: "SURVIVED", Verdict.FAILED: "killed", Verdict.BROKEN: "BROKEN ENTRY"}


def chosen(names: Sequence[str]) -> list[Mutant]:
    """The mutants of these names; all if there are none. Raises StaleEntryError for a name that is not there."""
    mutants = read()
    known = {mutant.name for mutant in mutants}
    if strangers := [name for name in names if name not in known]:
        raise StaleEntryError(f"no such mutant: {', '.join(strangers)}")
    return [mutant for mutant in mutants if not names or mutant.name in names]


def row(mutant: Mutant, trial: Trial) -> str:
    """A line of the table."""
    by = trial.by if trial.verdict is Verdict.FAILED else f"{WORDS[trial.verdict]} {trial.detail}"
    return f"{mutant.name:42} {mutant.promise:6} {trial.seconds:5.1f} s  {by}"


def attempt(shop: Workshop, mutant: Mutant) -> Trial:
    """One trial, told as soon as it is over."""
    try:
        trial = shop.trial(mutant)
    except StaleEntryError as error:
        trial = Trial(Verdict.BROKEN, 0.0, detail=str(error))
    sys.stdout.write(f"{row(mutant, trial)}\n")
    sys.stdout.flush()
    return trial


def main(arguments: Sequence[str] | None = None) -> int:
    """Try the mutants; 0 if all were killed."""
    parser = argparse.ArgumentParser("python -m tests.mutants.run", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="mutants of the catalogue; all if none is named")
    parser.add_argument("--jobs", type=int, default=min(2, os.cpu_count() or 1), help="so many at a time")
    parser.add_argument("--list", action="store_true", help="only say what each of them switches off")
    asked = parser.parse_args(arguments)
    try:
        mutants = chosen(asked.names)
    except StaleEntryError as error:
        parser.error(str(error))
    if asked.list:
        sys.stdout.writelines(f"{mutant.name:42} {mutant.promise:6} {mutant.why}\n" for mutant in mutants)
        return 0
    started = time.monotonic()
    with workshop() as shop:
        before = shop.untouched(mutants)
        if before.verdict is not Verdict.PASSED:
            sys.stdout.write(f"not even the tree as it is passes: {before.by} {before.detail}\n")
            return 1
        sys.stdout.write(f"{'mutant':42} {'':6} {'':7}  killed by\n")
        with ThreadPoolExecutor(max(1, asked.jobs)) as pool:
            trials = list(pool.map(lambda mutant: attempt(shop, mutant), mutants))
    killed = sum(trial.verdict is Verdict.FAILED for trial in trials)
    sys.stdout.write(f"mutants killed / made: {killed} / {len(trials)} in {time.monotonic() - started:.0f} s\n")
    return 0 if killed == len(trials) else 1


if __name__ == "__main__":
    sys.exit(main())
