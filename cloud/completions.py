"""Completions: numbered without gaps per lot, signed, and read back by cursor as a lot's feed.

`issue` runs inside the transaction that authorizes the payment: both are committed, or neither (P1, P10).
"""

from datetime import datetime

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.schema import completions, lots
from cloud.store import Transaction
from parking.completion import Completion, sign
from parking.errors import Code, Refused
from parking.money import Yen
from parking.signing import SigningKey, to_text
from parking.stay import LotId, StayRef
from parking.wire import Entry

BATCH = 200
"""Most completions read at once."""


async def issue(
    tx: Transaction,
    key: SigningKey,
    *,
    order_id: str,
    lot: LotId,
    stay: StayRef,
    exit_: str,
    amount: Yen,
    paid_at: datetime,
    valid_until: datetime,
    now: datetime,
) -> Completion:
    """Give the payment the lot's next number and sign; the feed is rung after the commit."""
    # the row lock of this update is what keeps numbers gap-free and in commit order
    next_number = update(lots).where(lots.c.id == lot).values(completions=lots.c.completions + 1)
    number = (await tx.connection.execute(next_number.returning(lots.c.completions))).scalar_one()
    completion = Completion(key.key_id, lot, number, stay, amount, paid_at, valid_until, exit_)
    row = {"lot_id": lot, "number": number, "order_id": order_id, "packed": sign(completion, key), "issued_at": now}
    await tx.connection.execute(insert(completions).values(**row))
    tx.ring(("feed", lot))
    return completion


async def after(db: AsyncConnection, lot: int, number: int) -> list[Entry]:
    """Up to `BATCH` completions of a lot above `number`, in order, as its present bridge may have them."""
    floor = select(lots.c.feed_floor).where(lots.c.id == lot).scalar_subquery()
    query = (
        select(completions.c.number, completions.c.packed)
        .where(completions.c.lot_id == lot, completions.c.number > number, completions.c.number > floor)
        .order_by(completions.c.number)
        .limit(BATCH)
    )
    return [Entry(number=row.number, completion=to_text(row.packed)) for row in await db.execute(query)]


async def order_of(db: AsyncConnection, lot: int, number: int) -> str:
    """Whose payment a completion is. Raises Refused(NOT_FOUND)."""
    query = select(completions.c.order_id).where(completions.c.lot_id == lot, completions.c.number == number)
    found = (await db.execute(query)).scalar()
    if found is None:
        raise Refused(Code.NOT_FOUND, f"lot {lot} has no completion {number}")
    return str(found)


async def received(db: AsyncConnection, lot: int, number: int, at: datetime) -> None:
    """Note that the bridge holds a completion on its disk."""
    mine = (completions.c.lot_id == lot, completions.c.number == number, completions.c.received_at.is_(None))
    await db.execute(update(completions).where(*mine).values(received_at=at))
