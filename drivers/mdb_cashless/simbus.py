"""The simulated bus: how its characters go over a line of bytes, and an exchange as the controller sees it. Pure.

A character has nine bits, a line between two programs eight. So each goes as two bytes: 100000mb with the mode bit and
the highest bit of its byte, then 0bbbbbbb with the others. What is neither costs the characters it touches.
"""

from typing import Final, Protocol

from drivers.mdb_cashless.block import ACK, Block, BlockCodec, Char, Command, Side, from_controller

RESPONSE: Final = 0.5
"""Seconds for which the controller waits for an answer. The specification's 5 ms are for hardware; a process on a busy
computer may not even run for so long, and what it says too late would be taken for silence."""
SEEKING: Final = 0.01
"""Seconds for which it waits for the answer to a RESET: so it looks for a reader, over and over."""


def to_wire(characters: tuple[Char, ...]) -> bytes:
    """Two bytes for each."""
    return b"".join(bytes((0x80 | one.mode << 1 | one.byte >> 7, one.byte & 0x7F)) for one in characters)


NOISE: Final = b"\x7f\xff" + to_wire((Char(0x05, False), Char(0x31, True))) + b"\x81"
"""Halves of characters, and whole ones that are no block."""


class CharCodec:
    """Takes bytes as they come; returns the characters that are complete."""

    def __init__(self) -> None:
        self._first = 0

    def feed(self, data: bytes) -> tuple[Char, ...]:
        """Take bytes in; return the characters that they end."""
        found = []
        for byte in data:
            if byte < 0x80 and self._first:
                found.append(Char((self._first & 1) << 7 | byte, bool(self._first & 2)))
            self._first = byte if 0x80 <= byte < 0x84 else 0
        return tuple(found)


class Bus(Protocol):
    """The controller's end of the line."""

    def ask(self, raw: bytes, seconds: float) -> None:
        """Forget what came too late, put this on the bus, and allow so much time for an answer."""
        ...

    def hear(self) -> bytes:
        """The next piece of the answer; b"" once the time is over."""
        ...

    def put(self, raw: bytes) -> None:
        """Put more on the bus."""
        ...


def exchange(bus: Bus, data: bytes, wanted: bytes | None, noise: bytes = b"") -> bytes | None:
    """Put a block on the bus and give the answer: its data, b"" for a bare ACK, None for silence.

    `wanted`: how the answer begins (b"": it is a bare ACK, None: any), what else is heard is passed over: it is late,
    and about another block. Data is acknowledged. `noise` goes before all that is said.
    """
    bus.ask(noise + to_wire(from_controller(Block(data))), SEEKING if data[0] == Command.RESET else RESPONSE)
    characters, ear = CharCodec(), BlockCodec(Side.CONTROLLER)
    while raw := bus.hear():
        for block in ear.feed(characters.feed(raw)):
            if block.bare and block.data == ACK and not wanted:
                return b""
            if not block.bare and (wanted is None or (wanted and block.data.startswith(wanted))):
                bus.put(noise + to_wire(from_controller(Block(ACK, bare=True))))
                return block.data
    return None
