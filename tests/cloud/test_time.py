"""What time brings: overdue releases, expired quotes and pages, old codes, silent lots."""

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, insert, select

from cloud.rounds import next_poll
from cloud.schema import alarms, nonces
from parking.errors import Code, Environment, Refused
from parking.reports import InDoubt

WAKABA = 1001


@pytest.fixture
def bridge(cloud):
    made = cloud.bridge(WAKABA)
    made.car(WAKABA, "7")
    return made


def count(cloud, column) -> int:
    async def find() -> int:
        async with cloud.cloud.store.read() as db:
            return (await db.execute(select(func.count(column)))).scalar_one()

    return cloud.do(find())


def test_a_release_that_takes_too_long_sends_the_driver_to_the_attendant(cloud, bridge):
    token, order = cloud.pay("WAKABA1", "7")
    cloud.approve(order)
    assert cloud.stage(token) == "releasing"
    cloud.clock.ahead = timedelta(seconds=21)
    cloud.until(lambda: cloud.stage(token) == "attendant")
    assert cloud.standing(order) == "authorized"


def test_a_quote_that_is_over_is_not_sold(cloud, bridge):
    quote = cloud.do(cloud.cloud.cashier.fee("WAKABA1", "7", ""))
    cloud.clock.ahead = quote.valid_until - datetime.now(UTC)
    with pytest.raises(Refused) as caught:
        cloud.do(cloud.cloud.cashier.pay(quote.token, "ja"))
    assert caught.value.code is Code.QUOTE_EXPIRED


def test_a_page_that_nobody_finishes_expires_and_a_late_authorization_is_voided(cloud, bridge):
    token, order = cloud.pay("WAKABA1", "7")
    cloud.clock.ahead = timedelta(minutes=7)
    cloud.until(lambda: cloud.standing(order) == "expired")
    assert cloud.stage(token) == "not_charged"
    cloud.approve(order)
    cloud.until(lambda: cloud.standing(order) == "voided")
    assert ("void", order) in cloud.provider.calls


def test_an_authorization_that_ends_soon_in_doubt_raises_one_alarm(cloud, bridge):
    _, order = cloud.pay("WAKABA1", "7")
    cloud.approve(order)
    doubt = InDoubt(number=1, at=datetime.now(UTC), code=Code.NO_REPLY, detail="silence")
    assert bridge.report(WAKABA, doubt).ok
    cloud.clock.ahead = timedelta(hours=32, seconds=1)
    cloud.until(lambda: count(cloud, alarms.c.id) == 2)  # that it is not settled yet, and that it ends soon
    assert cloud.standing(order) == "in_doubt"
    assert {verb for verb, _ in cloud.provider.calls} <= {"begin", "query", "changed_since"}


def test_an_enrolment_code_dies_after_fifteen_minutes(cloud, lot_bridge):
    code = cloud.code(WAKABA)
    cloud.clock.ahead = timedelta(minutes=15, seconds=1)
    assert lot_bridge(cloud.url).enrol(code).status_code == 403


def test_a_lot_that_falls_silent_takes_no_more_payments(cloud, bridge):
    quote = cloud.do(cloud.cloud.cashier.fee("WAKABA1", "7", ""))
    cloud.clock.ahead = timedelta(seconds=41)
    assert not cloud.do(cloud.cloud.cashier.lot("WAKABA1")).online
    with pytest.raises(Environment) as caught:
        cloud.do(cloud.cloud.cashier.pay(quote.token, "ja"))
    assert caught.value.code is Code.LOT_OFFLINE


def test_old_nonces_are_forgotten(cloud, bridge):
    assert count(cloud, nonces.c.nonce) > 0
    cloud.clock.ahead = timedelta(minutes=12)
    cloud.until(lambda: count(cloud, nonces.c.nonce) == 0)


def test_a_nonce_is_remembered_for_as_long_as_its_request_is_fresh(cloud, bridge):
    """A bridge whose clock is ahead signs requests that are fresh for almost four minutes."""
    started = datetime.now(UTC)
    prepared = bridge.signed("GET", f"/bridge/v1/lots/{WAKABA}/feed?wait=0", created=started + timedelta(seconds=110))
    assert bridge.send(prepared).ok

    async def put_an_old_one() -> None:
        async with cloud.cloud.store.write() as tx:
            row = {"bridge_id": bridge.id, "nonce": "old", "seen_at": started - timedelta(hours=1)}
            await tx.connection.execute(insert(nonces).values(**row))

    cloud.do(put_an_old_one())
    before = count(cloud, nonces.c.nonce)
    cloud.clock.ahead = timedelta(seconds=200)
    cloud.until(lambda: count(cloud, nonces.c.nonce) < before)  # those that are old are forgotten by now
    replayed = bridge.send(prepared)
    assert (replayed.status_code, replayed.json()["code"]) == (401, Code.REPLAYED)


def test_open_payments_are_asked_about_at_5_s_15_s_60_s_5_min_and_every_5_min_then():
    start = datetime(2026, 11, 24, tzinfo=UTC)
    times = [(next_poll((5, 15, 60, 300), start, polls) - start).total_seconds() for polls in range(6)]
    assert times == [5, 15, 60, 300, 600, 900]
