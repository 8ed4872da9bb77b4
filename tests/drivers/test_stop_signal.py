"""Programs end when they are told to, whichever of their threads the system hands the signal to."""

import signal
import subprocess
import sys
import threading
import time

import pytest

from demo.program import ROOT
from drivers.stop_signal import StopSignal

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no signals to threads")


@pytest.mark.parametrize("number", StopSignal.SIGNALS)
def test_a_signal_to_another_thread_ends_the_wait(number: signal.Signals) -> None:
    began, done = threading.Event(), threading.Event()

    def other() -> None:
        began.wait(5)
        time.sleep(0.2)  # the main thread sleeps in `wait` by now
        signal.pthread_kill(threading.get_ident(), number)
        done.wait(10)

    thread = threading.Thread(target=other)
    thread.start()
    try:
        with StopSignal() as told:
            began.set()
            assert told.wait(10)
    finally:
        done.set()
        thread.join(5)


def test_without_a_signal_it_waits_as_long_as_it_is_asked_to() -> None:
    with StopSignal() as told:
        began = time.monotonic()
        assert not told.wait(0.2)
        assert time.monotonic() - began >= 0.19


def test_what_held_before_holds_again() -> None:
    former = [signal.getsignal(number) for number in StopSignal.SIGNALS]
    with StopSignal():
        pass
    assert [signal.getsignal(number) for number in StopSignal.SIGNALS] == former


def test_a_second_signal_ends_the_program_at_once() -> None:
    program = (
        "import os, signal, time\n"
        "from drivers.stop_signal import StopSignal\n"
        "with StopSignal() as told:\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    assert told.wait(5)\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    time.sleep(5)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, timeout=20, check=False)
    assert done.returncode == -signal.SIGTERM
