"""What commands and replies mean (SIA OSDP v2.2, sections 6 and 7): their codes, and the data of those that we use.

Named as the standard names them: its paragraphs are numbered differently in what is published about it.
"""

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Final


class Command(IntEnum):
    """What a control panel says."""

    POLL = 0x60
    ID = 0x61
    CAP = 0x62
    LSTAT = 0x64
    ISTAT = 0x65
    OSTAT = 0x66
    RSTAT = 0x67
    OUT = 0x68
    LED = 0x69
    BUZ = 0x6A
    TEXT = 0x6B
    COMSET = 0x6E
    KEYSET = 0x75
    CHLNG = 0x76
    SCRYPT = 0x77
    ACURXSIZE = 0x7B
    ABORT = 0xA2
    KEEPACTIVE = 0xA7


class Reply(IntEnum):
    """What a peripheral device answers."""

    ACK = 0x40
    NAK = 0x41
    PDID = 0x45
    PDCAP = 0x46
    LSTATR = 0x48
    ISTATR = 0x49
    OSTATR = 0x4A
    RSTATR = 0x4B
    RAW = 0x50
    COM = 0x54
    CCRYPT = 0x76
    RMAC_I = 0x78
    BUSY = 0x79


class Nak(IntEnum):
    """Why a device says no (osdp_NAK); it has not acted."""

    CHECK = 1
    LENGTH = 2
    UNKNOWN = 3
    SEQUENCE = 4
    NOT_SECURE = 5
    SECURITY = 6
    RECORD = 9


class Control(IntEnum):
    """What is to become of an output (osdp_OUT)."""

    OFF = 1
    ON = 2
    OFF_AFTER_TIMER = 3
    ON_AFTER_TIMER = 4
    ON_FOR = 5
    OFF_FOR = 6


class Signal(StrEnum):
    """By which command an access panel shows that it grants access."""

    LED = "led"
    OUTPUT = "output"
    BUZZER = "buzzer"


SWITCHES_ON: Final = frozenset((Control.ON, Control.ON_AFTER_TIMER, Control.ON_FOR))
TICK: Final = 0.1
"""Seconds of one count of an output's timer."""
GREEN: Final = 2
RED: Final = 1
WIEGAND: Final = 1
"""Card data as parity, data, parity."""
_OUT: Final = 4
_LED: Final = 14
_BUZ: Final = 5


@dataclass(frozen=True, slots=True)
class Out:
    """One output's order; `timer` in tenths of a second, 0 where the control has none."""

    number: int
    control: int
    timer: int = 0

    @property
    def data(self) -> bytes:
        """As it stands in an OUT command."""
        return bytes((self.number, self.control)) + self.timer.to_bytes(2, "little")


def outs(data: bytes) -> tuple[Out, ...] | None:
    """The orders of an OUT command; None if it is malformed."""
    if not data or len(data) % _OUT:
        return None
    parts = (data[at : at + _OUT] for at in range(0, len(data), _OUT))
    return tuple(Out(part[0], part[1], int.from_bytes(part[2:], "little")) for part in parts)


@dataclass(frozen=True, slots=True)
class Lamp:
    """What an LED command shows: a colour for a while, or for good; None where it leaves that alone."""

    temporary: int | None
    permanent: int | None

    @property
    def shown(self) -> int | None:
        """The colour that is seen now, as far as this command says."""
        return self.permanent if self.temporary is None else self.temporary


def lamps(data: bytes) -> tuple[Lamp, ...] | None:
    """The lamps of an LED command (osdp_LED); None if it is malformed."""
    if not data or len(data) % _LED:
        return None
    parts = (data[at : at + _LED] for at in range(0, len(data), _LED))
    return tuple(Lamp(one[5] if one[2] == 2 else None, one[12] if one[9] else None) for one in parts)


def lamp_for(colour: int, tenths: int) -> bytes:
    """An LED command's data: reader 0, lamp 0, `colour` for so long; the permanent colour stays as it is."""
    return bytes((0, 0, 2, 5, 0, colour, 0)) + tenths.to_bytes(2, "little") + bytes(5)


def sounds(data: bytes) -> bool | None:
    """Whether a BUZ command makes a sound (osdp_BUZ); None if it is malformed."""
    return None if len(data) != _BUZ else data[1] > 1


@dataclass(frozen=True, slots=True)
class Card:
    """What a reader read: `bits` of card data, the first one first, in whole bytes."""

    bits: int
    data: bytes
    form: int = WIEGAND
    reader: int = 0

    @property
    def raw(self) -> bytes:
        """As it stands in a RAW reply (osdp_RAW)."""
        return bytes((self.reader, self.form)) + self.bits.to_bytes(2, "little") + self.data


def card(data: bytes) -> Card | None:
    """The card of a RAW reply; None if it is malformed."""
    bits = int.from_bytes(data[2:4], "little")
    if len(data) < 4 or len(data) != 4 + (bits + 7) // 8:
        return None
    return Card(bits, data[4:], data[1], data[0])


def wiegand26(facility: int, number: int) -> Card:
    """The 26 bits of a card: even parity over the first twelve, 8 bits facility, 16 bits number, odd parity."""
    body = facility << 16 | number
    even = (body >> 12).bit_count() & 1
    odd = ~(body & 0xFFF).bit_count() & 1
    return Card(26, (((even << 24 | body) << 1 | odd) << 6).to_bytes(4, "big"))


def statuses(data: bytes) -> tuple[bool, ...]:
    """The inputs or outputs of a status reply (osdp_ISTATR, osdp_OSTATR): one byte each, not zero is active."""
    return tuple(bool(one) for one in data)


def identity(data: bytes) -> str:
    """What a device says it is (osdp_PDID), in words for a person."""
    if len(data) != 12:
        return f"an identity of {len(data)} bytes"
    serial = int.from_bytes(data[5:9], "little")
    return (
        f"vendor {data[:3].hex()}, model {data[3]} version {data[4]}, serial {serial:08x}, "
        f"firmware {data[9]}.{data[10]}.{data[11]}"
    )
