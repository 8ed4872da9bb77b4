"""A simulated adapter: a reader on the bus on one side, lines of text on the other. It lives as long as it has power.

What it writes down and when is what the maker's published examples show; what they do not show is in qibixx.py, and how
adapters differ there in simfaults.py.
"""

from dataclasses import dataclass
from typing import Final

from drivers.mdb_cashless import words
from drivers.mdb_cashless.amounts import Amounts
from drivers.mdb_cashless.block import ACK, Block, BlockCodec, Char, Command, Reply, Side, Vend, from_peripheral
from drivers.mdb_cashless.block import Reader as ReaderCommand
from drivers.mdb_cashless.simfaults import Faults
from drivers.mdb_cashless.words import State

LONGEST_WAIT: Final = 0xFF
"""Z7: seconds for which the controller waits for an answer."""
CURRENCY: Final = b"\x13\x92"
IDENTITY: Final = b"SIM000000000001MDB ADAPTER \x00\x01" + b"\x00\x00\x00\x20"
"""Who it is, and the optional features that it has: always idle (section 7.4.16)."""


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """What the reader says on the bus (nothing: a bare ACK), and where it stands once that is acknowledged."""

    data: bytes = b""
    then: State | None = None


NOTHING: Final = Answer()
ON_ALREADY: Final = words.Complaint(words.Trouble.IS_ON, "cashless is on")


