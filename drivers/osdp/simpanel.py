"""A simulated access panel: polls our reader, knows which cards are permitted, opens the world's exit once for each.

It debounces nothing: every card that it reads opens. Used by drivers.osdp.sim only.
"""

import os
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from drivers.osdp.codec import Codec, Frame, encode
from drivers.osdp.cp import Answer, Cp, Letter
from drivers.osdp.options import Reader, Settings
from drivers.osdp.simwire import TICK, Faults, Wire
from drivers.osdp.words import GREEN, RED, Card, Command, Reply, card, lamp_for, wiegand26

TRIES: Final = 3
LAMP: Final = 20
"""Tenths of a second for which the lamp shows green or red."""


@dataclass(frozen=True, slots=True)
class _Heard:
    """What came back: the answer, and whether the panel went on working after it."""

    answer: Answer | None
    alive: bool = True


class SimPanel:
    """The panel at its wire, as far as its faults let it."""

    def __init__(self, settings: Settings, options: Reader, grant: Callable[[], None]) -> None:
        """`grant` opens the exit at which the reader stands."""
        self._cp = Cp(options.address, settings.scbk, os.urandom, default_key=settings.default_key)
        self._permitted = wiegand26(options.facility, options.card)
        self._grant = grant
        self._codec = Codec()
        self._next = 0.0
        self._lamps: deque[bytes] = deque()
        self._late = b""
        self.rounds = 0
        """How often it has asked for something."""
        self.cards: list[Card] = []
        """All cards that it has read."""

    def reset(self) -> None:
        """It starts anew."""
        self._codec.reset()
        self._cp.reset()
        self._lamps.clear()

    def work(self, wire: Wire, faults: Faults, clock: Callable[[], float]) -> None:
        """Poll, or say what is to be said; read what comes."""
        stale = wire.read(max(0.001, min(TICK, self._next - clock())))
        del stale  # whatever it is, nothing was asked
        if clock() < self._next or faults.silent:
            return
        self._next = clock() + faults.poll_ms / 1000
        if not self._cp.ready:
            letter = self._cp.step()
        elif self._lamps:
            letter = self._cp.compose(Command.LED, self._lamps[0])
        else:
            letter = self._cp.compose(Command.POLL)
        heard = self._exchange(letter, wire, faults, clock)
        self.rounds += 1
        if not heard.alive:
            self.reset()
            return
        if heard.answer is None:
            self._cp.reset()
        elif letter.code == Command.LED:
            self._lamps.popleft()
        elif heard.answer.code == Reply.RAW:
            self._read(heard.answer.data, faults)

    def _exchange(self, letter: Letter, wire: Wire, faults: Faults, clock: Callable[[], float]) -> _Heard:
        for _ in range(1 if faults.no_patience else TRIES):
            faults.pace(letter.raw)
            wire.write(bytes(byte ^ 0x5A for byte in letter.raw) if faults.garbage else letter.raw)
            self._codec.reset()
            late, self._late, until = self._late, b"", clock() + faults.patience_ms / 1000
            while (left := until - clock()) > 0 and not faults.unplugged:
                for frame in self._codec.feed(late or wire.read(left)):
                    if (heard := self._hear(letter, frame, faults)) is not None:
                        return heard
                late = b""
            if faults.unplugged:
                break
        return _Heard(None)

    def _hear(self, letter: Letter, frame: Frame, faults: Faults) -> _Heard | None:
        """Take a frame; None if it never came, or says nothing to what was asked."""
        faults.pace(encode(frame))
        reads = frame.code == Reply.RAW
        if reads and faults.take("drop_reply_once"):
            return None
        if reads and faults.take("bad_mac_once"):
            return None
        if reads and (faults.restart_once or faults.unplug_on_act):
            if faults.act and (answer := self._cp.hear(letter, frame)) is not None:
                self._read(answer.data, faults)
            faults.unplugged = faults.take("unplug_on_act")
            faults.take("restart_once")
            return _Heard(None, alive=False)
        answer = self._cp.hear(letter, frame)
        if reads and answer is not None and faults.take("reply_twice_once"):
            self._late = encode(frame)
        return None if answer is None or answer.code == Reply.BUSY else _Heard(answer)

    def _read(self, data: bytes, faults: Faults) -> None:
        read = card(data)
        if read is None:
            return
        self.cards.append(read)
        known = read == self._permitted and not faults.unknown_card
        if known:
            self._grant()
        if not faults.no_lamp:
            self._lamps.append(lamp_for(GREEN if known else RED, LAMP))
