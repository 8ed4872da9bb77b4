"""Payments in the store: every change goes through `cloud.checkout.step`, inside one transaction with its effects."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import RowMapping, exists, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud import claims, completions
from cloud.alarms import Lost, raise_alarm, record_loss
from cloud.checkout import (
    Alarm,
    Capture,
    Effect,
    Event,
    IssueCompletion,
    Limits,
    Loss,
    Payment,
    Refund,
    Standing,
    Tick,
    Void,
    step,
)
from cloud.payments.base import ProviderEvent, ProviderState
from cloud.schema import completions as completion_rows
from cloud.schema import lots, payments, provider_commands, provider_events, quotes, stays
from cloud.store import Transaction
from parking.errors import Code, Refused
from parking.money import yen
from parking.reports import InDoubt
from parking.signing import SigningKey
from parking.stay import LotId, parse_key

log = logging.getLogger(__name__)

OUTBOX: Final = "outbox"
"""The bell that tells of new provider commands."""
_GONE: Final = exists().where(
    stays.c.lot_id == payments.c.lot_id, stays.c.stay_key == payments.c.stay_key, stays.c.closed_at.is_not(None)
)
"""Whether the lot reported that the stay of a payment has ended."""
_RECEIVED: Final = exists().where(
    completion_rows.c.order_id == payments.c.order_id, completion_rows.c.received_at.is_not(None)
)
"""Whether a bridge reported that it has the completion of a payment."""
_VERBS: Final = {Capture: "capture", Void: "void", Refund: "refund"}


@dataclass(frozen=True, slots=True)
class Orders:
    """Moves payments on. `key` signs their completions."""

    key: SigningKey
    limits: Limits

    async def stated(
        self, tx: Transaction, event: ProviderEvent, now: datetime, *, answer: bool = False
    ) -> tuple[Alarm, ...]:
        """What the provider states about one of our orders; an event that is known changes nothing.

        As the `answer` to a command it counts although it was stated before: "it is void" means something else to a
        payment which is to be captured than it did earlier.

        Raises Refused(NOT_FOUND) for an order that is not ours, Refused(CONFLICT) if it is another payment's event.
        """
        row = await self._row(tx.connection, event.order_id)
        if row["provider_ref"] not in ("", event.provider_ref):
            raise Refused(Code.CONFLICT, f"order {event.order_id} has another name at the provider")
        known = await _known(tx.connection, event)
        if event.state is ProviderState.PENDING or (known and not answer):
            return ()
        learnt = {"provider_ref": event.provider_ref, "poll_at": None}
        if known:
            return await self._advance(tx, row, event, now, learnt)
        values = {
            "event_id": event.event_id,
            "order_id": event.order_id,
            "state": event.state.value,
            "amount": event.amount,
            "at": event.at,
            "seen_at": now,
            "reason": event.reason[:500],
        }
        await tx.connection.execute(insert(provider_events).values(**values))
        return await self._advance(tx, row, event, now, learnt)

    async def advance(self, tx: Transaction, order_id: str, event: Event, now: datetime) -> tuple[Alarm, ...]:
        """Let an event act on a payment, with all that follows; returns the alarms it raised.

        Raises Refused(NOT_FOUND) if there is no such order.
        """
        return await self._advance(tx, await self._row(tx.connection, order_id), event, now, {})

    async def _advance(
        self, tx: Transaction, row: RowMapping, event: Event, now: datetime, learnt: Mapping[str, object]
    ) -> tuple[Alarm, ...]:
        """Let an event act on the payment in `row`, and store it with what else was `learnt` of it."""
        before = payment_of(row, stay_gone=row["stay_gone"], received=row["received"], heard_at=row["heard_at"])
        limits = replace(self.limits, unsettled=timedelta(seconds=row["alarm_seconds"]))
        after, effects = step(before, event, now, limits)
        for effect in effects:
            await self._bring_about(tx, row, effect, now)
        changed = dict(learnt)
        if after != before:
            changed |= {
                "standing": after.standing.value,
                "code": after.code,
                "authorized_at": after.authorized_at,
                "charged": after.charged,
                "overdue": after.overdue,
                "ending": after.ending,
                "unsettled": after.unsettled,
                "changed_at": now,
                "version": row["version"] + 1,
            }
            tx.ring(("payment", row["token"]))
            log.info("order %s: %s → %s %s", row["order_id"], before.standing, after.standing, after.code)
        if changed:
            mine = payments.c.order_id == row["order_id"]
            await tx.connection.execute(update(payments).where(mine).values(**changed))
        if before.claim and after.standing is not before.standing:
            await claims.payment_moved(tx, row["claim_id"], after.standing, now)
        return tuple(effect for effect in effects if isinstance(effect, Alarm))

    async def standing(self, tx: Transaction, order_id: str) -> Standing:
        """Where a payment stands. Raises Refused(NOT_FOUND)."""
        return Standing((await self._row(tx.connection, order_id))["standing"])

    async def pass_time(self, tx: Transaction, order_id: str, now: datetime) -> None:
        """Let time act on a payment."""
        await self.advance(tx, order_id, Tick(), now)

    async def take_over(self, tx: Transaction, lot: int, now: datetime) -> None:
        """Another bridge serves the lot: what its predecessor may have acted on is in doubt (P11)."""
        query = (
            select(payments.c.order_id, completion_rows.c.number)
            .join(completion_rows, completion_rows.c.order_id == payments.c.order_id)
            .where(payments.c.lot_id == lot, payments.c.standing == Standing.AUTHORIZED.value)
        )
        for order_id, number in (await tx.connection.execute(query)).all():
            detail = "the lot's bridge was replaced before it reported"
            doubt = InDoubt(number=number, at=now, code=Code.INTERRUPTED, detail=detail)
            await self.advance(tx, order_id, doubt, now)

    async def _row(self, db: AsyncConnection, order_id: str) -> RowMapping:
        query = (
            select(
                payments,
                quotes.c.exit_id,
                lots.c.alarm_seconds,
                lots.c.heard_at,
                _GONE.label("stay_gone"),
                _RECEIVED.label("received"),
            )
            .join(quotes, quotes.c.token == payments.c.token)
            .join(lots, lots.c.id == payments.c.lot_id)
            .where(payments.c.order_id == order_id)
            .with_for_update(of=payments)
        )
        row = (await db.execute(query)).mappings().first()
        if row is None:
            raise Refused(Code.NOT_FOUND, f"there is no order {order_id[:40]!r}")
        return row

    async def _bring_about(self, tx: Transaction, row: RowMapping, effect: Effect, now: datetime) -> None:
        match effect:
            case IssueCompletion():
                await completions.issue(
                    tx,
                    self.key,
                    order_id=row["order_id"],
                    lot=LotId(row["lot_id"]),
                    stay=parse_key(row["stay_key"]),
                    exit_=row["exit_id"],
                    amount=yen(row["amount"]),
                    paid_at=effect.paid_at,
                    valid_until=effect.valid_until,
                    now=now,
                )
            case Alarm():
                await raise_alarm(tx, row["lot_id"], effect, now, row["order_id"])
            case Loss():
                lost = Lost(effect.amount, effect.detail, order_id=row["order_id"])
                await record_loss(tx, row["lot_id"], lost, now)
            case _:
                await _command(tx, row["order_id"], _VERBS[type(effect)], now)


def payment_of(
    row: RowMapping, *, stay_gone: bool = False, received: bool = False, heard_at: datetime | None = None
) -> Payment:
    """A row of `payments` as the decisions see it."""
    return Payment(
        Standing(row["standing"]),
        yen(row["amount"]),
        row["authorize_by"],
        row["authorized_at"],
        row["code"],
        row["overdue"],
        row["ending"],
        stay_gone,
        row["unsettled"],
        received,
        bool(row["claim_id"]),
        heard_at,
        None if row["charged"] is None else yen(row["charged"]),
    )


async def stay_gone(db: AsyncConnection, lot: int, stay_key: str) -> bool:
    """Whether the lot reported that this stay has ended."""
    query = exists().where(stays.c.lot_id == lot, stays.c.stay_key == stay_key, stays.c.closed_at.is_not(None))
    return bool((await db.execute(select(query))).scalar())


async def _known(db: AsyncConnection, event: ProviderEvent) -> bool:
    query = select(provider_events.c.order_id).where(provider_events.c.event_id == event.event_id)
    owner = (await db.execute(query)).scalar()
    if owner not in (None, event.order_id):
        raise Refused(Code.CONFLICT, f"event {event.event_id[:64]!r} belongs to another order")
    return owner is not None


async def _command(tx: Transaction, order_id: str, verb: str, now: datetime) -> None:
    """Put a command into the outbox, once per order and verb: together they are its idempotency key."""
    mine = (provider_commands.c.order_id == order_id, provider_commands.c.verb == verb)
    if (await tx.connection.execute(select(provider_commands.c.verb).where(*mine))).first() is None:
        values = {"order_id": order_id, "verb": verb, "state": "due", "attempts": 0, "query_first": False, "detail": ""}
        await tx.connection.execute(insert(provider_commands).values(**values, due_at=now, made_at=now))
    tx.ring(OUTBOX)
