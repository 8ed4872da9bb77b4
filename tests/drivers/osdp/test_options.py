"""Options: what is wrong is told with its place, and no key is taken that everybody knows."""

import pytest

from drivers import registry
from drivers.osdp.options import settings_of
from drivers.osdp.secure import SCBK_D
from parking.errors import Code, Environment

KEY = "f0e1d2c3b4a5968778695a4b3c2d1e0f"


def mistake(table, exits=()):
    with pytest.raises(Environment) as caught:
        registry.create_driver(table, exits, None)
    assert (caught.value.code, "'gate'" in caught.value.detail) == (Code.CONFIG, True)
    return caught.value.detail


class TestKey:
    @pytest.mark.parametrize("mode", ["output", "reader"])
    def test_comes_from_the_options_or_from_a_file(self, device, tmp_path, mode):
        file = tmp_path / "scbk"
        file.write_text(f"{KEY}\n")
        assert settings_of(device(mode, scbk=KEY), ()).scbk == bytes.fromhex(KEY)
        assert settings_of(device(mode, key_file=str(file)), ()).scbk == bytes.fromhex(KEY)

    def test_that_everybody_knows_is_refused_unless_the_device_is_being_installed(self, device, tmp_path):
        file = tmp_path / "scbk"
        file.write_text(SCBK_D.hex())
        assert "SCBK-D" in mistake(device("output", scbk=SCBK_D.hex().upper()))
        assert "SCBK-D" in mistake(device("reader", key_file=str(file)))
        installing = settings_of(device("output", install_mode=True), ())
        assert (installing.scbk, installing.default_key) == (SCBK_D, True)

    def test_must_be_given_unless_plain_is_asked_for(self, device):
        assert "scbk, key_file, install_mode" in mistake(device("output", scbk="", secure=True))
        assert settings_of(device("output", secure=False), ()).scbk is None

    def test_is_given_in_one_way_only(self, device):
        assert "one of" in mistake(device("output", scbk=KEY, install_mode=True))
        assert "secure is false" in mistake(device("output", secure=False, scbk=KEY))

    def test_file_that_is_not_there_or_holds_no_key_is_told(self, device, tmp_path):
        assert "No such file" in mistake(device("output", key_file=str(tmp_path / "none")))
        (tmp_path / "short").write_text("00ff")
        assert "32 hexadecimal digits" in mistake(device("output", key_file=str(tmp_path / "short")))
        (tmp_path / "binary").write_bytes(b"\xff" * 16)
        assert "not text" in mistake(device("output", key_file=str(tmp_path / "binary")))

    def test_is_in_no_message(self, device):
        assert KEY not in mistake(device("output", scbk=KEY, channels=99))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"mode": "gate"}, "mode"),
        ({"address": 127}, "address"),
        ({"baud": 1234}, "baud"),
        ({"pulse_ms": 150}, "pulse_ms"),
        ({"repeats": 4}, "repeats"),
        ({"colour": "red"}, "colour"),
        ({"scbk": "00ff"}, "scbk"),
    ],
)
def test_a_wrong_value_is_told_by_its_name(device, options, told):
    table = device("output", **({} if "mode" in options else options))
    table.options.update(options)
    assert told in mistake(table)


def test_a_reader_needs_a_card(device):
    table = device("reader")
    del table.options["card"]
    assert "card" in mistake(table)


def test_an_exit_on_a_channel_that_is_not_there_is_told(device, exits):
    assert "'E1' is on channel 1" in mistake(device("reader"), exits(2))
    assert "channels count from 0 to 3" in mistake(device("output"), exits(5))


def test_an_input_cannot_mean_two_things(device, exits):
    assert "input 1 cannot be" in mistake(device("output", open_base=0, vehicle_base=1), exits(2))
    settings_of(device("output", open_base=0, vehicle_base=1), exits(1))
