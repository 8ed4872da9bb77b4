"""What the coils, inputs and registers of a device mean: three profiles, adjustable by the device's options.

relay_board   Relays with digital inputs, as sold for industry. Coil n is relay n; a device-timed pulse is a write of
              tenths of a second to 0x0200+n (register map of Waveshare's Modbus relay boards). The relay's contact goes
              to the gate's "open" input, the gate's "fully up" contact and the exit loop come back on inputs.
lock_plate    A generic lock-plate controller. Writing coil n lowers plate n; the controller clears the coil and raises
              the plate by itself when the car has left. It counts how often it lowered a plate by bus command.
input_board   Inputs alone: sees the exits whose `seen_by` names it, which another device moves, and moves none.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated, Final

import msgspec

from drivers.line_settings import LineSettings
from drivers.modbus_io.pdu import COIL_OFF, COIL_ON, Function, WriteOne
from drivers.profile import DeviceTable, ExitTable
from parking.errors import Code, Environment

FLASH_ON: Final = 0x0200
"""Waveshare: FC05 to 0x0200+n closes relay n for value × 100 ms, timed by the board."""

Address = Annotated[int, msgspec.Meta(ge=0, le=0xFFFF)]
OptionalAddress = Annotated[int, msgspec.Meta(ge=-1, le=0xFFFF)]


class Framing(StrEnum):
    """How frames travel."""

    RTU = "rtu"
    TCP = "tcp"


class Parity(StrEnum):
    """The parity bit of a serial character."""

    NONE = "N"
    EVEN = "E"
    ODD = "O"


class _Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="profile"):
    """What all profiles have; an address of -1 (or null) means that nothing is wired there."""

    framing: Framing
    unit: Annotated[int, msgspec.Meta(ge=0, le=255)] = 1
    baud: Annotated[int, msgspec.Meta(ge=300, le=1_000_000)] = 9600
    parity: Parity = Parity.NONE
    stop_bits: Annotated[int, msgspec.Meta(ge=1, le=2)] = 1
    channels: Annotated[int, msgspec.Meta(ge=1, le=120)] = 8


class _RelayBoard(_Options, frozen=True, kw_only=True, tag="relay_board"):
    """Options of a relay board; `pulse_ms` in steps of 100."""

    pulse_ms: Annotated[int, msgspec.Meta(ge=100, le=60_000, multiple_of=100)] = 500
    open_base: OptionalAddress | None = 0
    vehicle_base: OptionalAddress | None = 4


class _LockPlate(_Options, frozen=True, kw_only=True, tag="lock_plate"):
    """Options of a lock-plate controller."""

    down_base: OptionalAddress | None = 0
    car_base: OptionalAddress | None = 100
    hold_base: Address = 200
    count_base: OptionalAddress | None = 0


class _InputBoard(_Options, frozen=True, kw_only=True, tag="input_board"):
    """Options of a board with inputs alone."""

    open_base: OptionalAddress | None = 0
    vehicle_base: OptionalAddress | None = 4


@dataclass(frozen=True, slots=True)
class Profile:
    """What to write and read for channel n (from 0). A base of None means that there is nothing to read.

    `opened` and `vehicle` are discrete inputs, `hold` coils (None: it moves nothing), `count` 16-bit input registers.
    `pulse` is the device-timed pulse in tenths of a second, or None where the controller itself ends what coil n began.
    """

    name: str
    framing: Framing
    unit: int
    line: LineSettings
    channels: int
    opened: int | None
    vehicle: int | None
    hold: int | None
    count: int | None
    pulse: int | None
    is_stay_feed: bool

    def release(self, channel: int) -> WriteOne:
        """Let one car out at `channel`."""
        if self.pulse is None:
            return WriteOne(Function.WRITE_COIL, channel, COIL_ON)
        return WriteOne(Function.WRITE_COIL, FLASH_ON + channel, self.pulse)

    def level(self, channel: int, on: bool) -> WriteOne:
        """Begin or end a hold at `channel`."""
        return WriteOne(Function.WRITE_COIL, (self.hold or 0) + channel, COIL_ON if on else COIL_OFF)


def profile_of(device: DeviceTable, exits: Sequence[ExitTable]) -> Profile:
    """The profile of a device from its options; `exits` may be all of the lot.

    Raises Environment(CONFIG) that names the device, the place and the remedy.
    """
    try:
        options = msgspec.convert(device.options, _RelayBoard | _LockPlate | _InputBoard)
    except msgspec.ValidationError as error:
        raise _mistake(device, str(error).replace("`$", "`$.options")) from error
    seen = seen_exits(device, exits)
    match options:
        case _RelayBoard():
            profile = _relay_board(options)
        case _LockPlate():
            profile = _lock_plate(options)
        case _InputBoard():
            profile = _input_board(options, any(exit_.bay for _, exit_ in seen))
    moved = [(exit_.channel, exit_) for exit_ in exits if exit_.device == device.id]
    for channel, exit_ in moved + seen:
        if channel >= profile.channels:
            raise _mistake(
                device,
                f"exit {exit_.id!r} is on channel {channel}, but channels count from 0 to {profile.channels - 1}",
            )
    _check_overlap(device, profile, seen)
    return profile


def seen_exits(device: DeviceTable, exits: Sequence[ExitTable]) -> list[tuple[int, ExitTable]]:
    """Which exits a device sees, each behind the channel of its inputs; `exits` may be all of the lot."""
    return [(exit_.eye.channel, exit_) for exit_ in exits if exit_.eye.device == device.id]


def _relay_board(options: _RelayBoard) -> Profile:
    return Profile(
        name="relay_board",
        framing=options.framing,
        unit=options.unit,
        line=LineSettings(options.baud, options.parity.value, options.stop_bits),
        channels=options.channels,
        opened=_wired(options.open_base),
        vehicle=_wired(options.vehicle_base),
        hold=0,
        count=None,
        pulse=options.pulse_ms // 100,
        is_stay_feed=False,
    )


def _lock_plate(options: _LockPlate) -> Profile:
    return Profile(
        name="lock_plate",
        framing=options.framing,
        unit=options.unit,
        line=LineSettings(options.baud, options.parity.value, options.stop_bits),
        channels=options.channels,
        opened=_wired(options.down_base),
        vehicle=_wired(options.car_base),
        hold=options.hold_base,
        count=_wired(options.count_base),
        pulse=None,
        is_stay_feed=_wired(options.car_base) is not None,
    )


def _input_board(options: _InputBoard, bays: bool) -> Profile:
    return Profile(
        name="input_board",
        framing=options.framing,
        unit=options.unit,
        line=LineSettings(options.baud, options.parity.value, options.stop_bits),
        channels=options.channels,
        opened=_wired(options.open_base),
        vehicle=_wired(options.vehicle_base),
        hold=None,
        count=None,
        pulse=None,
        is_stay_feed=bays and _wired(options.vehicle_base) is not None,
    )


def _wired(base: int | None) -> int | None:
    return None if base is None or base < 0 else base


def _check_overlap(device: DeviceTable, profile: Profile, seen: list[tuple[int, ExitTable]]) -> None:
    taken: dict[int, str] = {}
    for base, what in ((profile.opened, "position"), (profile.vehicle, "vehicle")):
        for channel, exit_ in seen if base is not None else ():
            meaning = f"the {what} of {exit_.id!r}"
            other = taken.setdefault((base or 0) + channel, meaning)
            if other != meaning:
                raise _mistake(device, f"input {(base or 0) + channel} cannot be {other} and {meaning}")
    plates_end = profile.channels if profile.pulse is None else 0
    if profile.hold is not None and profile.hold < plates_end:
        raise _mistake(device, f"hold_base {profile.hold} lies among the coils of the {profile.channels} plates")


def _mistake(device: DeviceTable, problem: str) -> Environment:
    return Environment(
        Code.CONFIG,
        f"device {device.id!r}: {problem}",
        "see drivers/modbus_io/README.md for the options and their meaning",
    )
