"""One program as a process: started, awaited, stopped or killed, with its output in a log file."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

ROOT = Path(__file__).resolve().parent.parent

STOPS: Final = 20.0
"""Seconds for which a program may go on stopping: the cloud alone lets a request under way have ten."""

T = TypeVar("T")


class Trouble(Exception):
    """A program did not do what the demo needs; the message says which, and where its log is."""


def wait_for(what: str, check: Callable[[], T | None], seconds: float = 20.0, every: float = 0.02) -> T:
    """Return the first true answer of `check`; raise Trouble after `seconds`."""
    end = time.monotonic() + seconds
    while True:
        answer = check()
        if answer:
            return answer
        if time.monotonic() > end:
            raise Trouble(f"waited {seconds:.0f} s in vain for: {what}")
        time.sleep(every)


def run_module(arguments: Sequence[str], seconds: float = 30.0) -> str:
    """Run `python -m …` to its end and return what it printed; raise Trouble if it failed."""
    done = subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=ROOT,
        env=_environment(),
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    if done.returncode:
        raise Trouble(f"`python -m {' '.join(arguments)}` ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done.stdout


@dataclass(slots=True)
class Program:
    """A long-running program. `ready` is the file that it writes once it can be used."""

    name: str
    arguments: Sequence[str]
    log: Path
    ready: Path | None = None
    stdin: int | None = None
    _process: subprocess.Popen[str] | None = field(default=None)

    def start(self, seconds: float = 45.0) -> dict[str, Any]:
        """Start, and wait until the program says that it is ready; returns what its ready file says."""
        if self.ready is not None:
            self.ready.unlink(missing_ok=True)
        with self.log.open("a", encoding="utf-8") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *self.arguments],
                cwd=ROOT,
                env=_environment(),
                stdin=self.stdin or subprocess.DEVNULL,
                stdout=subprocess.PIPE if self.stdin else log,
                stderr=log,
                text=True,
            )
        if self.ready is None:
            return {}
        return wait_for(f"{self.name} to be ready ({self.log})", self._ready_now, seconds)

    def _ready_now(self) -> dict[str, Any] | None:
        if not self.running:
            raise Trouble(f"{self.name} ended with {self.process.returncode}; its log: {self.log}\n{self.tail()}")
        if self.ready is None or not self.ready.exists():
            return None
        try:
            said: dict[str, Any] = json.loads(self.ready.read_text(encoding="utf-8"))
        except ValueError:
            return None
        return said if said.get("pid") == self.process.pid else None

    @property
    def process(self) -> subprocess.Popen[str]:
        """The process; raises Trouble before `start`."""
        if self._process is None:
            raise Trouble(f"{self.name} was never started")
        return self._process

    @property
    def running(self) -> bool:
        """Whether it still runs."""
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """Pull the plug: SIGKILL, no goodbye."""
        if self.running:
            self.process.kill()
            self.process.wait(10)

    def stop(self, seconds: float = STOPS) -> int:
        """Ask it to end (SIGTERM, or its Windows like) and return its exit code; kill it if it does not."""
        if self._process is None:
            return 0
        if self.running:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Trouble(f"{self.name} did not stop within {seconds:.0f} s; its log: {self.log}") from None

    def rss_mb(self) -> float:
        """Resident memory in MB (Linux)."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) / 1024

    def tail(self, lines: int = 15) -> str:
        """The end of its log."""
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONUTF8": "1", "PYTHONPATH": str(ROOT)}
