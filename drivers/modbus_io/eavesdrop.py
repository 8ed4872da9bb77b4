"""Modbus RTU frames of any unit, both directions, in what goes by on a line. Sans-I/O.

A line carries requests and answers alike; a frame counts where its CRC holds at the length that its function gives it.
"""

from dataclasses import dataclass
from typing import Final

from drivers.framing import ReceiveBuffer, holds_crc16
from drivers.modbus_io.pdu import Pdu, reply_size, request_size, unpack_reply, unpack_request

RTU_OVERHEAD: Final = 3
RTU_MOST: Final = 256


@dataclass(frozen=True, slots=True)
class Heard:
    """Bytes that went by; `pdu` is None where they are no Modbus frame."""

    raw: bytes
    unit: int = 0
    answer: bool = False
    pdu: Pdu | None = None

    def __str__(self) -> str:
        """One line for people."""
        if self.pdu is None:
            return f"{self.raw.hex(' ')}  ?"
        return f"{self.raw.hex(' ')}  unit {self.unit} {'<' if self.answer else '>'} {self.pdu}"


class Eavesdropper:
    """Finds Modbus RTU frames of any unit, both directions, in what goes by."""

    def __init__(self) -> None:
        """Nothing was heard yet."""
        self._buffer = ReceiveBuffer(2 * RTU_MOST)
        self._request: Heard | None = None

    def feed(self, data: bytes) -> list[Heard]:
        """Take bytes in; return frames, and the bytes between them, as far as they are decided."""
        heard: list[Heard] = []
        for start in range(0, len(data), RTU_MOST):
            self._buffer.extend(data[start : start + RTU_MOST])
            heard += self._decided()
        return heard

    def silence(self) -> list[Heard]:
        """The line is quiet: what is still there will not become a frame."""
        rest = self._buffer.take(len(self._buffer))
        return [Heard(rest)] if rest else []

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
