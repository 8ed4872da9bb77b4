"""The bridge's configuration: bridge.toml, and the profiles of the lots that it serves (docs/bridge-config.md).

Mistakes are reported with file, place and remedy. Paths are relative to the file in which they stand.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import IPv4Address
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import urlsplit

import msgspec

from bridge.secret_store import StoreKind
from drivers.profile import LotProfile, read_toml
from drivers.profile import load as load_profile
from parking.errors import Code, Environment
from parking.stay import LotId

GUIDE: Final = "see docs/bridge-config.md for the keys"
LOOPBACK: Final = ("127.0.0.1", "localhost")
"""Exactly these: a name that merely begins with "127." can be anybody's."""

_LISTEN: Final = re.compile(r"(?P<host>[^:\[\]]+):(?P<port>\d{1,5})")


class FeedWay(StrEnum):
    """How completions come from the cloud; `auto` is server-sent events, with long poll where they do not pass."""

    AUTO = "auto"
    SSE = "sse"
    POLL = "poll"


class LogLevel(StrEnum):
    """How much is written to the log."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of the file's tables: unknown keys are mistakes."""


class BridgeTable(_Table, frozen=True, kw_only=True):
    """The bridge itself. `data` is its directory: key, identity, journal, API token.

    `record` writes every byte of every device down in `data`/wires, for fault finding; secrets are blacked out.
    """

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=60)]
    data: Annotated[str, msgspec.Meta(min_length=1)]
    log_level: LogLevel = LogLevel.INFO
    record: bool = False


class CloudTable(_Table, frozen=True, kw_only=True):
    """Where the cloud is. `ca_file` replaces the usual authorities, for a cloud with a certificate of its own."""

    url: str
    ca_file: str = ""
    feed: FeedWay = FeedWay.AUTO


class ApiTable(_Table, frozen=True, kw_only=True):
    """Where the console finds the bridge; port 0 takes any free one and writes it to `data`/api.json."""

    listen: str = "127.0.0.1:0"


class KeysTable(_Table, frozen=True, kw_only=True):
    """Where secrets live (bridge.secret_store)."""

    store: StoreKind = StoreKind.AUTO


class OperatorsTable(_Table, frozen=True, kw_only=True):
    """Signing in; the operators themselves are in `data`/operators.json (docs/operators.md)."""

    idle_seconds: Annotated[int, msgspec.Meta(ge=30, le=28_800)] = 300


class PlatesTable(_Table, frozen=True, kw_only=True):
    """Number plates are erased so many days after their stay has ended (bridge.plates)."""

    keep_days: Annotated[int, msgspec.Meta(ge=0, le=365)] = 30


class LotPageTable(_Table, frozen=True, kw_only=True):
    """The page in the lot's own network (bridge.lot_page); the address is one of this computer in that network."""

    listen: str


class LotEntry(_Table, frozen=True, kw_only=True):
    """A lot to serve: its profile, and addresses of devices that differ here."""

    profile: Annotated[str, msgspec.Meta(min_length=1)]
    urls: dict[str, str] = {}


class BridgeFile(_Table, frozen=True, kw_only=True):
    """The whole file, as written."""

    bridge: BridgeTable
    cloud: CloudTable
    lot: Annotated[tuple[LotEntry, ...], msgspec.Meta(min_length=1)]
    api: ApiTable = msgspec.field(default_factory=ApiTable)
    keys: KeysTable = msgspec.field(default_factory=KeysTable)
    operators: OperatorsTable = msgspec.field(default_factory=OperatorsTable)
    plates: PlatesTable = msgspec.field(default_factory=PlatesTable)
    lot_page: LotPageTable | None = None


@dataclass(frozen=True, slots=True)
class BridgeConfig:
    """The file, checked and resolved: absolute paths, profiles loaded. `cloud_url` has no trailing slash."""

    path: Path
    name: str
    data: Path
    log_level: LogLevel
    record: bool
    cloud_url: str
    ca_file: Path | None
    feed: FeedWay
    api_host: str
    api_port: int
    lots: Mapping[LotId, LotProfile]
    store: StoreKind = StoreKind.AUTO
    idle_seconds: int = 300
    plate_days: int = 30
    profiles: Mapping[LotId, Path] = field(default_factory=dict)
    """Where the profile of each lot was read from."""
    lot_page: tuple[str, int] | None = None
    """Where the lot's page listens; None: there is none."""


