"""Which coins the host lets in, and where it wants them: inhibits and sorter paths. Pure.

After power-up all coins are inhibited one by one and the master inhibit is off (Generic Specification 4.7, part 2,
headers 228 and 231); so a host enables what it wants, whichever of the two it uses later.
"""

from collections.abc import Mapping
from typing import Final

from drivers.cctalk_coin.coins import EMPTY, PLACES, coin_id
from drivers.cctalk_coin.headers import Header, place_of

ORDERS: Final = frozenset({Header.SET_MASTER_INHIBIT, Header.SET_INHIBITS, Header.SET_SORTER_PATHS})
QUESTIONS: Final = frozenset({Header.COIN_ID, Header.SORTER_PATHS, Header.INHIBITS, Header.MASTER_INHIBIT})


class Inhibits:
    """`values` are yen by place, 0 where there is no coin."""

    def __init__(self, values: tuple[int, ...], country: str) -> None:
        """As after power-up."""
        self._values, self._country = values, country
        self.power_up()

    def power_up(self) -> None:
        """Forget what the host ordered."""
        self._mask, self._master = 0, True
        self._paths = dict.fromkeys(range(1, PLACES + 1), 1)

    @property
    def touched(self) -> bool:
        """Whether the host enabled any place."""
        return self._mask != 0

    def enabled(self) -> Mapping[int, int]:
        """The coins that the host takes now: value by place."""
        if not self._master:
            return {}
        return {place: value for place, value in enumerate(self._values, 1) if value and self._mask >> (place - 1) & 1}

    def event(self, value: int) -> tuple[int, int]:
        """The place of an enabled coin of this value, and the way that it takes."""
        place = next(place for place, one in self.enabled().items() if one == value)
        return place, self._paths[place]

    def order(self, header: int, data: bytes) -> bool:
        """Do what one of ORDERS says; False if it makes no sense."""
        if header == Header.SET_MASTER_INHIBIT and len(data) == 1:
            self._master = bool(data[0] & 1)
        elif header == Header.SET_INHIBITS and len(data) == 2:
            self._mask = int.from_bytes(data, "little")
        elif header == Header.SET_SORTER_PATHS and len(data) >= 2 and (place := place_of(data)):
            self._paths[place] = data[1]
        else:
            return False
        return True

    def answer(self, header: int, data: bytes) -> bytes | None:
        """The reply's data to one of QUESTIONS; None if it makes no sense."""
        if header == Header.INHIBITS and not data:
            return self._mask.to_bytes(2, "little")
        if header == Header.MASTER_INHIBIT and not data:
            return bytes((self._master,))
        place = place_of(data) if len(data) == 1 else None
        if place is None:
            return None
        if header == Header.SORTER_PATHS:
            return bytes((self._paths[place],))
        return coin_id(self._values[place - 1], self._country) if place <= len(self._values) else EMPTY
