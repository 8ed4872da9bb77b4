"""Start of the console → its first paint, beside a bare PySide6 window from the same run.

Each run is a new process; the two kinds take turns, so that what else the machine does falls on both. The clock is the
system's monotonic one: read here before the process is made, and in the process in its first paintEvent.

    python bench/console.py [--runs N] [--json]
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
GOAL = 1.3

_SAY = "import time; print(repr(time.monotonic()), flush=True)"

BARE = f"""
import sys
from PySide6.QtWidgets import QApplication, QMainWindow

class Window(QMainWindow):
    def paintEvent(self, event):
        super().paintEvent(event)
        {_SAY}
        QApplication.instance().quit()

application = QApplication(sys.argv)
window = Window()
window.resize(1366, 768)
window.show()
application.exec()
"""

OURS = f"""
import sys
from console.app import main

def painted(what):
    {_SAY}
    if what == "contents":
        from PySide6.QtWidgets import QApplication
        QApplication.instance().quit()

main(["--bridge", sys.argv[1], "--language", "ja"], painted)
"""


def paints(program: str, home: str) -> list[float]:
    """Milliseconds from before the process is made to each of its paints that it tells of."""
    env = os.environ | {"QT_QPA_PLATFORM": "offscreen", "PYTHONPATH": str(ROOT), "HOME": home, "XDG_CONFIG_HOME": home}
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", program, home], env=env, capture_output=True, text=True, timeout=60, check=True
    )
    return [(float(at) - started) * 1000 for at in done.stdout.split()]


def measure(runs: int) -> dict[str, float]:
    """Medians in milliseconds and their ratio."""
    bare, first, whole = [], [], []
    with tempfile.TemporaryDirectory() as home:
        for program in (BARE, OURS):  # files into the page cache, bytecode onto the disk
            paints(program, home)
        for _ in range(runs):
            bare.append(paints(BARE, home)[0])
            ours = paints(OURS, home)
            first.append(ours[0])
            whole.append(ours[1])
    bare_ms, first_ms, whole_ms = map(statistics.median, (bare, first, whole))
    return {
        "bare_ms": bare_ms,
        "console_ms": first_ms,
        "ratio": first_ms / bare_ms,
        "goal": GOAL,
        "whole_ms": whole_ms,
        "whole_ratio": whole_ms / bare_ms,
    }


def main() -> int:
    """Print the figures; 0 if the goal is reached."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=15)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    figures = measure(options.runs)
    if options.json:
        print(json.dumps({"console_first_paint": figures}))
    else:
        print(f"bare PySide6 window   start → first paint  {figures['bare_ms']:7.1f} ms  (median of {options.runs})")
        print(f"console               start → first paint  {figures['console_ms']:7.1f} ms")
        whole = f"({figures['whole_ratio']:.2f} × bare)"
        print(f"console, all of it    start → painted      {figures['whole_ms']:7.1f} ms  {whole}")
        print(f"console ÷ bare        {figures['ratio']:.2f}  (goal ≤ {GOAL})")
    return 0 if figures["ratio"] <= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
