"""The log of last resort: what people did while the journal could not be written, and its later import (P8).

One JSON object a line, synced; a torn last line is a power cut's and is kept. Importing is repeatable: a line whose
order and state the journal knows already changes nothing. The file is then set aside under another name, never deleted.
"""

import logging
import os
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import IO, Final

import msgspec

from parking.commands import Command
from parking.desk import CommandView
from parking.errors import Code, Environment
from parking.reports import Claim

log = logging.getLogger(__name__)

NAME: Final = "fallback.jsonl"


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """An order by hand as it stood when the journal could not take it."""

    command: Command
    view: CommandView
    intent: bytes = b""
    number: int = 0
    claim: Claim | None = None


class FallbackLog:
    """The file beside the journal. Thread-safe."""

    def __init__(self, data: Path) -> None:
        """Nothing is opened before the first line."""
        self.path = data / NAME
        self._guard = threading.Lock()
        self._importing = threading.Lock()

    @property
    def waiting(self) -> bool:
        """Whether there is something to import."""
        return self.path.exists()

    def command_ids(self) -> list[str]:
        """The orders in it; one that is repeated must not act again. Never raises."""
        try:
            texts = self.path.read_bytes().split(b"\n")
        except OSError:
            return []
        return [line.command.command_id for text in texts if (line := self._parse(text, 0)) is not None]

    def append(self, line: Line) -> None:
        """Write one line and sync it; if even that fails, the program's own log has it. Never raises."""
        raw = msgspec.json.encode(line)
        try:
            with self._guard, self.path.open("a+b") as file:
                if file.tell() and _torn(file):
                    raw = b"\n" + raw  # what a power cut left of the line before must not spoil this one
                file.write(raw + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            log.critical("the fallback log cannot be written either (%s): %s", error, raw.decode())

    def bring_in(self, keep: Callable[[Line], None], now: datetime) -> int:
        """Hand each line to `keep`, in order, then set the file aside; returns how many lines there were.

        `keep` commits, and may be given a line twice after a crash. What it raises stops the import; nothing is lost.
        Orders go on meanwhile: no gate waits for an import. Raises Environment(DISK) if the file cannot be read or
        renamed.
        """
        with self._importing:
            read = kept = lines = 0
            while (news := self._beyond(read, now)) is not None:
                read += len(news)
                for text in news.split(b"\n"):
                    lines += bool(text.strip())
                    if (line := self._parse(text, lines)) is not None:
                        keep(line)
                        kept += 1
        if lines:
            log.warning("%d orders by hand of %s are journaled now; the file is kept", kept, self.path)
        return kept

    def _beyond(self, read: int, now: datetime) -> bytes | None:
        """What stands in the file behind so many bytes; if nothing does, it is set aside and there is None."""
        with self._guard:
            try:
                news = self.path.read_bytes()[read:]
                if not news:
                    self.path.rename(self.path.with_name(f"fallback-{now:%Y%m%dT%H%M%S%f}Z.imported.jsonl"))
            except FileNotFoundError:
                return None
            except OSError as error:
                raise Environment(Code.DISK, f"{self.path}: {error.strerror}", "make file and folder usable") from error
        return news or None

    def _parse(self, text: bytes, at: int) -> Line | None:
        if not text.strip():
            return None
        try:
            return msgspec.json.decode(text, type=Line)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            log.error("%s: line %d cannot be read and stays in the file: %s", self.path, at, error)
            return None


def _torn(file: IO[bytes]) -> bool:
    file.seek(-1, os.SEEK_END)
    return file.read(1) != b"\n"
