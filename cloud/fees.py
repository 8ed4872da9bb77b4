"""Stage one of the phone: which stay, and what it costs, by our tariff or asked of the legacy through the bridge."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud import claims, tariff
from cloud.asks import Lines
from cloud.checkout import Standing
from cloud.lots import FeeBy, Lot
from cloud.schema import payments, stays
from cloud.store import Store
from parking.errors import Bug, Code, Environment, Refused
from parking.money import Yen, show, yen
from parking.stay import StayRef, parse_key
from parking.wire import FeeLine, Found, NotFound

log = logging.getLogger(__name__)

LEAST_LEASE: Final = timedelta(seconds=90)
"""A quote lasts at least this long (or the lot's lease, if shorter) although the fee is about to rise: nobody can pay
within the last seconds of a unit."""
_PAID: Final = (Standing.SETTLED.value, Standing.CAPTURED.value, Standing.LOST.value)


@dataclass(frozen=True, slots=True)
class Priced:
    """What a stay costs now (`at_most`: may cost); `shadow` is our own fee where the legacy's counts."""

    stay: StayRef
    amount: Yen
    lines: tuple[FeeLine, ...]
    valid_until: datetime
    fee_by: FeeBy
    tariff: str = ""
    shadow: Yen | None = None
    at_most: bool = False


@dataclass(frozen=True, slots=True)
class Fees:
    """Finds fees."""

    store: Store
    lines: Lines
    clock: Callable[[], datetime]

    async def price(self, lot: Lot, name: str) -> Priced:
        """The fee of the stay with this normalised name.

        Raises Refused(STAY_UNKNOWN | ALREADY_PAID), Environment(LOT_OFFLINE | DEVICE_UNAVAILABLE).
        """
        if lot.fee_by is FeeBy.CLOUD:
            return await self._ours(lot, name)
        return await self._theirs(lot, name)

    async def _ours(self, lot: Lot, name: str) -> Priced:
        now, rules = self.clock(), _tariff(lot)
        async with self.store.read() as db:
            stay, entered = await open_stay(db, lot, name)
            paid = yen(await paid_so_far(db, lot, stay) + await claims.promised(db, lot.id, stay.key))
        fee = tariff.fee(rules, lot.place, entered, now)
        lines, amount = fee.lines, fee.amount
        if paid:
            if amount <= paid:
                raise Refused(Code.ALREADY_PAID, f"{show(paid, 'en')} are paid for this stay")
            amount = yen(amount - paid)
            lines += (FeeLine(text={"ja": "お支払い済み", "en": "Paid so far"}, amount=-paid),)
        lease = timedelta(seconds=lot.lease_seconds)
        until = max(min(now + lease, fee.stable_until), now + min(lease, LEAST_LEASE))
        return Priced(stay, amount, lines, until, FeeBy.CLOUD, rules.label)

    async def _theirs(self, lot: Lot, name: str) -> Priced:
        answer = await self.lines.ask(lot.id, lot.names, name)
        if isinstance(answer, NotFound):
            raise _refusal(lot, answer)
        now = self.clock()
        until = min(answer.valid_until, now + timedelta(seconds=lot.lease_seconds))
        if (answer.stay.kind, answer.stay.name) != (lot.names, name) or until <= now:
            detail = f"lot {lot.id} answered for another stay, or with a quote that is over"
            raise Environment(Code.DEVICE_UNAVAILABLE, detail, "pay at the machine, or try again")
        shadow, label = self._shadow(lot, answer, now)
        return Priced(answer.stay, yen(answer.amount), answer.lines, until, lot.fee_by, label, shadow, answer.at_most)

    def _shadow(self, lot: Lot, answer: Found, now: datetime) -> tuple[Yen | None, str]:
        """Our own fee beside the legacy's, where the lot wants to know whether they agree."""
        if lot.fee_by is not FeeBy.SHADOW or answer.stay.entered_at is None:
            return None, ""
        rules = _tariff(lot)
        ours = tariff.fee(rules, lot.place, answer.stay.entered_at, now).amount
        if ours != answer.amount:
            log.warning("lot %s: the legacy asks %s yen, tariff %s gives %s", lot.id, answer.amount, rules.label, ours)
        return ours, rules.label


async def open_stay(db: AsyncConnection, lot: Lot, name: str) -> tuple[StayRef, datetime]:
    """The open stay with this name and when it began. Raises Refused(STAY_UNKNOWN)."""
    query = (
        select(stays.c.stay_key, stays.c.opened_at)
        .where(stays.c.lot_id == lot.id, stays.c.kind == lot.names.value, stays.c.name == name)
        .where(stays.c.closed_at.is_(None))
        .order_by(stays.c.opened_at.desc())
    )
    row = (await db.execute(query)).first()
    if row is None:
        raise Refused(Code.STAY_UNKNOWN, f"no car is known under this {lot.names.value} number")
    stay = parse_key(row.stay_key)
    return stay, stay.entered_at or row.opened_at


async def paid_so_far(db: AsyncConnection, lot: Lot, stay: StayRef) -> Yen:
    """What was paid by phone for a stay."""
    query = select(func.coalesce(func.sum(func.coalesce(payments.c.charged, payments.c.amount)), 0)).where(
        payments.c.lot_id == lot.id,
        payments.c.stay_key == stay.key,
        payments.c.standing.in_(_PAID),
        payments.c.claim_id == "",  # a claim stands for the fee whether it is paid or not
    )
    return yen(int((await db.execute(query)).scalar_one()))


def _refusal(lot: Lot, answer: NotFound) -> Refused | Environment:
    if answer.code in (Code.STAY_UNKNOWN, Code.ALREADY_PAID):
        return Refused(Code(answer.code), answer.detail)
    detail = f"lot {lot.id} cannot tell the fee: [{answer.code}] {answer.detail}"
    return Environment(Code.DEVICE_UNAVAILABLE, detail, "pay at the machine, or try again")


def _tariff(lot: Lot) -> tariff.Tariff:
    if lot.tariff is None:
        raise Bug(f"lot {lot.id} was onboarded without the tariff that it needs")
    return lot.tariff
