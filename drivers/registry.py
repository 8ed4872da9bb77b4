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
from drivers.cctalk_coin import driver as cctalk_coin
from drivers.host_link import driver as host_link
from drivers.line_settings import LineSettings
from drivers.mdb_cashless import driver as mdb_cashless
from drivers.modbus_io import driver as modbus_io
from drivers.osdp import driver as osdp
from drivers.profile import DeviceTable, ExitTable
from drivers.transport import Tap
from drivers.usb_relay import driver as usb_relay
from drivers.zvt_terminal import driver as zvt_terminal
from parking.errors import Code, Environment


class Create(Protocol):
    """Makes a family's driver; opens nothing yet. Raises Environment(CONFIG) for bad options."""

    def __call__(
        self, device: DeviceTable, exits: Sequence[ExitTable], clock: Callable[[], datetime], recorder: Tap | None
    ) -> base.Driver:
        """`exits` may be all of the lot, `clock` gives aware UTC."""
        ...


class Probe(Protocol):
    """Asks, read-only, whether such a device answers at a URL. Never raises a DaikoError for a device that is away."""

    def __call__(self, url: str, deadline: float) -> base.Finding:
        """`deadline` in monotonic seconds."""
        ...


def _usual(device: DeviceTable) -> LineSettings:
    del device  # it has no serial line, or the usual one
    return LineSettings()


@dataclass(frozen=True, slots=True)
class Family:
    """A kind of legacy machine. `schemes` are those of the URLs it can be reached by, "" for a serial port's name.

    `line` says how characters look on a device's serial line; it raises Environment(CONFIG) for bad options.
    """

    create: Create
    probe: Probe
    summary: Mapping[str, str]
    schemes: frozenset[str]
    line: Callable[[DeviceTable], LineSettings] = _usual


FAMILIES: Final[Mapping[str, Family]] = MappingProxyType(
    {
        "modbus_io": Family(
            create=modbus_io.create,
            probe=modbus_io.probe,
            line=modbus_io.line,
            summary={
                "ja": "Modbus RTU/TCP のリレー・入力ボード、ロック板コントローラー",
                "en": "Modbus RTU/TCP relay and input boards, lock-plate controllers",
            },
            schemes=frozenset({"", "socket", "rfc2217", "spy"}),
        ),
        "host_link": Family(
            create=host_link.create,
            probe=host_link.probe,
            summary={
                "ja": "第1管理サーバー（HTTP・データベースの表・共有フォルダー）：入出庫・料金・精算・支払者の照会",
                "en": "First management server over HTTP, database tables or a shared folder: stays, fees, who paid",
            },
            schemes=frozenset(host_link.WAYS),
        ),
        "zvt_terminal": Family(
            create=zvt_terminal.create,
            probe=zvt_terminal.probe,
            line=zvt_terminal.line,
            summary={
                "ja": "ZVT 決済端末として精算機につながる（TCP・シリアル）",
                "en": "ZVT payment terminal of a pay station, over TCP or a serial line",
            },
            schemes=frozenset({"", "listen", "socket", "rfc2217", "spy"}),
        ),
        "mdb_cashless": Family(
            create=mdb_cashless.create,
            probe=mdb_cashless.probe,
            line=mdb_cashless.line,
            summary={
                "ja": "精算機のキャッシュレス端末（MDB/ICP、MDB-USB アダプター経由）：請求額と承認",
                "en": "Cashless reader of a pay station (MDB/ICP, behind an MDB-USB adapter): charges and approvals",
            },
            schemes=frozenset({"", "socket", "rfc2217", "spy"}),
        ),
        "cctalk_coin": Family(
            create=cctalk_coin.create,
            probe=cctalk_coin.probe,
            line=cctalk_coin.line,
            summary={
                "ja": "ccTalk のコイン投入機・紙幣識別機として精算機に接続（支払いを硬貨・紙幣として投入）",
                "en": "Coin acceptor or bill validator of a pay station on ccTalk: payments are credited as its money",
            },
            schemes=frozenset({"", "socket", "rfc2217", "spy"}),
        ),
        "usb_relay": Family(
            create=usb_relay.create,
            probe=usb_relay.probe,
            line=usb_relay.line,
            summary={
                "ja": "USB リレーボード（シリアル・HID）：開閉は分からないので、別の入力で確認",
                "en": "USB relay boards, serial or HID: they see no gate, so another device's input has to",
            },
            schemes=frozenset({"", "socket", "rfc2217", "spy", "hid"}),
        ),
        "osdp": Family(
            create=osdp.create,
            probe=osdp.probe,
            line=osdp.line,
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
    return made.create(device, exits, clock, recorder)


def families_for(url: str) -> tuple[str, ...]:
    """The families that could speak at a URL. `COM3` and `/dev/ttyUSB0` have no scheme, nor has a drive letter."""
    scheme = urlsplit(url).scheme.lower() if "://" in url else ""
    return tuple(name for name, known in FAMILIES.items() if scheme in known.schemes)
