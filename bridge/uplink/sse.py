"""Reads a stream of server-sent events, incrementally and within bounds. Pure: bytes in, events out.

Source: WHATWG HTML Living Standard, 9.2.6 "Interpreting an event stream". Lines end with CR, LF or CRLF, wherever the
network cuts them.
"""

from dataclasses import dataclass
from typing import Final

from parking.errors import BadMessage, Code

MOST_BYTES: Final = 65_536
"""The longest event that is taken; ours have a few hundred bytes."""


@dataclass(frozen=True, slots=True)
class StreamEvent:
    """One event: its name (`message` if it has none), its data, and the last id seen."""

    name: str
    data: str
    last_id: str


class EventParser:
    """Keeps what is incomplete between two calls of `feed`."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._skip_newline = False
        self._name = ""
        self._data: list[bytes] = []
        self._size = 0
        self._last_id = ""
        self._first = True

    def feed(self, chunk: bytes) -> list[StreamEvent]:
        """Take bytes as they came; return the events that are complete now.

        Raises BadMessage if a line or an event grows beyond 64 kB or is not UTF-8; the stream is useless then.
        """
        events = []
        for line in self._lines(chunk):
            event = self._line(line)
            if event is not None:
                events.append(event)
        return events

    def _lines(self, chunk: bytes) -> list[bytes]:
        if self._skip_newline and chunk:  # a CR ended the last line; its LF may have been cut off
            chunk = chunk.removeprefix(b"\n")
            self._skip_newline = False
        if not chunk:
            return []
        self._skip_newline = chunk.endswith(b"\r")
        self._rest += chunk
        *lines, rest = bytes(self._rest).replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        self._rest = bytearray(rest)
        if len(rest) > MOST_BYTES:
            raise BadMessage(Code.BAD_MESSAGE, f"the feed sent a line beyond {MOST_BYTES:,} bytes")
        if lines and self._first:
            self._first = False
            lines[0] = lines[0].removeprefix(b"\xef\xbb\xbf")
        return lines

    def _line(self, line: bytes) -> StreamEvent | None:
        if not line:
            return self._dispatch()
        field, _, value = line.partition(b":")
        if not field:  # a comment: a heartbeat of some servers
            return None
        value = value.removeprefix(b" ")
        self._size += len(line)
        if self._size > MOST_BYTES:
            raise BadMessage(Code.BAD_MESSAGE, f"the feed sent an event beyond {MOST_BYTES:,} bytes")
        if field == b"data":
            self._data.append(value)
        elif field == b"event":
            self._name = _text(value)
        elif field == b"id" and b"\0" not in value:
            self._last_id = _text(value)
        return None  # fields that we do not know pass

    def _dispatch(self) -> StreamEvent | None:
        name, data = self._name, self._data
        self._name, self._data, self._size = "", [], 0
        if not data:
            return None
        return StreamEvent(name or "message", _text(b"\n".join(data)), self._last_id)


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise BadMessage(Code.BAD_MESSAGE, "the feed is not UTF-8") from error
