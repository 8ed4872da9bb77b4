"""The lot profile: which devices stand in a lot, and who plays which role (TOML, see docs/lot-profile.md).

Read by the bridge and by the simulators. Mistakes are reported with file, place and remedy.
"""

import tomllib
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import msgspec

from parking.desk import ExitKind
from parking.errors import BadMessage, Code, Environment
from parking.outcome import Level
from parking.stay import NameKind, normalise
from parking.wire import Number

Text = dict[str, str]
"""A text by language: `{ja = "…", en = "…"}`."""


class FeeBy(StrEnum):
    """Who knows the fee."""

    LEGACY = "legacy"
    CLOUD = "cloud"
    SHADOW = "shadow"


class DoneWhen(StrEnum):
    """Which level of certainty counts as done (names of parking.outcome.Level)."""

    SENT = "sent"
    LINK_ACKED = "link_acked"
    LEGACY_CONFIRMED = "legacy_confirmed"
    PHYSICALLY_OBSERVED = "physically_observed"

    @property
    def level(self) -> Level:
        """The level of this name."""
        return Level[self.name]


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of the profile's tables: unknown keys are mistakes."""


class LotPosition(_Table, frozen=True, kw_only=True):
    """Where the lot is; a phone farther away than `radius_m` is asked again."""

    latitude: Annotated[float, msgspec.Meta(ge=-90, le=90)]
    longitude: Annotated[float, msgspec.Meta(ge=-180, le=180)]
    radius_m: Annotated[int, msgspec.Meta(ge=10, le=5000)] = 100


class LotTable(_Table, frozen=True, kw_only=True):
    """The lot itself. `code` is printed on its posters; `day_starts` is the day's cut-over hour in local time."""

    id: Number
    code: Annotated[str, msgspec.Meta(pattern="^[0-9A-HJKMNP-TV-Z]{6,16}$")]
    name: Text
    address: Text
    names: NameKind
    position: LotPosition
    time_zone: str = "Asia/Tokyo"
    day_starts: Annotated[int, msgspec.Meta(ge=0, le=23)] = 0


class FeeTable(_Table, frozen=True, kw_only=True):
    """Who knows the fee; `tariff` is a path relative to the profile, needed unless the legacy alone knows."""

    by: FeeBy
    tariff: str = ""
    lease_seconds: Annotated[int, msgspec.Meta(ge=30, le=3600)] = 300


class Roles(_Table, frozen=True, kw_only=True):
    """Which device plays which role; an empty string means nobody does. `books` can be read for the day's comparison.

    `done_when` is the level at which a release counts; `settle_done_when` the same for the legacy's books.
    """

    stays: str
    fee: str = ""
    settle: str = ""
    witness: str = ""
    books: str = ""
    done_when: DoneWhen = DoneWhen.PHYSICALLY_OBSERVED
    settle_done_when: DoneWhen = DoneWhen.LEGACY_CONFIRMED


class DeviceTable(_Table, frozen=True, kw_only=True):
    """One device: its driver family, where it is reached, how often it is read, and the family's own options."""

    id: Annotated[str, msgspec.Meta(pattern="^[a-z][a-z0-9_-]{0,23}$")]
    family: str
    url: str = ""
    poll_seconds: Annotated[float, msgspec.Meta(ge=0.05, le=60)] = 1.0
    timeout_seconds: Annotated[float, msgspec.Meta(ge=0.05, le=30)] = 2.0
    options: dict[str, Any] = {}


class Eye(_Table, frozen=True, kw_only=True):
    """The device whose inputs show where an exit stands, and its channel there."""

    device: str
    channel: Annotated[int, msgspec.Meta(ge=0, le=65535)]


class ExitTable(_Table, frozen=True, kw_only=True):
    """One gate or lock plate. `bay` ties a plate to the bay it holds; a gate has none.

    `seen_by` names another device that sees it, where the one that moves it cannot.
    """

    id: Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9_-]{1,16}$")]
    kind: ExitKind
    label: Text
    device: str
    channel: Annotated[int, msgspec.Meta(ge=0, le=65535)]
    bay: str = ""
    seen_by: Eye | None = None

    @property
    def eye(self) -> Eye:
        """Who sees it: another device, or the one that moves it."""
        return self.seen_by or Eye(device=self.device, channel=self.channel)


class Times(_Table, frozen=True, kw_only=True):
    """How long the relay tries a device that is certainly not reached, and waits for an act to show (seconds)."""

    give_up: Annotated[float, msgspec.Meta(ge=1, le=3600)] = 20.0
    retry: Annotated[float, msgspec.Meta(ge=0.05, le=60)] = 1.0
    observe: Annotated[float, msgspec.Meta(ge=0.2, le=60)] = 5.0


class WhenDown(StrEnum):
    """What becomes of a car when payment is impossible: cloud, provider or device down."""

    HOLD = "hold"
    """It waits; the legacy's own cash way stays open."""
    CLAIM = "claim"
    """It leaves against a signed claim to be paid later, as long as the day's loss budget lasts."""
    ATTENDANT = "attendant"
    """A person decides."""


Yen = Annotated[int, msgspec.Meta(ge=0, le=9_999_999)]

ATTENDED: Final = r"^(|([01][0-9]|2[0-3]):[0-5][0-9]-(([01][0-9]|2[0-3]):[0-5][0-9]|24:00))$"
"""Hours of a day, `08:00-20:00`, or nothing."""


