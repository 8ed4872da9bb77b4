"""What a person decides about bridges: approve one that waits, turn it down, revoke one; each kept as a row.

Approval is the moment of the fence (P11): the lots get a new generation, the former bridge is refused from then on, and
what it may have acted upon is in doubt. Everything in one transaction, with who did it.
"""

import re
from datetime import datetime
from typing import Any, Final

from sqlalchemy import RowMapping, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.enrolment import BridgeState, state_of
from cloud.orders import Orders
from cloud.schema import bridge_acts, bridge_lots, bridges, lots
from cloud.store import Transaction
from parking.errors import BadMessage, Code, Refused
from parking.signing import fingerprint

_BLANKS: Final = re.compile(r"[\s-]+")


async def approve(tx: Transaction, orders: Orders, bridge_id: str, shown: str, by: str, now: datetime) -> int:
    """Make a waiting bridge that of its lots; returns its generation. `shown` is the fingerprint seen in the lot.

    Raises Refused: NOT_FOUND, FINGERPRINT if `shown` is another one, CONFLICT if it does not wait (any more);
    BadMessage without a name.
    """
    row = await _row(tx.connection, bridge_id)
    ours = fingerprint(row["public_key"])
    if _fold(shown) != _fold(ours):
        detail = f"the lot shows {shown.strip()[:60]!r}, but the key that asks as {bridge_id} is another one"
        remedy = "do not approve it: somebody else may have used the code. Reject it, and make a new code"
        raise Refused(Code.FINGERPRINT, detail, remedy)
    if (state := state_of(row, now)) is not BridgeState.PENDING:
        raise Refused(Code.CONFLICT, f"bridge {bridge_id} is {state}{await _since(tx, bridge_id)}, it does not wait")
    rows = await _lots(tx.connection, bridge_id)
    generation: int = 1 + max(lot["generation"] for lot in rows)
    await _set(tx, bridge_id, BridgeState.APPROVED, generation=generation)
    for lot in rows:
        await _hand_over(tx, orders, lot, bridge_id, generation, now)
    await _note(tx, bridge_id, "approve", by, f"fingerprint {ours}, generation {generation}", now)
    await _end_others(tx, [lot["id"] for lot in rows], bridge_id, by, now)
    return generation


async def reject(tx: Transaction, bridge_id: str, by: str, reason: str, now: datetime) -> None:
    """Turn down a bridge that waits. Raises Refused(NOT_FOUND), Refused(CONFLICT) if it does not, BadMessage."""
    row = await _row(tx.connection, bridge_id)
    if (state := state_of(row, now)) is not BridgeState.PENDING:
        remedy = f"python -m cloud bridge revoke {bridge_id}" if state is BridgeState.APPROVED else ""
        raise Refused(Code.CONFLICT, f"bridge {bridge_id} is {state}, it does not wait", remedy)
    await _set(tx, bridge_id, BridgeState.REJECTED)
    await _note(tx, bridge_id, "reject", by, reason, now)


async def revoke(tx: Transaction, bridge_id: str, by: str, reason: str, now: datetime) -> None:
    """Refuse everything from an approved bridge from now on, say because its PC was stolen.

    Raises Refused(NOT_FOUND), Refused(CONFLICT) if it is not approved, BadMessage without a name.
    """
    row = await _row(tx.connection, bridge_id)
    if (state := state_of(row, now)) is not BridgeState.APPROVED:
        remedy = f"python -m cloud bridge reject {bridge_id}" if state is BridgeState.PENDING else ""
        raise Refused(Code.CONFLICT, f"bridge {bridge_id} is {state}, not approved", remedy)
    await _set(tx, bridge_id, BridgeState.REVOKED)
    await _note(tx, bridge_id, "revoke", by, reason, now)
    for lot in await _lots(tx.connection, bridge_id):
        tx.ring(("feed", lot["id"]))


