"""What time brings: asking providers about open payments (a webhook may be lost), deadlines, and old nonces."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import RowMapping, delete, select, update

from cloud.checkout import OVERDUE_AFTER, PAGE_PATIENCE, Standing
from cloud.orders import Orders
from cloud.payments.base import PaymentProvider
from cloud.schema import nonces, payments
from cloud.store import Store, wait
from parking.errors import DaikoError, Refused

log = logging.getLogger(__name__)

EVERY: Final = 1.0
NONCE_KEPT: Final = timedelta(minutes=10)
_AT_ONCE: Final = 8


class Rounds:
    """Goes round once a second, in the background."""

    def __init__(
        self,
        store: Store,
        orders: Orders,
        providers: Mapping[str, PaymentProvider],
        poll_seconds: Sequence[float],
        clock: Callable[[], datetime],
    ) -> None:
        self._store = store
        self._orders = orders
        self._providers = providers
        self._poll_seconds = poll_seconds
        self._clock = clock
        self._pruned = clock()

    async def run(self) -> None:
        """Go round until the program stops."""
        while not self._store.bells.closed:
            bell = self._store.bells.listen("rounds")
            try:
                await self._poll()
                await self._deadlines()
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
        for order_id in sorted(due):
            async with self._store.write() as tx:
                await self._orders.pass_time(tx, order_id, now)

    async def _prune(self) -> None:
        now = self._clock()
        if now - self._pruned >= timedelta(minutes=1):
            self._pruned = now
            async with self._store.write() as tx:
                await tx.connection.execute(delete(nonces).where(nonces.c.seen_at < now - NONCE_KEPT))


def next_poll(poll_seconds: Sequence[float], created_at: datetime, polls: int) -> datetime:
    """5 s, 15 s, 60 s, 5 min after the beginning, then every 5 min (or as configured)."""
    if polls < len(poll_seconds):
        return created_at + timedelta(seconds=poll_seconds[polls])
    return created_at + timedelta(seconds=poll_seconds[-1] * (polls - len(poll_seconds) + 2))
