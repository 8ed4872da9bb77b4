"""Listening to a line without a word: every byte that goes by. Nothing is ever written to the port."""

import time
from collections.abc import Iterator
from typing import Final

from drivers.transport import Transport

PATIENCE: Final = 0.25
"""Seconds of silence after which what was said is over."""


def listen(port: Transport, seconds: float | None) -> Iterator[bytes]:
    """What goes by until `seconds` are over (None: for ever), b"" for each silence.

    Raises as Transport.read_some does; never writes.
    """
    end = None if seconds is None else time.monotonic() + seconds
    try:
        while end is None or time.monotonic() < end:
            pause = time.monotonic() + PATIENCE
            yield port.read_some(pause if end is None else min(pause, end))
    finally:
        port.close()
