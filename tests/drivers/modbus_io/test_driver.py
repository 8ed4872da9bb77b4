"""What the driver promises about releases, holds and readings, whatever the line does. Real ptys and sockets."""

import socket
import threading
import time

import pytest

from drivers.base import Applied, Refused, Uncertain
from parking import errors
from parking.desk import Position
from parking.errors import Code
from parking.outcome import EvidenceKind, Level

WIRES = ["rtu", "tcp"]
PROFILES = ["lock_plate", "relay_board"]
every_wire = pytest.mark.parametrize("framing", WIRES)
every_profile = pytest.mark.parametrize("profile", PROFILES)


def kinds(outcome):
    return {evidence.kind for evidence in outcome.evidence}


@every_wire
class TestRelease:
    def test_of_a_plate_is_proved_by_counter_input_and_echo(self, rig, framing):
        lot = rig("lock_plate", framing)
        outcome = lot.release()
        assert outcome.level is Level.PHYSICALLY_OBSERVED
        assert kinds(outcome) == {EvidenceKind.COUNTER, EvidenceKind.OBSERVED, EvidenceKind.ECHO}
        assert [name for name, _, _ in lot.world.releases] == ["E2"]

    def test_of_a_gate_is_proved_by_input_and_echo(self, rig, framing):
        lot = rig("relay_board", framing)
        outcome = lot.release()
        assert outcome.level is Level.PHYSICALLY_OBSERVED
        assert kinds(outcome) == {EvidenceKind.OBSERVED, EvidenceKind.ECHO}
        assert [name for name, _, _ in lot.world.releases] == ["E2"]

    def test_commits_the_exact_bytes_and_the_counter_before_the_first_byte(self, rig, framing):
        lot = rig("lock_plate", framing)
        lot.release()
        lot.world.put("E2", Position.CLOSED)
        lot.release()
        pdu = bytes.fromhex("01 05 00 02 ff 00")
        assert [(pdu in raw, counter, done) for raw, counter, done in lot.intents] == [(True, 0, 0), (True, 1, 1)]

    @every_profile
    def test_does_not_happen_if_the_intent_is_not_committed(self, rig, framing, profile):
        lot = rig(profile, framing)

        def refuse(raw, counter):
            raise errors.NotSent(Code.EXPIRED, "too late")

        with pytest.raises(errors.NotSent, match="too late"):
            lot.release(intend=refuse)
        lot.read()
        assert lot.world.releases == []

    @pytest.mark.parametrize(("profile", "code"), [("lock_plate", Code.ALREADY_PAID), ("relay_board", Code.CONFLICT)])
    def test_of_what_is_open_is_refused_before_any_intent(self, rig, framing, profile, code):
        lot = rig(profile, framing)
        lot.world.put("E2", Position.OPEN)
        outcome = lot.release()
        assert isinstance(outcome, Refused)
        assert (outcome.code, lot.intents, lot.world.releases) == (code, [], [])

    @every_profile
    def test_that_is_lost_on_the_way_is_in_doubt_and_never_written_again(self, rig, framing, profile):
        lot = rig(profile, framing)
        lot.faults.drop_request_once = True
        outcome = lot.release()
        assert isinstance(outcome, Uncertain)
        assert outcome.code is Code.NO_REPLY
        lot.read()
        assert lot.world.releases == []

    @every_profile
    def test_whose_answer_is_lost_is_proved_by_looking_and_happens_once(self, rig, framing, profile):
        lot = rig(profile, framing)
        lot.faults.drop_reply_once = True
        outcome = lot.release()
        assert outcome.level is Level.PHYSICALLY_OBSERVED
        assert EvidenceKind.ECHO not in kinds(outcome)
        assert len(lot.world.releases) == 1

    @every_profile
    def test_into_silence_is_not_sent(self, rig, framing, profile):
        lot = rig(profile, framing)
        lot.faults.silent = True
        with pytest.raises(errors.NotSent):
            lot.release()
        assert (lot.intents, lot.world.releases) == ([], [])

    @every_profile
    @pytest.mark.parametrize("act", [False, True])
    def test_that_unplugs_the_line_is_in_doubt(self, rig, framing, profile, act):
        lot = rig(profile, framing)
        lot.faults.act = act
        lot.faults.unplug_on_write = True
        outcome = lot.release(seconds=0.25)
        assert isinstance(outcome, Uncertain)
        assert len(lot.world.releases) == act

    def test_that_unplugs_the_line_is_proved_when_the_line_comes_back_in_time(self, rig, framing):
        lot = rig("lock_plate", framing)
        lot.faults.act = lot.faults.unplug_on_write = True

        def plug_in_after_the_write(raw, counter):
            threading.Timer(0.3, setattr, (lot.faults, "unplugged", False)).start()

        outcome = lot.release(seconds=2, intend=plug_in_after_the_write)
        assert kinds(outcome) == {EvidenceKind.COUNTER, EvidenceKind.OBSERVED}
        assert len(lot.world.releases) == 1

    @every_profile
    def test_answered_with_garbage_is_judged_by_what_is_seen_later(self, rig, framing, profile):
        lot = rig(profile, framing)
        outcome = lot.release(intend=lambda raw, counter: setattr(lot.faults, "garbage", True), seconds=0.3)
        assert isinstance(outcome, Uncertain)
        lot.faults.garbage = False
        assert lot.read().position is Position.OPEN
        assert len(lot.world.releases) == 1

    @every_profile
    def test_that_is_echoed_but_moves_nothing_is_no_more_than_acknowledged(self, rig, framing, profile):
        lot = rig(profile, framing)
        lot.world.moves = lot.world.counts = False
        outcome = lot.release(seconds=0.3)
        assert outcome.level is Level.LINK_ACKED
        assert kinds(outcome) == {EvidenceKind.ECHO}

    def test_is_a_contradiction_if_the_plate_is_down_but_not_by_us(self, rig, framing):
        lot = rig("lock_plate", framing)
        lot.faults.drop_request_once = True
        outcome = lot.release(intend=lambda raw, counter: lot.world.put("E2", Position.OPEN))
        assert (type(outcome), outcome.code) == (Uncertain, Code.CONTRADICTION)
        assert lot.world.releases == []

    @every_profile
    def test_waits_for_a_slow_device_without_writing_twice(self, rig, framing, profile):
        lot = rig(profile, framing, timeout=0.4)
        lot.faults.delay_ms = 60
        outcome = lot.release(seconds=2)
        assert outcome.level is Level.PHYSICALLY_OBSERVED
        assert len(lot.world.releases) == 1

    @every_profile
    def test_answered_too_late_is_not_mistaken_and_happens_once(self, rig, framing, profile):
        lot = rig(profile, framing, timeout=0.1)

        def slow_for_once(raw, counter):
            lot.faults.delay_ms = 130

        outcome = lot.release(intend=slow_for_once, seconds=0.4)
        lot.faults.delay_ms = 0
        time.sleep(0.15)
        assert isinstance(outcome, Uncertain | Applied)
        assert lot.read().position is Position.OPEN
        assert len(lot.world.releases) == 1

    def test_is_not_proved_by_what_another_master_did_since_the_last_one(self, rig, framing):
        """On TCP there may be one; on a serial line there is none, and its counter is read ahead."""
        lot = rig("lock_plate", framing, timeout=0.3)
        lot.release(seconds=1)
        if framing == "tcp":
            lot.world.release("E2", "bus")
        lot.world.put("E2", Position.CLOSED)
        lot.faults.drop_request_once = True
        assert isinstance(lot.release(), Uncertain)

    def test_of_an_unknown_channel_is_refused(self, rig, framing):
        lot = rig("lock_plate", framing)
        assert lot.release(channel=8).code is Code.EXIT_UNKNOWN

    @every_profile
    def test_to_an_unplugged_device_is_certainly_not_sent(self, rig, framing, profile):
        lot = rig(profile, framing)
        lot.faults.unplugged = True
        time.sleep(0.1)
        with pytest.raises(errors.Environment if framing == "rtu" else errors.NotSent) as caught:
            lot.release()
        assert caught.value.code is (Code.PORT_MISSING if framing == "rtu" else Code.DEVICE_UNAVAILABLE)
        assert (caught.value.remedy != "", lot.intents) == (True, [])

    @every_profile
    def test_works_again_after_plugging_back_in(self, rig, framing, profile):
        lot = rig(profile, framing)
        lot.read()
        lot.faults.unplugged = True
        time.sleep(0.1)
        with pytest.raises((errors.Environment, errors.NotSent, errors.Uncertain)):
            lot.read()
        lot.faults.unplugged = False
        time.sleep(0.1)
        assert lot.release().level is Level.PHYSICALLY_OBSERVED


