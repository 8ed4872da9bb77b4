"""Secrets in the database, sealed (AES-256-GCM) under keys derived from the completion keys' seeds.

The database alone, or a backup of it, gives no secret away: the key file is needed too. `about` is bound to what is
sealed, so that a sealed value copied into another row does not open.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from parking.errors import Code, Environment

_INFO: Final = b"daiko-cloud-sealing-v1"
_NONCE_BYTES: Final = 12


@dataclass(frozen=True, slots=True)
class Sealing:
    """Seals under the key numbered `current`, opens what any of `keys` sealed."""

    current: int
    keys: Mapping[int, bytes] = field(repr=False)

    @classmethod
    def derive(cls, current: int, seeds: Mapping[int, bytes]) -> "Sealing":
        """One sealing key per seed (32 bytes) of the key file; `current` names the one that seals."""
        return cls(current, {number: HKDF(SHA256(), 32, None, _INFO).derive(seed) for number, seed in seeds.items()})

    def seal(self, secret: bytes, about: bytes) -> bytes:
        """The sealed form: key number (2 bytes), nonce (12), ciphertext with its tag."""
        nonce = os.urandom(_NONCE_BYTES)
        return self.current.to_bytes(2, "big") + nonce + AESGCM(self.keys[self.current]).encrypt(nonce, secret, about)

    def open(self, sealed: bytes, about: bytes) -> bytes:
        """What was sealed. Raises Environment(CONFIG) if its key is not in the key file, or it was altered or moved."""
        number, nonce = int.from_bytes(sealed[:2], "big"), sealed[2 : 2 + _NONCE_BYTES]
        try:
            return AESGCM(self.keys[number]).decrypt(nonce, sealed[2 + _NONCE_BYTES :], about)
        except (KeyError, ValueError, InvalidTag) as error:
            detail = f"a secret in the database cannot be opened with the key file (it was sealed under key {number})"
            raise Environment(Code.CONFIG, detail, "restore the key file that belongs to this database") from error

    def stale(self, sealed: bytes) -> bool:
        """Whether it is sealed under another key than the present one."""
        return int.from_bytes(sealed[:2], "big") != self.current
