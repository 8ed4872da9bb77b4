"""The secure channel (SIA OSDP v2.2, annex D): session keys, cryptograms, chained MACs, encrypted data. Pure.

A `Session` is a value: sealing and opening say what the session is afterwards, and change nothing. So a command can be
built to the last byte before it is decided whether it goes out, and the same bytes can go out again.
"""

from dataclasses import dataclass, replace
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC, ECB
from cryptography.hazmat.primitives.constant_time import bytes_eq

from drivers.osdp.codec import MAC_BYTES, Block, Frame

SCBK_D: Final = bytes(range(0x30, 0x40))
"""The key that every device knows (D.3): for installing only."""
NONCE: Final = 8
BYTES: Final = 16
CHALLENGE, CRYPTOGRAMS, PROOF, ACCEPTED = 0x11, 0x12, 0x13, 0x14
COMMAND, REPLY, COMMAND_DATA, REPLY_DATA = 0x15, 0x16, 0x17, 0x18
_MAC_ZERO: Final = bytes(8)


def _ecb(key: bytes, data: bytes) -> bytes:
    return Cipher(AES(key), ECB()).encryptor().update(data)  # noqa: S305 - single blocks, as the protocol has it


def _cbc(key: bytes, start: bytes, data: bytes) -> bytes:
    return Cipher(AES(key), CBC(start)).encryptor().update(data)


def _inverse(data: bytes) -> bytes:
    return bytes(byte ^ 0xFF for byte in data)


def _padded(data: bytes, always: bool) -> bytes:
    if not always and len(data) % BYTES == 0:
        return data
    return data + b"\x80" + bytes(-(len(data) + 1) % BYTES)


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one session, from the device's base key and the panel's random number (D.4.1)."""

    cipher: bytes
    mac1: bytes
    mac2: bytes

    @classmethod
    def of(cls, scbk: bytes, panel_nonce: bytes) -> "Keys":
        """Derive them."""
        made = (_ecb(scbk, bytes(kind) + panel_nonce[:6] + _MAC_ZERO) for kind in ((1, 0x82), (1, 1), (1, 2)))
        return cls(*made)

    def device_cryptogram(self, panel_nonce: bytes, device_nonce: bytes) -> bytes:
        """By which the device proves that it has the base key."""
        return _ecb(self.cipher, panel_nonce + device_nonce)

    def panel_cryptogram(self, panel_nonce: bytes, device_nonce: bytes) -> bytes:
        """By which the panel proves it."""
        return _ecb(self.cipher, device_nonce + panel_nonce)

    def first_mac(self, panel_cryptogram: bytes) -> bytes:
        """The R-MAC from which the chain begins."""
        return _ecb(self.mac2, _ecb(self.mac1, panel_cryptogram))

    def mac(self, data: bytes, before: bytes) -> bytes:
        """The MAC (16 bytes, of which 4 travel), chained to the one before (D.5)."""
        blocks = _padded(data, always=False)
        start = _cbc(self.mac1, before, blocks[:-BYTES])[-BYTES:] if len(blocks) > BYTES else before
        return _cbc(self.mac2, start, blocks[-BYTES:])


@dataclass(frozen=True, slots=True)
class Session:
    """A secure channel that stands. `last` is the MAC to which the next one is chained, the other side's always."""

    keys: Keys
    last: bytes

    def seal(self, frame: Frame) -> tuple[Frame, "Session"]:
        """The frame as it goes out, and the session with which its answer is to be opened (or the next one sealed)."""
        kind = (
            (REPLY if frame.is_reply else COMMAND)
            if not frame.data
            else (REPLY_DATA if frame.is_reply else COMMAND_DATA)
        )
        data = _cbc(self.keys.cipher, _inverse(self.last), _padded(frame.data, always=True)) if frame.data else b""
        bare = replace(frame, block=Block(kind), data=data)
        mac = self.keys.mac(bare.covered, self.last)
        return replace(bare, mac=mac[:MAC_BYTES]), replace(self, last=mac)

    def open(self, frame: Frame) -> tuple[Frame, "Session"] | None:
        """The frame in plain, and the session that follows; None if it is not of this session, or not the next one."""
        kinds = (REPLY, REPLY_DATA) if frame.is_reply else (COMMAND, COMMAND_DATA)
        if frame.block is None or frame.block.kind not in kinds:
            return None
        mac = self.keys.mac(frame.covered, self.last)
        if not bytes_eq(mac[:MAC_BYTES], frame.mac):
            return None
        data = frame.data
        if frame.block.kind == kinds[1] and data:
            if len(data) % BYTES:
                return None
            plain = Cipher(AES(self.keys.cipher), CBC(_inverse(self.last))).decryptor().update(data)
            data, mark, rest = plain.rpartition(b"\x80")
            if not mark or rest.strip(b"\0"):
                return None
        return replace(frame, block=None, mac=b"", data=data), replace(self, last=mac)
