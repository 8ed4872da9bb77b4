"""What goes by on a line is told in words: published frames, in pieces, between garbage, by either side."""

import os
import threading
import tty

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.__main__ import main
from drivers.cctalk_coin.codec import Check, Codec, Frame
from drivers.cctalk_coin.headers import Header
from drivers.decode import DECODERS, decoder
from drivers.recorder import Direction
from parking.errors import Environment


@pytest.mark.parametrize(
    ("name", "raw", "told"),
    [
        ("modbus", "01 05 00 00 ff 00 8c 3a", "unit 1 >"),
        ("modbus", "01 02 00 00 00 08 79 cc", "unit 1 >"),
        ("cctalk", "02 00 01 f6 07", "> to 2: 246 manufacturer"),
        ("cctalk", "02 00 01 e5 18", "> to 2: 229 credit"),
        ("cctalk", "28 00 01 fe d9", "> to 40: 254 simple poll"),
        ("cctalk-crc", "28 00 46 01 3f", "> to 40: 1 reset"),
        ("zvt", "10 02 06 01 07 04 00 00 00 00 04 50 10 03 61 a4", "0601  04 00 00 00 00 04 50"),
        ("zvt", "06", "ack"),
        ("zvt-tcp", "06 0f 00", "060f"),
        ("osdp", "53 01 0c 00 07 68 00 05 1e 00 12 31", "> 1 #3 OUT  00 05 1e 00"),
        ("osdp", "53 81 08 00 07 40 5b 53", "< 1 #3 ACK"),
        ("raw", "00 ff", "00 ff"),
    ],
)
def test_a_published_frame_is_told_in_words(name, raw, told):
    ear = decoder(name)
    (heard,) = ear.feed(bytes.fromhex(raw), None)
    assert told in heard


def test_an_answer_is_told_with_what_was_asked():
    ear = decoder("cctalk")
    ear.feed(bytes.fromhex("02 00 01 f6 07"), None)
    (heard,) = ear.feed(bytes.fromhex("01 03 02 00 41 43 4d 29"), None)
    assert heard == '< to 1: answer to 246 manufacturer  41 43 4d "ACM"'


def test_what_a_bill_validator_said_is_told_in_words():
    """Its answer is a recorded one: bill 3 in escrow, given back, in escrow again."""
    ear = decoder("cctalk-crc")
    (asked,) = ear.feed(Codec(Check.CRC, None).encode(Frame(40, Header.BILL_EVENTS)), None)
    assert asked == "> to 40: 159 bill events"
    (heard,) = ear.feed(bytes((1, 11, 44, 0, 18, 3, 1, 0, 1, 3, 1, 0, 0, 0, 0, 204)), None)
    assert heard == "< to 1: answer to 159 bill events  12 03 01 00 01 03 01 00 00 00 00"


def test_a_recording_says_who_spoke():
    ear = decoder("mdb")
    assert ear.feed(b"C,VEND,450\n", Direction.TX)[0].startswith("> ")
    assert ear.feed(b"c,VEND,SUCCESS\n", Direction.RX)[0].startswith("< ")
    terminal = decoder("zvt-tcp")
    assert terminal.feed(b"\x06\x0f\x00", Direction.TX) == ["> 060f"]
    assert terminal.feed(b"\x80\x00\x00", Direction.RX) == ["< 8000"]


def test_half_a_frame_is_forgotten_in_a_silence():
    ear = decoder("cctalk")
    assert ear.feed(bytes.fromhex("02 00 01"), None) == []
    ear.silence()
    assert len(ear.feed(bytes.fromhex("02 00 01 f6 07"), None)) == 1


def test_an_unknown_codec_is_told_with_those_that_there_are():
    with pytest.raises(Environment, match="morse"):
        decoder("morse")


@pytest.mark.parametrize("name", DECODERS)
@given(pieces=st.lists(st.binary(max_size=40), max_size=8), direction=st.sampled_from([None, *Direction]))
def test_no_bytes_upset_a_decoder(name, pieces, direction):
    ear = decoder(name)
    for piece in pieces:
        for line in ear.feed(piece, direction):
            assert line.isprintable()
    ear.silence()


def test_what_is_recorded_can_be_shown_in_words(tmp_path, capsys):
    master, slave = os.openpty()
    tty.setraw(slave)
    try:
        said = bytes.fromhex("02 00 01 f6 07 01 03 02 00 41 43 4d 29")
        threading.Timer(0.5, os.write, (master, said)).start()  # what was said before the port was opened is gone
        path = tmp_path / "line.rec"
        assert main(["record", os.ttyname(slave), str(path), "--seconds", "1.5"]) == 0
        assert "13 bytes" in capsys.readouterr().out
    finally:
        os.close(slave)
        os.close(master)
    assert main(["replay", str(path), "--codec", "cctalk"]) == 0
    assert "answer to 246 manufacturer" in capsys.readouterr().out


def test_a_silent_line_leaves_an_empty_recording_and_says_so(tmp_path, capsys):
    master, slave = os.openpty()
    tty.setraw(slave)
    try:
        assert main(["record", os.ttyname(slave), str(tmp_path / "line.rec"), "--seconds", "0.2"]) == 1
    finally:
        os.close(slave)
        os.close(master)
    assert "0 bytes" in capsys.readouterr().out
