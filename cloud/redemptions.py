"""Completions that the phone carried into the lot: what the code stated, compared with what was signed.

A code that names an unknown number, or another stay or amount than its completion, may be forged: somebody let a car
out under the number of another payment. That payment waits for a person then, and a release reported for it proves
nothing.
"""

from datetime import datetime

from sqlalchemy import RowMapping, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud import completions
from cloud.alarms import raise_alarm
from cloud.checkout import Alarm
from cloud.orders import Orders
from cloud.schema import completions as completion_rows
from cloud.schema import payments
from cloud.schema_by_hand import redeemed
from cloud.store import Transaction
from parking.errors import Code
from parking.reports import InDoubt, Redeemed
from parking.stay import parse_key


async def note(tx: Transaction, orders: Orders, lot: int, report: Redeemed, now: datetime) -> None:
    """Keep how a completion came into the lot. If it agrees with what was signed it counts as received."""
    row = await _issued(tx.connection, lot, report.number)
    agrees = row is not None and report.amount == row["amount"] and report.stay.same_as(parse_key(row["stay_key"]))
    known = select(redeemed.c.agrees).where(redeemed.c.lot_id == lot, redeemed.c.number == report.number)
    if (await tx.connection.execute(known)).first() is None:
        values = {"lot_id": lot, "number": report.number, "way": report.way.value, "actor": report.actor}
        stated = {"stay_key": report.stay.key, "amount": report.amount, "at": report.at, "agrees": agrees}
        await tx.connection.execute(insert(redeemed).values(**values, **stated))
    if row is not None and agrees:
        await completions.received(tx.connection, lot, report.number, now)
        await orders.advance(tx, row["order_id"], report, now)
        return
    order_id = row["order_id"] if row is not None else ""
    stated_as = f"{report.stay.key} for {report.amount} yen, applied by {report.actor or 'nobody named'}"
    signed = f"{row['stay_key']} for {row['amount']} yen" if row is not None else "never signed"
    detail = f"possible forgery: a {report.way.value} stated number {report.number} as {stated_as}; it is {signed}"
    await raise_alarm(tx, lot, Alarm(Code.CONTRADICTION, detail), now, order_id)
    if order_id:
        doubt = InDoubt(number=report.number, at=now, code=Code.CONTRADICTION, detail=detail)
        await orders.advance(tx, order_id, doubt, now)


async def forged(db: AsyncConnection, lot: int, number: int) -> bool:
    """Whether a code with other contents was applied under this number."""
    mine = (redeemed.c.lot_id == lot, redeemed.c.number == number, ~redeemed.c.agrees)
    return (await db.execute(select(redeemed.c.number).where(*mine))).first() is not None


async def _issued(db: AsyncConnection, lot: int, number: int) -> RowMapping | None:
    query = (
        select(payments.c.order_id, payments.c.stay_key, payments.c.amount)
        .join(completion_rows, completion_rows.c.order_id == payments.c.order_id)
        .where(completion_rows.c.lot_id == lot, completion_rows.c.number == number)
    )
    return (await db.execute(query)).mappings().first()
