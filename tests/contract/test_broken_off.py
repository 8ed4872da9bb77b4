"""A run that a person breaks off says so: at a prompt in a real terminal, and in the midst of a simulated suite."""

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time

import msgspec
import pytest

from drivers import profile
from drivers.conform.report import Report
from drivers.conform.simulated import Simulated
from tests.rigs.conformance import hurried

BROKEN_OFF = 130
CTRL_C, CTRL_D = b"\x03", b"\x04"


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """The profile of a lot that is there: the simulated one's addresses stand in it, as a real one's do."""
    path = hurried("gated-plates", tmp_path_factory.mktemp("lot"), timeout_seconds=0.5, observe=2.0)
    lot = Simulated(path, tmp_path_factory.mktemp("run"))
    real = path.with_name("real.toml")
    text = path.read_text()
    for device in profile.load(path).device:
        text = text.replace(f'url = "{device.url}"', f'url = "{lot.url(device.id)}"')
    real.write_text(text)
    yield real
    lot.close()


class Window:
    """A terminal with a program in it."""

    def __init__(self, *words):
        master, slave = pty.openpty()
        self._screen, self.text = master, ""
        self.program = subprocess.Popen(
            [sys.executable, "-m", "drivers", *words],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=lambda: os.close(os.open(os.ttyname(0), os.O_RDWR)),  # Ctrl-C goes to whose terminal it is
        )
        os.close(slave)

    def until(self, words, seconds=20.0):
        """Read until these stand on the screen."""
        end = time.monotonic() + seconds
        while not re.search(words, self.text):
            assert time.monotonic() < end, self.text
            if select.select([self._screen], [], [], 0.1)[0]:
                try:
                    self.text += os.read(self._screen, 4096).decode()
                except OSError:  # the program has ended
                    assert re.search(words, self.text), self.text

    def type(self, keys):
        time.sleep(0.3)  # nobody is as fast as to press Ctrl-C before `input` has begun to read
        os.write(self._screen, keys)

    def close(self):
        self.program.kill()
        self.program.wait()
        os.close(self._screen)


@pytest.fixture
def window():
    there = []

    def opened(*words):
        there.append(Window(*words))
        return there[-1]

    yield opened
    for one in there:
        one.close()


@pytest.mark.parametrize("keys", [CTRL_C, CTRL_D])
def test_a_suite_that_is_broken_off_at_a_prompt_says_after_how_many_cases(path, tmp_path, window, keys):
    report = tmp_path / "sheet.json"
    words = ("--profile", str(path), "--device", "gate", "--lang", "en", "--report", str(report))
    screen = window("conform", "--real", *words)
    screen.until(
        r"1/14 Identify\s+passed(.|\n)*2/14 Normal payment\s+Exit 1 of 1: OUT1 \(Exit 1, channel 0\).*Enter when"
    )
    screen.type(keys)
    screen.until(r"Interrupted after 1 of 14. This is not a pass")
    assert screen.program.wait(10) == BROKEN_OFF
    assert "Traceback" not in screen.text
    found = msgspec.json.decode(report.read_bytes(), type=Report)
    assert (found.interrupted, found.planned, len(found.results), found.passed) == (True, 14, 1, False)


def test_a_commissioning_that_is_broken_off_before_an_exit_opens_opens_none(path, tmp_path, window):
    report = tmp_path / "sheet.html"
    words = ("--profile", str(path), "--device", "gate", "--quick", "--lang", "ja", "--report", str(report))
    screen = window("commission", *words)
    screen.until("機器が名乗った(.|\n)*出口 1/1: OUT1（出口1、チャンネル 0）。閉じた状態")
    screen.type(b"\n")
    screen.until("開放を指示します.*よければ Enter: ")
    screen.type(CTRL_C)
    screen.until("1 件中 0 件で中断。合格ではありません。")
    assert screen.program.wait(10) == BROKEN_OFF
    assert "開放を指示しました" not in screen.text
    sheet = report.read_text()
    assert "1 件中 0 件で中断" in sheet
    assert "Modbus TCP, unit 1" in sheet


def test_ctrl_c_in_the_midst_of_a_simulated_suite_leaves_a_sheet(path, tmp_path):
    report = tmp_path / "sheet.html"
    words = ("--profile", str(path), "--device", "gate", "--lang", "en", "--report", str(report))
    program = subprocess.Popen(
        [sys.executable, "-m", "drivers", "conform", *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        while "Identify" not in (line := program.stdout.readline()):
            assert line, "it ended"
        os.killpg(program.pid, signal.SIGINT)  # as a terminal does it: to all that runs in it
        said, _ = program.communicate(timeout=20)
    finally:
        program.kill()
        program.wait()
    assert program.returncode == BROKEN_OFF, said
    assert "Interrupted after 1 of 14" in said
    assert "Traceback" not in said
    assert "Interrupted after 1 of 14" in report.read_text()
