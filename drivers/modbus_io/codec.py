"""Modbus frames on a serial line (RTU) and on TCP (MBAP), both directions, sans-I/O.

`feed` takes bytes as they come and returns the frames that are complete; garbage before, between and after frames is
skipped, buffers are bounded, and no bytes make it raise. Sources: Modbus over Serial Line V1.02 (RTU), Modbus Messaging
on TCP/IP V1.0b (MBAP).
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from drivers.framing import ReceiveBuffer, holds_crc16, with_crc16
from drivers.modbus_io.pdu import MOST_PDU, Pdu, pack, reply_size, request_size, unpack_reply, unpack_request

RTU_OVERHEAD: Final = 3
RTU_MOST: Final = 256
MBAP_HEADER: Final = 7
TCP_MOST: Final = 2 * (MBAP_HEADER + MOST_PDU)


class Side(StrEnum):
    """Whose ears these are."""

    MASTER = "master"
    """Hears answers."""
    SLAVE = "slave"
    """Hears requests."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A request or an answer with its address; `transaction` is 0 on a serial line."""

    unit: int
    pdu: Pdu
    transaction: int = 0


class Codec(Protocol):
    """What RTU and TCP have in common."""

    def encode(self, frame: Frame) -> bytes:
        """The exact bytes of a frame."""
        ...

    def feed(self, data: bytes) -> list[Frame]:
        """Take bytes in; return the frames that are complete now."""
        ...

    def reset(self) -> None:
        """Forget half a frame."""
        ...


class _Broken:
    """What stands here can never become a frame."""


class _Short:
    """What stands here may become a frame."""


_Verdict = tuple[Frame, int] | type[_Broken] | type[_Short]


def _take_frames(buffer: ReceiveBuffer, judge: "_Judge", patient: bool) -> list[Frame]:
    """Take all complete frames out of a buffer; give up what lies before them, and what can never be one.

    `patient`: what may become a frame is waited for. Otherwise a complete frame behind it is taken and shows that it
    was garbage; that needs a check sum which tells frames from chance.
    """
    found: list[Frame] = []
    place, only_broken = 0, True
    while place < len(buffer):
        verdict = judge(place)
        if isinstance(verdict, tuple):
            frame, size = verdict
            buffer.skip(place)
            buffer.take(size)
            found.append(frame)
            place, only_broken = 0, True
        elif verdict is _Broken and only_broken:
            buffer.skip(place + 1)
            place = 0
        elif patient and verdict is _Short:
            break
        else:
            only_broken = False
            place += 1
    return found


class _Judge(Protocol):
    def __call__(self, place: int) -> _Verdict: ...


class RtuCodec:
    """RTU: unit, PDU, CRC. Hears one unit only, so that noise and neighbours on the line are passed over."""

    def __init__(self, side: Side, unit: int) -> None:
        self._side = side
        self._unit = unit
        self._buffer = ReceiveBuffer(2 * RTU_MOST)

    def encode(self, frame: Frame) -> bytes:
        """The exact bytes of a frame."""
        return with_crc16(bytes((frame.unit,)) + pack(frame.pdu))

    def feed(self, data: bytes) -> list[Frame]:
        """Take bytes in; return the frames that are complete now.

        A frame counts where its CRC holds at the length that its function gives it; a request with an unknown function,
        where the CRC holds over all that has come so far.
        """
        found: list[Frame] = []
        for start in range(0, len(data), RTU_MOST):
            self._buffer.extend(data[start : start + RTU_MOST])
            found += _take_frames(self._buffer, self._judge, patient=False)
        return found

    def reset(self) -> None:
        """Forget half a frame."""
        self._buffer.clear()

    def _judge(self, place: int) -> _Verdict:
        head = self._buffer.peek(place, 8)
        if head[0] != self._unit:
            return _Broken
        asking = self._side is Side.SLAVE
        size = request_size(head[1:]) if asking else reply_size(head[1:])
        if size is None:
            if not asking:
                return _Broken
            size = max(1, len(self._buffer) - place - RTU_OVERHEAD)
        elif size == 0:
            return _Short
        if size + RTU_OVERHEAD > RTU_MOST:
            return _Broken
        framed = self._buffer.peek(place, size + RTU_OVERHEAD)
        if len(framed) < size + RTU_OVERHEAD:
            return _Short
        if not holds_crc16(framed):
            return _Short if asking and request_size(head[1:]) is None else _Broken
        pdu = unpack_request(framed[1:-2]) if asking else unpack_reply(framed[1:-2])
        return _Broken if pdu is None else (Frame(self._unit, pdu), len(framed))


class TcpCodec:
    """TCP: an MBAP header (transaction, protocol 0, length, unit), then the PDU; no check sum of its own."""

    def __init__(self, side: Side) -> None:
        self._side = side
        self._buffer = ReceiveBuffer(TCP_MOST)

    def encode(self, frame: Frame) -> bytes:
        """The exact bytes of a frame."""
        body = bytes((frame.unit,)) + pack(frame.pdu)
        return frame.transaction.to_bytes(2, "big") + b"\0\0" + len(body).to_bytes(2, "big") + body

    def feed(self, data: bytes) -> list[Frame]:
        """Take bytes in; return the frames that are complete now."""
        found: list[Frame] = []
        for start in range(0, len(data), MBAP_HEADER + MOST_PDU):
            self._buffer.extend(data[start : start + MBAP_HEADER + MOST_PDU])
            found += _take_frames(self._buffer, self._judge, patient=True)
        return found

    def reset(self) -> None:
        """Forget half a frame."""
        self._buffer.clear()

    def _judge(self, place: int) -> _Verdict:
        head = self._buffer.peek(place, MBAP_HEADER + 2)
        length = int.from_bytes(head[4:6], "big")
        if head[2:4] != b"\0\0"[: len(head[2:4])] or (len(head) >= 6 and not 2 <= length <= 1 + MOST_PDU):
            return _Broken
        if len(head) < 6:
            return _Short
        if not self._fits(head[MBAP_HEADER:], length - 1):
            return _Broken
        raw = self._buffer.peek(place, 6 + length)
        if len(raw) < 6 + length:
            return _Short
        body = raw[MBAP_HEADER:]
        pdu = unpack_request(body) if self._side is Side.SLAVE else unpack_reply(body)
        if pdu is None:
            return _Broken
        return Frame(raw[6], pdu, int.from_bytes(raw[:2], "big")), len(raw)

    def _fits(self, head: bytes, size: int) -> bool:
        """Whether a PDU of `size` bytes may begin so; finds a desynchronised stream out early."""
        if not head or self._side is Side.SLAVE:
            return True
        wanted = reply_size(head)
        return wanted is not None and wanted in (0, size)
