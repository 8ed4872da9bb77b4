"""Pieces that byte-oriented codecs share: a bounded receive buffer and check sums. Pure: no I/O, no clock."""

from typing import Final


def _table(polynomial: int) -> tuple[int, ...]:
    rows = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (polynomial if value & 1 else 0)
        rows.append(value)
    return tuple(rows)


_CRC16_MODBUS: Final = _table(0xA001)


def crc16(data: bytes) -> int:
    """CRC-16/MODBUS: polynomial A001 reflected, start FFFF (Modbus over Serial Line V1.02, appendix B)."""
    crc = 0xFFFF
    for byte in data:
        crc = (crc >> 8) ^ _CRC16_MODBUS[(crc ^ byte) & 0xFF]
    return crc


def with_crc16(body: bytes) -> bytes:
    """`body` and its CRC-16/MODBUS, low byte first, as it stands on the wire."""
    return body + crc16(body).to_bytes(2, "little")


def holds_crc16(framed: bytes) -> bool:
    """Whether the last two bytes are the CRC-16/MODBUS of those before: over both the remainder is zero."""
    return len(framed) > 2 and crc16(framed) == 0


def lrc(data: bytes) -> int:
    """The longitudinal check of Modbus ASCII: the byte that makes the sum of all bytes zero modulo 256."""
    return -sum(data) & 0xFF


class ReceiveBuffer:
    """Bytes that wait to become frames; holds at most `most`, older bytes give way (and are counted as lost)."""

    __slots__ = ("_bytes", "lost", "most")

    def __init__(self, most: int) -> None:
        self.most = most
        self.lost = 0
        self._bytes = bytearray()

    def extend(self, data: bytes) -> None:
        """Add what came in."""
        self._bytes += data
        if (over := len(self._bytes) - self.most) > 0:
            self.lost += over
            del self._bytes[:over]

    def take(self, count: int) -> bytes:
        """Remove and return the oldest `count` bytes (fewer if there are not so many)."""
        taken = bytes(self._bytes[:count])
        del self._bytes[:count]
        return taken

    def skip(self, count: int) -> None:
        """Give up the oldest `count` bytes as garbage."""
        self.lost += min(count, len(self._bytes))
        del self._bytes[:count]

    def clear(self) -> None:
        """Forget everything."""
        self._bytes.clear()

    def peek(self, start: int = 0, count: int | None = None) -> bytes:
        """Look at `count` bytes from `start` (all to the end by default) without removing them."""
        return bytes(self._bytes[start:] if count is None else self._bytes[start : start + count])

    def __len__(self) -> int:
        return len(self._bytes)
