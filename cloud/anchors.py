"""Heads of the bridges' audit chains, kept where nobody in the lot can reach them.

A chain only ever grows. Another head for an entry that it had reached already shows that it was cut off, written anew,
or put back from an older copy: an alarm. The kept heads are the copy against which `python -m bridge audit verify
--anchors FILE` holds the chain itself.
"""

from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, Select, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.alarms import raise_alarm
from cloud.checkout import Alarm
from cloud.schema import bridge_lots, bridges
from cloud.schema_by_hand import audit_anchors
from cloud.store import Transaction
from parking.errors import Code
from parking.reports import Anchored, Anchors, AuditHead

_KEEP: Final = "keep the bridge's data directory as it is, and run: python -m bridge audit verify --anchors FILE"


async def note(tx: Transaction, lot: int, generation: int, report: AuditHead, now: datetime) -> None:
    """Keep a head, whatever it says; raise an alarm if it does not follow on the one before.

    What counts are the heads of all enrolments of the same key: a bridge that is enrolled again goes on with its chain,
    another PC begins its own. The same head twice says nothing new. After an alarm the chain is followed as it is then.
    """
    kept = _of_this_key(lot, generation)
    repeated = kept.where(audit_anchors.c.entry == report.entry, audit_anchors.c.head == report.head)
    if (await tx.connection.execute(repeated.limit(1))).first() is not None:
        return
    last = (await tx.connection.execute(kept.order_by(audit_anchors.c.id.desc()).limit(1))).first()
    row = {"lot_id": lot, "generation": generation, "entry": report.entry, "head": report.head}
    await tx.connection.execute(insert(audit_anchors).values(**row, at=report.at, seen_at=now))
    if last is not None and report.entry <= last.entry:
        was = f"it had reached entry {last.entry} under enrolment {last.generation}"
        what = f"{was}, and has another entry {report.entry} now"
        alarm = Alarm(Code.AUDIT, f"the audit chain was cut off, written anew or put back: {what}; {_KEEP}")
        await raise_alarm(tx, lot, alarm, now)


async def of_lot(db: AsyncConnection, lot: int) -> Anchors:
    """All heads of a lot, in the order in which they came."""
    rows = await db.execute(_of(lot).order_by(audit_anchors.c.id))
    return Anchors(lot=lot, anchors=tuple(_anchored(row) for row in rows))


async def last_before(db: AsyncConnection, lot: int, ends: datetime) -> Anchored | None:
    """The head with which a day ended: the last one that the lot reported for a time before `ends`."""
    query = _of(lot).where(audit_anchors.c.at < ends).order_by(audit_anchors.c.id.desc())
    row = (await db.execute(query.limit(1))).first()
    return _anchored(row) if row else None


def _of(lot: int) -> Select[Any]:
    return select(audit_anchors).where(audit_anchors.c.lot_id == lot)


def _anchored(row: Row[Any]) -> Anchored:
    return Anchored(generation=row.generation, entry=row.entry, head=row.head, at=row.at, seen_at=row.seen_at)


def _of_this_key(lot: int, generation: int) -> Select[tuple[int, int, str]]:
    """The lot's heads under all enrolments of the key that has this one."""
    mine = bridges.join(bridge_lots, bridge_lots.c.bridge_id == bridges.c.id)
    of_lot_ = bridge_lots.c.lot_id == lot
    key = select(bridges.c.public_key).select_from(mine).where(of_lot_, bridges.c.generation == generation)
    enrolments = select(bridges.c.generation).select_from(mine).where(of_lot_, bridges.c.public_key.in_(key))
    return select(audit_anchors.c.generation, audit_anchors.c.entry, audit_anchors.c.head).where(
        audit_anchors.c.lot_id == lot, audit_anchors.c.generation.in_(enrolments)
    )
