"""What the driver promises about releases, holds and readings, whatever the line does. Real ptys and sockets."""

import socket
import threading
import time
from datetime import timedelta

import pytest

from drivers.base import Applied, Refused, Retry, Role, Uncertain
from drivers.modbus_io import driver
from drivers.modbus_io.line import Line
from drivers.modbus_io.pdu import Function, Read
from drivers.modbus_io.profiles import Framing
from drivers.transport import LineSettings
from parking import errors
from parking.desk import Position
from parking.errors import Code
from parking.outcome import EvidenceKind, Level
from parking.stay import NameKind, StayRef

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


@every_wire
class TestReading:
    def test_shows_plate_car_and_hold_of_each_target_in_order(self, rig, framing):
        lot = rig("lock_plate", framing)
        lot.world.put("E1", Position.OPEN)
        lot.world.cars = {"E3"}
        lot.world.holds = {"E0": True}
        states = lot.driver.read([lot.target(at) for at in (3, 1, 0)], time.monotonic() + 2)
        assert [(state.position, state.held, state.vehicle) for state in states] == [
            (Position.CLOSED, False, True),
            (Position.OPEN, False, False),
            (Position.CLOSED, True, False),
        ]

    def test_of_nothing_asks_nothing(self, rig, framing):
        lot = rig("lock_plate", framing)
        lot.faults.silent = True
        assert lot.driver.read([], time.monotonic() + 0.1) == ()

    def test_survives_one_lost_answer(self, rig, framing):
        lot = rig("lock_plate", framing, timeout=0.1)
        lot.faults.silent = True
        threading.Timer(0.08, setattr, (lot.faults, "silent", False)).start()
        assert lot.read().position is Position.CLOSED

    def test_into_silence_is_no_reply(self, rig, framing):
        lot = rig("lock_plate", framing)
        lot.faults.silent = True
        with pytest.raises(errors.DaikoError) as caught:
            lot.read(seconds=0.3)
        assert isinstance(caught.value, errors.Uncertain | errors.NotSent)

    def test_counts_releases_by_bus(self, rig, framing):
        lot = rig("lock_plate", framing)
        lot.release()
        assert lot.driver.read_counter(lot.target(), time.monotonic() + 1) == 1
        assert rig("relay_board", "tcp").driver.read_counter(lot.target(), time.monotonic() + 1) is None

    def test_of_an_address_the_device_lacks_is_a_mistake_in_the_profile(self, rig, framing):
        lot = rig("lock_plate", framing)
        wrong = driver.create(lot.device, lot.exits, lot.clock)
        wrong._profile = wrong._profile.__class__(
            **{name: getattr(wrong._profile, name) for name in wrong._profile.__slots__} | {"opened": 40}
        )
        lot.driver.close()
        with pytest.raises(errors.Environment) as caught:
            wrong.read([lot.target()], time.monotonic() + 1)
        wrong.close()
        assert caught.value.code is Code.CONFIG
        assert "illegal_address" in caught.value.detail


@every_wire
class TestStays:
    def test_are_the_cars_in_the_bays_since_they_were_first_seen(self, rig, framing):
        lot = rig("lock_plate", framing)
        first_seen = lot.clock.now.replace(microsecond=0)
        lot.world.cars = {"E0"}
        lot.driver.stays(time.monotonic() + 1)
        lot.clock.tick(60)
        lot.world.cars = {"E0", "E3"}
        assert [stay.ref for stay in lot.driver.stays(time.monotonic() + 1)] == [
            StayRef(NameKind.BAY, "1", first_seen),
            StayRef(NameKind.BAY, "4", first_seen + timedelta(seconds=60)),
        ]

    def test_end_with_the_car_and_begin_anew_with_the_next(self, rig, framing):
        lot = rig("lock_plate", framing)
        lot.world.cars = {"E0"}
        lot.driver.stays(time.monotonic() + 1)
        lot.world.cars = set()
        assert lot.driver.stays(time.monotonic() + 1) == ()
        lot.clock.tick(5)
        lot.world.cars = {"E0"}
        (stay,) = lot.driver.stays(time.monotonic() + 1)
        assert stay.ref.entered_at == lot.clock.now.replace(microsecond=0)

    def test_are_not_known_to_a_relay_board(self, rig, framing):
        assert rig("relay_board", framing).driver.stays(time.monotonic() + 1) == ()


