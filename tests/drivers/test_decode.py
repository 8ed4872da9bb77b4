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

LINE = Direction.LINE
FRAMES = [
    bytes.fromhex("010500 00ff008c3a"),
    bytes.fromhex("00010000000601050000ff00"),
    bytes.fromhex("02 00 01 f6 07"),
    bytes.fromhex("10 02 06 01 07 04 00 00 00 00 04 50 10 03 61 a4"),
    bytes.fromhex("53 01 0c 00 07 68 00 05 1e 00 12 31"),
    b"c,STATUS,VEND,450,-1\r\n",
    b"CH1:ON \r\n",
    bytes.fromhex("a0 01 01 a2"),
]


@pytest.mark.parametrize(
    ("name", "raw", "told"),
    [
        ("modbus", "01 05 00 00 ff 00 8c 3a", "> unit 1: write coil 0 = on"),
        ("modbus", "01 05 02 00 00 07 8d b0", "> unit 1: write coil 512 = 7"),
        ("modbus", "01 02 00 00 00 08 79 cc", "> unit 1: read inputs 0-7"),
        ("modbus", "01 85 02 c3 51", "< unit 1: refused, illegal address: write coil"),
        ("modbus-tcp", "00 01 00 00 00 06 01 05 00 00 ff 00", "> unit 1: write coil 0 = on"),
        ("cctalk", "02 00 01 f6 07", "> to 2: manufacturer"),
        ("cctalk", "02 00 01 e5 18", "> to 2: credit"),
        ("cctalk", "28 00 01 fe d9", "> to 40: simple poll"),
        ("cctalk-crc", "28 00 46 01 3f", "> to 40: reset"),
        ("zvt", "10 02 06 01 07 04 00 00 00 00 04 50 10 03 61 a4", "authorisation 450 yen"),
        ("zvt", "06", "received"),
        ("zvt-tcp", "06 0f 00", "completed"),
        ("zvt-tcp", "06 1e 01 6c", "it did not work, aborted"),
        ("zvt-tcp", "84 83 00", "refused, not possible"),
        ("osdp", "53 01 0c 00 07 68 00 05 1e 00 12 31", "> address 1 #3: output 0 on for 3 s"),
        ("osdp", "53 81 08 00 07 40 5b 53", "< address 1 #3: understood"),
        ("lcus", "a0 01 01 a2", "> switch relay 1 on"),
        ("lcus", b"CH2:OFF \r\n".hex(), "< relay 2 is off"),
        ("mdb", b"c,STATUS,VEND,450,-1\n".hex(), "< the pay station asks for 450 (item -1)"),
        ("mdb", b"C,VEND,450\n".hex(), "> 450 are paid"),
        ("raw", "00 ff", "00 ff"),
    ],
)
def test_a_published_frame_is_told_in_plain_words_with_its_bytes(name, raw, told):
    (heard,) = decoder(name).feed(bytes.fromhex(raw), LINE)
    shown = bytes.fromhex(raw).hex(" ")
    assert str(heard) == (shown if name == "raw" else f"{told}  [{shown}]")
    assert (heard.raw, heard.safe) == (bytes.fromhex(raw), bytes.fromhex(raw))


def test_an_answer_is_told_with_what_was_asked():
    ear = decoder("cctalk")
    ear.feed(bytes.fromhex("02 00 01 f6 07"), LINE)
    (heard,) = ear.feed(bytes.fromhex("01 03 02 00 41 43 4d 29"), LINE)
    assert (heard.side, heard.words) == (Direction.RX, 'to 1: answer to manufacturer  41 43 4d "ACM"')


def test_what_a_bill_validator_said_is_told_in_words():
    """Its answer is a recorded one: bill 3 in escrow, given back, in escrow again."""
    ear = decoder("cctalk-crc")
    (asked,) = ear.feed(Codec(Check.CRC, None).encode(Frame(40, Header.BILL_EVENTS)), LINE)
    assert asked.words == "to 40: bill events"
    (heard,) = ear.feed(bytes((1, 11, 44, 0, 18, 3, 1, 0, 1, 3, 1, 0, 0, 0, 0, 204)), LINE)
    told = "counter 18, newest first: bill 3 (1), event 1, bill 3 (1)"
    assert heard.words == f"to 1: answer to bill events: {told}"


def test_an_answer_on_tcp_is_told_from_its_question_though_they_look_alike():
    ear, pulse = decoder("modbus-tcp"), bytes.fromhex("00 07 00 00 00 06 01 05 00 00 ff 00")
    sides = [piece.side for piece in ear.feed(pulse + pulse, LINE)]
    assert sides == [Direction.TX, Direction.RX]
    assert [str(piece)[:22] for piece in ear.feed(pulse, Direction.RX)] == ["< unit 1: written: coi"]


def test_a_recording_says_who_spoke():
    ear = decoder("mdb")
    assert str(ear.feed(b"C,VEND,450\n", Direction.TX)[0]).startswith("> 450 are paid")
    assert str(ear.feed(b"c,VEND,SUCCESS\n", Direction.RX)[0]).startswith("< sold")
    terminal = decoder("zvt-tcp")
    assert str(terminal.feed(b"\x06\x0f\x00", Direction.TX)[0]).startswith("> completed")
    assert str(terminal.feed(b"\x80\x00\x00", Direction.RX)[0]).startswith("< understood")


def test_half_a_frame_is_forgotten_in_a_silence():
    ear = decoder("cctalk")
    assert ear.feed(bytes.fromhex("02 00 01"), LINE) == []
    assert [str(piece) for piece in ear.silence()] == ["?  [02 00 01]"]
    assert len(ear.feed(bytes.fromhex("02 00 01 f6 07"), LINE)) == 1


def test_an_unknown_codec_is_told_with_those_that_there_are():
    with pytest.raises(Environment, match="morse"):
        decoder("morse")


@pytest.mark.parametrize("name", DECODERS)
@given(
    pieces=st.lists(st.binary(max_size=40) | st.sampled_from(FRAMES), max_size=8), direction=st.sampled_from(Direction)
)
def test_no_bytes_upset_a_decoder_and_none_get_lost(name, pieces, direction):
    ear = decoder(name)
    told = [one for piece in pieces for one in ear.feed(piece, direction)] + ear.silence()
    assert all(str(one).isprintable() for one in told)
    assert b"".join(one.raw for one in told) == b"".join(pieces)


def test_what_is_recorded_can_be_shown_in_words(tmp_path, capsys):
    master, slave = os.openpty()
    tty.setraw(slave)
    try:
        said = bytes.fromhex("02 00 01 f6 07 01 03 02 00 41 43 4d 29")
        threading.Timer(0.5, os.write, (master, said)).start()  # what was said before the port was opened is gone
        path = tmp_path / "line.rec"
        assert main(["record", os.ttyname(slave), str(path), "--seconds", "1.5", "--lang", "en"]) == 0
        assert "13 bytes" in capsys.readouterr().out
    finally:
        os.close(slave)
        os.close(master)
    assert main(["replay", str(path), "--codec", "cctalk"]) == 0
    assert "answer to manufacturer" in capsys.readouterr().out


def test_a_silent_line_leaves_an_empty_recording_and_says_so(tmp_path, capsys):
    master, slave = os.openpty()
    tty.setraw(slave)
    try:
        assert main(["record", os.ttyname(slave), str(tmp_path / "line.rec"), "--seconds", "0.2", "--lang", "en"]) == 1
    finally:
        os.close(slave)
        os.close(master)
    assert "0 bytes" in capsys.readouterr().out
