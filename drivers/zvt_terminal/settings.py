"""The family's own settings: `[device.options]`, see README.md."""

import re
from typing import Annotated, Final

import msgspec

from drivers.line_settings import LineSettings
from drivers.profile import DeviceTable
from drivers.zvt_terminal.codec import TcpFraming
from drivers.zvt_terminal.line import Line, SerialLine, TcpLine
from parking.errors import BadMessage, Code, Environment
from parking.stay import NameKind, normalise

PORT: Final = 20007
"""Where terminals listen."""

PATIENCE: Final = 0.6
"""In parts of `answer_seconds`: how long the rest of a message on TCP is waited for. The machine then says it anew."""

YEN: Final = 392
NO_MINOR_UNITS: Final = frozenset((392, 410, 152))
"""Currencies without: yen, won, Chilean peso."""

Seconds = Annotated[float, msgspec.Meta(ge=0.02, le=3600)]


class Card(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a payment is told to be paid with, for machines that book by it."""

    type: Annotated[int, msgspec.Meta(ge=0, le=255)]
    name: Annotated[str, msgspec.Meta(pattern="^[ -~]{0,30}$")] = ""


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`[device.options]`."""

    desk: str = "1"
    tid: Annotated[str, msgspec.Meta(pattern="^[0-9]{8}$")] = "00000001"
    currency: Annotated[str, msgspec.Meta(pattern="^0[0-9]{3}$")] = "0392"
    decimals: Annotated[int, msgspec.Meta(ge=0, le=3)] | None = None
    password: Annotated[str, msgspec.Meta(pattern="^[0-9]{6}$")] | None = None
    language: Annotated[str, msgspec.Meta(pattern="^(ja|en)$")] = "ja"
    text: Annotated[str, msgspec.Meta(pattern="^[ -~]{0,40}$")] = ""
    card: Card | None = None
    print_lines: bool = False
    prefix: bool = False
    baud: Annotated[int, msgspec.Meta(ge=1200, le=115_200)] = 9600
    stop_bits: Annotated[int, msgspec.Meta(ge=1, le=2)] = 2
    answer_seconds: Seconds = 5.0
    status_seconds: Seconds = 4.0
    charge_seconds: Seconds = 170.0
    repeat_seconds: Annotated[float, msgspec.Meta(ge=0, le=3600)] = 300.0
    hold_seconds: Seconds = 60.0

    @property
    def scale(self) -> int:
        """Minor units of a yen: 1, unless the machine writes sen (or the currency has cents)."""
        number = int(self.currency)
        return int(10 ** (self.decimals if self.decimals is not None else 0 if number in NO_MINOR_UNITS else 2))


def options_of(device: DeviceTable) -> Options:
    """The options of a device; raises Environment(CONFIG) that names the key."""
    try:
        options = msgspec.convert(device.options, Options)
        normalise(NameKind.DESK, options.desk)
    except msgspec.ValidationError as error:
        place = str(error).replace("`$", "`$.options")
        detail = place if "`$" in place else f"{place} - at `$.options`"
        raise Environment(
            Code.CONFIG, f"device {device.id!r}: {detail}", "see drivers/zvt_terminal/README.md"
        ) from error
    except BadMessage as error:
        detail = f"device {device.id!r}: {error.detail} - at `$.options.desk`"
        raise Environment(Code.CONFIG, detail, "the number of the pay station: letters and digits") from error
    return options


def by_tcp(url: str) -> bool:
    """Whether the machine dials us: bare messages. `socket://` is a serial server, with frames as on the cable."""
    return url.startswith("listen://")


def full_url(url: str) -> str:
    """With the usual port where none is given."""
    return f"{url}:{PORT}" if re.fullmatch(r"listen://([^:\[\]/]+|\[[^\]]+\])", url) else url


def line_of(url: str, options: Options) -> Line:
    """How messages get across there."""
    if by_tcp(url):
        return TcpLine(TcpFraming(options.prefix), PATIENCE * options.answer_seconds)
    return SerialLine(options.answer_seconds)


def line_settings(options: Options) -> LineSettings:
    """How characters look on the serial line."""
    return LineSettings(options.baud, "N", options.stop_bits)
