"""What the witnesses of a business day say: provider, ledger, bridge, legacy, and the people who opened by hand.

Read here, compared in `cloud.reconcile`, kept by `cloud.days`.
"""

from datetime import date, datetime, timedelta
from typing import Final

import msgspec
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud import overrides, reconcile
from cloud.checkout import Standing
from cloud.lots import Lot
from cloud.payments.base import ProviderEvent
from cloud.reconcile import Paid, Stated
from cloud.schema import completions, day_parts, days, payments
from parking.completion import read_own
from parking.reports import LotDay, day_span

HEARD_WITHIN: Final = timedelta(days=7)
"""A provider states a payment at most so long after it was made; its completion is signed only then."""


async def gather(
    db: AsyncConnection, lot: Lot, day: date, stated: list[ProviderEvent]
) -> tuple[reconcile.Day, datetime | None]:
    """All that is said of a day, and when the bridge told its part (None: it has not, or not all of it).

    `stated` is what the provider says of all orders that changed since the day began.
    """
    begins, ends = day_span(day, lot.zone, lot.day_starts)
    ledger = await _ledger(db, lot, begins, ends)
    parts, told_at = await _told(db, lot.id, day)
    journal = [row for part in parts for row in part.journal]
    read = [part for part in parts if part.legacy is not None]
    names = {paid.number for paid in ledger if paid.number} | {row.number for row in journal}
    found = reconcile.Day(
        ledger=ledger,
        provider=await _stated(db, {paid.order_id for paid in ledger}, stated, begins, ends),
        journal=journal if parts else None,
        legacy=[row for part in read for row in part.legacy or ()] if read else None,
        counts=[count for part in parts for count in part.counts],
        legacy_trouble=parts[0].legacy_trouble if parts else "",
        unmatched=await overrides.unmatched_in(db, lot.id, begins, ends),
        told_after_close=await _told_after_close(db, lot.id, begins, ends),
        references={f"DK-{lot.id}-{number}": number for number in names},
    )
    return found, told_at


async def _ledger(db: AsyncConnection, lot: Lot, begins: datetime, ends: datetime) -> list[Paid]:
    """The payments of a day: by the time that their completion states, without one by when they were begun."""
    since = func.coalesce(completions.c.issued_at, payments.c.created_at)
    query = (
        select(payments, completions.c.number, completions.c.packed)
        .outerjoin(completions, completions.c.order_id == payments.c.order_id)
        .where(payments.c.lot_id == lot.id, since >= begins, since < ends + HEARD_WITHIN)
    )
    found = []
    for row in (await db.execute(query)).mappings():
        standing = Standing(row["standing"])
        charged = row["amount"] if row["charged"] is None else row["charged"]
        at = row["created_at"] if row["packed"] is None else read_own(row["packed"]).paid_at
        if begins <= at < ends and (row["number"] or standing in (*reconcile.HELD, *reconcile.RETURNED)):
            found.append(Paid(row["order_id"], row["number"] or 0, charged, standing, row["provider"]))
    return found


async def _stated(
    db: AsyncConnection, mine: set[str], stated: list[ProviderEvent], begins: datetime, ends: datetime
) -> list[Stated]:
    """What the provider says of these orders, and of orders of nobody.

    Money under an order of nobody belongs to no lot: it is shown at every lot of the day in which it moved.
    """
    ours = select(payments.c.order_id).where(payments.c.order_id.in_([one.order_id for one in stated]))
    known = set((await db.execute(ours)).scalars())
    return [
        Stated(one.order_id, one.state, one.amount)
        for one in stated
        if one.order_id in mine or (one.order_id not in known and begins <= one.at < ends)
    ]


async def _told(db: AsyncConnection, lot: int, day: date) -> tuple[list[LotDay], datetime | None]:
    query = select(day_parts.c.body, day_parts.c.parts, day_parts.c.at).where(
        day_parts.c.lot_id == lot, day_parts.c.day == day.isoformat()
    )
    rows = (await db.execute(query.order_by(day_parts.c.part))).all()
    if not rows or len(rows) != rows[0].parts:
        return [], None
    return [msgspec.json.decode(row.body, type=LotDay) for row in rows], rows[0].at


async def _told_after_close(db: AsyncConnection, lot: int, begins: datetime, ends: datetime) -> list[str]:
    query = (
        select(days.c.day)
        .distinct()
        .join(day_parts, (day_parts.c.lot_id == days.c.lot_id) & (day_parts.c.day == days.c.day))
        .where(
            days.c.lot_id == lot,
            days.c.closed_at.is_not(None),
            day_parts.c.at > func.coalesce(days.c.told_at, days.c.closed_at),
            day_parts.c.at >= begins,
            day_parts.c.at < ends,
        )
    )
    return sorted((await db.execute(query)).scalars())
