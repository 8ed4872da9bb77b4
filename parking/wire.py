"""The messages between cloud and bridge, and the one way to encode and decode any message of Daiko.

The bridge dials out; nothing listens in the lot. What flows:

    POST /bridge/v1/enrol                    EnrolRequest  → EnrolPending       one-time code, bridge-made key
    GET  /bridge/v1/enrolment                EnrolReply, once a person has approved the key's fingerprint
    GET  /bridge/v1/lots/{lot}/keys          LotKeys: what the lot needs to check typed codes and to match plates
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
from parking.stay import NameKind, StayRef

SCHEMA: Final = 1

Amount = Annotated[int, msgspec.Meta(ge=0, le=9_999_999)]
Number = Annotated[int, msgspec.Meta(ge=1, le=2**32 - 1)]
NumberOrNone = Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)]
"""A number, or 0 for none."""
Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
"""No more than a database holds."""
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


class EnrolPending(Message, frozen=True, kw_only=True):
    """The key is known; `GET enrolment` answers `not-approved` until a person has compared its `fingerprint`."""

    bridge_id: str
    fingerprint: str
    server_time: Moment


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
    feed_after: tuple[Count, ...] = ()


# --- cloud → bridge --------------------------------------------------------------------------------------------------


class CodeKey(Part, frozen=True, kw_only=True):
    """A lot's secret for typed codes, by number; rotated, so that two are good for a while. 32 bytes, base64url."""

    kid: Annotated[int, msgspec.Meta(ge=0, le=3)]
    key: str


class LotKeys(Message, frozen=True, kw_only=True):
    """The lot's secrets. A typed code is good for `code_seconds` after payment; `plate_key` is 32 bytes, base64url."""

    code_keys: tuple[CodeKey, ...]
    code_seconds: Annotated[int, msgspec.Meta(ge=60, le=61_440)]
    plate_key: str
    server_time: Moment


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
    """The legacy's answer to an ask: which stay, how much (`at_most`: what may be taken at most), until when."""

    stay: StayRef
    amount: Amount
    lines: tuple[FeeLine, ...]
    valid_until: Moment
    at_most: bool = False


class NotFound(Part, frozen=True, kw_only=True, tag="not_found"):
    """No fee can be given; `code` is one of parking.errors.Code (stay-unknown, already-paid, device-unavailable …)."""

    code: str
    detail: str


class Answer(Message, frozen=True, kw_only=True):
    """The reply to an ask."""

    ask_id: str
    result: Found | NotFound
