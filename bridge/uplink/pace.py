"""When the uplink tries again, and by which way. Pure: time comes in as monotonic seconds, chance as a function."""

import random
from collections.abc import Callable
from dataclasses import dataclass

from bridge.config import FeedWay

Chance = Callable[[float, float], float]
"""A number between two others, like random.uniform."""


@dataclass(frozen=True, slots=True)
class Pace:
    """The uplink's times, in seconds.

    The cloud sends a heartbeat each `heartbeat`; twice that without a byte is a dead line. `settled`: how long a
    connection must have lived before its end is followed by a fast retry again. `sick`: how long the feed stays shut
    when the journal takes nothing, which is no reason to keep the cloud waiting for long.
    """

    connect: float = 5.0
    reply: float = 10.0
    heartbeat: float = 15.0
    poll_wait: int = 25
    poll_for: float = 300.0
    sse_tries: int = 3
    first: float = 0.2
    base: float = 1.0
    cap: float = 60.0
    refused: float = 30.0
    settled: float = 5.0
    idle: float = 1.0
    sick: float = 2.0


class Backoff:
    """Full-jitter exponential back-off, for ever; the first retry is fast, so that a restarted cloud is found soon."""

    def __init__(self, pace: Pace, chance: Chance = random.uniform) -> None:
        self._pace = pace
        self._chance = chance
        self.failures = 0

    def next(self) -> float:
        """Seconds until the next try."""
        pace, failures = self._pace, self.failures
        self.failures += 1
        if failures == 0:
            return self._chance(pace.first / 2, pace.first * 1.5)
        return self._chance(pace.first, min(pace.cap, pace.base * 2 ** min(failures, 16)))

    def refused(self) -> float:
        """Seconds after a refusal: asking fast would not change the answer."""
        self.failures += 1
        return self._chance(self._pace.refused / 2, self._pace.refused)

    def worked(self, lived: float) -> None:
        """Something came through on a connection that has `lived` so long.

        A cloud that answers once and dies again is not asked five times a second by every bridge that it has.
        """
        self.failures = 0 if lived >= self._pace.settled else min(self.failures, 1)


class FeedChoice:
    """Server-sent events or long poll: some office proxies swallow streams, and then polling is the way for a while."""

    def __init__(self, way: FeedWay, pace: Pace) -> None:
        self._way = way
        self._pace = pace
        self._mute = 0
        self._poll_until = float("-inf")

    def streams(self, now: float) -> bool:
        """Whether the next try is by server-sent events."""
        if self._way is FeedWay.AUTO:
            return now >= self._poll_until
        return self._way is FeedWay.SSE

    def heard(self) -> None:
        """An event came by stream."""
        self._mute = 0

    def mute(self, now: float, *, stalled: bool) -> None:
        """A stream was opened and nothing came of it; `stalled`: it kept silent beyond two heartbeats.

        A cloud that cannot be reached at all says nothing about streams: that is no case for this.
        """
        self._mute += 1
        if stalled or self._mute >= self._pace.sse_tries:
            self._mute = 0
            self._poll_until = now + self._pace.poll_for
