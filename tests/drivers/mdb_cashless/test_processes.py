"""Controller and adapter are two processes: what that looks like, and what happens when one of them is killed."""

import contextlib
import os
import random
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from drivers.base import Applied, CannotTell, Uncertain
from drivers.mdb_cashless.block import Block, from_controller
from drivers.mdb_cashless.options import Options
from drivers.mdb_cashless.simbus import exchange, to_wire
from drivers.mdb_cashless.simfaults import Faults
from drivers.mdb_cashless.simprocess import AdapterProcess
from parking.errors import Environment, NotSent
from tests.rigs.mdb_station import until

ROOT = Path(__file__).parents[3]
SEED = ROOT / "seeds" / "lots" / "mdb-station.toml"
POLL, RESET = b"\x12", b"\x10"


def children(pid):
    """Of all its threads."""
    listed = [one.read_text().split() for one in Path(f"/proc/{pid}/task").glob("*/children")]
    return {int(child) for each in listed for child in each}


def runs(pid):
    """Whether it has not ended; a zombie has."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def holders(terminal):
    """Who of us and our children has it open."""
    found = set()
    for pid in {os.getpid()} | children(os.getpid()):
        for link in Path(f"/proc/{pid}/fd").iterdir():
            if link.is_symlink() and str(link.readlink()) == terminal:
                found.add(pid)
    return found


def adapter_of(here, other_than=0):
    """The process of the adapter that runs now, once it does."""

    def look():
        now = here.served.line.adapter
        return now is not None and now.ready and now.pid != other_than and now.pid

    return until(look)


def asked_anew(here):
    """The stay by which the machine asks for the same ticket again, once the line is back."""

    def look():
        with contextlib.suppress(NotSent, Environment):
            return here.driver.stays(here.soon(0.1))

    here.clock.tick(60)
    return until(look)[0].ref


def test_the_adapter_is_a_process_of_its_own_with_a_line_of_its_own(rig):
    here = rig()
    here.driver.close()
    adapter = adapter_of(here)
    assert adapter in children(os.getpid())
    assert holders(str(Path(here.served.url).readlink())) == {adapter}


@pytest.mark.parametrize("word", ["restart", "unplugged"])
def test_an_adapter_without_power_is_a_killed_process_and_the_next_one_is_another(rig, word):
    here = rig()
    here.ask(450)
    first = adapter_of(here)
    setattr(here.faults, word, True)
    until(lambda: not Path(f"/proc/{first}").exists())
    here.faults.unplugged = False
    adapter_of(here, other_than=first)
    assert isinstance(here.settle(asked_anew(here)), Applied)
    assert here.sold == [450]


def test_a_restart_as_it_reads_an_approval_happens_once(rig):
    """The fault is used up in a process that does not outlive it."""
    here = rig()
    stay = here.ask(450)
    first = adapter_of(here)
    here.faults.restart_on_approval = True
    assert isinstance(here.settle(stay, seconds=0.4), Uncertain)
    until(lambda: not Path(f"/proc/{first}").exists())
    assert not here.faults.restart_on_approval
    assert isinstance(here.settle(asked_anew(here), reference="DK-1-2"), Applied)


def test_an_adapter_that_is_killed_in_the_midst_of_a_vend_is_a_doubt_and_the_stations_count_decides(rig):
    here = rig()
    stay = here.ask(450)
    here.faults.late_success_ms = 500
    adapter = adapter_of(here)
    thread, results = here.in_background(stay)
    until(lambda: here.sold)
    os.kill(adapter, signal.SIGKILL)
    thread.join()
    (outcome,) = results
    assert isinstance(outcome, Uncertain)
    assert "line to the adapter broke after the approval had left" in outcome.detail
    assert isinstance(here.who(stay), CannotTell)
    assert here.sold == [450]
    until(lambda: not Path(f"/proc/{adapter}").exists())
    here.faults.late_success_ms = 0
    here.station.ask(300)
    assert isinstance(here.settle(asked_anew(here), amount=300, reference="DK-1-2"), Applied)
    assert here.sold == [450, 300]


def test_a_simulated_lot_that_is_killed_leaves_no_adapter_and_no_line(tmp_path):
    words = [sys.executable, "-m", "drivers", "sim", str(SEED), "--run-dir", str(tmp_path)]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE) as lot:
        try:
            lot.stdout.readline()
            (adapter,) = children(lot.pid)
            assert runs(adapter)
            assert (tmp_path / "pay").exists()
        finally:
            lot.kill()
    until(lambda: not runs(adapter))
    assert not (tmp_path / "pay").is_symlink()


def test_a_stopped_machine_takes_its_adapter_along(rig):
    here = rig()
    adapter = adapter_of(here)
    here.served.stop()
    assert not Path(f"/proc/{adapter}").exists()
    assert not Path(here.served.url).is_symlink()


# --- the bus between them ---------------------------------------------------------------------------------------------


def test_payments_go_through_garbage_on_the_bus(rig):
    here = rig()
    here.faults.bus_garbage = True
    for amount in (450, 300):
        assert isinstance(here.settle(here.ask(amount), amount=amount), Applied)
    assert here.sold == [450, 300]


class ByHand:
    """A real adapter that is switched on, whose controller and program are played by hand."""

    def __init__(self, folder):
        self.faults = Faults()
        self.adapter = AdapterProcess(folder / "pay", Options(), self.faults)
        until(lambda: self.adapter.holds() or self.adapter.ready)
        assert exchange(self.adapter, POLL, None) is None, "it is switched off"
        self._line = os.open(folder / "pay", os.O_RDWR | os.O_NOCTTY)
        self.tell(b"C,1\n")
        self.hear(b"c,STATUS,INACTIVE\n")

    def tell(self, line):
        os.write(self._line, line)

    def hear(self, last):
        """What the adapter says to the program by then."""
        heard = b""
        while not heard.endswith(last):
            assert select.select([self._line], [], [], 15)[0]
            heard += os.read(self._line, 4096)
        return heard

    def close(self):
        os.close(self._line)
        assert self.adapter.kill() == -signal.SIGKILL


@pytest.fixture
def by_hand(tmp_path):
    with contextlib.closing(ByHand(tmp_path)) as made:
        yield made


def test_a_real_adapter_passes_over_whatever_is_on_its_bus(by_hand):
    dice = random.Random(1)
    for _ in range(50):
        by_hand.adapter.put(dice.randbytes(dice.randint(1, 60)) + to_wire(from_controller(Block(b"\x60"))))
        assert exchange(by_hand.adapter, RESET, b"") == b""
        assert exchange(by_hand.adapter, POLL, b"\x00") == b"\x00"


def test_a_slow_line_does_not_keep_the_bus_waiting(by_hand):
    assert exchange(by_hand.adapter, POLL, None) == b"\x00"
    by_hand.hear(b"r,ACK\n")
    by_hand.faults.byte_us = 30_000
    began = time.monotonic()
    by_hand.tell(b"V\n")
    heard, answers = [], []
    reading = threading.Thread(target=lambda: heard.append(by_hand.hear(b"\n")))
    reading.start()
    while not heard:
        answers.append(exchange(by_hand.adapter, POLL, None))
        time.sleep(0.01)
    reading.join()
    assert heard == [b"v,4.0.2.0,SIM000000000001\n"]
    assert time.monotonic() - began >= 25 * 0.03
    assert set(answers) == {b""}
