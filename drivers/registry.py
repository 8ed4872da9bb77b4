"""The driver families that this program knows: a literal dict, nothing is discovered.

To add one, write its folder (docs/adding-a-driver.md) and a line here. Simulators are not listed: no product module
imports them (see drivers.simlot.host).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Final, Protocol
from urllib.parse import urlsplit

from drivers import base
from drivers.line_settings import LineSettings
from drivers.profile import DeviceTable, ExitTable
from drivers.transport import Tap
from parking.errors import Code, Environment


class Module(Protocol):
    """The `driver` module of a family."""

    def create(
        self, device: DeviceTable, exits: Sequence[ExitTable], clock: Callable[[], datetime], recorder: Tap | None
    ) -> base.Driver:
        """Make the driver; opens nothing yet. `exits` may be all of the lot, `clock` gives aware UTC.

        Raises Environment(CONFIG) for bad options.
        """
        ...

    def probe(self, url: str, deadline: float) -> base.Finding:
        """Ask, read-only, whether such a device answers at a URL. `deadline` is monotonic seconds.

        Never raises a DaikoError for a device that is away.
        """
        ...

    def line(self, device: DeviceTable) -> LineSettings:
        """How characters look on its serial line, the usual ones if it has none; raises Environment(CONFIG)."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """A kind of legacy machine. `schemes` are those of the URLs it can be reached by, "" for a serial port's name.

    `listens`: its probe says nothing, so that the machine has to speak meanwhile. `module` imports its
    code: a bridge carries in memory only what its lot has.
    """

    module: Callable[[], Module]
    summary: Mapping[str, str]
    listens: bool = False
    schemes: frozenset[str]


def _cctalk_coin() -> Module:
    from drivers.cctalk_coin import driver

    return driver


def _host_link() -> Module:
    from drivers.host_link import driver

    return driver


def _mdb_cashless() -> Module:
    from drivers.mdb_cashless import driver

    return driver


def _modbus_io() -> Module:
    from drivers.modbus_io import driver

    return driver


def _osdp() -> Module:
    from drivers.osdp import driver

    return driver


def _usb_relay() -> Module:
    from drivers.usb_relay import driver

    return driver


def _zvt_terminal() -> Module:
    from drivers.zvt_terminal import driver

    return driver


FAMILIES: Final[Mapping[str, Family]] = MappingProxyType(
    {
        "modbus_io": Family(
            module=_modbus_io,
            summary={
                "ja": "Modbus RTU/TCP のリレー・入力ボード、ロック板コントローラー",
                "en": "Modbus RTU/TCP relay and input boards, lock-plate controllers",
            },
            schemes=frozenset({"", "socket", "rfc2217", "spy"}),
        ),
        "host_link": Family(
            module=_host_link,
            summary={
                "ja": "第1管理サーバー（HTTP・データベースの表・共有フォルダー）：入出庫・料金・精算・支払者の照会",
                "en": "First management server over HTTP, database tables or a shared folder: stays, fees, who paid",
            },
            schemes=frozenset({"http", "https", "sqlite", "postgresql", "firebird", "folder"}),
        ),
        "zvt_terminal": Family(
            module=_zvt_terminal,
            summary={
                "ja": "ZVT 決済端末として精算機につながる（TCP・シリアル）",
                "en": "ZVT payment terminal of a pay station, over TCP or a serial line",
            },
            schemes=frozenset({"", "listen", "socket", "rfc2217", "spy"}),
            listens=True,
        ),
        "mdb_cashless": Family(
            module=_mdb_cashless,
            summary={
                "ja": "精算機のキャッシュレス端末（MDB/ICP、MDB-USB アダプター経由）：請求額と承認",
                "en": "Cashless reader of a pay station (MDB/ICP, behind an MDB-USB adapter): charges and approvals",
            },
            schemes=frozenset({"", "socket", "rfc2217", "spy"}),
        ),
        "cctalk_coin": Family(
            module=_cctalk_coin,
            summary={
                "ja": "ccTalk のコイン投入機・紙幣識別機として精算機に接続（支払いを硬貨・紙幣として投入）",
                "en": "Coin acceptor or bill validator of a pay station on ccTalk: payments are credited as its money",
            },
            schemes=frozenset({"", "socket", "rfc2217", "spy"}),
            listens=True,
        ),
        "usb_relay": Family(
            module=_usb_relay,
            summary={
                "ja": "USB リレーボード（シリアル・HID）：開閉は分からないので、別の入力で確認",
                "en": "USB relay boards, serial or HID: they see no gate, so another device's input has to",
            },
            schemes=frozenset({"", "socket", "rfc2217", "spy", "hid"}),
        ),
        "osdp": Family(
            module=_osdp,
            summary={
                "ja": "OSDP：リーダーの出力で出口を開ける、または入退室パネルの仮想カードリーダー",
                "en": "OSDP: a reader's output opens the exit; or a virtual card reader of an access panel",
            },
            schemes=frozenset({"", "socket", "rfc2217", "spy"}),
        ),
    }
)


def family(name: str) -> Family:
    """A family by name; raises Environment(CONFIG) that lists the known ones."""
    found = FAMILIES.get(name)
    if found is None:
        known = ", ".join(sorted(FAMILIES))
        raise Environment(Code.CONFIG, f"no driver family {name!r}", f"known families: {known}")
    return found


def create_driver(
    device: DeviceTable, exits: Sequence[ExitTable], clock: Callable[[], datetime], recorder: Tap | None = None
) -> base.Driver:
    """The driver of a profile's device; raises Environment(CONFIG) that names the device and what is wrong."""
    try:
        made = family(device.family)
    except Environment as error:
        raise Environment(error.code, f"device {device.id!r}: {error.detail}", error.remedy) from None
    return made.module().create(device, exits, clock, recorder)


def families_for(url: str) -> tuple[str, ...]:
    """The families that could speak at a URL. `COM3` and `/dev/ttyUSB0` have no scheme, nor has a drive letter."""
    scheme = urlsplit(url).scheme.lower() if "://" in url else ""
    return tuple(name for name, known in FAMILIES.items() if scheme in known.schemes)
