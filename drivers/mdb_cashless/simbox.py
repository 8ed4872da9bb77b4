"""A simulated adapter in its box: its bus on one side, its line on the other, and what may befall it. Pure.

It is the same in a process of its own (simprogram.py) and in the tests' own time.
"""

from collections import deque
from typing import Final

from drivers.mdb_cashless import simbus, words
from drivers.mdb_cashless.amounts import Amounts
from drivers.mdb_cashless.codec import LineCodec, Side
from drivers.mdb_cashless.simadapter import Adapter
from drivers.mdb_cashless.simbus import CharCodec, to_wire
from drivers.mdb_cashless.simfaults import Faults
from drivers.mdb_cashless.words import Dialect

NOISE: Final = b"c,VEND,SUC\n\x00\xff~,,\nc,STATUS,VEND,4\n"
"""Pieces of lines, and what is none."""
HELD_FOR: Final = ("cancel_first", "cancel_second", "reset_before_approval")
"""Faults of people and the machine that happen around the moment at which it heeds an approval."""


class Box:
    """One life of an adapter, from power-up."""

    def __init__(self, amounts: Amounts, dialect: Dialect, faults: Faults) -> None:
        """It has just got its power."""
        self._faults = faults
        self._adapter = Adapter(amounts, faults)
        self._codec = LineCodec(dialect, Side.ADAPTER)
        self._characters = CharCodec()
        self._waiting: deque[words.Word] = deque()
        self.held = False
        """It has read an approval, and waits with it until `heed`: so those behind the mishap can be in time."""
        self.dead = False
        """It has lost its power by itself."""

    def hear_line(self, raw: bytes) -> None:
        """What the program has said."""
        self._waiting += self._codec.feed(raw)
        while self._waiting and not self.held and not self.dead:
            self._read(self._waiting.popleft())

    def hear_bus(self, raw: bytes) -> bytes:
        """What goes by on the bus; what it says there."""
        answer = to_wire(self._adapter.listen(self._characters.feed(raw)))
        return simbus.NOISE + answer if answer and self._faults.bus_garbage else answer

    def heed(self) -> None:
        """Go on with the approval that is held."""
        if self.held:
            self.held = False
            self._adapter.hear(self._waiting.popleft())
            self.hear_line(b"")

    def say(self) -> bytes:
        """What it has to say to the program by now."""
        if not self._faults.silent and self._faults.take("switched_off"):
            self._adapter.hear(words.Switch(False))
        said, self._adapter.said = self._adapter.said, []
        noise = NOISE if self._faults.garbage else b""
        return b"".join(noise + self._codec.encode(word) for word in said if not self._loses(word))

    def _read(self, word: words.Word) -> None:
        faults = self._faults
        if faults.silent:
            return
        if not isinstance(word, words.Approve):
            self._adapter.hear(word)
        elif faults.take("restart_on_approval"):
            self.dead = True
        elif not faults.take("drop_approval_once"):
            self.held = any(getattr(faults, name) for name in HELD_FOR)
            if self.held:
                self._waiting.appendleft(word)
            else:
                self._adapter.hear(word)

    def _loses(self, word: words.Said) -> bool:
        """Whether a line of the adapter never arrives."""
        if isinstance(word, words.Switched):
            return self._faults.silent
        lost = self._faults.silent or self._faults.take("drop_said_once")
        if isinstance(word, words.VendDone):
            lost = self._faults.take("drop_success_once") or lost
        return lost
