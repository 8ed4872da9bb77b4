"""What a host's own audit reads of us: a serial number, and how many pieces of money went in and were taken. Pure.

Generic Specification 4.7, part 2, headers 242, 225 and 226: three bytes each, the lowest first. As in a real device a
loss of power does not touch the counters; the end of this program does.
"""

from typing import Final

from drivers.cctalk_coin.headers import Header

SIZE: Final = 3
QUESTIONS: Final = frozenset({Header.SERIAL, Header.INSERT_COUNTER, Header.ACCEPT_COUNTER})


class Tally:
    """Counts what was shown, whether it was credited or not: more than that a device cannot know either."""

    def __init__(self, serial: int) -> None:
        """Nothing went in yet."""
        self._numbers = {Header.SERIAL: serial, Header.INSERT_COUNTER: 0, Header.ACCEPT_COUNTER: 0}

    def inserted(self) -> None:
        """A coin fell in, or a bill came as far as the escrow."""
        self._numbers[Header.INSERT_COUNTER] += 1

    def accepted(self) -> None:
        """A coin was taken, or a bill is in the stacker."""
        self._numbers[Header.ACCEPT_COUNTER] += 1

    def answer(self, header: int, data: bytes) -> bytes | None:
        """The reply's data to one of QUESTIONS; None if it makes no sense."""
        return (self._numbers[Header(header)] % (1 << 8 * SIZE)).to_bytes(SIZE, "little") if not data else None
