"""Claims behind the payment provider port: releasing against a claim runs the same road as releasing against money.

Authorized means held, captured means due: the car could leave, so the claim counts. Voided means that it never did.
The driver confirms on our own page, so there is no hosted one.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final

from cloud import claims
from cloud.claims import ClaimState
from cloud.payments.base import HostedPage, PaymentRequest, ProviderEvent, ProviderState
from cloud.store import Store
from parking.errors import BadMessage, Code, Refused
from parking.money import Yen, yen

_STATES: Final = {
    ClaimState.HELD: ProviderState.AUTHORIZED,
    ClaimState.DUE: ProviderState.CAPTURED,
    ClaimState.PAID: ProviderState.CAPTURED,
    ClaimState.EXPIRED: ProviderState.CAPTURED,
    ClaimState.CANCELLED: ProviderState.VOIDED,
    ClaimState.FORGIVEN: ProviderState.REFUNDED,
}


class ClaimProvider:
    """Keeps its books in the cloud's own store; `provider_ref` is the claim's name."""

    name = claims.PROVIDER

    def __init__(self, store: Store, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._clock = clock

    async def begin(self, request: PaymentRequest) -> HostedPage:
        """There is no page to open. Always raises Refused(PROVIDER)."""
        raise Refused(Code.PROVIDER, f"order {request.order_id}: a claim is confirmed on our own page")

    async def capture(self, order_id: str, provider_ref: str, amount: Yen) -> ProviderEvent:
        """The car could leave: the claim is due."""
        del amount
        return await self._turn(order_id, provider_ref, ClaimState.DUE, ClaimState.HELD)

    async def void(self, order_id: str, provider_ref: str) -> ProviderEvent:
        """The car was not let out: the claim is cancelled."""
        return await self._turn(order_id, provider_ref, ClaimState.CANCELLED, ClaimState.HELD)

    async def refund(self, order_id: str, provider_ref: str, amount: Yen) -> ProviderEvent:
        """A person gives the claim up. Raises Refused(PROVIDER) if it is paid: then that payment is given back."""
        del amount
        event = await self._turn(order_id, provider_ref, ClaimState.FORGIVEN, ClaimState.DUE, ClaimState.EXPIRED)
        if event.state is not ProviderState.REFUNDED:
            raise Refused(Code.PROVIDER, f"claim of order {order_id} is {event.reason}", "refund its own payment")
        return event

    async def query(self, order_id: str, provider_ref: str) -> ProviderEvent:
        """Where the claim stands."""
        async with self._store.read() as db:
            row = await claims.find(db, provider_ref)
        return self._event(order_id, provider_ref, ClaimState(row["state"]), yen(row["amount"]))

    async def changed_since(self, since: datetime) -> list[ProviderEvent]:
        """Every claim made by phone that has changed since then, as it stands now."""
        async with self._store.read() as db:
            rows = await claims.changed_since(db, since)
        return [
            self._event(row["order_id"], row["claim_id"], ClaimState(row["state"]), yen(row["amount"])) for row in rows
        ]

    def parse_webhook(self, headers: Mapping[str, str], body: bytes, now: datetime) -> ProviderEvent:
        """Nobody reports about claims. Always raises BadMessage(BAD_SIGNATURE)."""
        del headers, body, now
        raise BadMessage(Code.BAD_SIGNATURE, "claims have no webhooks")

    async def close(self) -> None:
        """Nothing is open."""

    async def _turn(self, order_id: str, claim_id: str, became: ClaimState, *before: ClaimState) -> ProviderEvent:
        async with self._store.write() as tx:
            state = await claims.turn(tx, claim_id, became, self._clock(), *before)
            row = await claims.find(tx.connection, claim_id)
        return self._event(order_id, claim_id, state, yen(row["amount"]))

    def _event(self, order_id: str, claim_id: str, state: ClaimState, amount: Yen) -> ProviderEvent:
        stated = _STATES[state]
        event_id = f"claim:{claim_id}:{stated.value}"
        return ProviderEvent(event_id, order_id, claim_id, stated, amount, self._clock(), state.value)


def held(order_id: str, claim_id: str, amount: Yen, at: datetime) -> ProviderEvent:
    """The statement that a claim has been made for an order."""
    event_id = f"claim:{claim_id}:{ProviderState.AUTHORIZED.value}"
    return ProviderEvent(event_id, order_id, claim_id, ProviderState.AUTHORIZED, amount, at, ClaimState.HELD.value)
