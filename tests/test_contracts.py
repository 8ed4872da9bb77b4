"""Each import contract of pyproject.toml catches the violation that it is there for."""

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
CONTRACTS = {contract["id"]: contract for contract in PROJECT["tool"]["importlinter"]["contracts"]}
PACKAGES = PROJECT["tool"]["importlinter"]["root_packages"]
LINT = Path(sys.executable).with_name("lint-imports.exe" if sys.platform == "win32" else "lint-imports")

VIOLATIONS = {
    "layers": [
        ("drivers/base.py", "import bridge.config"),
        ("bridge/config.py", "import cloud.config"),
        ("bridge/app.py", "import simulation.world"),
    ],
    "wire-only": [("console/client.py", "import drivers.base"), ("cloud/lots.py", "import drivers.profile")],
    "one-door": [("drivers/modbus_io/driver.py", "import serial"), ("bridge/config.py", "from serial import Serial")],
    "hid-door": [("drivers/usb_relay/links.py", "import hidraw"), ("bridge/config.py", "import hid")],
    "extra-databases": [
        ("drivers/host_link/driver.py", "import psycopg"),
        ("bridge/app.py", "from firebird.driver import connect"),
    ],
    "pure-kernel": [("parking/stay.py", "import time"), ("parking/wire.py", "from pathlib import Path")],
    "pure-decisions": [
        ("drivers/modbus_io/codec.py", "import time"),
        ("drivers/framing.py", "import socket"),
        ("drivers/host_link/files.py", "import time"),
        ("bridge/relay.py", "import threading"),
        ("cloud/tariff.py", "import sqlite3"),
        ("cloud/checkout.py", "import asyncio"),
        ("console/state.py", "import requests"),
        ("console/connecting.py", "import subprocess"),
    ],
    "no-sims": [
        ("bridge/app.py", "import drivers.host_link.sim"),
        ("drivers/registry.py", "import drivers.simlot.world"),
        ("drivers/modbus_io/driver.py", "from drivers.modbus_io import sim"),
    ],
    "families": [("drivers/host_link/driver.py", "import drivers.modbus_io.codec")],
    "blind-checker": [
        ("simulation/checker.py", "import bridge.relay"),
        ("simulation/history.py", "import parking.stay"),
    ],
    "qt-in-console": [("bridge/app.py", "from PySide6 import QtCore"), ("drivers/base.py", "import PySide6")],
    "qt-free-core": [
        ("console/client.py", "import PySide6.QtCore"),
        ("console/state.py", "import console.main_window"),
        ("console/connecting.py", "import console.workbench"),
    ],
}
CASES = [(name, file, line) for name, planted in VIOLATIONS.items() for file, line in planted]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the packages and of the contracts, without caches."""
    copy = tmp_path_factory.mktemp("tree")
    shutil.copy(ROOT / "pyproject.toml", copy)
    for package in PACKAGES:
        shutil.copytree(ROOT / package, copy / package, ignore=shutil.ignore_patterns("__pycache__"))
    return copy


def lint(tree: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run lint-imports as `dev.py check` does."""
    return subprocess.run(
        [LINT, "--no-cache", *options],
        cwd=tree,
        env=os.environ | {"PYTHONUTF8": "1"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )


def test_the_contracts_hold(tree: Path) -> None:
    done = lint(tree)
    assert done.returncode == 0, done.stdout
    assert f"Contracts: {len(CONTRACTS)} kept, 0 broken." in done.stdout


def test_every_contract_is_tried() -> None:
    assert VIOLATIONS.keys() == CONTRACTS.keys()


@pytest.mark.parametrize(("contract", "file", "line"), CASES, ids=lambda value: str(value))
def test_a_planted_violation_breaks_its_contract(tree: Path, contract: str, file: str, line: str) -> None:
    path = tree / file
    clean = path.read_text(encoding="utf-8")
    path.write_text(f"{clean}\n\n{line}\n", encoding="utf-8")
    try:
        done = lint(tree, "--contract", contract)
    finally:
        path.write_text(clean, encoding="utf-8")
    assert done.returncode == 1
    assert f"{CONTRACTS[contract]['name']} BROKEN" in done.stdout


def test_every_family_and_simulator_is_under_contract() -> None:
    families = {f"drivers.{folder.parent.name}" for folder in (ROOT / "drivers").glob("*/driver.py")}
    assert set(CONTRACTS["families"]["modules"]) == families
    simulators = {f"drivers.{file.stem}" for file in (ROOT / "drivers").glob("sim*")}
    assert set(CONTRACTS["no-sims"]["forbidden_modules"]) == simulators | {"drivers.*.sim"}
