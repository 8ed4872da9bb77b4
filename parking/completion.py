"""The completion (決済完了信号): a signed statement "stay S of lot L is paid, amount X, until T".

One format for the feed, the QR code and the archive:

    version u8 = 1 | key id u16 | lot u32 | number u32 | kind u8 | entered u32 | amount u32 | paid at u32
    | valid until u32 | name length u8, name UTF-8 | exit length u8, exit ASCII | Ed25519 signature, 64 bytes

Integers are big-endian, times are whole seconds since 1970 UTC, `entered` = 0 means unknown. The signature covers
everything before it, under its own domain. As decimal digits (`to_digits`) it fits a small QR code that any scanner
can type on any keyboard layout.
"""

import struct
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from parking.errors import BadMessage, Code, DaikoError
from parking.money import Yen, yen
from parking.signing import SIGNATURE_BYTES, KeyRing, SigningKey
from parking.stay import LotId, NameKind, StayRef

VERSION: Final = 1
DOMAIN: Final = b"daiko-completion-v1"
EXIT_BYTES: Final = 16
MOST_BYTES: Final = 28 + 1 + 32 + 1 + EXIT_BYTES + SIGNATURE_BYTES

_HEAD: Final = struct.Struct(">BHIIBIIII")
_KINDS: Final = (NameKind.BAY, NameKind.TICKET, NameKind.PLATE)


@dataclass(frozen=True, slots=True)
class Completion:
    """Stay `stay` of lot `lot` is paid: `amount` yen at `paid_at`; good for a release until `valid_until`.

    `number` counts the completions of one lot from 1 without gaps. `exit` names the lane where the driver stands, or
    is empty: a bay's own plate, or no release by us. Times are aware UTC in whole seconds.
    """

    key_id: int
    lot: LotId
    number: int
    stay: StayRef
    amount: Yen
    paid_at: datetime
    valid_until: datetime
    exit: str = ""

    @property
    def reference(self) -> str:
        """Our name of this payment towards legacy systems: `DK-1001-42`."""
        return f"DK-{self.lot}-{self.number}"


def sign(completion: Completion, key: SigningKey) -> bytes:
    """Pack and sign; raises BadMessage(BAD_COMPLETION) if a field does not fit or names another key."""
    if completion.key_id != key.key_id:
        raise BadMessage(Code.BAD_COMPLETION, f"names key {completion.key_id}, signed with {key.key_id}")
    payload = _pack(completion)
    return payload + key.sign(DOMAIN, payload)


def verify(packed: bytes, keys: KeyRing) -> Completion:
    """Unpack a completion whose signature holds.

    Raises BadMessage: BAD_COMPLETION (malformed), UNKNOWN_KEY, or BAD_SIGNATURE (forged or altered).
    """
    completion = _unpack(packed)
    payload, signature = packed[:-SIGNATURE_BYTES], packed[-SIGNATURE_BYTES:]
    keys.verify(completion.key_id, DOMAIN, payload, signature)
    return completion


def to_digits(packed: bytes) -> str:
    """The packed completion as decimal digits; the version byte in front keeps leading zeros away."""
    return str(int.from_bytes(packed, "big"))


def from_digits(digits: str) -> bytes:
    """The inverse of `to_digits`, for ASCII digits; raises BadMessage(BAD_COMPLETION) on anything else."""
    if not digits.isascii() or not digits.isdecimal() or len(digits) > MOST_BYTES * 5 // 2:
        raise BadMessage(Code.BAD_COMPLETION, "a completion code holds digits only")
    value = int(digits)
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def _pack(completion: Completion) -> bytes:
    stay = completion.stay
    name, lane = stay.name.encode(), completion.exit.encode("ascii", "replace")
    if len(lane) > EXIT_BYTES or lane.decode() != completion.exit:
        raise BadMessage(Code.BAD_COMPLETION, f"exit {completion.exit!r}: at most {EXIT_BYTES} ASCII characters")
    try:
        head = _HEAD.pack(
            VERSION,
            completion.key_id,
            completion.lot,
            completion.number,
            _KINDS.index(stay.kind),
            _seconds(stay.entered_at) if stay.entered_at else 0,
            yen(completion.amount),
            _seconds(completion.paid_at),
            _seconds(completion.valid_until),
        )
    except struct.error as error:
        raise BadMessage(Code.BAD_COMPLETION, f"a field does not fit: {error}") from error
    return head + bytes((len(name),)) + name + bytes((len(lane),)) + lane


def _unpack(packed: bytes) -> Completion:
    try:
        version, key_id, lot, number, kind, entered, amount, paid, until = _HEAD.unpack_from(packed)
        if version != VERSION:
            raise BadMessage(Code.BAD_COMPLETION, f"version {version}, this program knows {VERSION}")
        name, at = _text(packed, _HEAD.size)
        lane, at = _text(packed, at)
        if len(packed) - at != SIGNATURE_BYTES or not lane.isascii():
            raise BadMessage(Code.BAD_COMPLETION, "wrong length")
        stay = StayRef(_KINDS[kind], name, _time(entered) if entered else None)
        return Completion(key_id, LotId(lot), number, stay, yen(amount), _time(paid), _time(until), lane)
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise BadMessage(Code.BAD_COMPLETION, f"truncated or garbled: {error}") from error
    except DaikoError as error:
        raise BadMessage(Code.BAD_COMPLETION, error.detail) from error


def _text(packed: bytes, at: int) -> tuple[str, int]:
    end = at + 1 + packed[at]
    if end > len(packed) - SIGNATURE_BYTES:
        raise IndexError("text runs into the signature")
    return packed[at + 1 : end].decode(), end


def _seconds(at: datetime) -> int:
    if at.utcoffset() is None or at.microsecond:
        raise BadMessage(Code.BAD_COMPLETION, f"time {at!r} must be aware and in whole seconds")
    return int(at.timestamp())


def _time(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
