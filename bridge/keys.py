"""What the bridge keeps about itself: its private key, who the cloud says it is, the pepper and the console's token.

Secrets live where `bridge.secret_store` says. The token is always a plain owner-only file, for the console reads it
too; it opens nothing that needs an operator's PIN.
"""

import contextlib
import json
import os
import secrets
from pathlib import Path
from typing import Final

import msgspec

from bridge import owner_files
from bridge.secret_store import FileStore, SecretStore, open_store
from parking import wire
from parking.errors import BadMessage, Code, Environment
from parking.signing import KeyRing, SigningKey, from_text, to_text
from parking.wire import CompletionKey, Message, Number

KEY_FILE: Final = "bridge.key"
IDENTITY_FILE: Final = "identity.json"
PENDING_FILE: Final = "enrolment.json"
TOKEN_FILE: Final = "api-token"  # noqa: S105  # a file's name, no secret
RUN_FILE: Final = "api.json"
PEPPER_FILE: Final = "pepper"

SECRET_BYTES: Final = 32
_ENROL: Final = "run: python -m bridge enrol --config FILE --code CODE"
_GO_ON: Final = "tell the operator, who approves it; then run: python -m bridge enrol --config FILE"


class Identity(Message, frozen=True, kw_only=True):
    """Who the bridge is to the cloud: the enrolment's reply, and the address that it came from.

    `feed_after`, in the order of `lots`: what a former bridge may have acted upon ends there.
    """

    cloud_url: str
    bridge_id: str
    generation: Number
    lots: tuple[Number, ...]
    completion_keys: tuple[CompletionKey, ...]
    feed_after: tuple[int, ...] = ()

    def key_ring(self) -> KeyRing:
        """The keys that completions are verified with. Raises BadMessage(UNKNOWN_KEY | BAD_MESSAGE) if malformed."""
        return KeyRing({key.key_id: from_text(key.public_key) for key in self.completion_keys})


class Pending(Message, frozen=True, kw_only=True):
    """An enrolment that waits for a person's approval, and the key's fingerprint that this person compares."""

    cloud_url: str
    bridge_id: str
    fingerprint: str


def make_key(data: Path, store: SecretStore | None = None) -> SigningKey:
    """The bridge's key, made now if there is none; two callers at once end with the same one.

    Raises Environment(DISK) if it cannot be stored, and whatever `load_key` raises.
    """
    store = store or open_store(data)
    store.create(KEY_FILE, lambda: SigningKey.generate(1).seed)
    return load_key(data, store)


def load_key(data: Path, store: SecretStore | None = None) -> SigningKey:
    """Read the bridge's key; `store` is where secrets live, by default as for `[keys] store = "auto"`.

    Raises Environment: NOT_ENROLLED if there is none, CONFIG if others may read it, DISK if it is damaged.
    """
    path = data / KEY_FILE
    seed = (store or open_store(data)).read(KEY_FILE)
    if seed is None:
        raise Environment(Code.NOT_ENROLLED, f"{path}: there is no key yet", _ENROL)
    if len(seed) != SECRET_BYTES:
        raise Environment(Code.DISK, f"{path}: {len(seed)} bytes, not {SECRET_BYTES}", "remove it and enrol again")
    return SigningKey.from_seed(1, seed)


def save_identity(data: Path, identity: Identity) -> None:
    """Store who we are. Raises Environment(DISK)."""
    owner_files.replace(data / IDENTITY_FILE, wire.encode(identity))


def load_identity(data: Path) -> Identity:
    """Read who we are.

    Raises Environment: NOT_ENROLLED if nobody yet, CONFIG if others may write it, DISK if it is damaged.
    """
    path = data / IDENTITY_FILE
    raw = owner_files.read(path, owner_files.OTHERS_WRITE)
    if raw is None and (waiting := load_pending(data)) is not None:
        detail = f"this bridge waits for its approval; its fingerprint is {waiting.fingerprint}"
        raise Environment(Code.NOT_ENROLLED, detail, _GO_ON)
    if raw is None:
        raise Environment(Code.NOT_ENROLLED, f"{path}: this bridge is not paired with a cloud", _ENROL)
    try:
        identity = wire.decode(raw, Identity)
        identity.key_ring()
    except BadMessage as error:
        raise Environment(Code.DISK, f"{path}: {error.detail}", "enrol again with --again") from error
    return identity


def save_pending(data: Path, waiting: Pending) -> None:
    """Keep for whom we wait. Raises Environment(DISK)."""
    owner_files.replace(data / PENDING_FILE, wire.encode(waiting))


def load_pending(data: Path) -> Pending | None:
    """The enrolment that waits, if one does. Raises Environment: CONFIG if others may write the file, DISK."""
    path = data / PENDING_FILE
    raw = owner_files.read(path, owner_files.OTHERS_WRITE)
    if raw is None:
        return None
    try:
        return wire.decode(raw, Pending)
    except BadMessage as error:
        raise Environment(Code.DISK, f"{path}: {error.detail}", "remove it and enrol with a new code") from error


def forget_pending(data: Path) -> None:
    """Nothing waits any more. Raises Environment(DISK)."""
    owner_files.remove(data / PENDING_FILE)


def api_token(data: Path) -> str:
    """The console's bearer token, made now if there is none. Raises Environment(DISK | CONFIG)."""
    path = data / TOKEN_FILE
    made = FileStore(data).create(TOKEN_FILE, lambda: to_text(secrets.token_bytes(SECRET_BYTES)).encode())
    token = made.decode("ascii", "replace").strip()
    if len(token) < SECRET_BYTES or not token.isascii():
        raise Environment(Code.DISK, f"{path}: damaged", "remove it and start the bridge again")
    return token


def make_pepper(store: SecretStore) -> bytes:
    """What PINs are mixed with, made now if there is none: without it, hashes are of no use to a thief.

    Raises Environment(DISK | CONFIG).
    """
    return _whole_pepper(store.create(PEPPER_FILE, lambda: secrets.token_bytes(SECRET_BYTES)))


def load_pepper(store: SecretStore) -> bytes | None:
    """The pepper, None if nobody has ever been given a PIN here. Raises Environment(DISK | CONFIG)."""
    pepper = store.read(PEPPER_FILE)
    return None if pepper is None else _whole_pepper(pepper)


def write_run_file(data: Path, url: str) -> None:
    """Tell the console where the bridge listens. Raises Environment(DISK)."""
    owner_files.replace(data / RUN_FILE, json.dumps({"url": url, "pid": os.getpid()}).encode())


def remove_run_file(data: Path) -> None:
    """The bridge listens no more; leaves the file of a bridge that has started since."""
    path = data / RUN_FILE
    with contextlib.suppress(OSError, msgspec.MsgspecError):
        if msgspec.json.decode(path.read_bytes(), type=dict[str, object]).get("pid") == os.getpid():
            path.unlink()


def _whole_pepper(pepper: bytes) -> bytes:
    if len(pepper) != SECRET_BYTES:
        raise Environment(
            Code.DISK, f"{PEPPER_FILE}: {len(pepper)} bytes, not {SECRET_BYTES}", "remove it and give all PINs anew"
        )
    return pepper
