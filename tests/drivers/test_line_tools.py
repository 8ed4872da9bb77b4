"""`record`, `sniff` and `replay` as an installer uses them: real lines, real files, and no mishap by a slip."""

import io
import os
import select
import socket
import threading
import time
import tty
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from drivers.__main__ import main
from drivers.recorder import Direction, Recorder, read_back
from drivers.tools import lines
from drivers.zvt_terminal.codec import Apdu, SerialFraming

NOON = datetime(2025, 4, 1, 3, 0, tzinfo=UTC)
QUESTION, ANSWER = bytes.fromhex("01 01 00 00 00 08 3d cc"), bytes.fromhex("01 01 01 01 90 48")
PULSE = bytes.fromhex("01 05 00 00 ff 00 8c 3a")
"""The master's question, the machine's answer; the master's order to open, which the machine repeats."""


class Line:
    """A serial line: `name` is opened by the tool, `near` is the other end."""

    def __init__(self) -> None:
        self.near, self.far = os.openpty()
        tty.setraw(self.far)
        self.name = os.ttyname(self.far)

    def says(self, *pieces: bytes) -> threading.Thread:
        """Each piece once the tool has the port open, with a silence between them."""

        def speak() -> None:
            time.sleep(0.6)
            for piece in pieces:
                os.write(self.near, piece)
                time.sleep(0.35)

        speaker = threading.Thread(target=speak)
        speaker.start()
        return speaker

    def got(self) -> bytes:
        found = b""
        while select.select([self.near], [], [], 0.2)[0]:
            found += os.read(self.near, 4096)
        return found


@pytest.fixture
def line() -> Iterator[Line]:
    line = Line()
    yield line
    os.close(line.near)
    os.close(line.far)


@pytest.fixture
def overheard(tmp_path: Path) -> Path:
    path = tmp_path / "overheard.rec"
    recorder = Recorder(path, lambda: NOON)
    for data in (QUESTION + ANSWER, PULSE, PULSE):
        recorder.note(Direction.LINE, data)
    recorder.close()
    return path


# --- record -----------------------------------------------------------------------------------------------------------


def test_what_is_overheard_is_written_down_as_nobodys(line: Line, tmp_path: Path) -> None:
    path, speaker = tmp_path / "line.rec", line.says(QUESTION, ANSWER)
    assert main(["record", line.name, str(path), "--codec", "modbus", "--seconds", "2"]) == 0
    speaker.join()
    assert {chunk.direction for chunk in read_back(path)} == {Direction.LINE}
    assert b"".join(chunk.data for chunk in read_back(path)) == QUESTION + ANSWER


@pytest.mark.parametrize("words", [("record", "{port}", "{file}"), ("sniff", "{port}", "--record", "{file}")])
def test_a_file_that_is_there_is_neither_overwritten_nor_mixed(words, line: Line, tmp_path: Path, capsys) -> None:
    profile = tmp_path / "my-lot.toml"
    profile.write_text("[lot]\n")
    command = [word.format(port=line.name, file=profile) for word in words]
    for more in ((), ("--append",)):
        assert main([*command, "--seconds", "0.2", *more]) == 2
        assert profile.read_text() == "[lot]\n"
    assert "is there already" in (told := capsys.readouterr().err)
    assert "--append" in told
    assert "is no recording" in told


def test_a_recording_goes_on_where_that_is_wanted(line: Line, overheard: Path) -> None:
    before, speaker = len(list(read_back(overheard))), line.says(QUESTION)
    assert main(["record", line.name, str(overheard), "--append", "--seconds", "1.5"]) == 0
    speaker.join()
    assert [chunk.data for chunk in read_back(overheard)][before:] == [QUESTION]


def test_a_recording_that_was_cut_short_is_not_gone_on_with(line: Line, overheard: Path, capsys) -> None:
    overheard.write_bytes(overheard.read_bytes()[:-5])
    assert main(["record", line.name, str(overheard), "--append", "--seconds", "0.2"]) == 2
    assert "cut short" in capsys.readouterr().err


def test_a_port_that_is_not_there_leaves_no_file(tmp_path: Path, capsys) -> None:
    assert main(["record", "/dev/does-not-exist", str(tmp_path / "line.rec"), "--seconds", "1"]) == 2
    told = capsys.readouterr()
    assert "port-missing" in told.err
    assert told.out == ""
    assert list(tmp_path.iterdir()) == []


def test_secrets_are_blacked_out_where_the_codec_is_named_and_else_it_is_said(
    line: Line, tmp_path: Path, capsys
) -> None:
    said = SerialFraming().encode(Apdu(0x0600, b"\x12\x34\x56\x08\x03\x92"))
    for codec, masked in (("zvt", True), ("raw", False), ("", False)):
        path, speaker = tmp_path / f"{codec}.rec", line.says(said)
        chosen = ("--codec", codec) if codec else ()
        assert main(["record", line.name, str(path), "--seconds", "1.2", "--lang", "en", *chosen]) == 0
        speaker.join()
        data = b"".join(chunk.data for chunk in read_back(path))
        assert (b"\x12\x34\x56" not in data) is masked
        assert ("not masked" not in capsys.readouterr().err) is masked


