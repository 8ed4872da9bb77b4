"""ccTalk frames, both directions, sans-I/O.

    [destination][length][source][header][data …][check]

Source: ccTalk Generic Specification 4.7, part 1. The check makes the sum of all bytes zero modulo 256; or, in the
other variant, it is CRC-CCITT (polynomial 1021, start 0) over all but its own two bytes, whose low byte stands in the
place of the source and whose high byte at the end. Nothing marks a frame's beginning: after a frame that does not
check, everything is thrown away until the line was still (`reset`; the receiver's time-out is 50 ms).
"""

from binascii import crc_hqx
from collections.abc import Set
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from drivers.framing import ReceiveBuffer

HOST: Final = 1
"""Address of the one who asks."""
BROADCAST: Final = 0
OVERHEAD: Final = 5
MOST: Final = OVERHEAD + 255

REPLY: Final = 0
NAK: Final = 5


class Check(StrEnum):
    """How a frame is protected."""

    SUM = "sum"
    CRC = "crc"


@dataclass(frozen=True, slots=True)
class Frame:
    """A request or a reply; `source` is 0 where the CRC stands in its place."""

    destination: int
    header: int
    data: bytes = b""
    source: int = HOST


def crc(data: bytes) -> int:
    """CRC-CCITT, start 0, most significant bit first."""
    return crc_hqx(data, 0)


def holds(raw: bytes, check: Check) -> bool:
    """Whether a whole frame checks."""
    if check is Check.SUM:
        return sum(raw) & 0xFF == 0
    return crc(raw[:2] + raw[3:-1]) == raw[2] | raw[-1] << 8


class Codec:
    """Writes frames and hears those for the addresses of `hears` (None: for all)."""

    def __init__(self, check: Check, hears: Set[int] | None) -> None:
        self._check = check
        self._hears = hears
        self._buffer = ReceiveBuffer(2 * MOST)
        self._lost = False

    def encode(self, frame: Frame) -> bytes:
        """The exact bytes of a frame."""
        if self._check is Check.SUM:
            raw = bytes((frame.destination, len(frame.data), frame.source, frame.header)) + frame.data
            return raw + bytes((-sum(raw) & 0xFF,))
        body = bytes((frame.header,)) + frame.data
        head = bytes((frame.destination, len(frame.data)))
        check = crc(head + body)
        return head + bytes((check & 0xFF,)) + body + bytes((check >> 8,))

    def feed(self, data: bytes) -> list[Frame]:
        """Take bytes in; return the frames that are complete now. What is for others is passed over."""
        found: list[Frame] = []
        for start in range(0, len(data), MOST):
            if self._lost:
                break
            self._buffer.extend(data[start : start + MOST])
            found += self._take()
        return found

    def reset(self) -> None:
        """The line was still: what comes next is the beginning of a frame."""
        self._lost = False
        self._buffer.clear()

    def _take(self) -> list[Frame]:
        found = []
        while len(self._buffer) >= OVERHEAD:
            size = OVERHEAD + self._buffer.peek(1, 1)[0]
            if len(self._buffer) < size:
                break
            raw = self._buffer.take(size)
            ours = self._hears is None or raw[0] in self._hears
            if holds(raw, self._check):
                if ours:
                    found.append(self._frame(raw))
            elif ours or not any(holds(raw, check) for check in Check):  # neighbours may use the other check
                self._lost = True
                self._buffer.clear()
        return found

    def _frame(self, raw: bytes) -> Frame:
        return Frame(raw[0], raw[3], raw[4:-1], raw[2] if self._check is Check.SUM else 0)
