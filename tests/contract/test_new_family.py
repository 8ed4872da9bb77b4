"""The walk of docs/adding-a-driver.md, as it stands there: a skeleton that fails, and a small family that passes."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "adding-a-driver.md").read_text()
CASES = ("normal", "lost-request", "lost-reply", "garbage", "killed", "cash-race", "unreachable")


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    """As much of this checkout as the walk needs."""
    root = tmp_path_factory.mktemp("checkout")
    ignore = shutil.ignore_patterns("__pycache__")
    for folder in ("drivers", "parking", "seeds", "tests"):
        shutil.copytree(ROOT / folder, root / folder, ignore=ignore)
    shutil.copy(ROOT / "pyproject.toml", root)
    return root


def run(checkout, *words):
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COV"))}
    return subprocess.run(
        [sys.executable, "-m", *words], cwd=checkout, env=environment, capture_output=True, text=True, timeout=100
    )


def conform(checkout):
    only = [word for case in CASES for word in ("--only", case)]
    return run(checkout, "drivers", "conform", "--profile", "seeds/lots/gate-box.toml", "--device", "exit", *only)


def linted(checkout):
    ruff = Path(sys.executable).with_name("ruff")
    for words in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [ruff, *words, "-q", "drivers"], cwd=checkout, capture_output=True, text=True, timeout=30, check=False
        )
        assert done.returncode == 0, done.stdout


@pytest.mark.timeout(120)
def test_the_walk_of_the_guide_leads_from_a_failing_skeleton_to_a_conforming_family(checkout):
    written = run(checkout, "drivers", "new", "gate_box")
    assert written.returncode == 0, written.stderr
    assert "drivers/gate_box/driver.py written" in written.stdout
    linted(checkout)
    skeleton = conform(checkout)
    assert skeleton.returncode != 0
    assert "NotImplementedError" in skeleton.stderr

    blocks = dict(re.findall(r"```python (drivers/gate_box/\w+\.py)\n(.*?)```", GUIDE, re.DOTALL))
    assert set(blocks) == {f"drivers/gate_box/{name}.py" for name in ("codec", "driver", "sim")}
    for path, text in blocks.items():
        (checkout / path).write_text(text)
    lot = checkout / "seeds" / "lots" / "gate-box.toml"
    lot.write_text(lot.read_text().replace('done_when = "sent"', 'done_when = "physically_observed"'))
    family = conform(checkout)
    assert family.returncode == 0, family.stdout + family.stderr
    assert f"passed {len(CASES)}, FAILED 0" in family.stdout
    linted(checkout)


@pytest.mark.parametrize("name", ["GateBox", "gate-box", "1gate", "gate_", "../gate"])
def test_a_bad_name_is_refused_with_a_better_one(checkout, name):
    done = run(checkout, "drivers", "new", name)
    assert done.returncode == 2
    assert "like gate_box" in done.stderr


def test_nothing_that_is_there_is_overwritten(checkout):
    before = (checkout / "drivers" / "registry.py").read_text()
    done = run(checkout, "drivers", "new", "modbus_io")
    assert (done.returncode, (checkout / "drivers" / "registry.py").read_text()) == (2, before)
    assert "there already" in done.stderr


def test_elsewhere_than_in_a_checkout_nothing_is_written(checkout, tmp_path):
    done = run(checkout, "drivers", "new", "gate_two", "--root", str(tmp_path))
    assert done.returncode == 2
    assert list(tmp_path.iterdir()) == []
