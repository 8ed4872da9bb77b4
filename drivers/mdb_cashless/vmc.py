"""The controller of a simulated pay station: master of the bus, and the one that knows what was sold.

The sequence is that of MDB/ICP 4.2, section 7: reset, poll until JUST RESET, set-up, prices, identity, options, enable,
then polls; a vend is asked for, approved, given, confirmed. It counts by the specification's own rules: an approval
that it has is a sale, unless it says VEND FAILURE.
"""

import logging
from collections.abc import Callable, Iterator
from enum import StrEnum
from typing import Final, Protocol

from drivers.mdb_cashless.amounts import Amounts
from drivers.mdb_cashless.block import Command, Reader, Reply, Vend
from drivers.simlot.station import Station
from parking.money import Yen, yen

log = logging.getLogger(__name__)

IDENTITY: Final = b"SIM000000000001PAY STATION \x00\x01"
ITEM: Final = b"\xff\xff"
ALWAYS_IDLE: Final = 0x20
"""Bit 5 of the optional features (section 7.4.18)."""
LEVEL: Final = 3
GIVEN_UP: Final = 5
"""Blocks in a row without an answer after which the reader counts as gone, and is reset."""

Exchange = Callable[[bytes, bytes | None], bytes | None]
"""Puts a block on the bus and gives the answer that begins so (b"": a bare ACK, None: any), or None for silence."""
BARE: Final = b""


class Mishaps(Protocol):
    """What may befall a controller; each happens once where it is set."""

    late_success_ms: int

    def take(self, name: str) -> bool:
        """Whether it is due; it is used up now."""
        ...


class Phase(StrEnum):
    """Where the controller is in its sequence."""

    STARTING = "starting"
    READY = "ready"
    SESSION = "session"
    VEND = "vend"
    GIVING = "giving"
    ENDING = "ending"


