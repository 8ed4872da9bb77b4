"""The lots' secrets: keys for typed codes, rotated with overlap, and one key per lot for matching plates.

A code is shown under a key only once the lot's bridge has that key, so a line that is down during a rotation makes no
code worthless. A replaced bridge's keys are replaced at once. At rest everything is sealed (`cloud.sealing`).
"""

import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import ColumnElement, RowMapping, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud.schema import lot_secrets, lots
from cloud.sealing import Sealing
from cloud.store import Store, Transaction, wait
from parking.errors import Code, DaikoError, Environment
from parking.signing import to_text
from parking.stay import NameKind, normalise, plate_token
from parking.wire import CodeKey, LotKeys

log = logging.getLogger(__name__)

CODE: Final = "code"
PLATE: Final = "plate"
KIDS: Final = 4
"""Keys are counted from 1; a code names them by the count's last two bits."""
OVERLAP: Final = timedelta(days=1)
"""How much longer than a code is good its key is kept after the next one took over."""
TRUST_AFTER: Final = timedelta(hours=1)
"""When a key that was handed out is used: the answer that carried it may have been lost, and the bridge asks again."""
EVERY: Final = 3600.0
_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class LotSecrets:
    """Makes, hands out and rotates secrets. A typed code is good for `code_seconds` after payment."""

    sealing: Sealing
    code_seconds: int
    rotate_after: timedelta

    async def ensure(self, tx: Transaction, lot: int, now: datetime) -> None:
        """Make what the lot has not yet; done when it is onboarded."""
        # the row lock makes of two who come at once one
        await tx.connection.execute(select(lots.c.id).where(lots.c.id == lot).with_for_update())
        for purpose in (CODE, PLATE):
            if not await _rows(tx.connection, lot, purpose):
                await self._make(tx, lot, purpose, 1, now)

    async def for_bridge(self, tx: Transaction, lot: int, generation: int, now: datetime) -> LotKeys:
        """What the lot's bridge needs to know; from now on its keys count as known there."""
        await self.ensure(tx, lot, now)
        await _drop(tx, lot, now)
        newest = (await _rows(tx.connection, lot, CODE))[-1]
        if newest["given_to"] not in (0, generation):
            await self._succeed(tx, lot, newest, now)
        rows = await _rows(tx.connection, lot, CODE)
        first_time = rows[-1]["given_to"] == 0
        not_yet = (lot_secrets.c.lot_id == lot, lot_secrets.c.given_to == 0)
        await tx.connection.execute(update(lot_secrets).where(*not_yet).values(given_to=generation, given_at=now))
        if first_time and len(rows) > 1:
            await self._retire(tx, rows[0], now + TRUST_AFTER + self._good + OVERLAP)
        plate = (await _rows(tx.connection, lot, PLATE))[-1]
        return LotKeys(
            code_keys=tuple(CodeKey(kid=row["serial"] % KIDS, key=to_text(self._open(row))) for row in rows),
            code_seconds=self.code_seconds,
            plate_key=to_text(self._open(plate)),
            server_time=now,
        )

    async def showing(self, db: AsyncConnection, lot: int, now: datetime) -> tuple[int, bytes] | None:
        """Number and key under which a code is shown now; None while no bridge of the lot has any."""
        rows = [row for row in await _rows(db, lot, CODE) if row["given_at"] is not None]
        # the first key has no elder that could stand in for it
        fit = [row for row in rows if row is rows[0] or row["given_at"] + TRUST_AFTER <= now]
        return (fit[-1]["serial"] % KIDS, self._open(fit[-1])) if fit else None

    async def plate_key(self, db: AsyncConnection, lot: int) -> bytes | None:
        """The lot's key for matching plates; None before it was made."""
        rows = await _rows(db, lot, PLATE)
        return self._open(rows[-1]) if rows else None

    async def name(self, db: AsyncConnection, lot: int, names: NameKind, typed: str) -> str:
        """What a driver typed as the lot's stays are named: folded, and a plate at once as its token.

        Raises BadMessage(BAD_NAME), or Environment for a lot that has no key for plates, or whose key is lost.
        """
        if names is not NameKind.PLATE:
            return normalise(names, typed)
        key = await self.plate_key(db, lot)
        if key is None:
            raise Environment(Code.LOT_OFFLINE, f"lot {lot} has no key for plates yet", "pay at the machine")
        return plate_token(key, typed)

    async def rotate(self, tx: Transaction, lot: int, now: datetime) -> None:
        """Drop what is over, make the next key if the present one is old, and seal anew what an old key sealed."""
        await self.ensure(tx, lot, now)
        await _drop(tx, lot, now)
        rows = await _rows(tx.connection, lot, CODE)
        newest = rows[-1]
        # a key that never left is as good as new; a third one could not be told apart by its number
        if len(rows) == 1 and newest["given_at"] is not None and now - newest["made_at"] >= self.rotate_after:
            await self._make(tx, lot, CODE, newest["serial"] + 1, now)
            log.info("lot %s: a new key for typed codes waits for its bridge", lot)
        for row in [*rows, *await _rows(tx.connection, lot, PLATE)]:
            if self.sealing.stale(row["sealed"]):
                sealed = self.sealing.seal(self._open(row), _about(lot, row["purpose"], row["serial"]))
                await tx.connection.execute(update(lot_secrets).where(*_mine(row)).values(sealed=sealed))

    async def _succeed(self, tx: Transaction, lot: int, newest: RowMapping, now: datetime) -> None:
        """Another bridge serves the lot: whoever has the former PC must not make codes for long."""
        elder = (lot_secrets.c.lot_id == lot, lot_secrets.c.purpose == CODE, lot_secrets.c.serial < newest["serial"])
        await tx.connection.execute(delete(lot_secrets).where(*elder))
        await self._retire(tx, newest, now + self._good + TRUST_AFTER)
        await self._make(tx, lot, CODE, newest["serial"] + 1, now)
        log.info("lot %s: its keys for typed codes are replaced together with its bridge", lot)

    @property
    def _good(self) -> timedelta:
        return timedelta(seconds=self.code_seconds)

    async def _retire(self, tx: Transaction, row: RowMapping, until: datetime) -> None:
        sooner = min(until, row["until"] or until)
        await tx.connection.execute(update(lot_secrets).where(*_mine(row)).values(until=sooner))

    async def _make(self, tx: Transaction, lot: int, purpose: str, serial: int, now: datetime) -> None:
        sealed = self.sealing.seal(secrets.token_bytes(_BYTES), _about(lot, purpose, serial))
        values = {"lot_id": lot, "purpose": purpose, "serial": serial, "sealed": sealed, "made_at": now, "given_to": 0}
        await tx.connection.execute(insert(lot_secrets).values(**values))

    def _open(self, row: RowMapping) -> bytes:
        return self.sealing.open(row["sealed"], _about(row["lot_id"], row["purpose"], row["serial"]))


