"""The messages between bridge and console: what the attendant sees and orders.

Served by the bridge on loopback only, with a bearer token and a Host/Origin check:

    GET  /v1/snapshot            Snapshot; its `seq` is where the event stream goes on
    GET  /v1/events?after=SEQ    server-sent events: id = seq, data = Event; `event: reset` if SEQ is too old
    GET  /v1/timeline?lot=&stay= Timeline of one stay
    POST /v1/commands            Command → CommandReply; the outcome follows as events, never optimistically
    POST /v1/codes               Redeem → RedeemReply: a code from a driver's phone, checked without the cloud
    POST /v1/sign-in             SignIn → SignedIn; /v1/sign-out SignOut → CommandReply

Views are whole rows: an event replaces the row with the same key.
"""

from enum import StrEnum
from typing import Final

from parking.outcome import Evidence
from parking.stay import StayRef
from parking.wire import Amount, Message, Moment, Number, Part


class StayState(StrEnum):
    """Where a stay stands, as far as the bridge knows."""

    PARKED = "parked"
    SETTLING = "settling"
    PAID = "paid"
    IN_DOUBT = "in_doubt"
    GONE = "gone"


class StayView(Part, frozen=True, kw_only=True):
    """One car in the lot. `case`: number of its latest completion, 0 if none; `via`: phone, cash or ''.

    `plate` is plain text for the attendant's eyes, '' if there is none or it is erased; a stay that is named by its
    plate bears the plate's token as its name (parking.stay).
    """

    lot: Number
    stay: StayRef
    state: StayState
    seen_at: Moment
    paid: Amount | None = None
    via: str = ""
    case: int = 0
    plate: str = ""

    @property
    def key(self) -> str:
        """The row's key."""
        return f"{self.lot}/{self.stay.key}"


class Position(StrEnum):
    """Where a gate arm or lock plate is."""

    CLOSED = "closed"
    OPEN = "open"
    MOVING = "moving"
    UNKNOWN = "unknown"


class ExitKind(StrEnum):
    """What holds the car."""

    GATE = "gate"
    PLATE = "plate"


class CommandState(StrEnum):
    """An order's way: never shown as done before the device said so."""

    COMMANDED = "commanded"
    CONFIRMED = "confirmed"
    NOT_CONFIRMED = "not_confirmed"
    REFUSED = "refused"


class CommandView(Part, frozen=True, kw_only=True):
    """The last order given to an exit by hand."""

    command_id: str
    verb: str
    state: CommandState
    at: Moment
    actor: str
    code: str = ""
    detail: str = ""


class ExitView(Part, frozen=True, kw_only=True):
    """One gate or lock plate as last read. `read_at` None means never; old readings are shown as such."""

    lot: Number
    exit: str
    kind: ExitKind
    label: dict[str, str]
    position: Position = Position.UNKNOWN
    held: bool = False
    vehicle: bool | None = None
    read_at: Moment | None = None
    fresh_for: float = 5.0
    device: str = ""
    command: CommandView | None = None

    @property
    def key(self) -> str:
        """The row's key."""
        return f"{self.lot}/{self.exit}"


class CasePhase(StrEnum):
    """Where one completion stands in the lot."""

    RECEIVED = "received"
    CHECKING = "checking"
    SENDING = "sending"
    IN_DOUBT = "in_doubt"
    SETTLED = "settled"
    REFUSED = "refused"


class CaseView(Part, frozen=True, kw_only=True):
    """One completion and what became of it. `plate` as in StayView, where that names the stay."""

    lot: Number
    number: Number
    stay: StayRef
    amount: Amount
    phase: CasePhase
    since: Moment
    exit: str = ""
    code: str = ""
    detail: str = ""
    evidence: tuple[Evidence, ...] = ()
    by: str = "relay"
    plate: str = ""

    @property
    def key(self) -> str:
        """The row's key."""
        return f"{self.lot}/{self.number}"