@pytest.mark.parametrize("tool", ["record", "sniff"])
def test_help_says_what_is_not_blacked_out(tool: str, capsys) -> None:
    with pytest.raises(SystemExit):
        main([tool, "--help"])
    assert "WRITTEN AS THEY ARE" in " ".join(capsys.readouterr().out.split())


# --- sniff ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "SIGN_OF_LIFE", 0.4)


def test_a_wrong_codec_does_not_look_like_a_dead_line(line: Line, capsys, impatient) -> None:
    speaker = line.says(QUESTION, ANSWER)
    assert main(["sniff", line.name, "--codec", "osdp", "--seconds", "2.5", "--lang", "en"]) == 1
    speaker.join()
    told = capsys.readouterr()
    assert "none of them osdp: try --codec raw, or another --baud" in told.err
    assert QUESTION.hex(" ") in told.out


@pytest.mark.parametrize(("language", "text"), [("en", "nothing heard for 0.4 s"), ("ja", "0.4秒間、何も聞こえません")])
def test_silence_is_told(line: Line, capsys, impatient, language: str, text: str) -> None:
    assert main(["sniff", line.name, "--seconds", "1.2", "--lang", language]) == 1
    assert text in capsys.readouterr().err


def test_a_line_that_is_understood_is_told_in_plain_words(line: Line, capsys) -> None:
    speaker = line.says(PULSE)
    assert main(["sniff", line.name, "--codec", "modbus", "--seconds", "1.2"]) == 0
    speaker.join()
    told = capsys.readouterr()
    assert "> unit 1: write coil 0 = on" in told.out
    assert "none of them" not in told.err


# --- replay -----------------------------------------------------------------------------------------------------------


def test_what_is_undecided_is_told_at_a_gap_and_at_the_end(tmp_path: Path, capsys) -> None:
    path = tmp_path / "line.rec"
    lines_ = [(0.0, QUESTION[:3]), (5.0, PULSE), (9.0, b"\x99\x98")]
    path.write_text(
        "".join(f'{{"at":"2025-04-01T03:00:00Z","t":{at},"dir":"line","hex":"{data.hex()}"}}\n' for at, data in lines_)
    )
    assert main(["replay", str(path), "--codec", "modbus"]) == 0
    told = [text.split("  ", 1)[1] for text in capsys.readouterr().out.splitlines()]
    assert told == ["?  [01 01 00]", f"> unit 1: write coil 0 = on  [{PULSE.hex(' ')}]", "?  [99 98]"]


def test_the_masters_commands_are_never_played_as_the_machines(line: Line, overheard: Path, capsys) -> None:
    assert main(["replay", str(overheard), "--to", line.name]) == 2
    assert "does not tell who spoke" in capsys.readouterr().err
    assert line.got() == b""
    assert main(["replay", str(overheard), "--to", line.name, "--codec", "modbus", "--speed", "100"]) == 0
    assert line.got() == ANSWER + PULSE  # the machine repeats what it did: once, though the master's looks the same
    assert main(["replay", str(overheard), "--to", line.name, "--codec", "modbus", "--side", "tx"]) == 0
    assert line.got() == QUESTION + PULSE


def test_both_sides_are_played_only_if_somebody_says_so(line: Line, overheard: Path, monkeypatch, capsys) -> None:
    command = ["replay", str(overheard), "--to", line.name, "--side", "line", "--lang", "en"]
    monkeypatch.setattr("sys.stdin", io.StringIO("yes\n"))
    assert main(command) == 2
    assert "nobody to ask" in capsys.readouterr().err
    assert line.got() == b""
    assert main([*command, "--yes"]) == 0
    assert line.got() == QUESTION + ANSWER + PULSE + PULSE


class Person(io.StringIO):
    """Somebody at the keyboard."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("word", "code"), [("yes\n", 0), ("y\n", 1), ("", 1)])
def test_where_a_machine_may_be_a_person_is_asked(word: str, code: int, overheard: Path, monkeypatch, capsys) -> None:
    with socket.create_server(("127.0.0.1", 0)) as machine:
        url = f"socket://127.0.0.1:{machine.getsockname()[1]}"
        command = ["replay", str(overheard), "--to", url, "--codec", "modbus", "--lang", "en"]
        monkeypatch.setattr("sys.stdin", io.StringIO("yes\n"))
        assert main(command) == 2
        monkeypatch.setattr("sys.stdin", Person(word))
        assert main(command) == code
        machine.settimeout(1 if code == 0 else 0.2)
        if code == 0:
            with machine.accept()[0] as caller:
                assert caller.recv(100) == ANSWER + PULSE
        else:
            with pytest.raises(TimeoutError):
                machine.accept()
    assert "opens it again" in capsys.readouterr().err
