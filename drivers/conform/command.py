"""`python -m drivers conform | commission`: with the simulated lot of a profile, or with the lot itself."""

import argparse
import contextlib
import logging
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Final

import msgspec

from drivers import profile
from drivers.conform.attended import Attended
from drivers.conform.cases import CASES
from drivers.conform.harness import now
from drivers.conform.identity import Identity, named
from drivers.conform.report import WORDS, Report, Result, Trial, identity_line, line, summary, trial_line
from drivers.conform.run import run
from drivers.conform.sheet import sheet
from drivers.conform.simulated import Simulated
from drivers.conform.subject import Lot, Subject, subjects
from drivers.conform.trial import singles, trials
from drivers.conform.words import renamed
from drivers.language import LANGUAGES, system_language
from parking.errors import Code, Environment

COMMISSION: Final = """
The first time on site, and after each change of wiring: asks each machine who it is, lets every exit open once (every
machine book once), asks you what moved, measures how long it took, then runs the conformance suite and writes a sheet
to sign.
Gates open and money is booked: stand where you see the exits. With --sim it is an exercise with the simulated lot.
"""
FAILED: Final = 1
INTERRUPTED: Final = 130
"""As shells say it of what was ended by Ctrl-C."""
SHEETS: Final = (".html", ".json")
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


@dataclass(slots=True)
class _Run:
    """What is tried with a lot, and what has been found so far: it is all there when a person breaks the run off."""

    arguments: argparse.Namespace
    lot_profile: profile.LotProfile
    real: bool
    planned: int = 0
    interrupted: bool = False
    identities: list[Identity] = field(default_factory=list)
    trials: list[Trial] = field(default_factory=list)
    results: list[Result] = field(default_factory=list)

    @property
    def subjects(self) -> tuple[Subject, ...]:
        """What there is to test. Raises Environment(CONFIG) if there is nothing."""
        return subjects(self.lot_profile, self.arguments.device)

    @contextlib.contextmanager
    def unless_interrupted(self) -> Iterator[None]:
        """Ctrl-C, or the end of what is typed, ends what is in here, and nothing else."""
        try:
            yield
        except KeyboardInterrupt:
            print(flush=True)
            self.interrupted = True

    def identify(self, lot: Lot) -> None:
        """Ask each machine who it is, those that only look on as well."""
        wanted = {name for subject in self.subjects for name in subject.involved}
        for device in self.lot_profile.device:
            if device.id in wanted:
                url = lot.url(device.id)
                said = named(msgspec.structs.replace(device, url=url))
                if lot.simulated:
                    said = msgspec.structs.replace(said, words=renamed(said.words, {url: device.id}))
                self.identities.append(said)
                print(identity_line(said, self.arguments.lang), flush=True)

    def try_out(self, lot: Lot, folder: Path) -> None:
        """Let every exit open once, every machine book once."""
        for subject in self.subjects:
            self._heading(subject)
            trials(subject, lot, folder, self._tried)

    def suite(self, lot: Lot, folder: Path, names: Sequence[str]) -> None:
        """Run these cases."""
        for subject in self.subjects:
            self._heading(subject)
            run(subject, lot, folder, names, self._announce if self.real else _silent, self._found)

    def report(self) -> Report:
        """What was found, as a whole."""
        table = self.lot_profile.lot
        return Report(
            lot=table.name.get(self.arguments.lang, str(table.id)),
            profile=self.arguments.profile.name,
            version=_version(),
            at=now(),
            real=self.real,
            planned=self.planned,
            interrupted=self.interrupted,
            identities=tuple(self.identities),
            trials=tuple(self.trials),
            results=tuple(self.results),
        )

    def _heading(self, subject: Subject) -> None:
        print(subject.title.of(self.arguments.lang), flush=True)

    def _tried(self, trial: Trial) -> None:
        self.trials.append(trial)
        print(trial_line(trial, self.arguments.lang), flush=True)

    def _announce(self, name: str) -> None:
        at, language = len(self.trials) + len(self.results) + 1, self.arguments.lang
        print(f"\n{at}/{self.planned} {CASES[name].title[language]}", flush=True)

    def _found(self, result: Result) -> None:
        self.results.append(result)
        print(line(result, self.arguments.lang), flush=True)


