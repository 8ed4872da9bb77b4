"""Against programs that we did not write: libosdp (C) as device and as panel, osdp 1.6 (pure Python) as panel."""

import json
import os
import select
import subprocess
import threading
import time
import tty
from contextlib import ExitStack
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB

from drivers.base import Refused, ReleaseOrder, Target, Uncertain
from drivers.osdp import driver
from drivers.osdp.codec import Codec, decode
from drivers.osdp.pd import Identity
from drivers.osdp.words import Command, Control, Reply, wiegand26
from parking.errors import NotSent
from parking.outcome import Level
from tests.rigs.strangers import python_with

HERE = Path(__file__).parent
KEY = "f0e1d2c3b4a5968778695a4b3c2d1e0f"
CARD = wiegand26(17, 4711)
LIBOSDP, OSDP = "libosdp==3.2.9", "osdp==1.6"
SOON = 15.0
"""Seconds for a stranger to begin its link: libosdp's panel waits between its tries."""
pytestmark = pytest.mark.timeout(200)  # the first time they are fetched
BOTH = pytest.mark.parametrize("secure", [True, False], ids=["secure", "plain"])


class Cable:
    """Two pty paths; keeps the frames that go across, and loses those for which `lose` says so."""

    def __init__(self):
        self._ends = [os.openpty() for _ in range(2)]
        for _, other in self._ends:
            tty.setraw(other)
        self.ours, self.theirs = (os.ttyname(other) for _, other in self._ends)
        self.lose = lambda frame: False
        self.frames = []
        self._wake = os.pipe()
        self._thread = threading.Thread(target=self._carry, daemon=True)
        self._thread.start()

    def _carry(self):
        (one, _), (other, _) = self._ends
        across, codecs = {one: other, other: one}, {one: Codec(), other: Codec()}
        while True:
            for ready in select.select([one, other, self._wake[0]], [], [])[0]:
                if ready == self._wake[0]:
                    return
                data = os.read(ready, 4096)
                found = codecs[ready].feed(data)
                self.frames += found
                if not any(self.lose(frame) for frame in found):
                    os.write(across[ready], data)

    def close(self):
        os.write(self._wake[1], b"x")
        self._thread.join()
        for end in (*self._wake, *(end for pair in self._ends for end in pair)):
            os.close(end)


class Stranger:
    """A program at the other end, and what it says."""

    def __init__(self, requirement, script, *arguments):
        command = [python_with(requirement), str(HERE / script), *arguments]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        self.said = []
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self):
        for line in self.process.stdout:
            self.said.append(json.loads(line))

    def wait(self, what, seconds=SOON):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if found := [one for one in self.said if what in one]:
                return found
            time.sleep(0.01)
        raise AssertionError(f"no {what} in {self.said}")

    def stop(self):
        self.process.kill()
        self.process.wait()
        self._thread.join()
        self.process.stdout.close()


@pytest.fixture
def cable():
    made = Cable()
    yield made
    made.close()


@pytest.fixture
def stranger(cable):
    with ExitStack() as stack:

        def start(requirement, script, *arguments, port=cable.theirs):
            made = Stranger(requirement, script, port, "5", *arguments)
            stack.callback(made.stop)
            return made

        yield start


@pytest.fixture
def ours(cable, device):
    """Our driver at its end of the cable."""
    with ExitStack() as stack:

        def build(mode, timeout=0.3, **options):
            made = driver.create(device(mode, cable.ours, timeout, **options), (), None)
            stack.callback(made.close)
            return made

        yield build


def order(seconds, intents=None):
    note = [] if intents is None else intents
    return ReleaseOrder("DK-1-1", 1, time.monotonic() + seconds, lambda raw, counter: note.append(raw))


GATE = Target("E0", 0)
BARE = {"open_base": -1, "vehicle_base": -1}
"""libosdp's Python binding reports no inputs and no outputs."""


def carried_out(device, least=0):
    """What it has carried out; waits for so many of its words, which come behind its answers."""
    until = time.monotonic() + 5
    while True:
        told = [one for one in device.said if "output_no" in one]
        if len(told) >= least or time.monotonic() > until:
            return told
        time.sleep(0.01)


