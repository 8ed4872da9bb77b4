"""The plates of all lots: under which secret they are sealed, and when they are forgotten."""

import logging
import secrets
from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from typing import Final

from bridge.config import BridgeConfig
from bridge.journal import Journal
from bridge.plates import LotPlates, Seal
from bridge.secret_store import SecretStore, open_store
from parking.errors import DaikoError
from parking.signing import from_text
from parking.stay import LotId, NameKind
from parking.wire import LotKeys

log = logging.getLogger(__name__)

KEY: Final = "plates.key"
"""The name of the secret."""

ERASE_EVERY: Final = timedelta(days=1)


class PlateBook:
    """The plates of all lots, and when they are forgotten."""

    def __init__(
        self,
        *,
        store: SecretStore,
        journal: Journal,
        keys: Callable[[LotId], LotKeys | None],
        keep: timedelta,
    ) -> None:
        """Never raises: where the secret cannot be kept, plates are known in this run only and nothing is journaled."""
        self._journal, self._keys, self._keep = journal, keys, keep
        self._erased: datetime | None = None
        self._durable = True
        try:
            secret = store.create(KEY, lambda: secrets.token_bytes(32))
        except DaikoError as error:
            log.error("plates are not journaled in this run: %s", error)
            secret, self._durable = secrets.token_bytes(32), False
        self._seal = Seal(secret)

    def of(self, lot: LotId, names: NameKind) -> LotPlates:
        """The plates of one lot."""
        return LotPlates(lot, names, self._seal, lambda: self._key(lot), self._journal if self._durable else None)

    def tend(self, now: datetime, lots: Collection[LotId]) -> None:
        """Once a day: forget the plates of stays that ended long ago, and of lots that are served here no more."""
        if self._erased is not None and timedelta(0) <= now - self._erased < ERASE_EVERY:
            return
        count = self._journal.erase_plates(lots, now, now - self._keep)
        self._erased = now
        if count:
            log.info("%d number plates are erased", count)

    def _key(self, lot: LotId) -> bytes | None:
        kept = self._keys(lot)
        return from_text(kept.plate_key) if kept is not None else None


def open_plates(config: BridgeConfig, journal: Journal, keys: Callable[[LotId], LotKeys | None]) -> PlateBook:
    """As configured."""
    store = open_store(config.data, config.store)
    return PlateBook(store=store, journal=journal, keys=keys, keep=timedelta(days=config.plate_days))
