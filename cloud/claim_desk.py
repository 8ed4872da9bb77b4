"""The driver's side of claims: leave now although payment is impossible, and pay later at /c/{claim_id}."""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import RowMapping, insert, select, update
from sqlalchemy.exc import IntegrityError

from cloud import claims, lots
from cloud.checkout import Standing
from cloud.claims import ClaimState, Release
from cloud.lots import Lot
from cloud.opening import Opening
from cloud.payments.base import PaymentRequest
from cloud.payments.claim import held
from cloud.schema import payments, quotes
from cloud.store import Transaction
from cloud.views import ClaimOffer, ClaimPage
from parking.errors import Code, Refused
from parking.money import yen
from parking.stay import parse_key

DOWN_FOR: Final = timedelta(minutes=2)
"""How long a failed attempt counts as "payment is impossible"; after that it must be tried again."""
PAGE_FOR: Final = timedelta(minutes=15)
"""How long the provider's page for a claim stays open."""


@dataclass(frozen=True, slots=True)
class ClaimDesk:
    """Makes claims, and takes payments for them with the provider named."""

    opening: Opening
    provider: str
    public_url: str
    new_payment: Callable[[Mapping[str, Any], datetime], dict[str, Any]]

    async def offer(self, payment: RowMapping, lot: Lot) -> ClaimOffer | None:
        """What the driver may do instead of paying now, or None."""
        now = self.opening.clock()
        if not claimable(payment, now):
            return None
        try:
            async with self.opening.store.read() as db:
                await claims.allowed(db, lot, payment["amount"], now)
        except Refused:
            return None
        return ClaimOffer(yen(payment["amount"]), claims.until(lot, now))

    async def take(self, tx: Transaction, payment: RowMapping, lot: Lot, now: datetime) -> None:
        """Release an open payment's stay against a claim.

        Raises Refused(CONFLICT): payment is possible, or its page was shown; Refused(CLAIM_POLICY | BUDGET).
        """
        if not claimable(payment, now):
            raise Refused(Code.CONFLICT, "this fee can be paid now, or is being paid", "pay, or ask the attendant")
        order_id = payment["order_id"]
        claim_id = await claims.make(tx, lot, Release(payment["stay_key"], payment["amount"], order_id), now)
        # nobody was ever shown a page for this order, so no money can come under it any more
        values = {"provider": claims.PROVIDER, "provider_ref": claim_id, "poll_at": None, "code": ""}
        await tx.connection.execute(update(payments).where(payments.c.order_id == order_id).values(**values))
        await self.opening.orders.stated(tx, held(order_id, claim_id, yen(payment["amount"]), now), now)

    async def find(self, claim_id: str, *, online: bool = False) -> ClaimPage:
        """A claim as its driver sees it. Raises Refused(NOT_FOUND)."""
        async with self.opening.store.read() as db:
            row = await claims.find(db, claim_id)
            lot = await lots.by_id(db, row["lot_id"])
            query = (
                select(payments.c.standing)
                .where(payments.c.claim_id == claim_id)
                .order_by(payments.c.created_at.desc(), payments.c.order_id)
            )
            latest = (await db.execute(query)).scalar()
        return ClaimPage(
            claim_id,
            lot.page(online=online),
            parse_key(row["stay_key"]) if row["stay_key"] else None,
            yen(row["amount"]),
            row["made_at"],
            row["until"],
            row["state"],
            latest in (Standing.OPEN.value, Standing.SETTLED.value),
        )

    async def pay(self, claim_id: str, language: str) -> str:
        """The URL of the provider's page for a claim; captured at once, no completion follows.

        Raises Refused(NOT_FOUND); Refused(ALREADY_PAID | EXPIRED | CONFLICT): nothing (any longer) to pay here;
        Environment(PROVIDER).
        """
        return_url = f"{self.public_url}/c/{claim_id}"
        async with self.opening.store.write() as tx:
            row = await claims.find(tx.connection, claim_id)
            lot = await lots.by_id(tx.connection, row["lot_id"])
            payment = await self._payment(tx, row, lot, self.opening.clock())
        if payment["standing"] != Standing.OPEN.value:
            return return_url
        name = lot.name.get(language) or next(iter(lot.name.values()), lot.code)
        amount, until = yen(payment["amount"]), payment["authorize_by"]
        request = PaymentRequest(payment["order_id"], amount, name, return_url, language, until)
        return await self.opening.page(payment, request)

    async def _payment(self, tx: Transaction, claim: RowMapping, lot: Lot, now: datetime) -> RowMapping:
        """The payment of a claim that is under way, or a new one."""
        under_way = (Standing.OPEN.value, Standing.SETTLED.value)
        mine = (payments.c.claim_id == claim["claim_id"], payments.c.standing.in_(under_way))
        found = (await tx.connection.execute(select(payments).where(*mine))).mappings().first()
        if found is not None:
            return found
        _demand_due(claim, now)
        quote = {
            "token": secrets.token_urlsafe(16),
            "lot_id": lot.id,
            "stay_key": claim["stay_key"] or f"claim:{claim['claim_id']}",
            "exit_id": "",
            "amount": claim["amount"],
            "lines": [],
            "at": now,
            "valid_until": now + PAGE_FOR,
            "fee_by": "claim",
            "tariff": "",
        }
        await tx.connection.execute(insert(quotes).values(**quote))
        values = {**self.new_payment(quote, now), "provider": self.provider, "claim_id": claim["claim_id"]}
        try:
            await tx.connection.execute(insert(payments).values(**values))
        except IntegrityError as error:
            raise Refused(Code.CONFLICT, "this stay is being paid on another phone or page") from error
        query = select(payments).where(payments.c.order_id == values["order_id"])
        return (await tx.connection.execute(query)).mappings().one()


def claimable(payment: RowMapping, now: datetime) -> bool:
    """Whether the provider was just not reached for this payment, and nobody has seen a page of it."""
    unseen = payment["standing"] == Standing.OPEN.value and payment["page_url"] == ""
    failed_at: datetime = payment["changed_at"]
    return unseen and payment["code"] == Code.PROVIDER.value and now - failed_at <= DOWN_FOR


def _demand_due(claim: RowMapping, now: datetime) -> None:
    state = ClaimState(claim["state"])
    if state is ClaimState.PAID:
        raise Refused(Code.ALREADY_PAID, "this claim is paid")
    if state is ClaimState.EXPIRED or (state is ClaimState.DUE and now >= claim["until"]):
        raise Refused(Code.EXPIRED, "this claim can no longer be paid here", "ask the operator of the car park")
    if state is not ClaimState.DUE:
        raise Refused(Code.CONFLICT, f"this claim is {state}: there is nothing to pay")
