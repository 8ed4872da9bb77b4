"""Nothing to pay, behind the payment provider port: a free exit takes the same road, and no money moves on it."""

from collections.abc import Callable, Mapping
from datetime import datetime

from cloud.payments.base import HostedPage, PaymentRequest, ProviderEvent, ProviderState
from parking.errors import BadMessage, Code, Refused
from parking.money import NOTHING, Yen

NAME = "none"


class FreeProvider:
    """Agrees to everything, for nothing."""

    name = NAME

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock

    async def begin(self, request: PaymentRequest) -> HostedPage:
        """There is no page to open. Always raises Refused(PROVIDER)."""
        raise Refused(Code.PROVIDER, f"order {request.order_id} costs nothing")

    async def capture(self, order_id: str, provider_ref: str, amount: Yen) -> ProviderEvent:
        """Collect nothing."""
        del provider_ref, amount
        return stated(order_id, ProviderState.CAPTURED, self._clock())

    async def void(self, order_id: str, provider_ref: str) -> ProviderEvent:
        """Let nothing go."""
        del provider_ref
        return stated(order_id, ProviderState.VOIDED, self._clock())

    async def refund(self, order_id: str, provider_ref: str, amount: Yen) -> ProviderEvent:
        """Give nothing back."""
        del provider_ref, amount
        return stated(order_id, ProviderState.REFUNDED, self._clock())

    async def query(self, order_id: str, provider_ref: str) -> ProviderEvent:
        """Nothing is known, because nothing is kept."""
        del provider_ref
        return stated(order_id, ProviderState.PENDING, self._clock())

    async def changed_since(self, since: datetime) -> list[ProviderEvent]:
        """No money has moved, ever."""
        del since
        return []

    def parse_webhook(self, headers: Mapping[str, str], body: bytes, now: datetime) -> ProviderEvent:
        """Nobody reports about nothing. Always raises BadMessage(BAD_SIGNATURE)."""
        del headers, body, now
        raise BadMessage(Code.BAD_SIGNATURE, "there are no webhooks about nothing")

    async def close(self) -> None:
        """Nothing is open."""


def stated(order_id: str, state: ProviderState, at: datetime) -> ProviderEvent:
    """An order of 0 yen is in this state."""
    return ProviderEvent(f"{NAME}:{order_id}:{state.value}", order_id, NAME, state, NOTHING, at)
