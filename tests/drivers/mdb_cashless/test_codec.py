"""Lines and blocks keep to the published bytes, in both directions, and no bytes upset them."""

import tomllib
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.mdb_cashless import words
from drivers.mdb_cashless.amounts import Amounts
from drivers.mdb_cashless.block import (
    MOST,
    Block,
    BlockCodec,
    Char,
    checksum,
    from_controller,
    from_peripheral,
)
from drivers.mdb_cashless.block import Side as BusSide
from drivers.mdb_cashless.codec import MOST as LONGEST
from drivers.mdb_cashless.codec import LineCodec, Side
from drivers.mdb_cashless.qibixx import Qibixx
from parking.money import MOST as MOST_YEN

VECTORS = Path(__file__).parents[2] / "vectors" / "mdb_cashless"
LINES = tomllib.loads((VECTORS / "lines.toml").read_text(encoding="utf-8"))["line"]
BLOCKS = tomllib.loads((VECTORS / "blocks.toml").read_text(encoding="utf-8"))["block"]


# --- lines ------------------------------------------------------------------------------------------------------------


def word_of(entry):
    extra = {"text_of": "text", "setting": "name"}
    given = {
        key: value for key, value in entry.items() if key not in ("name", "source", "by", "text", "kind", "written")
    }
    values = {extra.get(key, key): value for key, value in given.items()}
    if "state" in values:
        values["state"] = words.State(values["state"])
    if "trouble" in values:
        values["trouble"] = words.Trouble(values["trouble"])
    return getattr(words, entry["kind"])(**values)


def ear(by):
    return LineCodec(Qibixx(), Side.READER if by == "adapter" else Side.ADAPTER)


@pytest.mark.parametrize("entry", LINES, ids=lambda entry: entry["name"])
class TestPublishedLines:
    def test_are_what_we_write(self, entry):
        assert ear(entry["by"]).encode(word_of(entry)) == entry.get("written", entry["text"]).encode() + b"\n"

    def test_are_understood(self, entry):
        assert ear(entry["by"]).feed(entry["text"].encode() + b"\n") == [word_of(entry)]
        assert ear(entry["by"]).feed(entry["text"].encode() + b"\r\n") == [word_of(entry)]

    def test_are_understood_byte_by_byte_and_not_before_their_end(self, entry):
        codec, raw = ear(entry["by"]), entry["text"].encode()
        assert [codec.feed(bytes((byte,))) for byte in raw] == [[]] * len(raw)
        assert codec.feed(b"\n") == [word_of(entry)]

    @pytest.mark.parametrize("garbage", [b"\xff\n", b"\x00\xfe,,\nc,VEND,\n\n\n", b"x" * 500 + b"\n"], ids=len)
    def test_are_understood_behind_garbage(self, entry, garbage):
        assert ear(entry["by"]).feed(garbage + entry["text"].encode() + b"\n") == [word_of(entry)]

    def test_mean_nothing_with_a_sign_before_or_behind_them(self, entry):
        for line in (
            b"\xff" + entry["text"].encode(),
            b"c" + entry["text"].encode(),
            entry["text"].encode() + b",\x00",
        ):
            assert ear(entry["by"]).feed(line + b"\n") == []


@pytest.mark.parametrize(
    "line", ["c,STATUS,VEND,450", "c,STATUS,VEND,", "c,VEND,SUCC", "c,STATUS,VEND,-450,1", "c,ERR,"]
)
def test_half_a_line_says_nothing(line):
    assert ear("adapter").feed(line.encode() + b"\n") == []


def test_a_line_without_end_is_given_up_to_its_end():
    codec = ear("adapter")
    for _ in range(100):
        assert codec.feed(b"c,VEND,SUCCESS" * 10) == []
        assert len(codec._buffer) <= LONGEST
    assert codec.feed(b"\nr,ACK\n") == [words.Acknowledged()]


@given(st.binary(max_size=400), st.lists(st.integers(1, 40), max_size=30))
def test_hostile_bytes_never_raise_and_a_good_line_comes_through(data, cuts):
    for by in ("adapter", "program"):
        codec, at = ear(by), 0
        for cut in cuts:
            codec.feed(data[at : at + cut])
            at += cut
        codec.feed(data[at:])
        assert len(codec._buffer) <= LONGEST
        assert codec.feed(b"\nV\n" if by == "program" else b"\nr,ACK\n")[-1:] != []


@given(st.lists(st.sampled_from(LINES), max_size=12), st.lists(st.integers(1, 9), max_size=60))
def test_it_does_not_matter_how_the_bytes_are_cut(entries, cuts):
    entries = [entry for entry in entries if entry["by"] == "adapter"]
    raw, codec, found, at = b"".join(entry["text"].encode() + b"\n" for entry in entries), ear("adapter"), [], 0
    for cut in cuts:
        found += codec.feed(raw[at : at + cut])
        at += cut
    assert found + codec.feed(raw[at:]) == [word_of(entry) for entry in entries]


# --- blocks on the bus ------------------------------------------------------------------------------------------------


def chars_of(entry):
    return tuple(Char(int(one.rstrip("*"), 16), one.endswith("*")) for one in entry["chars"].split())


def block_of(entry):
    return Block(bytes.fromhex(entry["data"]), entry.get("bare", False))


