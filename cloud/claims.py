"""Claims: a car is let out now, its fee is paid later (the lot's policy `when_down`), within a loss budget per day.

A claim is made by the driver's phone, when the provider cannot be reached, or by the attendant. One that is not paid in
time ends on the list of losses. What a claim counts for is decided in the transaction that makes it.
"""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import RowMapping, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.alarms import Lost, raise_alarm, record_loss
from cloud.checkout import Alarm, Standing
from cloud.lots import Lot
from cloud.policy import WhenDown
from cloud.schema import lots as lot_rows
from cloud.schema import payments
from cloud.schema_by_hand import claims, losses
from cloud.store import Transaction
from parking.errors import Code, Refused
from parking.reports import Override

PROVIDER: Final = "claims"
"""The name under which a release against a claim is paid (`cloud.payments.claim`)."""
_CROCKFORD: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_UNDER_WAY: Final = tuple(
    one.value for one in (Standing.OPEN, Standing.AUTHORIZED, Standing.IN_DOUBT, Standing.SETTLED, Standing.UNWANTED)
)


class ClaimState(StrEnum):
    """Where a claim stands."""

    HELD = "held"
    """The car is being let out against it."""
    DUE = "due"
    """The car has left; to be paid."""
    PAID = "paid"
    CANCELLED = "cancelled"
    """The car was not let out: there is nothing to pay."""
    EXPIRED = "expired"
    """Not paid in time: on the list of losses."""
    FORGIVEN = "forgiven"
    """Given up, or given back, by a person."""


@dataclass(frozen=True, slots=True)
class Release:
    """What a claim is for: a stay, its fee, and the order whose completion lets the car out."""

    stay_key: str
    amount: int
    order_id: str


def new_id(now: datetime) -> str:
    """A new name: 26 signs that order by time, 80 of its 130 bits random, so that it can be kept secret."""
    value = int(now.timestamp() * 1000) << 80 | secrets.randbits(80)
    return "".join(_CROCKFORD[value >> shift & 31] for shift in range(125, -1, -5))


def until(lot: Lot, now: datetime) -> datetime:
    """Until when a claim made now can be paid."""
    return now + timedelta(days=lot.policy.claim_days)


async def allowed(db: AsyncConnection, lot: Lot, amount: int, now: datetime) -> None:
    """Whether a claim of this amount may be made now.

    Raises Refused(CLAIM_POLICY): not at this lot; Refused(BUDGET): the day's loss budget would be exceeded.
    """
    if lot.policy.when_down is not WhenDown.CLAIM:
        raise Refused(Code.CLAIM_POLICY, f"lot {lot.id} lets nobody out against a claim", "ask the attendant")
    if await _today(db, lot, now) + amount > lot.policy.loss_budget:
        raise Refused(Code.BUDGET, f"the day's loss budget of lot {lot.id} is used up", "ask the attendant")


async def make(tx: Transaction, lot: Lot, release: Release, now: datetime) -> str:
    """Make a claim by phone, held until its release is settled; returns its name.

    Raises what `allowed` raises. Of requests that come together, each sees those before it.
    """
    await tx.connection.execute(select(lot_rows.c.id).where(lot_rows.c.id == lot.id).with_for_update())
    await allowed(tx.connection, lot, release.amount, now)
    values = {
        "claim_id": new_id(now),
        "lot_id": lot.id,
        "stay_key": release.stay_key,
        "amount": release.amount,
        "state": ClaimState.HELD.value,
        "order_id": release.order_id,
        "command_id": "",
        "actor": "",
        "made_at": now,
        "until": until(lot, now),
        "changed_at": now,
    }
    await tx.connection.execute(insert(claims).values(**values))
    return str(values["claim_id"])


async def made_by_hand(tx: Transaction, lot: Lot, override: Override, now: datetime) -> None:
    """Keep the claim against which an attendant opened; it is due at once, or cancelled if nothing opened.

    The car has left, so it is kept even if the lot's budget does not allow it; then an alarm says so.
    """
    claim = override.claim
    if claim is None:
        return
    known = await _row(tx.connection, claim.claim_id)
    if known is not None:
        if (known["lot_id"], known["amount"], known["command_id"]) != (lot.id, claim.amount, override.command_id):
            detail = f"override {override.command_id} states a claim that is known with other contents"
            raise Refused(Code.CONTRADICTION, detail)
        return
    nothing_opened = override.outcome == "refused"
    values = {
        "claim_id": claim.claim_id,
        "lot_id": lot.id,
        "stay_key": override.stay.key if override.stay else "",
        "amount": claim.amount,
        "state": (ClaimState.CANCELLED if nothing_opened else ClaimState.DUE).value,
        "order_id": "",
        "command_id": override.command_id,
        "actor": override.actor,
        "made_at": override.at,
        "until": claim.until,
        "changed_at": now,
    }
    await tx.connection.execute(insert(claims).values(**values))
    spent = await _today(tx.connection, lot, override.at)
    if not nothing_opened and spent > lot.policy.loss_budget:
        detail = f"claims of this day come to {spent} yen, the loss budget is {lot.policy.loss_budget}"
        await raise_alarm(tx, lot.id, Alarm(Code.BUDGET, detail), now)


