"""Where the bridge's secrets live: one small port, and three places behind it.

* file: an owner-only file for each secret in the data directory.
* systemd: the same files, sealed under one root secret which systemd hands to the service as a credential
  (`$CREDENTIALS_DIRECTORY/daiko-root`); bound to this machine, and to its TPM if it has one.
* dpapi: the same files, sealed by Windows for the bridge's account.

Sealed files can be written while the bridge runs, which credentials cannot: keys of lots rotate. A plain secret that
was there before is sealed when it is first read. A run without the root never takes a sealed secret for a missing one.
"""

import hashlib
import os
import secrets
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from bridge import owner_files
from parking.errors import Code, Environment

ROOT: Final = "daiko-root"
"""The name of the credential."""

LEAST_ROOT: Final = 32
NONCE_BYTES: Final = 12
_DOMAIN: Final = b"daiko-sealed-v1\0"


class StoreKind(StrEnum):
    """`auto`: systemd's credential if there is one, DPAPI on Windows, otherwise owner-only files."""

    AUTO = "auto"
    FILE = "file"
    SYSTEMD = "systemd"
    DPAPI = "dpapi"


class SecretStore(Protocol):
    """Secrets by name. All methods raise Environment(DISK | CONFIG)."""

    @property
    def kind(self) -> StoreKind:
        """Which place this is."""
        ...

    def read(self, name: str) -> bytes | None:
        """A secret, or None if there is none of this name."""
        ...

    def create(self, name: str, make: Callable[[], bytes]) -> bytes:
        """The secret of this name, made and stored now if there is none; two that call at once get the same."""
        ...

    def replace(self, name: str, secret: bytes) -> None:
        """Store a secret in the place of the former one."""
        ...


class Sealer(Protocol):
    """Turns a secret into bytes that are of no use elsewhere, and back."""

    @property
    def kind(self) -> StoreKind:
        """Which place this makes; its value is the ending of the sealed files."""
        ...

    def seal(self, name: str, secret: bytes) -> bytes:
        """Sealed bytes, bound to the name."""
        ...

    def unseal(self, name: str, sealed: bytes) -> bytes:
        """The secret; raises Environment(CONFIG) if this is not what `seal` made here under this name."""
        ...


class FileStore:
    """A plain, owner-only file for each secret."""

    kind: Final = StoreKind.FILE

    def __init__(self, data: Path) -> None:
        """`data` need not be there yet."""
        self._data = data

    def read(self, name: str) -> bytes | None:
        """See SecretStore; CONFIG also if the secret is there, but sealed."""
        secret = owner_files.read(self._data / name)
        if secret is None:
            self._never_shadow(name)
        return secret

    def create(self, name: str, make: Callable[[], bytes]) -> bytes:
        """See SecretStore."""
        if self.read(name) is None:
            owner_files.create(self._data / name, make())
        return self.read(name) or b""

    def replace(self, name: str, secret: bytes) -> None:
        """See SecretStore."""
        self._never_shadow(name)
        owner_files.replace(self._data / name, secret)

    def _never_shadow(self, name: str) -> None:
        for kind in (StoreKind.SYSTEMD, StoreKind.DPAPI):
            sealed = sealed_path(self._data, name, kind)
            if sealed.exists():
                raise Environment(
                    Code.CONFIG,
                    f"{sealed}: this secret is sealed, and this run has not what opens it",
                    "run the command as the service does (docs/operators.md, keys at rest)",
                )


class SealedStore:
    """A sealed file for each secret."""

    def __init__(self, data: Path, sealer: Sealer) -> None:
        """`data` need not be there yet."""
        self._data, self._sealer = data, sealer

    @property
    def kind(self) -> StoreKind:
        """See SecretStore."""
        return self._sealer.kind

    def read(self, name: str) -> bytes | None:
        """See SecretStore; a plain file of that name is sealed and removed."""
        sealed = owner_files.read(self._path(name))
        if sealed is not None:
            return self._sealer.unseal(name, sealed)
        plain = owner_files.read(self._data / name)
        if plain is None:
            return None
        owner_files.create(self._path(name), self._sealer.seal(name, plain))
        owner_files.remove(self._data / name)
        return self.read(name)

    def create(self, name: str, make: Callable[[], bytes]) -> bytes:
        """See SecretStore."""
        secret = self.read(name)
        if secret is None:
            owner_files.create(self._path(name), self._sealer.seal(name, make()))
            secret = self.read(name)
        return secret or b""

    def replace(self, name: str, secret: bytes) -> None:
        """See SecretStore."""
        owner_files.replace(self._path(name), self._sealer.seal(name, secret))
        owner_files.remove(self._data / name)

    def _path(self, name: str) -> Path:
        return sealed_path(self._data, name, self._sealer.kind)


class CredentialSealer:
    """Seals with ChaCha20-Poly1305 under a root secret; the name is bound in, so that files cannot be swapped."""

    kind: Final = StoreKind.SYSTEMD

    def __init__(self, root: bytes) -> None:
        """`root`: at least 32 random bytes."""
        self._cipher = ChaCha20Poly1305(hashlib.sha256(_DOMAIN + root).digest())

    def seal(self, name: str, secret: bytes) -> bytes:
        """See Sealer."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, secret, _DOMAIN + name.encode())

    def unseal(self, name: str, sealed: bytes) -> bytes:
        """See Sealer."""
        try:
            return self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], _DOMAIN + name.encode())
        except (InvalidTag, ValueError) as error:
            raise Environment(
                Code.CONFIG,
                f"{name}: sealed under another {ROOT}, or damaged",
                "give the service its former credential, or remove the sealed file and enrol again",
            ) from error


def sealed_path(data: Path, name: str, kind: StoreKind) -> Path:
    """Where a sealed secret lies."""
    return data / f"{name}.{kind.value}"


def open_store(
    data: Path, kind: StoreKind = StoreKind.AUTO, environment: Mapping[str, str] = os.environ
) -> SecretStore:
    """The place that `kind` names. Raises Environment(CONFIG) if this run cannot have it."""
    root = Path(environment.get("CREDENTIALS_DIRECTORY", "")) / ROOT
    given = "CREDENTIALS_DIRECTORY" in environment and root.is_file()
    if kind is StoreKind.SYSTEMD or (kind is StoreKind.AUTO and given):
        return SealedStore(data, CredentialSealer(_root(root, given=given)))
    if kind is StoreKind.DPAPI or (kind is StoreKind.AUTO and os.name == "nt"):
        from bridge.dpapi import DpapiSealer

        return SealedStore(data, DpapiSealer())
    return FileStore(data)


def _root(path: Path, *, given: bool) -> bytes:
    if not given:
        raise Environment(
            Code.CONFIG,
            f"systemd has not handed over the credential {ROOT}",
            f"add LoadCredentialEncrypted={ROOT} to the service (docs/operators.md, keys at rest)",
        )
    with owner_files.disk(path):
        root = path.read_bytes()
    if len(root) < LEAST_ROOT:
        raise Environment(Code.CONFIG, f"{path}: {len(root)} bytes, not {LEAST_ROOT}", "make the credential anew")
    return root