class TestStrangersDevice:
    @pytest.fixture
    def reader(self, stranger):
        def start(secure):
            made = stranger(LIBOSDP, "libosdp_pd.py", KEY if secure else "-")
            made.wait("ready")
            return made

        return start

    def driver_for(self, ours, secure, **more):
        return ours("output", **BARE, **more, **({} if secure else {"secure": False}))

    @BOTH
    def test_carries_a_release_out_once(self, reader, ours, cable, secure):
        stranger, gate, intents = reader(secure), self.driver_for(ours, secure), []
        assert gate.release(GATE, order(5, intents)).level is Level.LINK_ACKED
        assert carried_out(stranger, 1) == [{"output_no": 0, "control_code": Control.ON_FOR, "timer_count": 50}]
        (raw,) = intents
        assert [frame for frame in cable.frames if frame.code == Command.OUT] == [decode(raw[1:])]
        assert decode(raw[1:]).sealed is secure

    def test_carries_a_hold_out_and_ends_it(self, reader, ours):
        stranger, gate = reader(True), self.driver_for(ours, True)
        assert gate.hold_open(GATE, order(0.5)).level is Level.LINK_ACKED
        assert gate.end_hold(GATE, order(0.5)).level is Level.LINK_ACKED
        assert [one["control_code"] for one in carried_out(stranger, 2)] == [Control.ON, Control.OFF]

    @BOTH
    def test_whose_answer_is_lost_acts_once_although_it_keeps_no_answers(self, reader, ours, cable, secure):
        """It takes a repetition for a new command; in a secure channel the MAC no longer fits."""
        stranger, gate = reader(secure), self.driver_for(ours, secure)
        lost = []

        def lose(frame):
            if frame.code == Reply.ACK and frame.is_reply and not lost:
                lost.append(frame)
                return True
            return False

        cable.lose = lose
        outcome = gate.release(GATE, order(1.5))
        assert lost
        assert isinstance(outcome, Uncertain)
        assert len(carried_out(stranger, 1)) == 1

    def test_would_act_twice_in_plain_if_it_were_told_twice_with_one_number(self, reader, ours, cable):
        """Why no act is repeated in plain, although the protocol calls that harmless (decision 35)."""
        stranger, gate = reader(False), self.driver_for(ours, False)
        gate.release(GATE, order(2))
        letter = gate._line.compose(Command.OUT, b"\0\5\7\0")
        for _ in range(2):
            gate._line._once(letter, time.monotonic() + 1)
        assert len(carried_out(stranger, 3)) == 3

    def test_with_another_key_is_told_nothing(self, reader, ours):
        stranger, gate, intents = reader(True), ours("output", **BARE, scbk="00112233445566778899aabbccddeeff"), []
        with pytest.raises(NotSent):
            gate.release(GATE, order(1, intents))
        assert (intents, carried_out(stranger)) == ([], [])

    def test_that_demands_a_secure_channel_is_told_nothing_in_plain(self, reader, ours):
        stranger, gate = reader(True), self.driver_for(ours, False)
        with pytest.raises(NotSent):
            gate.release(GATE, order(1))
        assert carried_out(stranger) == []

    def test_is_found_by_a_probe(self, reader, cable):
        stranger = reader(True)
        found = driver.probe(cable.ours, time.monotonic() + 5)
        assert (found.answered, "address = 5" in found.hints) == (True, True)
        assert carried_out(stranger) == []

    def test_refuses_an_output_that_it_does_not_have(self, reader, ours):
        stranger, gate = reader(True), self.driver_for(ours, True, channels=20)
        assert isinstance(gate.release(Target("E9", 19), order(1)), Refused)
        assert carried_out(stranger) == []


def scbk_of(master):
    """How osdp 1.6 makes a device's key of the panel's (D.3.2)."""
    cuid = Identity().cuid
    cipher = Cipher(AES(bytes.fromhex(master)), ECB()).encryptor()
    return cipher.update(cuid + bytes(byte ^ 0xFF for byte in cuid)).hex()


PANELS = {"libosdp": (LIBOSDP, "libosdp_cp.py"), "osdp": (OSDP, "osdp_cp.py")}


class TestStrangersPanel:
    @pytest.fixture
    def lot(self, stranger, ours):
        """Our reader and a stranger's panel, once it polls."""

        def start(name, secure):
            scbk = scbk_of(KEY) if name == "osdp" else KEY
            reader = ours("reader", SOON, **({"scbk": scbk} if secure else {"secure": False}))
            panel = stranger(*PANELS[name], KEY if secure else "-", *(["panel"] if name == "osdp" else []))
            reader.read([GATE], time.monotonic() + SOON)
            assert panel.wait("online")[0]["secure"] is secure
            return reader, panel

        return start

    @BOTH
    @pytest.mark.parametrize("name", PANELS)
    def test_reads_one_card_per_release_and_grants_it(self, lot, name, secure):
        reader, panel = lot(name, secure)
        for _ in range(2):
            assert reader.release(GATE, order(8)).level is Level.LEGACY_CONFIRMED
        cards = [one["card"] for one in panel.wait("card")]
        assert [(one["bits"], one["data"]) for one in cards] == [(CARD.bits, CARD.data.hex())] * 2

    @BOTH
    def test_that_loses_the_answer_with_the_card_reads_it_once_at_most(self, lot, cable, secure):
        reader, panel = lot("libosdp", secure)
        lost = []

        def lose(frame):
            if frame.code == Reply.RAW and frame.is_reply and not lost:
                lost.append(frame)
                return True
            return False

        cable.lose = lose
        outcome = reader.release(GATE, order(1.5))
        time.sleep(0.3)
        seen = sum("card" in one for one in panel.said)
        assert lost
        assert seen <= 1
        assert seen == 1 or isinstance(outcome, Uncertain)

    def test_is_heard_by_a_probe(self, stranger, cable):
        stranger(*PANELS["osdp"], "-", "panel")
        deadline = time.monotonic() + SOON
        found = driver.probe(cable.ours, deadline)
        while not found.answered and time.monotonic() < deadline:
            found = driver.probe(cable.ours, deadline)
        assert found.hints[:2] == ('mode = "reader"', "address = 5")


class TestStrangersPanelAtOurSimulator:
    @BOTH
    def test_reads_its_inputs_and_outputs_and_switches_one(self, rig, stranger, secure):
        """So that the reports which our driver reads are not understood by ourselves alone."""
        lot = rig(**({"scbk": scbk_of(KEY)} if secure else {"secure": False}))
        lot.world.cars.add("E1")
        panel = stranger(OSDP, "osdp_cp.py", KEY if secure else "-", "reads", port=lot.served.url)
        taken = panel.wait("taken")
        assert panel.wait("inputs") == [{"inputs": [False] * 5 + [True] + [False] * 2}]
        deadline = time.monotonic() + SOON
        while len(panel.wait("outputs")) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert panel.wait("outputs") == [{"outputs": [False] * 4}, {"outputs": [True, False, False, False]}]
        assert taken == [{"taken": True}]
        assert [name for name, _, _ in lot.world.releases] == ["E0"]
