"""A business day: told by the bridge, compared, explained, closed; over a running cloud."""

from argparse import Namespace
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select, update

from cloud import day_report, days, lots
from cloud.day_commands import DayCommands
from cloud.day_rounds import DayRounds
from cloud.payments.base import ProviderState
from cloud.schema import alarms, completions
from parking.errors import Refused
from parking.money import Yen
from parking.outcome import Evidence, EvidenceKind, Level
from parking.reports import ExitCount, JournalRow, LotDay, Override, OverrideMatched, Settled, Whose, day_of, day_span

WAKABA = 1001
TOKYO = ZoneInfo("Asia/Tokyo")


def now() -> datetime:
    return datetime.now(UTC)


def settled(number: int) -> Settled:
    seen = (Evidence(EvidenceKind.OBSERVED, "plate down"),)
    return Settled(number=number, at=now(), level=Level.PHYSICALLY_OBSERVED, evidence=seen)


@pytest.fixture
def today() -> date:
    return day_of(now(), TOKYO, 0)


@pytest.fixture
def bridge(cloud):
    """The bridge of a lot where bay 7 was paid by phone and released."""
    made = cloud.bridge(WAKABA)
    made.car(WAKABA, "7")
    made.token, made.order = cloud.pay("WAKABA1", "7")
    cloud.approve(made.order)
    assert made.report(WAKABA, settled(1)).ok
    cloud.until(lambda: cloud.standing(made.order) == "captured")
    return made


def tell(bridge, day: date, *rows: JournalRow, part: int = 1, parts: int = 1, at: datetime | None = None) -> None:
    told = LotDay(day=day.isoformat(), part=part, parts=parts, at=at or now(), journal=rows, legacy=None, counts=())
    assert bridge.report(WAKABA, told).ok


def row(number: int = 1, phase: str = "settled", amount: int = 0) -> JournalRow:
    return JournalRow(number=number, phase=phase, amount=amount)


def report(cloud, day: date) -> days.DayReport:
    async def read() -> days.DayReport:
        async with cloud.cloud.store.read() as db:
            return await days.report(db, WAKABA, day)

    return cloud.do(read())


def amount(cloud, order: str) -> int:
    return int(cloud.provider.books[order][1])


def write(cloud, work) -> None:
    async def run() -> None:
        async with cloud.cloud.store.write() as tx:
            await work(tx)

    cloud.do(run())


def test_a_day_is_compared_as_soon_as_the_bridge_has_told_of_it(cloud, bridge, today):
    tell(bridge, today, row(amount=amount(cloud, bridge.order)))
    cloud.until(lambda: report(cloud, today).compared_at is not None)
    found = report(cloud, today)
    assert found.differences == ()
    assert found.totals is not None
    assert found.totals.captured == amount(cloud, bridge.order)


def test_a_day_told_in_parts_is_compared_once_it_is_whole(cloud, bridge, today):
    at = now()
    tell(bridge, today, row(amount=amount(cloud, bridge.order)), part=1, parts=2, at=at)
    assert cloud.do(_waiting(cloud)) == []
    tell(bridge, today, part=2, parts=2, at=at)
    cloud.until(lambda: report(cloud, today).compared_at is not None)
    assert report(cloud, today).differences == ()


async def _waiting(cloud) -> list[tuple[int, str]]:
    async with cloud.cloud.store.read() as db:
        return await days.waiting(db)


def test_every_difference_needs_a_reason_before_the_day_closes(cloud, bridge, today):
    tell(bridge, today, row(amount=amount(cloud, bridge.order)), row(9, amount=500))
    cloud.until(lambda: report(cloud, today).compared_at is not None)
    (difference,) = report(cloud, today).differences
    assert difference.key == "journal_only:9"
    with pytest.raises(Refused, match="no reason yet: journal_only:9"):
        write(cloud, lambda tx: days.close(tx, WAKABA, today, "Sato", now()))
    with pytest.raises(Refused, match="a reason and a name"):
        write(cloud, lambda tx: days.explain(tx, WAKABA, today, difference.key, "  ", "Sato", now()))
    with pytest.raises(Refused, match="no difference"):
        write(cloud, lambda tx: days.explain(tx, WAKABA, today, "nonsense", "why", "Sato", now()))
    write(cloud, lambda tx: days.explain(tx, WAKABA, today, difference.key, "typed by mistake", "Sato", now()))
    write(cloud, lambda tx: days.close(tx, WAKABA, today, "Sato", now()))
    found = report(cloud, today)
    assert (found.closed_by, found.unexplained) == ("Sato", ())


