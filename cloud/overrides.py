"""Overrides by hand: whose each was, and what it does to that stay's phone payment.

One that was for a stay is linked to its payment, if there is one. A payment that is not wanted any more is given back
(`cloud.checkout.GiveBack`). What nobody has explained by the end of the lot's day raises an alarm, each night anew.
"""

from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud import claims, completions, lots
from cloud.alarms import raise_alarm
from cloud.checkout import Alarm, GiveBack
from cloud.orders import Orders
from cloud.reconcile import Opened
from cloud.schema import completions as completion_rows
from cloud.schema import payments
from cloud.schema_by_hand import overrides
from cloud.store import Transaction
from parking.errors import Code, Refused
from parking.reports import Override, OverrideMatched, Whose
from parking.stay import parse_key

_OPENS: Final = ("release", "hold_open", "")
"""Verbs after which a car may have left; unknown for an override of which only the matching is known."""


async def note(tx: Transaction, orders: Orders, lot: int, report: Override, now: datetime) -> None:
    """Keep an override, with its claim if it was against one; the same again changes nothing.

    Raises Refused(CONTRADICTION | NOT_FOUND) if its number names no payment of its stay; it is kept all the same.
    """
    row = await _find(tx.connection, lot, report.command_id)
    if row is not None and row.verb:
        return
    values = {"exit": report.exit, "verb": report.verb, "at": report.at, "outcome": report.outcome}
    values |= {"actor": report.actor, "reason": report.reason}
    mine = (overrides.c.lot_id == lot, overrides.c.command_id == report.command_id)
    if row is not None:  # its matching came first
        await tx.connection.execute(update(overrides).where(*mine).values(**values))
    else:
        nobody_yet = {"matched_by": "", "matched_reason": "", "matched_at": None}
        values |= {"lot_id": lot, "command_id": report.command_id, **_said(report), **nobody_yet}
        await tx.connection.execute(insert(overrides).values(**values))
    if report.claim is not None:
        await claims.made_by_hand(tx, await lots.by_id(tx.connection, lot), report, now)
    if row is None:
        await _settle_with(tx, orders, lot, report, now)


async def matched(tx: Transaction, orders: Orders, lot: int, report: OverrideMatched, now: datetime) -> None:
    """A person has said whose an override was. Raises what `note` raises."""
    said = _said(report) | {
        "matched_by": report.actor,
        "matched_reason": report.reason,
        "matched_at": report.at,
    }
    mine = (overrides.c.lot_id == lot, overrides.c.command_id == report.command_id)
    done = await tx.connection.execute(update(overrides).where(*mine).values(**said))
    if not done.rowcount:
        unknown = {"exit": "", "verb": "", "actor": "", "reason": "", "outcome": "", "at": report.at}
        known = {"lot_id": lot, "command_id": report.command_id}
        await tx.connection.execute(insert(overrides).values(**known, **unknown, **said))
    await _settle_with(tx, orders, lot, report, now)


async def given_back(db: AsyncConnection, order_id: str) -> bool:
    """Whether an override said that this payment is not wanted."""
    query = select(overrides.c.command_id).where(overrides.c.order_id == order_id, overrides.c.give_back)
    return (await db.execute(query)).first() is not None


async def alarm_unmatched(tx: Transaction, lot: int, before: datetime, now: datetime) -> int:
    """An alarm for each override before this moment of which nobody has said whose it was; how many."""
    query = select(overrides).where(_unmatched(lot), overrides.c.at < before).order_by(overrides.c.at)
    rows = list((await tx.connection.execute(query)).mappings())
    for row in rows:
        what = f"{row['verb'] or 'override'} of exit {row['exit']} by {row['actor']} at {row['at'].isoformat()}"
        detail = f"{what} ({row['reason']}): nobody has said whose it was; override {row['command_id']}"
        await raise_alarm(tx, lot, Alarm(Code.UNMATCHED, detail), now)
    return len(rows)


