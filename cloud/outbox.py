"""The outbox towards payment providers: capture, void and refund, until the provider has stated the outcome.

Each command is repeated with the same order id only. After an uncertain end the provider is asked first (`query`).
Transport failures are retried for ever; a provider that says no six times is a matter for a person (alarm).
"""

import asyncio
import logging
import secrets
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import RowMapping, func, select, update

from cloud.alarms import raise_alarm
from cloud.checkout import Alarm
from cloud.orders import OUTBOX, Orders
from cloud.payments.base import PaymentProvider, ProviderEvent, ProviderState
from cloud.schema import payments, provider_commands
from cloud.store import Store, wait
from parking.errors import BadMessage, Code, DaikoError, Refused
from parking.money import yen

log = logging.getLogger(__name__)

MOST_REFUSALS: Final = 6
_AT_ONCE: Final = 8
_IDLE: Final = 5.0
_SUM: Final = func.coalesce(payments.c.charged, payments.c.amount).label("amount")
_NO_MONEY: Final = frozenset({ProviderState.VOIDED, ProviderState.EXPIRED, ProviderState.DECLINED})
_DONE: Final[Mapping[str, frozenset[ProviderState]]] = {
    "capture": frozenset({ProviderState.CAPTURED, ProviderState.REFUNDED}),
    "void": _NO_MONEY,
    "refund": frozenset({ProviderState.REFUNDED}),
}
_IMPOSSIBLE: Final[Mapping[str, frozenset[ProviderState]]] = {
    "capture": _NO_MONEY,
    "void": frozenset({ProviderState.CAPTURED, ProviderState.REFUNDED}),
    "refund": _NO_MONEY,
}


class Outbox:
    """Works the outbox off in the background."""

    def __init__(
        self, store: Store, orders: Orders, providers: Mapping[str, PaymentProvider], clock: Callable[[], datetime]
    ) -> None:
        self._store = store
        self._orders = orders
        self._providers = providers
        self._clock = clock

    async def run(self) -> None:
        """Work until the program stops."""
        while not self._store.bells.closed:
            bell = self._store.bells.listen(OUTBOX)
            try:
                due = await self._due()
                await asyncio.gather(*(self._work(command) for command in due))
                pause = 0.0 if due else await self._pause()
            except Exception:
                # a database that is briefly locked or full must not end the outbox; nothing is lost, only late
                log.exception("the outbox stumbled; it goes on")
                pause = _IDLE
            await wait(bell, pause)

    async def _due(self) -> list[RowMapping]:
        query = (
            select(provider_commands, payments.c.provider, payments.c.provider_ref, _SUM)
            .join(payments, payments.c.order_id == provider_commands.c.order_id)
            .where(provider_commands.c.state == "due", provider_commands.c.due_at <= self._clock())
            .order_by(provider_commands.c.due_at)
            .limit(_AT_ONCE)
        )
        async with self._store.read() as db:
            return list((await db.execute(query)).mappings())

    async def _pause(self) -> float:
        query = select(func.min(provider_commands.c.due_at)).where(provider_commands.c.state == "due")
        async with self._store.read() as db:
            first: datetime | None = (await db.execute(query)).scalar()
        return _IDLE if first is None else min(_IDLE, (first - self._clock()).total_seconds())

    async def _work(self, command: RowMapping) -> None:
        try:
            event = await self._send(command)
        except DaikoError as error:
            await self._later(command, error)
            return
        except Exception as error:
            log.exception("%s of order %s failed in an unforeseen way", command["verb"], command["order_id"])
            await self._later(command, DaikoError(Code.BUG, f"{type(error).__name__}: {error}"))
            return
        await self._conclude(command, event)

    async def _send(self, command: RowMapping) -> ProviderEvent:
        """One attempt; after a doubtful one the provider is asked before it is told again."""
        provider = self._providers[command["provider"]]
        order_id, ref, verb = command["order_id"], command["provider_ref"], command["verb"]
        if command["query_first"]:
            event = await provider.query(order_id, ref)
            if event.state in _DONE[verb] or event.state in _IMPOSSIBLE[verb]:
                return event
        if verb == "void":
            event = await provider.void(order_id, ref)
        else:
            send = provider.capture if verb == "capture" else provider.refund
            event = await send(order_id, ref, yen(command["amount"]))
        if event.state in _DONE[verb] or event.state in _IMPOSSIBLE[verb]:
            return event
        raise Refused(Code.PROVIDER, f"the payment is {event.state} after {verb}")

    async def _conclude(self, command: RowMapping, event: ProviderEvent) -> None:
        state = "done" if event.state in _DONE[command["verb"]] else "failed"
        async with self._store.write() as tx:
            await self._orders.stated(tx, event, self._clock(), answer=True)
            await tx.connection.execute(self._update(command, state=state, detail=event.state.value))

    async def _later(self, command: RowMapping, error: DaikoError) -> None:
        attempts, now = command["attempts"] + 1, self._clock()
        # full jitter between nothing and twice as much each time, at most a minute
        pause = secrets.SystemRandom().uniform(0.2, min(60.0, 2.0**attempts))
        refused = isinstance(error, Refused | BadMessage)
        state = "failed" if refused and attempts >= MOST_REFUSALS else "due"
        log.info("%s of order %s: attempt %s: %s", command["verb"], command["order_id"], attempts, error)
        async with self._store.write() as tx:
            values = {"attempts": attempts, "query_first": True, "due_at": now + timedelta(seconds=pause)}
            await tx.connection.execute(self._update(command, **values, state=state, detail=str(error)[:500]))
            if state == "failed":
                lot = select(payments.c.lot_id).where(payments.c.order_id == command["order_id"])
                alarm = Alarm(Code.PROVIDER, f"{command['verb']} was refused {attempts} times: {error.detail}")
                lot_id = (await tx.connection.execute(lot)).scalar_one()
                await raise_alarm(tx, lot_id, alarm, now, command["order_id"])

    def _update(self, command: RowMapping, **values: object):  # type: ignore[no-untyped-def]  # SQLAlchemy's own type
        mine = (provider_commands.c.order_id == command["order_id"], provider_commands.c.verb == command["verb"])
        return update(provider_commands).where(*mine).values(**values)