class Policy(_Table, frozen=True, kw_only=True):
    """What people and codes may do. Amounts are yen, caps are per business day; docs/lot-profile.md explains each."""

    when_down: WhenDown = WhenDown.ATTENDANT
    loss_budget: Yen = 5_000
    claim_days: Annotated[int, msgspec.Meta(ge=1, le=180)] = 14
    codes_per_day: Annotated[int, msgspec.Meta(ge=0, le=1000)] = 20
    code_yen_per_day: Yen = 30_000
    pay_offline_minutes: Annotated[int, msgspec.Meta(ge=0, le=1440)] = 0
    attended: Annotated[str, msgspec.Meta(pattern=ATTENDED)] = ""
    two_persons_above: Yen = 10_000
    alarm_seconds: Annotated[int, msgspec.Meta(ge=10, le=86_400)] = 600


class LotProfile(_Table, frozen=True, kw_only=True):
    """A whole profile. `sim` is read by the simulators alone (drivers.simlot)."""

    lot: LotTable
    fee: FeeTable
    roles: Roles
    device: tuple[DeviceTable, ...]
    exit: tuple[ExitTable, ...] = ()
    times: Times = msgspec.field(default_factory=Times)
    policy: Policy = msgspec.field(default_factory=Policy)
    sim: dict[str, Any] = {}


T = TypeVar("T")


def read_toml(path: Path, kind: type[T]) -> T:
    """Read a TOML file into a Struct.

    Raises Environment(CONFIG) that names the file, the place in it and the mistake.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
        return msgspec.convert(data, kind)
    except OSError as error:
        raise Environment(Code.CONFIG, f"{path}: {error.strerror}", "check the path and its permissions") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Environment(Code.CONFIG, f"{path}: not TOML: {error}", "correct the line named") from error
    except msgspec.ValidationError as error:
        raise Environment(Code.CONFIG, f"{path}: {error}", "see docs/lot-profile.md for the keys") from error


def load(path: Path, urls: Mapping[str, str] | None = None) -> LotProfile:
    """Read and cross-check a profile; `urls` replaces the addresses of devices by id.

    Raises Environment(CONFIG): malformed, a role or exit names a device that is not there, an id twice, a bay twice.
    """
    profile = read_toml(path, LotProfile)
    urls = dict(urls or {})
    devices = tuple(msgspec.structs.replace(device, url=urls.pop(device.id, device.url)) for device in profile.device)
    profile = msgspec.structs.replace(profile, device=devices)
    for place, problem in (*_mistakes(profile), *((f"urls.{name}", "no such device") for name in urls)):
        raise Environment(Code.CONFIG, f"{path}: {problem} - at `{place}`", "see docs/lot-profile.md")
    return profile


def desks(profile: LotProfile) -> tuple[str, ...]:
    """The pay stations of a lot that goes by these: each device that settles has one, number 1 if it says nothing."""
    return tuple(
        normalise(NameKind.DESK, str(device.options.get("desk", "1")))
        for device in profile.device
        if device.id == profile.roles.settle
    )


def _mistakes(profile: LotProfile) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    ids = [device.id for device in profile.device]
    for name in ("stays", "fee", "settle", "witness", "books"):
        device = getattr(profile.roles, name)
        if device and device not in ids:
            found.append((f"$.roles.{name}", f"no device {device!r}"))
    found += [(f"$.device[{at}].id", f"{name!r} twice") for at, name in enumerate(ids) if name in ids[:at]]
    found += [(f"$.device[{at}].url", "empty") for at, device in enumerate(profile.device) if not device.url]
    found += _exit_mistakes(profile.exit, ids)
    if profile.fee.by is not FeeBy.LEGACY and not profile.fee.tariff:
        found.append(("$.fee.tariff", f"fee by {profile.fee.by.value} needs a tariff"))
    if profile.fee.by is not FeeBy.CLOUD and not profile.roles.fee:
        found.append(("$.roles.fee", f"fee by {profile.fee.by.value} needs a device that knows it"))
    return found + _policy_mistakes(profile)


def _exit_mistakes(table: tuple[ExitTable, ...], devices: list[str]) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    exits = [exit_.id for exit_ in table]
    for at, exit_ in enumerate(table):
        if exit_.device not in devices:
            found.append((f"$.exit[{at}].device", f"no device {exit_.device!r}"))
        if exit_.eye.device not in devices and exit_.seen_by is not None:
            found.append((f"$.exit[{at}].seen_by.device", f"no device {exit_.eye.device!r}"))
        elif exit_.eye.device == exit_.device and exit_.seen_by is not None:
            found.append((f"$.exit[{at}].seen_by.device", "it moves the exit itself: leave seen_by out"))
        if exit_.id in exits[:at]:
            found.append((f"$.exit[{at}].id", f"{exit_.id!r} twice"))
        if exit_.bay and (problem := _bay_problem(exit_.bay, [other.bay for other in table[:at]])):
            found.append((f"$.exit[{at}].bay", problem))
    return found


def _policy_mistakes(profile: LotProfile) -> list[tuple[str, str]]:
    policy = profile.policy
    if policy.pay_offline_minutes and profile.fee.by is not FeeBy.CLOUD:
        return [("$.policy.pay_offline_minutes", "only our own tariff can tell a fee while the line is down")]
    if policy.pay_offline_minutes and not (policy.attended and policy.codes_per_day):
        problem = "pay_offline_minutes needs hours at which somebody applies codes, and codes_per_day"
        return [("$.policy.attended", problem)]
    return []


def _bay_problem(bay: str, before: list[str]) -> str:
    try:
        name = normalise(NameKind.BAY, bay)
    except BadMessage as error:
        return error.detail
    if name != bay:
        return f"write {name!r}, not {bay!r}"
    return f"{bay!r} twice" if bay in before else ""
