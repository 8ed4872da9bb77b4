"""What `[device.options]` of this family says, checked. README.md explains each key."""

from enum import StrEnum
from typing import Annotated

import msgspec

from drivers.line_settings import LineSettings
from drivers.mdb_cashless.amounts import Amounts
from drivers.mdb_cashless.device import Manner
from drivers.mdb_cashless.dialects import DIALECTS, Spelling
from drivers.mdb_cashless.words import Dialect
from drivers.profile import DeviceTable
from parking.errors import BadMessage, Code, Environment
from parking.money import Yen
from parking.stay import NameKind, normalise


class Sessions(StrEnum):
    """Who begins."""

    ALWAYS_IDLE = "always_idle"
    """The machine, by asking for money."""
    BEGIN_SESSION = "begin_session"
    """The reader, by offering a credit; then the machine asks."""


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The table itself."""

    desk: Annotated[str, msgspec.Meta(min_length=1, max_length=16)] = "1"
    hold_seconds: Annotated[int, msgspec.Meta(ge=5, le=600)] = 60
    dialect: Spelling = Spelling.QIBIXX
    sessions: Sessions = Sessions.ALWAYS_IDLE
    credit: Annotated[int, msgspec.Meta(ge=1, le=9_999_999)] = 10_000
    decimals: Annotated[int, msgspec.Meta(ge=0, le=3)] = 0
    scale: Annotated[int, msgspec.Meta(ge=1, le=100)] = 1
    wide: bool = False
    acknowledges: bool = True
    baud: Annotated[int, msgspec.Meta(ge=300, le=1_000_000)] = 115_200

    @property
    def amounts(self) -> Amounts:
        """How amounts are written and counted."""
        return Amounts(self.decimals, self.scale, self.wide)

    @property
    def line(self) -> LineSettings:
        """The adapter's serial line."""
        return LineSettings(self.baud)

    @property
    def spoken(self) -> Dialect:
        """The adapter's dialect."""
        return DIALECTS[self.dialect]()

    def manner(self, patience: float) -> Manner:
        """How the reader behaves; `patience`: seconds in which an adapter answers."""
        credit = Yen(self.credit) if self.sessions is Sessions.BEGIN_SESSION else None
        return Manner(normalise(NameKind.DESK, self.desk), self.amounts, credit, self.acknowledges, patience)


def options_of(device: DeviceTable) -> Options:
    """The options of a device; raises Environment(CONFIG) that names the key and the mistake."""
    try:
        options = msgspec.convert(device.options, Options)
        normalise(NameKind.DESK, options.desk)
    except msgspec.ValidationError as error:
        raise _wrong(device, str(error)) from error
    except BadMessage as error:
        raise _wrong(device, f"{error.detail} - at `$.desk`") from error
    if options.sessions is Sessions.BEGIN_SESSION and options.amounts.say(Yen(options.credit)) is None:
        most = options.amounts.most()
        raise _wrong(device, f"{options.credit} yen cannot be said on the bus, {most} at most - at `$.credit`")
    return options


def _wrong(device: DeviceTable, detail: str) -> Environment:
    return Environment(
        Code.CONFIG, f"device {device.id!r}, [device.options]: {detail}", "see drivers/mdb_cashless/README.md"
    )
