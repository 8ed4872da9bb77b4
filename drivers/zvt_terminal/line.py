"""How messages get across: at once on TCP; on a serial line each until the other side has acknowledged it. Pure.

Both sides of a line are the same, so the simulator uses these as well. `now` is monotonic seconds.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Final, Protocol

from drivers.zvt_terminal.codec import ACK, NAK, Apdu, Framing, SerialFraming, Signal, TcpFraming

INTER_CHAR: Final = 0.2
"""Seconds of silence after which half a serial frame will not be completed any more (T1)."""

HALF: Final = 1.0
"""The same on TCP, where nothing marks where a message begins."""

TRIES: Final = 3
"""How often a frame is said on a serial line before its hearer counts as gone."""


class Line(Protocol):
    """What both kinds have in common."""

    def free(self, now: float) -> bool:
        """Whether all that was said has arrived, as far as the line can tell: what is said next goes out at once."""
        ...

    @property
    def gone(self) -> bool:
        """Whether nobody takes what is said."""
        ...

    def frame(self, apdu: Apdu) -> bytes:
        """The exact bytes of a message."""
        ...

    def hear(self, data: bytes, now: float) -> list[Apdu]:
        """Take bytes in; return the messages that are complete now."""
        ...

    def say(self, apdu: Apdu) -> int:
        """Put a message in the queue; returns its number."""
        ...

    def arrived(self, number: int) -> bool:
        """Whether a message has arrived, as far as the line can tell."""
        ...

    def due(self, now: float) -> bytes:
        """What is to be written by now."""
        ...

    def hush(self) -> None:
        """Say nothing more of what was said so far."""
        ...

    def reset(self) -> None:
        """The line is a new one: forget what was said and half heard."""
        ...


@dataclass(slots=True)
class _Hearing:
    """Half a message is given up when nothing has come for `patience` seconds."""

    framing: Framing
    patience: float
    last: float = float("-inf")

    def feed(self, data: bytes, now: float) -> list[Apdu | Signal]:
        """What is complete now."""
        if self.framing.partial and now - self.last > self.patience:
            self.framing.reset()
        self.last = now
        return self.framing.feed(data)

    def stale(self, now: float) -> bool:
        """Whether half a message stood here for too long; it is gone now."""
        if not self.framing.partial or now - self.last <= self.patience:
            return False
        self.framing.reset()
        return True


class TcpLine:
    """Messages on TCP: the network repeats what gets lost, so nothing is acknowledged or said twice."""

    def __init__(self, framing: TcpFraming) -> None:
        self._hearing = _Hearing(framing, HALF)
        self._queue: deque[Apdu] = deque()
        self._said = 0

    def free(self, now: float) -> bool:
        """Always: what is said goes out behind what was said before."""
        del now
        return True

    @property
    def gone(self) -> bool:
        """Not to be told here."""
        return False

    def frame(self, apdu: Apdu) -> bytes:
        """The exact bytes of a message."""
        return self._hearing.framing.encode(apdu)

    def hear(self, data: bytes, now: float) -> list[Apdu]:
        """Take bytes in; return the messages that are complete now."""
        return [heard for heard in self._hearing.feed(data, now) if isinstance(heard, Apdu)]

    def say(self, apdu: Apdu) -> int:
        """Put a message in the queue; returns its number."""
        self._queue.append(apdu)
        self._said += 1
        return self._said

    def arrived(self, number: int) -> bool:
        """Whether a message has been handed out."""
        return number <= self._said - len(self._queue)

    def due(self, now: float) -> bytes:
        """What is to be written by now."""
        self._hearing.stale(now)
        raw = b"".join(map(self.frame, self._queue))
        self._queue.clear()
        return raw

    def hush(self) -> None:
        """Say nothing more of what was said so far."""
        self._queue.clear()

    def reset(self) -> None:
        """The line is a new one."""
        self._queue.clear()
        self._hearing.framing.reset()


@dataclass(slots=True)
class _Frame:
    number: int
    raw: bytes
    tries: int = 0
    again_at: float = field(default=float("-inf"))


class SerialLine:
    """Messages on a serial line, one at a time: each is said again on NAK or silence, up to three times.

    A message of ours counts as arrived by its own ACK byte alone, never by what is said next: that may answer an older
    one, of which the other side repeats its answer.
    """

    def __init__(self, repeat: float, framing: SerialFraming | None = None) -> None:
        """`repeat`: seconds without ACK after which a frame is said again."""
        self._framing = framing or SerialFraming()
        self._hearing = _Hearing(self._framing, INTER_CHAR)
        self._repeat = repeat
        self._quiet_until = float("-inf")
        self._queue: deque[_Frame] = deque()
        self._signals = bytearray()
        self._said = 0
        self._gone = False

    def free(self, now: float) -> bool:
        """Whether all that was said is acknowledged, and no second ACK for it can come any more."""
        return not self._queue and now >= self._quiet_until

    @property
    def gone(self) -> bool:
        """Whether a frame was said often enough without ACK."""
        return self._gone

    def frame(self, apdu: Apdu) -> bytes:
        """The exact bytes of a message."""
        return self._framing.encode(apdu)

    def hear(self, data: bytes, now: float) -> list[Apdu]:
        """Take bytes in; return the messages that are complete now, each acknowledged."""
        found = []
        for heard in self._hearing.feed(data, now):
            match heard:
                case Apdu():
                    self._signals.append(ACK)
                    found.append(heard)
                case Signal.BROKEN:
                    self._signals.append(NAK)
                case Signal.ACK if self._queue and self._queue[0].tries:
                    self._acknowledged(self._queue.popleft(), now)
                case Signal.NAK if self._queue and self._queue[0].tries:
                    self._queue[0].again_at = now
                case _:
                    pass
        self._gone = self._gone and not found
        return found

    def _acknowledged(self, frame: _Frame, now: float) -> None:
        if frame.tries > 1:  # was the first ACK lost, or only late? A late one must not count for the next frame
            self._quiet_until = now + self._repeat

    def say(self, apdu: Apdu) -> int:
        """Put a message in the queue; returns its number."""
        self._said += 1
        self._queue.append(_Frame(self._said, self.frame(apdu)))
        return self._said

    def arrived(self, number: int) -> bool:
        """Whether a message was acknowledged (or hushed)."""
        return all(frame.number != number for frame in self._queue)

    def due(self, now: float) -> bytes:
        """What is to be written by now: acknowledgements, then the frame whose turn it is."""
        inside = self._framing.inside
        if self._hearing.stale(now) and inside:
            self._signals.append(NAK)
        raw = bytes(self._signals)
        self._signals.clear()
        if self._queue and now >= max(self._queue[0].again_at, self._quiet_until):
            frame = self._queue[0]
            if frame.tries >= TRIES:
                self._queue.clear()
                self._gone = True
            else:
                frame.tries, frame.again_at = frame.tries + 1, now + self._repeat
                raw += frame.raw
        return raw

    def hush(self) -> None:
        """Say nothing more of what was said so far."""
        self._queue.clear()

    def reset(self) -> None:
        """The line is a new one."""
        self.hush()
        self._signals.clear()
        self._framing.reset()
        self._gone = False
        self._quiet_until = float("-inf")
