"""How messages get across: at once on TCP; on a serial line each until the other side has acknowledged it. Pure.

Both sides of a line are the same, so the simulator uses these as well. `now` is monotonic seconds.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Final, Protocol

from drivers.zvt_terminal.codec import ACK, NAK, Apdu, Framing, SerialFraming, Signal, TcpFraming

INTER_CHAR: Final = 0.2
"""Seconds of silence after which half a serial frame will not be completed any more (T1)."""

QUIET: Final = 0.2
"""In parts of the time after which a frame is said again: how long a second ACK for it may still be under way."""

ANSWERS: Final = frozenset((0x80, 0x84))
"""Classes of the messages that answer a message."""

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

    @property
    def ends_with_its_machine(self) -> bool:
        """Whether it breaks when the machine is switched off: what is said on it later is said by the same program."""
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

    def __init__(self, framing: TcpFraming, patience: float) -> None:
        """`patience`: seconds after which half a message is given up."""
        self._hearing = _Hearing(framing, patience)
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

    @property
    def ends_with_its_machine(self) -> bool:
        """A connection does."""
        return True

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
    is_answer: bool
    tries: int = 0
    again_at: float = field(default=float("-inf"))
    refused: bool = False
    """Whether a NAK asks for it."""
    unheard: bool = False
    """Whether it was ever said again for want of an answer: then each telling may be acknowledged yet."""


class SerialLine:
    """Messages on a serial line, one at a time: each is said again on NAK or silence, up to three times.

    A message of ours counts as arrived by its own ACK byte alone, never by what is said next: that may answer an older
    one, of which the other side repeats its answer. After a frame that silence had us repeat, no message but answers is
    said for a while, so that a late ACK for it is not taken for the next one's.
    """

    def __init__(self, repeat: float, framing: SerialFraming | None = None) -> None:
        """`repeat`: seconds without ACK after which a frame is said again."""
        self._framing = framing or SerialFraming()
        self._hearing = _Hearing(self._framing, INTER_CHAR)
        self._repeat = repeat
        self._quiet_until = float("-inf")
        self._queue: deque[_Frame] = deque()
        self._signals = bytearray()
        self._said = self._arrived = 0
        self._gone = False

    def free(self, now: float) -> bool:
        """Whether all that was said is acknowledged, and no second ACK for it can come any more."""
        return not self._queue and now >= self._quiet_until

    @property
    def gone(self) -> bool:
        """Whether a frame was said often enough without ACK."""
        return self._gone

    @property
    def ends_with_its_machine(self) -> bool:
        """A cable does not."""
        return False

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
                    self._queue[0].again_at, self._queue[0].refused = now, True
                case _:
                    pass
        self._gone = self._gone and not found
        return found

    def _acknowledged(self, frame: _Frame, now: float) -> None:
        self._arrived = frame.number
        if frame.unheard or (frame.is_answer and now < self._quiet_until):
            self._quiet_until = now + QUIET * self._repeat

    def say(self, apdu: Apdu) -> int:
        """Put a message in the queue; returns its number."""
        self._said += 1
        self._queue.append(_Frame(self._said, self.frame(apdu), apdu.control >> 8 in ANSWERS))
        return self._said

    def arrived(self, number: int) -> bool:
        """Whether a message was acknowledged."""
        return number <= self._arrived

    def due(self, now: float) -> bytes:
        """What is to be written by now: acknowledgements, then the frame whose turn it is."""
        inside = self._framing.inside
        if self._hearing.stale(now) and inside:
            self._signals.append(NAK)
        raw = bytes(self._signals)
        self._signals.clear()
        if self._queue and now >= self._queue[0].again_at and (self._queue[0].is_answer or now >= self._quiet_until):
            raw += self._say_again(self._queue[0], now)
        return raw

    def _say_again(self, frame: _Frame, now: float) -> bytes:
        """A frame, for the first time or again; nothing if that was often enough."""
        if frame.tries >= TRIES:
            self._queue.clear()
            self._gone = True
            return b""
        frame.unheard = frame.unheard or (frame.tries > 0 and not frame.refused)
        frame.tries, frame.again_at, frame.refused = frame.tries + 1, now + self._repeat, False
        return frame.raw

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
