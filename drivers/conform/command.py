"""`python -m drivers conform | commission`: with the simulated lot of a profile, or with the lot itself."""

import argparse
import contextlib
import logging
import sys
import tempfile
from collections.abc import Iterator, Sequence
from importlib import metadata
from pathlib import Path
from typing import Final

import msgspec

from drivers import profile
from drivers.conform.attended import Attended
from drivers.conform.cases import CASES
from drivers.conform.harness import now
from drivers.conform.report import Report, Result, Trial, line, sheet, summary, trial_line
from drivers.conform.run import run
from drivers.conform.simulated import Simulated
from drivers.conform.subject import Lot, subjects
from drivers.conform.trial import trials
from drivers.language import LANGUAGES, system_language
from parking.errors import Code, Environment

COMMISSION: Final = """
The first time on site, and after each change of wiring: reads each machine, lets every exit open once (every machine
book once), asks you what moved, measures how long it took, then runs the conformance suite and writes a sheet to sign.
Gates open and money is booked: stand where you see the exits. With --sim it is an exercise with the simulated lot.
"""
FAILED: Final = 1
STOP: Final = {
    "ja": "想定どおりに動かなかったため、適合試験は行いません。配線とチャンネル番号を確かめてください。",
    "en": "Something did not move as it should: the conformance suite is not run. Check wiring and channels.",
}
CONFORM: Final = """
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
    with _lot(arguments, arguments.real) as (lot_profile, lot, folder):
        found = _suite(lot_profile, lot, folder, arguments, arguments.only or tuple(CASES))
    return _ended(arguments, _report(lot_profile, arguments, arguments.real, results=found))


def commission(arguments: argparse.Namespace) -> int:
    """Lead through the first time on site; 0 if all was right, 1 if something was not."""
    with _lot(arguments, not arguments.sim) as (lot_profile, lot, folder):
        tried: list[Trial] = []
        for subject in subjects(lot_profile, arguments.device):
            print(subject.title, flush=True)
            tried += trials(subject, lot, folder, lambda trial: print(trial_line(trial, arguments.lang), flush=True))
        wrong = not all(one.right for one in tried)
        if wrong:
            print(STOP[arguments.lang])
        found = () if wrong or arguments.quick else _suite(lot_profile, lot, folder, arguments, tuple(CASES))
    return _ended(arguments, _report(lot_profile, arguments, not arguments.sim, results=found, trials=tuple(tried)))


def _suite(
    lot_profile: profile.LotProfile, lot: Lot, folder: Path, arguments: argparse.Namespace, names: Sequence[str]
) -> tuple[Result, ...]:
    found: list[Result] = []
    for subject in subjects(lot_profile, arguments.device):
        print(subject.title, flush=True)
        found += run(subject, lot, folder, names, lambda result: print(line(result, arguments.lang), flush=True))
    return tuple(found)


def _report(
    lot_profile: profile.LotProfile,
    arguments: argparse.Namespace,
    real: bool,
    results: tuple[Result, ...] = (),
    trials: tuple[Trial, ...] = (),
) -> Report:
    lot = lot_profile.lot
    return Report(
        lot=lot.name.get(arguments.lang, str(lot.id)),
        profile=arguments.profile.name,
        version=_version(),
        at=now(),
        real=real,
        results=results,
        trials=trials,
    )


def _ended(arguments: argparse.Namespace, report: Report) -> int:
    if arguments.report is not None:
        _write(arguments.report, report, arguments.lang)
    print(summary(report, arguments.lang))
    return 0 if report.passed else FAILED


@contextlib.contextmanager
def _lot(arguments: argparse.Namespace, real: bool) -> Iterator[tuple[profile.LotProfile, Lot, Path]]:
    """The lot of the profile: the real one with a person at this window, or a simulated one. Raises Environment."""
    logging.getLogger("drivers").addHandler(logging.NullHandler())  # what goes wrong on the line is what is wanted
    lot_profile = profile.load(arguments.profile)
    subjects(lot_profile, arguments.device)  # nothing is started for a device that is not there
    with tempfile.TemporaryDirectory(prefix="daiko-conform-") as name:
        folder = Path(name)
        if real:
            if not sys.stdin.isatty():
                raise Environment(Code.CONFIG, "the machines need a person at this window", "run it in a terminal")
            yield lot_profile, Attended(lot_profile, input, arguments.lang), folder
            return
        lot = Simulated(arguments.profile, folder)
        try:
            yield lot_profile, lot, folder
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


def _version() -> str:
    with contextlib.suppress(metadata.PackageNotFoundError):
        return metadata.version("daiko")
    return ""


def add_conform(command: argparse.ArgumentParser) -> None:
    """The options of `conform`."""
    command.add_argument("--profile", type=Path, metavar="FILE", help="a lot profile, like seeds/lots/bay-plates.toml")
    command.add_argument(
        "--only", action="append", choices=tuple(CASES), metavar="CASE", help="only this case; repeatable"
    )
    command.add_argument("--list", action="store_true", help="list the cases")
    command.add_argument("--real", action="store_true", help="with the machines themselves, and you beside them")
    _add_common(command)
    command.set_defaults(run=conform)


def add_commission(command: argparse.ArgumentParser) -> None:
    """The options of `commission`."""
    command.add_argument("--profile", type=Path, metavar="FILE", required=True, help="the profile of this lot")
    command.add_argument("--sim", action="store_true", help="practise it with the simulated lot")
    command.add_argument("--quick", action="store_true", help="without the conformance suite")
    _add_common(command)
    command.set_defaults(run=commission)


def _add_common(command: argparse.ArgumentParser) -> None:
    command.add_argument("--device", default="", metavar="ID", help="only this device of it")
    command.add_argument("--report", type=Path, metavar="FILE", help="write a sheet to sign (.html), or .json")
    spoken = system_language()
    command.add_argument("--lang", choices=LANGUAGES, default=spoken, help=f"of questions and sheet ({spoken})")
