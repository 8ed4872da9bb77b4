r"""What a USB relay board of the LCUS kind and we say to each other, both directions, sans-I/O.

    A0 <relay> <00 off | 01 on> <sum of the three, low byte>      to the board, which says nothing
    FF                                                            to serial boards that can: how do your relays stand?
    A0 0F 02 B1                                                   the same to HID boards
    CH1:ON \r\n CH2:OFF \r\n …                  their answer, one line a relay

On a serial line these are bytes in a row; HID boards take each frame as an output report without a number, and answer
in input reports, filled up with zeros, which are passed over.

Sources: the maker's page of the LC Technology USB switches (LCUS-1 to -8); for question and answer the driver
jumpstarter-driver-noyito-relay 0.9.0. Toggles, which some boards know, are not spoken here, nor is a level for relay
0F, which some boards take for all of them. `feed` skips garbage, keeps a bounded rest, and no bytes make it raise.
"""

import re
from dataclasses import dataclass
from typing import Final

from drivers.framing import ReceiveBuffer
from parking.errors import Bug

START: Final = 0xA0
ASK: Final = b"\xff"
ASK_FRAME: Final = b"\xa0\x0f\x02\xb1"
SIZE: Final = 4
RELAYS: Final = 8
"""The biggest board has so many; they are numbered from 1."""
MOST: Final = 256
"""Bytes that are kept of what is not complete: more than the lines of eight relays."""

_LINE: Final = re.compile(rb"CH(\d{1,2}) ?: ?(ON|OFF) ?\r?")


@dataclass(frozen=True, slots=True)
class Switch:
    """A relay is told its level; telling it twice changes nothing."""

    relay: int
    on: bool


@dataclass(frozen=True, slots=True)
class Ask:
    """The board is asked how its relays stand; `frame` says by which of the two questions."""

    frame: bool = False


@dataclass(frozen=True, slots=True)
class Stands:
    """The board says how a relay stands."""

    relay: int
    on: bool


def encode(word: Switch | Ask | Stands) -> bytes:
    """The exact bytes. Raises Bug for a relay that no board has."""
    if isinstance(word, Ask):
        return ASK_FRAME if word.frame else ASK
    if not 1 <= word.relay <= RELAYS:
        raise Bug(f"no board has a relay {word.relay}")
    if isinstance(word, Stands):
        return b"CH%d:%s \r\n" % (word.relay, b"ON" if word.on else b"OFF")
    head = bytes((START, word.relay, word.on))
    return head + bytes((sum(head) & 0xFF,))


class BoardEar:
    """What the board hears."""

    def __init__(self) -> None:
        self._buffer = ReceiveBuffer(MOST)

    def feed(self, data: bytes) -> list[Switch | Ask]:
        """Take bytes in; return what is complete now."""
        found: list[Switch | Ask] = []
        for start in range(0, len(data), MOST // 2):
            self._buffer.extend(data[start : start + MOST // 2])
            found += self._words()
        return found

    def _words(self) -> list[Switch | Ask]:
        raw = self._buffer.peek()
        found: list[Switch | Ask] = []
        at = 0
        while at < len(raw):
            if raw[at] == START and len(raw) - at < SIZE:
                break
            word = _word(raw[at : at + SIZE])
            if word is not None:
                found.append(word)
            at += 1 if word is None else len(encode(word))
        self._buffer.take(at)
        return found


def _word(raw: bytes) -> Switch | Ask | None:
    if raw[:1] == ASK:
        return Ask()
    if raw == ASK_FRAME:
        return Ask(frame=True)
    whole = len(raw) == SIZE and raw[0] == START and raw[2] in (0, 1) and sum(raw[:3]) & 0xFF == raw[3]
    return Switch(raw[1], bool(raw[2])) if whole and 1 <= raw[1] <= RELAYS else None


class HostEar:
    """What we hear."""

    def __init__(self) -> None:
        self._buffer = ReceiveBuffer(MOST)

    def feed(self, data: bytes) -> list[Stands]:
        """Take bytes in; return the lines that are complete now and say how a relay stands."""
        data = data.replace(b"\0", b"")  # an input report is filled up, wherever a line is cut
        found: list[Stands] = []
        for start in range(0, len(data), MOST // 2):
            self._buffer.extend(data[start : start + MOST // 2])
            *lines, rest = self._buffer.peek().split(b"\n")
            self._buffer.take(len(self._buffer) - len(rest))
            found += [word for line in lines if (word := _stands(line)) is not None]
        return found

    def reset(self) -> None:
        """Forget half a line."""
        self._buffer.clear()


def _stands(line: bytes) -> Stands | None:
    match = _LINE.fullmatch(line.strip(b" "))
    if match is None or not 1 <= int(match[1]) <= RELAYS:
        return None
    return Stands(int(match[1]), match[2] == b"ON")