def bus_ear(entry):
    return BlockCodec(BusSide.PERIPHERAL if entry["from"] == "controller" else BusSide.CONTROLLER)


@pytest.mark.parametrize("entry", BLOCKS, ids=lambda entry: entry["name"])
class TestPublishedBlocks:
    def test_are_what_is_put_on_the_bus(self, entry):
        put = from_controller if entry["from"] == "controller" else from_peripheral
        assert put(block_of(entry)) == chars_of(entry)

    def test_are_understood_whole_and_char_by_char(self, entry):
        assert bus_ear(entry).feed(chars_of(entry)) == [block_of(entry)]
        ear_ = bus_ear(entry)
        heard = [ear_.feed((one,)) for one in chars_of(entry)]
        assert heard == [[]] * (len(heard) - 1) + [[block_of(entry)]]

    def test_end_with_the_sum_of_what_precedes_it(self, entry):
        chars = chars_of(entry)
        assert entry.get("bare") or chars[-1].byte == checksum(bytes(one.byte for one in chars[:-1]))

    def test_are_refused_when_a_bit_is_wrong(self, entry):
        for place, one in enumerate(chars_of(entry)):
            for bit in range(8):
                broken = list(chars_of(entry))
                broken[place] = Char(one.byte ^ 1 << bit, one.mode)
                assert block_of(entry) not in bus_ear(entry).feed(tuple(broken))


def test_a_block_for_another_device_is_passed_over():
    codec = BlockCodec(BusSide.PERIPHERAL)
    coin_poll, second_reader = (Char(0x0B, True), Char(0x0B, False)), (Char(0x62, True), Char(0x62, False))
    mine = from_controller(Block(b"\x12"))
    assert codec.feed(coin_poll + second_reader + mine) == [Block(b"\x12")]
    assert BlockCodec(BusSide.PERIPHERAL, 0x60).feed(second_reader) == [Block(b"\x62")]


def test_half_a_block_does_not_hide_the_next_one():
    half = from_controller(Block(bytes.fromhex("130001c2ffff")))[:4]
    assert BlockCodec(BusSide.PERIPHERAL).feed(half + from_controller(Block(b"\x12"))) == [Block(b"\x12")]


@given(st.lists(st.tuples(st.integers(0, 255), st.booleans()), max_size=200))
def test_hostile_characters_never_raise_and_never_pile_up(noise):
    for side in BusSide:
        codec = BlockCodec(side)
        codec.feed(tuple(Char(*one) for one in noise))
        assert len(codec._heard) <= MOST
        if side is BusSide.PERIPHERAL:
            assert codec.feed(from_controller(Block(b"\x12"))) == [Block(b"\x12")]


# --- amounts ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("amounts", "written", "yen"),
    [
        (Amounts(), "450", 450),
        (Amounts(2), "450.00", 450),
        (Amounts(2), "655.00", 655),
        (Amounts(3), "65.000", 65),
        (Amounts(0, 10), "1200", 1200),
        (Amounts(2, 100), "1200.00", 1200),
        (Amounts(), "65534", 65_534),
        (Amounts(wide=True), "1000000", 1_000_000),
    ],
)
def test_an_amount_is_read_and_said_exactly(amounts, written, yen):
    assert amounts.read(written) == yen
    assert amounts.say(yen) == written


@pytest.mark.parametrize(
    ("amounts", "written"),
    [
        (Amounts(), "450.00"),
        (Amounts(2), "450"),
        (Amounts(2), "450.50"),
        (Amounts(2), "4.5"),
        (Amounts(), "0"),
        (Amounts(), "65535"),
        (Amounts(), "-450"),
        (Amounts(), "٤٥٠"),
        (Amounts(), ""),
        (Amounts(0, 10), "455"),
        (Amounts(2), "656.00"),
        (Amounts(wide=True), "10000000"),
    ],
)
def test_what_is_no_whole_yen_or_not_written_as_agreed_is_no_amount(amounts, written):
    assert amounts.read(written) is None


@pytest.mark.parametrize("written", ["450", "450.0", "450.00", "450.000"])
def test_zeros_behind_the_point_may_stand_where_no_decimals_were_agreed_on_and_taken(written):
    assert Amounts().read(written, zeros=True) == 450


@pytest.mark.parametrize(
    ("amounts", "written"),
    [(Amounts(), "450.50"), (Amounts(), "450.0000"), (Amounts(), "0.00"), (Amounts(2), "450"), (Amounts(2), "450.0")],
)
def test_and_nothing_else(amounts, written):
    assert amounts.read(written, zeros=True) is None


@given(st.integers(0, 3), st.integers(1, 100), st.booleans(), st.integers(0, MOST_YEN))
def test_what_can_be_said_is_read_as_the_same_and_fits_the_bus(decimals, scale, wide, yen):
    amounts = Amounts(decimals, scale, wide)
    written = amounts.say(yen)
    if written is None:
        units = yen * 10**decimals / scale
        assert yen == 0 or units > (0xFFFFFFFE if wide else 0xFFFE) or units != int(units)
    else:
        assert amounts.read(written) == yen <= amounts.most()
        assert asdict(amounts)["scale"] * int(yen * 10**decimals // scale) == yen * 10**decimals