class Controller:
    """One exchange on the bus for each `turn`. Not thread-safe; the station is."""

    def __init__(self, station: Station, amounts: Amounts, always_idle: bool, mishaps: Mishaps) -> None:
        self._station, self._amounts, self._mishaps = station, amounts, mishaps
        self._always_idle = always_idle
        self.phase = Phase.STARTING
        self.successes = 0
        self.failures = 0
        self._start_up = self._starting()
        self._silence = 0
        self._ticket = self._refused = 0
        self._approved = yen(0)
        self._confirm_at = 0.0

    def turn(self, exchange: Exchange, now: float) -> None:
        """Do the next thing."""

        def ask(block: bytes, wanted: bytes | None) -> bytes | None:
            answer = exchange(block, wanted)
            self._silence = self._silence + 1 if answer is None else 0
            return answer

        match self.phase:
            case Phase.STARTING:
                self._next_of_start_up(ask)
            case Phase.READY | Phase.SESSION:
                self._wait_for_ticket(ask)
            case Phase.VEND:
                self._wait_for_approval(ask, now)
            case Phase.GIVING:
                self._give(ask, now)
            case Phase.ENDING:
                if ask(bytes((Command.VEND, Vend.SESSION_COMPLETE)), bytes((Reply.END_SESSION,))) is not None:
                    self.phase = Phase.READY
        if self._silence >= GIVEN_UP and self.phase is not Phase.STARTING:
            self.reset()

    def reset(self) -> None:
        """Begin again. What it has an approval for it has sold; what it asked for it may ask for again."""
        self._silence = 0
        self._start_up, self.phase = self._starting(), Phase.STARTING

    # --- the start ----------------------------------------------------------------------------------------------------

    def _starting(self) -> Iterator[tuple[bytes, bytes]]:
        """Blocks with how their answers begin."""
        yield bytes((Command.RESET,)), BARE
        yield bytes((Command.POLL,)), bytes((Reply.JUST_RESET,))
        yield bytes((Command.SETUP, 0, LEVEL, 0, 0, 0)), bytes((Reply.CONFIG,))
        yield bytes((Command.SETUP, 1, 0xFF, 0xFF, 0, 0)), BARE
        yield bytes((Command.EXPANSION, 0)) + IDENTITY, bytes((Reply.IDENTITY,))
        if self._always_idle:
            yield bytes((Command.EXPANSION, 4, 0, 0, 0, ALWAYS_IDLE)), BARE
        yield bytes((Command.READER, Reader.ENABLE)), BARE

    def _next_of_start_up(self, ask: Exchange) -> None:
        """One block after the other; silence or another answer begins all of it again."""
        step = next(self._start_up, None)
        if step is None:
            self.phase = Phase.READY
        elif ask(*step) is None:
            self.reset()

    # --- a vend -------------------------------------------------------------------------------------------------------

    def _wait_for_ticket(self, ask: Exchange) -> None:
        answer = ask(bytes((Command.POLL,)), None)
        if answer is None:
            return
        if answer[:1] == bytes((Reply.BEGIN_SESSION,)):
            self.phase = Phase.SESSION
        elif answer[:1] == bytes((Reply.CANCEL_REQUEST,)):
            self.phase = Phase.ENDING
        elif answer[:1] == bytes((Reply.JUST_RESET,)):
            self.reset()
        with self._station.lock:
            asked, ticket = self._station.asked, self._station.ticket
        may = self.phase is Phase.SESSION or (self.phase is Phase.READY and self._always_idle)
        if may and asked and ticket != self._refused and (units := self._units(asked)) is not None:
            self._ticket = ticket
            if ask(bytes((Command.VEND, Vend.REQUEST)) + units + ITEM, BARE) is not None:
                self.phase = Phase.VEND

    def _wait_for_approval(self, ask: Exchange, now: float) -> None:
        if not self._still_wanted():
            # Answered with VEND DENIED, whatever the reader was about to say (section 7.4.7).
            if ask(bytes((Command.VEND, Vend.CANCEL)), bytes((Reply.DENIED,))) is not None:
                self.phase = Phase.ENDING
            return
        answer = ask(bytes((Command.POLL,)), None) or b""
        if answer[:1] == bytes((Reply.APPROVED,)):
            self._approved = self._yen(answer[1:])
            # Here is the sale: the machine has the approval and gives what was paid for, unless it cannot.
            failing = self._mishaps.take("fail_after_approval") or not self._still_wanted()
            sold = not failing and self._station.paid(self._approved)
            self.successes, self.failures = self.successes + sold, self.failures + (not sold)
            self._approved = self._approved if sold else yen(0)
            self._confirm_at = now + self._mishaps.late_success_ms / 1000
            self.phase = Phase.GIVING
        elif answer[:1] == bytes((Reply.DENIED,)):
            self._refused, self.phase = self._ticket, Phase.ENDING
        elif answer[:1] == bytes((Reply.JUST_RESET,)):
            self.reset()

    def _give(self, ask: Exchange, now: float) -> None:
        if self._approved and self._mishaps.take("reset_after_approval"):
            self.reset()
        elif now < self._confirm_at:
            if ask(bytes((Command.POLL,)), None) == bytes((Reply.JUST_RESET,)):
                self.reset()
        else:
            done = bytes((Command.VEND, Vend.SUCCESS)) + ITEM if self._approved else bytes((Command.VEND, Vend.FAILURE))
            if ask(done, BARE) is not None:
                self.phase = Phase.ENDING

    def _still_wanted(self) -> bool:
        with self._station.lock:
            return self._station.open and self._station.ticket == self._ticket

    def _units(self, asked: Yen) -> bytes | None:
        """The price as it goes over the bus; None for one that it cannot say: then it takes cash only."""
        amounts = self._amounts
        if amounts.wide or amounts.say(asked) is None:
            return None
        units: int = asked * 10**amounts.decimals // amounts.scale
        return units.to_bytes(2, "big")

    def _yen(self, units: bytes) -> Yen:
        return yen(int.from_bytes(units[:2], "big") * self._amounts.scale // 10**self._amounts.decimals)
