"""The device's `[device.options]`, checked."""

from typing import Annotated, Final, Literal
from zlib import crc32

import msgspec

from drivers.cctalk_coin.billtable import MOST_CODE
from drivers.cctalk_coin.codec import Check
from drivers.cctalk_coin.coins import mix
from drivers.cctalk_coin.inhibits import PLACES
from drivers.cctalk_coin.kinds import KINDS, Accepts, Kind
from drivers.cctalk_coin.settings import Settings
from drivers.line_settings import LineSettings
from drivers.profile import DeviceTable
from parking.errors import BadMessage, Code, Environment
from parking.stay import NameKind, normalise

_Coin = Annotated[int, msgspec.Meta(ge=0, le=999)]
_Bill = Annotated[int, msgspec.Meta(ge=0, le=50_000)]
_Seconds = Annotated[float, msgspec.Meta(ge=0, le=5)]

README: Final = "see drivers/cctalk_coin/README.md"


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """README.md says what each means. Times are seconds, amounts yen. None: what is usual for such a device."""

    desk: str = "1"
    accepts: Literal["coins", "bills"] = "coins"
    coins: Annotated[tuple[_Coin, ...], msgspec.Meta(min_length=1, max_length=PLACES)] = (10, 50, 100, 500)
    bills: Annotated[tuple[_Bill, ...], msgspec.Meta(min_length=1, max_length=PLACES)] = (1000, 2000, 5000, 10_000)
    scaling: Literal[1, 10, 100, 1000] = 1000
    escrow: bool = True
    escrow_seconds: Annotated[float, msgspec.Meta(ge=1, le=120)] = 30.0
    country: Annotated[str, msgspec.Meta(pattern="^[A-Z]{2}$")] = "JP"
    address: Annotated[int, msgspec.Meta(ge=2, le=255)] | None = None
    checksum: Literal["sum", "crc"] | None = None
    baud: Literal[4800, 9600, 19200] = 9600
    echo: bool = True
    patience: Annotated[float, msgspec.Meta(ge=0.05, le=60)] = 0.35
    confirm_polls: Annotated[int, msgspec.Meta(ge=1, le=5)] = 3
    step_yen: Annotated[int, msgspec.Meta(ge=1, le=10_000)] | None = None
    cap_yen: Annotated[int, msgspec.Meta(ge=1, le=50_000)] = 3000
    pause_seconds: _Seconds = 0.0
    satisfied_seconds: _Seconds = 2.0
    hold_seconds: Annotated[int, msgspec.Meta(ge=5, le=600)] = 60
    always_open: bool = False
    simple_polls: bool = False
    master_only: bool = False
    serial: Annotated[int, msgspec.Meta(ge=0, lt=1 << 24)] | None = None
    unknown: Literal["nak", "silent"] = "nak"

    @property
    def kind(self) -> Kind:
        """A coin acceptor or a bill validator."""
        return KINDS[Accepts(self.accepts)]

    @property
    def line(self) -> LineSettings:
        """Always 8N1."""
        return LineSettings(baud=self.baud)

    @property
    def settings(self) -> Settings:
        """What the device itself is to know."""
        kind = self.kind
        return Settings(
            accepts=kind.accepts,
            values=self.coins if kind.accepts is Accepts.COINS else self.bills,
            country=self.country,
            scaling=self.scaling,
            escrow=self.escrow,
            escrow_seconds=self.escrow_seconds,
            address=self.address or kind.address,
            check=Check(self.checksum) if self.checksum else kind.check,
            echo=self.echo,
            patience=self.patience,
            confirm=self.confirm_polls,
            step=self.step_yen or kind.step,
            pause=self.pause_seconds,
            grace=self.satisfied_seconds,
            always_open=self.always_open,
            simple_polls=self.simple_polls,
            master_only=self.master_only,
            serial=crc32(f"{self.accepts} {self.desk}".encode()) % (1 << 24) if self.serial is None else self.serial,
            nak=self.unknown == "nak",
            seconds_per_char=self.line.seconds_per_char,
        )


def options_of(device: DeviceTable) -> Options:
    """The options; raises Environment(CONFIG) that names the one at fault."""
    try:
        options = msgspec.convert(device.options, Options)
        if normalise(NameKind.DESK, options.desk) != options.desk:
            raise BadMessage(Code.BAD_NAME, f"write desk = {normalise(NameKind.DESK, options.desk)!r}")
    except (msgspec.ValidationError, BadMessage) as error:
        raise Environment(Code.CONFIG, f"device {device.id!r}: options: {error}", README) from error
    if wrong := _wrong(options):
        raise Environment(Code.CONFIG, f"device {device.id!r}: {wrong}", README)
    return options


def _wrong(options: Options) -> str:
    """What contradicts itself, if anything does."""
    settings = options.settings
    small = frozenset(value for value in settings.values if 0 < value <= settings.step)
    if mix(options.cap_yen, small, options.cap_yen) is None:
        return f"cap_yen {options.cap_yen} cannot be made of {options.accepts} up to step_yen {settings.step}"
    if settings.accepts is Accepts.BILLS:
        nameless = [one for one in options.bills if one % options.scaling or one // options.scaling > MOST_CODE]
        if nameless:
            return f"scaling {options.scaling} leaves no name of four digits for bills of {nameless[0]} yen"
    return ""
