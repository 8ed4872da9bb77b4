"""Programs that are not ours, from PyPI, each in an environment of its own: two of them may go by the same name.

They are kept in `.tools/peers` of the clone, so that they are fetched once.
"""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

PEERS = Path(__file__).resolve().parents[2] / ".tools" / "peers"
INSTALL = ("install", "--no-input", "--disable-pip-version-check", "--only-binary", ":all:", "--quiet")


def python_with(requirement: str) -> str:
    """The Python of an environment that has `requirement` (name==version) and nothing else.

    Where it cannot be fetched the test is skipped, and fails where CI says that it runs.
    """
    folder = PEERS / requirement.replace("==", "-")
    folder.mkdir(parents=True, exist_ok=True)
    python = folder / "bin" / "python"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests run side by side
        if not (folder / "ready").exists():
            _make(folder, python, requirement)
            (folder / "ready").touch()
    return str(python)


def _make(folder: Path, python: Path, requirement: str) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True, timeout=60)
    install = [sys.executable, "-m", "pip", "--python", str(python), *INSTALL, requirement]
    try:
        done = subprocess.run(install, capture_output=True, text=True, timeout=120, check=False)
        trouble = done.stderr.strip()[-300:] if done.returncode else ""
    except subprocess.TimeoutExpired:
        trouble = "not in time"
    if trouble:
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"pip cannot install {requirement}: {trouble}")
