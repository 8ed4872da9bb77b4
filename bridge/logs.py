"""What the bridge's log looks like: times in UTC, and one line for each record whatever strangers typed into it."""

import logging
import sys
import time
from typing import Any, Final

from parking.errors import one_line

LINE: Final = "%(asctime)s.%(msecs)03dZ %(levelname)-7s %(name)s: %(message)s"
TIME: Final = "%Y-%m-%dT%H:%M:%S"


class Lines(logging.Formatter):
    """Nobody can write a line that looks like ours: control signs are spelt out, traces are indented."""

    def __init__(self) -> None:
        super().__init__(LINE, TIME)
        self.converter = time.gmtime

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # logging's own name
        """The record's line."""
        return one_line(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: N802  # logging's own name
        """Its trace."""
        return "\n".join(f"    {one_line(line)}" for line in super().formatException(ei).split("\n"))


def to_stderr(level: str) -> None:
    """Write what is at least of this level to standard error, where the service's own journal takes it."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Lines())
    logging.basicConfig(handlers=[handler], level=level)
