"""The clock of the office PC may be days off, or jump: nothing expires or revives for it, and the cloud hears us."""

from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.journal import Journal
from bridge.keys import load_key
from bridge.lookout import kept_time
from bridge.steady_clock import LEAST_SKEW, MOST_SKEW, Reckoning, SteadyClock
from bridge.uplink.uplink import Uplink
from parking.desk import CasePhase
from parking.errors import Code

NOON = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)

small = st.floats(-120, 120).map(lambda seconds: timedelta(seconds=seconds))
pauses = st.floats(0, 3600)


class TwoClocks:
    """The clocks of a PC: one that people set, one that nobody can."""

    def __init__(self):
        self.wall, self.ticks = NOON, 100.0

    def pass_(self, seconds):
        self.wall += timedelta(seconds=seconds)
        self.ticks += seconds

    def steady(self):
        return SteadyClock(lambda: self.wall, lambda: self.ticks)


@given(st.lists(st.tuples(pauses, small), max_size=20))
def test_small_corrections_never_turn_time_back(heard):
    tick, reckoning, last = 0.0, Reckoning(NOON, 0.0), NOON
    for pause, off in heard:
        tick += pause
        assert reckoning.at(tick) >= last
        last = reckoning.at(tick)
        reckoning, moved = reckoning.hear(last + off, tick)
        assert not moved
        assert reckoning.at(tick) == last


@given(small)
def test_small_differences_are_made_up(off):
    reckoning, _ = Reckoning(NOON, 0.0).hear(NOON + off, 0.0)
    late = reckoning.at(3600.0) - (NOON + timedelta(hours=1) + off)
    assert abs(late) <= LEAST_SKEW


@pytest.mark.parametrize("jump", [timedelta(days=3), timedelta(days=-3)])
def test_a_jump_of_the_wall_clock_changes_nothing_but_is_seen(jump):
    clocks = TwoClocks()
    clock = clocks.steady()
    clocks.pass_(10)
    clocks.wall += jump
    clocks.pass_(10)
    assert clock() == NOON + 20 * SECOND
    assert clock.skew() == jump


@pytest.mark.parametrize("off", [timedelta(days=3), timedelta(days=-3), MOST_SKEW + SECOND])
def test_the_clouds_time_is_taken_at_once_when_ours_is_far_off(off):
    clocks, moves = TwoClocks(), []
    clock = clocks.steady()
    clock.moved = moves.append
    assert clock.hear(NOON + off)
    assert (clock(), moves) == (NOON + off, [off])
    clocks.pass_(60)
    assert clock() == NOON + off + 60 * SECOND
    assert not clock.hear(clock())


def test_what_the_cloud_said_in_a_former_run_is_past(tmp_path):
    with closing(Journal(tmp_path / "journal.db")) as journal:
        with journal.transaction() as tx:
            tx.put_counter("clock:cloud", int((NOON + timedelta(days=3)).timestamp()))
        kept = kept_time(journal)
    clocks = TwoClocks()
    clock = clocks.steady()
    clock.not_before(kept)
    assert clock() == NOON + timedelta(days=3)
    clock.not_before(NOON)
    assert clock() == NOON + timedelta(days=3)


@pytest.mark.parametrize("off", [timedelta(days=3), timedelta(days=-3)])
def test_a_pc_with_a_wrong_clock_talks_to_the_cloud_after_one_refusal(plates_office, inbox, quick, until, off):
    clock = SteadyClock(lambda: datetime.now(UTC) + off)
    config, cloud = plates_office.config, plates_office.cloud
    identity = plates_office.enrol(again=True)
    cloud.add(1)
    uplink = Uplink(config, identity, load_key(config.data), inbox, 1001, clock, quick, clock.hear)
    uplink.start()
    until(lambda: inbox.cursor(1001) == 1)
    uplink.stop()
    assert 1 <= len(cloud.forgeries) <= 2  # one request a line may have left before the refusal was heard
    assert abs(clock() - datetime.now(UTC)) < MOST_SKEW


@pytest.fixture
def faked(plates_office, monkeypatch, tmp_path, preload):
    """Start the bridge as a process whose wall clock a file sets, relative to the real one."""
    offset, library = tmp_path / "offset", preload("wrong_clock")

    def jump(days):
        whole = offset.with_suffix(".new")
        whole.write_text(str(days * 86_400), encoding="ascii")
        whole.replace(offset)

    def start(days):
        jump(days)
        with monkeypatch.context() as patch:
            patch.setenv("LD_PRELOAD", str(library))
            patch.setenv("WRONG_CLOCK", str(offset))
            plates_office.stack.bridge.start()

    plates_office.jump = jump
    plates_office.run = start
    return plates_office


@pytest.mark.parametrize("days", [3, -3])
def test_on_a_pc_days_off_what_is_valid_settles_and_what_has_expired_does_not(faked, days):
    office = faked
    office.run(days)
    office.park("7")
    office.park("8")
    office.ends(office.pay("7"), CasePhase.SETTLED)
    assert office.cloud.forgeries, "the process had the right time"
    office.ends(office.pay("8", valid=timedelta(seconds=-60)), CasePhase.REFUSED)
    assert office.case(2).code == Code.EXPIRED
    office.until(lambda: office.alarm(Code.CLOCK))
    assert f"{3 * 24 * 60} min {'fast' if days > 0 else 'slow'}" in office.alarm(Code.CLOCK).detail
    assert (office.releases("7"), office.releases("8")) == (1, 0)


@pytest.mark.parametrize("days", [3, -3])
def test_a_clock_that_jumps_while_the_bridge_runs_expires_nothing_and_revives_nothing(faked, days):
    office = faked
    office.run(0)
    for bay in ("7", "8", "9"):
        office.park(bay)
    office.ends(office.pay("7"), CasePhase.SETTLED)
    assert not office.cloud.forgeries
    office.jump(days)
    office.until(lambda: office.alarm(Code.CLOCK))
    office.ends(office.pay("8"), CasePhase.SETTLED)
    office.ends(office.pay("9", valid=timedelta(seconds=-60)), CasePhase.REFUSED)
    office.jump(0)
    office.until(lambda: office.alarm(Code.CLOCK) is None)
    assert not office.cloud.forgeries
    assert abs(office.snapshot().server_time - datetime.now(UTC)) < 5 * SECOND
    assert [office.releases(bay) for bay in ("7", "8", "9")] == [1, 1, 0]
