"""Ports are listed without being opened; recordings are shown, and played to whoever waits at a port."""

import json
import os
import subprocess
import sys
import tty
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from drivers.decode import decoder
from drivers.language import Phrases
from drivers.ports import ports
from drivers.recorder import Direction, Recorder, read_back
from drivers.replay import LONGEST, play, said_by
from drivers.tools.finding import port_lines
from drivers.tools.texts import TEXTS
from drivers.transport import Transport

ROOT = Path(__file__).parents[2]


@pytest.fixture
def line():
    near, far = os.openpty()
    tty.setraw(far)
    yield near, os.ttyname(far)
    os.close(near)
    os.close(far)


def adapter(device: str, **more: object) -> SimpleNamespace:
    return SimpleNamespace(
        **{"device": device, "description": "n/a", "vid": None, "pid": None, "serial_number": None, **more}
    )


def test_a_port_says_what_it_is_and_who_has_it_open(line) -> None:
    _, name = line
    usb = adapter(name, description="MDB-USB", vid=0x16D0, pid=0x0BD7, serial_number="A1")
    (port,) = ports([usb])
    assert (port.url, port.description, port.vid_pid, port.serial_number) == (name, "MDB-USB", "16d0:0bd7", "A1")
    assert f"process {os.getpid()}" in port.held_by
    for language in ("ja", "en"):
        assert port_lines(port, Phrases(TEXTS, language)).startswith(f"{name}  MDB-USB  [16d0:0bd7 A1]")


def test_a_port_that_nobody_holds_and_is_not_usb_says_less(tmp_path: Path) -> None:
    (tmp_path / "ttyX").touch()
    (port,) = ports([adapter(str(tmp_path / "ttyX"))])
    assert (port.description, port.vid_pid, port.held_by, port.stable) == ("serial port", "", "", "")


def test_what_is_missing_to_open_a_port_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    locked = tmp_path / "ttyX"
    locked.touch(mode=0)
    monkeypatch.setattr(os, "access", lambda *_: False)  # root, who may run this, may open everything
    (port,) = ports([adapter(str(locked))])
    assert "usermod -aG" in port.hint


def test_the_group_that_may_open_a_port_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    locked = tmp_path / "ttyX"
    locked.touch()
    assert ports([adapter(str(locked))])[0].group == ""
    monkeypatch.setattr(os, "access", lambda *_: False)
    assert ports([adapter(str(locked))])[0].group == locked.group()


@pytest.mark.parametrize(("module", "ours"), [("bridge", True), ("elsewhere", False)])
def test_a_port_that_the_bridge_has_open_is_told_from_any_other(tmp_path: Path, module: str, ours: bool) -> None:
    near, far = os.openpty()
    name = os.ttyname(far)
    program = f"import sys\nport = open({name!r}, 'rb', 0)\nprint('open', flush=True)\nsys.stdin.read()\n"
    (tmp_path / f"{module}.py").write_text(program)
    command = [sys.executable, "-m", module, "run"]
    with subprocess.Popen(command, cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        holder.stdout.readline()
        os.close(far)
        (port,) = ports([adapter(name)])
        holder.stdin.close()
    os.close(near)
    assert (port.held_by, port.by_bridge) == (f"{module} (process {holder.pid})", ours)


def test_the_command_lists_what_this_computer_has() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "drivers", "ports", "--json"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode in (0, 1)
    assert [port["url"] for port in json.loads(done.stdout)] == [port.url for port in ports()]


# --- recordings -------------------------------------------------------------------------------------------------------


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    path = tmp_path / "wire.jsonl"
    recorder = Recorder(path, lambda: datetime(2026, 11, 25, 3, 0, tzinfo=UTC))
    for direction, data in ((Direction.TX, b"ask"), (Direction.RX, b"ans"), (Direction.RX, b"wer")):
        recorder.note(direction, data)
    recorder.close()
    return path


def test_one_side_is_played_in_its_own_time_and_no_more_than_that_side(line, recording: Path) -> None:
    near, name = line
    transport, slept = Transport(name), []
    chunks = list(read_back(recording))
    slow = [
        chunks[0],
        *(one.__class__(one.at, at, one.direction, one.data) for one, at in zip(chunks[1:], (1, 99), strict=True)),
    ]
    played = list(play(said_by(Direction.RX, slow, decoder("raw")), transport, speed=2.0, pause=slept.append))
    transport.close()
    assert [one.data for one in played] == [b"ans", b"wer"]
    assert os.read(near, 100) == b"answer"
    assert slept == [LONGEST / 2]


def test_the_command_shows_a_recording_and_plays_it(line, recording: Path) -> None:
    near, name = line
    command = [sys.executable, "-m", "drivers", "replay", str(recording)]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    assert [text.split("  ", 1)[1] for text in shown] == ["> 61 73 6b", "< 61 6e 73", "< 77 65 72"]
    subprocess.run([*command, "--to", name, "--side", "tx"], cwd=ROOT, check=True, timeout=20)
    assert os.read(near, 100) == b"ask"


def test_what_is_no_recording_is_told_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "x.jsonl"
    path.write_text("nonsense\nmore\n", encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "drivers", "replay", str(path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "1" in done.stderr
