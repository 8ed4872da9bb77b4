"""What a stay costs by a lot's tariff (TOML, see seeds/tariffs), with its working shown. Pure: no clock, no I/O.

A stay is a row of begun units from its entry on. A unit is priced by the band in which it begins and ends early where
another band begins. Each unit adds at most what the caps leave over whose windows hold its beginning. So fees are whole
yen, constant within a unit, and never fall with time. Cap kinds after times-info.net/sp/info/max_fee: hours from entry
(駐車後X時間最大), until a time of day (当日24時まで最大), within a band (時間帯最大); each repeated, or once (1回限り).
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from enum import StrEnum
from itertools import pairwise
from typing import Annotated, Final

import msgspec

from parking.errors import BadMessage, Code
from parking.money import Yen, yen
from parking.wire import FeeLine

Clock = Annotated[str, msgspec.Meta(pattern="^([01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$")]
Units = Annotated[int, msgspec.Meta(ge=1, le=1440)]
Price = Annotated[int, msgspec.Meta(ge=0, le=100_000)]
Holiday = Callable[[date], bool]

_DAY: Final = timedelta(days=1)
_LOOK_AHEAD: Final = timedelta(days=8)


class Weekday(StrEnum):
    """The class of a local date; a holiday is nothing but a holiday."""

    MON = "mon"
    TUE = "tue"
    WED = "wed"
    THU = "thu"
    FRI = "fri"
    SAT = "sat"
    SUN = "sun"
    HOLIDAY = "holiday"


ALL_DAYS: Final = tuple(Weekday)
_BY_NUMBER: Final = ALL_DAYS[:7]


class CapKind(StrEnum):
    """Over what a cap limits the sum."""

    HOURS_FROM_ENTRY = "hours_from_entry"
    UNTIL_LOCAL_TIME = "until_local_time"
    BAND = "band"


class _Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Base of the tariff's tables: unknown keys are mistakes."""


class Band(_Table, frozen=True, kw_only=True):
    """From `start` to `end` local time (past midnight if `end` ≤ `start`) each begun unit costs `unit_yen`.

    `days` are the days on which the band begins: a Friday night runs into Saturday.
    """

    start: Clock = msgspec.field(name="from")
    end: Clock = msgspec.field(name="to")
    unit_minutes: Units
    unit_yen: Price
    days: tuple[Weekday, ...] = ALL_DAYS


class Cap(_Table, frozen=True, kw_only=True):
    """At most `yen` within a window; without `repeat` in the first window of the stay only.

    hours_from_entry needs `hours`; until_local_time takes `at` (else the lot's cut-over hour); band needs `from`, `to`.
    """

    kind: CapKind
    yen: Price
    repeat: bool = True
    hours: Annotated[int, msgspec.Meta(ge=1, le=168)] = 24
    at: Clock | None = None
    start: Clock | None = msgspec.field(default=None, name="from")
    end: Clock | None = msgspec.field(default=None, name="to")
    days: tuple[Weekday, ...] = ALL_DAYS


class Example(_Table, frozen=True, kw_only=True):
    """A worked fee that must come out."""

    enter: datetime
    leave: datetime
    yen: Annotated[int, msgspec.Meta(ge=0)]
    why: str = ""


class Tariff(_Table, frozen=True, kw_only=True):
    """A whole tariff file."""

    id: Annotated[str, msgspec.Meta(pattern="^[a-z0-9][a-z0-9-]{0,59}$")]
    version: Annotated[int, msgspec.Meta(ge=1)]
    name: dict[str, str]
    band: Annotated[tuple[Band, ...], msgspec.Meta(min_length=1)]
    free_minutes: Annotated[int, msgspec.Meta(ge=0, le=1440)] = 0
    cap: tuple[Cap, ...] = ()
    example: tuple[Example, ...] = ()

    @property
    def label(self) -> str:
        """Which tariff, as quotes keep it."""
        return f"{self.id}/{self.version}"


@dataclass(frozen=True, slots=True)
class Place:
    """What of the lot a fee depends on: its zone, the hour at which its day begins, and its holidays."""

    zone: tzinfo
    day_starts: int
    holiday: Holiday


@dataclass(frozen=True, slots=True)
class Fee:
    """An amount and its working; it stays the same up to and including `stable_until`."""

    amount: Yen
    lines: tuple[FeeLine, ...]
    stable_until: datetime


@dataclass(frozen=True, slots=True)
class _Unit:
    begins: datetime
    band: int
    price: int
    cut: int
    """How much a cap took off."""
    cap: int
    """Which cap that was; -1 if none."""


@dataclass(slots=True)
class _Window:
    """The windows of one cap over a stay: sorted (begin, end), and what each may still take."""

    spans: list[tuple[datetime, datetime]]
    room: dict[int, int] = field(default_factory=dict)

    def at(self, moment: datetime) -> int:
        found = bisect_right(self.spans, moment, key=lambda span: span[0]) - 1
        return found if found >= 0 and moment < self.spans[found][1] else -1


