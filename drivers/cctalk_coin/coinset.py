"""The coins that a coin acceptor knows, their names on the wire, and where they fall: the sorter paths. Pure."""

from typing import ClassVar, Final

from drivers.cctalk_coin.headers import Header
from drivers.cctalk_coin.inhibits import ORDERS, PLACES, QUESTIONS, Event, Inhibits, place_in
from drivers.cctalk_coin.kinds import COINS, Kind

EMPTY: Final = b"......"


def coin_id(value: int, country: str) -> bytes:
    """How a coin is called on the wire: `JP100A`; a place without a coin is `......`."""
    return f"{country}{value:03d}A".encode() if value else EMPTY


class CoinSet(Inhibits):
    """Generic Specification 4.7, part 2, headers 184, 209, 210 and 229: an event is [place][path]."""

    kind: ClassVar[Kind] = COINS
    orders: ClassVar[frozenset[int]] = ORDERS | {Header.SET_SORTER_PATHS}
    questions: ClassVar[frozenset[int]] = QUESTIONS | {Header.COIN_ID, Header.SORTER_PATHS}

    def power_up(self) -> None:
        """Forget what the host ordered."""
        super().power_up()
        self._paths = dict.fromkeys(range(1, PLACES + 1), 1)

    def events(self, value: int) -> tuple[Event, ...]:
        """A coin has fallen the moment it is shown."""
        place = self.place_of(value)
        return ((place, self._paths[place]),)

    def order(self, header: int, data: bytes) -> bool:
        """Do what one of `orders` says; False if it makes no sense."""
        if header != Header.SET_SORTER_PATHS:
            return super().order(header, data)
        place = place_in(data)
        if place is None or len(data) < 2:
            return False
        self._paths[place] = data[1]
        return True

    def answer(self, header: int, data: bytes) -> bytes | None:
        """The reply's data to one of `questions`; None if it makes no sense."""
        if header not in (Header.COIN_ID, Header.SORTER_PATHS):
            return super().answer(header, data)
        place = place_in(data) if len(data) == 1 else None
        if place is None:
            return None
        return coin_id(self._value(place), self._country) if header == Header.COIN_ID else bytes((self._paths[place],))
