"""The headers (commands) of ccTalk that a host asks a coin acceptor, and the replies that never change.

Numbers and forms of replies: ccTalk Generic Specification 4.7, parts 2 and 3.
"""

from enum import IntEnum
from typing import Final

from drivers.cctalk_coin.coins import PLACES


class Header(IntEnum):
    """Commands; what is not here is NAKed."""

    RESET = 1
    COMMS_STATUS = 2
    CLEAR_COMMS_STATUS = 3
    COMMS_REVISION = 4
    COIN_ID = 184
    BASE_YEAR = 170
    DEFAULT_SORTER_PATH = 188
    SET_DEFAULT_SORTER_PATH = 189
    BUILD_CODE = 192
    FRAUD_COUNTER = 193
    REJECT_COUNTER = 194
    ROM_CHECK = 197
    SORTER_PATHS = 209
    SET_SORTER_PATHS = 210
    OPTION_FLAGS = 213
    STORAGE = 216
    SORTER_OVERRIDE = 221
    SET_SORTER_OVERRIDE = 222
    ACCEPT_COUNTER = 225
    INSERT_COUNTER = 226
    MASTER_INHIBIT = 227
    SET_MASTER_INHIBIT = 228
    CREDIT = 229
    INHIBITS = 230
    SET_INHIBITS = 231
    SELF_CHECK = 232
    LATCH_OUTPUTS = 233
    OPTO_STATES = 236
    INPUT_LINES = 237
    TEST_OUTPUTS = 238
    TEST_SOLENOIDS = 240
    SOFTWARE = 241
    SERIAL = 242
    DATABASE = 243
    PRODUCT = 244
    CATEGORY = 245
    MANUFACTURER = 246
    STATUS = 248
    POLLING_PRIORITY = 249
    ADDRESS_POLL = 253
    SIMPLE_POLL = 254


IDENTIFYING: Final = frozenset(
    {
        Header.CATEGORY,
        Header.MANUFACTURER,
        Header.PRODUCT,
        Header.SERIAL,
        Header.SOFTWARE,
        Header.BUILD_CODE,
        Header.COMMS_REVISION,
        Header.COIN_ID,
        Header.DATABASE,
        Header.POLLING_PRIORITY,
        Header.SIMPLE_POLL,
    }
)
"""What a host asks when it begins anew, and not while it polls for credit (some do the last: option `simple_polls`)."""

RUNNING: Final = frozenset(
    {Header.CREDIT, Header.MASTER_INHIBIT, Header.SET_MASTER_INHIBIT, Header.INHIBITS, Header.SET_INHIBITS}
)
"""What a host that goes on as before asks next."""

_FIXED: Final = {
    Header.SIMPLE_POLL: b"",
    Header.MANUFACTURER: b"DKO",
    Header.CATEGORY: b"Coin Acceptor",
    Header.PRODUCT: b"DAIKO-C",
    Header.SERIAL: bytes(3),
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
    Header.SORTER_OVERRIDE: b"\xff",
    Header.ACCEPT_COUNTER: bytes(3),
    Header.INSERT_COUNTER: bytes(3),
    Header.DEFAULT_SORTER_PATH: b"\x01",
}
_TAKEN: Final = {
    Header.LATCH_OUTPUTS: 1,
    Header.TEST_OUTPUTS: 1,
    Header.TEST_SOLENOIDS: 1,
    Header.SET_SORTER_OVERRIDE: 1,
    Header.SET_DEFAULT_SORTER_PATH: 1,
}
"""Commands that we have nothing to do for, and the bytes that they carry."""


def fixed_reply(header: int, data: bytes) -> bytes | None:
    """The reply's data where it is always the same; None if it is not, or if the command makes no sense so."""
    if header in _TAKEN:
        return b"" if len(data) == _TAKEN[Header(header)] else None
    return _FIXED.get(Header(header)) if header in _FIXED and not data else None


def place_of(data: bytes) -> int | None:
    """The coin place, 1…16, of a command about one coin."""
    return data[0] if data and 1 <= data[0] <= PLACES else None
