"""Bytes of the boards: golden, in pieces, behind garbage, and hostile."""

import random
import tomllib
from pathlib import Path

import pytest

from drivers.usb_relay import reports
from drivers.usb_relay.codec import MOST, RELAYS, Ask, BoardEar, HostEar, Stands, Switch, encode
from parking.errors import Bug

FOLDER = Path(__file__).parents[2] / "vectors" / "usb_relay"
VECTORS = tomllib.loads((FOLDER / "frames.toml").read_text("utf-8"))
REPORTS = tomllib.loads((FOLDER / "reports.toml").read_text("utf-8"))


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


@pytest.mark.parametrize("vector", REPORTS["question"], ids=lambda vector: vector["name"])
def test_a_golden_question_to_a_hid_board_is_encoded_and_heard(vector):
    raw = bytes.fromhex(vector["hex"])
    assert encode(Ask(frame=True)) == raw
    assert BoardEar().feed(raw + bytes(4)) == [Ask(frame=True)]


@pytest.mark.parametrize("size", [8, 64])
def test_an_answer_in_reports_that_are_filled_up_with_zeros_is_heard(size):
    said = b"".join(encode(Stands(relay, relay % 2 == 0)) for relay in range(1, RELAYS + 1))
    ear = HostEar()
    cuts = [said[at : at + size - 1].ljust(size, b"\0") for at in range(0, len(said), size - 1)]
    heard = [word for report in cuts for word in ear.feed(report)]
    assert heard == [Stands(relay, relay % 2 == 0) for relay in range(1, RELAYS + 1)]


class TestFeatureReport:
    @pytest.mark.parametrize("vector", REPORTS["told"], ids=lambda vector: vector["name"])
    def test_that_is_golden_tells_a_level(self, vector):
        raw, word = bytes.fromhex(vector["hex"]), Switch(vector["relay"], vector["on"])
        assert reports.encode(word) == raw
        assert reports.told(raw) == word

    @pytest.mark.parametrize("vector", REPORTS["shown"], ids=lambda vector: vector["name"])
    def test_that_is_golden_shows_number_and_relays(self, vector):
        raw, shown = bytes.fromhex(vector["hex"]), reports.Shown(vector["number"], frozenset(vector["on"]))
        assert reports.shown(raw) == shown
        assert reports.encode(shown) == raw

    @pytest.mark.parametrize("vector", REPORTS["never"], ids=lambda vector: vector["name"])
    def test_that_is_never_written_is_no_level_of_one_relay(self, vector):
        assert reports.told(bytes.fromhex(vector["hex"])) is None

    @pytest.mark.parametrize(
        "raw",
        [
            b"",
            b"ABCDE\0\0",  # a byte too short
            b"\0ABCDE\0\x01",  # the report number was not taken off
            b"ABCDEF\0\x01",
            b"AB DE\0\0\x01",
            b"\0\0\0\0\0\0\0\x01",
            b"AB\0DE\0\0\x01",
            b"\xff\x01\0\0\0\0\0\x01",
        ],
    )
    def test_of_something_else_shows_nothing(self, raw):
        assert reports.shown(raw) is None

    @pytest.mark.parametrize("relay", [0, RELAYS + 1])
    def test_is_not_written_for_a_relay_that_no_board_has(self, relay):
        with pytest.raises(Bug):
            reports.encode(Switch(relay, True))


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
