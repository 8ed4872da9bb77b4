"""What a stay costs: published worked fees, and what must hold for every tariff."""

import tomllib
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import jpholiday
import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cloud.tariff import Band, Cap, CapKind, Place, Tariff, fee, mistakes

TOKYO = ZoneInfo("Asia/Tokyo")
PLACE = Place(TOKYO, 0, jpholiday.is_holiday)
SEEDS = Path(__file__).parents[2] / "seeds" / "tariffs"


def local(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=TOKYO)


def a_tariff(toml: str) -> Tariff:
    head = 'id = "t"\nversion = 1\nname = {ja = "t", en = "t"}\n'
    return msgspec.convert(tomllib.loads(head + toml), Tariff)


def flat(minutes: int, yen: int, cap: str = "") -> Tariff:
    band = f'[[band]]\nfrom = "00:00"\nto = "24:00"\nunit_minutes = {minutes}\nunit_yen = {yen}\n'
    return a_tariff(band + cap)


ONCE_24H = flat(30, 300, '[[cap]]\nkind = "hours_from_entry"\nhours = 24\nyen = 1000\nrepeat = false\n')
UNTIL_MIDNIGHT = flat(30, 100, '[[cap]]\nkind = "until_local_time"\nat = "24:00"\nyen = 500\nrepeat = false\n')
DAY_NIGHT_1300 = a_tariff(
    """
    [[band]]
    from = "08:00"
    to = "24:00"
    unit_minutes = 40
    unit_yen = 200
    [[band]]
    from = "00:00"
    to = "08:00"
    unit_minutes = 60
    unit_yen = 100
    [[cap]]
    kind = "hours_from_entry"
    hours = 24
    yen = 1300
    """
)
DAYTIME_MAX = flat(60, 100, '[[cap]]\nkind = "band"\nfrom = "08:00"\nto = "18:00"\nyen = 500\n')


@pytest.mark.parametrize(
    ("tariff", "enter", "leave", "yen"),
    [
        (ONCE_24H, "2026-11-24T10:10", "2026-11-25T10:10", 1_000),
        (ONCE_24H, "2026-11-24T10:10", "2026-11-26T10:10", 15_400),
        (UNTIL_MIDNIGHT, "2026-11-24T17:00", "2026-11-25T06:00", 1_700),
        (DAY_NIGHT_1300, "2026-11-24T09:00", "2026-11-27T09:00", 3_900),
        (DAYTIME_MAX, "2026-11-24T09:00", "2026-11-24T15:59", 500),
    ],
    ids=["once-24h", "once-48h", "until-24:00", "72h-repeat", "band-max"],
)
def test_published_fees_come_out(tariff, enter, leave, yen):
    assert fee(tariff, PLACE, local(enter), local(leave)).amount == yen


def test_without_its_caps_the_published_fees_are_higher():
    bare = msgspec.structs.replace(DAYTIME_MAX, cap=())
    assert fee(bare, PLACE, local("2026-11-24T09:00"), local("2026-11-24T15:59")).amount == 700


def test_the_shipped_tariff_holds_its_own_examples():
    tariff = msgspec.convert(tomllib.loads((SEEDS / "day-night.toml").read_text()), Tariff)
    assert mistakes(tariff, PLACE) == []


def test_an_example_that_does_not_hold_is_named():
    tariff = a_tariff(
        """
        [[band]]
        from = "00:00"
        to = "24:00"
        unit_minutes = 30
        unit_yen = 100
        [[example]]
        enter = "2026-11-24T09:00:00+09:00"
        leave = "2026-11-24T10:00:01+09:00"
        yen = 200
        """
    )
    assert mistakes(tariff, PLACE) == ["$.example[0]: is said to cost 200 yen, but the rules give 300"]


def test_free_minutes_are_free_and_count_once_they_are_over():
    tariff = msgspec.structs.replace(flat(30, 200), free_minutes=5)
    entered = local("2026-11-24T09:00")
    inside = fee(tariff, PLACE, entered, entered + timedelta(minutes=5))
    assert (inside.amount, inside.stable_until) == (0, entered + timedelta(minutes=5))
    assert fee(tariff, PLACE, entered, entered + timedelta(minutes=5, seconds=1)).amount == 200


