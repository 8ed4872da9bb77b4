"""Each rule, switched off in a copy of the tree, turns a test red; `python -m tests.mutants.run` tries all of them."""

import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.mutants.catalogue import ROOT, Mutant, StaleEntryError, read
from tests.mutants.trial import Verdict, Workshop, workshop
from tests.rigs.figures import FULL, SEED, count, size

MUTANTS = read()
QUICK = [mutant for mutant in MUTANTS if not mutant.slow]
SLICE = 10
TRIED = list(MUTANTS) if FULL else random.Random(SEED).sample(QUICK, SLICE)

pytestmark = pytest.mark.timeout(size(240, 1800))


@pytest.fixture(scope="module")
def plain() -> Iterator[Workshop]:
    with workshop() as made:
        yield made


@pytest.fixture(scope="module")
def shop(plain: Workshop) -> Workshop:
    """The tests of all that is tried pass as long as nothing is switched off."""
    before = plain.untouched(TRIED)
    assert before.verdict is Verdict.PASSED, f"{before.by} {before.detail}"
    return plain


@pytest.mark.parametrize("mutant", TRIED, ids=lambda mutant: mutant.name)
def test_a_rule_that_is_switched_off_is_missed(shop: Workshop, mutant: Mutant) -> None:
    trial = shop.trial(mutant)
    assert trial.verdict is Verdict.FAILED, f"{mutant.why}\n{trial.verdict}: {trial.by} {trial.detail}"
    count("mutants killed")


# --- the catalogue fits the source ------------------------------------------------------------------------------------


def test_every_entry_stands_once_in_the_source_and_is_still_python_that_knows_its_names(tmp_path: Path) -> None:
    for mutant in MUTANTS:
        harmed = mutant.harm((ROOT / mutant.file).read_text("utf-8"))
        (tmp_path / f"{mutant.name.replace('-', '_')}.py").write_text(harmed, "utf-8")
    names = [
        sys.executable,
        "-m",
        "ruff",
        "check",
        "--isolated",
        "--select",
        "F821,F823,F706",
        "--output-format",
        "concise",
    ]
    found = subprocess.run([*names, str(tmp_path)], capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr


def test_every_test_that_an_entry_names_is_there() -> None:
    named = {test for mutant in MUTANTS for test in mutant.killed_by}
    missing = {test for test in named if not _is_there(test)}
    assert missing == set()


def _is_there(test: str) -> bool:
    """Whether each part of a node id stands in its file."""
    file, *names = test.split("::")
    path = ROOT / file
    text = path.read_text("utf-8") if path.is_file() else ""
    *classes, function = names
    return f"def {function}(" in text and all(f"class {name}" in text for name in classes)


def test_each_promise_has_its_mutants() -> None:
    having = {mutant.promise for mutant in MUTANTS}
    assert having >= {f"P{number}" for number in range(1, 12)}
    assert len(MUTANTS) >= 40


def test_an_entry_that_no_longer_fits_is_an_error() -> None:
    mutant = MUTANTS[0]
    source = (ROOT / mutant.file).read_text("utf-8")
    with pytest.raises(StaleEntryError, match="0 times"):
        mutant.harm(source.replace(mutant.before, ""))
    with pytest.raises(StaleEntryError, match="2 times"):
        mutant.harm(source + mutant.before)


def test_a_name_that_is_not_there_is_told() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.mutants.run", "nonsense"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "no such mutant: nonsense" in done.stderr


# --- what counts as killed --------------------------------------------------------------------------------------------

SIGNATURE = "tests/parking/test_signing.py::test_payload_and_domain_cannot_be_shifted_into_each_other"


def harmless(**changes: str) -> Mutant:
    entry = {"file": "parking/signing.py", "before": "SIGNATURE_BYTES = 64", "after": "SIGNATURE_BYTES = 32 * 2"}
    return Mutant(name="x", promise="P7", why="-", killed_by=(SIGNATURE,), **(entry | changes))


@pytest.mark.parametrize(
    ("mutant", "verdict"),
    [
        pytest.param(harmless(), Verdict.PASSED, id="nothing changed"),
        pytest.param(harmless(after="SIGNATURE_BYTES = 64 +"), Verdict.BROKEN, id="no Python"),
        pytest.param(harmless(after="import nothing_of_the_kind"), Verdict.BROKEN, id="cannot be imported"),
        pytest.param(
            harmless(before='self.private.sign(domain + b"\\0" + payload)', after="self.privy.sign(b'')"),
            Verdict.BROKEN,
            id="a defect, not a rule",
        ),
    ],
)
def test_what_proves_nothing_about_a_rule_kills_nothing(plain: Workshop, mutant: Mutant, verdict: Verdict) -> None:
    assert plain.trial(mutant).verdict is verdict
