"""Check sums agree with published values; the buffer never grows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.framing import ReceiveBuffer, crc16, holds_crc16, lrc, with_crc16


@pytest.mark.parametrize(
    ("data", "crc"),
    [
        (b"123456789", 0x4B37),  # the check value of CRC-16/MODBUS in the catalogue of parametrised CRC algorithms
        (bytes.fromhex("01 05 00 00 ff 00"), 0x3A8C),
        (b"", 0xFFFF),
    ],
)
def test_crc_has_the_published_value(data, crc):
    assert crc16(data) == crc


@given(st.binary(min_size=1, max_size=64), st.data())
def test_a_crc_holds_until_one_bit_is_wrong(body, data):
    framed = bytearray(with_crc16(body))
    assert holds_crc16(bytes(framed))
    place = data.draw(st.integers(0, len(framed) * 8 - 1))
    framed[place // 8] ^= 1 << place % 8
    assert not holds_crc16(bytes(framed))


def test_two_bytes_are_not_a_frame_even_if_they_are_the_crc_of_nothing():
    assert not holds_crc16(b"\xff\xff")


@given(st.binary(max_size=64))
def test_lrc_makes_the_sum_zero(data):
    assert (sum(data) + lrc(data)) % 256 == 0


@given(st.lists(st.binary(max_size=40), max_size=12), st.integers(1, 32))
def test_a_buffer_keeps_the_newest_bytes_and_counts_the_lost(chunks, most):
    buffer = ReceiveBuffer(most)
    for chunk in chunks:
        buffer.extend(chunk)
        assert len(buffer) <= most
    whole = b"".join(chunks)
    assert buffer.peek() == whole[-most:]
    assert buffer.lost == max(0, len(whole) - most)


def test_a_buffer_gives_bytes_out_in_order():
    buffer = ReceiveBuffer(8)
    buffer.extend(b"abcdef")
    assert (buffer.peek(1, 2), buffer.take(2), len(buffer)) == (b"bc", b"ab", 4)
    buffer.skip(1)
    assert (buffer.peek(), buffer.lost) == (b"def", 1)
    buffer.skip(99)
    assert (len(buffer), buffer.lost) == (0, 4)
    buffer.extend(b"xy")
    buffer.clear()
    assert (buffer.take(5), buffer.lost) == (b"", 4)
