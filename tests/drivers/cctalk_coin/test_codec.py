"""The codec keeps to the published bytes in both directions, and no bytes upset it."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.cctalk_coin.codec import MOST, Check, Codec, Frame
from drivers.cctalk_coin.echo import Echo

VECTORS = Path(__file__).parents[2] / "vectors" / "cctalk_coin"
ENTRIES = tomllib.loads((VECTORS / "frames.toml").read_text())["frame"]


def _case(entry):
    frame = Frame(entry["to"], entry["header"], bytes.fromhex(entry.get("data", "")), entry["from"])
    return pytest.param(Check(entry.get("check", "sum")), bytes.fromhex(entry["hex"]), frame, id=entry["name"])


@pytest.mark.parametrize(("check", "raw", "frame"), [_case(entry) for entry in ENTRIES])
class TestPublishedBytes:
    def test_are_what_we_write(self, check, raw, frame):
        assert Codec(check, None).encode(frame) == raw

    def test_are_understood_whole_and_byte_by_byte_and_twice_in_a_row(self, check, raw, frame):
        ear = Codec(check, {frame.destination})
        assert ear.feed(raw) == [frame]
        assert [ear.feed(bytes((byte,))) for byte in raw] == [[]] * (len(raw) - 1) + [[frame]]
        assert ear.feed(raw + raw) == [frame, frame]

    def test_are_passed_over_by_others(self, check, raw, frame):
        assert Codec(check, {frame.destination + 1}).feed(raw) == []

    def test_are_refused_with_any_bit_wrong(self, check, raw, frame):
        for place in range(len(raw) * 8):
            broken = bytearray(raw)
            broken[place // 8] ^= 1 << place % 8
            assert frame not in Codec(check, {frame.destination}).feed(bytes(broken))

    def test_are_understood_after_garbage_once_the_line_was_still(self, check, raw, frame):
        ear = Codec(check, {frame.destination})
        assert ear.feed(bytes((frame.destination, 1, 1, 1, 1, 0x77))) == []
        assert ear.feed(raw) == []
        ear.reset()
        assert ear.feed(raw) == [frame]


frames = st.builds(Frame, st.integers(0, 255), st.integers(0, 255), st.binary(max_size=255), st.just(0))


@given(frames, st.sampled_from(Check), st.lists(st.integers(1, 40), max_size=20))
def test_what_is_written_is_heard_again_however_it_is_cut(frame, check, cuts):
    ear = Codec(check, None)
    raw, found, at = ear.encode(frame), [], 0
    for size in cuts:
        found += ear.feed(raw[at : at + size])
        at += size
    assert found + ear.feed(raw[at:]) == [frame]


@pytest.mark.parametrize("check", Check)
@pytest.mark.parametrize("size", [0, 11, 255])
def test_nothing_is_lost_of_what_comes_in_one_piece(check, size):
    frame = Frame(2, 229, bytes(size), 1 if check is Check.SUM else 0)
    codec = Codec(check, None)
    assert codec.feed(codec.encode(frame) * 100) == [frame] * 100


@given(st.lists(st.binary(max_size=700), max_size=6), st.sampled_from(Check))
@settings(max_examples=150)
def test_hostile_bytes_never_raise_and_never_pile_up(chunks, check):
    ear = Codec(check, {2})
    for chunk in chunks:
        ear.feed(chunk)
        assert len(ear._buffer) <= MOST
    ear.reset()
    assert ear.feed(ear.encode(Frame(2, 229, source=0))) == [Frame(2, 229, source=0)]


@pytest.mark.parametrize("mine", Check)
def test_neighbours_on_the_line_may_use_the_other_check(mine):
    other = Check.CRC if mine is Check.SUM else Check.SUM
    ear = Codec(mine, {2})
    neighbour = Codec(other, None).encode(Frame(40, 159, b"\1\2\3", 0))
    raw = ear.encode(Frame(2, 229, source=0))
    assert ear.feed(neighbour + raw) == [Frame(2, 229, source=0)]


class TestEcho:
    RAW = bytes.fromhex("01 00 02 00 fd")
    POLL = bytes.fromhex("02 00 01 e5 18")

    def echo(self):
        echo = Echo(10 / 9600)
        echo.expect(self.RAW, 10.0)
        return echo

    def test_is_taken_off_exactly_however_it_is_cut(self):
        for cut in range(1, len(self.RAW)):
            echo = self.echo()
            assert echo.strip(self.RAW[:cut], 10.01) == (b"", False)
            assert echo.strip(self.RAW[cut:] + self.POLL, 10.02) == (self.POLL, True)
            assert echo.strip(self.RAW, 10.03) == (self.RAW, False)

    def test_that_does_not_come_takes_nothing_from_the_host(self):
        assert self.echo().strip(self.POLL, 10.02) == (self.POLL, False)

    def test_that_is_garbled_is_no_echo(self):
        garbled = self.RAW[:3] + b"\x40" + self.RAW[4:]
        echo = self.echo()
        assert echo.strip(garbled, 10.02) == (garbled[3:], False)
        assert echo.strip(self.RAW, 10.02) == (self.RAW, False)

    def test_comes_soon_or_never(self):
        """The answer to an address poll is one byte, and the next request begins with the same."""
        echo = Echo(10 / 9600)
        echo.expect(b"\x02", 10.0)
        assert echo.strip(self.POLL, 10.5) == (self.POLL, False)