def fee(tariff: Tariff, place: Place, entered: datetime, leaves: datetime) -> Fee:
    """The fee of a stay from `entered` to `leaves` (aware times; not later leaves cost nothing).

    Raises BadMessage(BAD_AMOUNT) if it exceeds what can be money, BadMessage(BAD_MESSAGE) if no band covers a moment.
    """
    entered, leaves = entered.astimezone(UTC), max(leaves, entered).astimezone(UTC)
    free_until = entered + timedelta(minutes=tariff.free_minutes)
    used: list[_Unit] = []
    stable_until = leaves + _LOOK_AHEAD
    for unit in _units(tariff, place, entered, stable_until):
        if unit.begins < leaves and leaves > free_until:
            used.append(unit)
        elif unit.price > unit.cut:
            stable_until = max(unit.begins, free_until)
            break
    amount = yen(sum(unit.price - unit.cut for unit in used))
    return Fee(amount, _lines(tariff, used, free=not used), stable_until)


def mistakes(tariff: Tariff, place: Place) -> list[str]:
    """What is wrong with a tariff: moments without a band or with two, incomplete caps, examples that do not hold."""
    found = [
        f"$.cap[{at}]: a band cap needs `from` and `to`"
        for at, cap in enumerate(tariff.cap)
        if cap.kind is CapKind.BAND and not (cap.start and cap.end)
    ]
    found += _coverage(tariff)
    if found:
        return found
    for at, example in enumerate(tariff.example):
        if example.enter.utcoffset() is None or example.leave.utcoffset() is None:
            found.append(f"$.example[{at}]: times need an offset such as +09:00")
            continue
        amount = fee(tariff, place, example.enter, example.leave).amount
        if amount != example.yen:
            found.append(f"$.example[{at}]: is said to cost {example.yen} yen, but the rules give {amount}")
    return found


def _coverage(tariff: Tariff) -> Iterator[str]:
    """Every minute of every day after every other needs exactly one band."""
    edges = sorted({_minutes(edge) for band in tariff.band for edge in (band.start, band.end)} | {0, 1440})
    seen: set[str] = set()
    for yesterday in ALL_DAYS:
        for today in ALL_DAYS:
            for begin, _ in pairwise(edges):
                bands = [at for at, band in enumerate(tariff.band) if _covers(band, begin, today, yesterday)]
                if len(bands) == 1:
                    continue
                which = "no band" if not bands else "bands " + " and ".join(str(at + 1) for at in bands)
                problem = f"$.band: {which} at {begin // 60:02}:{begin % 60:02} on {today} after {yesterday}"
                if which not in seen:
                    seen.add(which)
                    yield problem


def _covers(band: Band, minute: int, today: Weekday, yesterday: Weekday) -> bool:
    start, end = _minutes(band.start), _minutes(band.end)
    if end > start:
        return today in band.days and start <= minute < end
    return (today in band.days and minute >= start) or (yesterday in band.days and minute < end)


def _units(tariff: Tariff, place: Place, entered: datetime, until: datetime) -> Iterator[_Unit]:
    """The units of a stay in order, each with what the caps take off."""
    windows = [_windows(cap, place, entered, until) for cap in tariff.cap]
    moment, (at, band_end) = entered, _band(tariff, place, entered)
    while moment < until:
        if moment >= band_end:
            at, band_end = _band(tariff, place, moment)
        band = tariff.band[at]
        room, cap = _room(tariff.cap, windows, moment)
        taken = min(band.unit_yen, room) if cap >= 0 else band.unit_yen
        _take(windows, moment, taken)
        yield _Unit(moment, at, band.unit_yen, band.unit_yen - taken, cap if taken < band.unit_yen else -1)
        moment = _unit_end(tariff, place, at, moment + timedelta(minutes=band.unit_minutes), band_end)


def _unit_end(tariff: Tariff, place: Place, at: int, unit_end: datetime, band_end: datetime) -> datetime:
    """Where a unit ends: early if another band begins before; the same band of the next day does not cut it."""
    while band_end < unit_end:
        following, following_end = _band(tariff, place, band_end)
        if following != at:
            return band_end
        band_end = following_end
    return unit_end


def _room(caps: Sequence[Cap], windows: Sequence[_Window], moment: datetime) -> tuple[int, int]:
    """How much the tightest cap leaves at a moment, and which it is (-1: none applies)."""
    least, which = 0, -1
    for at, (cap, window) in enumerate(zip(caps, windows, strict=True)):
        span = window.at(moment)
        if span >= 0:
            room = window.room.setdefault(span, cap.yen)
            if which < 0 or room < least:
                least, which = room, at
    return least, which


def _take(windows: Sequence[_Window], moment: datetime, taken: int) -> None:
    for window in windows:
        span = window.at(moment)
        if span >= 0:
            window.room[span] -= taken


