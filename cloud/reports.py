"""Reports of bridges: applied in order, once each, together with the lot's cursor in one transaction (P10).

A report that cannot be applied (say, of a completion that was never issued) raises an alarm and never blocks those
behind it.
"""

from datetime import datetime

import msgspec
from sqlalchemy import insert, select, update

from cloud import anchors, completions, days, overrides, redemptions
from cloud.alarms import raise_alarm
from cloud.checkout import Alarm, Standing
from cloud.orders import Orders
from cloud.reconcile import Kind
from cloud.schema import report_cursors, reports, stays
from cloud.store import Transaction
from parking.errors import Code, DaikoError, Refused
from parking.reports import (
    AuditHead,
    InDoubt,
    LotDay,
    Override,
    OverrideMatched,
    Received,
    Redeemed,
    Report,
    ReportBatch,
    Settled,
    StayClosed,
    StayOpened,
)
from parking.reports import Refused as LotRefused
from parking.stay import StayRef


async def apply(tx: Transaction, orders: Orders, lot: int, batch: ReportBatch, now: datetime) -> int:
    """Apply what is new of a batch; returns up to which number everything is now accepted.

    Raises Refused(SEQUENCE_GAP) if reports before this batch are missing; its detail names `accepted_through`.
    Raises Refused(JOURNAL_LOST) if a report is another one than was accepted under its number: the bridge's journal is
    an older copy of the one that made that, and nothing of the batch is taken.
    """
    through = await _through(tx, lot, batch.generation)
    if batch.first > through + 1:
        detail = f"accepted_through={through}, but this batch begins at {batch.first}"
        raise Refused(Code.SEQUENCE_GAP, detail, f"send again from {through + 1}")
    await _demand_same(tx, lot, batch, through)
    fresh = batch.reports[through + 1 - batch.first :]
    for seq, report in enumerate(fresh, start=through + 1):
        row = {"lot_id": lot, "generation": batch.generation, "seq": seq, "kind": _tag(report), "seen_at": now}
        await tx.connection.execute(insert(reports).values(**row, body=msgspec.json.encode(report).decode()))
        try:
            await _act(tx, orders, lot, batch.generation, report, now)
        except DaikoError as error:
            alarm = Alarm(error.code, f"report {batch.generation}/{seq} ({row['kind']}): {error.detail}")
            await raise_alarm(tx, lot, alarm, now)
    through += len(fresh)
    mine = (report_cursors.c.lot_id == lot, report_cursors.c.generation == batch.generation)
    await tx.connection.execute(update(report_cursors).where(*mine).values(through=through))
    return through


async def _demand_same(tx: Transaction, lot: int, batch: ReportBatch, through: int) -> None:
    """What is sent again must be what was sent; see `apply`."""
    mine = (reports.c.lot_id == lot, reports.c.generation == batch.generation)
    known = select(reports.c.seq, reports.c.body).where(*mine, reports.c.seq.between(batch.first, through))
    for seq, body in (await tx.connection.execute(known.order_by(reports.c.seq))).all():
        at = seq - batch.first
        # decoded again: an update of this program may write the same report in more words
        if at < len(batch.reports) and msgspec.json.decode(body, type=Report) != batch.reports[at]:
            detail = f"report {batch.generation}/{seq} is another one than was accepted: the journal is an older copy"
            raise Refused(
                Code.JOURNAL_LOST, detail, "enrol the bridge again with --again, and find out who put it back"
            )


async def _through(tx: Transaction, lot: int, generation: int) -> int:
    mine = (report_cursors.c.lot_id == lot, report_cursors.c.generation == generation)
    query = select(report_cursors.c.through).where(*mine).with_for_update()
    found = (await tx.connection.execute(query)).scalar()
    if found is None:
        values = {"lot_id": lot, "generation": generation, "through": 0}
        await tx.connection.execute(insert(report_cursors).values(**values))
        return 0
    return int(found)


async def _act(tx: Transaction, orders: Orders, lot: int, generation: int, report: Report, now: datetime) -> None:
    match report:
        case AuditHead():
            await anchors.note(tx, lot, generation, report, now)
        case StayOpened():
            await _open(tx, lot, report.stay, report.at)
        case StayClosed():
            await _close(tx, lot, report.stay, report.at)
        case LotDay():
            await days.told(tx, lot, report)
        case Override():
            await overrides.note(tx, orders, lot, report, now)
        case OverrideMatched():
            await days.look_again(tx, lot, f"{Kind.OVERRIDE_UNMATCHED}:{report.command_id}")
            await overrides.matched(tx, orders, lot, report, now)
        case Received() | Redeemed() | Settled() | LotRefused() | InDoubt():
            await _move(tx, orders, lot, report, now)
        case _:
            pass  # kept as it came; nothing follows from it for money


async def _move(
    tx: Transaction,
    orders: Orders,
    lot: int,
    report: Received | Redeemed | Settled | LotRefused | InDoubt,
    now: datetime,
) -> None:
    """What the lot says about one completion."""
    match report:
        case Received():
            order_id = await completions.order_of(tx.connection, lot, report.number)
            await completions.received(tx.connection, lot, report.number, now)
            await orders.advance(tx, order_id, report, now)
        case Redeemed():
            await redemptions.note(tx, orders, lot, report, now)
        case Settled():
            await _settled(tx, orders, lot, report, now)
        case LotRefused() | InDoubt():
            await orders.advance(tx, await completions.order_of(tx.connection, lot, report.number), report, now)


async def _settled(tx: Transaction, orders: Orders, lot: int, report: Settled, now: datetime) -> None:
    """Evidence of a release. Raises Refused(CONTRADICTION) where it proves nothing, or where it was not wanted."""
    order_id = await completions.order_of(tx.connection, lot, report.number)
    if await redemptions.forged(tx.connection, lot, report.number):
        detail = f"settled under number {report.number}, which a code with other contents had taken"
        raise Refused(Code.CONTRADICTION, f"{detail}: decide order {order_id}")
    waited = await orders.standing(tx, order_id) in (Standing.AUTHORIZED, Standing.IN_DOUBT)
    await orders.advance(tx, order_id, report, now)
    if waited and await overrides.given_back(tx.connection, order_id):
        detail = f"order {order_id} was given back by hand, and then the lot settled it after all"
        raise Refused(Code.CONTRADICTION, detail, f"look into it: python -m cloud refund {order_id}")


async def _open(tx: Transaction, lot: int, stay: StayRef, at: datetime) -> None:
    if stay.kind.is_place:
        # a place holds one stay: whatever was there before has ended, even if nobody saw it
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