def test_a_reason_stays_with_its_difference_and_goes_with_it(cloud, bridge, today):
    sum_ = amount(cloud, bridge.order)
    tell(bridge, today, row(amount=sum_), row(9, amount=500))
    cloud.until(lambda: report(cloud, today).compared_at is not None)
    write(cloud, lambda tx: days.explain(tx, WAKABA, today, "journal_only:9", "typed by mistake", "Sato", now()))
    before = report(cloud, today).compared_at
    tell(bridge, today, row(amount=sum_), row(9, amount=500), at=now() + timedelta(seconds=1))
    cloud.until(lambda: report(cloud, today).compared_at != before)
    assert [one.reason for one in report(cloud, today).differences] == ["typed by mistake"]
    tell(bridge, today, row(amount=sum_), at=now() + timedelta(seconds=2))
    cloud.until(lambda: report(cloud, today).differences == ())


def keys(cloud, day: date) -> list[str]:
    return [one.key for one in report(cloud, day).differences]


def opened(command_id: str, at: datetime | None = None) -> Override:
    said = {"verb": "release", "exit": "7", "actor": "Sato", "reason": "stuck", "outcome": "confirmed"}
    return Override(command_id=command_id, at=at or now(), stay=None, whose=Whose.LATER, **said)


def test_an_opening_of_which_nobody_has_said_for_whom_keeps_its_day_open_until_somebody_does(cloud, bridge, today):
    assert bridge.report(WAKABA, opened("c1"), opened("c2", now() - timedelta(days=1))).ok
    tell(bridge, today, row(amount=amount(cloud, bridge.order)))
    cloud.until(lambda: keys(cloud, today) == ["override_unmatched:c1"])
    with pytest.raises(Refused, match="override_unmatched"):
        write(cloud, lambda tx: days.close(tx, WAKABA, today, "Sato", now()))
    said = {"actor": "Sato", "reason": "a delivery to the kiosk", "whose": Whose.NOBODY, "stay": None}
    assert bridge.report(WAKABA, OverrideMatched(command_id="c1", at=now(), **said)).ok
    cloud.until(lambda: keys(cloud, today) == [])


def test_a_payment_belongs_to_the_day_that_its_completion_states_whenever_it_was_signed(cloud, bridge, today):
    """The provider told of it late: signed after the cut-over, paid before it. The bridge knows the latter only."""

    async def signed_later(tx) -> None:
        late = now() + timedelta(days=1)
        await tx.connection.execute(update(completions).values(issued_at=late))

    write(cloud, signed_later)
    tell(bridge, today, row(amount=amount(cloud, bridge.order)))
    cloud.until(lambda: report(cloud, today).compared_at is not None)
    found = report(cloud, today)
    assert (found.differences, found.totals.payments) == ((), 1)


def test_a_day_that_is_told_otherwise_after_its_close_stays_closed_and_is_looked_into_next(cloud, bridge, today):
    sum_ = amount(cloud, bridge.order)
    tell(bridge, today - timedelta(days=1), at=now() - timedelta(seconds=9))
    cloud.until(lambda: report(cloud, today - timedelta(days=1)).compared_at is not None)
    write(cloud, lambda tx: days.close(tx, WAKABA, today - timedelta(days=1), "Sato", now()))
    before = report(cloud, today - timedelta(days=1))
    tell(bridge, today - timedelta(days=1), row(9, amount=500), at=now())
    tell(bridge, today, row(amount=sum_))
    cloud.until(lambda: keys(cloud, today) == [f"told_after_close:{today - timedelta(days=1)}"])
    assert report(cloud, today - timedelta(days=1)) == before
    assert any("is closed" in text for text in cloud.do(_alarms(cloud)))


def test_a_day_is_compared_once_more_before_it_closes(cloud, bridge, today):
    tell(bridge, today, row(amount=amount(cloud, bridge.order)))
    cloud.until(lambda: report(cloud, today).compared_at is not None)
    cloud.provider.books["stranger"] = (ProviderState.CAPTURED, Yen(700))
    commands = DayCommands(cloud.cloud.store, {cloud.provider.name: cloud.provider}, cloud.clock)
    options = Namespace(
        lot="WAKABA1", day=today.isoformat(), by="Sato", language="en", key="all", reason="a test charge"
    )
    with pytest.raises(Refused, match="provider_only:stranger"):
        cloud.do(commands.close(options))
    assert "✓" in cloud.do(commands.explain(options))
    assert "closed by Sato" in cloud.do(commands.close(options))
    with pytest.raises(Refused, match="is closed"):
        cloud.do(commands.close(options))