def _band(tariff: Tariff, place: Place, moment: datetime) -> tuple[int, datetime]:
    """Which band holds a moment, and when that stretch of it ends."""
    local = moment.astimezone(place.zone)
    minute = local.hour * 60 + local.minute
    today = _weekday(place, local.date())
    yesterday = _weekday(place, local.date() - _DAY)
    for at, band in enumerate(tariff.band):
        if _covers(band, minute, today, yesterday):
            start, end = _minutes(band.start), _minutes(band.end)
            tomorrow = end <= start and today in band.days and minute >= start
            ends = _instant(place, local.date() + (_DAY if tomorrow else timedelta()), end)
            # where a zone turns its clocks back, a local time can lie behind us: the unit then ends by itself
            return at, ends if ends > moment else moment + _DAY
    raise BadMessage(Code.BAD_MESSAGE, f"tariff {tariff.label} has no band at {local:%a %H:%M}")


def _windows(cap: Cap, place: Place, entered: datetime, until: datetime) -> _Window:
    return _Window(list(_spans(cap, place, entered, until)))


def _spans(cap: Cap, place: Place, entered: datetime, until: datetime) -> Iterator[tuple[datetime, datetime]]:
    if cap.kind is CapKind.HOURS_FROM_ENTRY:
        spans = _from_entry(entered, timedelta(hours=cap.hours))
    elif cap.kind is CapKind.UNTIL_LOCAL_TIME:
        spans = _daily(place, entered, _minutes(cap.at) if cap.at else place.day_starts * 60)
    else:
        spans = _in_band(cap, place, entered)
    for begin, end in spans:
        if begin >= until:
            return
        if end > entered:
            yield begin, end
            if not cap.repeat:
                return


def _from_entry(entered: datetime, length: timedelta) -> Iterator[tuple[datetime, datetime]]:
    while True:
        yield entered, entered + length
        entered += length


def _daily(place: Place, entered: datetime, minute: int) -> Iterator[tuple[datetime, datetime]]:
    day = entered.astimezone(place.zone).date() - 2 * _DAY
    while True:
        yield _instant(place, day, minute), _instant(place, day + _DAY, minute)
        day += _DAY


def _in_band(cap: Cap, place: Place, entered: datetime) -> Iterator[tuple[datetime, datetime]]:
    start, end = _minutes(cap.start or "00:00"), _minutes(cap.end or "24:00")
    day = entered.astimezone(place.zone).date() - _DAY
    while True:
        if _weekday(place, day) in cap.days:
            yield _instant(place, day, start), _instant(place, day + (_DAY if end <= start else timedelta()), end)
        elif _instant(place, day, start) > entered + 400 * _DAY:
            return  # a cap for days that never come
        day += _DAY


def _weekday(place: Place, day: date) -> Weekday:
    return Weekday.HOLIDAY if place.holiday(day) else _BY_NUMBER[day.weekday()]


def _minutes(clock: str) -> int:
    return int(clock[:2]) * 60 + int(clock[3:])


def _instant(place: Place, day: date, minute: int) -> datetime:
    if minute == 1440:
        day, minute = day + _DAY, 0
    return datetime.combine(day, time(minute // 60, minute % 60), place.zone).astimezone(UTC)


def _lines(tariff: Tariff, used: Sequence[_Unit], *, free: bool) -> tuple[FeeLine, ...]:
    """The working: one line per band that was used, one per cap that took something off."""
    if free:
        text = {"ja": f"入庫後{tariff.free_minutes}分無料", "en": f"First {tariff.free_minutes} minutes free"}
        return (FeeLine(text=text, amount=0),) if tariff.free_minutes else ()
    lines = []
    for at, band in enumerate(tariff.band):
        count = sum(unit.band == at for unit in used)
        if count:
            lines.append(FeeLine(text=_band_text(band, count), amount=count * band.unit_yen))
    for at, cap in enumerate(tariff.cap):
        cut = sum(unit.cut for unit in used if unit.cap == at)
        if cut:
            lines.append(FeeLine(text=_cap_text(cap), amount=-cut))
    return tuple(lines)


def _band_text(band: Band, count: int) -> dict[str, str]:
    return {
        "ja": f"{band.start}〜{band.end} {band.unit_minutes}分{band.unit_yen:,}円 × {count}",
        "en": f"{band.start}–{band.end} ¥{band.unit_yen:,} per {band.unit_minutes} min × {count}",
    }


def _cap_text(cap: Cap) -> dict[str, str]:
    window = {
        CapKind.HOURS_FROM_ENTRY: (f"入庫後{cap.hours}時間", f"{cap.hours} hours from entry"),
        CapKind.UNTIL_LOCAL_TIME: (f"当日{cap.at or '営業日終了'}まで", f"until {cap.at or 'the end of the day'}"),
        CapKind.BAND: (f"{cap.start}〜{cap.end}", f"{cap.start}–{cap.end}"),
    }[cap.kind]
    ja, en = window
    once = ("（1回限り）", ", once") if not cap.repeat else ("", "")
    return {"ja": f"{ja}最大{cap.yen:,}円{once[0]}", "en": f"At most ¥{cap.yen:,} {en}{once[1]}"}
