"""What a person must know of: alarms, and losses (a car let out whose money is not ours).

Both are rows that stay. A loss is written down once per cause and is never charged again by itself.
"""

import logging
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Table, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.checkout import Alarm
from cloud.schema import alarms
from cloud.schema_by_hand import losses
from cloud.store import Transaction
from parking.errors import Code

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Lost:
    """A loss of `amount` yen, from a payment (`order_id`) or a claim that nobody paid (`claim_id`)."""

    amount: int
    detail: str
    order_id: str = ""
    claim_id: str = ""


async def raise_alarm(tx: Transaction, lot: int, alarm: Alarm, now: datetime, order_id: str = "") -> None:
    """Keep an alarm until a person deals with it, and say so in the log."""
    log.warning("alarm at lot %s, order %s: [%s] %s", lot, order_id or "-", alarm.code, alarm.detail)
    values = {"lot_id": lot, "order_id": order_id, "code": alarm.code.value, "detail": alarm.detail, "at": now}
    await tx.connection.execute(insert(alarms).values(**values))


async def raise_once(tx: Transaction, lot: int, alarm: Alarm, now: datetime) -> None:
    """As `raise_alarm`, but not a second time in the same words."""
    same = (alarms.c.lot_id == lot, alarms.c.code == alarm.code.value, alarms.c.detail == alarm.detail)
    if (await tx.connection.execute(select(alarms.c.id).where(*same))).first() is None:
        await raise_alarm(tx, lot, alarm, now)


async def record_loss(tx: Transaction, lot: int, lost: Lost, now: datetime) -> bool:
    """Put a loss on the list, with an alarm; False if it is there already."""
    cause = f"claim:{lost.claim_id}" if lost.claim_id else f"order:{lost.order_id}"
    if (await tx.connection.execute(select(losses.c.id).where(losses.c.cause == cause))).first() is not None:
        return False
    values = {"lot_id": lot, "cause": cause, "order_id": lost.order_id, "claim_id": lost.claim_id, "at": now}
    await tx.connection.execute(insert(losses).values(**values, amount=lost.amount, detail=lost.detail))
    await raise_alarm(tx, lot, Alarm(Code.LOSS, f"{lost.amount} yen: {lost.detail}"), now, lost.order_id)
    return True


async def alarms_of(db: AsyncConnection, lot: int) -> list[dict[str, Any]]:
    """All alarms of a lot, oldest first, as plain values."""
    return await _rows(db, alarms, lot)


async def losses_of(db: AsyncConnection, lot: int) -> list[dict[str, Any]]:
    """All losses of a lot, oldest first, as plain values."""
    return await _rows(db, losses, lot)


async def _rows(db: AsyncConnection, table: Table, lot: int) -> list[dict[str, Any]]:
    query = select(table).where(table.c.lot_id == lot).order_by(table.c.id)
    return [{**row, "at": row["at"].isoformat()} for row in (await db.execute(query)).mappings()]
