"""Which money the host lets in: the inhibits that coin acceptors and bill validators share. Pure.

After power-up every place is inhibited and the master inhibit is off (Generic Specification 4.7, part 2, headers 228
and 231); so a host enables what it wants, whichever of the two it uses later. Some devices differ, and hosts that were
made for them say 228 alone (`master_only`): then it is the master inhibit that is on after power-up, and no other.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Final

from drivers.cctalk_coin.headers import Header
from drivers.cctalk_coin.kinds import Kind

PLACES: Final = 16
ALL: Final = (1 << PLACES) - 1
"""Coins or types of bill that a device knows at most: two bytes of inhibits."""

ORDERS: Final = frozenset({Header.SET_MASTER_INHIBIT, Header.SET_INHIBITS})
QUESTIONS: Final = frozenset({Header.INHIBITS, Header.MASTER_INHIBIT})

Event = tuple[int, int]
"""Result A and result B, as a host reads them."""


class Inhibits(ABC):
    """The money that a device knows, by place. `values` are yen, 0 where there is none."""

    kind: ClassVar[Kind]
    orders: ClassVar[frozenset[int]] = ORDERS
    questions: ClassVar[frozenset[int]] = QUESTIONS
    most_mask: ClassVar[int] = 2
    """Bytes of inhibits that an order may carry; those of places above 16 mean nothing."""
    least_mask: ClassVar[int] = 2

    def __init__(self, values: tuple[int, ...], country: str, master_only: bool = False) -> None:
        """As after power-up."""
        self._values, self._country = values, country
        self._at_first = (ALL, False) if master_only else (0, True)
        self.power_up()

    def power_up(self) -> None:
        """Forget what the host ordered."""
        self._mask, self._master = self._at_first
        self._ordered: set[int] = set()

    @property
    def touched(self) -> bool:
        """Whether the host changed anything."""
        return (self._mask, self._master) != self._at_first

    @property
    def advice(self) -> str:
        """What an installer should try if the station wants money and gets none; empty if nothing looks strange."""
        if not self._master or self._mask or self._ordered != {Header.SET_MASTER_INHIBIT}:
            return ""
        return "this host lets money in by header 228 alone, and never said 231: set master_only to true"

    def enabled(self) -> Mapping[int, int]:
        """What the host takes now: value by place."""
        if not self._master:
            return {}
        return {place: value for place, value in enumerate(self._values, 1) if value and self._mask >> (place - 1) & 1}

    def place_of(self, value: int) -> int:
        """The place of an enabled piece of this value."""
        return next(place for place, one in self.enabled().items() if one == value)

    @abstractmethod
    def events(self, value: int) -> tuple[Event, ...]:
        """The events in which an enabled piece of this value is shown, the last of which credits it."""

    def says_again(self, header: int, data: bytes) -> bool:
        """Whether the host orders what only a host that begins anew orders again."""
        del header, data
        return False

    def describes(self, header: int, data: bytes, place: int) -> bool:
        """Whether the host asks what is at this place, and for no more."""
        del header, data, place
        return False

    def order(self, header: int, data: bytes) -> bool:
        """Do what one of `orders` says; False if it makes no sense."""
        if header == Header.SET_MASTER_INHIBIT and len(data) == 1:
            self._master = bool(data[0] & 1)
        elif header == Header.SET_INHIBITS and self.least_mask <= len(data) <= self.most_mask:
            self._mask = int.from_bytes(data[:2], "little")
        else:
            return False
        self._ordered.add(header)
        return True

    def answer(self, header: int, data: bytes) -> bytes | None:
        """The reply's data to one of `questions`; None if it makes no sense."""
        if header == Header.INHIBITS and not data:
            return self._mask.to_bytes(2, "little")
        return bytes((self._master,)) if header == Header.MASTER_INHIBIT and not data else None

    def _value(self, place: int) -> int:
        return self._values[place - 1] if place <= len(self._values) else 0


def place_in(data: bytes) -> int | None:
    """The place, 1…16, of a command about one."""
    return data[0] if data and 1 <= data[0] <= PLACES else None
