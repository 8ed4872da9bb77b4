"""What is said between an adapter and the reader behind it, whatever its spelling. A dialect spells it.

Amounts stay as they are written: what they are in yen is not the adapter's business (drivers.mdb_cashless.amounts).
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class State(StrEnum):
    """Where the reader stands on the bus (MDB/ICP 4.2, section 7.3), apart from a vend."""

    INACTIVE = "INACTIVE"
    """The controller has reset it, or has not spoken to it yet."""
    DISABLED = "DISABLED"
    ENABLED = "ENABLED"
    IDLE = "IDLE"
    """A session is open, nothing is asked for."""


class Trouble(StrEnum):
    """What an adapter complains of."""

    VEND_FAILED = "vend_failed"
    """The controller said VEND FAILURE: it gave nothing for the approval."""
    NO_VEND = "no_vend"
    """An approval came while nothing was asked for: it went nowhere."""
    NOT_TAKEN = "not_taken"
    """The adapter could make nothing of an approval: it went nowhere, and the vend goes on."""
    CANCELLED = "cancelled"
    """The controller withdrew what it asked for: VEND CANCEL."""
    RESET = "reset"
    """The controller reset the reader while it asked for something, or had an approval."""
    IS_ON = "is_on"
    """Told to do what it does only while it plays no reader: it plays one."""
    IS_OFF = "is_off"
    """Told to do what it does only while it plays a reader: it plays none."""
    OTHER = "other"


# --- said by the adapter ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Version:
    """Its firmware and serial number."""

    firmware: str
    serial: str


@dataclass(frozen=True, slots=True)
class Hardware:
    """What it is."""

    text: str


@dataclass(frozen=True, slots=True)
class Switched:
    """It plays a reader on the bus from now on, or no longer."""

    on: bool


@dataclass(frozen=True, slots=True)
class Status:
    """Where the reader stands; no vend is going on."""

    state: State


@dataclass(frozen=True, slots=True)
class VendAsked:
    """The controller asks for money: VEND REQUEST."""

    amount: str
    item: str


@dataclass(frozen=True, slots=True)
class VendDone:
    """The controller says that it gave what was paid for: VEND SUCCESS."""


@dataclass(frozen=True, slots=True)
class Complaint:
    """Something is wrong; `text` in the adapter's own words."""

    trouble: Trouble
    text: str


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The controller acknowledged what the reader said last on the bus."""


@dataclass(frozen=True, slots=True)
class Configured:
    """A setting was taken."""


# --- said to the adapter ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AskVersion:
    """Who are you; changes nothing."""


@dataclass(frozen=True, slots=True)
class AskHardware:
    """What are you; changes nothing."""


@dataclass(frozen=True, slots=True)
class Switch:
    """Play a reader, or cease to."""

    on: bool


@dataclass(frozen=True, slots=True)
class Configure:
    """A setting; taken only while it plays no reader."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Start:
    """Open a session in which so much can be spent."""

    credit: str


@dataclass(frozen=True, slots=True)
class Approve:
    """An amount is paid: VEND APPROVED."""

    amount: str


@dataclass(frozen=True, slots=True)
class Deny:
    """What is asked for will not be paid: VEND DENIED."""


Said = Version | Hardware | Switched | Status | VendAsked | VendDone | Complaint | Acknowledged | Configured
Told = AskVersion | AskHardware | Switch | Configure | Start | Approve | Deny
Word = Said | Told


@dataclass(frozen=True, slots=True)
class Setting:
    """How the reader is to appear on the bus."""

    always_idle: bool
    decimals: int
    scale: int


class Dialect(Protocol):
    """How one kind of adapter spells these words, one line each. Nothing here raises on a line of an adapter."""

    def read_said(self, line: str) -> Said | None:
        """What the adapter says; None for a line that is none of its own, or only part of one."""
        ...

    def read_told(self, line: str) -> Told | None:
        """What it is told, as the adapter itself hears it."""
        ...

    def write(self, word: Word) -> str:
        """The line, without its end."""
        ...

    def set_up(self, setting: Setting) -> tuple[Told, ...]:
        """What it is told when its line opens. Never switches it off: on a running vend that would be a reset."""
        ...
