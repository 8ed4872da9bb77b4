"""The device's `[device.options]`, checked: two modes, told apart by `mode`. README.md says what each key means."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, Literal

import msgspec

from drivers.line_settings import LineSettings
from drivers.osdp.secure import SCBK_D
from drivers.osdp.words import Signal
from drivers.profile import DeviceTable, ExitTable
from parking.errors import Code, Environment

README: Final = "see drivers/osdp/README.md"
_Base = Annotated[int, msgspec.Meta(ge=-1, le=255)]


class _Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True, tag_field="mode"):
    """What both modes have."""

    address: Annotated[int, msgspec.Meta(ge=0, le=126)] = 0
    baud: Literal[9600, 19200, 38400, 57600, 115200, 230400] = 9600
    secure: bool = True
    scbk: Annotated[str, msgspec.Meta(pattern="^([0-9A-Fa-f]{32})?$")] = ""
    key_file: str = ""
    install_mode: bool = False

    @property
    def line(self) -> LineSettings:
        """Always 8N1."""
        return LineSettings(baud=self.baud)


class Outputs(_Options, frozen=True, kw_only=True, tag="output"):
    """Of a reader or controller that has outputs and inputs; we are its control panel."""

    check: Literal["crc", "checksum"] = "crc"
    channels: Annotated[int, msgspec.Meta(ge=1, le=64)] = 2
    pulse_ms: Annotated[int, msgspec.Meta(ge=100, le=60_000, multiple_of=100)] = 700
    repeats: Annotated[int, msgspec.Meta(ge=0, le=3)] = 2
    open_base: _Base = 0
    vehicle_base: _Base = -1


class Reader(_Options, frozen=True, kw_only=True, tag="reader"):
    """Of a virtual card reader; a legacy access panel polls us."""

    facility: Annotated[int, msgspec.Meta(ge=0, le=255)]
    card: Annotated[int, msgspec.Meta(ge=0, le=65535)]
    granted_by: Annotated[tuple[Signal, ...], msgspec.Meta(max_length=3)] = (Signal.LED, Signal.OUTPUT)


@dataclass(frozen=True, slots=True)
class Settings:
    """The options of one mode, and the key (None: no secure channel)."""

    options: Outputs | Reader
    scbk: bytes | None

    @property
    def default_key(self) -> bool:
        """Whether the key is the one that everybody knows."""
        return self.scbk == SCBK_D


def settings_of(device: DeviceTable, exits: Sequence[ExitTable]) -> Settings:
    """The settings of a device; `exits` are its own. Raises Environment(CONFIG) that names what is wrong."""
    try:
        options = msgspec.convert(device.options, Outputs | Reader)
    except msgspec.ValidationError as error:
        raise _mistake(device, str(error).replace("`$", "`$.options")) from error
    channels = options.channels if isinstance(options, Outputs) else 1
    for exit_ in exits:
        if exit_.channel >= channels:
            many = f"channels count from 0 to {channels - 1}"
            raise _mistake(device, f"exit {exit_.id!r} is on channel {exit_.channel}, but {many}")
    if isinstance(options, Outputs):
        _check_overlap(device, options, exits)
    return Settings(options, _key(device, options))


def _check_overlap(device: DeviceTable, options: Outputs, exits: Sequence[ExitTable]) -> None:
    if options.open_base < 0 or options.vehicle_base < 0:
        return
    opened = {options.open_base + exit_.channel: exit_.id for exit_ in exits}
    for exit_ in exits:
        place = options.vehicle_base + exit_.channel
        if place in opened:
            what = f"the position of {opened[place]!r} and the vehicle of {exit_.id!r}"
            raise _mistake(device, f"input {place} cannot be {what}")


def _key(device: DeviceTable, options: Outputs | Reader) -> bytes | None:
    """The base key of the secure channel. The default one is refused unless the device is being installed."""
    given = [name for name in ("scbk", "key_file", "install_mode") if getattr(options, name)]
    if not options.secure:
        if given:
            raise _mistake(device, f"secure is false, so {given[0]} would not be used - at `$.options`")
        return None
    if len(given) != 1:
        raise _mistake(device, "give the key by one of scbk, key_file, install_mode - at `$.options`")
    if options.install_mode:
        return SCBK_D
    text = options.scbk or _read(device, options.key_file)
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != len(SCBK_D):
        raise _mistake(device, f"{options.key_file} does not hold 32 hexadecimal digits - at `$.options.key_file`")
    if key == SCBK_D:
        raise _mistake(device, "this is the default key (SCBK-D), which everybody knows - at `$.options`")
    return key


def _read(device: DeviceTable, name: str) -> str:
    try:
        return Path(name).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        raise _mistake(device, f"{name}: {reason} - at `$.options.key_file`") from error


def _mistake(device: DeviceTable, problem: str) -> Environment:
    return Environment(Code.CONFIG, f"device {device.id!r}: {problem}", README)
