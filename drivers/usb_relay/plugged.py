"""The HID relay boards that are plugged in, and by which address a profile calls each."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from drivers.hid_port import HidDevice, devices, number_at
from drivers.usb_relay.links import HID, number_of

LCUS_USB: Final = "5131:2007"
DCTTECH_USB: Final = "16c0:05df"
DCTTECH_NAME: Final = "USBRelay"
"""What begins the product name of a DCTTech board; its USB numbers are free to many makers."""


@dataclass(frozen=True, slots=True)
class PluggedBoard:
    """A board. `number` is its own, "" if it has none or shows none; `url` is what a lot profile takes."""

    device: HidDevice
    number: str
    url: str


def plugged_boards(found: Iterable[HidDevice] | None = None) -> list[PluggedBoard]:
    """All of this computer; `found` are its HID devices, listed if not given.

    Reads the report of a DCTTech board for its number, which changes nothing.
    """
    boards = [one for one in (devices() if found is None else found) if _is_board(one)]
    alike = Counter(one.usb for one in boards)
    return [_addressed(one, alike[one.usb] > 1) for one in boards]


def _is_board(one: HidDevice) -> bool:
    return one.usb == LCUS_USB or (one.usb == DCTTECH_USB and one.name.startswith(DCTTECH_NAME))


def _addressed(one: HidDevice, has_twins: bool) -> PluggedBoard:
    number = number_at(one.path, number_of)[0] if one.usb == DCTTECH_USB else ""
    url = f"{HID}{one.usb}"
    if has_twins:
        url = f"{url}/{number}" if number else f"{HID}{one.path}" if one.path.startswith("/") else url
    return PluggedBoard(one, number, url)
