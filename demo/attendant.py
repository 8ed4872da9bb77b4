"""Starts the console as a process and tells its pilot what to do."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from demo.program import ROOT, Trouble


class Attendant:
    """One console window, worked by `demo.console_pilot`."""

    def __init__(self, bridge_data: Path, log: Path, *, visible: bool, actor: str, language: str = "ja") -> None:
        """Start it; without a display Qt renders offscreen."""
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1"}
        if not visible:
            environment["QT_QPA_PLATFORM"] = "offscreen"
        environment["XDG_DATA_HOME"] = str(log.parent)
        environment["XDG_CONFIG_HOME"] = str(log.parent)
        self._log = log
        with log.open("a", encoding="utf-8") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "demo.console_pilot", "--bridge", str(bridge_data), "--language", language]
                + (["--actor", actor] if actor else []),
                cwd=ROOT,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )

    def tell(self, do: str, **what: Any) -> dict[str, Any]:
        """Have one thing done; raise Trouble if it could not be."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"do": do, **what}) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        if not line:
            raise Trouble(f"the console ended while doing {do!r}; its log: {self._log}")
        said: dict[str, Any] = json.loads(line)
        if "error" in said:
            raise Trouble(f"the console could not do {do!r}: {said['error']}")
        return said

    def close(self) -> None:
        """Close the window; kill the process if it does not end."""
        if self._process.poll() is None:
            try:
                self.tell("quit")
                self._process.wait(10)
            except (Trouble, OSError, subprocess.TimeoutExpired):
                self._process.kill()
                self._process.wait(10)
