"""Exits opened by a reader's output: one release per order, and what each mishap ends as."""

import contextlib
import os
import time
from pathlib import Path

import pytest

from drivers import registry
from drivers.base import Applied, Refused, ReleaseOrder, Target, Uncertain
from drivers.osdp import driver, sim
from parking import errors
from parking.desk import Position
from parking.errors import Code, NotSent
from parking.outcome import EvidenceKind, Level

GATE = Target("E0", 0)
WAYS = {
    "secure": {},
    "plain": {"secure": False},
    "checksum": {"secure": False, "check": "checksum"},
    "secure checksum": {"check": "checksum"},
    "tcp": {"url": "socket://127.0.0.1:0"},
    "installing": {"install_mode": True},
}


@pytest.fixture(params=["secure", "plain"])
def lot(request, rig):
    return rig(**WAYS[request.param])


class TestRelease:
    @pytest.mark.parametrize("way", WAYS)
    def test_opens_once_and_proves_it(self, rig, way):
        lot = rig(**WAYS[way])
        outcome = lot.release(channel=2)
        assert outcome.level is Level.PHYSICALLY_OBSERVED
        assert [proof.kind for proof in outcome.evidence] == [EvidenceKind.OBSERVED, EvidenceKind.ECHO]
        assert [(name, by) for name, by, _ in lot.world.releases] == [("E2", "bus")]

    def test_commits_the_exact_bytes_before_the_first_of_them_leaves(self, rig):
        sent = []

        class Tap:
            def note(self, direction, data):
                if direction.name == "TX":
                    sent.append(data)

        for secure in (True, False):
            lot = rig(recorder=Tap(), **({} if secure else {"secure": False}))
            before = []
            lot.release(intend=lambda raw, counter, before=before: before.append((raw, counter, list(sent))))
            ((raw, counter, earlier),) = before
            assert (raw in sent, raw in earlier, counter) == (True, False, None)
            assert sent.count(raw) == 1
            lot.stop()

    def test_writes_nothing_of_it_if_the_intent_cannot_be_committed(self, lot):
        def refuse(raw, counter):
            raise NotSent(Code.DISK, "full")

        with pytest.raises(NotSent):
            lot.release(intend=refuse)
        assert lot.release().level is Level.PHYSICALLY_OBSERVED
        assert len(lot.world.releases) == 1

    def test_is_refused_where_the_arm_is_up(self, lot):
        lot.world.put("E0", Position.OPEN)
        assert lot.release() == Refused(Code.CONFLICT, "the arm is already up")
        assert (lot.world.releases, lot.intents) == ([], [])

    def test_is_refused_while_the_output_is_on(self, lot):
        lot.world.moves = False
        lot.world.holds["E0"] = True
        assert lot.release() == Refused(Code.CONFLICT, "the output is already on")
        assert (lot.world.releases, lot.intents) == ([], [])

    def test_of_a_channel_that_is_not_there_is_refused(self, lot):
        assert lot.release(channel=4).code is Code.EXIT_UNKNOWN
        assert lot.intents == []

    def test_is_acknowledged_only_where_nothing_moves(self, lot):
        lot.world.moves = False
        outcome = lot.release(seconds=1.0)
        assert (outcome.level, len(lot.world.releases)) == (Level.LINK_ACKED, 1)

    def test_is_acknowledged_only_where_no_input_is_wired(self, rig):
        lot = rig(open_base=-1, vehicle_base=-1)
        assert lot.driver.capabilities.release_level is Level.LINK_ACKED
        assert lot.release().level is Level.LINK_ACKED
        assert lot.read().position is Position.UNKNOWN

    def test_takes_its_time_on_a_slow_line(self, rig):
        lot = rig(baud=9600)
        lot.faults.byte_us = 1042
        assert lot.release().level is Level.PHYSICALLY_OBSERVED
        assert len(lot.world.releases) == 1


