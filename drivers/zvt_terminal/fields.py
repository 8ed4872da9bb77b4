"""What stands in the data blocks: numbers in BCD, and fields each behind its number ("bitmaps", BMP). Pure.

Source: PA00P015, chapter "Summary of utilised BMPs"; lengths `Fx Fy` are decimal digits in the low halves.
"""

from collections.abc import Mapping, Set
from enum import IntEnum
from typing import Final


class Bmp(IntEnum):
    """The fields that are used here."""

    SERVICE = 0x03
    AMOUNT = 0x04
    TLV = 0x06
    TRACE = 0x0B
    TIME = 0x0C
    DATE = 0x0D
    STATUS = 0x19
    RESULT = 0x27
    TERMINAL = 0x29
    TEXT = 0x3C
    CURRENCY = 0x49
    RECEIPT = 0x87
    CARD_TYPE = 0x8A
    CARD_NAME = 0x8B


class Control(IntEnum):
    """Control fields. What a terminal must refuse is not listed."""

    STATUS_INFORMATION = 0x040F
    INTERMEDIATE = 0x04FF
    STATUS_ENQUIRY = 0x0501
    REGISTRATION = 0x0600
    AUTHORISATION = 0x0601
    LOG_OFF = 0x0602
    COMPLETION = 0x060F
    RESET = 0x0618
    PRINT_CONFIGURATION = 0x061A
    ABORTED = 0x061E
    """From the terminal: it did not work."""
    REPEAT_RECEIPT = 0x0620
    REVERSAL = 0x0630
    REFUND = 0x0631
    END_OF_DAY = 0x0650
    DIAGNOSIS = 0x0670
    SELFTEST = 0x0679
    SET_TIME = 0x0691
    INITIALISATION = 0x0693
    ABORT = 0x06B0
    """From the machine: end what is going on."""
    PRINT_LINE = 0x06D1
    SELECT_LANGUAGE = 0x0830
    DONE = 0x8000
    REFUSED = 0x8400
    """And its low byte, why."""


class Result(IntEnum):
    """Result codes (PA00P015, chapter "Error-Messages")."""

    SUCCESS = 0x00
    GOODS_NOT_ISSUED = 0x66
    ABORTED = 0x6C
    WRONG_CURRENCY = 0x6F
    NOT_POSSIBLE = 0x83
    PLEASE_WAIT = 0x9C
    PARTLY_ISSUED = 0x9D
    REVERSAL_IMPOSSIBLE = 0xB5
    AMOUNT_TOO_SMALL = 0xC8


FIXED: Final[Mapping[int, int]] = {
    0x01: 1,
    0x02: 1,
    0x03: 1,
    0x04: 6,
    0x05: 1,
    0x0B: 3,
    0x0C: 3,
    0x0D: 2,
    0x0E: 2,
    0x17: 2,
    0x19: 1,
    0x27: 1,
    0x29: 4,
    0x2A: 15,
    0x37: 5,
    0x3A: 2,
    0x3B: 8,
    0x3D: 3,
    0x49: 2,
    0x87: 2,
    0x88: 3,
    0x8A: 1,
    0x8C: 1,
    0xA0: 1,
    0xAA: 3,
    0xBA: 5,
}
"""Bytes of the fields that always have the same length."""

COUNTED: Final[Mapping[int, int]] = {
    0x22: 2,
    0x23: 2,
    0x2D: 2,
    0x8B: 2,
    0xA7: 2,
    0xD0: 2,
    0x24: 3,
    0x2E: 3,
    0x3C: 3,
    0x60: 3,
    0x92: 3,
    0x9A: 3,
    0xAF: 3,
}
"""Digits of the length of fields that carry it (LL, LLL)."""


def bcd(value: int, size: int) -> bytes:
    """`value` in decimal digits, two a byte. Raises ValueError if it has too many."""
    return bytes.fromhex(_digits(value, 2 * size))


def _digits(value: int, count: int) -> str:
    text = f"{value:0{count}d}"
    if value < 0 or len(text) > count:
        raise ValueError(f"{value} has more than {count} digits")
    return text


def unbcd(raw: bytes) -> int | None:
    """The number, or None if a half byte is no digit."""
    text = raw.hex()
    return int(text) if text.isdecimal() else None


def field(bmp: Bmp, value: bytes) -> bytes:
    """One field with its number and, where it carries one, its length. Raises ValueError for a wrong length."""
    if (fixed := FIXED.get(bmp)) is not None:
        if len(value) != fixed:
            raise ValueError(f"BMP {bmp:02X} has {fixed} bytes, not {len(value)}")
        return bytes((bmp,)) + value
    digits = _digits(len(value), COUNTED[bmp])
    return bytes((bmp,)) + bytes(0xF0 | int(digit) for digit in digits) + value


def fields(data: bytes) -> dict[int, bytes]:
    """The fields of a data block, the first of each number; what comes behind one that is not known is left out."""
    found: dict[int, bytes] = {}
    at = 0
    while at < len(data):
        bmp = data[at]
        span = _span(data, at + 1, bmp)
        if span is None or span[1] > len(data):
            break
        found.setdefault(bmp, data[span[0] : span[1]])
        at = span[1]
    return found


def blackened(data: bytes, hidden: Set[int]) -> bytes:
    """A data block whose fields `hidden` are zero, as is all behind a field that is not known: it may be any."""
    shown, at = bytearray(len(data)), 0
    while at < len(data):
        bmp = data[at]
        span = _span(data, at + 1, bmp)
        if span is None or span[1] > len(data):
            break
        start, end = span
        shown[at : end if bmp not in hidden else start] = data[at : end if bmp not in hidden else start]
        at = end
    return bytes(shown)


def _span(data: bytes, at: int, bmp: int) -> tuple[int, int] | None:
    """Where the value of a field begins and ends, `at` behind its number."""
    if (fixed := FIXED.get(bmp)) is not None:
        return at, at + fixed
    if (digits := COUNTED.get(bmp)) is not None:
        head = data[at : at + digits]
        if len(head) < digits or any(byte >> 4 != 0xF or byte & 0xF > 9 for byte in head):
            return None
        return at + digits, at + digits + int("".join(str(byte & 0xF) for byte in head))
    return _tlv_span(data, at) if bmp == Bmp.TLV else None


def _tlv_span(data: bytes, at: int) -> tuple[int, int] | None:
    """A TLV container's length is that of BER: below 80 itself, else 81 and one byte, or 82 and two."""
    if at >= len(data):
        return None
    more = {0x81: 1, 0x82: 2}.get(data[at], 0)
    if data[at] >= 0x80 and not more:
        return None
    start = at + 1 + more
    size = int.from_bytes(data[at + 1 : start], "big") if more else data[at]
    return (start, start + size) if start <= len(data) else None
