"""The cashier: the phone's two stages, fee and payment, and what follows (`cloud.views.Cashier`)."""

import secrets
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec
from sqlalchemy import RowMapping, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud import claims, lots
from cloud.checkout import Standing, stage
from cloud.claim_desk import ClaimDesk
from cloud.code_keys import LotSecrets
from cloud.fees import Fees
from cloud.line_down import LineDown
from cloud.lots import Lot
from cloud.opening import Opening
from cloud.orders import Orders, payment_of, stay_gone
from cloud.payments import free
from cloud.payments.base import PaymentProvider, PaymentRequest, ProviderEvent, ProviderState
from cloud.schema import completions, payments, quotes
from cloud.store import Store, Transaction, wait
from cloud.views import ClaimOffer, ClaimPage, LotPage, PaymentPage, PaymentStage, QuotePage
from parking.completion import to_digits
from parking.errors import Code, Environment, Refused
from parking.money import yen
from parking.stay import parse_key
from parking.wire import FeeLine

_TOKEN_BYTES: Final = 16
_PAID: Final = (Standing.SETTLED.value, Standing.CAPTURED.value)


class PhoneCashier:
    """Implements `cloud.views.Cashier` on the store."""

    def __init__(
        self,
        store: Store,
        orders: Orders,
        line_down: LineDown,
        providers: Mapping[str, PaymentProvider],
        lot_secrets: LotSecrets,
        *,
        first_poll: float,
        public_url: str,
        clock: Callable[[], datetime],
    ) -> None:
        """Take payments with the only provider of `providers`; `first_poll`: seconds until it is first asked."""
        self._store = store
        self._orders = orders
        self._line_down = line_down
        self._lines = line_down.lines
        self._providers = providers
        self._secrets = lot_secrets
        self._first_poll = timedelta(seconds=first_poll)
        self._public_url = public_url
        self._clock = clock
        self._fees = Fees(store, self._lines, clock)
        self._opening = Opening(store, orders, providers, clock)
        self._claims = ClaimDesk(self._opening, next(iter(providers)), public_url, self._new_payment)

    async def lot(self, code: str) -> LotPage:
        """The lot with this code. Raises Refused(LOT_UNKNOWN)."""
        async with self._store.read() as db:
            return self._page(await lots.by_code(db, code))

    async def lots_near(self, latitude: float, longitude: float) -> list[tuple[LotPage, int]]:
        """Lots by distance in metres, nearest first, at most five within 3 km."""
        async with self._store.read() as db:
            found = await lots.near(db, latitude, longitude)
        return [(self._page(lot), metres) for lot, metres in found]

    async def fee(self, code: str, typed: str, exit_: str) -> QuotePage:
        """Stage one; see `cloud.views.Cashier.fee`."""
        async with self._store.read() as db:
            lot = await lots.by_code(db, code)
            name = await self._secrets.name(db, lot.id, lot.names, typed)
        if exit_ and exit_ not in lot.exits:
            raise Refused(Code.EXIT_UNKNOWN, f"lot {lot.id} has no exit lane {exit_[:20]!r}")
        async with self._store.read() as db:
            await self._demand_way(db, lot, 0)
        priced = await self._fees.price(lot, name)
        token = secrets.token_urlsafe(_TOKEN_BYTES)
        values = {
            "token": token,
            "lot_id": lot.id,
            "stay_key": priced.stay.key,
            "exit_id": exit_,
            "amount": priced.amount,
            "lines": msgspec.to_builtins(priced.lines),
            "at": self._clock(),
            "valid_until": priced.valid_until,
            "fee_by": priced.fee_by.value,
            "tariff": priced.tariff,
            "shadow_amount": priced.shadow,
            "at_most": priced.at_most,
        }
        async with self._store.write() as tx:
            await self._demand_way(tx.connection, lot, priced.amount)
            await tx.connection.execute(insert(quotes).values(**values))
        return self._quote(values, lot)

    async def quote(self, token: str) -> QuotePage:
        """A quote by its token. Raises Refused(NOT_FOUND)."""
        async with self._store.read() as db:
            row = await _quote_row(db, token)
            return self._quote(row, await lots.by_id(db, row["lot_id"]))

    async def pay(self, token: str, language: str, *, line_down: bool = False) -> str:
        """Stage two; see `cloud.views.Cashier.pay`."""
        async with self._store.read() as db:
            quote = await _quote_row(db, token)
            lot = await lots.by_id(db, quote["lot_id"])
        payment = await self._open(quote, lot, line_down)
        return_url = f"{self._public_url}/p/{token}"
        if payment["standing"] != Standing.OPEN.value:
            return return_url
        name = lot.name.get(language) or next(iter(lot.name.values()), lot.code)
        request = PaymentRequest(
            payment["order_id"], yen(payment["amount"]), name, return_url, language, payment["authorize_by"]
        )
        return await self._opening.page(payment, request)

    async def claim_offer(self, token: str) -> ClaimOffer | None:
        """What the driver may do instead of paying; see `cloud.views.Cashier.claim_offer`."""
        async with self._store.read() as db:
            row = await _payment_row(db, token)
            if row is None:
                return None
            lot = await lots.by_id(db, row["lot_id"])
        return await self._claims.offer(row, lot)

    async def claim(self, token: str) -> str:
        """Leave now, pay later; see `cloud.views.Cashier.claim`."""
        return_url = f"{self._public_url}/p/{token}"
        async with self._store.write() as tx:
            quote = await _quote_row(tx.connection, token)
            row = await _payment_row(tx.connection, token)
            if row is None:
                raise Refused(Code.CONFLICT, "nobody has tried to pay this fee yet", "pay it")
            if row["provider"] == claims.PROVIDER:
                return return_url
            now, lot = self._clock(), await lots.by_id(tx.connection, row["lot_id"])
            await self._demand_payable(tx, quote, now)
            if not row["line_down"]:  # who was told what that means has been let in already
                self._demand_online(lot)
            await self._claims.take(tx, row, lot, now)
        return return_url

    async def claim_page(self, claim_id: str) -> ClaimPage:
        """A claim by its name; see `cloud.views.Cashier.claim_page`."""
        return await self._claims.find(claim_id)

    async def pay_claim(self, claim_id: str, language: str) -> str:
        """The provider's page for a claim; see `cloud.views.Cashier.pay_claim`."""
        return await self._claims.pay(claim_id, language)

    async def payment(self, token: str) -> PaymentPage:
        """The payment that belongs to a quote's token. Raises Refused(NOT_FOUND)."""
        async with self._store.read() as db:
            row = await _payment_row(db, token)
            if row is None:
                raise Refused(Code.NOT_FOUND, "there is no payment with this name")
            quote = await _quote_row(db, token)
            lot = await lots.by_id(db, row["lot_id"])
            query = select(completions).where(completions.c.order_id == row["order_id"])
            completion = (await db.execute(query)).mappings().first()
        payment = payment_of(row)
        seen = stage(payment)
        # a completion of a payment that came to nothing must not open anything from the phone either
        shown = completion if seen not in (PaymentStage.NOT_CHARGED, PaymentStage.REFUNDED) else None
        return PaymentPage(
            token,
            seen,
            self._quote(quote, lot),
            payment.code,
            f"DK-{lot.id}-{completion['number']}" if completion else "",
            to_digits(shown["packed"]) if shown else "",
            payment.authorized_at,
            row["changed_at"],
            row["version"],
            row["provider_ref"] if row["provider"] == claims.PROVIDER else "",
            payment.charged,
        )

    async def changed(self, token: str, version: int, seconds: float) -> PaymentPage:
        """Like `payment`, but waits up to `seconds` for a version above `version`."""
        deadline = self._clock() + timedelta(seconds=seconds)
        while True:
            bell = self._store.bells.listen(("payment", token))
            found = await self.payment(token)
            left = (deadline - self._clock()).total_seconds()
            if found.version > version or left <= 0 or self._store.bells.closed:
                return found
            await wait(bell, left)

    async def apply(self, event: ProviderEvent) -> None:
        """What the provider states; see `cloud.views.Cashier.apply`.

        An event that cannot be (another amount, a contradiction) is kept with its alarm before CONFLICT is raised.
        """
        async with self._store.write() as tx:
            alarms = await self._orders.stated(tx, event, self._clock())
        for alarm in alarms:
            raise Refused(Code.CONFLICT, alarm.detail)

    async def _open(self, quote: RowMapping, lot: Lot, line_down: bool) -> RowMapping:
        """The payment of a quote, opened if there is none yet."""
        async with self._store.write() as tx:
            found = await _payment_row(tx.connection, quote["token"])
            if found is not None:
                return found
            now = self._clock()
            await self._demand_payable(tx, quote, now)
            if not line_down:
                self._demand_online(lot)
            await self._demand_way(tx.connection, lot, quote["amount"])
            values = {**self._new_payment(quote, now), "line_down": not self._lines.online(lot.id)}
            try:
                await tx.connection.execute(insert(payments).values(**values))
            except IntegrityError as error:
                raise Refused(Code.CONFLICT, "this stay is being paid on another phone or page") from error
            if not quote["amount"]:
                # nobody need be asked: the completion is issued here and now
                order_id = values["order_id"]
                await self._orders.stated(tx, free.stated(order_id, ProviderState.AUTHORIZED, now), now)
            made = await _payment_row(tx.connection, quote["token"])
        if made is None:
            raise Refused(Code.NOT_FOUND, "the payment is gone")
        return made

    async def _demand_payable(self, tx: Transaction, quote: RowMapping, now: datetime) -> None:
        if now >= quote["valid_until"]:
            raise Refused(Code.QUOTE_EXPIRED, "this fee has expired", "ask for the fee again")
        if await stay_gone(tx.connection, quote["lot_id"], quote["stay_key"]):
            raise Refused(Code.QUOTE_EXPIRED, "the car has left", "ask for the fee again")
        same = (payments.c.lot_id == quote["lot_id"], payments.c.stay_key == quote["stay_key"])
        paid = select(payments.c.order_id).where(
            *same, payments.c.standing.in_(_PAID), payments.c.changed_at >= quote["at"]
        )
        if (await tx.connection.execute(paid)).first() is not None:
            raise Refused(Code.CONFLICT, "this stay was paid after this fee was shown")

    def _new_payment(self, quote: Mapping[str, Any] | RowMapping, now: datetime) -> dict[str, Any]:
        return {
            "order_id": f"dk-{secrets.token_hex(12)}",
            "token": quote["token"],
            "lot_id": quote["lot_id"],
            "stay_key": quote["stay_key"],
            "provider": next(iter(self._providers)) if quote["amount"] else free.NAME,
            "provider_ref": "",
            "page_url": "",
            "amount": quote["amount"],
            "standing": Standing.OPEN.value,
            "code": "",
            "created_at": now,
            "authorize_by": quote["valid_until"],
            "overdue": False,
            "ending": False,
            "changed_at": now,
            "version": 1,
            "polls": 0,
            "poll_at": now + self._first_poll,
        }

    def _demand_online(self, lot: Lot) -> None:
        if not self._lines.online(lot.id):
            raise Environment(Code.LOT_OFFLINE, f"lot {lot.id} is not connected", "pay at the machine, or try again")

    async def _demand_way(self, db: AsyncConnection, lot: Lot, amount: int) -> None:
        """A completion must come into the lot: by its line, or else by the driver's phone."""
        if not self._lines.online(lot.id):
            await self._line_down.demand(db, lot, amount)

    def _page(self, lot: Lot) -> LotPage:
        if self._lines.online(lot.id):
            return lot.page(online=True)
        seen = self._line_down
        return lot.page(online=False, heard_at=seen.heard_at(lot), pay_offline=seen.offered(lot))

    def _quote(self, row: Mapping[str, Any] | RowMapping, lot: Lot) -> QuotePage:
        return QuotePage(
            row["token"],
            self._page(lot),
            parse_key(row["stay_key"]),
            row["exit_id"],
            yen(row["amount"]),
            msgspec.convert(row["lines"], tuple[FeeLine, ...]),
            row["at"],
            row["valid_until"],
            row["fee_by"],
            row["at_most"],
        )


async def _quote_row(db: AsyncConnection, token: str) -> RowMapping:
    row = (await db.execute(select(quotes).where(quotes.c.token == token))).mappings().first()
    if row is None:
        raise Refused(Code.NOT_FOUND, "there is no fee with this name", "ask for the fee again")
    return row


async def _payment_row(db: AsyncConnection, token: str) -> RowMapping | None:
    return (await db.execute(select(payments).where(payments.c.token == token))).mappings().first()
