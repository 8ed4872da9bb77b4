"""The bills that a bill validator knows, their names on the wire, and whether it holds them in escrow. Pure.

Generic Specification 4.7, part 2, headers 145, 152, 153, 155 to 157 and 159: an event is [type][0] for a bill in the
stacker, [type][1] for one in escrow, [0][what happened] for all else.
"""

from typing import ClassVar, Final

from drivers.cctalk_coin.headers import Header
from drivers.cctalk_coin.inhibits import ORDERS, QUESTIONS, Event, Inhibits, place_in
from drivers.cctalk_coin.kinds import BILLS, Kind

EMPTY: Final = b"......."
MOST_CODE: Final = 9999
"""A bill's name has four digits; times the scaling factor they are its value."""

STACKED: Final = 0
HELD: Final = 1
"""Results B of a bill."""
RETURNED: Final[Event] = (0, 1)
"""The event of a bill that was given back out of the escrow."""

STACKER: Final = 1
ESCROW: Final = 2
"""Bits of the operating mode."""


def bill_id(value: int, country: str, scaling: int) -> bytes:
    """How a bill is called on the wire: `JP0001A` is 1000 yen at a scaling of 1000; a type without a bill `.......`."""
    return f"{country}{value // scaling:04d}A".encode() if value else EMPTY


class BillTable(Inhibits):
    """`scaling` yen are one in a bill's name; `escrow`: whether bills are held until the host says otherwise."""

    kind: ClassVar[Kind] = BILLS
    orders: ClassVar[frozenset[int]] = ORDERS | {Header.SET_BILL_MODE}
    questions: ClassVar[frozenset[int]] = QUESTIONS | {
        Header.BILL_ID,
        Header.SCALING,
        Header.BILL_POSITION,
        Header.CURRENCY_REVISION,
        Header.BILL_MODE,
    }
    least_mask: ClassVar[int] = 1
    most_mask: ClassVar[int] = 16
    """Hosts send one byte (few types) to eight (many)."""

    def __init__(
        self, values: tuple[int, ...], country: str, scaling: int, escrow: bool, master_only: bool = False
    ) -> None:
        """As after power-up."""
        self._scaling = scaling
        self._usual_mode = STACKER | (ESCROW if escrow else 0)
        super().__init__(values, country, master_only)

    def power_up(self) -> None:
        """Forget what the host ordered."""
        super().power_up()
        self._mode = self._usual_mode

    def events(self, value: int) -> tuple[Event, ...]:
        """A bill is in the stacker the moment it is shown, or is held before."""
        place = self.place_of(value)
        return ((place, HELD), (place, STACKED)) if self._mode & ESCROW else ((place, STACKED),)

    def says_again(self, header: int, data: bytes) -> bool:
        """Hosts that do not begin anew set the mode in order to change it, or not at all."""
        return header == Header.SET_BILL_MODE and data == bytes((self._mode,))

    def describes(self, header: int, data: bytes, place: int) -> bool:
        """Its name, or how much one in a name is worth."""
        wanted = {Header.BILL_ID: bytes((place,)), Header.SCALING: self._country.encode()}
        return header in wanted and wanted[Header(header)] == data

    def order(self, header: int, data: bytes) -> bool:
        """Do what one of `orders` says; False if it makes no sense."""
        if header != Header.SET_BILL_MODE:
            return super().order(header, data)
        if len(data) != 1:
            return False
        self._mode = data[0] & (STACKER | ESCROW)
        return True

    def answer(self, header: int, data: bytes) -> bytes | None:
        """The reply's data to one of `questions`; None if it makes no sense."""
        ours = data == self._country.encode()
        match header:
            case Header.BILL_ID if len(data) == 1 and (place := place_in(data)):
                return bill_id(self._value(place), self._country, self._scaling)
            case Header.SCALING if len(data) == len(self._country):
                return (self._scaling if ours else 0).to_bytes(2, "little") + bytes(1)  # yen have no decimals
            case Header.BILL_POSITION if len(data) == len(self._country):
                mask = sum(1 << at for at, value in enumerate(self._values) if value)
                return (mask if ours else 0).to_bytes(2, "little")
            case Header.CURRENCY_REVISION if ours or not data:
                return f"{self._country}Y00001".encode()
            case Header.BILL_MODE if not data:
                return bytes((self._mode,))
        return super().answer(header, data)
