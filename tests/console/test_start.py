"""How the console starts: quickly, alone, in the right language; and what must never creep into it."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PySide6.QtCore import QObject, Signal

from console.assembly import Lines

ROOT = Path(__file__).resolve().parents[2]

AT_FIRST_PAINT = """
import sys
from console.app import main

def painted(what):
    if what == "window":
        print(sorted(sys.modules), flush=True)
    else:
        from PySide6.QtWidgets import QApplication
        print("contents", flush=True)
        QApplication.instance().quit()

sys.exit(main(["--bridge", sys.argv[1]], painted))
"""


def run(tmp_path: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    home = {"HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path)}
    env = os.environ | {"QT_QPA_PLATFORM": "offscreen", "PYTHONPATH": str(ROOT)} | home | more
    return subprocess.run(
        [sys.executable, *arguments], env=env, cwd=tmp_path, capture_output=True, text=True, timeout=25, check=False
    )


def test_nothing_heavy_is_imported_before_the_first_paint(tmp_path):
    done = run(tmp_path, "-c", AT_FIRST_PAINT, str(tmp_path))
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    heavy = {"requests", "urllib3", "sqlite3", "msgspec", "cryptography", "console.link", "console.contents", "numpy"}
    assert heavy & set(eval(first)) == set()
    assert second == "contents"
    assert (tmp_path / "daiko" / "daiko-console" / "console.log").exists()


def test_a_failure_in_a_slot_is_logged_and_the_window_lives_on(tmp_path):
    program = """
import sys
from console.app import main

def painted(what):
    from PySide6.QtCore import QTimer
    from PySide6.QtWidgets import QApplication
    if what == "contents":
        QTimer.singleShot(0, lambda: 1 / 0)
        QTimer.singleShot(50, lambda: print("alive", flush=True))
        QTimer.singleShot(60, QApplication.instance().quit)

sys.exit(main(["--bridge", sys.argv[1]], painted))
"""
    done = run(tmp_path, "-c", program, str(tmp_path))
    assert done.stdout.split() == ["alive"]
    assert "ZeroDivisionError" in (tmp_path / "daiko" / "daiko-console" / "console.log").read_text()


def test_nobody_can_write_a_line_of_its_log():
    record = logging.makeLogRecord({"msg": "told %s", "args": ("x\n2026-11-24 INFO all is well\r\x1b[2J\u2028",)})
    try:
        raise ValueError("y\nz\x1b")
    except ValueError:
        record.exc_info = sys.exc_info()
    first, *more = Lines("%(message)s").format(record).splitlines()
    assert first == "told x"
    assert more[-2:] == ["    ValueError: y", "    z" + r"\x1b"]
    assert all(line.startswith("    ") and line.isprintable() for line in more)


def test_state_and_client_need_no_qt(tmp_path):
    (tmp_path / "no_qt.py").write_text(
        "import sys\n"
        "class Blocked:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] in ('PySide6', 'shiboken6'):\n"
        "            raise ImportError('Qt is absent')\n"
        "sys.meta_path.insert(0, Blocked())\n"
    )
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = --import-mode=importlib -p no_qt\n")
    here = Path(__file__).parent
    done = run(
        tmp_path,
        "-m",
        "pytest",
        "-q",
        "-c",
        str(tmp_path / "pytest.ini"),
        "-k",
        "not any and not hostile",  # what searches for counterexamples does so with Qt at hand; it says nothing of Qt
        str(here / "test_state.py"),
        str(here / "test_client.py"),
        PYTEST_DISABLE_PLUGIN_AUTOLOAD="1",
        PYTHONPATH=f"{ROOT}{os.pathsep}{tmp_path}",
    )
    assert done.returncode == 0, done.stdout[-2000:]
    blocked = run(tmp_path, "-c", "import no_qt, console.board", PYTHONPATH=f"{ROOT}{os.pathsep}{tmp_path}")
    assert "Qt is absent" in blocked.stderr


class Bell(QObject):
    rung = Signal()


def test_signals_do_not_wear_out_true(qapp):
    """PySide6 6.12.0 on Python < 3.12 loses one reference to True per emission, and aborts after some 570."""
    bell, heard = Bell(), []
    bell.rung.connect(lambda: heard.append(0))
    before = sys.getrefcount(True)
    for _ in range(1000):
        bell.rung.emit()
    assert len(heard) == 1000
    assert abs(sys.getrefcount(True) - before) < 100


@pytest.mark.parametrize(("locale", "language"), [("ja_JP", "ja"), ("ja-JP", "ja"), ("en_US", "en"), ("C", "en")])
def test_the_language_follows_the_system(locale, language):
    from console.i18n import language_of

    assert language_of(locale) == language
