"""The completion (決済完了信号): a signed statement "stay S of lot L is paid, amount X, until T".

One format for the feed, the QR code and the archive:

    version u8 = 1 | key id u16 | lot u32 | number u32 | kind u8 | entered u32 | amount u32 | paid at u32
    | valid until u32 | name length u8, name UTF-8 | exit length u8, exit ASCII | Ed25519 signature, 64 bytes

Integers are big-endian, times are whole seconds since 1970 UTC, `entered` = 0 means unknown. The signature covers
everything before it, under its own domain. As decimal digits (`to_digits`) it fits a small QR code that any scanner
can type on any keyboard layout.

Where nothing can scan, the phone shows the same as a *typed code* of 21 digits. A signature cannot be that short, so it
is proven by a key that the cloud shares with the lot's bridge alone (docs/offline-codes.md, ADR 0018):

    20 digits: key number 2 bits | number mod 128: 7 | minute of payment mod 1024: 10 | amount / 10: 13 | MAC 34
    + 1 check digit (Damm), which catches every single wrong digit and every swap of neighbours

    MAC: the first 34 bits of HMAC-SHA256 of "daiko-code-v1", a zero byte, lot u32 | number u32 | minute u32
    | amount u32 | the stay's key in UTF-8
"""

import hashlib
import hmac
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from parking.errors import BadMessage, Code, DaikoError
from parking.money import Yen, yen
from parking.signing import SIGNATURE_BYTES, KeyRing, SigningKey
from parking.stay import LotId, NameKind, StayRef, fold_digits

VERSION: Final = 1
DOMAIN: Final = b"daiko-completion-v1"
EXIT_BYTES: Final = 16
MOST_BYTES: Final = 28 + 1 + 32 + 1 + EXIT_BYTES + SIGNATURE_BYTES

CODE_DIGITS: Final = 21
CODE_DOMAIN: Final = b"daiko-code-v1"
CODE_MOST_YEN: Final = 81_910
"""The largest amount that has a typed code; it must be whole tens as well."""

CODE_NUMBERS_AHEAD: Final = 64
"""By how much a typed code's number may exceed the highest one below which the lot misses none."""

CODE_AHEAD: Final = timedelta(minutes=5)
"""How far the lot's clock may be behind the cloud's for a typed code to be read."""

_HEAD: Final = struct.Struct(">BHIIBIIII")
_KINDS: Final = (NameKind.BAY, NameKind.TICKET, NameKind.PLATE, NameKind.DESK)


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


def read_own(packed: bytes) -> Completion:
    """Unpack without a look at the signature: for whoever signed and kept it. Raises BadMessage(BAD_COMPLETION)."""
    return _unpack(packed)


def to_digits(packed: bytes) -> str:
    """The packed completion as decimal digits; the version byte in front keeps leading zeros away."""
    return str(int.from_bytes(packed, "big"))


def from_digits(digits: str) -> bytes:
    """The inverse of `to_digits`, for ASCII digits; raises BadMessage(BAD_COMPLETION) on anything else."""
    if not digits.isascii() or not digits.isdecimal() or len(digits) > MOST_BYTES * 5 // 2:
        raise BadMessage(Code.BAD_COMPLETION, "a completion code holds digits only")
    value = int(digits)
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


@dataclass(frozen=True, slots=True)
class Typed:
    """What a typed code stated, proven by the lot's key. `paid_at` is the beginning of the minute of payment."""

    number: int
    stay: StayRef
    amount: Yen
    paid_at: datetime


def has_typed_code(amount: int) -> bool:
    """Whether an amount fits a typed code: whole tens, not too large."""
    return amount % 10 == 0 and 0 <= amount <= CODE_MOST_YEN


