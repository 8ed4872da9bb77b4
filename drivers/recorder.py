"""Every byte of a wire, with its time, as JSON lines; secrets blacked out; read back for replay.

One line is one chunk as it crossed the port: `{"at":"2025-01-01T00:00:00Z","t":1.25,"dir":"tx","hex":"0105…"}`, where
`t` is seconds since the recording began on a clock that never jumps.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import IO, Protocol

import msgspec

from parking.errors import BadMessage, Code, Environment

log = logging.getLogger(__name__)


class Direction(StrEnum):
    """Which way a chunk went, seen from us."""

    TX = "tx"
    RX = "rx"
    LINE = "line"
    """Overheard on a line that both sides share: it may be either's."""


class _Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    at: datetime
    t: float
    dir: Direction
    hex: str


class Chunk(msgspec.Struct, frozen=True):
    """What went by at once: wall time, seconds since the recording began, direction, bytes."""

    at: datetime
    seconds: float
    direction: Direction
    data: bytes


class Masking(Protocol):
    """Blacks out secrets in one direction of a stream."""

    def __call__(self, data: bytes) -> bytes:
        """The bytes that may be written down now."""
        ...

    def rest(self) -> bytes:
        """What was held back."""
        ...


class Mask:
    """Blacks out secrets in one direction of a stream, also where a secret is cut by a chunk's border.

    Bytes which may be the beginning of a secret are held back until the next chunk shows whether they are.
    """

    def __init__(self, secrets: Sequence[bytes]) -> None:
        self._secrets = tuple(sorted((secret for secret in secrets if secret), key=len, reverse=True))
        self._held = b""

    def __call__(self, data: bytes) -> bytes:
        """The bytes that may be written down now."""
        data = self._held + data
        for secret in self._secrets:
            data = data.replace(secret, b"*" * len(secret))
        keep = max((self._beginning(data, secret) for secret in self._secrets), default=0)
        self._held = data[len(data) - keep :]
        return data[: len(data) - keep]

    def rest(self) -> bytes:
        """What was held back and turned out not to be a secret."""
        held, self._held = self._held, b""
        return held

    @staticmethod
    def _beginning(data: bytes, secret: bytes) -> int:
        longest = min(len(secret) - 1, len(data))
        return next((size for size in range(longest, 0, -1) if data.endswith(secret[:size])), 0)


class Recorder:
    """Appends to a file; may be shared by threads. A full disk ends the recording, never the traffic."""

    def __init__(
        self,
        path: Path,
        clock: Callable[[], datetime],
        secrets: Sequence[bytes] = (),
        masking: Callable[[], Masking] | None = None,
    ) -> None:
        """`clock` returns aware UTC; `masking` makes what blacks out, where that is not `secrets` alone.

        Raises Environment(DISK) if the file cannot be opened.
        """
        try:
            self._file: IO[bytes] | None = path.open("ab", buffering=0)
        except OSError as error:
            raise Environment(Code.DISK, f"{path}: {error.strerror}", "check the folder and its permissions") from error
        self._clock = clock
        self._began = time.monotonic()
        self._masks: dict[Direction, Masking] = {
            direction: Mask(secrets) if masking is None else masking() for direction in Direction
        }
        self._lock = threading.Lock()

    def note(self, direction: Direction, data: bytes) -> None:
        """Write one chunk down; it is in the file when this returns."""
        with self._lock:
            self._write(direction, self._masks[direction](data))

    def silence(self) -> None:
        """Write down what was held back: the line is quiet, so that it is no beginning of anything."""
        with self._lock:
            for direction, mask in self._masks.items():
                self._write(direction, mask.rest())

    def close(self) -> None:
        """Write down what was held back and close the file; idempotent."""
        self.silence()
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None

    def _write(self, direction: Direction, data: bytes) -> None:
        if not data or self._file is None:
            return
        line = _Line(self._clock(), round(time.monotonic() - self._began, 6), direction, data.hex())
        try:
            self._file.write(msgspec.json.encode(line) + b"\n")
        except OSError as error:
            log.error("recording ends: %s", error)
            file, self._file = self._file, None
            file.close()


def read_back(path: Path) -> Iterator[Chunk]:
    """The chunks of a recording, oldest first.

    A last line that was cut short (the power went) is left out. Raises Environment(DISK) if the file cannot be read and
    BadMessage(BAD_MESSAGE) with the line's number if any other line is not a recording's.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise Environment(Code.DISK, f"{path}: {error.strerror}", "check the path and its permissions") from error
    for number, text in enumerate(lines, 1):
        if not text:
            continue
        try:
            line = msgspec.json.decode(text, type=_Line)
            yield Chunk(line.at, line.t, line.dir, bytes.fromhex(line.hex))
        except (msgspec.MsgspecError, ValueError) as error:
            if number == len(lines):
                log.warning("%s: the last line is cut short", path)
                return
            raise BadMessage(Code.BAD_MESSAGE, f"{path}, line {number}: {error}") from error


def check_free(path: Path, append: bool) -> None:
    """Raises Environment(DISK) unless a recording may go there: into a new file, or (`append`) behind a whole one."""
    if not path.exists():
        return
    if not append:
        remedy = "name another file; --append goes on with a recording"
        raise Environment(Code.DISK, f"{path} is there already", remedy)
    try:
        last = path.read_bytes()[-1:]
        for _ in read_back(path):
            pass
    except (BadMessage, OSError) as error:
        raise Environment(Code.DISK, f"{path} is no recording", "name another file") from error
    if last not in (b"", b"\n"):
        raise Environment(Code.DISK, f"{path}: its last line is cut short", "name another file")
