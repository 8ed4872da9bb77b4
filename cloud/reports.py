"""Reports of bridges: applied in order, once each, together with the lot's cursor in one transaction (P10).

A report that cannot be applied (say, of a completion that was never issued) raises an alarm and never blocks those
behind it.
"""

from datetime import datetime

import msgspec
from sqlalchemy import insert, select, update

from cloud import completions
from cloud.checkout import Alarm
from cloud.orders import Orders, raise_alarm
from cloud.schema import report_cursors, reports, stays
from cloud.store import Transaction
from parking.errors import Code, DaikoError, Refused
from parking.stay import NameKind, StayRef
from parking.wire import (
    DeviceHealth,
    InDoubt,
    Override,
    Received,
    Report,
    ReportBatch,
    Settled,
    StayClosed,
    StayOpened,
)
from parking.wire import Refused as LotRefused


async def apply(tx: Transaction, orders: Orders, lot: int, batch: ReportBatch, now: datetime) -> int:
    """Apply what is new of a batch; returns up to which number everything is now accepted.

    Raises Refused(SEQUENCE_GAP) if reports before this batch are missing; its detail names `accepted_through`.
    """
    through = await _through(tx, lot, batch.generation)
    if batch.first > through + 1:
        detail = f"accepted_through={through}, but this batch begins at {batch.first}"
        raise Refused(Code.SEQUENCE_GAP, detail, f"send again from {through + 1}")
    fresh = batch.reports[through + 1 - batch.first :]
    for seq, report in enumerate(fresh, start=through + 1):
        row = {"lot_id": lot, "generation": batch.generation, "seq": seq, "kind": _tag(report), "seen_at": now}
        await tx.connection.execute(insert(reports).values(**row, body=msgspec.json.encode(report).decode()))
        try:
            await _act(tx, orders, lot, report, now)
        except DaikoError as error:
            alarm = Alarm(error.code, f"report {batch.generation}/{seq} ({row['kind']}): {error.detail}")
            await raise_alarm(tx, lot, alarm, now)
    through += len(fresh)
    mine = (report_cursors.c.lot_id == lot, report_cursors.c.generation == batch.generation)
    await tx.connection.execute(update(report_cursors).where(*mine).values(through=through))
    return through


async def _through(tx: Transaction, lot: int, generation: int) -> int:
    mine = (report_cursors.c.lot_id == lot, report_cursors.c.generation == generation)
    query = select(report_cursors.c.through).where(*mine).with_for_update()
    found = (await tx.connection.execute(query)).scalar()
    if found is None:
        values = {"lot_id": lot, "generation": generation, "through": 0}
        await tx.connection.execute(insert(report_cursors).values(**values))
        return 0
    return int(found)


async def _act(tx: Transaction, orders: Orders, lot: int, report: Report, now: datetime) -> None:
    match report:
        case Received() | Settled() | LotRefused() | InDoubt():
            order_id = await completions.order_of(tx.connection, lot, report.number)
            if isinstance(report, Received):
                await completions.received(tx.connection, lot, report.number, now)
            await orders.advance(tx, order_id, report, now)
        case StayOpened():
            await _open(tx, lot, report.stay, report.at)
        case StayClosed():
            await _close(tx, lot, report.stay, report.at)
        case Override() | DeviceHealth():
            pass  # kept as they came; nothing follows from them for money


async def _open(tx: Transaction, lot: int, stay: StayRef, at: datetime) -> None:
    if stay.kind is NameKind.BAY:
        # one bay holds one car: whoever was there has left, even if nobody saw it
        others = (stays.c.kind == stay.kind.value, stays.c.name == stay.name, stays.c.stay_key != stay.key)
        gone = update(stays).where(stays.c.lot_id == lot, *others, stays.c.closed_at.is_(None))
        await tx.connection.execute(gone.values(closed_at=at))
    mine = (stays.c.lot_id == lot, stays.c.stay_key == stay.key)
    found = await tx.connection.execute(update(stays).where(*mine).values(closed_at=None))
    if not found.rowcount:
        await tx.connection.execute(insert(stays).values(**_row(lot, stay, at), closed_at=None))


async def _close(tx: Transaction, lot: int, stay: StayRef, at: datetime) -> None:
    mine = (stays.c.lot_id == lot, stays.c.stay_key == stay.key)
    found = await tx.connection.execute(update(stays).where(*mine).values(closed_at=at))
    if not found.rowcount:
        await tx.connection.execute(insert(stays).values(**_row(lot, stay, at), closed_at=at))


def _row(lot: int, stay: StayRef, at: datetime) -> dict[str, object]:
    return {"lot_id": lot, "stay_key": stay.key, "kind": stay.kind.value, "name": stay.name, "opened_at": at}


def _tag(report: Report) -> str:
    return str(type(report).__struct_config__.tag)
