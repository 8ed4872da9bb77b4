"""Ed25519 keys, key rings and domain-separated signatures. Pure: key material and bytes come in as arguments."""

import base64
import binascii
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from parking.errors import BadMessage, Code

SIGNATURE_BYTES = 64


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A private Ed25519 key with the number under which verifiers know it (1…65535)."""

    key_id: int
    private: Ed25519PrivateKey

    @classmethod
    def generate(cls, key_id: int) -> "SigningKey":
        """Make a fresh key from the system's random source."""
        return cls(key_id, Ed25519PrivateKey.generate())

    @classmethod
    def from_seed(cls, key_id: int, seed: bytes) -> "SigningKey":
        """Rebuild a key from its 32 secret bytes (see `seed`)."""
        return cls(key_id, Ed25519PrivateKey.from_private_bytes(seed))

    @property
    def seed(self) -> bytes:
        """The 32 secret bytes, for storage."""
        return self.private.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())

    @property
    def public_bytes(self) -> bytes:
        """The 32 public bytes."""
        return self.private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)

    def sign(self, domain: bytes, payload: bytes) -> bytes:
        """Sign `payload` for one purpose only; 64 bytes."""
        return self.private.sign(domain + b"\0" + payload)


class KeyRing:
    """Public keys by number; several at a time, so that keys can be rotated with an overlap."""

    def __init__(self, keys: Mapping[int, bytes]) -> None:
        """`keys` maps key ids to 32 raw public bytes; raises BadMessage(UNKNOWN_KEY) if a key is malformed."""
        try:
            self._keys = {key_id: Ed25519PublicKey.from_public_bytes(raw) for key_id, raw in keys.items()}
        except ValueError as error:
            raise BadMessage(Code.UNKNOWN_KEY, "a public key is not 32 bytes of Ed25519") from error

    def verify(self, key_id: int, domain: bytes, payload: bytes, signature: bytes) -> None:
        """Return silently if the signature holds; raise BadMessage(UNKNOWN_KEY | BAD_SIGNATURE) otherwise."""
        key = self._keys.get(key_id)
        if key is None:
            raise BadMessage(Code.UNKNOWN_KEY, f"no public key with id {key_id}", "enrol the bridge again")
        try:
            key.verify(signature, domain + b"\0" + payload)
        except InvalidSignature:
            raise BadMessage(Code.BAD_SIGNATURE, f"the signature does not hold under key {key_id}") from None


def to_text(raw: bytes) -> str:
    """Bytes as unpadded base64url, the form of keys and completions inside JSON."""
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def from_text(text: str) -> bytes:
    """The inverse of `to_text`; raises BadMessage(BAD_MESSAGE) on anything else."""
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadMessage(Code.BAD_MESSAGE, "not base64url text") from error
    return raw


def fingerprint(public: bytes) -> str:
    """A public key as people compare it: four groups of four hexadecimal digits."""
    digest = hashlib.sha256(public).hexdigest()[:16].upper()
    return "-".join(digest[at : at + 4] for at in range(0, 16, 4))