def _silent(name: str) -> None:
    del name


def conform(arguments: argparse.Namespace) -> int:
    """Run the suite; 0 if all passed, 1 if something failed, 130 if it was broken off."""
    if arguments.list:
        print("\n".join(f"{name:<14} {case.title[arguments.lang]}" for name, case in CASES.items()))
        return 0
    if arguments.profile is None:
        raise Environment(
            Code.CONFIG, "no profile named", "write --profile FILE, for example seeds/lots/bay-plates.toml"
        )
    names = arguments.only or tuple(CASES)
    found = _begun(arguments, arguments.real)
    found.planned = len(names) * len(found.subjects)
    with found.unless_interrupted(), _lot(found) as (lot, folder):
        found.suite(lot, folder, names)
    return _ended(found)


def commission(arguments: argparse.Namespace) -> int:
    """Lead through the first time on site; 0 if all was right, 1 if something was not, 130 if it was broken off."""
    found = _begun(arguments, not arguments.sim)
    names = () if arguments.quick else tuple(CASES)
    found.planned = sum(len(singles(subject)) + len(names) for subject in found.subjects)
    with found.unless_interrupted(), _lot(found) as (lot, folder):
        print(WORDS[arguments.lang]["identities"], flush=True)
        found.identify(lot)
        found.try_out(lot, folder)
        if not all(one.right for one in found.trials):
            print(STOP[arguments.lang])
        elif names:
            found.suite(lot, folder, names)
    return _ended(found)


def _begun(arguments: argparse.Namespace, real: bool) -> _Run:
    """Nothing is started for a sheet that cannot be written, or a device that is not there. Raises Environment."""
    if arguments.report is not None:
        _writable(arguments.report)
    found = _Run(arguments, profile.load(arguments.profile), real)
    _ = found.subjects
    if real and not sys.stdin.isatty():
        raise Environment(Code.CONFIG, "the machines need a person at this window", "run it in a terminal")
    return found


def _ended(found: _Run) -> int:
    report, arguments = found.report(), found.arguments
    if arguments.report is not None:
        _write(arguments.report, report, arguments.lang)
    print(summary(report, arguments.lang))
    if report.interrupted:
        return INTERRUPTED
    return 0 if report.passed else FAILED


@contextlib.contextmanager
def _lot(found: _Run) -> Iterator[tuple[Lot, Path]]:
    """The lot of the profile: the real one with a person at this window, or a simulated one. Raises Environment."""
    logging.getLogger("drivers").addHandler(logging.NullHandler())  # what goes wrong on the line is what is wanted
    with tempfile.TemporaryDirectory(prefix="daiko-conform-") as name:
        folder = Path(name)
        if found.real:
            yield Attended(found.lot_profile, _typed, found.arguments.lang), folder
            return
        lot = Simulated(found.arguments.profile, folder)
        try:
            yield lot, folder
        finally:
            lot.close()


def _typed(text: str) -> str:
    try:
        return input(text)
    except EOFError:  # Ctrl-D, or the window is gone: nobody will answer any more
        raise KeyboardInterrupt from None


def _writable(path: Path) -> None:
    """Raises Environment(CONFIG) if no sheet can be written there; leaves what is there as it is."""
    if path.suffix.lower() not in SHEETS:
        raise Environment(Code.CONFIG, f"{path}: not a sheet", f"let its name end with {' or '.join(SHEETS)}")
    there = path.exists()
    try:
        path.open("ab").close()
        if not there:
            path.unlink()
    except OSError as error:
        raise _not_written(path, error) from error


def _write(path: Path, report: Report, language: str) -> None:
    as_json = path.suffix.lower() == ".json"
    data = msgspec.json.format(msgspec.json.encode(report)) if as_json else sheet(report, language).encode()
    try:
        path.write_bytes(data)
    except OSError as error:
        raise _not_written(path, error) from error
    print(WORDS[language]["written"].format(path=path))


def _not_written(path: Path, error: OSError) -> Environment:
    return Environment(Code.CONFIG, f"{path}: {error.strerror}", "name a file that can be written")


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