class SecretRounds:
    """Rotates the secrets of all lots once an hour, in the background."""

    def __init__(self, store: Store, kept: LotSecrets, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._secrets = kept
        self._clock = clock

    async def run(self) -> None:
        """Go round until the program stops."""
        while not self._store.bells.closed:
            bell = self._store.bells.listen("secrets")
            try:
                await self.round()
            except Exception:
                # the old keys stay good: the next round catches up
                log.exception("rotating the lots' keys stumbled; the next round follows")
            await wait(bell, EVERY)

    async def round(self) -> None:
        """Once through all lots; one whose secrets do not open is told in the log and left as it is."""
        async with self._store.read() as db:
            ids = list((await db.execute(select(lots.c.id).order_by(lots.c.id))).scalars())
        for lot in ids:
            try:
                async with self._store.write() as tx:
                    await self._secrets.rotate(tx, lot, self._clock())
            except DaikoError as error:
                log.error("lot %d keeps its keys for typed codes as they are: %s", lot, error)


async def _rows(db: AsyncConnection, lot: int, purpose: str) -> list[RowMapping]:
    """A lot's secrets for a purpose, oldest first."""
    query = select(lot_secrets).where(lot_secrets.c.lot_id == lot, lot_secrets.c.purpose == purpose)
    return list((await db.execute(query.order_by(lot_secrets.c.serial))).mappings())


async def _drop(tx: Transaction, lot: int, now: datetime) -> None:
    """Forget the keys that are over."""
    over = (lot_secrets.c.lot_id == lot, lot_secrets.c.until <= now)
    await tx.connection.execute(delete(lot_secrets).where(*over))


def _mine(row: RowMapping) -> tuple[ColumnElement[bool], ...]:
    return tuple(lot_secrets.c[name] == row[name] for name in ("lot_id", "purpose", "serial"))


def _about(lot: int, purpose: str, serial: int) -> bytes:
    return f"{lot}/{purpose}/{serial}".encode()
