"""Paying while a lot's line is down: the code on the driver's phone lets him out, so somebody must be there to use it.

Offered only where the lot's policy says so, while somebody is there, not too long after the last contact, and only
what its bridge would take: a payment with a typed code, under a number that it can complete, within the day's caps.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.asks import Lines
from cloud.checkout import Standing
from cloud.code_keys import LotSecrets
from cloud.lots import Lot
from cloud.schema import completions, lots, payments
from parking.completion import CODE_NUMBERS_AHEAD, has_typed_code
from parking.errors import Code, Environment

_CAME_TO_NOTHING: Final = (Standing.DECLINED.value, Standing.EXPIRED.value)


@dataclass(frozen=True, slots=True)
class LineDown:
    """Says who may pay although the lot is not heard."""

    lines: Lines
    secrets: LotSecrets
    clock: Callable[[], datetime]

    def heard_at(self, lot: Lot) -> datetime | None:
        """When the lot was last heard, by this process or by one before it."""
        seen = [at for at in (self.lines.last_heard(lot.id), lot.heard_at) if at is not None]
        return max(seen, default=None)

    def offered(self, lot: Lot) -> bool:
        """Whether the lot's policy lets drivers pay now; what it has room for is `demand`'s business."""
        now, heard = self.clock(), self.heard_at(lot)
        if heard is None or not lot.policy.attended_at(now, lot.zone):
            return False
        return now - heard <= timedelta(minutes=lot.policy.pay_offline_minutes)

    async def demand(self, db: AsyncConnection, lot: Lot, amount: int) -> None:
        """Raises Environment(LOT_OFFLINE) if no payment of this amount may be begun now."""
        now = self.clock()
        if not self.offered(lot):
            raise _offline(f"lot {lot.id} is not connected")
        if not has_typed_code(amount) or await self.secrets.showing(db, lot.id, now) is None:
            raise _offline(f"lot {lot.id} is not connected, and {amount} yen have no typed code there")
        if await _numbers_ahead(db, lot.id) > CODE_NUMBERS_AHEAD:
            raise _offline(f"lot {lot.id} is not connected, and knows too few of the latest numbers")
        codes, total = await _today(db, lot, now)
        if codes + 1 > lot.policy.codes_per_day or total + amount > lot.policy.code_yen_per_day:
            raise _offline(f"lot {lot.id} is not connected, and its codes of this day are used up")


def _offline(detail: str) -> Environment:
    return Environment(Code.LOT_OFFLINE, detail, "pay at the machine, or try again")


async def _numbers_ahead(db: AsyncConnection, lot: int) -> int:
    """By how much the next payment's number will exceed the last one below which the lot is known to miss none."""
    row = (await db.execute(select(lots.c.completions, lots.c.feed_floor).where(lots.c.id == lot))).one()
    missing = select(func.min(completions.c.number)).where(
        completions.c.lot_id == lot, completions.c.number > row.feed_floor, completions.c.received_at.is_(None)
    )
    first = (await db.execute(missing)).scalar()
    cursor = first - 1 if first is not None else row.completions
    opened = select(func.count()).where(payments.c.lot_id == lot, payments.c.standing == Standing.OPEN.value)
    return int(row.completions + (await db.execute(opened)).scalar_one() + 1 - cursor)


async def _today(db: AsyncConnection, lot: Lot, now: datetime) -> tuple[int, int]:
    """How many payments were begun on this business day while the line was down, and for how many yen."""
    query = select(func.count(), func.coalesce(func.sum(payments.c.amount), 0)).where(
        payments.c.lot_id == lot.id,
        payments.c.line_down,
        payments.c.created_at >= lot.day_begins(now),
        payments.c.standing.not_in(_CAME_TO_NOTHING),
    )
    codes, total = (await db.execute(query)).one()
    return int(codes), int(total)