def test_a_begun_unit_costs_all_of_it_and_an_ended_one_no_more():
    entered = local("2026-11-24T09:00")
    assert fee(flat(30, 100), PLACE, entered, entered + timedelta(minutes=30)).amount == 100
    assert fee(flat(30, 100), PLACE, entered, entered + timedelta(minutes=30, seconds=1)).amount == 200


def test_a_holiday_is_nothing_but_a_holiday():
    tariff = a_tariff(
        """
        [[band]]
        days = ["mon", "tue", "wed", "thu", "fri"]
        from = "00:00"
        to = "24:00"
        unit_minutes = 60
        unit_yen = 100
        [[band]]
        days = ["sat", "sun", "holiday"]
        from = "00:00"
        to = "24:00"
        unit_minutes = 60
        unit_yen = 300
        """
    )
    assert mistakes(tariff, PLACE) == []
    # 23 November is Labour Thanksgiving Day, in 2026 a Monday
    assert fee(tariff, PLACE, local("2026-11-23T10:00"), local("2026-11-23T10:30")).amount == 300
    assert fee(tariff, PLACE, local("2026-11-24T10:00"), local("2026-11-24T10:30")).amount == 100


def test_a_band_over_midnight_belongs_to_the_day_on_which_it_began():
    tariff = a_tariff(
        """
        [[band]]
        from = "08:00"
        to = "20:00"
        unit_minutes = 60
        unit_yen = 500
        [[band]]
        days = ["mon", "tue", "wed", "thu", "sun", "holiday"]
        from = "20:00"
        to = "08:00"
        unit_minutes = 60
        unit_yen = 100
        [[band]]
        days = ["fri", "sat"]
        from = "20:00"
        to = "08:00"
        unit_minutes = 60
        unit_yen = 250
        """
    )
    assert mistakes(tariff, PLACE) == []
    assert fee(tariff, PLACE, local("2026-11-28T02:00"), local("2026-11-28T02:30")).amount == 250  # Friday's night
    assert fee(tariff, PLACE, local("2026-11-30T02:00"), local("2026-11-30T02:30")).amount == 100  # Sunday's night


def test_a_unit_ends_where_a_dearer_band_begins():
    tariff = a_tariff(
        """
        [[band]]
        from = "08:00"
        to = "20:00"
        unit_minutes = 30
        unit_yen = 200
        [[band]]
        from = "20:00"
        to = "08:00"
        unit_minutes = 60
        unit_yen = 100
        """
    )
    assert fee(tariff, PLACE, local("2026-11-24T07:50"), local("2026-11-24T08:10")).amount == 300


def test_a_days_cap_ends_at_the_lots_own_cut_over_hour():
    tariff = flat(60, 100, '[[cap]]\nkind = "until_local_time"\nyen = 300\n')
    four = Place(TOKYO, 4, jpholiday.is_holiday)
    enter, leave = local("2026-11-24T22:00"), local("2026-11-25T05:00")
    assert fee(tariff, four, enter, leave).amount == 300 + 100
    assert fee(tariff, PLACE, enter, leave).amount == 200 + 300


def test_the_working_adds_up_and_names_the_cap():
    found = fee(DAY_NIGHT_1300, PLACE, local("2026-11-24T09:00"), local("2026-11-25T07:00"))
    assert sum(line.amount for line in found.lines) == found.amount == 1_300
    assert found.lines[-1].text["ja"] == "入庫後24時間最大1,300円"
    assert all(line.text["ja"] and line.text["en"] for line in found.lines)


@pytest.mark.parametrize(
    ("toml", "problem"),
    [
        ('[[band]]\nfrom = "08:00"\nto = "20:00"\nunit_minutes = 30\nunit_yen = 1\n', "no band at 00:00 on mon"),
        (
            (
                '[[band]]\nfrom = "00:00"\nto = "24:00"\nunit_minutes = 30\nunit_yen = 1\n'
                '[[band]]\nfrom = "10:00"\nto = "12:00"\nunit_minutes = 30\nunit_yen = 2\n'
            ),
            "bands 1 and 2 at 10:00",
        ),
        (
            (
                '[[band]]\nfrom = "00:00"\nto = "24:00"\nunit_minutes = 30\nunit_yen = 1\n'
                '[[cap]]\nkind = "band"\nyen = 5\n'
            ),
            "$.cap[0]: a band cap needs `from` and `to`",
        ),
    ],
    ids=["gap", "overlap", "cap"],
)
def test_a_tariff_with_a_hole_is_refused_with_its_place(toml, problem):
    assert any(problem in found for found in mistakes(a_tariff(toml), PLACE))


