"""Business days of a lot: collecting what the witnesses say, keeping the differences, their reasons, and the close.

A day is compared when the bridge has told of it, and again whenever somebody asks; a reason given once stays with its
difference. A closed day is not compared again: what turns up later is a difference of the day on which it is seen.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime

import msgspec
from sqlalchemy import ColumnElement, RowMapping, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud import reconcile, witnesses
from cloud.alarms import raise_alarm
from cloud.checkout import Alarm
from cloud.lots import Lot
from cloud.payments.base import ProviderEvent
from cloud.reconcile import Difference, Kind, Totals
from cloud.schema import day_differences, day_parts, days
from cloud.store import Transaction
from parking.errors import Code, Refused
from parking.reports import LotDay


@dataclass(frozen=True, slots=True)
class Noted:
    """A difference with the reason that a person gave, if any."""

    key: str
    kind: Kind
    yen: int
    order_id: str
    number: int
    facts: Mapping[str, str | int]
    reason: str
    reason_by: str


@dataclass(frozen=True, slots=True)
class DayReport:
    """A day as it stands: totals, differences, whether it is closed, by whom."""

    lot: int
    day: date
    compared_at: datetime | None
    totals: Totals | None
    differences: tuple[Noted, ...]
    closed_by: str
    closed_at: datetime | None

    @property
    def unexplained(self) -> tuple[Noted, ...]:
        """What still keeps the day from being closed."""
        return tuple(one for one in self.differences if not one.reason)


async def told(tx: Transaction, lot: int, report: LotDay) -> None:
    """Keep a part of what a bridge tells of a day; a day told anew replaces what was told before."""
    mine = (day_parts.c.lot_id == lot, day_parts.c.day == report.day)
    stale = (*mine, (day_parts.c.at != report.at) | (day_parts.c.part == report.part))
    await tx.connection.execute(delete(day_parts).where(*stale))
    row = {"lot_id": lot, "day": report.day, "part": report.part, "parts": report.parts, "at": report.at}
    await tx.connection.execute(insert(day_parts).values(**row, body=msgspec.json.encode(report).decode()))
    tx.ring("days")
    shut = await _day(tx.connection, lot, date.fromisoformat(report.day))
    if shut is not None and shut["closed_at"] is not None and report.part == report.parts:
        text = f"{report.day} is closed, and the bridge tells it otherwise now: see the day of {report.at.isoformat()}"
        await raise_alarm(tx, lot, Alarm(Code.CONTRADICTION, text), report.at)


async def look_again(tx: Transaction, lot: int, key: str) -> None:
    """What made this difference has changed: its day, if it is open, is compared again soon."""
    where = select(day_differences.c.day).where(day_differences.c.lot_id == lot, day_differences.c.key == key)
    mine = (days.c.lot_id == lot, days.c.day.in_(where), days.c.closed_at.is_(None))
    await tx.connection.execute(update(days).where(*mine).values(told_at=None))
    tx.ring("days")


async def waiting(db: AsyncConnection) -> list[tuple[int, str]]:
    """Lots and days that a bridge has told of completely since they were last compared."""
    whole = (
        select(day_parts.c.lot_id, day_parts.c.day, func.max(day_parts.c.at).label("at"))
        .group_by(day_parts.c.lot_id, day_parts.c.day)
        .having(func.count() == func.max(day_parts.c.parts))
        .subquery()
    )
    query = (
        select(whole.c.lot_id, whole.c.day)
        .outerjoin(days, (days.c.lot_id == whole.c.lot_id) & (days.c.day == whole.c.day))
        .where(days.c.closed_at.is_(None), days.c.told_at.is_(None) | (days.c.told_at < whole.c.at))
    )
    return [(row.lot_id, row.day) for row in await db.execute(query)]


async def compare(
    tx: Transaction, lot: Lot, day: date, stated: list[ProviderEvent], now: datetime
) -> tuple[Difference, ...]:
    """Compare a day and keep what was found. Raises Refused(CONFLICT) if it is closed.

    `stated` is what the provider says of all orders that changed since the day began.
    """
    db = tx.connection
    row = await _day(db, lot.id, day)
    if row is not None and row["closed_at"] is not None:
        raise Refused(Code.CONFLICT, f"{day} of lot {lot.id} is closed")
    gathered, told_at = await witnesses.gather(db, lot, day, stated)
    totals, found = reconcile.compare(gathered)
    values = {"compared_at": now, "told_at": told_at, "totals": json.dumps(asdict(totals))}
    mine = (days.c.lot_id == lot.id, days.c.day == day.isoformat())
    if row is None:
        await db.execute(insert(days).values(lot_id=lot.id, day=day.isoformat(), closed_by="", **values))
    else:
        await db.execute(update(days).where(*mine).values(**values))
    await _keep(tx, lot.id, day, found, now)
    return found


async def explain(tx: Transaction, lot: int, day: date, key: str, reason: str, by: str, now: datetime) -> None:
    """Give a difference its reason. Raises Refused: NOT_FOUND, CONFLICT on a closed day, BAD_MESSAGE without text."""
    if not reason.strip() or not by.strip():
        raise Refused(Code.BAD_MESSAGE, "a reason and a name are needed")
    row = await _day(tx.connection, lot, day)
    if row is not None and row["closed_at"] is not None:
        raise Refused(Code.CONFLICT, f"{day} of lot {lot} is closed")
    mine = (*_of(lot, day), day_differences.c.key == key)
    values = {"reason": reason.strip()[:500], "reason_by": by.strip()[:80], "reason_at": now}
    if not (await tx.connection.execute(update(day_differences).where(*mine).values(**values))).rowcount:
        raise Refused(Code.NOT_FOUND, f"no difference {key!r} on {day} of lot {lot}")


async def close(tx: Transaction, lot: int, day: date, by: str, now: datetime) -> None:
    """Close a day for good. Raises Refused(CONFLICT) while something is unexplained or it was never compared."""
    found = await report(tx.connection, lot, day)
    if found.compared_at is None:
        raise Refused(Code.CONFLICT, f"{day} of lot {lot} was never compared", "compare it first")
    if found.closed_at is not None:
        raise Refused(Code.CONFLICT, f"{day} of lot {lot} is closed already, by {found.closed_by}")
    if found.unexplained:
        keys = ", ".join(one.key for one in found.unexplained[:5])
        detail = f"{len(found.unexplained)} differences have no reason yet: {keys}"
        raise Refused(Code.CONFLICT, detail, "explain each of them first")
    mine = (days.c.lot_id == lot, days.c.day == day.isoformat())
    await tx.connection.execute(update(days).where(*mine).values(closed_at=now, closed_by=by.strip()[:80]))


async def report(db: AsyncConnection, lot: int, day: date) -> DayReport:
    """A day as it stands; empty if it was never compared."""
    row = await _day(db, lot, day)
    query = select(day_differences).where(*_of(lot, day)).order_by(day_differences.c.yen.desc(), day_differences.c.key)
    noted = tuple(
        Noted(
            one["key"],
            Kind(one["kind"]),
            one["yen"],
            one["order_id"],
            one["number"],
            json.loads(one["facts"]),
            one["reason"],
            one["reason_by"],
        )
        for one in (await db.execute(query)).mappings()
    )
    if row is None:
        return DayReport(lot, day, None, None, noted, "", None)
    totals = Totals(**json.loads(row["totals"]))
    return DayReport(lot, day, row["compared_at"], totals, noted, row["closed_by"], row["closed_at"])


async def _keep(tx: Transaction, lot: int, day: date, found: tuple[Difference, ...], now: datetime) -> None:
    """Store what was found; what is gone goes, what stays keeps its reason, what is new raises an alarm."""
    db, keys = tx.connection, {one.key for one in found}
    query = select(day_differences.c.key).where(*_of(lot, day))
    before = set((await db.execute(query)).scalars())
    if gone := before - keys:
        await db.execute(delete(day_differences).where(*_of(lot, day), day_differences.c.key.in_(gone)))
    for one in found:
        values = {"kind": one.kind.value, "yen": one.yen, "facts": json.dumps(dict(one.facts), ensure_ascii=False)}
        if one.key in before:
            await db.execute(
                update(day_differences).where(*_of(lot, day), day_differences.c.key == one.key).values(**values)
            )
            continue
        row = {"lot_id": lot, "day": day.isoformat(), "key": one.key, "order_id": one.order_id, "number": one.number}
        await db.execute(insert(day_differences).values(**row, **values, reason="", reason_by=""))
    if fresh := keys - before:
        text = f"{day}: {len(fresh)} new differences between provider, ledger, journal and legacy"
        await raise_alarm(tx, lot, Alarm(Code.CONTRADICTION, text), now)


async def _day(db: AsyncConnection, lot: int, day: date) -> RowMapping | None:
    query = select(days).where(days.c.lot_id == lot, days.c.day == day.isoformat())
    return (await db.execute(query)).mappings().first()


def _of(lot: int, day: date) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return (day_differences.c.lot_id == lot, day_differences.c.day == day.isoformat())
