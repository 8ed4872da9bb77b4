"""What can happen to the window's state, as values; and what the window remembers of its own orders. Pure, no Qt."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from parking.commands import Command, CommandReply, SignedIn
from parking.desk import Event, Snapshot


class Contact(StrEnum):
    """Whether the bridge can be reached."""

    CONNECTING = "connecting"
    ONLINE = "online"
    OFFLINE = "offline"


class Progress(StrEnum):
    """How far an order of ours has come, before the first event about it."""

    SENDING = "sending"
    COMMANDED = "commanded"
    REFUSED = "refused"
    UNSENT = "unsent"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Order:
    """An order given in this window which no event has mentioned yet."""

    command: Command
    at: datetime
    progress: Progress = Progress.SENDING


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that an attendant must see and acknowledge: an order that is not known to have worked.

    `outcome` is a CommandState or Progress word.
    """

    command_id: str
    lot: int
    verb: str
    outcome: str
    at: datetime
    exit: str = ""
    case: int = 0
    code: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class SnapshotTaken:
    """The bridge's snapshot and our own clock when it came."""

    snapshot: Snapshot
    at: datetime


@dataclass(frozen=True, slots=True)
class LinkLost:
    """The bridge cannot be reached, and why."""

    at: datetime
    code: str
    detail: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Tick:
    """Time passes."""

    now: datetime


@dataclass(frozen=True, slots=True)
class OrderGiven:
    """The attendant confirmed an order; it is on its way to the bridge."""

    command: Command
    at: datetime


@dataclass(frozen=True, slots=True)
class OrderAnswered:
    """The bridge took the order on or refused it."""

    command_id: str
    reply: CommandReply


@dataclass(frozen=True, slots=True)
class OrderFailed:
    """No answer: `certain` says that the order never left."""

    command_id: str
    code: str
    detail: str
    certain: bool


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The attendant has seen a notice."""

    command_id: str


@dataclass(frozen=True, slots=True)
class SignedOn:
    """Somebody has signed in with a PIN."""

    session: SignedIn
    at: datetime


@dataclass(frozen=True, slots=True)
class SignedOff:
    """The session has ended, by the attendant or by the bridge."""


Input = (
    SnapshotTaken
    | Event
    | LinkLost
    | Tick
    | OrderGiven
    | OrderAnswered
    | OrderFailed
    | Acknowledged
    | SignedOn
    | SignedOff
)