caps = st.one_of(
    st.builds(Cap, kind=st.just(CapKind.HOURS_FROM_ENTRY), yen=st.integers(100, 3000), hours=st.integers(1, 48)),
    st.builds(
        Cap,
        kind=st.just(CapKind.UNTIL_LOCAL_TIME),
        yen=st.integers(100, 3000),
        at=st.sampled_from([None, "24:00", "05:00"]),
    ),
    st.builds(
        Cap,
        kind=st.just(CapKind.BAND),
        yen=st.integers(100, 3000),
        start=st.sampled_from(["08:00", "18:00"]),
        end=st.sampled_from(["12:00", "06:00", "24:00"]),
        repeat=st.booleans(),
    ),
)


@st.composite
def tariffs(draw):
    edges = draw(st.sampled_from([("00:00", "24:00"), ("08:00", "20:00"), ("06:30", "22:00")]))
    unit, price = st.sampled_from([10, 15, 20, 30, 40, 60]), st.integers(0, 500)
    bands = [Band(start=edges[0], end=edges[1], unit_minutes=draw(unit), unit_yen=draw(price))]
    if edges != ("00:00", "24:00"):
        bands.append(Band(start=edges[1], end=edges[0], unit_minutes=draw(unit), unit_yen=draw(price)))
    made = tuple(draw(st.lists(caps, max_size=3)))
    free = draw(st.sampled_from([0, 5, 30]))
    return Tariff(id="t", version=1, name={}, band=tuple(bands), cap=made, free_minutes=free)


entries = st.integers(1_767_225_600, 1_830_211_200).map(lambda seconds: datetime.fromtimestamp(seconds, UTC))
lengths = st.integers(0, 4 * 24 * 3600).map(lambda seconds: timedelta(seconds=seconds))


@settings(max_examples=70, deadline=None)
@given(tariff=tariffs(), entered=entries, shorter=lengths, more=lengths)
def test_a_fee_never_falls_as_a_stay_grows(tariff, entered, shorter, more):
    first = fee(tariff, PLACE, entered, entered + shorter)
    second = fee(tariff, PLACE, entered, entered + shorter + more)
    assert type(first.amount) is int
    assert first.amount <= second.amount


@settings(max_examples=70, deadline=None)
@given(tariff=tariffs(), entered=entries, length=lengths, inside=st.floats(0, 1))
def test_a_fee_stays_until_it_is_said_to_change_and_changes_then(tariff, entered, length, inside):
    leaves = entered + length
    found = fee(tariff, PLACE, entered, leaves)
    assert found.stable_until >= leaves
    between = leaves + (found.stable_until - leaves) * inside
    assert fee(tariff, PLACE, entered, between).amount == found.amount
    if found.stable_until - leaves < timedelta(days=8):
        assert fee(tariff, PLACE, entered, found.stable_until + timedelta(microseconds=1)).amount > found.amount


@settings(max_examples=50, deadline=None)
@given(tariff=tariffs(), entered=entries, length=lengths)
def test_the_working_always_adds_up(tariff, entered, length):
    found = fee(tariff, PLACE, entered, entered + length)
    assert sum(line.amount for line in found.lines) == found.amount


@settings(max_examples=50, deadline=None)
@given(entered=entries, length=lengths, cap=st.integers(100, 2000))
@example(entered=datetime(2026, 1, 1, tzinfo=UTC), length=timedelta(days=3), cap=100)
def test_a_repeating_cap_is_never_exceeded_in_any_of_its_windows(entered, length, cap):
    tariff = msgspec.structs.replace(flat(30, 200), cap=(Cap(kind=CapKind.HOURS_FROM_ENTRY, yen=cap, hours=24),))
    windows = -(-length // timedelta(hours=24))
    assert fee(tariff, PLACE, entered, entered + length).amount <= cap * windows


def test_local_time_counts_even_where_clocks_are_turned():
    berlin = Place(ZoneInfo("Europe/Berlin"), 0, lambda day: day == date(2026, 12, 25))
    entered = datetime(2026, 10, 24, 20, tzinfo=UTC)  # the night in which one hour comes twice
    assert fee(flat(60, 100), berlin, entered, entered + timedelta(hours=12)).amount == 1_200
