"""A virtual card reader, as an access panel polls it: shows a card once, and tells what became of it. Pure.

A card (RAW) is said in answer to one POLL. As long as the panel repeats that POLL its answer was lost, and is said
again: the panel takes it for one card. The panel has it when its next command follows in sequence (and, in a secure
channel, is chained to our answer by its MAC). When the link begins anew before that, nobody knows; the card is never
shown again.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final

from drivers.osdp.pd import Answer, Identity, Pd, nak
from drivers.osdp.words import GREEN, RED, SWITCHES_ON, Card, Command, Lamp, Nak, Reply, Signal, lamps, outs, sounds

VENDOR: Final = bytes.fromhex("da1c00")
"""Not registered: a panel shows it to a person, nothing depends on it."""
MODEL: Final = 1
CAPABILITIES: Final = bytes.fromhex("03 01 01  04 01 01  05 01 01  08 01 00  0d 00 01  10 02 00")
"""PDCAP (7.5), in triples of function, compliance, number: card data as bits, LED, buzzer, CRC, one reader, OSDP 2."""
SECURITY: Final = 9
"""The function of PDCAP that tells of AES-128, and of the default key."""
OUTPUTS: Final = 4
"""Outputs that a panel may switch at us; nothing is wired to them."""


class Stage(Enum):
    """How far a card is."""

    WAITING = auto()
    """No byte of it has left."""
    SAID = auto()
    TAKEN = auto()
    """The panel has it."""
    LOST = auto()
    """It was said, and nobody knows whether the panel has it."""
    WITHDRAWN = auto()
    """It was never said, and will not be."""


@dataclass(slots=True)
class Showing:
    """One card, shown once; `granted` and `denied` are what the panel showed after it had taken it."""

    card: Card
    stage: Stage = Stage.WAITING
    written: bool = False
    granted: str = ""
    denied: str = ""


@dataclass(slots=True)
class Reader:
    """The reader (drivers.peripheral.Peripheral). `random` gives so many unpredictable bytes."""

    identity: Identity
    granted_by: tuple[Signal, ...]
    random: Callable[[int], bytes]
    showing: Showing | None = None
    _pd: Pd = field(init=False)

    def __post_init__(self) -> None:
        """No panel has polled yet."""
        self._pd = Pd(self.identity, self, self.random)

    # --- for the driver ----------------------------------------------------------------------------------------------

    def online(self, now: float) -> bool:
        """Whether a panel polls us."""
        return self._pd.online(now)

    def show(self, card: Card) -> Showing:
        """Show a card at the next POLL. What was shown before is over."""
        self.showing = Showing(card)
        return self.showing

    def withdraw(self, showing: Showing) -> None:
        """It is not to be shown any more, if it was not said yet."""
        if showing.stage is Stage.WAITING:
            showing.stage = Stage.WITHDRAWN

    # --- drivers.peripheral.Peripheral -------------------------------------------------------------------------------

    def opened(self, now: float) -> None:
        """The line is there: the panel has to begin anew."""
        self._pd.reset(now)

    def lost(self, now: float, certain: bool) -> None:
        """The line broke."""
        if certain and self.showing is not None and self.showing.stage is Stage.SAID and not self.showing.written:
            self.showing.stage = Stage.WITHDRAWN
        self._pd.reset(now)

    def receive(self, data: bytes, now: float) -> bytes:
        """Answer what the panel says."""
        return self._pd.hear(data, now)

    def due(self, now: float) -> bytes:
        """Nothing: a reader speaks when it is spoken to."""
        del now
        return b""

    def written(self, now: float) -> None:
        """The answer has been handed to the line."""
        del now
        if self.showing is not None and self.showing.stage is Stage.SAID:
            self.showing.written = True

    # --- drivers.osdp.pd.Answers -------------------------------------------------------------------------------------

    def poll(self, now: float) -> Answer:
        """The card, if one waits."""
        del now
        if self.showing is None or self.showing.stage is not Stage.WAITING:
            return Reply.ACK, b""
        self.showing.stage = Stage.SAID
        return Reply.RAW, self.showing.card.raw

    def heard(self, now: float) -> None:
        """The panel has our last answer."""
        del now
        if self.showing is not None and self.showing.stage is Stage.SAID and self.showing.written:
            self.showing.stage = Stage.TAKEN

    def broken(self, now: float) -> None:
        """The link began anew."""
        del now
        if self.showing is not None and self.showing.stage is Stage.SAID:
            self.showing.stage = Stage.LOST

    def answer(self, code: int, data: bytes, now: float) -> Answer:
        """Any other command."""
        del now
        match code:
            case Command.ID:
                return Reply.PDID, VENDOR + bytes((MODEL, 1)) + self.identity.cuid[-4:] + bytes((0, 1, 0))
            case Command.CAP:
                secure = bytes((SECURITY, self.identity.scbk is not None, self.identity.default_key))
                return Reply.PDCAP, CAPABILITIES + secure
            case Command.LSTAT:
                return Reply.LSTATR, bytes(2)
            case Command.ISTAT | Command.RSTAT:
                return (Reply.ISTATR if code == Command.ISTAT else Reply.RSTATR), bytes(1)
            case Command.OSTAT:
                return Reply.OSTATR, bytes(OUTPUTS)
            case Command.OUT | Command.LED | Command.BUZ:
                return self._told(code, data)
            case Command.TEXT | Command.ACURXSIZE | Command.KEEPACTIVE | Command.ABORT:
                return Reply.ACK, b""
        return nak(Nak.UNKNOWN)

    def _told(self, code: int, data: bytes) -> Answer:
        """What the panel has us show: perhaps that it lets the card in, or that it does not."""
        if code == Command.OUT:
            orders = outs(data)
            if orders is None:
                return nak(Nak.LENGTH)
            if any(one.control in SWITCHES_ON for one in orders):
                self._sign(Signal.OUTPUT, "it switched an output on")
        elif code == Command.LED:
            shown = lamps(data)
            if shown is None:
                return nak(Nak.LENGTH)
            for lamp in shown:
                self._lit(lamp)
        else:
            sound = sounds(data)
            if sound is None:
                return nak(Nak.LENGTH)
            if sound:
                self._sign(Signal.BUZZER, "it sounded the buzzer")
        return Reply.ACK, b""

    def _lit(self, lamp: Lamp) -> None:
        if lamp.shown == GREEN:
            self._sign(Signal.LED, "it lit the lamp green")
        elif lamp.temporary == RED and self.showing is not None and self.showing.stage is Stage.TAKEN:
            self.showing.denied = self.showing.denied or "it lit the lamp red"

    def _sign(self, signal: Signal, words: str) -> None:
        showing = self.showing
        if signal in self.granted_by and showing is not None and showing.stage is Stage.TAKEN and not showing.granted:
            showing.granted = words
