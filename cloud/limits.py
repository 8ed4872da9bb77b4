"""How often a wrong number may be tried: token buckets per client address and lot, and per lot (ADR 0023).

Only misses count. A look-up that finds its stay costs nothing, so a busy exit behind one mobile carrier's address is
never held up by its own success. The buckets live in memory: a restart fills them again, and nothing about a driver is
ever written down.
"""

import ipaddress
import math
from collections import Counter, OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from parking.errors import Code, Refused

MOST_KEPT: Final = 20_000
"""Buckets that are remembered; beyond that the longest untouched are forgotten."""
SPARE: Final = 3
"""Look-ups under way at once beyond what is left in the bucket, so that neighbours do not block each other."""
PLAIN_WAIT: Final = 0.3
"""Seconds that every miss takes at least: unknown, gone and not yet seen are answered alike."""
SLOW_WAIT: Final = 2.0
"""The same while the lot as a whole is being searched."""


class TooMany(Refused):
    """Too many misses; after `seconds` the next look-up is let through."""

    def __init__(self, detail: str, wait: timedelta) -> None:
        super().__init__(Code.RATE_LIMITED, detail, "wait, then try again")
        self.seconds = max(1, math.ceil(wait.total_seconds()))


@dataclass(frozen=True, slots=True)
class Bucket:
    """Tokens left at an instant; below zero where misses came in together."""

    tokens: float
    at: datetime


@dataclass(frozen=True, slots=True)
class Rate:
    """`most` tokens, coming back evenly over `period`. Pure."""

    most: int
    period: timedelta

    def full(self, now: datetime) -> Bucket:
        """A bucket of which nothing was taken."""
        return Bucket(self.most, now)

    def refilled(self, bucket: Bucket, now: datetime) -> Bucket:
        """The bucket now; a clock that goes back takes nothing away."""
        grown = bucket.tokens + max((now - bucket.at) / self.period, 0.0) * self.most
        return Bucket(min(grown, float(self.most)), max(now, bucket.at))

    def taken(self, bucket: Bucket, now: datetime) -> Bucket:
        """The bucket after one miss."""
        now_has = self.refilled(bucket, now)
        return Bucket(now_has.tokens - 1, now_has.at)

    def wait(self, bucket: Bucket, now: datetime, tokens: float = 1.0) -> timedelta:
        """How long until the bucket holds so many tokens; nothing if it does."""
        lacking = min(tokens, self.most) - self.refilled(bucket, now).tokens
        return self.period * max(lacking, 0.0) / self.most


class Lookups:
    """The buckets of one cloud process."""

    def __init__(self, client: Rate, lot: Rate) -> None:
        """`client`: misses of one address at one lot; `lot`: misses at a lot, whoever made them."""
        self._client = client
        self._lot = lot
        self._clients: OrderedDict[tuple[str, int], Bucket] = OrderedDict()
        self._lots: dict[int, Bucket] = {}
        self._under_way: Counter[tuple[str, int]] = Counter()

    @contextmanager
    def one(self, client: str, lot: int, now: datetime) -> Iterator[None]:
        """Hold this around one look-up of a lot that exists. Raises TooMany if the client must wait.

        While the lot is being searched, whoever missed lately has to wait until all of that is forgotten.
        """
        key = (client, lot)
        bucket = self._clients.get(key, self._client.full(now))
        wanted = float(self._client.most) if self.searched(lot, now) else 1.0
        wait, left = self._client.wait(bucket, now, wanted), self._client.refilled(bucket, now).tokens
        if wait > timedelta(0) or self._under_way[key] >= left + SPARE:
            raise TooMany(f"lot {lot}: too many wrong numbers from one address", wait)
        self._under_way[key] += 1
        try:
            yield
        finally:
            self._under_way[key] -= 1
            if not self._under_way[key]:
                del self._under_way[key]

    def missed(self, client: str, lot: int, now: datetime) -> float:
        """Count a miss; returns how many seconds its answer has to take at least."""
        key = (client, lot)
        self._clients[key] = self._client.taken(self._clients.get(key, self._client.full(now)), now)
        self._clients.move_to_end(key)
        while len(self._clients) > MOST_KEPT:
            self._clients.popitem(last=False)
        slow = self.searched(lot, now)
        emptied = self._lot.taken(self._lots.get(lot, self._lot.full(now)), now)
        # a flood must not keep the lot slow for longer than its period
        self._lots[lot] = Bucket(max(emptied.tokens, -1.0), emptied.at)
        return SLOW_WAIT if slow else PLAIN_WAIT

    def searched(self, lot: int, now: datetime) -> bool:
        """Whether so many numbers were wrong at this lot lately that somebody may be going through them."""
        bucket = self._lots.get(lot)
        return bucket is not None and self._lot.wait(bucket, now) > timedelta(0)


def client_of(peer: str, entries: Sequence[str]) -> str:
    """The address that look-ups are counted under: the last of the trusted header's entries, else the peer's.

    The last entry is the one that the proxy in front wrote; everything before it is what the client claims. IPv6
    addresses count by their /64, which one household or phone has to itself.
    """
    last = entries[-1].rpartition(",")[2].strip() if entries else ""
    for text in (last, _without_port(last), peer):
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            continue
        if isinstance(address, ipaddress.IPv6Address):
            if address.ipv4_mapped is not None:
                return str(address.ipv4_mapped)
            return str(ipaddress.IPv6Network((int(address) >> 64 << 64, 64)))
        return str(address)
    return peer


def _without_port(text: str) -> str:
    return text[1:].partition("]")[0] if text.startswith("[") else text.rpartition(":")[0]
