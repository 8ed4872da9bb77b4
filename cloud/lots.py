"""Lots: read from a lot's profile at onboarding (S8), found by code or position afterwards (S3, S5)."""

import math
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import jpholiday
import msgspec
from sqlalchemy import RowMapping, delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from cloud import policy
from cloud.config import read_toml
from cloud.policy import Policy
from cloud.schema import lot_exits, lots, operators
from cloud.store import Transaction
from cloud.tariff import Place, Tariff, mistakes
from cloud.views import LotPage
from parking.desk import ExitKind
from parking.errors import Code, Environment, Refused
from parking.reports import day_of, day_span
from parking.stay import LotId, NameKind
from parking.wire import Number

Text = dict[str, str]

_SEE: Final = "see docs/lot-profile.md for the keys"
_METRES_PER_DEGREE: Final = 111_320.0
NEAR_METRES: Final = 3_000
MOST_NEAR: Final = 5


class FeeBy(StrEnum):
    """Who knows the fee; `shadow`: the legacy's counts, ours is compared with it."""

    LEGACY = "legacy"
    CLOUD = "cloud"
    SHADOW = "shadow"


class _Part(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the profile that the cloud reads; what concerns the bridge alone is not looked at."""


class _Position(_Part, frozen=True, kw_only=True, forbid_unknown_fields=True):
    latitude: Annotated[float, msgspec.Meta(ge=-90, le=90)]
    longitude: Annotated[float, msgspec.Meta(ge=-180, le=180)]
    radius_m: Annotated[int, msgspec.Meta(ge=10, le=5000)] = 100


class _Lot(_Part, frozen=True, kw_only=True, forbid_unknown_fields=True):
    id: Number
    code: Annotated[str, msgspec.Meta(pattern="^[0-9A-HJKMNP-TV-Z]{6,16}$")]
    name: Text
    address: Text
    names: NameKind
    position: _Position
    time_zone: str = "Asia/Tokyo"
    day_starts: Annotated[int, msgspec.Meta(ge=0, le=23)] = 0


class _Fee(_Part, frozen=True, kw_only=True, forbid_unknown_fields=True):
    by: FeeBy
    tariff: str = ""
    lease_seconds: Annotated[int, msgspec.Meta(ge=30, le=3600)] = 300


class _Exit(_Part, frozen=True, kw_only=True):
    id: Annotated[str, msgspec.Meta(pattern="^[A-Za-z0-9_-]{1,16}$")]
    kind: ExitKind
    label: Text
    bay: str = ""


class _Profile(_Part, frozen=True, kw_only=True):
    lot: _Lot
    fee: _Fee
    policy: Policy = msgspec.field(default_factory=Policy)
    exit: tuple[_Exit, ...] = ()


@dataclass(frozen=True, slots=True)
class Lot:
    """A lot as the cloud's own parts see it.

    `exits`: lanes where a release can follow; plates belong to bays. `heard_at`: the last contact that was kept.
    """

    id: LotId
    code: str
    name: Text
    address: Text
    names: NameKind
    zone: ZoneInfo
    day_starts: int
    latitude: float
    longitude: float
    radius_m: int
    fee_by: FeeBy
    lease_seconds: int
    tariff: Tariff | None
    exits: dict[str, Text]
    policy: Policy
    heard_at: datetime | None

    def day_begins(self, at: datetime) -> datetime:
        """When the business day of `at` began, in UTC: at the lot's cut-over hour, which need not be midnight."""
        return _day_begins(at, self.zone, self.day_starts)

    @property
    def place(self) -> Place:
        """What a fee depends on."""
        return Place(self.zone, self.day_starts, jpholiday.is_holiday)

    def page(self, *, online: bool, heard_at: datetime | None = None, pay_offline: bool = False) -> LotPage:
        """The lot as its driver sees it."""
        return LotPage(
            self.id,
            self.code,
            self.name,
            self.address,
            self.names,
            self.zone.key,
            self.exits,
            online,
            self.latitude,
            self.longitude,
            self.radius_m,
            self.policy.when_down.value,
            heard_at,
            pay_offline,
        )


def fold_code(typed: str) -> str:
    """A code as typed, in Crockford's alphabet: separators go, `O` reads as 0, `I` and `L` as 1."""
    kept = "".join(sign for sign in typed.upper() if sign.isalnum())
    return kept.translate(str.maketrans("OIL", "011"))


def read_profile(path: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A lot's profile as rows of `lots` and `lot_exits`, with its tariff checked.

    Raises Environment(CONFIG): malformed, no such zone, tariff missing or wrong, its examples do not hold, or a policy
    that contradicts itself.
    """
    profile = read_toml(path, _Profile, _SEE)
    lot, fee = profile.lot, profile.fee
    try:
        zone = ZoneInfo(lot.time_zone)
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise Environment(
            Code.CONFIG, f"{path}: no time zone {lot.time_zone!r} - at `$.lot.time_zone`", _SEE
        ) from error
    tariff = _tariff(path, fee, Place(zone, lot.day_starts, jpholiday.is_holiday))
    if wrong := policy.mistake(profile.policy, fee_by_cloud=fee.by is FeeBy.CLOUD):
        raise Environment(Code.CONFIG, f"{path}: {wrong[1]} - at `$.policy.{wrong[0]}`", _SEE)
    row = {
        "id": lot.id,
        "code": lot.code,
        "name": lot.name,
        "address": lot.address,
        "names": lot.names.value,
        "time_zone": lot.time_zone,
        "day_starts": lot.day_starts,
        **msgspec.structs.asdict(lot.position),
        "fee_by": fee.by.value,
        "lease_seconds": fee.lease_seconds,
        "tariff": msgspec.json.encode(tariff).decode() if tariff else None,
        **profile.policy.row(),
    }
    exits = [
        {
            "lot_id": lot.id,
            "exit_id": one.id,
            "position": at,
            "kind": one.kind.value,
            "label": one.label,
            "bay": one.bay,
        }
        for at, one in enumerate(profile.exit)
    ]
    return row, exits


def _tariff(path: Path, fee: _Fee, place: Place) -> Tariff | None:
    if fee.by is FeeBy.LEGACY:
        return None
    if not fee.tariff:
        raise Environment(Code.CONFIG, f"{path}: fee by {fee.by.value} needs a tariff - at `$.fee.tariff`", _SEE)
    file = path.parent / fee.tariff
    tariff = read_toml(file, Tariff, "see docs/cloud-config.md for the tariff's keys")
    for mistake in mistakes(tariff, place):
        raise Environment(Code.CONFIG, f"{file}: {mistake}", "correct the rule or the example")
    return tariff


async def add(tx: Transaction, row: dict[str, Any], exits: list[dict[str, Any]], operator: tuple[int, str]) -> bool:
    """Onboard a lot, or bring an onboarded one up to date; whether it is new.

    Raises Environment(CONFIG) if its code belongs to another lot, or the lot to another operator.
    """
    db, (operator_id, name) = tx.connection, operator
    if not (await db.execute(select(operators.c.id).where(operators.c.id == operator_id))).first():
        await db.execute(insert(operators).values(id=operator_id, name=name))
    owner = (await db.execute(select(lots.c.operator_id).where(lots.c.id == row["id"]))).scalar()
    if owner not in (None, operator_id):
        raise Environment(Code.CONFIG, f"lot {row['id']} belongs to operator {owner}", "choose another lot id")
    try:
        if owner is None:
            start = {"operator_id": operator_id, "completions": 0, "generation": 0, "feed_floor": 0}
            await db.execute(insert(lots).values(**row, **start))
        else:
            await db.execute(update(lots).where(lots.c.id == row["id"]).values(**row))
    except IntegrityError as error:
        raise Environment(Code.CONFIG, f"code {row['code']} belongs to another lot", "choose another code") from error
    await db.execute(delete(lot_exits).where(lot_exits.c.lot_id == row["id"]))
    if exits:
        await db.execute(insert(lot_exits), exits)
    return owner is None


async def by_code(db: AsyncConnection, code: str) -> Lot:
    """The lot with a code as printed or typed. Raises Refused(LOT_UNKNOWN)."""
    row = (await db.execute(select(lots).where(lots.c.code == fold_code(code)))).mappings().first()
    if row is None:
        raise Refused(Code.LOT_UNKNOWN, "no lot has this code", "check the code on the poster")
    return await _lot(db, row)


async def by_id(db: AsyncConnection, lot: int) -> Lot:
    """The lot with a number. Raises Refused(LOT_UNKNOWN)."""
    row = (await db.execute(select(lots).where(lots.c.id == lot))).mappings().first()
    if row is None:
        raise Refused(Code.LOT_UNKNOWN, f"no lot {lot}", "onboard it: python -m cloud lot add PROFILE")
    return await _lot(db, row)


async def nightly_due(db: AsyncConnection, now: datetime) -> list[tuple[int, datetime]]:
    """The lots whose day has ended and whose nightly work is not done: number, and when the new day began."""
    query = select(lots.c.id, lots.c.time_zone, lots.c.day_starts, lots.c.nightly_at).order_by(lots.c.id)
    found = [
        (row.id, _day_begins(now, ZoneInfo(row.time_zone), row.day_starts), row.nightly_at)
        for row in await db.execute(query)
    ]
    return [(lot, begin) for lot, begin, done in found if done is None or done < begin]


async def nightly_done(tx: Transaction, lot: int, begin: datetime) -> None:
    """The nightly work for the day that ended at `begin` is done."""
    await tx.connection.execute(update(lots).where(lots.c.id == lot).values(nightly_at=begin))


async def heard(tx: Transaction, lot: int, at: datetime) -> None:
    """Keep when a lot was last heard."""
    await tx.connection.execute(update(lots).where(lots.c.id == lot).values(heard_at=at))


async def near(db: AsyncConnection, latitude: float, longitude: float) -> list[tuple[Lot, int]]:
    """Lots within 3 km by distance in metres, nearest first, at most five."""
    lat_span = NEAR_METRES / _METRES_PER_DEGREE
    lon_span = lat_span / max(math.cos(math.radians(latitude)), 0.01)
    box = select(lots).where(
        lots.c.latitude.between(latitude - lat_span, latitude + lat_span),
        lots.c.longitude.between(longitude - lon_span, longitude + lon_span),
    )
    found = [(row, distance(latitude, longitude, row)) for row in (await db.execute(box)).mappings()]
    found = sorted((pair for pair in found if pair[1] <= NEAR_METRES), key=lambda pair: pair[1])
    return [(await _lot(db, row), metres) for row, metres in found[:MOST_NEAR]]


def distance(latitude: float, longitude: float, row: RowMapping) -> int:
    """Metres between a position and a lot, on a plane: exact to a metre within a few kilometres."""
    north = (row["latitude"] - latitude) * _METRES_PER_DEGREE
    east = (row["longitude"] - longitude) * _METRES_PER_DEGREE * math.cos(math.radians(latitude))
    return round(math.hypot(north, east))


async def _lot(db: AsyncConnection, row: RowMapping) -> Lot:
    lanes = (
        select(lot_exits.c.exit_id, lot_exits.c.label)
        .where(lot_exits.c.lot_id == row["id"], lot_exits.c.bay == "")
        .order_by(lot_exits.c.position)
    )
    return Lot(
        LotId(row["id"]),
        row["code"],
        row["name"],
        row["address"],
        NameKind(row["names"]),
        ZoneInfo(row["time_zone"]),
        row["day_starts"],
        row["latitude"],
        row["longitude"],
        row["radius_m"],
        FeeBy(row["fee_by"]),
        row["lease_seconds"],
        msgspec.json.decode(row["tariff"], type=Tariff) if row["tariff"] else None,
        {lane.exit_id: lane.label for lane in await db.execute(lanes)},
        Policy.of_row(row),
        row["heard_at"],
    )


def _day_begins(at: datetime, zone: ZoneInfo, hour: int) -> datetime:
    return day_span(day_of(at, zone, hour), zone, hour)[0]