async def find(db: AsyncConnection, claim_id: str) -> RowMapping:
    """A claim's row. Raises Refused(NOT_FOUND)."""
    row = await _row(db, claim_id)
    if row is None:
        raise Refused(Code.NOT_FOUND, "there is no claim with this name", "a claim made in the lot may come later")
    return row


async def turn(tx: Transaction, claim_id: str, became: ClaimState, now: datetime, *before: ClaimState) -> ClaimState:
    """Move a claim on if it stands at one of `before`; returns where it stands then. Raises Refused(NOT_FOUND)."""
    mine = (claims.c.claim_id == claim_id, claims.c.state.in_([one.value for one in before]))
    await tx.connection.execute(update(claims).where(*mine).values(state=became.value, changed_at=now))
    return ClaimState((await find(tx.connection, claim_id))["state"])


async def payment_moved(tx: Transaction, claim_id: str, standing: Standing, now: datetime) -> None:
    """The payment of a claim has moved: the claim follows once the money is taken, or given back."""
    if standing is Standing.CAPTURED:
        await turn(tx, claim_id, ClaimState.PAID, now, ClaimState.DUE, ClaimState.EXPIRED, ClaimState.FORGIVEN)
        mine = losses.c.claim_id == claim_id
        await tx.connection.execute(update(losses).where(mine).values(detail=losses.c.detail + "; paid after all"))
    elif standing is Standing.REFUNDED:
        await turn(tx, claim_id, ClaimState.FORGIVEN, now, ClaimState.PAID, ClaimState.DUE, ClaimState.EXPIRED)


async def expire(tx: Transaction, now: datetime) -> int:
    """Put the claims on the list of losses that were not paid in time, unless one is being paid; how many."""
    paying = select(payments.c.claim_id).where(payments.c.standing.in_(_UNDER_WAY), payments.c.claim_id != "")
    due = select(claims).where(
        claims.c.state == ClaimState.DUE.value, claims.c.until <= now, claims.c.claim_id.not_in(paying)
    )
    rows = list((await tx.connection.execute(due)).mappings())
    for row in rows:
        await turn(tx, row["claim_id"], ClaimState.EXPIRED, now, ClaimState.DUE)
        detail = f"claim for {row['stay_key']} of {row['made_at'].isoformat()} was not paid in time"
        await record_loss(tx, row["lot_id"], Lost(row["amount"], detail, claim_id=row["claim_id"]), now)
    return len(rows)


async def listed(db: AsyncConnection, lot: int) -> list[dict[str, Any]]:
    """All claims of a lot, oldest first, as plain values."""
    query = select(claims).where(claims.c.lot_id == lot).order_by(claims.c.made_at, claims.c.claim_id)
    times = ("made_at", "until", "changed_at")
    rows = (await db.execute(query)).mappings()
    return [{**row, **{name: row[name].isoformat() for name in times}} for row in rows]


async def changed_since(db: AsyncConnection, since: datetime) -> list[RowMapping]:
    """The claims made by phone that have changed since then, as they stand now."""
    mine = (claims.c.order_id != "", claims.c.changed_at >= since)
    return list((await db.execute(select(claims).where(*mine).order_by(claims.c.changed_at))).mappings())


async def promised(db: AsyncConnection, lot: int, stay_key: str) -> int:
    """What claims made by hand stand for of a stay's fee."""
    query = select(func.coalesce(func.sum(claims.c.amount), 0)).where(
        claims.c.lot_id == lot,
        claims.c.stay_key == stay_key,
        claims.c.order_id == "",
        claims.c.state.in_((ClaimState.DUE.value, ClaimState.PAID.value)),
    )
    return int((await db.execute(query)).scalar_one())


async def _today(db: AsyncConnection, lot: Lot, at: datetime) -> int:
    """What claims made in the business day of `at` come to, paid since or not: the budget is for the day's doings."""
    begin = lot.day_begins(at)
    query = select(func.coalesce(func.sum(claims.c.amount), 0)).where(
        claims.c.lot_id == lot.id,
        claims.c.made_at >= begin,
        claims.c.made_at < begin + timedelta(days=1),
        claims.c.state != ClaimState.CANCELLED.value,
    )
    return int((await db.execute(query)).scalar_one())


async def _row(db: AsyncConnection, claim_id: str) -> RowMapping | None:
    return (await db.execute(select(claims).where(claims.c.claim_id == claim_id))).mappings().first()
