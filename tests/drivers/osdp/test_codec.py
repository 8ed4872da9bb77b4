"""Frames: golden bytes both ways, streams cut and spoilt as they like, and nothing that grows or raises."""

import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.osdp.codec import MOST, Block, Codec, Frame, checksum, decode, encode
from drivers.osdp.words import Card, Lamp, Out, card, identity, lamp_for, lamps, outs, sounds, statuses, wiegand26

VECTORS = Path(__file__).parents[2] / "vectors" / "osdp"
GOLDEN = tomllib.loads((VECTORS / "frames.toml").read_text(encoding="utf-8"))["frame"]
PLAIN = st.builds(
    Frame,
    address=st.integers(0, 127),
    code=st.integers(0, 255),
    data=st.binary(max_size=60),
    sequence=st.integers(0, 3),
    is_reply=st.booleans(),
    crc=st.booleans(),
    block=st.one_of(st.none(), st.builds(Block, st.integers(0x11, 0x14), st.binary(max_size=4))),
)
SEALED = st.builds(
    replace,
    PLAIN,
    block=st.builds(Block, st.integers(0x15, 0x18), st.just(b"")),
    mac=st.binary(min_size=4, max_size=4),
)
FRAMES = st.one_of(PLAIN, SEALED)


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda one: one["name"])
def test_golden_bytes_are_read_and_said(golden):
    raw = bytes.fromhex(golden["hex"])
    frame = Frame(
        golden["address"], golden["code"], bytes.fromhex(golden["data"]), golden["sequence"], golden["is_reply"]
    )
    assert decode(raw) == frame
    assert encode(frame) == raw


@given(FRAMES)
def test_what_is_said_is_understood(frame):
    assert decode(encode(frame)) == frame


@given(FRAMES, st.data())
def test_a_frame_with_one_wrong_bit_is_none(frame, data):
    raw = bytearray(encode(frame))
    at = data.draw(st.integers(0, len(raw) * 8 - 1))
    raw[at // 8] ^= 1 << at % 8
    assert decode(bytes(raw)) != frame
    if frame.crc and at // 8 != 4:  # whoever takes the CRC for a checksum has it wrong once in 256
        assert decode(bytes(raw)) is None


@given(st.lists(FRAMES, max_size=4), st.data())
def test_a_stream_may_be_cut_anywhere(frames, data):
    stream = b"".join(b"\xff" + encode(frame) for frame in frames)
    codec, found = Codec(), []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        found += codec.feed(stream[:size])
        stream = stream[size:]
    assert found == frames


def test_a_frame_is_found_behind_garbage_that_looks_like_the_beginning_of_a_long_one():
    good = encode(Frame(1, 0x60))
    codec = Codec()
    assert codec.feed(b"\x53\x01\xff\x02" + good) == [decode(good)]
    assert codec.feed(good) == [decode(good)]


def test_a_length_beyond_the_longest_frame_is_not_waited_for():
    codec = Codec()
    assert codec.feed(b"\x53\x01" + (MOST + 1).to_bytes(2, "little") + bytes(20)) == []
    assert len(codec._buffer) == 0


@given(st.lists(st.one_of(st.binary(max_size=800), st.just(b"\x53\x00\xa0\x05" * 200)), max_size=8))
def test_hostile_bytes_neither_raise_nor_pile_up(chunks):
    codec = Codec()
    for chunk in chunks:
        for frame in codec.feed(chunk):
            assert decode(encode(frame)) == frame
        assert len(codec._buffer) <= MOST


def test_half_a_frame_is_forgotten_on_demand():
    raw = encode(Frame(1, 0x60))
    codec = Codec()
    codec.feed(raw[:5])
    codec.reset()
    assert codec.feed(raw[5:]) == []


def test_the_checksum_makes_the_sum_of_all_bytes_zero():
    raw = encode(Frame(1, 0x60, crc=False))
    assert len(raw) == 7
    assert sum(raw) & 0xFF == 0
    assert checksum(raw[:-1]) == raw[-1]


class TestWords:
    def test_wiegand_26_has_even_parity_before_and_odd_parity_after_its_number(self):
        made = wiegand26(17, 4711)
        bits = f"{int.from_bytes(made.data, 'big'):032b}"[: made.bits]
        assert (made.bits, made.form, bits[1:9], bits[9:25]) == (26, 1, f"{17:08b}", f"{4711:016b}")
        assert bits[:13].count("1") % 2 == 0
        assert bits[13:].count("1") % 2 == 1

    @given(st.integers(0, 255), st.integers(0, 65535))
    def test_no_two_cards_look_the_same(self, facility, number):
        made = wiegand26(facility, number)
        assert card(made.raw) == made
        whole = int.from_bytes(made.data, "big") >> 6
        assert (whole >> 17 & 0xFF, whole >> 1 & 0xFFFF) == (facility, number)

    @given(st.binary(max_size=40))
    def test_malformed_data_is_none_of_them(self, data):
        for read in (outs, lamps, card, sounds):
            read(data)
        identity(data)
        assert len(statuses(data)) == len(data)
        assert outs(data[: len(data) // 4 * 4] + b"\0") is None
        assert card(data[:3]) is None

    def test_several_outputs_go_by_one_command(self):
        orders = (Out(0, 5, 30), Out(1, 2))
        assert outs(b"".join(one.data for one in orders)) == orders
        assert outs(b"") is None

    def test_a_lamp_shows_what_is_temporary_before_what_is_permanent(self):
        assert lamps(lamp_for(2, 20)) == (Lamp(2, None),)
        assert Lamp(None, 1).shown == 1
        assert Lamp(2, 1).shown == 2
        both = bytes((0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 5, 5, 4, 0))
        assert lamps(both) == (Lamp(None, 4),)

    def test_a_buzzer_that_is_switched_off_makes_no_sound(self):
        assert sounds(bytes((0, 2, 1, 1, 1))) is True
        assert sounds(bytes((0, 1, 0, 0, 0))) is False

    def test_a_card_of_no_bits_is_a_card(self):
        assert card(bytes(4)) == Card(0, b"", 0, 0)