def typed_code(completion: Completion, kid: int, key: bytes) -> str:
    """The completion as 21 digits under the lot's key number `kid` (0…3).

    Raises BadMessage(BAD_COMPLETION) if it has none: an amount above 81,910 yen or not in whole tens.
    """
    amount = yen(completion.amount)
    if not has_typed_code(amount) or not 0 <= kid < 1 << _KID:
        raise BadMessage(Code.BAD_COMPLETION, f"{amount} yen under key {kid} has no typed code")
    minute = _seconds(completion.paid_at) // 60
    mac = _mac(key, completion.lot, completion.number, minute, amount, completion.stay)
    value = kid
    for part, bits in ((completion.number, _NUMBER), (minute, _MINUTE), (amount // 10, _AMOUNT), (mac, _MAC)):
        value = value << bits | part % (1 << bits)
    digits = f"{value:0{CODE_DIGITS - 1}d}"
    return digits + str(_damm(digits))


def read_code(text: str, keys: Mapping[int, bytes], lot: LotId, stay: StayRef, after: int, now: datetime) -> Typed:
    """Prove a typed code for this stay of this lot; spaces, hyphens and full-width digits are as good as plain ones.

    The code holds only the end of the completion's number and of its minute. `after` is the highest number below which
    the lot misses none: the number is the one from after - 63 to after + 64 that fits. The minute is the latest that
    fits and is not more than five minutes ahead of `now`: how old a code may be is the caller's to say.

    Raises BadMessage(WRONG_CODE) for everything that does not hold, and says no more than that.
    """
    digits = fold_digits(text)
    if len(digits) != CODE_DIGITS or not digits.isascii() or not digits.isdecimal() or _damm(digits):
        raise BadMessage(Code.WRONG_CODE, f"not a code of {CODE_DIGITS} digits, or mistyped")
    value = int(digits[:-1])
    value, mac = divmod(value, 1 << _MAC)
    value, tens = divmod(value, 1 << _AMOUNT)
    value, minute_end = divmod(value, 1 << _MINUTE)
    kid, number_end = divmod(value, 1 << _NUMBER)
    number = _fitting(number_end, _NUMBER, after + CODE_NUMBERS_AHEAD)
    minute = _fitting(minute_end, _MINUTE, int((now + CODE_AHEAD).timestamp()) // 60)
    key = keys.get(kid)
    if key is None or not 1 <= number < 1 << 32 or minute < 0:
        raise BadMessage(Code.WRONG_CODE, "the code does not fit this stay")
    right = _mac(key, lot, number, minute, tens * 10, stay)
    if not hmac.compare_digest(right.to_bytes(8, "big"), mac.to_bytes(8, "big")):
        raise BadMessage(Code.WRONG_CODE, "the code does not fit this stay")
    return Typed(number, stay, yen(tens * 10), _time(minute * 60))


_KID, _NUMBER, _MINUTE, _AMOUNT, _MAC = 2, 7, 10, 13, 34
"""Bits of the parts of a typed code; 66 together, which fit 20 digits."""

_DAMM: Final = (
    (0, 3, 1, 7, 5, 9, 8, 6, 4, 2),
    (7, 0, 9, 2, 1, 5, 4, 8, 6, 3),
    (4, 2, 0, 6, 8, 7, 1, 3, 5, 9),
    (1, 7, 5, 0, 9, 8, 3, 4, 2, 6),
    (6, 1, 2, 3, 0, 4, 5, 9, 7, 8),
    (3, 6, 7, 4, 2, 0, 9, 5, 8, 1),
    (5, 8, 6, 9, 7, 2, 0, 1, 3, 4),
    (8, 9, 4, 5, 3, 6, 2, 0, 1, 7),
    (9, 4, 3, 8, 6, 1, 7, 2, 0, 5),
    (2, 5, 8, 1, 4, 3, 6, 7, 9, 0),
)
"""H. M. Damm's quasigroup of order 10."""


def _damm(digits: str) -> int:
    """The check digit of `digits`; 0 if they end with their own."""
    state = 0
    for digit in digits:
        state = _DAMM[state][int(digit)]
    return state


def _fitting(end: int, bits: int, most: int) -> int:
    """The largest number up to `most` that ends with these bits."""
    return most - (most - end) % (1 << bits)


def _mac(key: bytes, lot: int, number: int, minute: int, amount: int, stay: StayRef) -> int:
    try:
        stated = struct.pack(">IIII", lot, number, minute, amount)
    except struct.error as error:
        raise BadMessage(Code.BAD_COMPLETION, f"a field does not fit: {error}") from error
    digest = hmac.digest(key, CODE_DOMAIN + b"\0" + stated + stay.key.encode(), hashlib.sha256)
    return int.from_bytes(digest[:5], "big") >> 40 - _MAC


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
