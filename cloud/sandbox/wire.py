"""What the sandbox provider and its clients say to each other: JSON bodies, and the signature of webhooks.

A webhook carries `Sandbox-Signature: t=SECONDS,v1=HEX`, where HEX is HMAC-SHA256 over `SECONDS.BODY`; several `v1` may
stand side by side while a secret is being changed. The scheme is that of Stripe's signed webhooks.
"""

import hashlib
import hmac
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Final, TypeVar

import msgspec

from cloud.payments.base import ProviderState
from parking.errors import BadMessage, Code

SIGNATURE_HEADER: Final = "sandbox-signature"
KEY_HEADER: Final = "idempotency-key"
TOLERANCE: Final = timedelta(seconds=300)

Amount = Annotated[int, msgspec.Meta(ge=1, le=9_999_999)]
Instant = Annotated[datetime, msgspec.Meta(tz=True)]
Url = Annotated[str, msgspec.Meta(pattern=r"^https?://\S+$", max_length=2000)]


class _Body(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of all bodies: unknown fields are mistakes."""


class Opening(_Body, frozen=True, kw_only=True):
    """POST /v1/payments: what is to be authorized. The order's name is in the Idempotency-Key header."""

    amount: Amount
    description: Annotated[str, msgspec.Meta(max_length=200)]
    return_url: Url
    language: str
    expires_at: Instant


class Sum(_Body, frozen=True, kw_only=True):
    """POST …/capture and …/refund: how much, in yen."""

    amount: Amount


class Statement(_Body, frozen=True, kw_only=True):
    """A payment as the provider states it: body of each webhook and of each reply about one payment.

    `event_id` names the last change; `amount` is what was authorized, or captured, or refunded, as the state says.
    """

    event_id: str
    order_id: str
    ref: str
    state: ProviderState
    amount: int
    at: Instant
    reason: str = ""
    url: str = ""


class Complaint(_Body, frozen=True, kw_only=True):
    """Body of every answer that is not a success."""

    error: str


class Behaviour(StrEnum):
    """What the sandbox can be told to do; see docs/payment-sandbox.md."""

    NORMAL = "normal"
    APPROVE = "approve"
    DECLINE = "decline"
    CHALLENGE = "challenge"
    SLOW = "slow"
    LOSE_WEBHOOK = "lose_webhook"
    REPEAT_WEBHOOK = "repeat_webhook"
    REORDER = "reorder"
    FAIL_CAPTURE_ONCE = "fail_capture_once"
    LOSE_REPLY_ONCE = "lose_reply_once"


class Wish(_Body, frozen=True, kw_only=True):
    """POST /v1/behave and /v1/payments/{ref}/behave. `seconds` goes with slow, `times` with repeat_webhook."""

    behave: Behaviour
    seconds: Annotated[float, msgspec.Meta(ge=0, le=60)] = 0.0
    times: Annotated[int, msgspec.Meta(ge=1, le=50)] = 1


B = TypeVar("B", bound=_Body)


def read(raw: bytes, kind: type[B]) -> B:
    """Read a body strictly; raise BadMessage(BAD_MESSAGE) naming the offending field."""
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BadMessage(Code.BAD_MESSAGE, f"{kind.__name__}: {error}") from error


def signature(secret: str, body: bytes, now: datetime) -> str:
    """The signature header of a webhook sent at `now`."""
    seconds = int(now.timestamp())
    return f"t={seconds},v1={_mac(secret, seconds, body)}"


def check(secret: str, header: str, body: bytes, now: datetime) -> None:
    """Return silently if the header signs this body and is at most TOLERANCE old or ahead.

    Raises BadMessage(BAD_SIGNATURE) otherwise, without telling which part was wrong.
    """
    parts = [part.strip().partition("=") for part in header.split(",")]
    stamps = [value for name, _, value in parts if name == "t"]
    macs = [value for name, _, value in parts if name == "v1"]
    if len(stamps) != 1 or not stamps[0].isascii() or not stamps[0].isdecimal() or len(stamps[0]) > 12:
        raise BadMessage(Code.BAD_SIGNATURE, "no webhook signature that holds")
    seconds = int(stamps[0])
    wanted = _mac(secret, seconds, body).encode()
    held = [hmac.compare_digest(wanted, mac.encode()) for mac in macs]
    fresh = abs(now.timestamp() - seconds) <= TOLERANCE.total_seconds()
    if not any(held) or not fresh:
        raise BadMessage(Code.BAD_SIGNATURE, "no webhook signature that holds")


def _mac(secret: str, seconds: int, body: bytes) -> str:
    return hmac.new(secret.encode(), b"%d." % seconds + body, hashlib.sha256).hexdigest()
