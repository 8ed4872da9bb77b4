"""PINs: what makes a good one, and how it is kept.

A PIN is mixed with the bridge's pepper (HMAC-SHA256) and its operator's name, and then hashed with argon2id. Without
the pepper a stolen hash of six digits would be guessed in hours; with it the thief needs the secret store as well.
"""

import hashlib
import hmac
import unicodedata
from datetime import datetime
from typing import Final

from argon2 import PasswordHasher, Type
from argon2.exceptions import InvalidHashError, VerificationError

from parking.errors import BadMessage, Code

LEAST_DIGITS: Final = 6
LEAST_SIGNS: Final = 8
"""Of a PIN that is not of digits alone."""
MOST_SIGNS: Final = 64
_LEAST_DIFFERENT: Final = 5
_WORDS: Final = (
    "daiko",
    "password",
    "passw0rd",
    "parking",
    "bridge",
    "console",
    "qwerty",
    "abcdef",
    "駐車場",
    "暗証番号",
)
"""What is written on every wall of an office; a PIN that holds one of these is as good as its rest."""
_COMMON: Final = {
    "131313", "141421", "142536", "147147", "147258", "147852", "147896", "159357", "159753", "159951", "258369",
    "258456", "258852", "314159", "357159", "369258", "420420", "456123", "520131", "520520", "654123", "741852",
    "753951", "789456", "789654", "852456", "951753", "963852", "987456", "112358", "246810", "101112", "100200",
    "010203", "020304", "102030", "123654", "123789", "123987", "124578", "232323", "252525", "696969", "007007",
    "911911", "110110", "119119", "135791",
}  # fmt: skip
"""Six digits that people take first: patterns of a keypad, numbers that everybody knows."""
_RUN: Final = "01234567890123456789012345678901234567890"
_DOMAIN: Final = b"daiko-pin-v1\0"
_HASHER: Final = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1, type=Type.ID)
"""OWASP's and RFC 9106's lower end: 19 MiB, about 50 ms on an office PC."""


def fold(pin: str) -> str:
    """A PIN in its one spelling: full-width digits are digits. Any text is allowed."""
    return unicodedata.normalize("NFKC", pin).strip()


def check(pin: str, operator: str = "") -> None:
    """Raise BadMessage(SIGN_IN) unless this is good enough for a new PIN of this operator."""
    signs = fold(pin)
    of_digits = signs.isascii() and signs.isdigit()
    least = LEAST_DIGITS if of_digits else LEAST_SIGNS
    if not least <= len(signs) <= MOST_SIGNS or not signs.isprintable():
        detail = f"a PIN has {LEAST_DIGITS} to {MOST_SIGNS} digits, or {LEAST_SIGNS} to {MOST_SIGNS} signs of any kind"
        raise BadMessage(Code.SIGN_IN, detail, "choose another one")
    if _is_weak(signs) if of_digits else _is_a_word(signs.casefold(), operator.casefold()):
        raise BadMessage(
            Code.SIGN_IN,
            "this PIN would be tried first: a run, a repetition, a mirrored or a common one, a date or a name",
            "choose another one",
        )


def hash_pin(pin: str, operator: str, pepper: bytes) -> str:
    """What is kept of a PIN; takes about 50 ms."""
    return _HASHER.hash(_mixed(pin, operator, pepper))


def verify(kept: str, pin: str, operator: str, pepper: bytes) -> bool:
    """Whether this is the operator's PIN; takes about 50 ms, and the thread's lock is given up meanwhile."""
    try:
        return _HASHER.verify(kept, _mixed(pin, operator, pepper))
    except (VerificationError, InvalidHashError):
        return False


NOBODYS: Final = "$argon2id$v=19$m=19456,t=2,p=1$c29tZSBzYWx0IG9mIG91cnM$pM3gMiZKyYRAwb8pZWA8GB0/S1AvSJ1yHeYTm3xxzWY"
"""A hash that no PIN has, to take as long over a name that is not there as over one that is."""


def _mixed(pin: str, operator: str, pepper: bytes) -> bytes:
    name = operator.encode()
    text = _DOMAIN + len(name).to_bytes(4, "big") + name + fold(pin).encode()
    return hmac.new(pepper, text, hashlib.sha256).digest()


def _is_weak(digits: str) -> bool:
    if _is_run(digits):
        return True
    if any(digits == (digits[:period] * len(digits))[: len(digits)] for period in (1, 2, 3)):
        return True
    if digits[::2] == digits[1::2] and _is_run(digits[::2]):
        return True
    half = digits[: (len(digits) + 1) // 2]
    return (digits == digits[::-1] and _is_run(half)) or digits in _COMMON or _is_a_day(digits)


def _is_a_day(digits: str) -> bool:
    """Eight digits that are somebody's birthday."""
    if len(digits) != 8:
        return False
    for order in ("%Y%m%d", "%d%m%Y", "%m%d%Y"):
        try:
            if 1900 <= datetime.strptime(digits, order).year <= 2099:  # noqa: DTZ007  # a day of the calendar
                return True
        except ValueError:
            continue
    return False


def _is_a_word(signs: str, operator: str) -> bool:
    if len(set(signs)) < _LEAST_DIFFERENT:
        return True
    return any(word in signs for word in (*_WORDS, operator) if len(word) > 1)


def _is_run(digits: str) -> bool:
    return digits in _RUN or digits in _RUN[::-1]
