"""Compares business days in the background: as soon as a bridge has told of one, and once at its end if none did."""

import logging
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from typing import Final

from sqlalchemy import func, select

from cloud import days, lots
from cloud.lots import Lot
from cloud.payments.base import PaymentProvider, ProviderEvent
from cloud.schema import bridge_lots, bridges
from cloud.schema import days as day_rows
from cloud.schema import lots as lot_rows
from cloud.store import Store, wait
from parking.errors import DaikoError
from parking.reports import day_of, day_span

log = logging.getLogger(__name__)

EVERY: Final = 60.0
PATIENCE: Final = timedelta(minutes=30)
"""How long after the cut-over a bridge may take to tell of a day, before the day is compared without it."""
LOOK_BACK: Final = timedelta(days=31)
"""How far back a day is compared that nobody has told of."""


class DayRounds:
    """Goes round every minute, and whenever a bridge has told of a day."""

    def __init__(self, store: Store, providers: Mapping[str, PaymentProvider], clock: Callable[[], datetime]) -> None:
        self._store, self._providers, self._clock = store, providers, clock

    async def run(self) -> None:
        """Go round until the program stops."""
        while not self._store.bells.closed:
            bell = self._store.bells.listen("days")
            try:
                await self.round()
            except Exception:
                log.exception("a round of days stumbled; the next one follows")
            await wait(bell, EVERY)

    async def round(self) -> None:
        """Compare every day that is due."""
        async with self._store.read() as db:
            due = [(lot, date.fromisoformat(day)) for lot, day in await days.waiting(db)]
        due += [pair for pair in await self._ended() if pair not in due]
        for lot, day in due:
            async with self._store.read() as db:
                found = await lots.by_id(db, lot)
            try:
                await self.compare(found, day)
            except DaikoError as error:
                log.warning("lot %s, %s is not compared yet: %s", lot, day, error)

    async def compare(self, lot: Lot, day: date) -> None:
        """Ask the providers, compare, keep. Raises what a provider raises, and Refused(CONFLICT) for a closed day."""
        begins, _ = day_span(day, lot.zone, lot.day_starts)
        stated: list[ProviderEvent] = []
        for provider in self._providers.values():
            stated += await provider.changed_since(begins)
        async with self._store.write() as tx:
            found = await days.compare(tx, lot, day, stated, self._clock())
        log.info("lot %s, %s: %s differences", lot.id, day, len(found))

    async def _ended(self) -> list[tuple[int, date]]:
        """Whole days of which nothing is kept although their bridge had time to tell of them, or the cloud was down."""
        now, found = self._clock() - PATIENCE, []
        asked = select(func.min(bridges.c.asked_at)).join(bridge_lots, bridge_lots.c.bridge_id == bridges.c.id)
        async with self._store.read() as db:
            for row in (await db.execute(select(lot_rows.c.id).where(lot_rows.c.generation > 0))).all():
                lot = await lots.by_id(db, row.id)
                begun = (await db.execute(asked.where(bridge_lots.c.lot_id == lot.id))).scalar() or now
                today, first = (day_of(at, lot.zone, lot.day_starts) for at in (now, begun))
                first = max(first, today - LOOK_BACK)
                mine = (day_rows.c.lot_id == lot.id, day_rows.c.day >= first.isoformat())
                kept = set((await db.execute(select(day_rows.c.day).where(*mine))).scalars())
                past = [first + timedelta(days=n) for n in range((today - first).days)]
                found += [(int(lot.id), day) for day in past if day.isoformat() not in kept]
        return found
