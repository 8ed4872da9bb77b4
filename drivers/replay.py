"""A recording played to whoever waits at the other end of a line: what one side said, in its own time."""

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from drivers.recorder import Chunk, Direction
from drivers.transport import Transport

LONGEST: Final = 10.0
"""Seconds of the longest pause that is kept: nobody waits through a quiet night."""

_WRITE: Final = 5.0


def play(
    chunks: Iterable[Chunk],
    transport: Transport,
    side: Direction,
    speed: float = 1.0,
    pause: Callable[[float], None] = time.sleep,
) -> Iterator[Chunk]:
    """Say what `side` said; `speed` 2 is twice as fast. Yields each chunk once it is out; raises as Transport.write.

    For a line with a simulator or a test at its other end: what once opened a gate opens it again.
    """
    before: float | None = None
    for chunk in chunks:
        if chunk.direction is not side:
            continue
        if before is not None:
            pause(min(max(chunk.seconds - before, 0.0), LONGEST) / speed)
        before = chunk.seconds
        transport.write(chunk.data, time.monotonic() + _WRITE)
        yield chunk