class TestMishaps:
    """Each leaves at most one release, and says no more than is known."""

    def test_a_lost_answer_is_asked_for_and_proves_the_release(self, lot):
        lot.faults.drop_reply_once = True
        outcome = lot.release()
        assert outcome.level is Level.PHYSICALLY_OBSERVED
        assert "times under one sequence number" in outcome.evidence[-1].text
        assert len(lot.world.releases) == 1

    def test_a_lost_request_is_made_up_for_in_a_secure_channel(self, rig):
        lot = rig()
        lot.faults.drop_request_once = True
        assert lot.release().level is Level.PHYSICALLY_OBSERVED
        assert len(lot.world.releases) == 1

    def test_a_lost_request_stays_a_doubt_in_plain(self, rig):
        lot = rig(secure=False)
        lot.faults.drop_request_once = True
        outcome = lot.release(seconds=1.0)
        assert isinstance(outcome, Uncertain)
        assert lot.world.releases == []

    def test_an_answer_that_comes_twice_counts_once(self, lot):
        lot.faults.reply_twice_once = True
        assert lot.release().level is Level.PHYSICALLY_OBSERVED
        assert lot.read().position is Position.OPEN
        assert len(lot.world.releases) == 1

    @pytest.mark.parametrize(("act", "secure"), [(True, True), (True, False), (False, True)])
    def test_a_device_that_restarts_is_not_told_again(self, rig, act, secure):
        lot = rig(**WAYS["secure" if secure else "plain"])
        lot.faults.act, lot.faults.restart_once = act, True
        outcome = lot.release(seconds=5.0 if act else 1.0)
        assert len(lot.world.releases) == act
        if act:  # its output still reads on, and was off before
            assert outcome.level is Level.PHYSICALLY_OBSERVED
            assert outcome.evidence[1].text == "output: off before, on after"
        else:
            assert isinstance(outcome, Uncertain)

    @pytest.mark.parametrize(("act", "url"), [(True, "/dev/null"), (False, "socket://127.0.0.1:0")])
    def test_a_line_that_breaks_in_mid_command_leaves_a_doubt(self, rig, act, url):
        lot = rig(url=url)
        lot.faults.act, lot.faults.unplug_on_act = act, True
        assert isinstance(lot.release(seconds=1.0), Uncertain)
        assert len(lot.world.releases) == act
        lot.replug()
        assert lot.read().position is (Position.OPEN if act else Position.CLOSED)
        assert len(lot.world.releases) == act

    def test_an_arm_that_moves_without_any_answer_may_have_been_moved_by_somebody_else(self, rig):
        lot = rig(secure=False, pulse_ms=100)

        def moved(raw, counter):
            lot.faults.drop_request_once = True
            lot.world.put("E0", Position.OPEN)

        outcome = lot.release(seconds=1.0, intend=moved)
        assert isinstance(outcome, Uncertain)
        assert outcome.code is Code.CONTRADICTION
        assert lot.world.releases == []

    def test_a_busy_device_is_told_again_until_it_takes_it(self, lot):
        lot.faults.busy_once = True
        assert lot.release().level is Level.PHYSICALLY_OBSERVED
        assert len(lot.world.releases) == 1

    def test_a_device_that_does_not_repeat_its_answer_is_not_said_to_have_refused(self, lot):
        lot.faults.no_repeat = lot.faults.drop_reply_once = True
        outcome = lot.release()
        assert isinstance(outcome, Applied)  # its output reads on
        assert len(lot.world.releases) == 1

    def test_a_device_that_takes_a_repetition_for_a_new_command_acts_once(self, lot):
        """As libosdp's does, see test_peers."""
        lot.faults.acts_again = lot.faults.drop_reply_once = True
        outcome = lot.release()
        assert outcome.level is Level.PHYSICALLY_OBSERVED
        assert len(lot.world.releases) == 1

    def test_an_answer_with_a_wrong_mac_is_none(self, rig):
        lot = rig()
        lot.faults.bad_mac_once = True
        outcome = lot.release()
        assert "under one sequence number" in outcome.evidence[-1].text
        assert len(lot.world.releases) == 1

    def test_a_refusal_is_a_refusal(self, lot):
        lot.faults.refuse_once = True
        outcome = lot.release()
        assert outcome == Refused(Code.DEVICE_REFUSED, "the device answered NAK 09 (record)")
        assert lot.world.releases == []

    @pytest.mark.parametrize("fault", ["silent", "garbage", "unplugged"])
    def test_what_is_not_reached_before_the_command_is_certainly_not_told(self, rig, fault):
        lot = rig(**WAYS["secure" if fault == "garbage" else "plain"])
        lot.read()
        setattr(lot.faults, fault, True)
        time.sleep(0.05)
        with pytest.raises((NotSent, errors.Environment)):
            lot.release(seconds=1.0)
        assert lot.intents == []
        setattr(lot.faults, fault, False)
        lot.replug()
        assert lot.read().position is Position.CLOSED
        assert lot.world.releases == []

    def test_after_a_restart_of_ours_nothing_is_repeated(self, lot):
        lot.faults.drop_reply_once = True
        lot.release()
        lot.restart_driver()
        assert lot.read().position is Position.OPEN
        assert len(lot.world.releases) == 1

    def test_a_link_that_rested_too_long_is_begun_anew_before_the_command(self, lot):
        lot.read()
        lot.driver._line._last -= 7.5
        assert lot.release().level is Level.PHYSICALLY_OBSERVED

    def test_a_link_that_rested_too_long_while_the_intent_was_committed_is_not_used(self, lot):
        def slow(raw, counter):
            lot.driver._line._last -= 7.5

        with pytest.raises(NotSent):
            lot.release(intend=slow)
        assert lot.world.releases == []

    def test_a_wrong_key_is_told_with_its_remedy(self, rig, device):
        lot = rig()
        table = device("output", lot.served.url, scbk="00112233445566778899aabbccddeeff")
        stranger = driver.create(table, lot.exits, None)
        with pytest.raises(NotSent) as caught:
            stranger.read([lot.target()], time.monotonic() + 2)
        stranger.close()
        assert "key" in caught.value.remedy


