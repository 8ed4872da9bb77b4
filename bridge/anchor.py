"""Keeps the head of the audit chain in the cloud, where whoever cuts the chain's end off cannot reach it.

At start, as it was found and as it is then, and every five minutes if it has moved; openings by hand carry it along
(bridge.transaction). The cloud compares each with those that it has (cloud.anchors).
"""

import hashlib
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from bridge.audit import RELAY, Head
from bridge.config import BridgeConfig
from bridge.core import Core
from bridge.journal import Transaction
from bridge.messages import Write
from parking.stay import LotId

ANCHOR_SECONDS: Final = 300.0
LOOK_SECONDS: Final = 5.0

log = logging.getLogger(__name__)


class Anchor:
    """Reports the head for all lots, on a thread of its own."""

    def __init__(
        self,
        *,
        core: Core,
        lots: Sequence[LotId],
        generation: int,
        clock: Callable[[], datetime],
        start: Mapping[str, Any],
        look: Callable[[], None],
        every: float = ANCHOR_SECONDS,
    ) -> None:
        """`start` is what the chain is told of this run's beginning; `look` is called every few seconds."""
        self._core, self._lots, self._generation, self._clock = core, lots, generation, clock
        self._start, self._look, self._every = start, look, every
        self._reported: Head | None = None
        self._queued: Head | None = None
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="anchor", daemon=True)

    def start(self) -> None:
        """Chain the start, report the head, and go on."""
        self._core.put(Write(self._begin, after=self._committed))
        self._thread.start()

    def stop(self) -> None:
        """End; within a moment."""
        self._stopped.set()
        if self._thread.ident is not None:
            self._thread.join(1.0)

    def _run(self) -> None:
        waited = 0.0
        while not self._stopped.wait(min(LOOK_SECONDS, self._every)):
            waited += min(LOOK_SECONDS, self._every)
            try:
                self._look()
            except Exception:  # the head must go on being reported
                log.exception("bug while looking at the operators")
            if waited >= self._every:
                waited = 0.0
                self._core.put(Write(self._anchor, after=self._committed))

    def _begin(self, tx: Transaction) -> None:
        # the head as it was found: had the chain been written anew while nobody ran, only this would show it
        if (found := tx.audit_head()).entry:
            self._tell(tx, found)
        tx.audit(self._clock(), RELAY, "start", self._start)
        self._anchor(tx)

    def _anchor(self, tx: Transaction) -> None:
        last, head = self._reported, tx.audit_head()
        if head == last:
            return
        if last is not None and (now := tx.audit_head(last.entry)) != last:
            self._tell(tx, now)  # what was told before stands there no more: the cloud must hear what does
        self._tell(tx, head)
        self._queued = head

    def _tell(self, tx: Transaction, head: Head) -> None:
        for lot in self._lots:
            tx.anchor(lot, self._generation, head, self._clock())

    def _committed(self) -> None:
        self._reported = self._queued


def fingerprints(config: BridgeConfig, software: str) -> dict[str, Any]:
    """What runs here, with the SHA-256 of each lot's profile and tariff file, as `sha256sum` has them."""
    lots: dict[str, dict[str, str]] = {}
    for lot, profile in config.lots.items():
        path = config.profiles.get(lot)
        files = {} if path is None else {"profile": path}
        if path is not None and profile.fee.tariff:
            files["tariff"] = path.parent / profile.fee.tariff
        lots[str(lot)] = {what: _sha256(file) for what, file in files.items()}
    return {"software": software, "lots": lots}


def _sha256(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""  # a bridge may run without the tariff, which is the cloud's
