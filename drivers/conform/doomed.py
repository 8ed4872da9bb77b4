"""A bridge that will be killed: a process of its own that carries out one order and says when the first byte leaves.

Parent and child talk by lines: the child reads a `Will` as JSON, says `ready` once its driver is there, reads the
stay's name and price, says `intent <worth>` right before the first byte leaves.
"""

import contextlib
import subprocess
import sys
import time
from types import TracebackType
from typing import IO, Final, cast

import msgspec

from drivers.conform.harness import Harness
from drivers.conform.subject import Part, Subject
from drivers.profile import DeviceTable, ExitTable
from parking.desk import Position
from parking.errors import Code, DaikoError, NotSent
from parking.outcome import Level
from parking.stay import NameKind, StayRef

WITHIN: Final = 20.0
"""Seconds for which the child looks for the stay."""
PAUSE: Final = 0.05


class Will(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What is to be carried out; the fields are those of Subject, and the order's."""

    part: Part
    device: DeviceTable
    exits: tuple[ExitTable, ...]
    names: NameKind
    seconds: float
    reference: str
    exit: ExitTable | None = None


class Doomed:
    """The child process; killed when the `with` block ends. Raises NotSent where it does not come so far."""

    def __init__(self, will: Will) -> None:
        """Start it."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "drivers.conform.doomed"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            start_new_session=True,  # Ctrl-C is for its parent, which kills it
        )
        self._write(msgspec.json.encode(will))

    def __enter__(self) -> "Doomed":
        """Once its driver is there."""
        self._heard("ready")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """SIGKILL; on Windows its like."""
        self._process.kill()
        self._process.communicate()

    def act(self, name: str, price: int) -> int:
        """Let it settle the stay of this name, or release; returns what that is worth, when the first byte leaves.

        `price` is what the machine shows, for a driver that cannot read it.
        """
        self._write(f"{name} {price}".encode())
        return int(self._heard("intent"))

    def _write(self, line: bytes) -> None:
        cast("IO[bytes]", self._process.stdin).write(line + b"\n")

    def _heard(self, word: str) -> str:
        """What follows `word` in its next line."""
        out = cast("IO[bytes]", self._process.stdout)
        said, _, rest = out.readline().decode().strip().partition(" ")  # each of its steps has an end of its own
        if said != word:
            raise NotSent(Code.DEVICE_UNAVAILABLE, f"the bridge to be killed said {said} {rest}, not {word!r}")
        return rest


def main() -> None:
    """The child: carry a will out."""
    will = msgspec.json.decode(sys.stdin.buffer.readline(), type=Will)
    harness = Harness(Subject(will.part, will.device, will.exits, will.names, Level.SENT, will.seconds, will.exit))
    with contextlib.suppress(DaikoError):  # serves the line from now on
        _ = harness.position if will.exit is not None else harness.seen("")
    _say("ready")
    name, _, price = sys.stdin.buffer.readline().decode().strip().rpartition(" ")
    stay = _find(harness, name)
    worth = 1 if stay is None else harness.fee(stay, int(price))
    if not isinstance(worth, int):
        sys.exit(f"refused: {worth.detail}")
    deadline = time.monotonic() + will.seconds
    try:
        harness.order(stay, worth, will.reference, deadline, lambda _raw, _counter: _say(f"intent {worth}"))
    except DaikoError as error:
        sys.exit(str(error))


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _find(harness: Harness, name: str) -> StayRef | None:
    """The stay; None at an exit, once it is closed."""
    end = time.monotonic() + WITHIN
    while time.monotonic() < end:
        with contextlib.suppress(DaikoError):
            if harness.subject.exit is None and (found := harness.seen(name)) is not None:
                return found
            if harness.subject.exit is not None and harness.position in (Position.CLOSED, Position.UNKNOWN):
                return None
        time.sleep(PAUSE)
    sys.exit("the stay is not seen, or the exit not closed")


if __name__ == "__main__":
    main()
