"""What the bridge reports to the cloud: each report once and in order, numbered per lot and enrolment generation.

POST /bridge/v1/lots/{lot}/reports       ReportBatch   → ReportReply
"""

from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from typing import Annotated
from zoneinfo import ZoneInfo

import msgspec

from parking.outcome import Evidence, Level
from parking.stay import StayRef
from parking.wire import Amount, Count, Message, Moment, Number, NumberOrNone, Part

Sha256 = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]


class Received(Part, frozen=True, kw_only=True, tag="received"):
    """The completion is in the bridge's journal, synced to disk."""

    number: Number
    at: Moment


class Way(StrEnum):
    """How a completion came into the lot."""

    FEED = "feed"
    QR = "qr"
    """Its signed bytes as digits, scanned from the phone."""
    CODE = "code"
    """A short code, typed; proven by the lot's shared secret, so every one is reported and matched."""


class Redeemed(Part, frozen=True, kw_only=True, tag="redeemed"):
    """As `received`, but the phone carried it: what the code stated, who applied it."""

    number: Number
    at: Moment
    way: Way
    actor: str
    stay: StayRef
    amount: Amount


class Settled(Part, frozen=True, kw_only=True, tag="settled"):
    """The machine is known to have acted. `by` is `relay`, or the person who decided.

    `credited`: how much of the amount the machine took, where it may be less (coins); None: all of it.
    """

    number: Number
    at: Moment
    level: Level
    evidence: tuple[Evidence, ...]
    by: str = "relay"
    credited: Annotated[int, msgspec.Meta(ge=1)] | None = None


class Refused(Part, frozen=True, kw_only=True, tag="refused"):
    """The machine is known not to have acted, and will not: the payment must be voided."""

    number: Number
    at: Moment
    code: str
    detail: str
    by: str = "relay"


class InDoubt(Part, frozen=True, kw_only=True, tag="in_doubt"):
    """The machine may have acted: no void, no capture, no second try until someone or something knows."""

    number: Number
    at: Moment
    code: str
    detail: str


class StayOpened(Part, frozen=True, kw_only=True, tag="stay_opened"):
    """A car came in, or was found at start-up."""

    stay: StayRef
    at: Moment


class StayClosed(Part, frozen=True, kw_only=True, tag="stay_closed"):
    """The car is gone."""

    stay: StayRef
    at: Moment


class Whose(StrEnum):
    """For whom an exit was opened by hand."""

    STAY = "stay"
    NOBODY = "nobody"
    """For no stay of this lot: a test, a rescue, a delivery; the reason says which."""
    LATER = "later"
    """There was no time to say; it stays on the list of the unmatched until somebody does."""


class Claim(Part, frozen=True, kw_only=True):
    """Let out now, to be paid later at the cloud under `claim_id` (26 signs of Crockford's alphabet), until `until`."""

    claim_id: Annotated[str, msgspec.Meta(pattern="^[0-9A-HJKMNP-TV-Z]{26}$")]
    amount: Amount
    until: Moment


class Override(Part, frozen=True, kw_only=True, tag="override"):
    """A person released or held open an exit by hand, or ended a hold.

    `number` is the completion of `stay` that it settled or gave back (0: none); `give_back`: the phone payment is not
    wanted, captured or not.
    """

    command_id: str
    verb: str
    exit: str
    actor: str
    reason: str
    at: Moment
    stay: StayRef | None
    outcome: str
    whose: Whose = Whose.LATER
    number: NumberOrNone = 0
    give_back: bool = False
    claim: Claim | None = None


class OverrideMatched(Part, frozen=True, kw_only=True, tag="override_matched"):
    """A person said afterwards for whom an override (`command_id`) was."""

    command_id: str
    actor: str
    reason: str
    at: Moment
    whose: Whose
    stay: StayRef | None
    number: NumberOrNone = 0
    give_back: bool = False


class AuditHead(Part, frozen=True, kw_only=True, tag="audit_head"):
    """The head of the bridge's audit chain (SHA-256, hex) after its entry `entry`: whoever cuts entries off is seen."""

    entry: Count
    head: Sha256
    at: Moment


