"""What stands at the address: a coin acceptor or a bill validator; what it is asked, and the replies that never change.

Forms of replies: ccTalk Generic Specification 4.7, parts 2 and 3.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from drivers.cctalk_coin.codec import Check
from drivers.cctalk_coin.headers import Header


class Accepts(StrEnum):
    """Which money it takes."""

    COINS = "coins"
    BILLS = "bills"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of device. `poll` is the header that reads its events, `identity` the one that names a piece of money.

    `identifying` is what a host asks when it begins anew, and not while it polls for credit (some do so with a simple
    poll: option `simple_polls`); `running`, what a host that goes on as before asks next. `fixed` are the replies that
    are always the same, `taken` the commands that we have nothing to do for, and how many bytes they carry.
    """

    accepts: Accepts
    address: int
    check: Check
    step: int
    """Yen; the smallest piece of money that is usual."""
    poll: Header
    identity: Header
    identifying: frozenset[int]
    running: frozenset[int]
    fixed: Mapping[int, bytes]
    taken: Mapping[int, int]

    def fixed_reply(self, header: int, data: bytes) -> bytes | None:
        """The reply's data where it is always the same; None if it is not, or if the command makes no sense so."""
        if header in self.taken:
            return b"" if len(data) == self.taken[header] else None
        return self.fixed.get(header) if not data else None


_IDENTIFYING: Final = frozenset(
    {
        Header.CATEGORY,
        Header.MANUFACTURER,
        Header.PRODUCT,
        Header.SERIAL,
        Header.SOFTWARE,
        Header.BUILD_CODE,
        Header.COMMS_REVISION,
        Header.DATABASE,
        Header.POLLING_PRIORITY,
        Header.SIMPLE_POLL,
    }
)
_RUNNING: Final = frozenset({Header.MASTER_INHIBIT, Header.SET_MASTER_INHIBIT, Header.INHIBITS, Header.SET_INHIBITS})
_FIXED: Final[Mapping[int, bytes]] = MappingProxyType(
    {
        Header.SIMPLE_POLL: b"",
        Header.MANUFACTURER: b"DKO",
        Header.SOFTWARE: b"DKO-1.0",
        Header.BUILD_CODE: b"JPY",
        Header.COMMS_REVISION: bytes((1, 4, 7)),
        Header.POLLING_PRIORITY: bytes((2, 20)),  # unit 2 = 10 ms, 20 of them
        Header.DATABASE: bytes(1),  # no remote programming
        Header.STATUS: bytes(1),
        Header.SELF_CHECK: bytes(1),
        Header.OPTO_STATES: bytes(1),
        Header.INPUT_LINES: bytes(1),
        Header.STORAGE: bytes(5),
        Header.OPTION_FLAGS: bytes(1),
        Header.COMMS_STATUS: bytes(3),
        Header.CLEAR_COMMS_STATUS: b"",
        Header.ROM_CHECK: b"DKO1",
        Header.BASE_YEAR: b"2026",
        Header.FRAUD_COUNTER: bytes(3),
        Header.REJECT_COUNTER: bytes(3),
    }
)
_TAKEN: Final[Mapping[int, int]] = MappingProxyType({Header.LATCH_OUTPUTS: 1, Header.TEST_OUTPUTS: 1})

COINS: Final = Kind(
    accepts=Accepts.COINS,
    address=2,
    check=Check.SUM,
    step=100,
    poll=Header.CREDIT,
    identity=Header.COIN_ID,
    identifying=_IDENTIFYING | {Header.COIN_ID},
    running=_RUNNING | {Header.CREDIT},
    fixed=MappingProxyType(
        {
            **_FIXED,
            Header.CATEGORY: b"Coin Acceptor",
            Header.PRODUCT: b"DAIKO-C",
            Header.SORTER_OVERRIDE: b"\xff",
            Header.DEFAULT_SORTER_PATH: b"\x01",
        }
    ),
    taken=MappingProxyType(
        {**_TAKEN, Header.TEST_SOLENOIDS: 1, Header.SET_SORTER_OVERRIDE: 1, Header.SET_DEFAULT_SORTER_PATH: 1}
    ),
)
BILLS: Final = Kind(
    accepts=Accepts.BILLS,
    address=40,
    check=Check.CRC,
    step=1000,
    poll=Header.BILL_EVENTS,
    identity=Header.BILL_ID,
    identifying=_IDENTIFYING | {Header.BILL_ID, Header.SCALING, Header.BILL_POSITION, Header.CURRENCY_REVISION},
    running=_RUNNING | {Header.BILL_EVENTS, Header.ROUTE_BILL},
    fixed=MappingProxyType(
        {
            **_FIXED,
            Header.CATEGORY: b"Bill Validator",
            Header.PRODUCT: b"DAIKO-B",
            Header.OPTION_FLAGS: b"\x03",  # it has a stacker and an escrow
            Header.LAST_MODIFIED: bytes(2),
            Header.FIRMWARE_UPGRADE: bytes(1),  # none
            Header.STACKER_CYCLE: b"",
        }
    ),
    taken=_TAKEN,
)
KINDS: Final[Mapping[Accepts, Kind]] = MappingProxyType({Accepts.COINS: COINS, Accepts.BILLS: BILLS})
