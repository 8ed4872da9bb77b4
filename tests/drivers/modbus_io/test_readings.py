"""What the driver reads and what it tells of itself. Real ptys and sockets."""

import contextlib
import socket
import threading
import time
from datetime import timedelta

import pytest

from drivers.base import Retry, Role
from drivers.line_settings import LineSettings
from drivers.modbus_io import driver
from drivers.modbus_io.line import Line
from drivers.modbus_io.pdu import Function, Read
from drivers.modbus_io.profiles import Framing
from parking import errors
from parking.desk import Position
from parking.errors import Code
from parking.outcome import Level
from parking.stay import NameKind, StayRef

WIRES = ["rtu", "tcp"]
every_wire = pytest.mark.parametrize("framing", WIRES)


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
        lot = rig("lock_plate", framing, timeout=0.4)
        lot.faults.silent_once = True
        assert lot.read().position is Position.CLOSED
        assert not lot.faults.silent_once

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
class TestInputBoard:
    def test_shows_exits_that_another_device_moves(self, rig, framing):
        lot = rig("input_board", framing)
        lot.world.put("E1", Position.OPEN)
        lot.world.cars = {"E3"}
        states = lot.driver.read([lot.target(at) for at in (3, 1)], time.monotonic() + 2)
        assert [(state.position, state.held, state.vehicle) for state in states] == [
            (Position.CLOSED, False, True),
            (Position.OPEN, False, False),
        ]

    def test_moves_nothing(self, rig, framing):
        lot = rig("input_board", framing)
        assert lot.release().code is Code.EXIT_UNKNOWN
        assert lot.driver.hold_open(lot.target(), lot.order()).code is Code.EXIT_UNKNOWN
        assert (lot.intents, lot.world.releases, lot.world.holds) == ([], [], {})


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
    assert (plate.roles, plate.counts) == (Role.EXIT | Role.STAYS | Role.SIGHT, True)
    assert (gate.roles, gate.counts) == (Role.EXIT | Role.SIGHT, False)
    assert (plate.release_level, blind.release_level) == (Level.PHYSICALLY_OBSERVED, Level.LINK_ACKED)
    assert (plate.retry, gate.retry) == (Retry.QUERY_FIRST, Retry.NEVER)


def test_without_a_position_input_an_echo_is_all_there_is(rig):
    lot = rig("relay_board", "tcp", open_base=-1)
    began = time.monotonic()
    assert lot.release(seconds=20).level is Level.LINK_ACKED
    assert time.monotonic() - began < 5  # nothing will be seen, so nobody is kept waiting
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


def test_one_lost_answer_does_not_cost_all_that_follow(rig):
    """Rounds that come right behind each other, each with just the time of one exchange: seen with a port that hung."""
    lot = rig("lock_plate", "rtu", timeout=0.2, baud=9600)
    lot.faults.silent = True
    with pytest.raises(errors.DaikoError):
        lot.driver.stays(time.monotonic() + 0.2)
    lot.faults.silent = False
    until, answered = time.monotonic() + 3.0, False
    while not answered and time.monotonic() < until:
        with contextlib.suppress(errors.DaikoError):
            lot.driver.stays(time.monotonic() + 0.2)
            answered = True
    assert answered
