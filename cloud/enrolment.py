"""Enrolment of bridges: one-time codes, bridge keys, and generations that fence a lot's former bridge off (P11)."""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import RowMapping, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.lots import fold_code
from cloud.schema import bridge_lots, bridges, enrol_codes, lots
from cloud.store import Transaction
from parking.errors import BadMessage, Code, Refused
from parking.signing import KeyRing, from_text
from parking.wire import EnrolRequest

CODE_VALID: Final = timedelta(minutes=15)
_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_SIGNS: Final = 12  # of 5 bits each


@dataclass(frozen=True, slots=True)
class Bridge:
    """An enrolled bridge."""

    id: str
    public_key: bytes
    generation: int


@dataclass(frozen=True, slots=True)
class Enrolled:
    """What came of an enrolment.

    `taken_over` are the lots that had another bridge before; `feed_after`, per lot, is where the feed begins.
    """

    bridge: Bridge
    lots: tuple[int, ...]
    taken_over: tuple[int, ...]
    feed_after: tuple[int, ...]


async def new_code(tx: Transaction, lot_ids: list[int], now: datetime) -> str:
    """A one-time code for one bridge and its lots, good for 15 minutes. Raises Refused(LOT_UNKNOWN)."""
    known = set((await tx.connection.execute(select(lots.c.id).where(lots.c.id.in_(lot_ids)))).scalars())
    for lot in lot_ids:
        if lot not in known:
            raise Refused(Code.LOT_UNKNOWN, f"no lot {lot}", "onboard it: python -m cloud lot add PROFILE")
    signs = "".join(secrets.choice(_ALPHABET) for _ in range(_SIGNS))
    row = {"hash": _hash(signs), "lots": sorted(set(lot_ids)), "expires_at": now + CODE_VALID}
    await tx.connection.execute(insert(enrol_codes).values(**row))
    return "-".join(signs[at : at + 4] for at in range(0, _SIGNS, 4))


async def enrol(tx: Transaction, request: EnrolRequest, now: datetime) -> Enrolled:
    """Use a code up: a new bridge, one generation above every former one of its lots.

    Raises Refused(ENROL_CODE): unknown, used or expired; BadMessage(UNKNOWN_KEY | BAD_MESSAGE): no Ed25519 key.
    """
    public_key = from_text(request.public_key)
    KeyRing({1: public_key})
    if len(request.name) > 200 or len(request.software) > 200:
        raise BadMessage(Code.BAD_MESSAGE, "name or software is longer than 200 characters")
    lot_ids = await _use(tx.connection, request.code, now)
    rows = await _lots(tx.connection, lot_ids)
    bridge = Bridge(f"b{secrets.token_hex(8)}", public_key, 1 + max(row["generation"] for row in rows))
    values = {"id": bridge.id, "public_key": public_key, "generation": bridge.generation, "enrolled_at": now}
    await tx.connection.execute(insert(bridges).values(**values, name=request.name, software=request.software))
    taken_over = tuple(row["id"] for row in rows if row["bridge_id"] is not None)
    floors = []
    for row in rows:
        await tx.connection.execute(insert(bridge_lots).values(bridge_id=bridge.id, lot_id=row["id"]))
        # What a former bridge may have received must not be acted on by this one (P2): its feed starts behind it.
        floor = row["completions"] if row["id"] in taken_over else row["feed_floor"]
        floors.append(floor)
        changed = {"bridge_id": bridge.id, "generation": bridge.generation, "feed_floor": floor}
        await tx.connection.execute(update(lots).where(lots.c.id == row["id"]).values(**changed))
        tx.ring(("feed", row["id"]))
    return Enrolled(bridge, tuple(row["id"] for row in rows), taken_over, tuple(floors))


async def revoke(tx: Transaction, bridge_id: str, now: datetime) -> None:
    """Refuse everything from a bridge from now on, say because its PC was stolen. Raises Refused(NOT_ENROLLED)."""
    done = await tx.connection.execute(
        update(bridges).where(bridges.c.id == bridge_id, bridges.c.revoked_at.is_(None)).values(revoked_at=now)
    )
    if not done.rowcount:
        raise Refused(Code.NOT_ENROLLED, f"no enrolled bridge {bridge_id}")
    served = select(bridge_lots.c.lot_id).where(bridge_lots.c.bridge_id == bridge_id)
    for lot in (await tx.connection.execute(served)).scalars():
        tx.ring(("feed", lot))


async def find(db: AsyncConnection, bridge_id: str) -> Bridge | None:
    """The bridge with this id, unless it was revoked."""
    query = select(bridges).where(bridges.c.id == bridge_id, bridges.c.revoked_at.is_(None))
    row = (await db.execute(query)).mappings().first()
    return Bridge(row["id"], row["public_key"], row["generation"]) if row else None


async def check(db: AsyncConnection, bridge_id: str, lot: int) -> int:
    """The generation under which a bridge serves a lot; raises Refused(STALE_GENERATION) if it does not (any more)."""
    query = (
        select(lots.c.generation)
        .join(bridges, bridges.c.id == lots.c.bridge_id)
        .where(lots.c.id == lot, lots.c.bridge_id == bridge_id, bridges.c.revoked_at.is_(None))
    )
    generation = (await db.execute(query)).scalar()
    if generation is None:
        raise stale(lot)
    return int(generation)


def stale(lot: int) -> Refused:
    """What a bridge hears that does not serve a lot (any more)."""
    return Refused(
        Code.STALE_GENERATION,
        f"lot {lot} is not, or no longer, served by this bridge",
        "if this is the right PC, enrol it again with a new code",
    )


async def _use(db: AsyncConnection, code: str, now: datetime) -> list[int]:
    mine = enrol_codes.c.hash == _hash(fold_code(code))
    fresh = (mine, enrol_codes.c.used_at.is_(None), enrol_codes.c.expires_at > now)
    used = await db.execute(update(enrol_codes).where(*fresh).values(used_at=now))
    if not used.rowcount:
        raise Refused(
            Code.ENROL_CODE, "this code is unknown, used or older than 15 minutes", "make a new one in the cloud"
        )
    return list((await db.execute(select(enrol_codes.c.lots).where(mine))).scalar_one())


async def _lots(db: AsyncConnection, lot_ids: list[int]) -> list[RowMapping]:
    query = select(lots).where(lots.c.id.in_(lot_ids)).order_by(lots.c.id).with_for_update()
    return list((await db.execute(query)).mappings())


def _hash(folded: str) -> bytes:
    # 60 random bits that live for 15 minutes: a plain hash is enough
    return hashlib.sha256(folded.encode()).digest()
