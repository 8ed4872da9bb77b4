"""Lines between an adapter and the reader behind it, both directions, sans-I/O.

There is no check sum in them: a line counts only if the whole of it is one of the dialect's own, and what is not begins
and ends at line feeds. So garbage costs the line it touches, and nothing after that.
"""

from enum import StrEnum
from typing import Final

from drivers.framing import ReceiveBuffer
from drivers.mdb_cashless.words import Dialect, Word

MOST: Final = 120
"""Longest line; a longer one is passed over to its end."""


class Side(StrEnum):
    """Whose ears these are."""

    READER = "reader"
    """Hears what the adapter says: ours."""
    ADAPTER = "adapter"
    """Hears what the adapter is told."""


class LineCodec:
    """Takes bytes as they come; returns the words of the lines that are complete."""

    def __init__(self, dialect: Dialect, side: Side) -> None:
        self._dialect = dialect
        self._read = dialect.read_said if side is Side.READER else dialect.read_told
        self._buffer = ReceiveBuffer(MOST)
        self._overlong = False
        self.passed_over = 0
        """Lines that were none of the dialect's."""

    def encode(self, *words: Word) -> bytes:
        """The exact bytes of these words, a line each."""
        return "".join(f"{self._dialect.write(word)}\n" for word in words).encode("ascii")

    def feed(self, data: bytes) -> list[Word]:
        """Take bytes in; return what was said by the lines that they end."""
        *ended, rest = data.split(b"\n")
        found: list[Word] = []
        for piece in ended:
            self._keep(piece)
            word = None if self._overlong else self._word(self._buffer.take(MOST))
            self.reset()
            if word is not None:
                found.append(word)
        self._keep(rest)
        return found

    def reset(self) -> None:
        """Forget half a line."""
        self._buffer.clear()
        self._overlong = False

    def _keep(self, piece: bytes) -> None:
        self._overlong = self._overlong or len(self._buffer) + len(piece) > MOST
        if not self._overlong:
            self._buffer.extend(piece)

    def _word(self, raw: bytes) -> Word | None:
        """A carriage return before the line feed is no part of the line; an empty line says nothing."""
        line = raw.removesuffix(b"\r")
        word = self._read(line.decode("ascii")) if line.isascii() and line else None
        self.passed_over += word is None and bool(line)
        return word
