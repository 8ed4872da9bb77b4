"""The cash audit of a station whose coins are partly ours: in its box must be what it counted, less what we showed.

Pure: takes the station's own counters (from its printed or displayed audit) and the evidence of our payments, as the
journal and the case keep it.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from drivers.cctalk_coin.coins import read_mix
from parking.money import Yen, show


@dataclass(frozen=True, slots=True)
class Row:
    """One value of coin: how many the station counted, how many of them we showed, how many more nobody knows of."""

    value: int
    counted: int
    ours: int
    unknown: int

    @property
    def in_box(self) -> tuple[int, int]:
        """How many coins must be there: at least and at most."""
        most = self.counted - self.ours
        return max(0, most - self.unknown), max(0, most)

    @property
    def contradicts(self) -> bool:
        """Whether we have credited more than the station has counted: one of the two is wrong."""
        return self.ours > self.counted


def proxied(evidence: Iterable[str]) -> Counter[int]:
    """Coins by value in the evidence of payments (`event counter 3 → 8: 5×100`); words of other kinds add nothing."""
    found: Counter[int] = Counter()
    for text in evidence:
        if text.startswith("event counter "):
            found.update(read_mix(text.partition(": ")[2]))
    return found


def audit(
    counted: Mapping[int, int], ours: Mapping[int, int], unknown: Mapping[int, int] | None = None
) -> tuple[Row, ...]:
    """Compare by value, largest first. All are numbers of coins by value in yen."""
    doubtful = unknown or {}
    values = sorted({*counted, *ours, *doubtful}, reverse=True)
    return tuple(Row(one, counted.get(one, 0), ours.get(one, 0), doubtful.get(one, 0)) for one in values)


def lines(rows: Iterable[Row], language: str = "ja") -> list[str]:
    """The audit for people, one line for each value and one for the sum."""
    japanese = language.startswith("ja")
    told, least_sum, most_sum = [], 0, 0
    for row in rows:
        least, most = row.in_box
        least_sum, most_sum = least_sum + least * row.value, most_sum + most * row.value
        span = f"{most}" if least == most else f"{least}–{most}"
        if japanese:
            text = f"{row.value:>3}円: 計数 {row.counted} − 電子決済 {row.ours} = 現金 {span}枚"
            wrong = " ＊食い違い：電子決済が計数より多い"
        else:
            text = f"¥{row.value:>3}: counted {row.counted} - by phone {row.ours} = in the box {span}"
            wrong = " * contradiction: more by phone than counted"
        told.append(text + (wrong if row.contradicts else ""))
    total = show(Yen(most_sum), language)
    span = total if least_sum == most_sum else f"{show(Yen(least_sum), language)}–{total}"
    return [*told, f"現金合計 {span}" if japanese else f"cash in all {span}"]