def load(path: Path) -> BridgeConfig:
    """Read bridge.toml and the profiles that it names.

    Raises Environment(CONFIG): unreadable, malformed, a key unknown, a lot twice, an address that is not allowed.
    """
    path = path.absolute()
    try:
        file = read_toml(path, BridgeFile)
    except Environment as error:
        raise Environment(
            error.code, error.detail, error.remedy.replace("lot-profile.md", "bridge-config.md")
        ) from error
    here = path.parent
    host, port = _listen(path, file.api.listen)
    lots = _lots(path, file.lot)
    return BridgeConfig(
        path=path,
        name=file.bridge.name,
        data=here / file.bridge.data,
        log_level=file.bridge.log_level,
        record=file.bridge.record,
        cloud_url=_cloud_url(path, file.cloud.url),
        ca_file=_ca_file(path, file.cloud.ca_file),
        feed=file.cloud.feed,
        api_host=host,
        api_port=port,
        lots=lots,
        profiles={lot: here / entry.profile for lot, entry in zip(lots, file.lot, strict=True)},
        store=file.keys.store,
        idle_seconds=file.operators.idle_seconds,
        plate_days=file.plates.keep_days,
        lot_page=_lot_page(path, file.lot_page.listen) if file.lot_page is not None else None,
    )


def _mistake(path: Path, place: str, problem: str, remedy: str = GUIDE) -> Environment:
    return Environment(Code.CONFIG, f"{path}: {problem} - at `{place}`", remedy)


def _cloud_url(path: Path, url: str) -> str:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise _mistake(path, "$.cloud.url", f"{url!r} is no address: {error}") from error
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise _mistake(path, "$.cloud.url", f"{url!r} is no web address", 'write it like "https://cloud.example"')
    if parts.query or parts.fragment or parts.username is not None:
        raise _mistake(path, "$.cloud.url", "a query, a fragment or a password does not belong here")
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        raise _mistake(path, "$.cloud.url", "plain http would show the lot's business to the network", "use https://")
    return url.rstrip("/")


def _ca_file(path: Path, name: str) -> Path | None:
    if not name:
        return None
    file = path.parent / name
    if not file.is_file():
        raise _mistake(path, "$.cloud.ca_file", f"no file {file}", "give the PEM file, or leave the key out")
    return file


def _listen(path: Path, listen: str) -> tuple[str, int]:
    match = _LISTEN.fullmatch(listen)
    if match is None or int(match["port"]) > 65535:
        raise _mistake(path, "$.api.listen", f"{listen!r} is not host:port", 'write "127.0.0.1:0"')
    if match["host"] not in LOOPBACK:
        raise _mistake(
            path,
            "$.api.listen",
            f"{match['host']!r} is not this computer alone",
            "the bridge listens on 127.0.0.1 only; nothing listens towards the lot's network",
        )
    return "127.0.0.1", int(match["port"])


def _lot_page(path: Path, listen: str) -> tuple[str, int]:
    match = _LISTEN.fullmatch(listen)
    if match is None or not 1 <= int(match["port"]) <= 65535:
        raise _mistake(path, "$.lot_page.listen", f"{listen!r} is not address:port", 'write "192.168.1.5:8080"')
    try:
        address = IPv4Address(match["host"])
    except ValueError as error:
        raise _mistake(path, "$.lot_page.listen", f"{match['host']!r} is no IPv4 address") from error
    if not address.is_private or address.is_unspecified or address.is_reserved or address.is_multicast:
        raise _mistake(
            path,
            "$.lot_page.listen",
            f"{address} is no address of a private network",
            "give this computer's own address in the lot's network, never 0.0.0.0 or a public one",
        )
    return str(address), int(match["port"])


def _lots(path: Path, entries: tuple[LotEntry, ...]) -> dict[LotId, LotProfile]:
    lots: dict[LotId, LotProfile] = {}
    for at, entry in enumerate(entries):
        profile = load_profile(path.parent / entry.profile, entry.urls)
        lot = LotId(profile.lot.id)
        if lot in lots:
            raise _mistake(path, f"$.lot[{at}].profile", f"lot {lot} twice", "one [[lot]] for each lot")
        lots[lot] = profile
    return lots
