"""The lots' lines to the cloud, and when they may be open: never without the journal that the enrolment was made with.

A journal that is fresh, or another bridge's, does not know what has been acted upon: to accept from the feed into it
could let a payment act twice. So it must carry the enrolment's birth mark (`bridge.enrol` gives it).
"""

import logging
import threading
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from bridge import crash_points
from bridge.config import BridgeConfig
from bridge.core import Core
from bridge.journal import Journal
from bridge.keys import Identity
from bridge.ports import Inbox
from bridge.uplink.uplink import Uplink
from parking.errors import Code, Environment
from parking.signing import SigningKey
from parking.stay import LotId

log = logging.getLogger(__name__)

ENROL_AGAIN = "get a new code in the cloud, run `python -m bridge enrol --again --code CODE`, and restart the bridge"


CONFIRM_SECONDS: Final = 5.0
"""How long the feed waits for the first reports to be accepted; a cloud that takes none says nothing against it."""


class Lines:
    """One uplink a lot, opened once the journal is the right one and recovered, cut when it is not any more."""

    def __init__(
        self,
        *,
        config: BridgeConfig,
        enrolled: tuple[Identity, SigningKey] | None,
        lots: Sequence[LotId],
        journal: Journal,
        core: Core,
        inbox: Inbox,
        clock: Callable[[], datetime],
        hear: Callable[[datetime], bool] | None,
    ) -> None:
        """`hear` is told the cloud's time."""
        self._config, self._enrolled, self._lots = config, enrolled, lots
        self._journal, self._core, self._inbox = journal, core, inbox
        self._clock, self._hear = clock, hear
        self._guard = threading.Lock()
        self._uplinks: dict[LotId, Uplink] = {}
        self._prepared = self._read = 0
        self._lost: dict[LotId, str] = {}
        self._confirmed = {lot: threading.Event() for lot in lots}

    def lost(self, lot: LotId) -> str:
        """Why the journal is not the one that this lot's enrolment was made with; empty if it is."""
        with self._guard:
            return self._marks().get(lot, "")

    def check(self, lot: LotId) -> None:
        """Raises Environment(JOURNAL_LOST | JOURNAL | DISK) if nothing may be accepted for this lot now."""
        if self._journal.trouble is not None:
            raise self._journal.trouble
        if lost := self.lost(lot):
            raise Environment(Code.JOURNAL_LOST, lost, ENROL_AGAIN)
        if not self._core.loaded.is_set():
            raise Environment(Code.JOURNAL, "the cases of the last run are not taken up yet", "wait a moment")

    def admit(self, lot: LotId) -> None:
        """As `check`; at first also waits for a word on our reports, by which an older copy of the journal is found."""
        self.check(lot)
        confirmed = self._confirmed[lot]
        if lot in self._uplinks and not confirmed.is_set():
            confirmed.wait(CONFIRM_SECONDS)
            confirmed.set()
            self.check(lot)

    def reported(self, lot: LotId) -> None:
        """The cloud has said how many reports it has, and the journal was told."""
        if not self._confirmed[lot].is_set():
            self.disowned(lot)

    def disowned(self, lot: LotId) -> None:
        """The journal has lost its birth mark, whenever that comes out."""
        with self._guard:
            self._read = 0
        self._confirmed[lot].set()

    def tend(self) -> None:
        """Open what may be open and cut what may not; called again and again. Raises Environment."""
        if self._enrolled is None or self._journal.trouble is not None:
            return  # what is open gets no cursor and no commit; reports still go out
        identity, key = self._enrolled
        self._prepare(identity)
        for lot in self._lots:
            if lot not in identity.lots:
                continue
            lost, uplink = self.lost(lot), self._uplinks.get(lot)
            if lost and uplink is not None:
                self._uplinks.pop(lot).stop()
            if lost:
                self._inbox.cloud_link(lot, False, f"[{Code.JOURNAL_LOST}] {lost} — {ENROL_AGAIN}", None)
            elif uplink is None:
                uplink = Uplink(self._config, identity, key, self._inbox, lot, self._clock, hear=self._hear)
                self._uplinks[lot] = uplink
                uplink.start()

    def stop(self) -> None:
        """Cut all."""
        for confirmed in self._confirmed.values():
            confirmed.set()
        for uplink in self._uplinks.values():
            uplink.stop()

    def _prepare(self, identity: Identity) -> None:
        """Once a file: what a former enrolment never reported goes under this one, and the feed begins after it."""
        if self._prepared == self._journal.opened:
            return
        opened = self._journal.opened
        begins = dict(zip(identity.lots, identity.feed_after, strict=False))
        with self._journal.transaction() as tx:
            for lot in self._lots:
                tx.carry_over(lot, identity.generation)
                if not self.lost(lot):
                    tx.begin_feed(lot, begins.get(lot, 0))
            crash_points.here("lines.prepare.before-commit")
        crash_points.here("lines.prepare.after-commit")
        self._prepared = opened

    def _marks(self) -> dict[LotId, str]:
        """What is lost, read anew whenever another file has been opened."""
        if self._enrolled is not None and self._read != self._journal.opened:
            opened, identity = self._journal.opened, self._enrolled[0]
            lost = {}
            for lot in self._lots:
                mark = self._journal.generation(lot)
                if lot in identity.lots and mark != identity.generation:
                    lost[lot] = _why(mark, identity.generation, self._journal)
            self._lost, self._read = lost, opened
        return self._lost


def _why(mark: int, generation: int, journal: Journal) -> str:
    if journal.aside is not None:
        return f"the journal was damaged and is kept as {journal.aside.name}; a fresh one cannot know what was received"
    if mark:
        return f"the journal belongs to enrolment {mark}, not to the present one, {generation}"
    return f"the journal is a fresh one, or an older copy: not the one that goes with enrolment {generation}"