def day_of(at: datetime, zone: ZoneInfo, day_starts: int) -> date:
    """The business day of an instant, by the lot's own zone and the hour at which its day begins."""
    return (at.astimezone(zone) - timedelta(hours=day_starts)).date()


def day_span(day: date, zone: ZoneInfo, day_starts: int) -> tuple[datetime, datetime]:
    """From when until before when a business day goes, in UTC."""
    begins = datetime.combine(day, time(day_starts), zone)
    ends = datetime.combine(day + timedelta(days=1), time(day_starts), zone)
    return begins.astimezone(UTC), ends.astimezone(UTC)


class Anchored(Part, frozen=True, kw_only=True):
    """A head as the cloud keeps it: under which enrolment, from when by the bridge's clock and by the cloud's."""

    generation: Number
    entry: Count
    head: Sha256
    at: Moment
    seen_at: Moment


class Anchors(Message, frozen=True, kw_only=True):
    """The heads of a lot, oldest first: what `python -m cloud anchors` writes and `python -m bridge audit` reads."""

    lot: Number
    anchors: tuple[Anchored, ...]


class JournalRow(Part, frozen=True, kw_only=True):
    """How the bridge's journal sees one completion at the end of a day."""

    number: Number
    phase: str
    amount: Amount
    by: str = "relay"


class LegacyRow(Part, frozen=True, kw_only=True):
    """One of our bookings in the books of the legacy system."""

    reference: str
    amount: Amount
    at: Moment


class Counter(StrEnum):
    """What an exit's own counter tells of a day."""

    MOVED = "moved"
    RESET = "reset"
    """It went backwards: the device was replaced, or its counter set anew."""
    UNREAD = "unread"


class ExitCount(Part, frozen=True, kw_only=True):
    """How far a device's release counter moved over a day, and how many releases the journal explains it with.

    It went from `before` to `after` since it was last read at a day's end (`since`). `by_relay` and `by_hand` certainly
    happened; of `unsure` nobody knows. Unless its state is MOVED the count tells nothing, and `moved` is 0.
    """

    exit: str
    moved: int
    by_relay: int
    by_hand: int
    unsure: int = 0
    state: Counter = Counter.MOVED
    before: int = 0
    after: int = 0
    since: Moment | None = None


class LotDay(Part, frozen=True, kw_only=True, tag="lot_day"):
    """One business day of a lot (`day` as 2026-11-24) as bridge and legacy have it; part `part` of `parts`, from 1.

    All parts of one telling have the same `at`; a later telling replaces it. `legacy` is None where no device of the
    lot keeps books that can be read, or where they could not be read: `legacy_trouble` says why then, and only then.
    """

    day: Annotated[str, msgspec.Meta(pattern="^[0-9]{4}-[0-9]{2}-[0-9]{2}$")]
    part: Annotated[int, msgspec.Meta(ge=1)]
    parts: Annotated[int, msgspec.Meta(ge=1)]
    at: Moment
    journal: tuple[JournalRow, ...]
    legacy: tuple[LegacyRow, ...] | None
    counts: tuple[ExitCount, ...]
    legacy_trouble: str = ""


class DeviceHealth(Part, frozen=True, kw_only=True, tag="device_health"):
    """A device went up or down."""

    device: str
    up: bool
    detail: str
    at: Moment


Report = (
    Received
    | Redeemed
    | Settled
    | Refused
    | InDoubt
    | StayOpened
    | StayClosed
    | Override
    | OverrideMatched
    | AuditHead
    | LotDay
    | DeviceHealth
)


class ReportBatch(Message, frozen=True, kw_only=True):
    """Reports `first`, `first`+1, … of one lot under one generation. Repeating a batch changes nothing.

    One with other reports under numbers that were accepted is refused with `journal-lost`.
    """

    generation: Number
    first: Number
    reports: tuple[Report, ...]


class ReportReply(Message, frozen=True, kw_only=True):
    """All reports up to and including `accepted_through` are committed in the cloud."""

    accepted_through: Count
    server_time: Moment
