"""Modbus frames of any unit, both directions, in what goes by: on a serial line (RTU) and on TCP. Sans-I/O.

A serial line carries requests and answers alike; a frame counts where its CRC holds at the length that its function
gives it. On TCP a frame counts where its header can be one; what repeats the number of an open request answers it.
"""

from dataclasses import dataclass
from typing import Final

from drivers.framing import ReceiveBuffer, holds_crc16
from drivers.modbus_io.codec import MBAP_HEADER, RTU_MOST, RTU_OVERHEAD, TCP_MOST
from drivers.modbus_io.pdu import MOST_PDU, Pdu, reply_size, request_size, unpack_reply, unpack_request

_LENGTH_ENDS: Final = 6
"""Of a header on TCP, which goes on with the unit."""
MOST_OPEN: Final = 256
"""Requests without an answer that are remembered; more of them never get one."""


@dataclass(frozen=True, slots=True)
class Heard:
    """Bytes that went by; `pdu` is None where they are no Modbus frame."""

    raw: bytes
    unit: int = 0
    answer: bool = False
    pdu: Pdu | None = None


class _Ear:
    """Bytes that go by, cut where they are decided; `most` is how many a frame has at most."""

    def __init__(self, most: int, kept: int) -> None:
        self._most, self._buffer = most, ReceiveBuffer(kept)

    def feed(self, data: bytes) -> list[Heard]:
        """Take bytes in; return frames, and the bytes between them, as far as they are decided."""
        heard: list[Heard] = []
        for start in range(0, len(data), self._most):
            self._buffer.extend(data[start : start + self._most])
            heard += self._decided()
        return heard

    def silence(self) -> list[Heard]:
        """Nothing comes any more: what is still there will not become a frame."""
        rest = self._buffer.take(len(self._buffer))
        return [Heard(rest)] if rest else []

    def _decided(self) -> list[Heard]:
        raise NotImplementedError


class Eavesdropper(_Ear):
    """Finds Modbus RTU frames of any unit, both directions, in what goes by."""

    def __init__(self) -> None:
        """Nothing was heard yet."""
        super().__init__(RTU_MOST, 2 * RTU_MOST)
        self._request: Heard | None = None

    def _decided(self) -> list[Heard]:
        heard: list[Heard] = []
        place = 0
        while place < len(self._buffer):
            frame = self._frame(place)
            if frame is None:
                place += 1
                continue
            if place:
                heard.append(Heard(self._buffer.take(place)))
            self._buffer.take(len(frame.raw))
            self._request = None if frame.answer else frame
            heard.append(frame)
            place = 0
        if (old := len(self._buffer) - RTU_MOST) > 0:
            heard.append(Heard(self._buffer.take(old)))
        return heard

    def _frame(self, place: int) -> Heard | None:
        """A frame that begins here. Where both readings hold (an echoed write), it answers the last request."""
        head = self._buffer.peek(place, RTU_MOST)
        answer = self._reading(head, answer=True)
        request = self._reading(head, answer=False)
        if answer is None or request is None:
            return answer or request
        last = self._request
        return answer if last is not None and last.raw == answer.raw else request

    @staticmethod
    def _reading(head: bytes, *, answer: bool) -> Heard | None:
        size = (reply_size if answer else request_size)(head[1:])
        if not size or len(head) < size + RTU_OVERHEAD:
            return None
        raw = head[: size + RTU_OVERHEAD]
        if not holds_crc16(raw):
            return None
        pdu = (unpack_reply if answer else unpack_request)(raw[1:-2])
        return None if pdu is None else Heard(raw, raw[0], answer, pdu)


class TcpEavesdropper(_Ear):
    """Finds Modbus TCP frames in what goes by; `answers` says who is heard, None where that is both sides."""

    def __init__(self, answers: bool | None = None) -> None:
        """Nothing was heard yet."""
        super().__init__(MBAP_HEADER + MOST_PDU, TCP_MOST)
        self._answers = answers
        self._open: set[int] = set()

    def _decided(self) -> list[Heard]:
        heard: list[Heard] = []
        place = 0
        while place < len(self._buffer):
            head = self._buffer.peek(place, _LENGTH_ENDS)
            length = int.from_bytes(head[4:], "big")
            may_begin = head[2:4] == bytes(len(head[2:4])) and (len(head) < _LENGTH_ENDS or 2 <= length <= 1 + MOST_PDU)
            if may_begin and place + _LENGTH_ENDS + length > len(self._buffer):
                break
            frame = self._frame(self._buffer.peek(place, _LENGTH_ENDS + length)) if may_begin else None
            if frame is None:
                place += 1
                continue
            if place:
                heard.append(Heard(self._buffer.take(place)))
            self._buffer.take(len(frame.raw))
            heard.append(frame)
            place = 0
        if place:
            heard.append(Heard(self._buffer.take(place)))
        return heard

    def _frame(self, raw: bytes) -> Heard | None:
        number, body = int.from_bytes(raw[:2], "big"), raw[MBAP_HEADER:]
        answer = number in self._open if self._answers is None else self._answers
        pdu: Pdu | None = unpack_reply(body) if answer else unpack_request(body)
        if pdu is None:
            return None
        (self._open.discard if answer else self._open.add)(number)
        if len(self._open) > MOST_OPEN:
            self._open.clear()
        return Heard(raw, raw[6], answer, pdu)
