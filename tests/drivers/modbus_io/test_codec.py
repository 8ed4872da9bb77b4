"""The codec keeps to the published bytes, in both directions, and no bytes upset it."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.framing import crc16
from drivers.modbus_io.codec import RTU_MOST, TCP_MOST, Frame, RtuCodec, Side, TcpCodec
from drivers.modbus_io.pdu import (
    Bits,
    Failure,
    Foreign,
    Function,
    Read,
    Words,
    WriteMany,
    WriteOne,
    Wrote,
    answer_to,
    unpack_reply,
    unpack_request,
)

VECTORS = Path(__file__).parents[2] / "vectors" / "modbus_io"


def _pdu(entry):
    function = entry["function"]
    match entry["kind"]:
        case "read":
            return Read(Function(function), entry["address"], entry["count"])
        case "write_one":
            return WriteOne(Function(function), entry["address"], entry["value"])
        case "write_many":
            return WriteMany(Function(function), entry["address"], tuple(entry["values"]))
        case "wrote":
            return Wrote(Function(function), entry["address"], entry["count"])
        case "bits":
            return Bits(Function(function), tuple(map(bool, entry["values"])))
        case "words":
            return Words(Function(function), tuple(entry["values"]))
        case "failure":
            return Failure(function, entry["code"])


def _cases():
    for framing in ("rtu", "tcp"):
        for entry in tomllib.loads((VECTORS / f"{framing}.toml").read_text())["frame"]:
            frame = Frame(entry.get("unit", 1), _pdu(entry), entry.get("transaction", 0))
            sides = ("master", "slave") if entry["heard_by"] == "both" else (entry["heard_by"],)
            for side in sides:
                yield pytest.param(
                    framing, Side(side), bytes.fromhex(entry["hex"]), frame, id=f"{framing} {side} {entry['name']}"
                )


def codec(framing, side, unit=1):
    return RtuCodec(side, unit) if framing == "rtu" else TcpCodec(side)


@pytest.mark.parametrize(("framing", "side", "raw", "frame"), list(_cases()))
class TestPublishedBytes:
    def test_are_what_we_write(self, framing, side, raw, frame):
        assert codec(framing, side).encode(frame) == raw

    def test_are_understood_whole(self, framing, side, raw, frame):
        assert codec(framing, side, frame.unit).feed(raw) == [frame]

    def test_are_understood_byte_by_byte(self, framing, side, raw, frame):
        ear = codec(framing, side, frame.unit)
        heard = [ear.feed(bytes((byte,))) for byte in raw]
        assert heard == [[]] * (len(raw) - 1) + [[frame]]

    @pytest.mark.parametrize("garbage", [b"\xff", b"\x00\xff\x55", bytes(range(0x80, 0xC0))], ids=len)
    @pytest.mark.parametrize("pieces", ["whole", "bytes"])
    def test_are_understood_behind_garbage(self, framing, side, raw, frame, garbage, pieces):
        ear = codec(framing, side, frame.unit)
        chunks = [garbage + raw] if pieces == "whole" else [bytes((byte,)) for byte in garbage + raw]
        assert [found for chunk in chunks for found in ear.feed(chunk)] == [frame]

    def test_are_understood_twice_in_a_row(self, framing, side, raw, frame):
        assert codec(framing, side, frame.unit).feed(raw + raw) == [frame, frame]

    def test_are_refused_when_a_bit_is_wrong_or_mean_something_else(self, framing, side, raw, frame):
        for place in range(len(raw) * 8):
            broken = bytearray(raw)
            broken[place // 8] ^= 1 << place % 8
            assert frame not in codec(framing, side, frame.unit).feed(bytes(broken))


word = st.integers(0, 0xFFFF)
functions = st.sampled_from
reads = st.builds(Read, functions([Function(code) for code in (1, 2, 3, 4)]), word, word)
write_ones = st.builds(WriteOne, functions([Function.WRITE_COIL, Function.WRITE_REGISTER]), word, word)
bit_tuples = st.lists(st.integers(0, 1), min_size=1, max_size=800).map(tuple)
write_many = st.one_of(
    st.builds(WriteMany, st.just(Function.WRITE_COILS), word, bit_tuples),
    st.builds(WriteMany, st.just(Function.WRITE_REGISTERS), word, st.lists(word, min_size=1, max_size=123).map(tuple)),
)
whole_bytes = st.binary(min_size=1, max_size=250).map(
    lambda raw: tuple(bool(byte >> at & 1) for byte in raw for at in range(8))
)
replies = st.one_of(
    write_ones,
    st.builds(Bits, functions([Function.READ_COILS, Function.READ_INPUTS]), whole_bytes),
    st.builds(
        Words,
        functions([Function.READ_HOLDING, Function.READ_REGISTERS]),
        st.lists(word, min_size=1, max_size=125).map(tuple),
    ),
    st.builds(Wrote, functions([Function.WRITE_COILS, Function.WRITE_REGISTERS]), word, word),
    st.builds(Failure, st.sampled_from([1, 2, 3, 4, 5, 6, 15, 16]), st.integers(1, 11)),
)
requests = st.one_of(reads, write_ones, write_many)
sided = st.one_of(requests.map(lambda pdu: (Side.SLAVE, pdu)), replies.map(lambda pdu: (Side.MASTER, pdu)))


@given(sided, st.integers(1, 247), st.lists(st.integers(1, 40), max_size=40))
def test_what_is_written_on_a_line_is_heard_again_however_it_is_cut(sided_pdu, unit, cuts):
    side, pdu = sided_pdu
    ear = RtuCodec(side, unit)
    assert _heard(ear, ear.encode(Frame(unit, pdu)), cuts) == [Frame(unit, pdu)]


@given(sided, st.integers(0, 255), word, st.lists(st.integers(1, 40), max_size=40))
def test_what_is_written_on_tcp_is_heard_again_however_it_is_cut(sided_pdu, unit, transaction, cuts):
    side, pdu = sided_pdu
    ear = TcpCodec(side)
    frame = Frame(unit, pdu, transaction)
    assert _heard(ear, ear.encode(frame), cuts) == [frame]


def _heard(ear, raw, cuts):
    found, at = [], 0
    for size in cuts:
        found += ear.feed(raw[at : at + size])
        at += size
    return found + ear.feed(raw[at:])


@pytest.mark.parametrize("bits", [8, 24, 400, 2000])
@pytest.mark.parametrize("framing", ["rtu", "tcp"])
def test_nothing_is_lost_of_what_comes_in_one_piece(framing, bits):
    frame = Frame(1, Bits(Function.READ_INPUTS, (True, False) * (bits // 2)))
    codec = RtuCodec(Side.MASTER, 1) if framing == "rtu" else TcpCodec(Side.MASTER)
    assert codec.feed(codec.encode(frame) * 100) == [frame] * 100


@given(st.lists(st.binary(max_size=700), max_size=6), st.sampled_from(["rtu", "tcp"]), st.sampled_from(list(Side)))
@settings(max_examples=150)
def test_hostile_bytes_never_raise_and_never_pile_up(chunks, framing, side):
    ear = codec(framing, side)
    for chunk in chunks:
        ear.feed(chunk)
        assert len(ear._buffer) <= max(RTU_MOST, TCP_MOST)
    ear.reset()
    good = ear.encode(
        Frame(1, Failure(1, 2) if side is Side.MASTER else Read(Function.READ_COILS, 0, 8), 7 * (framing == "tcp"))
    )
    assert len(ear.feed(good)) == 1


@given(st.binary(max_size=300))
def test_hostile_pdus_never_raise(raw):
    for pdu in (unpack_request(raw), unpack_reply(raw)):
        assert pdu is None or pdu.function in range(128)


def test_a_frame_for_another_unit_is_passed_over():
    other = RtuCodec(Side.MASTER, 2).encode(Frame(2, Failure(1, 2)))
    mine = RtuCodec(Side.MASTER, 1).encode(Frame(1, Failure(1, 6)))
    assert RtuCodec(Side.MASTER, 1).feed(other + mine) == [Frame(1, Failure(1, 6))]


def test_half_a_frame_does_not_hide_the_next_one_on_a_line():
    ear = RtuCodec(Side.SLAVE, 1)
    whole = ear.encode(Frame(1, Read(Function.READ_INPUTS, 0, 8)))
    assert ear.feed(whole[:5]) == []
    assert ear.feed(whole) == [Frame(1, Read(Function.READ_INPUTS, 0, 8))]


def test_a_byte_of_noise_that_looks_like_our_unit_does_not_hide_the_answer():
    """Read with the noise in front, the exception's mark would announce an answer of 129 bytes."""
    answer = RtuCodec(Side.MASTER, 1).encode(Frame(1, Failure(1, 2)))
    assert RtuCodec(Side.MASTER, 1).feed(b"\x01" + answer) == [Frame(1, Failure(1, 2))]


