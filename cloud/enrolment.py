"""Enrolment of bridges: a one-time code makes a bridge that waits; a person's approval makes it the lot's (P11).

Until then nothing changes for the lot: its bridge goes on working, and whoever stole a code has gained nothing
(`cloud.approval` is where the former bridge is fenced off).
"""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from sqlalchemy import RowMapping, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.lots import fold_code
from cloud.schema import bridge_lots, bridges, enrol_codes, lots
from cloud.store import Transaction
from parking.errors import BadMessage, Code, Refused
from parking.signing import KeyRing, from_text
from parking.wire import EnrolRequest

MOST_LOT: Final = 2**32 - 1
CODE_VALID: Final = timedelta(minutes=15)
PENDING_VALID: Final = timedelta(hours=24)
"""How long a bridge may wait for its approval."""

NEW_CODE: Final = "enrol this bridge again with a new code"
_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_SIGNS: Final = 12  # of 5 bits each


class BridgeState(StrEnum):
    """Where a bridge stands. Only an approved one serves a lot, and only where no later one was approved."""

    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    REVOKED = "revoked"
    EXPIRED = "expired"
    """Nobody approved it in time; never stored, for time alone makes it so."""


@dataclass(frozen=True, slots=True)
class Bridge:
    """A bridge that has used a code. `generation` is 0 until it is approved."""

    id: str
    public_key: bytes
    generation: int
    state: BridgeState


@dataclass(frozen=True, slots=True)
class Served:
    """What an approved bridge serves now; `feed_after`, in the order of `lots`, is where each feed begins."""

    lots: tuple[int, ...]
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


async def enrol(tx: Transaction, request: EnrolRequest, now: datetime) -> Bridge:
    """Use a code up: a new bridge that waits for approval. The same code and key once more: the same bridge.

    Raises Refused(ENROL_CODE): unknown, used or expired; BadMessage(UNKNOWN_KEY | BAD_MESSAGE): no Ed25519 key.
    """
    public_key = from_text(request.public_key)
    KeyRing({1: public_key})
    if len(request.name) > 200 or len(request.software) > 200:
        raise BadMessage(Code.BAD_MESSAGE, "name or software is longer than 200 characters")
    digest, bridge_id = _hash(fold_code(request.code)), f"b{secrets.token_hex(8)}"
    mine = enrol_codes.c.hash == digest
    fresh = (mine, enrol_codes.c.used_at.is_(None), enrol_codes.c.expires_at > now)
    used = await tx.connection.execute(update(enrol_codes).where(*fresh).values(used_at=now, bridge_id=bridge_id))
    if not used.rowcount:
        return await _once_more(tx.connection, digest, public_key, now)
    state = BridgeState.PENDING
    values = {"id": bridge_id, "public_key": public_key, "generation": 0, "asked_at": now, "state": state.value}
    await tx.connection.execute(insert(bridges).values(**values, name=request.name, software=request.software))
    for lot in (await tx.connection.execute(select(enrol_codes.c.lots).where(mine))).scalar_one():
        await tx.connection.execute(insert(bridge_lots).values(bridge_id=bridge_id, lot_id=lot))
    return Bridge(bridge_id, public_key, 0, state)


async def find(db: AsyncConnection, bridge_id: str, now: datetime) -> Bridge | None:
    """The bridge with this id, whatever its state."""
    row = (await db.execute(select(bridges).where(bridges.c.id == bridge_id))).mappings().first()
    return _bridge(row, now) if row else None


def admit(bridge: Bridge, *, waiting: bool = False) -> None:
    """Let an approved bridge in; with `waiting` also one that waits. Raises Refused(NOT_APPROVED | NOT_ENROLLED)."""
    match bridge.state:
        case BridgeState.APPROVED:
            return
        case BridgeState.PENDING:
            if not waiting:
                raise not_approved(bridge.id)
        case BridgeState.EXPIRED:
            raise Refused(Code.NOT_ENROLLED, f"nobody approved bridge {bridge.id} within 24 hours", NEW_CODE)
        case BridgeState.REJECTED | BridgeState.REVOKED:
            remedy = f"ask the operator; if it is to serve after all, {NEW_CODE}"
            raise Refused(Code.NOT_ENROLLED, f"bridge {bridge.id} was {bridge.state} by the operator", remedy)


async def served(db: AsyncConnection, bridge: Bridge) -> Served:
    """The lots of an approved bridge. Raises Refused(STALE_GENERATION) if a later one has taken all of them."""
    query = select(lots.c.id, lots.c.feed_floor).where(lots.c.bridge_id == bridge.id).order_by(lots.c.id)
    rows = (await db.execute(query)).all()
    if not rows:
        detail = f"another bridge was approved for all lots of bridge {bridge.id}"
        raise Refused(Code.STALE_GENERATION, detail, f"if this is the right PC, {NEW_CODE}")
    return Served(tuple(row.id for row in rows), tuple(row.feed_floor for row in rows))


async def check(db: AsyncConnection, bridge_id: str, lot: int) -> int:
    """The generation under which a bridge serves a lot; raises Refused(STALE_GENERATION) if it does not (any more)."""
    if not 0 < lot <= MOST_LOT:  # no lot, and more than a database's integer may hold
        raise stale(lot)
    query = (
        select(lots.c.generation)
        .join(bridges, bridges.c.id == lots.c.bridge_id)
        .where(lots.c.id == lot, lots.c.bridge_id == bridge_id, bridges.c.state == BridgeState.APPROVED.value)
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
        f"if this is the right PC, {NEW_CODE}",
    )


def not_approved(bridge_id: str) -> Refused:
    """What a bridge hears that waits."""
    remedy = "the operator compares the fingerprint: python -m cloud bridge approve"
    return Refused(Code.NOT_APPROVED, f"nobody has approved bridge {bridge_id} yet", remedy)


def state_of(row: RowMapping, now: datetime) -> BridgeState:
    """The state of a row of `bridges` at this time."""
    state = BridgeState(row["state"])
    late = state is BridgeState.PENDING and now - row["asked_at"] >= PENDING_VALID
    return BridgeState.EXPIRED if late else state


def _bridge(row: RowMapping, now: datetime) -> Bridge:
    return Bridge(row["id"], row["public_key"], row["generation"], state_of(row, now))


async def _once_more(db: AsyncConnection, digest: bytes, public_key: bytes, now: datetime) -> Bridge:
    """An answer that was lost is given again, to the key that it was for."""
    query = select(bridges).join(enrol_codes, enrol_codes.c.bridge_id == bridges.c.id)
    mine = (enrol_codes.c.hash == digest, bridges.c.public_key == public_key)
    row = (await db.execute(query.where(*mine))).mappings().first()
    if row is None:
        detail = "this code is unknown, used or older than 15 minutes"
        raise Refused(Code.ENROL_CODE, detail, "make a new one in the cloud; if it was used, find out by whom")
    return _bridge(row, now)


def _hash(folded: str) -> bytes:
    # 60 random bits that live for 15 minutes: a plain hash is enough
    return hashlib.sha256(folded.encode()).digest()
