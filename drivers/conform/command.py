"""`python -m drivers conform`: the suite, with the simulated lot of a profile or with the lot itself."""

import argparse
import contextlib
import logging
import sys
import tempfile
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Final

import msgspec

from drivers import profile
from drivers.conform.attended import Attended
from drivers.conform.cases import CASES
from drivers.conform.harness import now
from drivers.conform.report import Report, Result, line, sheet, summary
from drivers.conform.run import run
from drivers.conform.simulated import Simulated
from drivers.conform.subject import Lot, subjects
from parking.errors import Code, Environment

FAILED: Final = 1
DESCRIPTION: Final = """
Try a driver with everything that goes wrong at a machine: lost and doubled words, garbage, silence, restarts, a bridge
that is killed, customers who change their mind. At most one release or credit for each payment must come of it, and
nothing may be claimed that the machine does not show.

Without --real the lot of the profile is simulated and nothing of yours is touched. With --real the machines at the
profile's addresses act: gates open and money is booked. You are told what to do and asked what moved.
"""


def conform(arguments: argparse.Namespace) -> int:
    """Run the suite; 0 if all passed, 1 if something failed."""
    language = arguments.lang
    if arguments.list:
        print("\n".join(f"{name:<14} {case.title[language]}" for name, case in CASES.items()))
        return 0
    if arguments.profile is None:
        raise Environment(
            Code.CONFIG, "no profile named", "write --profile FILE, for example seeds/lots/bay-plates.toml"
        )
    logging.getLogger("drivers").addHandler(logging.NullHandler())  # what goes wrong on the line is what is wanted
    lot_profile = profile.load(arguments.profile)
    chosen = subjects(lot_profile, arguments.device)
    results: list[Result] = []

    def tell(result: Result) -> None:
        results.append(result)
        print(line(result, language), flush=True)

    with _lot(arguments, lot_profile) as (lot, folder):
        for subject in chosen:
            print(subject.title, flush=True)
            run(subject, lot, folder, arguments.only or tuple(CASES), tell)
    report = Report(
        lot=lot_profile.lot.name.get(language, str(lot_profile.lot.id)),
        profile=arguments.profile.name,
        version=metadata.version("daiko") if _installed() else "",
        at=now(),
        real=arguments.real,
        results=tuple(results),
    )
    if arguments.report is not None:
        _write(arguments.report, report, language)
    print(summary(report, language))
    return 0 if report.passed else FAILED


@contextlib.contextmanager
def _lot(arguments: argparse.Namespace, lot_profile: profile.LotProfile) -> Iterator[tuple[Lot, Path]]:
    with tempfile.TemporaryDirectory(prefix="daiko-conform-") as name:
        folder = Path(name)
        if arguments.real:
            if not sys.stdin.isatty():
                raise Environment(Code.CONFIG, "--real needs a person at this window", "run it in a terminal")
            yield Attended(lot_profile, input, arguments.lang), folder
            return
        lot = Simulated(arguments.profile, folder)
        try:
            yield lot, folder
        finally:
            lot.close()


def _write(path: Path, report: Report, language: str) -> None:
    as_json = path.suffix == ".json"
    data = msgspec.json.format(msgspec.json.encode(report)) if as_json else sheet(report, language).encode()
    try:
        path.write_bytes(data)
    except OSError as error:
        raise Environment(Code.CONFIG, f"{path}: {error.strerror}", "name a file that can be written") from error
    print(f"{path} written")


def _installed() -> bool:
    with contextlib.suppress(metadata.PackageNotFoundError):
        return bool(metadata.version("daiko"))
    return False


def add(command: argparse.ArgumentParser) -> None:
    """The command's options."""
    command.add_argument("--profile", type=Path, metavar="FILE", help="a lot profile, like seeds/lots/bay-plates.toml")
    command.add_argument("--device", default="", metavar="ID", help="only this device of it")
    command.add_argument(
        "--only", action="append", choices=tuple(CASES), metavar="CASE", help="only this case; repeatable"
    )
    command.add_argument("--list", action="store_true", help="list the cases")
    command.add_argument("--real", action="store_true", help="with the machines themselves, and you beside them")
    command.add_argument("--report", type=Path, metavar="FILE", help="write a sheet to sign (.html), or .json")
    command.add_argument("--lang", choices=("ja", "en"), default="en", help="of questions and sheet (default en)")
    command.set_defaults(run=conform)
