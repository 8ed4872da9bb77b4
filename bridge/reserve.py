"""A little room on the disk, held for the day when it is full: for the fallback log, and for the console to find us."""

import errno
import logging
import os
from pathlib import Path
from typing import Final

log = logging.getLogger(__name__)

NAME: Final = "reserve"
SIZE: Final = 256 * 1024
"""Bytes: some hundred orders by hand. Less than what a journal in trouble wants to see free (bridge.journal)."""


class Reserve:
    """A file that is there to be removed. Never raises."""

    def __init__(self, data: Path) -> None:
        self._path = data / NAME

    def hold(self) -> None:
        """Take the room, if it is not held yet; written, for a file with holes takes none."""
        try:
            if self._path.exists() and self._path.stat().st_size >= SIZE:
                return
            with self._path.open("wb") as file:
                file.write(os.urandom(SIZE))
        except OSError as error:
            if error.errno != errno.EROFS:
                log.warning("no room is held for a full disk: %s", error.strerror)
            self.free()

    def free(self) -> None:
        """Give the room away: what must be written can be."""
        try:
            self._path.unlink(missing_ok=True)
        except OSError as error:
            log.warning("%s cannot be removed: %s", self._path, error.strerror)
