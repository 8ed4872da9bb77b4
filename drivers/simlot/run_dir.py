"""A run directory belongs to one simulated lot at a time: a second one would take its ptys, and remove them."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

from parking.errors import Code, Environment

LOCK_FILE: Final = "sim.lock"


@contextlib.contextmanager
def claimed(run_dir: Path) -> Iterator[None]:
    """Hold it; the system gives it back when the process ends, however it ends. Makes the folder if need be.

    Raises Environment: CONFIG if another lot runs there, DISK if it cannot be written to.
    """
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
        file = (run_dir / LOCK_FILE).open("ab")
    except OSError as error:
        raise Environment(Code.DISK, f"{run_dir}: {error.strerror}", "choose another --run-dir") from error
    with file:
        try:
            _lock(file)
        except OSError as error:
            remedy = "end the other one, or choose another --run-dir"
            raise Environment(Code.CONFIG, f"{run_dir}: another simulated lot runs there", remedy) from error
        yield


def _lock(file: IO[bytes]) -> None:
    """Raises OSError if another process holds it."""
    if sys.platform == "win32":
        import msvcrt

        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
