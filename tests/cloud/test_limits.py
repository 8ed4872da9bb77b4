"""Wrong numbers cost time, right ones nothing."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from cloud.limits import MOST_KEPT, PLAIN_WAIT, SLOW_WAIT, SPARE, Bucket, Lookups, Rate, TooMany, client_of
from parking.errors import Code

START = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
FIVE = Rate(5, timedelta(minutes=10))


def second(n: float) -> datetime:
    return START + timedelta(seconds=n)


def lookups(client: Rate = FIVE, lot: int = 50) -> Lookups:
    return Lookups(client, Rate(lot, timedelta(hours=1)))


def miss(kept: Lookups, client: str, lot: int, at: datetime) -> float:
    """One wrong number; raises TooMany if it is not even looked up."""
    with kept.one(client, lot, at):
        pass
    return kept.missed(client, lot, at)


def misses_let_through(kept: Lookups, client: str, lot: int, times: list[datetime]) -> int:
    done = 0
    for at in times:
        try:
            miss(kept, client, lot, at)
            done += 1
        except TooMany:
            pass
    return done


def test_the_sixth_wrong_number_within_ten_minutes_waits_two_minutes():
    kept = lookups()
    for n in range(5):
        miss(kept, "a", 1, second(n))
    with pytest.raises(TooMany) as told:
        miss(kept, "a", 1, second(5))
    assert told.value.code is Code.RATE_LIMITED
    assert 110 <= told.value.seconds <= 120
    miss(kept, "a", 1, second(5 + told.value.seconds))


def test_whoever_waits_as_long_as_told_is_let_through():
    kept, random, now = lookups(), Random(7), START
    for _ in range(200):
        try:
            miss(kept, "a", 1, now)
        except TooMany as told:
            now += timedelta(seconds=told.seconds)
            miss(kept, "a", 1, now)
        now += timedelta(seconds=random.random() * 30)


def test_however_they_are_spread_an_hour_holds_at_most_35_wrong_numbers_of_one_address():
    for seed in range(20):
        random = Random(seed)
        times = sorted(second(random.random() * 3600) for _ in range(500))
        assert misses_let_through(lookups(lot=1000), "a", 1, times) <= 5 + 30


def test_right_numbers_cost_nothing():
    kept = lookups()
    for n in range(1000):
        with kept.one("a", 1, second(n / 100)):
            pass


def test_another_address_and_another_lot_are_not_concerned():
    kept = lookups()
    assert misses_let_through(kept, "a", 1, [START] * 20) == 5
    assert misses_let_through(kept, "b", 1, [START] * 20) == 5
    assert misses_let_through(kept, "a", 2, [START] * 20) == 5


def test_look_ups_that_run_at_once_cannot_slip_through_together():
    kept, held = lookups(), []
    for _ in range(1000):
        look = kept.one("a", 1, START)
        with suppress(TooMany):
            look.__enter__()
            held.append(look)
    assert len(held) == 5 + SPARE
    for look in held:
        look.__exit__(None, None, None)
        kept.missed("a", 1, START)
    with pytest.raises(TooMany) as told:
        miss(kept, "a", 1, START)
    assert told.value.seconds > 120, "what came in together is paid for afterwards"
    with kept.one("b", 1, START):
        pass


def test_neighbours_behind_one_address_do_not_block_each_other():
    kept = lookups()
    for _ in range(4):
        miss(kept, "carrier", 1, START)
    with kept.one("carrier", 1, START), kept.one("carrier", 1, START), kept.one("carrier", 1, START):
        pass


def test_a_lot_that_is_searched_from_many_addresses_slows_down():
    kept = lookups()
    waits = [miss(kept, f"10.0.{n // 5}.{n % 5}", 1, second(n)) for n in range(60)]
    assert set(waits[:50]) == {PLAIN_WAIT}
    assert waits[-1] == SLOW_WAIT
    assert kept.searched(1, second(60))
    assert not kept.searched(2, second(60))
    assert not kept.searched(1, second(60 + 3600))


def test_while_a_lot_is_searched_one_wrong_number_per_address_is_enough():
    kept = lookups()
    for n in range(60):
        miss(kept, f"bot{n}", 1, START)
    miss(kept, "fresh", 1, START)
    with pytest.raises(TooMany) as told:
        miss(kept, "fresh", 1, second(1))
    assert told.value.seconds <= 120
    with kept.one("a driver who types rightly", 1, second(1)):
        pass


def test_a_flood_keeps_a_lot_slow_for_no_longer_than_it_lasts():
    kept = lookups()
    for n in range(5000):
        kept.missed(f"bot{n}", 1, START)
    assert not kept.searched(1, START + timedelta(minutes=3))


def test_a_clock_that_jumps_takes_nothing_away_and_gives_nothing_twice():
    bucket = FIVE.taken(FIVE.full(START), START)
    back = FIVE.refilled(bucket, START - timedelta(days=3))
    assert back.tokens == bucket.tokens
    assert FIVE.refilled(back, START) == bucket
    assert FIVE.refilled(bucket, START + timedelta(days=3)) == Bucket(5.0, START + timedelta(days=3))


def test_memory_is_bounded():
    kept = lookups()
    for n in range(MOST_KEPT + 500):
        kept.missed(f"{n}", 1, START)
    assert len(kept._clients) == MOST_KEPT
    assert not kept._under_way


@pytest.mark.parametrize(
    ("peer", "header", "counted"),
    [
        ("192.0.2.7", [], "192.0.2.7"),
        ("10.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["198.51.100.1, 203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["1.1.1.1", "198.51.100.1, 203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["203.0.113.9:55123"], "203.0.113.9"),
        ("10.0.0.1", ["unknown"], "10.0.0.1"),
        ("10.0.0.1", [""], "10.0.0.1"),
        ("10.0.0.1", ["2001:db8:1:2:aaaa::1"], "2001:db8:1:2::/64"),
        ("10.0.0.1", ["[2001:db8:1:2::99]:443"], "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", [], "192.0.2.7"),
        ("testclient", [], "testclient"),
    ],
)
def test_the_address_is_the_one_that_our_own_proxy_saw(peer, header, counted):
    assert client_of(peer, header) == counted
