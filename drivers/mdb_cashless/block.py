"""Blocks on an MDB/ICP bus, both directions, sans-I/O. The mode bit is a flag of its own beside each character's byte.

Our program never sees this bus: an adapter owns its 5 ms. The simulated controller and adapter speak it between them.

Source: MDB/ICP 4.2, section 2: the mode bit marks the address of a controller's block and the last byte of a
peripheral's; CHK is the low byte of the sum of address and data; ACK 00, RET AA and NAK FF have no CHK; a block has at
most 36 bytes. Section 7: lengths of the commands to a cashless device.
"""

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Final, NamedTuple

MOST: Final = 36
"""Characters of a block with its CHK (section 2.2)."""
CASHLESS: Final = 0x10
"""Address of the first cashless device, commands 10h to 17h (section 7.1); the second has 60h."""
ACK: Final = b"\x00"
RET: Final = b"\xaa"
NAK: Final = b"\xff"

_LENGTHS: Final = {
    (0x10,): 1,
    (0x12,): 1,
    (0x11, 0x00): 6,
    (0x11, 0x01): 6,
    (0x13, 0x00): 6,
    (0x13, 0x01): 2,
    (0x13, 0x02): 4,
    (0x13, 0x03): 2,
    (0x13, 0x04): 2,
    (0x13, 0x05): 6,
    (0x14, 0x00): 2,
    (0x14, 0x01): 2,
    (0x14, 0x02): 2,
    (0x17, 0x00): 31,
    (0x17, 0x04): 6,
}
"""Bytes of a command without CHK, by its first bytes (section 7.4; amounts of 16 bits)."""
_BEGINNINGS: Final = frozenset(known[0] for known in _LENGTHS)


class Command(IntEnum):
    """What a controller says to a cashless device, first byte."""

    RESET = 0x10
    SETUP = 0x11
    POLL = 0x12
    VEND = 0x13
    READER = 0x14
    EXPANSION = 0x17


class Vend(IntEnum):
    """Second byte of VEND."""

    REQUEST = 0x00
    CANCEL = 0x01
    SUCCESS = 0x02
    FAILURE = 0x03
    SESSION_COMPLETE = 0x04
    CASH_SALE = 0x05


class Reader(IntEnum):
    """Second byte of READER."""

    DISABLE = 0x00
    ENABLE = 0x01
    CANCEL = 0x02


class Reply(IntEnum):
    """First byte of what a cashless device answers with."""

    JUST_RESET = 0x00
    CONFIG = 0x01
    BEGIN_SESSION = 0x03
    CANCEL_REQUEST = 0x04
    APPROVED = 0x05
    DENIED = 0x06
    END_SESSION = 0x07
    CANCELLED = 0x08
    IDENTITY = 0x09
    OUT_OF_SEQUENCE = 0x0B


class Char(NamedTuple):
    """One character on the bus: its byte, and the mode bit beside it."""

    byte: int
    mode: bool


class Side(StrEnum):
    """Whose ears these are."""

    CONTROLLER = "controller"
    """Hears what peripherals answer."""
    PERIPHERAL = "peripheral"
    """Hears what the controller says."""


@dataclass(frozen=True, slots=True)
class Block:
    """Address and data of a controller's block, or data of an answer; without CHK.

    `bare`: one of ACK, RET and NAK, which have no CHK.
    """

    data: bytes
    bare: bool = False


def checksum(data: bytes) -> int:
    """CHK of address and data."""
    return sum(data) & 0xFF


def from_controller(block: Block) -> tuple[Char, ...]:
    """A block as the controller puts it on the bus: the mode bit on the address; a bare answer has none."""
    raw = block.data if block.bare else block.data + bytes((checksum(block.data),))
    return tuple(Char(byte, at == 0 and not block.bare) for at, byte in enumerate(raw))


def from_peripheral(block: Block) -> tuple[Char, ...]:
    """A block as a peripheral puts it on the bus: the mode bit on the last byte."""
    raw = block.data if block.bare else block.data + bytes((checksum(block.data),))
    return tuple(Char(byte, at == len(raw) - 1) for at, byte in enumerate(raw))


class BlockCodec:
    """Takes characters as they come; returns blocks whose CHK holds. What is no block is passed over."""

    def __init__(self, side: Side, address: int = CASHLESS) -> None:
        """`address`: the peripheral that listens, or is listened to."""
        self._side, self._address = side, address
        self._heard = bytearray()
        self._open = False

    def feed(self, characters: tuple[Char, ...]) -> list[Block]:
        """Take characters in; return the blocks that are complete now."""
        hear = self._from_controller if self._side is Side.PERIPHERAL else self._from_peripheral
        return [block for one in characters if (block := hear(one)) is not None]

    def _from_controller(self, one: Char) -> Block | None:
        if one.mode:
            self._heard[:] = bytes((one.byte,))
            self._open = one.byte & 0xF8 == self._address
        elif not self._open:
            return _bare(one.byte)
        else:
            self._heard.append(one.byte)
        size = _length(bytes(self._heard), self._address) if self._open else 0
        if size is None or len(self._heard) > MOST:
            self._open = False
        elif self._open and size and len(self._heard) == size + 1:
            self._open = False
            return _checked(bytes(self._heard))
        return None

    def _from_peripheral(self, one: Char) -> Block | None:
        if len(self._heard) < MOST:
            self._heard.append(one.byte)
        if not one.mode:
            return None
        heard = bytes(self._heard)
        self._heard.clear()
        return _bare(one.byte) if len(heard) == 1 else _checked(heard)


def _bare(byte: int) -> Block | None:
    return Block(bytes((byte,)), bare=True) if bytes((byte,)) in (ACK, RET, NAK) else None


def _checked(heard: bytes) -> Block | None:
    return Block(heard[:-1]) if checksum(heard[:-1]) == heard[-1] else None


def _length(heard: bytes, address: int) -> int | None:
    """How many bytes without CHK a command has that begins so; 0: too early to say, None: no command."""
    first = heard[0] - address + CASHLESS
    if (size := _LENGTHS.get((first,))) is not None:
        return size
    if len(heard) > 1:
        return _LENGTHS.get((first, heard[1]))
    return 0 if first in _BEGINNINGS else None
