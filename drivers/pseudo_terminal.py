"""A serial line between two programs that can be pulled and put back under the same name. POSIX only."""

import contextlib
import os
from pathlib import Path
from typing import Final

CHUNK: Final = 4096


class PseudoTerminal:
    """A pty whose `path` is a symlink to the one of the moment. Not for several threads at a time."""

    def __init__(self, path: Path) -> None:
        """Nothing is there yet."""
        self.path = path
        self.descriptor = -1
        """Our end, while it is plugged."""
        self._other_end = -1

    @property
    def plugged(self) -> bool:
        """Whether it can be opened."""
        return self.descriptor >= 0

    def plug(self) -> None:
        """A new pty; the symlink moves over to it atomically. Idempotent."""
        import tty  # POSIX only, as ptys are

        if self.plugged:
            return
        self.descriptor, self._other_end = os.openpty()
        tty.setraw(self._other_end)  # and kept open: the line exists while nobody listens
        os.set_blocking(self.descriptor, False)
        fresh = self.path.with_name(f".{self.path.name}.new")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(os.ttyname(self._other_end))
        fresh.replace(self.path)

    def unplug(self) -> None:
        """Take it away: who has it open gets an I/O error. Idempotent."""
        if not self.plugged:
            return
        self.path.unlink(missing_ok=True)
        ends, self.descriptor, self._other_end = (self._other_end, self.descriptor), -1, -1
        for end in ends:
            with contextlib.suppress(OSError):
                os.close(end)

    def read(self) -> bytes:
        """What has come, b"" if nothing. Raises OSError when it was unplugged."""
        with contextlib.suppress(BlockingIOError):
            return os.read(self.descriptor, CHUNK)
        return b""

    def write(self, data: bytes) -> None:
        """As much of `data` as goes in: a line that nobody reads swallows the rest. Raises OSError when unplugged."""
        with contextlib.suppress(BlockingIOError):
            while data:
                data = data[os.write(self.descriptor, data) :]
