"""The device's `[device.options]`, checked."""

from typing import Annotated, Final, Literal

import msgspec

from drivers.cctalk_coin.codec import Check
from drivers.cctalk_coin.coins import PLACES, mix
from drivers.cctalk_coin.device import Settings
from drivers.line_settings import LineSettings
from drivers.profile import DeviceTable
from parking.errors import BadMessage, Code, Environment
from parking.stay import NameKind, normalise

_Value = Annotated[int, msgspec.Meta(ge=0, le=999)]
_Seconds = Annotated[float, msgspec.Meta(ge=0, le=5)]

README: Final = "see drivers/cctalk_coin/README.md"


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """README.md says what each means. Times are seconds, amounts yen."""

    desk: str = "1"
    coins: Annotated[tuple[_Value, ...], msgspec.Meta(min_length=1, max_length=PLACES)] = (10, 50, 100, 500)
    country: Annotated[str, msgspec.Meta(pattern="^[A-Z]{2}$")] = "JP"
    address: Annotated[int, msgspec.Meta(ge=2, le=255)] = 2
    checksum: Literal["sum", "crc"] = "sum"
    baud: Literal[4800, 9600, 19200] = 9600
    echo: bool = True
    patience: Annotated[float, msgspec.Meta(ge=0.05, le=60)] = 0.35
    confirm_polls: Annotated[int, msgspec.Meta(ge=1, le=5)] = 3
    step_yen: Annotated[int, msgspec.Meta(ge=1, le=999)] = 100
    cap_yen: Annotated[int, msgspec.Meta(ge=1, le=50_000)] = 3000
    pause_seconds: _Seconds = 0.0
    satisfied_seconds: _Seconds = 2.0
    hold_seconds: Annotated[int, msgspec.Meta(ge=5, le=600)] = 60
    always_open: bool = False
    simple_polls: bool = False
    unknown: Literal["nak", "silent"] = "nak"

    @property
    def line(self) -> LineSettings:
        """Always 8N1."""
        return LineSettings(baud=self.baud)

    @property
    def settings(self) -> Settings:
        """What the acceptor itself is to know."""
        return Settings(
            values=self.coins,
            country=self.country,
            address=self.address,
            check=Check(self.checksum),
            echo=self.echo,
            patience=self.patience,
            confirm=self.confirm_polls,
            step=self.step_yen,
            pause=self.pause_seconds,
            grace=self.satisfied_seconds,
            always_open=self.always_open,
            simple_polls=self.simple_polls,
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
    small = frozenset(value for value in options.coins if 0 < value <= options.step_yen)
    if mix(options.cap_yen, small, options.cap_yen) is None:
        detail = f"device {device.id!r}: cap_yen {options.cap_yen} cannot be made of coins up to step_yen"
        raise Environment(Code.CONFIG, f"{detail} {options.step_yen}", README)
    return options
