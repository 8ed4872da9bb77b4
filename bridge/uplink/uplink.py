"""The bridge's connection to the cloud, for one lot: what comes in, what goes out, and what the console hears of it.

Everything is dialled from here (nothing listens in the lot) and signed (bridge.uplink.signatures). Threads: one reads
the feed, one journals it, one reports, two answer. None of them dies of an error: what was not foreseen is logged with
its trace, shown, and tried again.
"""

import logging
import threading
import time
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Final

from bridge.config import BridgeConfig
from bridge.keys import Identity
from bridge.ports import Inbox
from bridge.uplink.cloud_line import CloudLine
from bridge.uplink.cloud_link import CloudLink
from bridge.uplink.feed import Feed
from bridge.uplink.pace import Pace
from bridge.uplink.reporter import Answers, Reporter
from bridge.uplink.signatures import Clock, RequestSignature
from parking.errors import Bug, DaikoError
from parking.signing import SigningKey
from parking.stay import LotId

ANSWERERS: Final = 2
STOP_SECONDS: Final = 2.0

log = logging.getLogger(__name__)


def signed_line(config: BridgeConfig, identity: Identity, key: SigningKey, clock: Clock) -> CloudLine:
    """One more conversation with the cloud, signed as all of this bridge's are."""
    return CloudLine(config, RequestSignature(identity.bridge_id, key, clock), Pace())


class Uplink:
    """One lot's connection. Completions are acknowledged by the inbox's own reports, never from here."""

    def __init__(
        self,
        config: BridgeConfig,
        identity: Identity,
        key: SigningKey,
        inbox: Inbox,
        lot: LotId,
        clock: Clock,
        pace: Pace | None = None,
        hear: Callable[[datetime], bool] | None = None,
    ) -> None:
        """`hear` is told the cloud's time whenever it comes (bridge.steady_clock)."""
        pace = pace or Pace()
        self._lot = lot
        self._stopped = threading.Event()
        auth = RequestSignature(identity.bridge_id, key, clock)
        self._lines = [CloudLine(config, auth, pace) for _ in range(2 + ANSWERERS)]
        link = CloudLink(inbox, lot, hear)
        self._answers = Answers(lot, clock, pace)
        self._feed = Feed(lot, self._lines[0], inbox, link, config.feed, pace, clock, self._answers.put)
        self._reporter = Reporter(lot, identity.generation, self._lines[1], inbox, link, pace, clock)
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Begin; returns at once."""
        feed, reporter = self._feed, self._reporter
        self._spawn("feed", lambda: self._repeat(feed.step, feed.failed), self._lines[0])
        self._spawn("intake", feed.intake.run, None)
        self._spawn("reports", lambda: self._repeat(reporter.step, reporter.failed), self._lines[1])
        for number, line in enumerate(self._lines[2:], 1):
            self._spawn(f"answers-{number}", partial(self._answers.run, line), line)

    def stop(self) -> None:
        """End within 2 s, whatever the cloud does; a thread still in a connect ends by itself after it."""
        self._stopped.set()
        for line in self._lines:
            line.close()
        self._feed.intake.stop()
        self._answers.stop(ANSWERERS)
        deadline = time.monotonic() + STOP_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
            if thread.is_alive():
                log.warning("%s is still waiting for the network; it ends by itself", thread.name)

    def _spawn(self, name: str, work: Callable[[], None], line: CloudLine | None) -> None:
        def run() -> None:
            try:
                work()
            finally:
                if line is not None:
                    line.release()

        thread = threading.Thread(target=run, name=f"uplink-{self._lot}-{name}", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _repeat(self, step: Callable[[], float], failed: Callable[[DaikoError], float]) -> None:
        while not self._stopped.is_set():
            pause = self._once(step, failed)
            self._stopped.wait(pause)

    def _once(self, step: Callable[[], float], failed: Callable[[DaikoError], float]) -> float:
        try:
            try:
                return step()
            except DaikoError as error:
                return 0.0 if self._stopped.is_set() else failed(error)
            except Exception as error:  # the thread must live on; the trace goes to the log
                if self._stopped.is_set():
                    return 0.0
                log.exception("lot %s: a step of the uplink failed in a way that nobody foresaw", self._lot)
                return failed(Bug(f"in the uplink: {type(error).__name__}"))
        except Exception:  # even telling of it failed: the inbox itself is broken
            log.exception("lot %s: the uplink could not tell of its failure", self._lot)
            return 1.0
