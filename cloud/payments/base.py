"""The payment provider port: what a provider must do, and the values that cross the seam.

Verbs follow the card world: authorize (on the provider's hosted page), capture, void, refund. Our order id is the
idempotency key of every call. The browser's return never completes anything: webhook and poller both end in the same
`ProviderEvent`, and both must be verified or fetched from the provider itself.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from parking.money import Yen


class ProviderState(StrEnum):
    """Where a payment stands at the provider."""

    PENDING = "pending"
    AUTHORIZED = "authorized"
    CAPTURED = "captured"
    VOIDED = "voided"
    REFUNDED = "refunded"
    DECLINED = "declined"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class PaymentRequest:
    """What the provider is asked to authorize. `order_id` is ours and is the idempotency key."""

    order_id: str
    amount: Yen
    description: str
    return_url: str
    language: str
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class HostedPage:
    """The provider's name for the payment, and where the driver's browser must go."""

    provider_ref: str
    url: str


@dataclass(frozen=True, slots=True)
class ProviderEvent:
    """A payment's state as the provider itself states it. `event_id` is unique per event; a poll makes its own."""

    event_id: str
    order_id: str
    provider_ref: str
    state: ProviderState
    amount: Yen
    at: datetime
    reason: str = ""


class PaymentProvider(Protocol):
    """One provider. Every call has the deadline of its client; errors are those of parking.errors.

    Refused(PROVIDER) said no; NotSent(PROVIDER) never left; Uncertain(PROVIDER) may have acted: ask `query` before
    anything else, and repeat only with the same order id.
    """

    name: str

    async def begin(self, request: PaymentRequest) -> HostedPage:
        """Open a hosted page that authorizes (not captures) the amount. Same order id, same page."""
        ...

    async def capture(self, order_id: str, provider_ref: str, amount: Yen) -> ProviderEvent:
        """Collect an authorized amount; repeating it with the same order id changes nothing."""
        ...

    async def void(self, order_id: str, provider_ref: str) -> ProviderEvent:
        """Let an authorization go; repeating it changes nothing."""
        ...

    async def refund(self, order_id: str, provider_ref: str, amount: Yen) -> ProviderEvent:
        """Give captured money back; repeating it with the same order id changes nothing."""
        ...

    async def query(self, order_id: str, provider_ref: str) -> ProviderEvent:
        """The payment's state now."""
        ...

    async def changed_since(self, since: datetime) -> list[ProviderEvent]:
        """The present state of every payment that changed at or after `since`, for reconciliation."""
        ...

    def parse_webhook(self, headers: Mapping[str, str], body: bytes, now: datetime) -> ProviderEvent:
        """Verify the raw body and read the event, without side effects.

        Raises BadMessage(BAD_SIGNATURE) for a wrong or stale signature, BadMessage(BAD_MESSAGE) for a garbled body.
        """
        ...

    async def close(self) -> None:
        """Give connections back."""
        ...
