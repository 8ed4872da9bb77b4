"""Listening to a line without a word: every byte that goes by. Nothing is ever written to the port."""

import time
from collections.abc import Callable, Iterator
from typing import Final

from drivers.recorder import Direction, Recorder
from drivers.transport import Transport

PATIENCE: Final = 0.25
"""Seconds of silence after which what was said is over."""


def listen(port: Transport, seconds: float | None) -> Iterator[bytes]:
    """What goes by until `seconds` are over (None: for ever), b"" for each silence; the first b"" says: it is open.

    Raises as Transport.read_some does; never writes.
    """
    end = None if seconds is None else time.monotonic() + seconds
    try:
        while end is None or time.monotonic() < end:
            pause = time.monotonic() + PATIENCE
            yield port.read_some(pause if end is None else min(pause, end))
    finally:
        port.close()


class Overheard:
    """Notes down what goes by as what it is: said by nobody knows whom. The file is opened once the port is."""

    def __init__(self, recorder: Callable[[], Recorder]) -> None:
        """Nothing is opened yet."""
        self._open = recorder
        self._recorder: Recorder | None = None

    def note(self, direction: Direction, data: bytes) -> None:
        """Take one chunk down; raises as Recorder does."""
        del direction  # what reaches us was said by one of the two who share the line
        self.begin().note(Direction.LINE, data)

    def begin(self) -> Recorder:
        """The recorder, opened by now."""
        if self._recorder is None:
            self._recorder = self._open()
        return self._recorder

    def silence(self) -> None:
        """The line is quiet, and open."""
        self.begin().silence()

    def close(self) -> None:
        """Close the file; idempotent."""
        if self._recorder is not None:
            self._recorder.close()