class Adapter:
    """What it says to the program is collected in `said`. Not thread-safe."""

    def __init__(self, amounts: Amounts, faults: Faults) -> None:
        """Fresh from power-up: switched off."""
        self._amounts, self._faults = amounts, faults
        self._on = False
        self._state: State | None = None
        """None: in a vend."""
        self._asked = words.VendAsked("0", "0")
        self._news = NOTHING
        """What is said at the next poll."""
        self._unacknowledged: Answer | None = None
        """Data that the controller was told last, while its ACK may come."""
        self._ear = BlockCodec(Side.PERIPHERAL)
        self.said: list[words.Said] = []

    # --- the bus ------------------------------------------------------------------------------------------------------

    def listen(self, characters: tuple[Char, ...]) -> tuple[Char, ...]:
        """What goes by on the bus; what the reader says there."""
        said: tuple[Char, ...] = ()
        for block in self._ear.feed(characters):
            if block.bare:
                self._heard_bare(block.data)
            elif self._on:
                answer = self._answer(block.data)
                self._unacknowledged = answer if answer.data else None
                said += from_peripheral(Block(answer.data) if answer.data else Block(ACK, bare=True))
        return said

    def _heard_bare(self, data: bytes) -> None:
        """An ACK counts right after data; without one, what was to be polled stays to be polled."""
        answer, self._unacknowledged = self._unacknowledged, None
        if answer is None or data != ACK:
            return
        if answer is self._news:
            self._news = NOTHING
        self.said.append(words.Acknowledged())
        if answer.then is not None:
            self._go(answer.then)

    def _answer(self, data: bytes) -> Answer:
        match data[0]:
            case Command.RESET:
                self._news = Answer(bytes((Reply.JUST_RESET,)))
                if self._state is None and self._faults.tells_reset:
                    self.said.append(words.Complaint(words.Trouble.RESET, "VEND 5"))
                self._go(State.INACTIVE)
            case Command.POLL:
                return self._news
            case Command.SETUP if data[1] == 0:
                scale, decimals = self._amounts.scale, self._amounts.decimals
                config = bytes((Reply.CONFIG, 3)) + CURRENCY + bytes((scale, decimals, LONGEST_WAIT, 0x01))
                return Answer(config, State.DISABLED)
            case Command.EXPANSION if data[1] == 0:
                return Answer(bytes((Reply.IDENTITY,)) + IDENTITY)
            case Command.READER:
                self._go(State.ENABLED if data[1] == ReaderCommand.ENABLE else State.DISABLED)
                return Answer(bytes((Reply.CANCELLED,))) if data[1] == ReaderCommand.CANCEL else NOTHING
            case Command.VEND:
                return self._vend(data[1], data[2:])
        return NOTHING

    def _vend(self, what: int, more: bytes) -> Answer:
        match what:
            case Vend.REQUEST:
                item = str(int.from_bytes(more[2:4], "big"))
                self._state, self._asked = None, words.VendAsked(self._written(more[:2]), item)
                self.said.append(self._asked)
            case Vend.CANCEL:
                self._news = NOTHING
                if self._faults.tells_cancel:
                    self.said.append(words.Complaint(words.Trouble.CANCELLED, "VEND 1"))
                return Answer(bytes((Reply.DENIED,)), State.IDLE)
            case Vend.SUCCESS:
                self.said.append(words.VendDone())
                self._go(State.IDLE)
            case Vend.FAILURE:
                self.said.append(words.Complaint(words.Trouble.VEND_FAILED, "VEND 3"))
                self._go(State.IDLE)
            case Vend.SESSION_COMPLETE:
                return Answer(bytes((Reply.END_SESSION,)), State.ENABLED)
        return NOTHING

    def _go(self, state: State) -> None:
        self._state = state
        self.said.append(words.Status(state))

    # --- the program --------------------------------------------------------------------------------------------------

    def hear(self, word: words.Word) -> None:
        """Do what it is told."""
        match word:
            case words.AskVersion():
                self.said.append(words.Version("4.0.2.0", "SIM000000000001"))
            case words.AskHardware():
                self.said.append(words.Hardware("6.0,SIM"))
            case words.Configure():
                self.said.append(ON_ALREADY if self._on else words.Configured())
            case words.Switch(on):
                self._switch(on)
            case words.Start(credit):
                self._start(credit)
            case words.Approve(amount):
                self._approve(amount)
            case words.Deny():
                self._deny()

    def _switch(self, on: bool) -> None:
        if on and self._on and self._faults.is_on:
            self.said.append(ON_ALREADY)
            return
        if on != self._on:
            self._unacknowledged = None
            self._on, self._state, self._news = on, State.INACTIVE, Answer(bytes((Reply.JUST_RESET,)))
        self.said.append(words.Switched(on))
        if on:
            self.said.append(self._asked if self._state is None else words.Status(self._state))

    def _start(self, credit: str) -> None:
        units = self._units(credit)
        if self._state is not State.ENABLED or units is None:
            self.said.append(words.Complaint(words.Trouble.OTHER, "START -3"))
            return
        self._news = Answer(bytes((Reply.BEGIN_SESSION,)) + units, State.IDLE)

    def _approve(self, amount: str) -> None:
        units = self._units(amount)
        if not self._on or self._state is not None or units is None:
            self.said.append(words.Complaint(words.Trouble.NO_VEND, "VEND -3"))
        elif self._faults.take("refuse_approval_once"):
            self.said.append(words.Complaint(words.Trouble.NOT_TAKEN, "VEND -2"))
        else:
            self._news = Answer(bytes((Reply.APPROVED,)) + units)

    def _deny(self) -> None:
        if self._state is None:
            self._news = Answer(bytes((Reply.DENIED,)))
        elif self._state is State.IDLE:
            self._news = Answer(bytes((Reply.CANCEL_REQUEST,)))

    def _written(self, units: bytes) -> str:
        amounts, raw = self._amounts, int.from_bytes(units, "big") * self._amounts.scale
        whole, rest = divmod(raw, 10**amounts.decimals)
        if amounts.decimals == 0:
            return f"{whole}.00" if self._faults.two_digits else str(whole)
        return f"{whole}.{rest:0{amounts.decimals}d}"

    def _units(self, written: str) -> bytes | None:
        value = self._amounts.read(written, zeros=True)
        return None if value is None else (value * 10**self._amounts.decimals // self._amounts.scale).to_bytes(2, "big")