def test_a_device_comes_back_though_somebody_else_had_its_port_meanwhile(rig):
    lot = rig("relay_board", "tcp")
    lot.faults.unplugged = True
    time.sleep(0.1)
    with socket.create_server(("127.0.0.1", int(lot.device.url.rpartition(":")[2]))):
        lot.faults.unplugged = False
        time.sleep(0.1)
    time.sleep(0.1)
    assert lot.release().level is Level.PHYSICALLY_OBSERVED


@every_wire
class TestHold:
    @every_profile
    def test_opens_and_is_read_back(self, rig, framing, profile):
        lot = rig(profile, framing)
        outcome = lot.driver.hold_open(lot.target(), lot.order())
        assert outcome.level is Level.PHYSICALLY_OBSERVED
        assert (lot.world.holds, lot.world.releases) == ({"E2": True}, [])
        assert (lot.read().held, lot.read().position) == (True, Position.OPEN)

    @every_profile
    def test_ends_with_the_coil_read_back_and_no_close_command(self, rig, framing, profile):
        lot = rig(profile, framing)
        lot.driver.hold_open(lot.target(), lot.order())
        outcome = lot.driver.end_hold(lot.target(), lot.order())
        assert outcome.level is Level.LEGACY_CONFIRMED
        assert kinds(outcome) == {EvidenceKind.OBSERVED, EvidenceKind.ECHO}
        assert lot.world.holds == {"E2": False}
        assert lot.read().position is Position.OPEN

    def test_whose_answer_is_lost_is_read_back(self, rig, framing):
        lot = rig("relay_board", framing)
        lot.faults.drop_reply_once = True
        outcome = lot.driver.hold_open(lot.target(), lot.order(1.5))
        assert outcome.level is Level.PHYSICALLY_OBSERVED
        assert EvidenceKind.ECHO not in kinds(outcome)

    def test_that_never_arrived_is_a_contradiction(self, rig, framing):
        lot = rig("relay_board", framing)
        lot.faults.drop_request_once = True
        outcome = lot.driver.hold_open(lot.target(), lot.order())
        assert outcome.code is Code.CONTRADICTION
        assert lot.world.holds == {}

    def test_that_the_controller_counts_is_not_taken_for_a_release(self, rig, framing):
        lot = rig("lock_plate", framing)
        lot.world.counts_holds = True
        lot.read()
        lot.driver.hold_open(lot.target(), lot.order())
        lot.driver.end_hold(lot.target(), lot.order())
        lot.world.put("E2", Position.CLOSED)
        lot.intents.clear()
        assert EvidenceKind.COUNTER in kinds(lot.release())
        assert [counter for _, counter, _ in lot.intents] == [1]

    def test_is_committed_before_the_first_byte(self, rig, framing):
        lot = rig("relay_board", framing)
        lot.driver.hold_open(lot.target(), lot.order())
        assert bytes.fromhex("01 05 00 02 ff 00") in lot.intents[0][0]

    def test_of_an_unknown_channel_is_refused(self, rig, framing):
        lot = rig("lock_plate", framing)
        assert isinstance(lot.driver.hold_open(lot.target(99), lot.order()), Refused)