async def listed(db: AsyncConnection, now: datetime) -> list[dict[str, Any]]:
    """All bridges, those that asked last at the end, as plain values."""
    served: dict[str, list[str]] = {}
    codes = select(bridge_lots.c.bridge_id, lots.c.code).join(lots, lots.c.id == bridge_lots.c.lot_id)
    for bridge_id, code in (await db.execute(codes.order_by(lots.c.id))).all():
        served.setdefault(bridge_id, []).append(code)
    return [
        {
            "id": row["id"],
            "name": row["name"],
            "lots": served.get(row["id"], []),
            "fingerprint": fingerprint(row["public_key"]),
            "state": state_of(row, now).value,
            "generation": row["generation"],
            "software": row["software"],
            "asked_at": row["asked_at"].isoformat(timespec="seconds"),
            "heard_at": row["heard_at"].isoformat(timespec="seconds") if row["heard_at"] else None,
        }
        for row in (await db.execute(select(bridges).order_by(bridges.c.asked_at, bridges.c.id))).mappings()
    ]


async def acts(db: AsyncConnection) -> list[dict[str, Any]]:
    """What persons decided about bridges, oldest first, as plain values."""
    rows = (await db.execute(select(bridge_acts).order_by(bridge_acts.c.id))).mappings()
    return [{**row, "at": row["at"].isoformat(timespec="seconds")} for row in rows]


async def _hand_over(
    tx: Transaction, orders: Orders, lot: RowMapping, bridge_id: str, generation: int, now: datetime
) -> None:
    taken_over = lot["bridge_id"] is not None
    # What a former bridge may have received must not be acted on by this one (P2): its feed starts behind it.
    floor = lot["completions"] if taken_over else lot["feed_floor"]
    changed = {"bridge_id": bridge_id, "generation": generation, "feed_floor": floor}
    await tx.connection.execute(update(lots).where(lots.c.id == lot["id"]).values(**changed))
    if taken_over:
        await orders.take_over(tx, lot["id"], now)
    tx.ring(("feed", lot["id"]))


async def _end_others(tx: Transaction, lot_ids: list[int], approved: str, by: str, now: datetime) -> None:
    """Who else waits for one of these lots asked before this approval: to let it in later would be a mistake."""
    query = (
        select(bridges.c.id)
        .join(bridge_lots, bridge_lots.c.bridge_id == bridges.c.id)
        .where(bridge_lots.c.lot_id.in_(lot_ids), bridges.c.state == BridgeState.PENDING.value)
        .distinct()
    )
    for other in (await tx.connection.execute(query)).scalars().all():
        await _set(tx, other, BridgeState.REJECTED)
        await _note(tx, other, "reject", by, f"bridge {approved} was approved", now)


async def _row(db: AsyncConnection, bridge_id: str) -> RowMapping:
    query = select(bridges).where(bridges.c.id == bridge_id).with_for_update()
    row = (await db.execute(query)).mappings().first()
    if row is None:
        raise Refused(Code.NOT_FOUND, f"there is no bridge {bridge_id[:40]!r}", "see: python -m cloud bridge list")
    return row


async def _lots(db: AsyncConnection, bridge_id: str) -> list[RowMapping]:
    mine = select(bridge_lots.c.lot_id).where(bridge_lots.c.bridge_id == bridge_id)
    query = select(lots).where(lots.c.id.in_(mine)).order_by(lots.c.id).with_for_update()
    return list((await db.execute(query)).mappings())


async def _set(tx: Transaction, bridge_id: str, state: BridgeState, **more: int) -> None:
    await tx.connection.execute(update(bridges).where(bridges.c.id == bridge_id).values(state=state.value, **more))


async def _note(tx: Transaction, bridge_id: str, verb: str, by: str, detail: str, now: datetime) -> None:
    if not by.strip():
        raise BadMessage(Code.BAD_MESSAGE, "a decision needs a name", "say who decides with --by")
    values = {"bridge_id": bridge_id, "verb": verb, "actor": by.strip()[:80], "detail": detail.strip()[:500]}
    await tx.connection.execute(insert(bridge_acts).values(**values, at=now))


async def _since(tx: Transaction, bridge_id: str) -> str:
    query = select(bridge_acts).where(bridge_acts.c.bridge_id == bridge_id).order_by(bridge_acts.c.id.desc())
    act = (await tx.connection.execute(query)).mappings().first()
    return f" (by {act['actor']}, {act['at']:%Y-%m-%d %H:%M}Z)" if act else ""


def _fold(shown: str) -> str:
    return _BLANKS.sub("", shown).upper()
