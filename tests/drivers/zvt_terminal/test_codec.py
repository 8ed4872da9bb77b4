"""The codec keeps to the published bytes, in both directions, and no bytes upset it."""

import tomllib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.zvt_terminal.codec import MOST_HEARD, Apdu, SerialFraming, Signal, TcpFraming, crc16
from drivers.zvt_terminal.fields import COUNTED, FIXED, Bmp, bcd, field, fields, unbcd
from parking.errors import Bug

VECTORS = Path(__file__).parents[2] / "vectors" / "zvt_terminal"
KINDS = {"serial": SerialFraming, "tcp": TcpFraming, "prefix": lambda: TcpFraming(prefix=True)}


def frames(name):
    return tomllib.loads((VECTORS / f"{name}.toml").read_text(encoding="utf-8"))["frame"]


def apdu_of(entry):
    return Apdu(entry["control"], bytes.fromhex(entry["data"]))


CASES = [
    pytest.param(name, bytes.fromhex(entry["hex"]), apdu_of(entry), id=f"{name} {entry['name']}")
    for name in ("serial", "tcp")
    for entry in frames(name)
]
PREFIXED = [
    pytest.param("prefix", len(raw).to_bytes(2, "big") + raw, apdu, id=f"prefix {apdu.control:04x}")
    for name, raw, apdu in (case.values for case in CASES)
    if name == "tcp"
]


@pytest.mark.parametrize(("kind", "raw", "apdu"), CASES + PREFIXED)
class TestPublishedBytes:
    def test_are_what_we_write(self, kind, raw, apdu):
        assert KINDS[kind]().encode(apdu) == raw

    def test_are_understood_whole_and_byte_by_byte(self, kind, raw, apdu):
        assert KINDS[kind]().feed(raw) == [apdu]
        ear = KINDS[kind]()
        assert [ear.feed(bytes((byte,))) for byte in raw] == [[]] * (len(raw) - 1) + [[apdu]]
        assert not ear.partial

    def test_are_understood_behind_garbage(self, kind, raw, apdu):
        assert KINDS[kind]().feed(b"\xff\x99\x55" + raw) == [apdu]

    def test_are_understood_twice_in_a_row(self, kind, raw, apdu):
        assert KINDS[kind]().feed(raw + raw) == [apdu, apdu]


