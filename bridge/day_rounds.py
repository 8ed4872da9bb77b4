"""Tells the cloud of each business day of the lots: at its end, or later if need be, and again when it has changed.

What was told is journaled together with the reports, so that a restart tells nothing twice. Nothing is told before the
cloud has said in this run what time it is: a PC whose clock runs ahead must not end a day early.
"""

import logging
import threading
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from typing import Final

from bridge.by_hand import ByHand
from bridge.core import Core
from bridge.journal import Journal
from bridge.lot_days import LotDays
from bridge.machines import LotMachines
from bridge.steady_clock import SteadyClock
from bridge.worker import PortWorker
from parking.errors import DaikoError
from parking.stay import LotId

log = logging.getLogger(__name__)

EVERY: Final = 15.0
FIRST: Final = 1.0
"""Pause until the cloud's time is known; the first round follows at once then."""


class DayRounds:
    """A round every quarter of a minute, on a thread of its own; `round` may also be called by hand."""

    def __init__(
        self,
        core: Core,
        journal: Journal,
        by_hand: ByHand,
        lots: Mapping[LotId, LotMachines],
        workers: Mapping[tuple[LotId, str], PortWorker],
        clock: Callable[[], datetime],
    ) -> None:
        self._core, self._journal, self._by_hand, self._clock = core, journal, by_hand, clock
        self._days = {
            lot: LotDays(core, journal, machines, partial(_worker, workers, lot)) for lot, machines in lots.items()
        }
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="days", daemon=True)

    def start(self) -> None:
        """Begin the rounds."""
        self._thread.start()

    def stop(self) -> None:
        """End; a reading under way is not waited for."""
        self._stopped.set()
        if self._thread.ident is not None:
            self._thread.join(3.0)

    @property
    def ready(self) -> bool:
        """Whether the time is known and the journal works."""
        sure = not isinstance(self._clock, SteadyClock) or self._clock.heard is not None
        return sure and self._journal.trouble is None and self._core.loaded.is_set()

    def _run(self) -> None:
        while not self._stopped.wait(EVERY if self.round() else FIRST):
            pass

    def round(self) -> bool:
        """Look at every lot once, if that can be done now. None keeps the others from being looked at."""
        if not self.ready:
            return False
        for lot, lot_days in self._days.items():
            try:
                self._by_hand.bring_in()  # what was opened without a journal counts where it belongs
                lot_days.look(self._clock())
            except DaikoError as error:
                log.warning("the days of lot %s: %s", lot, error)
            except Exception:  # the next lot, and the next round, must go on
                log.exception("bug in the days of lot %s", lot)
        return True


def _worker(workers: Mapping[tuple[LotId, str], PortWorker], lot: LotId, device: str) -> PortWorker:
    return workers[(lot, device)]