class LinkView(Part, frozen=True, kw_only=True):
    """One connection: the cloud feed of a lot, or a device. `latency_ms` of the last exchange, if any."""

    link: str
    kind: str
    up: bool
    since: Moment
    detail: str = ""
    latency_ms: float | None = None

    @property
    def key(self) -> str:
        """The row's key."""
        return self.link


class LotView(Part, frozen=True, kw_only=True):
    """A lot that this bridge serves."""

    lot: Number
    name: dict[str, str]
    time_zone: str


class OverrideView(Part, frozen=True, kw_only=True):
    """An exit opened by hand of which nobody has said yet for whom it was."""

    lot: Number
    command_id: str
    exit: str
    verb: str
    actor: str
    reason: str
    at: Moment

    @property
    def key(self) -> str:
        """The row's key."""
        return self.command_id


class AlarmView(Part, frozen=True, kw_only=True):
    """Something that a person must know of and end: a payment not settled for long, a lost journal, a wrong clock.

    `case` and `stay` say what it is about, where it is about one; `what` is the same for as long as the cause is.
    """

    lot: Number
    what: str
    code: str
    detail: str
    since: Moment
    case: int = 0
    stay: StayRef | None = None

    @property
    def key(self) -> str:
        """The row's key."""
        return f"{self.lot}/{self.what}"


KEPT_GONE: Final = 200
"""Stays that have ended and are still on show."""


class Snapshot(Message, frozen=True, kw_only=True):
    """Everything, at one sequence number. `sign_in`: orders need an operator's PIN (all but an emergency release)."""

    seq: int
    server_time: Moment
    lots: tuple[LotView, ...]
    stays: tuple[StayView, ...]
    exits: tuple[ExitView, ...]
    cases: tuple[CaseView, ...]
    links: tuple[LinkView, ...]
    unmatched: tuple[OverrideView, ...] = ()
    alarms: tuple[AlarmView, ...] = ()
    sign_in: bool = False
    gone: tuple[StayView, ...] = ()
    """The latest stays that have ended, oldest first."""


class StayChanged(Part, frozen=True, kw_only=True, tag="stay"):
    """A stay's row is new."""

    stay: StayView


class StayGone(Part, frozen=True, kw_only=True, tag="stay_gone"):
    """A stay has ended; `stay` is its last row, for who asks about it afterwards."""

    key: str
    stay: StayView | None = None


class ExitChanged(Part, frozen=True, kw_only=True, tag="exit"):
    """An exit's row is new."""

    exit: ExitView


class CaseChanged(Part, frozen=True, kw_only=True, tag="case"):
    """A case's row is new."""

    case: CaseView


class LinkChanged(Part, frozen=True, kw_only=True, tag="link"):
    """A link's row is new."""

    link: LinkView


class OverrideUnmatched(Part, frozen=True, kw_only=True, tag="override"):
    """Somebody must say for whom this was."""

    override: OverrideView


class OverrideDone(Part, frozen=True, kw_only=True, tag="override_done"):
    """An override's row is to be removed: it is matched."""

    key: str


class AlarmRaised(Part, frozen=True, kw_only=True, tag="alarm"):
    """An alarm's row is new."""

    alarm: AlarmView


class AlarmEnded(Part, frozen=True, kw_only=True, tag="alarm_ended"):
    """An alarm's row is to be removed: its cause is gone."""

    key: str


class Event(Message, frozen=True, kw_only=True):
    """One change, numbered without gaps."""

    seq: int
    body: (
        StayChanged
        | StayGone
        | ExitChanged
        | CaseChanged
        | LinkChanged
        | OverrideUnmatched
        | OverrideDone
        | AlarmRaised
        | AlarmEnded
    )


class TimelineEntry(Part, frozen=True, kw_only=True):
    """One thing that happened to a stay: when, who said so, a stable word for it, and its particulars."""

    at: Moment
    source: str
    what: str
    detail: str = ""


class Timeline(Message, frozen=True, kw_only=True):
    """What happened to one stay, oldest first."""

    entries: tuple[TimelineEntry, ...]
