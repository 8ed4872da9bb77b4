"""OSDP frames to bytes and back (SIA OSDP v2.2, section 5.9): both directions, CRC or checksum, security block, MAC.

    53 address length(2) control [block] code data… [MAC(4)] check(1 or 2)

The address has bit 80 set in replies; the length counts from 53 to the check; control holds the sequence number (bits
0-1), whether the check is a CRC (04) and whether a security block follows (08). Numbers are little-endian.
"""

import binascii
from dataclasses import dataclass, replace
from typing import Final

from drivers.framing import ReceiveBuffer

START: Final = 0x53
MARK: Final = b"\xff"
"""May go before a frame so that the line settles; no part of it."""
BROADCAST: Final = 0x7F
MOST: Final = 1440
"""Bytes of the longest frame (section 5.9)."""
HEAD: Final = 5
MAC_BYTES: Final = 4
CRC_START: Final = 0x1D0F
REPLY: Final = 0x80
WITH_CRC: Final = 0x04
WITH_BLOCK: Final = 0x08
SEQUENCE: Final = 0x03
MACED: Final = range(0x15, 0x19)
"""Security blocks (SCS_15…SCS_18) whose frames end with a MAC."""


@dataclass(frozen=True, slots=True)
class Block:
    """A security block: its type (SCS_11…SCS_18) and what it holds."""

    kind: int
    data: bytes = b""


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame. `data` is as it stands on the wire: encrypted if the block says so."""

    address: int
    code: int
    data: bytes = b""
    sequence: int = 0
    is_reply: bool = False
    crc: bool = True
    block: Block | None = None
    mac: bytes = b""

    @property
    def sealed(self) -> bool:
        """Whether it belongs to a secure channel that stands."""
        return self.block is not None and self.block.kind in MACED

    @property
    def covered(self) -> bytes:
        """What the MAC is made of: all before it, with the length that the whole frame has."""
        whole = encode(replace(self, mac=bytes(MAC_BYTES)) if self.sealed and not self.mac else self)
        return whole[: len(whole) - (2 if self.crc else 1) - (MAC_BYTES if self.sealed else 0)]


def crc(data: bytes) -> int:
    """CRC-16, polynomial 1021, start 1D0F, not reflected (annex C)."""
    return binascii.crc_hqx(data, CRC_START)


def checksum(data: bytes) -> int:
    """The byte that makes the sum of all bytes zero modulo 256."""
    return -sum(data) & 0xFF


def encode(frame: Frame) -> bytes:
    """The exact bytes of a frame."""
    block = b"" if frame.block is None else bytes((2 + len(frame.block.data), frame.block.kind)) + frame.block.data
    body = block + bytes((frame.code,)) + frame.data + frame.mac
    control = frame.sequence | (WITH_CRC if frame.crc else 0) | (WITH_BLOCK if block else 0)
    length = HEAD + len(body) + (2 if frame.crc else 1)
    head = bytes((START, frame.address | (REPLY if frame.is_reply else 0)))
    raw = head + length.to_bytes(2, "little") + bytes((control,)) + body
    return raw + (crc(raw).to_bytes(2, "little") if frame.crc else bytes((checksum(raw),)))


def decode(raw: bytes) -> Frame | None:
    """The frame that `raw` is from the first byte to the last; None if it is none."""
    if len(raw) < HEAD + 2 or raw[0] != START or int.from_bytes(raw[2:4], "little") != len(raw):
        return None
    control = raw[4]
    with_crc = bool(control & WITH_CRC)
    if (crc(raw[:-2]) != int.from_bytes(raw[-2:], "little")) if with_crc else sum(raw) & 0xFF:
        return None
    body = raw[HEAD : -2 if with_crc else -1]
    block: Block | None = None
    if control & WITH_BLOCK:
        if not body or not 2 <= body[0] <= len(body):
            return None
        block, body = Block(body[1], body[2 : body[0]]), body[body[0] :]
    mac = b""
    if block is not None and block.kind in MACED and len(body) > MAC_BYTES:  # a panel is known that begins without MAC
        body, mac = body[:-MAC_BYTES], body[-MAC_BYTES:]
    if not body:
        return None
    sequence, is_reply = control & SEQUENCE, bool(raw[1] & REPLY)
    return Frame(raw[1] & BROADCAST, body[0], body[1:], sequence, is_reply, with_crc, block, mac)


class Codec:
    """Finds frames in a stream of bytes.

    What cannot begin a frame is passed over. A complete frame behind an incomplete one is taken: the incomplete one was
    garbage that looked like a beginning.
    """

    def __init__(self) -> None:
        """Nothing heard yet."""
        self._buffer = ReceiveBuffer(MOST)

    def feed(self, data: bytes) -> list[Frame]:
        """Take bytes in; return the frames that are complete now."""
        found: list[Frame] = []
        for start in range(0, len(data), MOST // 2):
            self._buffer.extend(data[start : start + MOST // 2])
            while (frame := self._next()) is not None:
                found.append(frame)
        return found

    def reset(self) -> None:
        """Forget half a frame."""
        self._buffer.clear()

    def _next(self) -> Frame | None:
        """Take the first complete frame out; give up what stands before it, and what can never be one."""
        heard = self._buffer.peek()
        first_hope = len(heard)
        place = heard.find(START)
        while place >= 0:
            length = int.from_bytes(heard[place + 2 : place + 4], "little") if place + 4 <= len(heard) else 0
            if place + max(length, HEAD) > len(heard) and length <= MOST:
                first_hope = min(first_hope, place)
            elif (frame := decode(heard[place : place + length])) is not None:
                self._buffer.skip(place)
                self._buffer.take(length)
                return frame
            place = heard.find(START, place + 1)
        self._buffer.skip(first_hope)
        return None
