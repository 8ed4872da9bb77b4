"""What the operator's people decide about a payment, each kept as a row: resolving a doubt, giving money back."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import RowMapping, func, insert, select

from cloud.checkout import GiveBack, Standing
from cloud.enrolment import BridgeState
from cloud.orders import Orders
from cloud.schema import bridges, completions, lots, payments, quotes
from cloud.schema_by_hand import decisions, redeemed
from cloud.store import Transaction
from parking.errors import Code, Refused
from parking.outcome import Evidence, EvidenceKind, Level
from parking.reports import Refused as LotRefused
from parking.reports import Settled

_REFUNDABLE: Final = (Standing.SETTLED, Standing.CAPTURED)


@dataclass(frozen=True, slots=True)
class Decision:
    """Who decided, why, and who agreed where two are needed."""

    by: str
    reason: str
    second: str = ""


async def resolve(
    tx: Transaction, orders: Orders, order_id: str, decision: Decision, *, settled: bool, now: datetime
) -> None:
    """Decide a payment that nobody else can: in doubt, and its bridge is replaced or revoked (P11).

    Raises Refused(NOT_FOUND); Refused(CONFLICT): not in doubt, or the lot's present bridge owns the case, so that it is
    resolved in the lot, or settled where only the most is known that the machine can have taken; what
    `_demand_persons` raises.
    """
    row = await _row(tx, order_id)
    if row["standing"] != Standing.IN_DOUBT.value:
        raise Refused(Code.CONFLICT, f"order {order_id} is {row['standing']}, not in doubt")
    forged = row["agrees"] is not None and not row["agrees"]
    owned = (
        row["bridge_id"] is not None
        and row["state"] == BridgeState.APPROVED.value
        and row["number"] > row["feed_floor"]
    )
    if owned and not forged:
        detail = f"order {order_id} belongs to the lot's present bridge {row['bridge_id']}"
        raise Refused(Code.CONFLICT, detail, "resolve the case in the lot's window")
    if settled and row["at_most"]:
        detail = f"order {order_id} holds the most that its machine might take; how much it took is not known here"
        raise Refused(Code.CONFLICT, detail, "decide not-settled; what the machine took is the lot's loss")
    _demand_persons(row, decision)
    await _keep(tx, row, "settled" if settled else "not-settled", decision, now)
    by, number = decision.by, row["number"]
    if settled:
        seen = (Evidence(EvidenceKind.PERSON, decision.reason),)
        await orders.advance(tx, order_id, Settled(number=number, at=now, level=Level.SENT, evidence=seen, by=by), now)
        return
    said = LotRefused(number=number, at=now, code=Code.NOT_SETTLED, detail=decision.reason, by=by)
    await orders.advance(tx, order_id, said, now)


async def refund(tx: Transaction, orders: Orders, order_id: str, decision: Decision, now: datetime) -> None:
    """A supervisor gives a captured payment back; one that is being captured is given back after that.

    Raises Refused(NOT_FOUND); Refused(CONFLICT): in doubt, or nothing is captured; what `_demand_persons` raises.
    """
    row = await _row(tx, order_id)
    if row["standing"] not in _REFUNDABLE:
        remedy = "resolve the doubt first" if row["standing"] == Standing.IN_DOUBT.value else ""
        raise Refused(Code.CONFLICT, f"order {order_id} is {row['standing']}: nothing is captured", remedy)
    _demand_persons(row, decision)
    await _keep(tx, row, "refund", decision, now)
    await orders.advance(tx, order_id, GiveBack(decision.by, decision.reason), now)


def _demand_persons(row: RowMapping, decision: Decision) -> None:
    """Raises Refused(CONFLICT) without name or reason, Refused(SECOND_PERSON) above the lot's limit for one person."""
    by, second = decision.by.strip(), decision.second.strip()
    if not by or not decision.reason.strip():
        raise Refused(Code.CONFLICT, "a decision needs a name and a reason")
    if row["amount"] > row["two_persons_above"] and (not second or second.casefold() == by.casefold()):
        detail = f"{row['amount']} yen are above the lot's limit of {row['two_persons_above']} for one person"
        raise Refused(Code.SECOND_PERSON, detail, "name the second person with --second")


async def _row(tx: Transaction, order_id: str) -> RowMapping:
    query = (
        select(
            payments.c.order_id,
            payments.c.lot_id,
            func.coalesce(payments.c.charged, payments.c.amount).label("amount"),
            payments.c.standing,
            quotes.c.at_most,
            completions.c.number,
            redeemed.c.agrees,
            lots.c.bridge_id,
            lots.c.feed_floor,
            lots.c.two_persons_above,
            bridges.c.state,
        )
        .join(lots, lots.c.id == payments.c.lot_id)
        .join(quotes, quotes.c.token == payments.c.token)
        .outerjoin(completions, completions.c.order_id == payments.c.order_id)
        .outerjoin(redeemed, (redeemed.c.lot_id == payments.c.lot_id) & (redeemed.c.number == completions.c.number))
        .outerjoin(bridges, bridges.c.id == lots.c.bridge_id)
        .where(payments.c.order_id == order_id)
        .with_for_update(of=payments)
    )
    row = (await tx.connection.execute(query)).mappings().first()
    if row is None:
        raise Refused(Code.NOT_FOUND, f"there is no order {order_id[:40]!r}")
    return row


async def _keep(tx: Transaction, row: RowMapping, verb: str, decision: Decision, now: datetime) -> None:
    values = {"lot_id": row["lot_id"], "order_id": row["order_id"], "standing": row["standing"], "verb": verb}
    who = {"actor": decision.by, "second": decision.second, "reason": decision.reason}
    await tx.connection.execute(insert(decisions).values(**values, **who, at=now))
