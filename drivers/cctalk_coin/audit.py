"""The cash audit of a station whose coins are partly ours: in its box must be what it counted, less what we showed.

Pure: takes the station's own counters (from its printed or displayed audit) and the evidence of our payments, as the
bridge keeps it (`python -m bridge cash`). What is said of coins holds for bills.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from drivers.cctalk_coin.coins import read_mix
from parking.money import Yen, show

_SAID: Final = re.compile(r"event counter \d+ → \d+: ([\d× ]+)|yen credited \(([\d× ]+)\)")
"""How coins stand in the evidence of a payment: that of its delivery, or what the driver told later of one in doubt."""


@dataclass(frozen=True, slots=True)
class Row:
    """One value of coin: how many the station counted, and how many of them we showed."""

    value: int
    counted: int
    ours: int

    @property
    def in_box(self) -> int:
        """How many coins must be there."""
        return max(0, self.counted - self.ours)

    @property
    def contradicts(self) -> bool:
        """Whether we have credited more than the station has counted: one of the two is wrong."""
        return self.ours > self.counted


@dataclass(frozen=True, slots=True)
class Doubt:
    """A payment of which so many more yen may have been counted by the station, or not."""

    reference: str
    most: int


def coins_of(evidence: Iterable[str]) -> Counter[int]:
    """Coins by value in the evidence of one payment; words of other kinds add nothing."""
    for text in evidence:
        if found := _SAID.search(text):
            return Counter(read_mix(found[1] or found[2]))  # what comes later says the same again
    return Counter()


def audit(counted: Mapping[int, int], ours: Mapping[int, int]) -> tuple[Row, ...]:
    """Compare by value, largest first. All are numbers of coins by value in yen."""
    values = sorted({*counted, *ours}, reverse=True)
    return tuple(Row(one, counted.get(one, 0), ours.get(one, 0)) for one in values)


def lines(rows: Iterable[Row], doubts: Sequence[Doubt] = (), language: str = "ja") -> list[str]:
    """The audit for people: a line for each value, one for what is in doubt, and the sum."""
    japanese = language.startswith("ja")
    told, most = [], 0
    for row in rows:
        most += row.in_box * row.value
        if japanese:
            text = f"{row.value:>5}円: 計数 {row.counted} − 電子決済 {row.ours} = 現金 {row.in_box}枚"
            wrong = " ＊食い違い：電子決済が計数より多い"
        else:
            text = f"¥{row.value:>5}: counted {row.counted} - by phone {row.ours} = in the box {row.in_box}"
            wrong = " * contradiction: more by phone than counted"
        told.append(text + (wrong if row.contradicts else ""))
    doubtful = sum(one.most for one in doubts)
    if doubts:
        names, up_to = ", ".join(one.reference for one in doubts), show(Yen(doubtful), language)
        told.append(f"不明：最大 {up_to}（{names}）" if japanese else f"not known: up to {up_to} by phone ({names})")
    least, all_in_all = show(Yen(max(0, most - doubtful)), language), show(Yen(most), language)
    span = f"{least}–{all_in_all}" if doubtful else all_in_all
    return [*told, f"現金合計 {span}" if japanese else f"cash in all {span}"]