def test_a_closed_day_is_closed(cloud, bridge, today):
    tell(bridge, today, row(amount=amount(cloud, bridge.order)))
    cloud.until(lambda: report(cloud, today).compared_at is not None)
    write(cloud, lambda tx: days.close(tx, WAKABA, today, "Sato", now()))
    for work in (
        lambda tx: days.close(tx, WAKABA, today, "Sato", now()),
        lambda tx: days.explain(tx, WAKABA, today, "x", "why", "Sato", now()),
    ):
        with pytest.raises(Refused, match="closed"):
            write(cloud, work)


def test_money_at_the_provider_under_an_order_of_nobody_is_found(cloud, bridge, today):
    cloud.provider.books["stranger"] = (ProviderState.CAPTURED, Yen(700))
    tell(bridge, today, row(amount=amount(cloud, bridge.order)))
    cloud.until(lambda: report(cloud, today).compared_at is not None)
    assert [(one.key, one.yen) for one in report(cloud, today).differences] == [("provider_only:stranger", 700)]


@pytest.mark.parametrize("later", [1, 3])
def test_a_bridge_that_says_nothing_is_a_difference_too_on_each_day_the_cloud_was_down(cloud, bridge, today, later):
    rounds = DayRounds(cloud.cloud.store, {cloud.provider.name: cloud.provider}, cloud.clock)
    cloud.clock.ahead = timedelta(days=later, hours=1)
    cloud.do(rounds.round())
    assert [one.key for one in report(cloud, today).differences] == ["no_report:day"]
    for day in (today + timedelta(days=n) for n in range(1, later)):
        assert report(cloud, day).compared_at is not None, day
    assert report(cloud, today - timedelta(days=1)).compared_at is None  # before its bridge was there


def test_differences_raise_one_alarm_each_time_new_ones_turn_up(cloud, bridge, today):
    tell(bridge, today, row(amount=amount(cloud, bridge.order)), row(9, amount=500), row(10, amount=500))
    cloud.until(lambda: report(cloud, today).compared_at is not None)
    assert [text.partition(": ")[2] for text in cloud.do(_alarms(cloud))] == [
        "2 new differences between provider, ledger, journal and legacy"
    ]


async def _alarms(cloud) -> list[str]:
    async with cloud.cloud.store.read() as db:
        return list((await db.execute(select(alarms.c.detail))).scalars())


@pytest.mark.parametrize("language", ["ja", "en"])
def test_the_report_can_be_read(cloud, bridge, today, language):
    tell(bridge, today, row(amount=amount(cloud, bridge.order)), row(9, amount=500))
    cloud.until(lambda: report(cloud, today).compared_at is not None)
    text = day_report.render(report(cloud, today), "若葉町", language, None)
    assert "若葉町" in text
    assert "[journal_only:9]" in text
    assert "500" in text
    assert ("forged" in text) is (language == "en")


def test_a_business_day_begins_at_the_cut_over_hour_of_the_lot():
    zone = ZoneInfo("Asia/Tokyo")
    begins, ends = day_span(date(2026, 11, 24), zone, 4)
    assert (begins.isoformat(), ends - begins) == ("2026-11-23T19:00:00+00:00", timedelta(days=1))
    assert day_of(begins, zone, 4) == date(2026, 11, 24)
    assert day_of(begins - timedelta(seconds=1), zone, 4) == date(2026, 11, 23)


def test_exits_that_moved_unexplained_are_named(cloud, bridge, today):
    told = LotDay(
        day=today.isoformat(),
        part=1,
        parts=1,
        at=now(),
        journal=(row(amount=amount(cloud, bridge.order)),),
        legacy=None,
        counts=(ExitCount(exit="7", moved=2, by_relay=1, by_hand=0),),
    )
    assert bridge.report(WAKABA, told).ok
    cloud.until(lambda: [one.key for one in report(cloud, today).differences] == ["count:7"])
    assert lots.fold_code("wakaba1") == "WAKABA1"
