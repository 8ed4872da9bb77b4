"""How many requests one address of the lot's network may make: a token bucket each. Pure; time is brought in."""

from collections import OrderedDict
from typing import Final

BURST: Final = 60.0
PER_SECOND: Final = 2.0
MOST_ADDRESSES: Final = 2000
"""Beyond that the one that has been silent longest is forgotten: it may begin afresh."""


class Buckets:
    """What each address has left. Not thread-safe."""

    def __init__(self, burst: float = BURST, per_second: float = PER_SECOND, most: int = MOST_ADDRESSES) -> None:
        """`burst` requests at once, and `per_second` on and on."""
        self._burst, self._per_second, self._most = burst, per_second, most
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._left)

    def take(self, address: str, now: float, cost: float = 1.0) -> bool:
        """Whether this request may be served; `now` in monotonic seconds. A refused one costs nothing."""
        left, at = self._left.pop(address, (self._burst, now))
        left = min(self._burst, left + (now - at) * self._per_second)
        served = left >= cost
        self._left[address] = (left - cost if served else left, now)
        if len(self._left) > self._most:
            self._left.popitem(last=False)
        return served