def test_a_late_answer_to_one_reading_is_not_taken_for_the_next(rig):
    """Both readings look alike on a serial line: plates first, cars second, 8 bits each."""
    lot = rig("lock_plate", "rtu", timeout=0.08)
    lot.world.cars = {"E0", "E1", "E2", "E3"}
    lot.faults.delay_ms = 110
    with pytest.raises(errors.DaikoError):
        lot.driver.stays(time.monotonic() + 0.09)
    lot.faults.delay_ms = 0
    states = lot.driver.read([lot.target(at) for at in range(4)], time.monotonic() + 1)
    assert {state.position for state in states} == {Position.CLOSED}


@pytest.mark.parametrize("stranger", ["00 07 00 00 00 04 01 02 01 ff", "00 01 00 00 00 04 02 02 01 ff"])
def test_on_tcp_an_answer_with_another_number_or_unit_is_passed_over(stranger):
    """The first answer belongs to another request (or unit) and looks just like ours."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer():
            client, _ = server.accept()
            with client:
                client.recv(100)
                client.sendall(bytes.fromhex(stranger))
                client.sendall(bytes.fromhex("00 01 00 00 00 04 01 02 01 00"))
                client.recv(100)

        machine = threading.Thread(target=answer)
        machine.start()
        line = Line(f"socket://127.0.0.1:{server.getsockname()[1]}", Framing.TCP, 1, LineSettings(), 1.0)
        reply = line.ask(Read(Function.READ_INPUTS, 0, 8), time.monotonic() + 1)
        line.close()
        machine.join()
    assert not any(reply.bits)


def test_capabilities_say_what_can_be_proved(rig):
    plate, gate = rig("lock_plate", "tcp").driver.capabilities, rig("relay_board", "tcp").driver.capabilities
    blind = rig("relay_board", "tcp", open_base=-1).driver.capabilities
    assert (plate.roles, plate.counts) == (Role.EXIT | Role.STAYS, True)
    assert (gate.roles, gate.counts) == (Role.EXIT, False)
    assert (plate.release_level, blind.release_level) == (Level.PHYSICALLY_OBSERVED, Level.LINK_ACKED)
    assert {plate.retry, gate.retry} == {Retry.NEVER}


def test_without_a_position_input_an_echo_is_all_there_is(rig):
    lot = rig("relay_board", "tcp", open_base=-1)
    assert lot.release(seconds=0.3).level is Level.LINK_ACKED
    assert lot.read().position is Position.UNKNOWN


def test_a_serial_exchange_takes_hardly_longer_than_the_wire(rig):
    """15 characters at 9600 baud are 15.6 ms; the best of twelve, so that other work here does not count."""
    lot = rig("lock_plate", "rtu", baud=9600, timeout=0.5)
    target, floor = lot.target(), (8 + 7) * 10 / 9600
    took = []
    for _ in range(12):
        time.sleep(0.005)
        began = time.monotonic()
        lot.driver.read_counter(target, began + 1)
        took.append(time.monotonic() - began)
    assert floor <= min(took) <= 1.05 * floor


@pytest.mark.parametrize("framing", WIRES)
def test_probe_finds_the_device_and_commands_nothing(rig, framing):
    lot = rig("relay_board", framing)
    finding = driver.probe(lot.served.url, time.monotonic() + 3)
    assert finding.answered
    assert f'framing = "{framing}"' in finding.hints
    assert (lot.world.releases, lot.world.holds) == ([], {})


def test_probe_says_that_nothing_answers(rig):
    lot = rig("relay_board", "tcp")
    lot.faults.silent = True
    assert not driver.probe(lot.served.url, time.monotonic() + 0.5).answered
    lot.faults.unplugged = True
    time.sleep(0.1)
    finding = driver.probe(lot.served.url, time.monotonic() + 0.5)
    assert (finding.answered, "nothing listens" in finding.identity) == (False, True)
