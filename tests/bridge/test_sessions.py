"""A session ends when nobody is there; wrong PINs cost time, and time does not come back by turning the clock."""

from datetime import UTC, datetime, timedelta

import pytest

from bridge.sessions import ALL_NAMES, MOST_NAMES, MOST_SESSIONS, ONE_NAME, Lock, Locks, Sessions

NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
IDLE = timedelta(minutes=5)


def after(seconds):
    return NOW + timedelta(seconds=seconds)


@pytest.fixture
def sessions():
    sessions = Sessions(IDLE)
    sessions.open("token", "佐藤", NOW)
    return sessions


# --- sessions --------------------------------------------------------------------------------------------------------


def test_a_session_ends_five_minutes_after_the_last_order(sessions):
    assert sessions.who("token", after(299)).operator == "佐藤"
    assert sessions.who("token", after(300)) is None
    assert sessions.who("token", after(10)) is None  # it does not come back


def test_a_session_ends_after_twelve_hours_however_busy_it_is(sessions):
    sessions.open("token", "佐藤", NOW)
    for minutes in range(0, 12 * 60, 4):
        at = NOW + timedelta(minutes=minutes)
        sessions.used("token", at)
        assert sessions.who("token", at) is not None
    assert sessions.who("token", NOW + timedelta(hours=12)) is None


def test_an_order_prolongs_a_session_and_looking_does_not(sessions):
    sessions.who("token", after(200))
    sessions.used("token", after(250))
    assert sessions.who("token", after(549)) is not None
    assert sessions.who("token", after(550)) is None
    sessions.used("token", after(551))
    assert sessions.who("token", after(552)) is None


@pytest.mark.parametrize("token", ["", "toke", "token ", "Token", "x"])
def test_only_the_token_itself_opens_its_session(sessions, token):
    assert sessions.who(token, NOW) is None


def test_an_empty_token_is_nobodys_even_if_one_was_opened_with_it(sessions):
    sessions.open("", "鈴木", NOW)
    assert sessions.who("", NOW) is None


def test_signing_out_ends_one_session_and_says_whose(sessions):
    sessions.open("other", "佐藤", NOW)
    assert sessions.close("token").operator == "佐藤"
    assert sessions.close("token") is None
    assert sessions.who("token", NOW) is None
    assert sessions.who("other", NOW) is not None


def test_a_clock_that_goes_back_ends_sessions_rather_than_making_them_eternal(sessions):
    assert sessions.who("token", after(-20)) is not None  # a small correction
    assert sessions.who("token", after(-3 * 86_400)) is None
    assert sessions.who("token", NOW) is None


def test_sessions_are_bounded_and_the_idlest_goes(sessions):
    for number in range(MOST_SESSIONS - 1):
        sessions.open(f"t{number}", "鈴木", after(1))
    assert sessions.who("token", after(2)) is not None
    sessions.open("one more", "鈴木", after(2))
    assert sessions.who("token", after(2)) is None
    assert sessions.who("t0", after(2)) is not None


def test_a_token_is_not_kept(sessions):
    assert "token" not in repr(vars(sessions))


# --- locks -----------------------------------------------------------------------------------------------------------


def test_five_wrong_pins_lock_for_thirty_seconds_doubling_to_fifteen_minutes():
    locks, now, waits = Locks(), NOW, []
    for _ in range(13):
        waits.append(int(locks.failed("佐藤", now).total_seconds()))
        now += locks.wait("佐藤", now) + timedelta(minutes=20)  # longer than the count over all names lasts
    assert waits == [0, 0, 0, 0, 30, 60, 120, 240, 480, 900, 900, 900, 900]


def test_a_lock_is_one_names_and_ends_with_its_time():
    locks = Locks()
    for _ in range(5):
        locks.failed("佐藤", NOW)
    assert locks.wait("佐藤", after(29)) == timedelta(seconds=1)
    assert locks.wait("佐藤", after(30)) == timedelta(0)
    assert locks.wait("田中", NOW) == timedelta(0)


def test_a_right_pin_forgives_and_waiting_alone_does_not():
    locks = Locks()
    for _ in range(5):
        locks.failed("佐藤", NOW)
    assert locks.failed("佐藤", after(86_400)) == timedelta(seconds=60)
    locks.forgiven("佐藤")
    assert locks.failed("佐藤", after(90_000)) == timedelta(0)


def test_many_names_slow_everybody_down_and_a_quarter_of_an_hours_peace_ends_it():
    locks = Locks()
    waits = [int(locks.failed(f"name {number}", NOW).total_seconds()) for number in range(30)]
    assert waits[:20] == [0] * 19 + [1]
    assert waits[20:] == [2, 4, 8, 16, 32, 60, 60, 60, 60, 60]
    assert locks.wait("whoever", NOW) == ALL_NAMES.most
    locks.forgiven("name 0")
    assert locks.wait("whoever", NOW) == ALL_NAMES.most  # one's own right PIN is no way round it
    assert locks.failed("whoever", after(16 * 60)) == timedelta(0)


def test_a_clock_set_back_does_not_lock_for_days():
    locks = Locks()
    for _ in range(10):
        locks.failed("佐藤", NOW)
    past = NOW - timedelta(days=3)
    assert locks.wait("佐藤", past) == ONE_NAME.most
    assert locks.wait("佐藤", past + ONE_NAME.most) == timedelta(0)


def test_names_are_bounded():
    locks = Locks()
    for number in range(3 * MOST_NAMES):
        locks.failed(f"name {number}", NOW)
    assert len(locks._names) == MOST_NAMES


def test_locks_go_on_as_they_were_kept():
    kept = Locks({"佐藤": Lock(5, after(30), NOW)}, Lock(25, after(60), NOW))
    assert kept.wait("佐藤", NOW) == timedelta(seconds=60)
    assert kept.failed("佐藤", after(61)) == timedelta(seconds=60)
