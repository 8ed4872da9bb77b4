"""What the bridge keeps on disk about itself: its private key, who the cloud says it is, and the console's token.

All files are written whole or not at all (temporary file, fsync, rename, fsync of the directory) and are readable by
their owner alone. On Windows the directory's access list does that (the installer sets it); mode bits say nothing
there.
"""

import contextlib
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from parking import wire
from parking.errors import BadMessage, Code, Environment
from parking.signing import KeyRing, SigningKey, from_text, to_text
from parking.wire import CompletionKey, Message, Number

KEY_FILE: Final = "bridge.key"
IDENTITY_FILE: Final = "identity.json"
TOKEN_FILE: Final = "api-token"  # noqa: S105  # a file's name, no secret
RUN_FILE: Final = "api.json"

SECRET_BYTES: Final = 32
_ENROL: Final = "run: python -m bridge enrol --config FILE --code CODE"
_OTHERS: Final = 0o077
_OTHERS_WRITE: Final = 0o022


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


def make_key(data: Path) -> SigningKey:
    """The bridge's key, made now if there is none; two callers at once end with the same one.

    Raises Environment(DISK) if it cannot be stored, and whatever `load_key` raises.
    """
    _directory(data)
    if not (data / KEY_FILE).exists():
        _create(data / KEY_FILE, SigningKey.generate(1).seed)
    return load_key(data)


def load_key(data: Path) -> SigningKey:
    """Read the bridge's key.

    Raises Environment: NOT_ENROLLED if there is none, CONFIG if others may read it, DISK if it is damaged.
    """
    path = data / KEY_FILE
    seed = _read(path, _OTHERS)
    if seed is None:
        raise Environment(Code.NOT_ENROLLED, f"{path}: there is no key yet", _ENROL)
    if len(seed) != SECRET_BYTES:
        raise Environment(Code.DISK, f"{path}: {len(seed)} bytes, not {SECRET_BYTES}", "remove it and enrol again")
    return SigningKey.from_seed(1, seed)


def save_identity(data: Path, identity: Identity) -> None:
    """Store who we are. Raises Environment(DISK)."""
    _replace(data / IDENTITY_FILE, wire.encode(identity))


def load_identity(data: Path) -> Identity:
    """Read who we are.

    Raises Environment: NOT_ENROLLED if nobody yet, CONFIG if others may write it, DISK if it is damaged.
    """
    path = data / IDENTITY_FILE
    raw = _read(path, _OTHERS_WRITE)
    if raw is None:
        raise Environment(Code.NOT_ENROLLED, f"{path}: this bridge is not paired with a cloud", _ENROL)
    try:
        identity = wire.decode(raw, Identity)
        identity.key_ring()
    except BadMessage as error:
        raise Environment(Code.DISK, f"{path}: {error.detail}", "enrol again with --again") from error
    return identity


def api_token(data: Path) -> str:
    """The console's bearer token, made now if there is none. Raises Environment(DISK | CONFIG)."""
    _directory(data)
    path = data / TOKEN_FILE
    if not path.exists():
        _create(path, to_text(secrets.token_bytes(SECRET_BYTES)).encode())
    token = (_read(path, _OTHERS) or b"").decode("ascii", "replace").strip()
    if len(token) < SECRET_BYTES or not token.isascii():
        raise Environment(Code.DISK, f"{path}: damaged", "remove it and start the bridge again")
    return token


def write_run_file(data: Path, url: str) -> None:
    """Tell the console where the bridge listens. Raises Environment(DISK)."""
    _replace(data / RUN_FILE, json.dumps({"url": url, "pid": os.getpid()}).encode())


def remove_run_file(data: Path) -> None:
    """The bridge listens no more; leaves the file of a bridge that has started since."""
    path = data / RUN_FILE
    with contextlib.suppress(OSError, msgspec.MsgspecError):
        if msgspec.json.decode(path.read_bytes(), type=dict[str, object]).get("pid") == os.getpid():
            path.unlink()


def _directory(data: Path) -> None:
    with _disk(data):
        data.mkdir(mode=0o700, parents=True, exist_ok=True)


def _read(path: Path, forbidden: int) -> bytes | None:
    with _disk(path):
        try:
            with path.open("rb") as file:
                mode = os.fstat(file.fileno()).st_mode & 0o777
                raw = file.read()
        except FileNotFoundError:
            return None
    if os.name != "nt" and mode & forbidden:
        raise Environment(Code.CONFIG, f"{path}: mode {mode:04o} lets other users in", f"run: chmod 600 {path}")
    return raw


def _create(path: Path, content: bytes) -> None:
    """Write a file unless it is there already; of two that try at once, one wins."""
    temporary = _temporary(path, content)
    try:
        with _disk(path), contextlib.suppress(FileExistsError):
            os.link(temporary, path)
            _sync_directory(path.parent)
    finally:
        temporary.unlink()


def _replace(path: Path, content: bytes) -> None:
    _directory(path.parent)
    temporary = _temporary(path, content)
    with _disk(path):
        temporary.replace(path)
        _sync_directory(path.parent)


def _temporary(path: Path, content: bytes) -> Path:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    with _disk(path):
        number = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(number, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            temporary.unlink()
            raise
    return temporary


def _sync_directory(directory: Path) -> None:
    if os.name == "nt":  # NTFS journals the rename; a directory cannot be opened there
        return
    number = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


@contextmanager
def _disk(path: Path) -> Iterator[None]:
    """Turn the system's refusals into ours."""
    try:
        yield
    except OSError as error:
        remedy = "the bridge's user must be able to read and write its data directory, and the disk must have room"
        raise Environment(Code.DISK, f"{path}: {error.strerror or error}", remedy) from error
