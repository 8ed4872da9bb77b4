"""ZVT application messages (APDUs) on a serial line and on TCP, both directions, sans-I/O.

`feed` takes bytes as they come and returns what is complete; garbage is skipped, buffers are bounded, and no bytes make
it raise. Sources: PA00P015 (ZVT protocol; terminalhersteller.de) for the messages, PA00P016 for the lines.
"""

from binascii import crc_hqx
from dataclasses import dataclass
from enum import Enum, StrEnum, auto
from typing import Final, Protocol

from drivers.framing import ReceiveBuffer
from parking.errors import Bug

DLE: Final = 0x10
STX: Final = 0x02
ETX: Final = 0x03
ACK: Final = 0x06
NAK: Final = 0x15

MOST_SAID: Final = 254
"""Longest data block that we send: from 255 on the length has two bytes, whose order peers disagree about."""

MOST_HEARD: Final = 1024
"""Longest data block that is understood; what a machine sends to a terminal is far below."""

_HEAD: Final = 3
_LONG_HEAD: Final = 5
_LONG: Final = 0xFF
_MOST_BODY: Final = _LONG_HEAD + MOST_HEARD
_ASTRAY: Final = -1
"""In the place of a size: nothing tells where the message ends."""

_CLASSES: Final = frozenset((0x04, 0x05, 0x06, 0x08, 0x0F, 0x80, 0x84))
"""Classes of messages (PA00P015, "Summary of Commands"; 0F: manufacturers' own)."""


@dataclass(frozen=True, slots=True)
class Apdu:
    """One application message: its control field (class and instruction, `0x0601`) and its data block."""

    control: int
    data: bytes = b""

    @property
    def raw(self) -> bytes:
        """Control field, length, data. Raises Bug above 254 bytes of data."""
        if len(self.data) > MOST_SAID:
            raise Bug(f"an APDU of {len(self.data)} bytes is never sent")
        return self.control.to_bytes(2, "big") + bytes((len(self.data),)) + self.data


class Signal(StrEnum):
    """What a serial line says besides messages."""

    ACK = "ack"
    """The last frame has arrived."""
    NAK = "nak"
    """The last frame was broken: say it again."""
    BROKEN = "broken"
    """A frame came whose check sum does not hold."""


Heard = Apdu | Signal


class Framing(Protocol):
    """What the three kinds of line have in common."""

    @property
    def partial(self) -> bool:
        """Whether something has begun that is not complete."""
        ...

    def encode(self, apdu: Apdu) -> bytes:
        """The exact bytes on the line."""
        ...

    def feed(self, data: bytes) -> list[Heard]:
        """Take bytes in; return what is complete now."""
        ...

    def reset(self) -> None:
        """Forget half a message."""
        ...


_MIRRORED: Final = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def crc16(data: bytes) -> int:
    """CRC-16 with polynomial 8408 reflected and start 0; on the line over the APDU, not doubled, and ETX.

    That is the CRC-CCITT of the standard library with the bits of every byte, and of the result, the other way round.
    """
    mirrored = crc_hqx(data.translate(_MIRRORED), 0)
    return _MIRRORED[mirrored >> 8] | _MIRRORED[mirrored & 0xFF] << 8


def _long_sizes(two: bytes) -> tuple[int, ...]:
    """What two bytes of length behind FF may mean: low byte first as in PA00P015, or high byte first as some write."""
    either = int.from_bytes(two, "little"), int.from_bytes(two, "big")
    return tuple(size for size in either if size <= MOST_HEARD)


def _long_size(two: bytes) -> int | None:
    """The one that is meant, where nothing but these two bytes tells; None where both orders make sense.

    With a zero in it both would as well, but the other is then a whole multiple of 256: it is the published order.
    """
    sizes = _long_sizes(two)
    return sizes[0] if len(set(sizes)) == 1 or (sizes and 0 in two) else None


def _whole(raw: bytes) -> Apdu | None:
    """The message that `raw` is exactly; where its end is known, the order of a long length is as well."""
    if len(raw) < _HEAD:
        return None
    control = int.from_bytes(raw[:2], "big")
    if raw[2] != _LONG:
        return Apdu(control, raw[_HEAD:]) if len(raw) == _HEAD + raw[2] else None
    fits = len(raw) - _LONG_HEAD in _long_sizes(raw[_HEAD:_LONG_HEAD])
    return Apdu(control, raw[_LONG_HEAD:]) if fits else None


def _may_begin(head: bytes) -> bool:
    """Whether a message may begin with these bytes, as far as there are any."""
    return not head or head[0] in _CLASSES


