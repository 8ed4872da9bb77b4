"""Keeps when each bridge was last there: one that only listens to its feed sends nothing, and is there all the same."""

import logging
from collections.abc import Callable
from datetime import datetime
from typing import Final

from sqlalchemy import select, update

from cloud.asks import Lines
from cloud.schema import bridges, lots
from cloud.store import Store, wait

log = logging.getLogger(__name__)

EVERY: Final = 60.0


class Presence:
    """Goes round once a minute: one statement for all open feeds."""

    def __init__(self, store: Store, lines: Lines, clock: Callable[[], datetime]) -> None:
        self._store, self._lines, self._clock = store, lines, clock

    async def run(self) -> None:
        """Go round until the program stops."""
        while not self._store.bells.closed:
            bell = self._store.bells.listen("presence")
            try:
                await self.round()
            except Exception:
                log.exception("a round of presence stumbled; the next one follows")
            await wait(bell, EVERY)

    async def round(self) -> None:
        """Note the bridges that listen now."""
        if not (listening := self._lines.listening()):
            return
        serving = select(lots.c.bridge_id).where(lots.c.id.in_(listening))
        async with self._store.write() as tx:
            heard = update(bridges).where(bridges.c.id.in_(serving)).values(heard_at=self._clock())
            await tx.connection.execute(heard)