@pytest.mark.parametrize("entry", frames("serial"), ids=lambda entry: entry["name"])
def test_a_serial_frame_with_a_wrong_bit_is_never_taken(entry):
    raw = bytes.fromhex(entry["hex"])
    for place in range(len(raw) * 8):
        broken = bytearray(raw)
        broken[place // 8] ^= 1 << place % 8
        assert not [heard for heard in SerialFraming().feed(bytes(broken)) if isinstance(heard, Apdu)]


@pytest.mark.parametrize(
    "entry",
    [entry for name in ("serial", "tcp") for entry in frames(name) if "amount" in entry],
    ids=lambda e: e["name"],
)
def test_the_amount_of_a_published_request_is_read(entry):
    found = fields(bytes.fromhex(entry["data"]))
    assert unbcd(found[Bmp.AMOUNT]) == entry["amount"]
    assert found.get(Bmp.CURRENCY, b"").hex() == entry.get("currency", "")


class TestSerial:
    def test_the_check_sum_goes_over_the_bytes_before_doubling(self):
        apdu = Apdu(0x06D1, b"\x10\x10\x03\x10\x02")
        raw = SerialFraming().encode(apdu)
        assert raw[2:-4] == b"\x06\xd1\x05" + b"\x10\x10" * 2 + b"\x03" + b"\x10\x10\x02"
        assert int.from_bytes(raw[-2:], "little") == crc16(apdu.raw + b"\x03")
        assert SerialFraming().feed(raw) == [apdu]

    def test_single_bytes_between_frames_acknowledge(self):
        assert SerialFraming().feed(b"\x06\x15\x06") == [Signal.ACK, Signal.NAK, Signal.ACK]

    def test_an_ack_behind_noise_is_chance(self):
        ear = SerialFraming()
        assert ear.feed(b"\x41\x06\x15") == []
        assert (ear.partial, ear.inside) == (True, False)
        ear.reset()
        assert ear.feed(b"\x06") == [Signal.ACK]

    def test_a_frame_with_another_check_sum_is_broken(self):
        raw = SerialFraming().encode(Apdu(0x8000))
        assert SerialFraming().feed(raw[:-1] + b"\x00") == [Signal.BROKEN]

    def test_half_a_frame_does_not_hide_the_next_one(self):
        raw = SerialFraming().encode(Apdu(0x0601, b"\x04\x00\x00\x00\x00\x03\x00"))
        ear = SerialFraming()
        assert ear.feed(raw[:8]) == []
        assert ear.inside
        assert ear.feed(raw) == [Apdu(0x0601, b"\x04\x00\x00\x00\x00\x03\x00")]

    def test_a_frame_without_end_is_broken_and_bounded(self):
        heard = SerialFraming().feed(b"\x10\x02" + b"\x55" * 5000)
        assert heard == [Signal.BROKEN]

    @pytest.mark.parametrize("order", ["little", "big"])
    def test_a_long_message_is_understood_in_either_order(self, order):
        data = bytes(300)
        raw = b"\x06\xd3\xff" + (300).to_bytes(2, order) + data
        check = crc16(raw + b"\x03").to_bytes(2, "little")
        framed = b"\x10\x02" + raw.replace(b"\x10", b"\x10\x10") + b"\x10\x03" + check
        assert SerialFraming().feed(framed) == [Apdu(0x06D3, data)]


class TestTcp:
    @pytest.mark.parametrize("order", ["little", "big"])
    def test_a_long_message_is_understood_where_one_order_makes_sense(self, order):
        raw = b"\x06\xd3\xff" + (861).to_bytes(2, order) + bytes(861)
        assert TcpFraming().feed(raw + b"\x80\x00\x00") == [Apdu(0x06D3, bytes(861)), Apdu(0x8000)]

    def test_a_long_message_that_could_be_two_lengths_is_not_guessed_at(self):
        raw = b"\x06\xd3\xff" + (0x0102).to_bytes(2, "big") + bytes(0x0102)
        assert not [one for one in TcpFraming().feed(raw) if len(one.data) > 254]
        prefixed = len(raw).to_bytes(2, "big") + raw
        assert TcpFraming(prefix=True).feed(prefixed) == [Apdu(0x06D3, bytes(0x0102))]

    @pytest.mark.parametrize("length", ["0a 00", "00 0a"])
    @pytest.mark.parametrize("kind", list(KINDS))
    def test_a_short_message_with_a_long_length_is_understood(self, kind, length):
        data = bytes.fromhex("04 00 00 00 00 05 80 49 03 92")
        raw = b"\x06\x01\xff" + bytes.fromhex(length) + data
        if kind == "prefix":
            raw = len(raw).to_bytes(2, "big") + raw
        if kind == "serial":
            raw = b"\x10\x02" + raw + b"\x10\x03" + crc16(raw + b"\x03").to_bytes(2, "little")
        ear = KINDS[kind]()
        assert ear.feed(raw) == [Apdu(0x0601, data)]
        assert not ear.partial

    def test_a_length_with_a_zero_in_it_is_read_in_the_published_order(self):
        assert TcpFraming().feed(b"\x05\x01\xff\x03\x00" + bytes(3)) == [Apdu(0x0501, bytes(3))]
        assert TcpFraming().feed(b"\x06\xd3\xff\x00\x01" + bytes(256)) == [Apdu(0x06D3, bytes(256))]

    def test_what_stands_in_a_message_is_no_message(self):
        inner = Apdu(0x0602).raw
        for control in (b"\x0f\x10", b"\x08\x99", b"\x04\x77"):
            raw = control + bytes((len(inner),)) + inner
            assert TcpFraming().feed(raw) == [Apdu(int.from_bytes(control, "big"), inner)]

    @pytest.mark.parametrize("length", ["01 02", "ff ff"])
    def test_behind_a_length_that_means_nothing_all_is_passed_over_until_the_line_was_silent(self, length):
        ear = TcpFraming()
        assert ear.feed(b"\x06\x00\xff" + bytes.fromhex(length) + Apdu(0x0602).raw) == []
        assert ear.feed(Apdu(0x0602).raw) == []
        assert ear.partial
        ear.reset()
        assert ear.feed(Apdu(0x0602).raw) == [Apdu(0x0602)]

    def test_a_prefix_that_is_not_the_length_is_garbage(self):
        good = TcpFraming(prefix=True).encode(Apdu(0x8000))
        assert TcpFraming(prefix=True).feed(b"\x00\x09\x80\x00\x00" + good) == [Apdu(0x8000)]


def test_nothing_of_ours_has_a_long_length():
    assert len(Apdu(0x06D1, bytes(254)).raw) == 257
    with pytest.raises(Bug):
        _ = Apdu(0x06D1, bytes(255)).raw


class TestFields:
    def test_bcd_there_and_back(self):
        assert bcd(450, 6) == bytes.fromhex("000000000450")
        assert unbcd(bcd(999_999_999_999, 6)) == 999_999_999_999
        assert unbcd(b"\x0a") is None
        for wrong in (-1, 10**12):
            with pytest.raises(ValueError, match="digits"):
                bcd(wrong, 6)

    def test_fields_behind_others_are_found_and_tlv_is_skipped(self):
        data = (
            b"\x06\x81\x03\x1f\x00\x00" + field(Bmp.TEXT, b"Daiko") + field(Bmp.AMOUNT, bcd(300, 6)) + b"\x49\x03\x92"
        )
        found = fields(data)
        assert found[Bmp.TLV] == b"\x1f\x00\x00"
        assert found[Bmp.TEXT] == b"Daiko"
        assert (unbcd(found[Bmp.AMOUNT]), found[Bmp.CURRENCY]) == (300, b"\x03\x92")

    @pytest.mark.parametrize("data", ["0400", "fe0304000000000300", "3cf0fa", "06", "0684", "068205", "3cf0f0f9aa"])
    def test_what_cannot_be_read_is_left_out(self, data):
        assert Bmp.AMOUNT not in fields(bytes.fromhex(data))

    def test_the_first_of_two_counts(self):
        assert unbcd(fields(field(Bmp.AMOUNT, bcd(1, 6)) + field(Bmp.AMOUNT, bcd(2, 6)))[Bmp.AMOUNT]) == 1

    def test_a_field_of_the_wrong_length_is_not_written(self):
        with pytest.raises(ValueError, match="6 bytes"):
            field(Bmp.AMOUNT, b"\0")

    @given(st.binary(max_size=300))
    def test_no_bytes_make_it_raise(self, data):
        assert set(fields(data)) <= {*FIXED, *COUNTED, Bmp.TLV}


apdus = st.builds(
    Apdu,
    st.sampled_from([0x0600, 0x0601, 0x060F, 0x06D1, 0x040F, 0x04FF, 0x8000, 0x8483]),
    st.one_of(st.binary(max_size=254), st.lists(st.sampled_from([0x10, 0x02, 0x03, 0x06]), max_size=60).map(bytes)),
)


@given(st.lists(apdus, min_size=1, max_size=3), st.sampled_from(list(KINDS)), st.lists(st.integers(1, 40), max_size=30))
def test_what_is_written_is_heard_again_however_it_is_cut(sent, kind, cuts):
    ear = KINDS[kind]()
    raw = b"".join(map(ear.encode, sent))
    found, at = [], 0
    for size in cuts:
        found += ear.feed(raw[at : at + size])
        at += size
    assert found + ear.feed(raw[at:]) == sent


@given(st.lists(st.sampled_from(b"\x10\x02\x03\x06\x15\x04\x0f"), max_size=60).map(bytes))
@settings(max_examples=300)
def test_a_serial_line_says_the_same_in_one_piece_and_byte_by_byte(raw):
    whole, single = SerialFraming(), SerialFraming()
    assert whole.feed(raw) == [heard for byte in raw for heard in single.feed(bytes((byte,)))]
    assert (whole.partial, whole.inside) == (single.partial, single.inside)


@pytest.mark.parametrize("filler", [b"x", b"\x10\x10"])
def test_a_serial_frame_without_an_end_is_given_up(filler):
    framing = SerialFraming()
    assert framing.feed(b"\x10\x02" + filler * 5000) == [Signal.BROKEN]
    assert len(framing._body) <= MOST_HEARD + 5


@given(st.lists(st.binary(max_size=2500), max_size=6), st.sampled_from(list(KINDS)))
@settings(max_examples=150)
def test_hostile_bytes_never_raise_and_never_pile_up(chunks, kind):
    ear = KINDS[kind]()
    for chunk in chunks:
        ear.feed(chunk)
        kept = len(ear._body) if kind == "serial" else len(ear._buffer)
        assert kept <= 2 * (MOST_HEARD + 7)
    ear.reset()
    assert not ear.partial
    assert ear.feed(ear.encode(Apdu(0x8000))) == [Apdu(0x8000)]
