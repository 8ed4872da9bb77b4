"""The messages between bridge and console: what the attendant sees and orders.

Served by the bridge on loopback only, with a bearer token and a Host/Origin check:

    GET  /v1/snapshot            Snapshot; its `seq` is where the event stream goes on
    GET  /v1/events?after=SEQ    server-sent events: id = seq, data = Event; `event: reset` if SEQ is too old
    GET  /v1/timeline?lot=&stay= Timeline of one stay
    POST /v1/commands            Command → CommandReply; the outcome follows as events, never optimistically

Views are whole rows: an event replaces the row with the same key.
"""

from enum import StrEnum

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
    """One car in the lot. `case`: number of its latest completion, 0 if none; `via`: phone, cash or ''."""

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
    """One completion and what became of it."""

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


class Snapshot(Message, frozen=True, kw_only=True):
    """Everything, at one sequence number."""

    seq: int
    server_time: Moment
    lots: tuple[LotView, ...]
    stays: tuple[StayView, ...]
    exits: tuple[ExitView, ...]
    cases: tuple[CaseView, ...]
    links: tuple[LinkView, ...]


class StayChanged(Part, frozen=True, kw_only=True, tag="stay"):
    """A stay's row is new."""

    stay: StayView


class StayGone(Part, frozen=True, kw_only=True, tag="stay_gone"):
    """A stay's row is to be removed."""

    key: str


class ExitChanged(Part, frozen=True, kw_only=True, tag="exit"):
    """An exit's row is new."""

    exit: ExitView


class CaseChanged(Part, frozen=True, kw_only=True, tag="case"):
    """A case's row is new."""

    case: CaseView


class LinkChanged(Part, frozen=True, kw_only=True, tag="link"):
    """A link's row is new."""

    link: LinkView


class Event(Message, frozen=True, kw_only=True):
    """One change, numbered without gaps."""

    seq: int
    body: StayChanged | StayGone | ExitChanged | CaseChanged | LinkChanged


class TimelineEntry(Part, frozen=True, kw_only=True):
    """One thing that happened to a stay: when, who said so, a stable word for it, and its particulars."""

    at: Moment
    source: str
    what: str
    detail: str = ""


class Timeline(Message, frozen=True, kw_only=True):
    """What happened to one stay, oldest first."""

    entries: tuple[TimelineEntry, ...]


class Verb(StrEnum):
    """What an attendant can order. There is no close: closing belongs to the legacy controller."""

    RELEASE = "release"
    HOLD_OPEN = "hold_open"
    END_HOLD = "end_hold"
    RESOLVE = "resolve"


class Verdict(StrEnum):
    """What a person decided about a case in doubt."""

    SETTLED = "settled"
    NOT_SETTLED = "not_settled"


class Command(Message, frozen=True, kw_only=True):
    """An order by hand, with its author and reason; `command_id` (a UUID) makes a repeated POST harmless.

    release, hold_open and end_hold name an `exit`; resolve names a `case` and a `verdict`.
    """

    command_id: str
    lot: Number
    verb: Verb
    actor: str
    reason: str
    exit: str = ""
    stay: StayRef | None = None
    case: int = 0
    verdict: Verdict | None = None


class CommandReply(Message, frozen=True, kw_only=True):
    """Whether the bridge took the order on; a refusal has a code and says why."""

    accepted: bool
    code: str = ""
    detail: str = ""
