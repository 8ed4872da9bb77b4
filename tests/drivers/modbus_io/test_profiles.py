"""Options become addresses; mistakes are named with place and remedy."""

from pathlib import Path

import msgspec
import pytest

from drivers.base import Role
from drivers.modbus_io import driver
from drivers.modbus_io.pdu import Function, WriteOne
from drivers.modbus_io.profiles import profile_of
from drivers.profile import Eye, load
from parking.errors import Code, Environment

SEEDS = Path(__file__).parents[3] / "seeds" / "lots"


def test_a_relay_board_is_pulsed_by_its_own_clock(device, exits):
    profile = profile_of(device("relay_board", "tcp", pulse_ms=700), exits("relay_board"))
    assert profile.release(3) == WriteOne(Function.WRITE_COIL, 0x0203, 7)
    assert [profile.level(3, on) for on in (True, False)] == [
        WriteOne(Function.WRITE_COIL, 3, 0xFF00),
        WriteOne(Function.WRITE_COIL, 3, 0),
    ]
    assert (profile.opened, profile.vehicle, profile.count) == (0, 4, None)


def test_a_lock_plate_is_lowered_by_its_coil(device, exits):
    profile = profile_of(device("lock_plate", "rtu", hold_base=300), exits("lock_plate"))
    assert profile.release(3) == WriteOne(Function.WRITE_COIL, 3, 0xFF00)
    assert profile.level(3, True) == WriteOne(Function.WRITE_COIL, 303, 0xFF00)
    assert (profile.opened, profile.vehicle, profile.count) == (0, 100, 0)


@pytest.mark.parametrize("nothing", [-1, None])
def test_what_is_not_wired_is_not_read(device, exits, nothing):
    profile = profile_of(device("lock_plate", "rtu", count_base=nothing, car_base=nothing), exits("lock_plate"))
    assert (profile.count, profile.vehicle, profile.is_stay_feed) == (None, None, False)


@pytest.mark.parametrize("seed", ["bay-plates", "gated-host", "usb-relay"])
def test_the_seeds_are_understood(seed):
    lot = load(SEEDS / f"{seed}.toml")
    for device in lot.device:
        if device.family == "modbus_io":
            assert profile_of(device, lot.exit).channels >= len(lot.exit)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"profile": "barrier"}, "barrier"),
        ({"framing": "ascii"}, "$.options.framing"),
        ({"baud": "9600"}, "$.options.baud"),
        ({"unit": 256}, "$.options.unit"),
        ({"pulse_ms": 750}, "$.options.pulse_ms"),
        ({"pulse_ms": 0}, "$.options.pulse_ms"),
        ({"colour": "red"}, "colour"),
        ({"parity": "M"}, "$.options.parity"),
        ({"channels": 2}, "channel 2"),
        ({"vehicle_base": 1}, "input 1"),
    ],
)
def test_a_mistake_names_device_place_and_remedy(device, exits, options, named):
    table = device("relay_board", "tcp")
    table.options.update(options)
    with pytest.raises(Environment) as caught:
        profile_of(table, exits("relay_board"))
    assert caught.value.code is Code.CONFIG
    assert "device 'io'" in caught.value.detail
    assert named in caught.value.detail
    assert "README" in caught.value.remedy


def test_a_missing_framing_is_named(device, exits):
    table = device("relay_board", "tcp")
    del table.options["framing"]
    with pytest.raises(Environment, match="framing"):
        profile_of(table, exits("relay_board"))


def test_hold_coils_must_not_lie_among_those_that_lower_plates(device, exits):
    with pytest.raises(Environment, match="hold_base 7"):
        profile_of(device("lock_plate", "rtu", hold_base=7), exits("lock_plate"))


class TestInputBoard:
    """Sees exits that another device moves."""

    def seen(self, exits, channel=3):
        return tuple(
            msgspec.structs.replace(one, device="relay", seen_by=Eye(device="io", channel=channel + at))
            for at, one in enumerate(exits)
        )

    def test_sees_exits_and_moves_none(self, device, exits):
        made = driver.create(device("input_board", "tcp"), self.seen(exits("relay_board", 1)), None)
        assert made.capabilities.roles is Role.SIGHT

    def test_knows_the_stays_where_it_sees_bays(self, device, exits):
        table = device("input_board", "tcp", vehicle_base=8)
        made = driver.create(table, self.seen(exits("lock_plate", 4)), None)
        assert made.capabilities.roles == Role.SIGHT | Role.STAYS

    def test_without_a_position_input_sees_nothing(self, device, exits):
        made = driver.create(device("input_board", "tcp", open_base=-1), self.seen(exits("relay_board", 1)), None)
        assert made.capabilities.roles == Role(0)

    def test_has_no_channel_beyond_its_inputs(self, device, exits):
        with pytest.raises(Environment, match="channel 8"):
            profile_of(device("input_board", "tcp"), self.seen(exits("relay_board", 1), 8))

    def test_has_one_meaning_for_each_input(self, device, exits):
        twice = self.seen(exits("relay_board", 2)[:1], 3) + self.seen(exits("relay_board", 2)[1:], 3)
        with pytest.raises(Environment, match="input 3 cannot be the position of 'E0' and the position of 'E1'"):
            profile_of(device("input_board", "tcp"), twice)