class TestHold:
    def test_begins_and_ends_and_is_read_back(self, lot):
        assert lot.driver.hold_open(lot.target(), lot.order()).level is Level.PHYSICALLY_OBSERVED
        assert lot.read().held
        assert lot.driver.end_hold(lot.target(), lot.order()).level is Level.LEGACY_CONFIRMED
        assert not lot.read().held
        assert lot.world.releases == []

    def test_survives_a_lost_answer(self, lot):
        lot.faults.drop_reply_once = True
        assert lot.driver.hold_open(lot.target(), lot.order()).level is Level.PHYSICALLY_OBSERVED

    def test_that_did_not_arrive_is_seen_not_to_stand(self, rig):
        lot = rig(secure=False)
        lot.faults.drop_request_once = True
        outcome = lot.driver.hold_open(lot.target(), lot.order(1.0))
        assert (type(outcome), outcome.code) == (Uncertain, Code.CONTRADICTION)

    def test_a_running_pulse_is_no_hold(self, lot):
        lot.release()
        assert lot.read() == lot.read()
        assert not lot.read().held

    def test_is_certainly_not_sent_to_a_device_that_is_silent(self, rig):
        lot = rig()
        lot.faults.silent = True
        with pytest.raises(NotSent):
            lot.driver.hold_open(lot.target(), lot.order(1.0))
        assert lot.intents == []


class TestRead:
    def test_tells_position_and_vehicle_of_each_exit(self, lot):
        lot.world.put("E1", Position.OPEN)
        lot.world.cars.add("E0")
        one, other = lot.driver.read([lot.target(0), lot.target(1)], time.monotonic() + 2)
        assert (one.position, one.vehicle) == (Position.CLOSED, True)
        assert (other.position, other.vehicle) == (Position.OPEN, False)
        assert lot.driver.read([], 0) == ()

    def test_inputs_that_the_device_does_not_have_are_a_mistake_in_the_profile(self, rig, device):
        lot = rig(secure=False)
        table = device("output", lot.served.url, secure=False, open_base=40)
        wrong = driver.create(table, lot.exits, None)
        with pytest.raises(errors.Environment) as caught:
            wrong.read([lot.target()], time.monotonic() + 2)
        wrong.close()
        assert "open_base" in caught.value.remedy

    def test_a_link_on_a_slow_line_is_begun_in_as_many_looks_as_it_takes(self, rig):
        """At 9600 baud it takes most of the 0.2 s that a look has: what was reached in one is not given up."""
        lot = rig(faults=sim.Faults(byte_us=1042))
        looks = []
        until = time.monotonic() + 5
        while not any(looks) and time.monotonic() < until:
            with contextlib.suppress(errors.DaikoError):
                looks.append(lot.read(seconds=0.2).position)
        assert looks == [Position.CLOSED]

    def test_counts_nothing(self, lot):
        assert lot.driver.read_counter(lot.target(), 0) is None
        assert not lot.driver.capabilities.counts


class TestPort:
    def test_that_is_missing_is_told(self, device, exits, tmp_path):
        made = driver.create(device("output", str(tmp_path / "none")), exits(), None)
        with pytest.raises(errors.Environment) as caught:
            made.release(GATE, ReleaseOrder("DK-1-1", 1, time.monotonic() + 1, lambda raw, counter: None))
        assert caught.value.code is Code.PORT_MISSING

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may open everything")
    def test_that_is_forbidden_is_told(self, device, exits, tmp_path):
        Path(tmp_path / "port").touch(mode=0o000)
        made = driver.create(device("output", str(tmp_path / "port")), exits(), None)
        with pytest.raises(errors.Environment):
            made.read([GATE], time.monotonic() + 1)

    def test_that_is_busy_is_told(self, lot, device):
        lot.read()
        other = driver.create(lot.device, lot.exits, None)
        with pytest.raises(errors.Environment) as caught:
            other.read([lot.target()], time.monotonic() + 1)
        assert caught.value.code is Code.PORT_BUSY


class TestProbe:
    def test_finds_a_device_and_changes_nothing(self, rig):
        lot = rig()
        found = registry.FAMILIES["osdp"].module().probe(lot.served.url, time.monotonic() + 5)
        assert found.answered
        assert found.hints == ('mode = "output"', "address = 5", "baud = 9600")
        assert lot.world.releases == []
        assert lot.world.holds == {}

    def test_finds_nobody(self, rig):
        lot = rig()
        lot.faults.silent = True
        assert not registry.FAMILIES["osdp"].module().probe(lot.served.url, time.monotonic() + 0.6).answered
