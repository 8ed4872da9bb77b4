"""Bytes of the boards: golden, in pieces, behind garbage, and hostile."""

import random
import tomllib
from pathlib import Path

import pytest

from drivers.usb_relay.codec import MOST, RELAYS, Ask, BoardEar, HostEar, Stands, Switch, encode
from parking.errors import Bug

VECTORS = tomllib.loads((Path(__file__).parents[2] / "vectors" / "usb_relay" / "frames.toml").read_text("utf-8"))


@pytest.mark.parametrize("vector", VECTORS["command"], ids=lambda vector: vector["name"])
def test_a_golden_command_is_encoded_and_heard(vector):
    raw, word = bytes.fromhex(vector["hex"]), Switch(vector["relay"], vector["on"])
    assert encode(word) == raw
    assert BoardEar().feed(raw) == [word]


@pytest.mark.parametrize("vector", VECTORS["answer"], ids=lambda vector: vector["name"])
def test_a_golden_answer_is_heard(vector):
    raw, words = vector["text"].encode(), [Stands(*stands) for stands in vector["stands"]]
    assert HostEar().feed(raw) == words
    assert not vector["exact"] or b"".join(map(encode, words)) == raw


def test_a_question_is_one_byte():
    assert encode(Ask()) == b"\xff"
    assert BoardEar().feed(b"\xff") == [Ask()]


def test_everything_is_heard_byte_by_byte_as_well():
    board, host = BoardEar(), HostEar()
    told = [Switch(relay, on) for relay in range(1, RELAYS + 1) for on in (True, False)]
    said = [Stands(relay, on) for relay in range(1, RELAYS + 1) for on in (True, False)]
    assert [word for byte in b"".join(map(encode, told)) for word in board.feed(bytes((byte,)))] == told
    assert [word for byte in b"".join(map(encode, said)) for word in host.feed(bytes((byte,)))] == said


@pytest.mark.parametrize("half", [b"\xa0", b"\xa0\x01", b"\xa0\x01\x01", b"\xa0\x01\x01\xff"])
def test_an_off_that_is_written_twice_is_heard_behind_half_an_on(half):
    """This is why it is written twice."""
    heard = BoardEar().feed(half + 2 * encode(Switch(1, False)))
    assert heard[-1] == Switch(1, False)
    assert Switch(1, True) not in heard


@pytest.mark.parametrize(
    "raw",
    [
        "a0 01 01 a3",  # a wrong sum
        "a0 01 02 a3",  # a question on some boards
        "a0 01 04 a5",  # a toggle on some boards
        "a0 0f 01 b0",  # all relays on some boards
        "a0 00 01 a1",
    ],
)
def test_what_is_no_level_of_one_relay_is_not_heard(raw):
    assert BoardEar().feed(bytes.fromhex(raw) + bytes(4)) == []


@pytest.mark.parametrize("relay", [0, RELAYS + 1, 0x0F])
def test_no_relay_is_written_that_no_board_has(relay):
    with pytest.raises(Bug):
        encode(Switch(relay, True))


@pytest.mark.parametrize("line", [b"CH1\n", b"CH0:ON\n", b"CH9:ON\n", b"CH1:ONE\n", b"CH1:ON CH2:ON\n", b"\xff\xfe\n"])
def test_other_lines_are_passed_over(line):
    assert HostEar().feed(line + b"CH2:ON\n") == [Stands(2, True)]


@pytest.mark.parametrize("ear", [BoardEar, HostEar])
def test_no_bytes_raise_or_pile_up(ear):
    dice, listening = random.Random(3), ear()
    for _ in range(2000):
        listening.feed(dice.randbytes(dice.randrange(40)))
        listening.feed(bytes(dice.choice((0xA0, 0xFF, 0x01, 0x43, 0x0A)) for _ in range(5)))
        assert len(listening._buffer) <= MOST
    listening.feed(b"x" * 10_000)
    assert len(listening._buffer) <= MOST
