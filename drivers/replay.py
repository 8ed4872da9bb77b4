"""A recording, told piece by piece; or played to whoever waits at the other end of a line, in its own time."""

import os
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from drivers.decode import Decoder, Piece
from drivers.recorder import Chunk, Direction
from drivers.sniff import PATIENCE
from drivers.transport import Transport
from parking.errors import Code, Environment

LONGEST: Final = 10.0
"""Seconds of the longest pause that is kept: nobody waits through a quiet night."""

_WRITE: Final = 5.0
_PTY: Final = "/dev/pts/"


def told(chunks: Iterable[Chunk], ear: Decoder) -> Iterator[tuple[Chunk, Piece]]:
    """Each piece behind the chunk that ended it; a gap, and the end, are silences, which decide what was half said."""
    last: Chunk | None = None
    for chunk in chunks:
        if last is not None and not 0 <= chunk.seconds - last.seconds <= PATIENCE:
            yield from ((last, piece) for piece in ear.silence())
        yield from ((chunk, piece) for piece in ear.feed(chunk.data, chunk.direction))
        last = chunk
    if last is not None:
        yield from ((last, piece) for piece in ear.silence())


def said_by(side: Direction, chunks: Iterable[Chunk], ear: Decoder) -> list[Chunk]:
    """What one side said, or (LINE) all. Of what was overheard, `ear` has to tell whose a message is.

    Raises Environment(CONFIG) where it cannot: what the master said must not be taken for the machine's.
    """
    known = list(chunks)
    if side is Direction.LINE or all(chunk.direction is not Direction.LINE for chunk in known):
        return [chunk for chunk in known if side in (Direction.LINE, chunk.direction)]
    pieces = [(chunk, piece) for chunk, piece in told(known, ear) if piece.words]
    if not pieces or any(piece.side is Direction.LINE for _, piece in pieces):
        raise Environment(
            Code.CONFIG,
            "it was overheard on a line that both sides share, and this codec does not tell who spoke",
            "name the --codec modbus, modbus-tcp, cctalk, cctalk-crc, osdp, mdb or lcus; --side line plays both",
        )
    return [Chunk(chunk.at, chunk.seconds, side, piece.raw) for chunk, piece in pieces if piece.side is side]


def is_pseudo_terminal(url: str) -> bool:
    """Whether a program waits at the other end, as that of a simulated machine: nothing real hangs on a pty."""
    return "://" not in url and os.path.realpath(url).startswith(_PTY)


def play(
    chunks: Iterable[Chunk],
    transport: Transport,
    speed: float = 1.0,
    pause: Callable[[float], None] = time.sleep,
) -> Iterator[Chunk]:
    """Say it again; `speed` 2 is twice as fast. Yields each chunk once it is out; raises as Transport.write.

    For a line with a simulator or a test at its other end: what once opened a gate opens it again.
    """
    before: float | None = None
    for chunk in chunks:
        if before is not None:
            pause(min(max(chunk.seconds - before, 0.0), LONGEST) / speed)
        before = chunk.seconds
        transport.write(chunk.data, time.monotonic() + _WRITE)
        yield chunk
