"""The messages between cloud and bridge, and the one way to encode and decode any message of Daiko.

The bridge dials out; nothing listens in the lot. What flows:

    POST /bridge/v1/enrol                    EnrolRequest  → EnrolReply         one-time code, bridge-made key
    GET  /bridge/v1/lots/{lot}/feed?after=N  server-sent events: completion (id = number), ask, heartbeat
    GET  …/feed?after=N&wait=25              FeedBatch: the same by long poll
    POST /bridge/v1/lots/{lot}/reports       ReportBatch   → ReportReply        gap-free sequence per lot and generation
    POST /bridge/v1/lots/{lot}/answers       Answer        → Accepted           a reply to an ask

All but the enrolment are signed with RFC 9421 (see bridge.uplink, cloud.bridge_api). Times are aware UTC; amounts are
whole yen. Unknown fields, wrong types and other schema versions are errors that name the place.
"""

from datetime import datetime
from typing import Annotated, Final, TypeVar

import msgspec

from parking.errors import BadMessage, Code
from parking.outcome import Evidence, Level
from parking.stay import NameKind, StayRef

SCHEMA: Final = 1

Amount = Annotated[int, msgspec.Meta(ge=0, le=9_999_999)]
Number = Annotated[int, msgspec.Meta(ge=1, le=2**32 - 1)]
Moment = Annotated[datetime, msgspec.Meta(tz=True)]
"""A time with its offset from UTC; one without is an error."""


class Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of everything that crosses a process boundary as a whole; `schema` is checked by `decode`."""

    schema: int = SCHEMA


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of what is only ever a part of a message."""


M = TypeVar("M", bound=Message)


class _Peek(msgspec.Struct):
    schema: int | None = None


def encode(message: Message | Part) -> bytes:
    """The message as JSON."""
    return msgspec.json.encode(message)


def decode(raw: bytes | str, kind: type[M]) -> M:
    """Read a message strictly.

    Raises BadMessage: WRONG_SCHEMA if the peer speaks another version, BAD_MESSAGE with the path of the offending field
    otherwise.
    """
    try:
        schema = msgspec.json.decode(raw, type=_Peek).schema
        if schema != SCHEMA:
            raise BadMessage(
                Code.WRONG_SCHEMA,
                f"{kind.__name__}: schema {schema}, this program speaks {SCHEMA}",
                "update the older of the two programs",
            )
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.MsgspecError, UnicodeError, RecursionError) as error:
        raise BadMessage(Code.BAD_MESSAGE, f"{kind.__name__}: {error}") from error


class Problem(Message, frozen=True, kw_only=True):
    """The body of every answer which is not a success: a stable code, what happened, what to do."""

    code: str
    detail: str
    remedy: str = ""


class Accepted(Message, frozen=True, kw_only=True):
    """A plain yes, with the server's clock for skew measurement."""

    server_time: Moment


# --- enrolment -------------------------------------------------------------------------------------------------------


class EnrolRequest(Message, frozen=True, kw_only=True):
    """The installer's one-time code and the public key (base64url of 32 bytes) that the bridge made for itself."""

    code: str
    public_key: str
    name: str
    software: str


class CompletionKey(Part, frozen=True, kw_only=True):
    """A public key of the cloud under which completions may be signed; base64url of 32 bytes."""

    key_id: Annotated[int, msgspec.Meta(ge=1, le=65535)]
    public_key: str


class EnrolReply(Message, frozen=True, kw_only=True):
    """The bridge's name from now on, the lots it serves and the keys to verify completions with.

    `generation` fences lots (P11): a later enrolment of the same lot gets a higher one, and this bridge is refused.
    `feed_after`, in the order of `lots`: completions up to this number may have been acted on by a former bridge; they
    never come, and the feed begins behind them.
    """

    bridge_id: str
    generation: Number
    lots: tuple[Number, ...]
    completion_keys: tuple[CompletionKey, ...]
    server_time: Moment
    feed_after: tuple[Annotated[int, msgspec.Meta(ge=0)], ...] = ()


# --- cloud → bridge --------------------------------------------------------------------------------------------------


class Entry(Part, frozen=True, kw_only=True):
    """One completion of the feed: its number, and the packed signed bytes as base64url."""

    number: Number
    completion: str


class Ask(Part, frozen=True, kw_only=True):
    """The cloud asks for a fee on behalf of a driver who waits; not durable, worthless after `expires_at`."""

    ask_id: str
    kind: NameKind
    name: str
    at: Moment
    expires_at: Moment


class FeedBatch(Message, frozen=True, kw_only=True):
    """What a long poll returns: completions after the cursor in order, and asks; both may be empty."""

    entries: tuple[Entry, ...]
    asks: tuple[Ask, ...]
    server_time: Moment


# --- bridge → cloud --------------------------------------------------------------------------------------------------


class FeeLine(Part, frozen=True, kw_only=True):
    """One line of the working behind a fee, in the lot's languages."""

    text: dict[str, str]
    amount: int


class Found(Part, frozen=True, kw_only=True, tag="found"):
    """The legacy's answer to an ask: which stay, how much, until when."""

    stay: StayRef
    amount: Amount
    lines: tuple[FeeLine, ...]
    valid_until: Moment


class NotFound(Part, frozen=True, kw_only=True, tag="not_found"):
    """No fee can be given; `code` is one of parking.errors.Code (stay-unknown, already-paid, device-unavailable …)."""

    code: str
    detail: str


class Answer(Message, frozen=True, kw_only=True):
    """The reply to an ask."""

    ask_id: str
    result: Found | NotFound


class Received(Part, frozen=True, kw_only=True, tag="received"):
    """The completion is in the bridge's journal, synced to disk."""

    number: Number
    at: Moment


class Settled(Part, frozen=True, kw_only=True, tag="settled"):
    """The machine is known to have acted. `by` is `relay`, or the person who decided."""

    number: Number
    at: Moment
    level: Level
    evidence: tuple[Evidence, ...]
    by: str = "relay"


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


class Override(Part, frozen=True, kw_only=True, tag="override"):
    """A person released or held open an exit by hand, or ended a hold."""

    command_id: str
    verb: str
    exit: str
    actor: str
    reason: str
    at: Moment
    stay: StayRef | None
    outcome: str


class DeviceHealth(Part, frozen=True, kw_only=True, tag="device_health"):
    """A device went up or down."""

    device: str
    up: bool
    detail: str
    at: Moment


Report = Received | Settled | Refused | InDoubt | StayOpened | StayClosed | Override | DeviceHealth


class ReportBatch(Message, frozen=True, kw_only=True):
    """Reports `first`, `first`+1, … of one lot under one generation. Repeating a batch changes nothing."""

    generation: Number
    first: Number
    reports: tuple[Report, ...]


class ReportReply(Message, frozen=True, kw_only=True):
    """All reports up to and including `accepted_through` are committed in the cloud."""

    accepted_through: Annotated[int, msgspec.Meta(ge=0)]
    server_time: Moment
