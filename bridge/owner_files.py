"""Files for the bridge alone, written whole or not at all: temporary file, fsync, rename, fsync of the directory.

On Windows the directory's access list keeps others out (the installer sets it); mode bits say nothing there.
"""

import contextlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from parking.errors import Code, Environment

OTHERS: Final = 0o077
"""Mode bits that a secret must not have."""

OTHERS_WRITE: Final = 0o022
"""Mode bits that a file which is believed must not have."""


def directory(data: Path) -> None:
    """Make the bridge's directory if it is not there. Raises Environment(DISK)."""
    with disk(data):
        data.mkdir(mode=0o700, parents=True, exist_ok=True)


def read(path: Path, forbidden: int = OTHERS) -> bytes | None:
    """The content, None if there is no such file. Raises Environment: CONFIG if `forbidden` mode bits are set, DISK."""
    with disk(path):
        try:
            with path.open("rb") as file:
                mode = os.fstat(file.fileno()).st_mode & 0o777
                raw = file.read()
        except FileNotFoundError:
            return None
    if os.name != "nt" and mode & forbidden:
        raise Environment(Code.CONFIG, f"{path}: mode {mode:04o} lets other users in", f"run: chmod 600 {path}")
    return raw


def create(path: Path, content: bytes) -> None:
    """Write a file unless it is there already; of two that try at once, one wins. Raises Environment(DISK)."""
    directory(path.parent)
    temporary = _temporary(path, content)
    try:
        with disk(path), contextlib.suppress(FileExistsError):
            os.link(temporary, path)
            _sync_directory(path.parent)
    finally:
        temporary.unlink()


def replace(path: Path, content: bytes) -> None:
    """Write a file in the place of the former one. Raises Environment(DISK)."""
    directory(path.parent)
    temporary = _temporary(path, content)
    with disk(path):
        temporary.replace(path)
        _sync_directory(path.parent)


def remove(path: Path) -> None:
    """Remove a file, if it is there. Raises Environment(DISK)."""
    with disk(path):
        path.unlink(missing_ok=True)
        _sync_directory(path.parent)


@contextmanager
def disk(path: Path) -> Iterator[None]:
    """Turn the system's refusals into Environment(DISK)."""
    try:
        yield
    except OSError as error:
        remedy = "the bridge's user must be able to read and write its data directory, and the disk must have room"
        raise Environment(Code.DISK, f"{path}: {error.strerror or error}", remedy) from error


def _temporary(path: Path, content: bytes) -> Path:
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    with disk(path):
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


def _sync_directory(folder: Path) -> None:
    if os.name == "nt":  # NTFS journals the rename; a directory cannot be opened there
        return
    number = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
