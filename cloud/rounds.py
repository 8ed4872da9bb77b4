"""What time brings: asking providers about open payments (a webhook may be lost), deadlines, nights, contacts."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, RowMapping, delete, exists, select, update

from cloud import claims, lots, overrides, plates
from cloud.asks import Lines
from cloud.checkout import OVERDUE_AFTER, PAGE_PATIENCE, Standing
from cloud.orders import Orders
from cloud.payments.base import PaymentProvider
from cloud.schema import completions, nonces, payments
from cloud.schema import lots as lot_rows
from cloud.store import Store, wait
from parking.errors import DaikoError, Refused

log = logging.getLogger(__name__)

EVERY: Final = 1.0
NONCE_KEPT: Final = timedelta(minutes=10)
NIGHTLY_EVERY: Final = timedelta(seconds=20)
"""How often is looked whether a lot's day has ended."""
_AT_ONCE: Final = 8


class Rounds:
    """Goes round once a second, in the background."""

    def __init__(
        self,
        store: Store,
        orders: Orders,
        lines: Lines,
        providers: Mapping[str, PaymentProvider],
        poll_seconds: Sequence[float],
        clock: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._orders = orders
        self._lines = lines
        self._providers = providers
        self._poll_seconds = poll_seconds
        self._clock = clock
        self._pruned = clock()
        self._looked = clock() - NIGHTLY_EVERY

    async def run(self) -> None:
        """Go round until the program stops."""
        while not self._store.bells.closed:
            bell = self._store.bells.listen("rounds")
            try:
                await self._poll()
                await self._deadlines()
                await self._nightly()
                await self._contacts()
                await self._prune()
            except Exception:
                # a database that is briefly locked or full must not end the rounds; the next one catches up
                log.exception("a round stumbled; the next one follows")
            await wait(bell, EVERY)

    async def _poll(self) -> None:
        query = (
            select(payments)
            .where(payments.c.poll_at <= self._clock(), payments.c.provider_ref != "")
            .order_by(payments.c.poll_at)
            .limit(_AT_ONCE)
        )
        async with self._store.read() as db:
            due = list((await db.execute(query)).mappings())
        await asyncio.gather(*(self._ask(row) for row in due))

    async def _ask(self, row: RowMapping) -> None:
        """Ask the provider about one payment; its answer counts exactly like a webhook."""
        now, mine = self._clock(), payments.c.order_id == row["order_id"]
        polls = row["polls"] + 1
        async with self._store.write() as tx:
            values = {"polls": polls, "poll_at": self.poll_at(row["created_at"], polls, now)}
            await tx.connection.execute(update(payments).where(mine).values(**values))
        try:
            event = await self._providers[row["provider"]].query(row["order_id"], row["provider_ref"])
            async with self._store.write() as tx:
                await self._orders.stated(tx, event, self._clock())
        except DaikoError as error:
            level = logging.WARNING if isinstance(error, Refused) else logging.INFO
            log.log(level, "asking about order %s: %s", row["order_id"], error)

    def poll_at(self, created_at: datetime, polls: int, now: datetime) -> datetime:
        """When a payment is next asked about, after `polls` times."""
        return max(next_poll(self._poll_seconds, created_at, polls), now + timedelta(seconds=EVERY))

    async def _deadlines(self) -> None:
        now = self._clock()
        warn = now - self._orders.limits.authorization * 2 / 3
        standing = payments.c.standing
        waiting = standing.in_((Standing.AUTHORIZED.value, Standing.IN_DOUBT.value))
        queries = (
            (standing == Standing.OPEN.value, payments.c.authorize_by < now - PAGE_PATIENCE),
            (
                standing == Standing.AUTHORIZED.value,
                ~payments.c.overdue,
                payments.c.authorized_at <= now - OVERDUE_AFTER,
            ),
            (waiting, ~payments.c.ending, payments.c.authorized_at <= warn),
        )
        due: set[str] = set()
        async with self._store.read() as db:
            for conditions in queries:
                due |= set((await db.execute(select(payments.c.order_id).where(*conditions))).scalars())
            # each lot has its own patience; those who wait and were not told of yet are few
            silent = select(payments.c.order_id, payments.c.authorized_at, lot_rows.c.alarm_seconds).join(lot_rows)
            for row in await db.execute(silent.where(waiting, ~payments.c.unsettled)):
                if now - row.authorized_at >= timedelta(seconds=row.alarm_seconds):
                    due.add(row.order_id)
            unheard = select(payments.c.order_id, payments.c.authorized_at, lot_rows.c.heard_at).join(lot_rows)
            old = (standing == Standing.AUTHORIZED.value, payments.c.authorized_at <= now - self._orders.limits.unheard)
            for row in await db.execute(unheard.where(*old, ~_received())):
                if now - row.authorized_at >= self._orders.limits.patience(row.authorized_at, row.heard_at):
                    due.add(row.order_id)
        for order_id in sorted(due):
            async with self._store.write() as tx:
                await self._orders.pass_time(tx, order_id, now)

    async def _nightly(self) -> None:
        """Claims that nobody paid in time; and, as each lot's day ends, what is still unmatched in it."""
        now = self._clock()
        if now - self._looked < NIGHTLY_EVERY:
            return
        self._looked = now
        async with self._store.write() as tx:
            await claims.expire(tx, now)
        async with self._store.read() as db:
            due = await lots.nightly_due(db, now)
        for lot, begin in due:
            async with self._store.write() as tx:
                await overrides.alarm_unmatched(tx, lot, begin, now)
                await plates.forget(tx, lot, now)
                await lots.nightly_done(tx, lot, begin)

    async def _contacts(self) -> None:
        """Keep when lots were last heard: the next process must know it, too."""
        found = self._lines.to_keep()
        if found:
            async with self._store.write() as tx:
                for lot, at in found.items():
                    await lots.heard(tx, lot, at)

    async def _prune(self) -> None:
        now = self._clock()
        if now - self._pruned >= timedelta(minutes=1):
            self._pruned = now
            async with self._store.write() as tx:
                await tx.connection.execute(delete(nonces).where(nonces.c.seen_at < now - NONCE_KEPT))


def _received() -> ColumnElement[bool]:
    """Whether a bridge reported that it has the completion of a payment."""
    mine = (completions.c.order_id == payments.c.order_id, completions.c.received_at.is_not(None))
    return exists().where(*mine)


def next_poll(poll_seconds: Sequence[float], created_at: datetime, polls: int) -> datetime:
    """5 s, 15 s, 60 s, 5 min after the beginning, then every 5 min (or as configured)."""
    if polls < len(poll_seconds):
        return created_at + timedelta(seconds=poll_seconds[polls])
    return created_at + timedelta(seconds=poll_seconds[-1] * (polls - len(poll_seconds) + 2))
