"""What the cloud forgets of lots that go by plates: tokens that no money hangs on, a while after the car has left.

A token stands for the same car at each of its visits, and the cloud has the key that made it: together they would be a
diary of that car. Payments, completions and claims keep theirs as long as the law wants books kept (docs/security.md).
"""

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import delete, exists

from cloud.schema import payments, quotes, reports, stays
from cloud.store import Transaction
from parking.stay import NameKind

KEPT: Final = timedelta(days=30)
_COMINGS: Final = ("stay_opened", "stay_closed")


async def forget(tx: Transaction, lot: int, now: datetime) -> None:
    """Stays that ended long ago, fees that nobody paid, and the reports of cars that came and left."""
    before = now - KEPT
    ended = (stays.c.lot_id == lot, stays.c.kind == NameKind.PLATE.value, stays.c.closed_at < before)
    await tx.connection.execute(delete(stays).where(*ended))
    named = f"{NameKind.PLATE.value}:%"
    unpaid = ~exists().where(payments.c.token == quotes.c.token)
    asked = (quotes.c.lot_id == lot, quotes.c.stay_key.like(named), quotes.c.at < before, unpaid)
    await tx.connection.execute(delete(quotes).where(*asked))
    told = (reports.c.lot_id == lot, reports.c.kind.in_(_COMINGS), reports.c.seen_at < before)
    await tx.connection.execute(delete(reports).where(*told, reports.c.body.like(f'%"kind":"{NameKind.PLATE.value}"%')))
