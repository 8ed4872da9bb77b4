"""The lots' secrets as the bridge holds them: fetched from the cloud, kept sealed, of use while the line is down.

Fetched whenever the cloud is reached anew, and once a day; a set that has come replaces the former one as a whole. On a
thread of its own: neither the feed nor the console ever waits for it.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Final

from bridge.config import BridgeConfig
from bridge.keys import Identity
from bridge.secret_store import SecretStore, open_store
from bridge.uplink.cloud_line import CloudLine, Refusal
from bridge.uplink.pace import Backoff, Pace
from bridge.uplink.uplink import signed_line
from parking import wire
from parking.errors import BadMessage, Code, DaikoError
from parking.signing import SigningKey, from_text
from parking.stay import LotId
from parking.wire import LotKeys

EVERY: Final = 86_400.0
"""Seconds between two fetches while the line stays up; a key is kept far longer than that after its successor came."""

STOP_SECONDS: Final = 2.0
_BYTES: Final = 32

log = logging.getLogger(__name__)


class KeptKeys:
    """Each lot's keys. Thread-safe."""

    def __init__(
        self,
        store: SecretStore,
        lots: Sequence[LotId],
        line: Callable[[], CloudLine] | None,
        pace: Pace | None = None,
        every: float = EVERY,
    ) -> None:
        """`lots` are those that this bridge is enrolled for; `line` opens a signed line, None if there is no cloud."""
        self._store, self._every, self._pace = store, every, pace or Pace()
        self._line = line() if line is not None else None
        self._news = threading.Condition()
        self._stopped = False
        self._due: dict[LotId, float] = {}
        self._backoff = {lot: Backoff(self._pace) for lot in lots}
        self._kept = {lot: kept for lot in lots if (kept := self._read(lot)) is not None}
        self._thread = threading.Thread(target=self._run, name="lot-keys", daemon=True)

    def of(self, lot: LotId) -> LotKeys | None:
        """The lot's keys, None if none have ever come."""
        with self._news:
            return self._kept.get(lot)

    def connected(self, lot: LotId) -> None:
        """The cloud has been reached: fetch this lot's keys soon."""
        with self._news:
            if lot in self._backoff:
                self._due[lot] = time.monotonic()
                self._news.notify_all()

    def start(self) -> None:
        """Begin; nothing is fetched before the first `connected`."""
        if self._line is not None:
            self._thread.start()

    def stop(self) -> None:
        """End within 2 s, whatever the cloud does."""
        with self._news:
            self._stopped = True
            self._news.notify_all()
        if self._line is not None:
            self._line.close()
        if self._thread.ident is not None:
            self._thread.join(STOP_SECONDS)

    # --- the thread --------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        line = self._line
        while line is not None and (lot := self._next()) is not None:
            try:
                wait = self._fetch(line, lot)
            except Exception:  # the thread must live on
                log.exception("bug while fetching the keys of lot %d", lot)
                wait = self._pace.cap
            with self._news:
                self._due.setdefault(lot, time.monotonic() + wait)
        if line is not None:
            line.release()

    def _next(self) -> LotId | None:
        """The next lot to fetch for, once it is time; None at the end."""
        with self._news:
            while not self._stopped:
                lot = min(self._due, key=lambda one: self._due[one], default=None)
                wait = None if lot is None else self._due[lot] - time.monotonic()
                if lot is not None and wait is not None and wait <= 0:
                    del self._due[lot]
                    return lot
                self._news.wait(wait)
        return None

    def _fetch(self, line: CloudLine, lot: LotId) -> float:
        """Seconds until the next try."""
        backoff = self._backoff[lot]
        try:
            fresh = line.call(f"/bridge/v1/lots/{lot}/keys", LotKeys).reply
            check(fresh)
        except DaikoError as error:
            if not self._stopped:
                log.warning("lot %d: no keys for typed codes from the cloud: %s", lot, error)
            return backoff.refused() if isinstance(error, Refusal) else backoff.next()
        backoff.worked(self._pace.settled)
        with self._news:
            self._kept[lot] = fresh
        try:
            self._store.replace(_name(lot), wire.encode(fresh))
        except DaikoError as error:  # they are of use until the next start, and fetched again then
            log.error("lot %d: its keys could not be stored: %s", lot, error)
        return self._every

    def _read(self, lot: LotId) -> LotKeys | None:
        try:
            kept = self._store.read(_name(lot))
            if kept is None:
                return None
            keys = wire.decode(kept, LotKeys)
            check(keys)
        except DaikoError as error:
            log.error("lot %d: its kept keys are of no use, they are fetched again: %s", lot, error)
            return None
        return keys


def keys_for(
    config: BridgeConfig, enrolled: tuple[Identity, SigningKey] | None, clock: Callable[[], datetime]
) -> KeptKeys:
    """The keys of the lots that this bridge is enrolled for, those kept here while the line is down."""
    lots = [lot for lot in config.lots if enrolled is not None and lot in enrolled[0].lots]
    line = partial(signed_line, config, *enrolled, clock) if enrolled is not None else None
    return KeptKeys(open_store(config.data, config.store), lots, line)


def check(keys: LotKeys) -> None:
    """Raises BadMessage(BAD_MESSAGE) unless all keys are whole and their numbers different."""
    texts = [*(one.key for one in keys.code_keys), keys.plate_key]
    if any(len(from_text(text)) != _BYTES for text in texts):
        raise BadMessage(Code.BAD_MESSAGE, f"a key of the lot is not {_BYTES} bytes")
    if len({one.kid for one in keys.code_keys}) != len(keys.code_keys):
        raise BadMessage(Code.BAD_MESSAGE, "two keys of the lot have the same number")


def _name(lot: LotId) -> str:
    return f"lot-{lot}.keys"
