"""How an amount is made of coins or bills exactly, and how those are written in evidence. Pure."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import lru_cache
from math import gcd
from typing import Final

_NO_WAY: Final = 1 << 30

_MIX = re.compile(r"(\d+)×(\d+)")


@lru_cache(maxsize=64)
def _ways(values: frozenset[int], most: int) -> tuple[int, ...]:
    """For each amount up to `most`, by the coins' greatest common divisor: a coin of its shortest mix, or 0."""
    unit = gcd(*values)
    fewest, last = [0], [0]
    for target in range(1, most // unit + 1):
        ways = [
            (fewest[target - coin // unit] + 1, -coin)
            for coin in values
            if coin // unit <= target and fewest[target - coin // unit] < _NO_WAY
        ]
        count, coin = min(ways, default=(_NO_WAY, 0))
        fewest.append(count)
        last.append(-coin)
    return tuple(last)


def mix(amount: int, values: frozenset[int], most: int) -> tuple[int, ...] | None:
    """The fewest coins that make `amount` (at most `most`) exactly, largest first; None if none do."""
    if not values or amount > most or amount % gcd(*values):
        return None
    unit, last, left = gcd(*values), _ways(values, most), amount
    found = []
    while left:
        coin = last[left // unit]
        if not coin:
            return None
        found.append(coin)
        left -= coin
    return tuple(sorted(found, reverse=True))


def mix_text(values: Iterable[int]) -> str:
    """Coins in words, as evidence carries them: `5×100 1×50`."""
    return " ".join(f"{count}×{value}" for value, count in sorted(Counter(values).items(), reverse=True))


def read_mix(text: str) -> Mapping[int, int]:
    """How many coins of each value a text of `mix_text` names."""
    found: Counter[int] = Counter()
    for count, value in _MIX.findall(text):
        found[int(value)] += int(count)
    return found
