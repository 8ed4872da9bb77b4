"""Tries mutants: copies the tree, switches one rule off in the copy, and has the named tests run there.

A mutant is killed if a test of its entry *fails*: it ran, and what it saw or got was wrong. A tree that cannot be
imported, a fixture that cannot be made or a name that is not there proves nothing about the rule; that is a broken
entry.
"""

import compileall
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

from tests.mutants.catalogue import ROOT, Mutant

LEFT_OUT: Final = shutil.ignore_patterns(".*", "build", "__pycache__", "node_modules")
PRODUCT: Final = ("parking", "drivers", "bridge", "cloud", "console", "simulation", "demo")
SECONDS: Final = 180
"""A tree whose tests take longer hangs."""

PYTEST: Final = (
    *("-q", "-x", "-p", "no:cacheprovider"),
    *("-p", "pytest_timeout", "-p", "pytestqt.plugin"),  # those that our settings name; order stays that of the files
)
_STUMBLED: Final = re.compile(
    r"(AttributeError|ImportError|ModuleNotFoundError|NameError|SyntaxError|TypeError|UnboundLocalError)\b"
    r"|Failed: Timeout"
)
"""A defect of the entry rather than a rule that is off; a test that is not done in time says nothing either way."""
_FOREIGN: Final = re.compile(r"PYTEST|DAIKO|HYPOTHESIS|PYTHONDONTWRITEBYTECODE")


class Verdict(StrEnum):
    """What came of a trial."""

    PASSED = "passed"
    """All tests are green: of a mutant this means that it survived."""
    FAILED = "failed"
    """A test is red: of a mutant this means that it was killed."""
    BROKEN = "broken"
    """The tests could not be run, or stumbled over something else than a promise."""


@dataclass(frozen=True, slots=True)
class Trial:
    """`by` is the test that failed, `detail` why in its words, or the end of the output."""

    verdict: Verdict
    seconds: float
    by: str = ""
    detail: str = ""


class Workshop:
    """A folder with one untouched copy of the tree; mutants get copies of that one. Thread-safe."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._base = folder / "base"
        shutil.copytree(ROOT, self._base, ignore=LEFT_OUT)
        for package in PRODUCT:
            compileall.compile_dir(self._base / package, quiet=1)  # once, not in each copy

    def untouched(self, mutants: Sequence[Mutant]) -> Trial:
        """Run the tests of all these mutants on the tree as it is; they have to pass."""
        return _run(self._base, sorted({test for mutant in mutants for test in mutant.killed_by}), len(mutants))

    def trial(self, mutant: Mutant) -> Trial:
        """Switch one rule off and run its tests. Raises StaleEntryError."""
        tree = Path(tempfile.mkdtemp(prefix=f"{mutant.name}-", dir=self._folder)) / "tree"
        try:
            shutil.copytree(self._base, tree)
            file = tree / mutant.file
            harmed = mutant.harm(file.read_text("utf-8"))
            file.unlink()
            file.write_text(harmed, "utf-8")
            for stale in (file.parent / "__pycache__").glob(f"{file.stem}.*"):
                stale.unlink()
            return _run(tree, mutant.killed_by)
        finally:
            shutil.rmtree(tree.parent, ignore_errors=True)


@contextmanager
def workshop() -> Iterator[Workshop]:
    """A workshop in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="daiko-mutants-", ignore_cleanup_errors=True) as name:
        yield Workshop(Path(name))


def _run(tree: Path, tests: Sequence[str], shares: int = 1) -> Trial:
    """Run tests in a process of their own; `shares`: how many times the usual time they may take."""
    report = tree.parent / f"{tree.name}.xml"
    places = (f"--junit-xml={report}", f"--basetemp={tree.parent / f'{tree.name}.tmp'}")
    env = {name: value for name, value in os.environ.items() if not _FOREIGN.match(name)}
    env |= {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONUTF8": "1"}
    command = [sys.executable, "-m", "pytest", *PYTEST, *places, *tests]
    started = time.monotonic()
    try:
        done = subprocess.run(
            command,
            cwd=tree,
            env=env,
            timeout=SECONDS * shares,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Trial(Verdict.BROKEN, time.monotonic() - started, detail="the tests hang")
    took = time.monotonic() - started
    output = (done.stdout + done.stderr).decode(errors="replace")
    if done.returncode == 0:
        return Trial(Verdict.PASSED, took)
    if done.returncode != 1:
        return Trial(Verdict.BROKEN, took, detail=f"pytest ended with {done.returncode}: {output[-2000:]}")
    by, said = _failure(report)
    if not by or _STUMBLED.match(said):
        return Trial(Verdict.BROKEN, took, by, said or output[-2000:])
    return Trial(Verdict.FAILED, took, by, said)


def _failure(report: Path) -> tuple[str, str]:
    """The first test that failed, and its words; empty if none did, say because only a fixture stumbled."""
    for case in ElementTree.parse(report).getroot().iter("testcase"):
        failure = case.find("failure")
        if failure is not None:
            return str(case.get("name")), str(failure.get("message")).strip()
    return "", ""