class TcpFraming:
    """Bare APDUs one after the other, or with `prefix` each behind its length in two bytes, high byte first.

    Without a prefix the length is believed, whatever the message is: what stands inside one is never taken for another.
    Where it means nothing, all is passed over until `reset`, which is for when the line has been silent.
    """

    def __init__(self, prefix: bool = False) -> None:
        self._prefix = 2 if prefix else 0
        self._buffer = ReceiveBuffer(2 * (self._prefix + _LONG_HEAD + MOST_HEARD))
        self._astray = False

    @property
    def partial(self) -> bool:
        """Whether something has begun that is not complete."""
        return self._astray or len(self._buffer) > 0

    def encode(self, apdu: Apdu) -> bytes:
        """The exact bytes on the line."""
        raw = apdu.raw
        return len(raw).to_bytes(self._prefix, "big") + raw if self._prefix else raw

    def feed(self, data: bytes) -> list[Heard]:
        """Take bytes in; return what is complete now. A byte with which no message may begin is skipped."""
        found: list[Heard] = []
        for start in range(0, len(data), MOST_HEARD):
            if self._astray:
                break
            self._buffer.extend(data[start : start + MOST_HEARD])
            self._take(found)
        return found

    def reset(self) -> None:
        """Forget half a message."""
        self._buffer.clear()
        self._astray = False

    def _take(self, found: list[Heard]) -> None:
        while len(self._buffer):
            head = self._buffer.peek(0, self._prefix + _LONG_HEAD)
            size = self._told_size(head) if self._prefix else self._own_size(head)
            if size is None or size > len(self._buffer):
                return
            if size == _ASTRAY:
                self._buffer.clear()
                self._astray = True
                return
            apdu = _whole(self._buffer.peek(self._prefix, size - self._prefix)) if size else None
            if apdu is None:
                self._buffer.skip(1)
            else:
                self._buffer.take(size)
                found.append(apdu)

    def _own_size(self, body: bytes) -> int | None:
        """How long the message is that stands here: 0 if it is none, None if that is not known yet."""
        if not _may_begin(body):
            return 0
        if len(body) < _HEAD or (body[2] == _LONG and len(body) < _LONG_HEAD):
            return None
        if body[2] != _LONG:
            return _HEAD + body[2]
        size = _long_size(body[_HEAD:_LONG_HEAD])
        return _ASTRAY if size is None else _LONG_HEAD + size

    def _told_size(self, head: bytes) -> int | None:
        """The same behind a prefix, which is no prefix if it is not the length of what follows."""
        body = head[self._prefix :]
        if not _may_begin(body):
            return 0
        if len(body) < _HEAD:
            return None
        told = int.from_bytes(head[: self._prefix], "big")
        fits = _HEAD <= told <= _LONG_HEAD + MOST_HEARD and body[2] in (_LONG, told - _HEAD)
        return self._prefix + told if fits else 0


class _At(Enum):
    """Where in a frame the line is."""

    OUTSIDE = auto()
    NOISE = auto()
    """Something came that belongs to no frame: an ACK in it would be chance."""
    BEGINNING = auto()
    BODY = auto()
    BODY_DLE = auto()
    CHECK = auto()


class SerialFraming:
    """`10 02`, the APDU with each 10 doubled, `10 03`, CRC low byte first; between frames 06 and 15 (PA00P016)."""

    def __init__(self) -> None:
        self._at = _At.OUTSIDE
        self._body = bytearray()
        self._check = bytearray()

    @property
    def partial(self) -> bool:
        """Whether something has begun that is not complete."""
        return self._at is not _At.OUTSIDE

    @property
    def inside(self) -> bool:
        """Whether a frame has begun: if it does not end, its sender waits for a NAK."""
        return self._at in (_At.BODY, _At.BODY_DLE, _At.CHECK)

    def encode(self, apdu: Apdu) -> bytes:
        """The exact bytes on the line."""
        raw = apdu.raw
        check = crc16(raw + bytes((ETX,))).to_bytes(2, "little")
        return bytes((DLE, STX)) + raw.replace(b"\x10", b"\x10\x10") + bytes((DLE, ETX)) + check

    def feed(self, data: bytes) -> list[Heard]:
        """Take bytes in; return what is complete now."""
        found: list[Heard] = []
        at = 0
        while at < len(data):
            if self._at is _At.BODY or self._at is _At.NOISE:
                at, heard = self._take_run(data, at)
            else:
                heard = self._take(data[at])
                at += 1
            if heard is not None:
                found.append(heard)
        return found

    def reset(self) -> None:
        """Forget half a message."""
        self._at = _At.OUTSIDE
        self._body.clear()
        self._check.clear()

    def _take_run(self, data: bytes, at: int) -> tuple[int, Heard | None]:
        """Take all bytes up to the next DLE at once, inside a frame or in noise; returns where the next byte stands."""
        dle = data.find(DLE, at)
        stop = len(data) if dle < 0 else dle
        if self._at is _At.BODY:
            room = _MOST_BODY - len(self._body)
            if stop - at > room:
                return at + room + 1, self._broken()
            self._body += data[at:stop]
        if dle < 0:
            return stop, None
        self._at = _At.BODY_DLE if self._at is _At.BODY else _At.BEGINNING
        return dle + 1, None

    def _take(self, byte: int) -> Heard | None:
        match self._at:
            case _At.BODY_DLE:
                return self._escaped(byte)
            case _At.CHECK:
                self._check.append(byte)
                return self._judged() if len(self._check) == 2 else None
            case _At.BEGINNING:
                self._begin(byte)
            case _:
                return self._between(byte)
        return None

    def _between(self, byte: int) -> Signal | None:
        if byte == DLE:
            self._at = _At.BEGINNING
        elif byte in (ACK, NAK):
            return Signal.ACK if byte == ACK else Signal.NAK
        else:
            self._at = _At.NOISE
        return None

    def _begin(self, byte: int) -> None:
        if byte == STX:
            self.reset()
            self._at = _At.BODY
        elif byte != DLE:
            self._at = _At.NOISE

    def _escaped(self, byte: int) -> Heard | None:
        if byte == DLE and len(self._body) < _MOST_BODY:
            self._body.append(DLE)
            self._at = _At.BODY
        elif byte == ETX:
            self._at = _At.CHECK
        elif byte == STX:  # half a frame, and a new one
            self._begin(byte)
        else:
            return self._broken()
        return None

    def _judged(self) -> Heard:
        body, check = bytes(self._body), int.from_bytes(self._check, "little")
        self.reset()
        apdu = _whole(body) if crc16(body + bytes((ETX,))) == check else None
        return Signal.BROKEN if apdu is None else apdu

    def _broken(self) -> Signal:
        self.reset()
        self._at = _At.NOISE
        return Signal.BROKEN