async def unmatched_in(db: AsyncConnection, lot: int, begins: datetime, ends: datetime) -> list[Opened]:
    """The openings by hand in a span of time of which nobody has said whose they were."""
    query = select(overrides).where(_unmatched(lot), overrides.c.at >= begins, overrides.c.at < ends)
    rows = (await db.execute(query.order_by(overrides.c.at))).mappings()
    return [Opened(row["command_id"], row["exit"], row["actor"], row["reason"]) for row in rows]


async def listed(db: AsyncConnection, lot: int, *, unmatched: bool = False) -> list[dict[str, Any]]:
    """The overrides of a lot, oldest first, as plain values; `payment` says what became of the stay's payment."""
    chosen = _unmatched(lot) if unmatched else overrides.c.lot_id == lot
    query = (
        select(overrides, payments.c.standing, func.coalesce(payments.c.charged, payments.c.amount).label("amount"))
        .outerjoin(payments, payments.c.order_id == overrides.c.order_id)
        .where(chosen)
        .order_by(overrides.c.at, overrides.c.command_id)
    )
    return [
        {
            **{name: row[name] for name in overrides.c.keys() if name not in ("at", "matched_at")},  # noqa: SIM118 - iterated itself it gives columns, not names
            "at": row["at"].isoformat(),
            "matched_at": row["matched_at"].isoformat() if row["matched_at"] else None,
            "payment": _payment_text(row["whose"], row["standing"], row["amount"]),
        }
        for row in (await db.execute(query)).mappings()
    ]


def _payment_text(whose: str, standing: str | None, amount: int | None) -> str:
    if standing is not None:
        return f"{amount} yen {standing}"
    return "no payment, nothing to charge" if whose == Whose.STAY else ""


def _unmatched(lot: int) -> ColumnElement[bool]:
    opened = (overrides.c.verb.in_(_OPENS), overrides.c.outcome != "refused")
    later = overrides.c.whose == Whose.LATER.value
    found: ColumnElement[bool] = (overrides.c.lot_id == lot) & later
    for condition in opened:
        found &= condition
    return found


def _said(report: Override | OverrideMatched) -> dict[str, Any]:
    return {
        "whose": report.whose.value,
        "stay_key": report.stay.key if report.stay else "",
        "number": report.number,
        "give_back": report.give_back,
        "order_id": "",
    }


async def _settle_with(
    tx: Transaction, orders: Orders, lot: int, report: Override | OverrideMatched, now: datetime
) -> None:
    """Link an override to its stay's payment, and give that back if it is not wanted."""
    if report.whose is not Whose.STAY:
        return
    order_id = await _order(tx.connection, lot, report)
    if not order_id:
        return
    mine = (overrides.c.lot_id == lot, overrides.c.command_id == report.command_id)
    await tx.connection.execute(update(overrides).where(*mine).values(order_id=order_id))
    if report.give_back and report.number:
        await orders.advance(tx, order_id, GiveBack(report.actor, report.reason), now)


async def _order(db: AsyncConnection, lot: int, report: Override | OverrideMatched) -> str:
    """The payment by its completion's number; without one the stay's latest that has a completion, or none."""
    if report.number:
        order_id = await completions.order_of(db, lot, report.number)
        query = select(payments.c.stay_key).where(payments.c.order_id == order_id)
        stay = parse_key((await db.execute(query)).scalar_one())
        if report.stay is None or not report.stay.same_as(stay):
            detail = f"override {report.command_id} names completion {report.number}, which is for another stay"
            raise Refused(Code.CONTRADICTION, detail)
        return order_id
    if report.stay is None:
        return ""
    latest = (
        select(payments.c.order_id)
        .join(completion_rows, completion_rows.c.order_id == payments.c.order_id)
        .where(payments.c.lot_id == lot, payments.c.stay_key == report.stay.key)
        .order_by(completion_rows.c.number.desc())
    )
    return str((await db.execute(latest)).scalar() or "")


async def _find(db: AsyncConnection, lot: int, command_id: str) -> Any:
    mine = (overrides.c.lot_id == lot, overrides.c.command_id == command_id)
    return (await db.execute(select(overrides.c.verb).where(*mine))).first()
