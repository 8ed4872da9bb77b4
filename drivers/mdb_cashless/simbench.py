"""A simulated pay station without its line: the controller, its bus, the adapter, and what may befall them.

No I/O, no threads, no clock: who carries the bytes gives them in and takes them out (in sim.py a pty).
"""

from dataclasses import dataclass
from typing import Final

from drivers.mdb_cashless import words
from drivers.mdb_cashless.codec import LineCodec, Side
from drivers.mdb_cashless.options import Options, Sessions
from drivers.mdb_cashless.simadapter import Adapter
from drivers.mdb_cashless.vmc import Controller
from drivers.simlot.station import Station

NOISE: Final = b"c,VEND,SUC\n\x00\xff~,,\nc,STATUS,VEND,4\n"
"""Pieces of lines, and what is none."""


@dataclass
class Faults:
    """What is wrong with the machine, the adapter or its line; set at any time, from any thread.

    Those that end in `_once` and the others that are no state (`reset_…`, `fail_…`, `cancel_…`, `restart_…`) happen at
    the next occasion and are then used up. `reset_before_approval`: the machine is reset while an approval waits for
    its poll; `reset_after_approval`: when it has it. `cancel_first`: the customer cancels just before the adapter reads
    our approval; `cancel_second`: just after. `restart`: the adapter, now; `restart_on_approval`: as it reads one;
    `restart_after_approval`: once the machine has it. `byte_us`: microseconds that each byte takes to us.
    """

    unplugged: bool = False
    silent: bool = False
    drop_approval_once: bool = False
    drop_success_once: bool = False
    drop_said_once: bool = False
    reset_before_approval: bool = False
    reset_after_approval: bool = False
    fail_after_approval: bool = False
    cancel_first: bool = False
    cancel_second: bool = False
    restart: bool = False
    restart_on_approval: bool = False
    restart_after_approval: bool = False
    garbage: bool = False
    byte_us: int = 0
    late_success_ms: int = 0

    def take(self, name: str) -> bool:
        """Whether a fault that happens once is due; it is used up now."""
        due = bool(getattr(self, name))
        setattr(self, name, False)
        return due


class Bench:
    """Controller, bus and adapter of one pay station."""

    def __init__(self, station: Station, options: Options, faults: Faults) -> None:
        """Everything has just got its power."""
        self.faults = faults
        self._station, self._options = station, options
        self.controller = Controller(station, options.amounts, options.sessions is Sessions.ALWAYS_IDLE, faults)
        self._adapter = Adapter(options.amounts)
        self._codec = LineCodec(options.spoken, Side.ADAPTER)
        self._restarting = False

    def falters(self) -> bool:
        """Whether the adapter loses its power, and its line with it, now or still."""
        self._restarting = self.faults.take("restart") or self._restarting
        return self._restarting or self.faults.unplugged

    def lose_power(self) -> None:
        """The adapter forgets everything; the controller does not."""
        self._restarting = False
        self._adapter = Adapter(self._options.amounts)
        self._codec.reset()

    def poll_nobody(self, now: float) -> None:
        """The controller goes on polling while there is no adapter."""
        self.controller.turn(lambda _: None, now)

    def cycle(self, heard: bytes, now: float) -> bytes:
        """What the adapter is told, one exchange on the bus, and what the adapter says."""
        for word in self._codec.feed(heard):
            if not self.faults.silent:
                self._heed(word, now)
        self._bus(now)
        said, self._adapter.said = self._adapter.said, []
        noise = NOISE if self.faults.garbage else b""
        return b"".join(noise + self._codec.encode(word) for word in said if not self._loses(word))

    def _heed(self, word: words.Word, now: float) -> None:
        faults = self.faults
        if not isinstance(word, words.Approve):
            self._adapter.hear(word)
        elif faults.take("restart_on_approval"):
            self._restarting = True
        elif not faults.take("drop_approval_once"):
            if faults.take("cancel_first"):
                self._station.cancel()
                self._bus(now)
            self._adapter.hear(word)
            if faults.take("cancel_second"):
                self._station.cancel()
            if faults.take("reset_before_approval"):
                self.controller.reset()

    def _bus(self, now: float) -> None:
        before = self.controller.successes
        self.controller.turn(self._adapter.exchange, now)
        if self.controller.successes > before and self.faults.take("restart_after_approval"):
            self._restarting = True
            self._adapter.said.clear()

    def _loses(self, word: words.Said) -> bool:
        """Whether a line of the adapter never arrives."""
        lost = self.faults.silent or self.faults.take("drop_said_once")
        if isinstance(word, words.VendDone):
            lost = self.faults.take("drop_success_once") or lost
        return lost
