"""What crosses the USB of a relay board of the DCTTech kind: HID feature reports of 8 bytes without a number. Sans-I/O.

    FF <relay> 00 …             to the board: on
    FD <relay> 00 …             to the board: off
    <5 characters> 00 00 <mask> from the board: its own number, and its relays, the lowest bit being relay 1

The number is the board's own: what USB calls the serial number is the same for all of them. FE and FC (all relays on,
off) and FA (a new number) are never written.

Sources: usb-relay-hid by pavel-a (lib/usb_relay_lib.c), usbrelay by darrylb123 (libusbrelay.c), the open firmware for
these boards by J. McDowell (usb-relay-firmware), and pyhid-usb-relay 1.4.0 all agree. Where a caller names report 0,
what carries reports puts that 0 in front of the 8 bytes, both ways (Windows' HidD_GetFeature, Linux' hidraw, hidapi).
"""

from dataclasses import dataclass
from typing import Final

from drivers.usb_relay.codec import RELAYS, Switch
from parking.errors import Bug

SIZE: Final = 8
NUMBER: Final = 5
"""Characters of a board's own number."""
ON: Final = 0xFF
OFF: Final = 0xFD


@dataclass(frozen=True, slots=True)
class Shown:
    """What a board shows: its number, and which relays are on."""

    number: str
    on: frozenset[int]


def encode(word: Switch | Shown) -> bytes:
    """The exact bytes of the report. Raises Bug for a relay that no board has, or a number that is none."""
    if isinstance(word, Switch):
        if not 1 <= word.relay <= RELAYS:
            raise Bug(f"no board has a relay {word.relay}")
        return bytes((ON if word.on else OFF, word.relay)).ljust(SIZE, b"\0")
    if not _is_number(word.number):
        raise Bug(f"{word.number!r} is no number of a board")
    mask = sum(1 << relay - 1 for relay in word.on)
    return word.number.encode("ascii").ljust(SIZE - 1, b"\0") + bytes((mask,))


def told(report: bytes) -> Switch | None:
    """What a board is told; None if that is no level of one relay."""
    if len(report) != SIZE or report[0] not in (ON, OFF) or not 1 <= report[1] <= RELAYS:
        return None
    return Switch(report[1], report[0] == ON)


def shown(report: bytes) -> Shown | None:
    """What a board shows; None if the report is not that of such a board."""
    number = report[:NUMBER].rstrip(b"\0").decode("latin-1")
    if len(report) != SIZE or not _is_number(number) or report[NUMBER]:
        return None
    return Shown(number, frozenset(relay for relay in range(1, RELAYS + 1) if report[-1] >> relay - 1 & 1))


def _is_number(text: str) -> bool:
    return 1 <= len(text) <= NUMBER and all("!" <= sign <= "~" for sign in text)
