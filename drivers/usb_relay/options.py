"""The device's `[device.options]`, checked."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated

import msgspec

from drivers.line_settings import LineSettings
from drivers.profile import DeviceTable, ExitTable
from drivers.usb_relay.codec import RELAYS
from parking.errors import Code, Environment


class BoardProfile(StrEnum):
    """Which kind of board it is."""

    LCUS = "lcus"
    """A serial port."""
    LCUS_HID = "lcus_hid"
    """The same words in HID output and input reports (NOYITO, LC Technology; 5131:2007)."""
    DCTTECH = "dcttech"
    """HID feature reports (USBRelay1 to USBRelay8; 16c0:05df). It always tells how its relays stand."""


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`pulse_ms` is how long a release keeps the relay on; `answers`, whether the board tells how its relays stand."""

    profile: BoardProfile = BoardProfile.LCUS
    relays: Annotated[int, msgspec.Meta(ge=1, le=RELAYS)] = 1
    pulse_ms: Annotated[int, msgspec.Meta(ge=50, le=3000)] = 500
    baud: Annotated[int, msgspec.Meta(ge=1200, le=115_200)] = 9600
    answers: bool = False

    @property
    def tells(self) -> bool:
        """Whether the board can be asked how its relays stand."""
        return self.answers or self.profile is BoardProfile.DCTTECH

    @property
    def line(self) -> LineSettings:
        """Always 8N1; of no meaning for HID boards."""
        return LineSettings(baud=self.baud)


def options_of(device: DeviceTable, exits: Sequence[ExitTable]) -> Options:
    """The options of a device; `exits` are those of this device.

    Raises Environment(CONFIG) that names the device, the place and the remedy.
    """
    try:
        options = msgspec.convert(device.options, Options)
    except msgspec.ValidationError as error:
        raise _mistake(device, str(error).replace("`$", "`$.options")) from error
    for exit_ in exits:
        if exit_.channel >= options.relays:
            problem = f"exit {exit_.id!r} is on channel {exit_.channel}, but channels count from 0 to "
            raise _mistake(device, f"{problem}{options.relays - 1}")
    return options


def _mistake(device: DeviceTable, problem: str) -> Environment:
    remedy = "see drivers/usb_relay/README.md for the options and their meaning"
    return Environment(Code.CONFIG, f"device {device.id!r}: {problem}", remedy)