def test_an_unknown_function_reaches_the_slave_as_such():
    raw = bytes.fromhex("01 11")
    framed = raw + crc16(raw).to_bytes(2, "little")
    assert RtuCodec(Side.SLAVE, 1).feed(framed) == [Frame(1, Foreign(0x11, b""))]
    assert RtuCodec(Side.MASTER, 1).feed(framed) == []


@pytest.mark.parametrize(
    ("request_", "reply"),
    [
        (Read(Function.READ_INPUTS, 0, 20), Bits(Function.READ_COILS, (False,) * 24)),
        (Read(Function.READ_INPUTS, 0, 20), Bits(Function.READ_INPUTS, (False,) * 16)),
        (Read(Function.READ_REGISTERS, 0, 2), Words(Function.READ_REGISTERS, (1,))),
        (WriteOne(Function.WRITE_COIL, 3, 0xFF00), WriteOne(Function.WRITE_COIL, 4, 0xFF00)),
        (WriteOne(Function.WRITE_COIL, 3, 0xFF00), WriteOne(Function.WRITE_COIL, 3, 0)),
        (WriteMany(Function.WRITE_COILS, 0, (1, 1)), Wrote(Function.WRITE_COILS, 0, 3)),
        (Read(Function.READ_INPUTS, 0, 1), Failure(1, 2)),
    ],
)
def test_an_answer_to_something_else_is_no_answer(request_, reply):
    assert answer_to(request_, reply) is None
