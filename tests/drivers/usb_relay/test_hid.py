"""HID boards, opened by the real hidapi: the same promises as of serial ones, and a board that can be asked."""

import os
import signal
import subprocess
import sys
import time

import pytest

from drivers.base import Applied, Refused, Uncertain
from drivers.usb_relay import codec, driver, reports, sim
from drivers.usb_relay.codec import Switch
from parking import errors
from parking.errors import Code
from parking.outcome import EvidenceKind, Level
from tests.drivers.usb_relay.conftest import PULSE, exits, table

BOARDS = {"dcttech": {"profile": "dcttech"}, "lcus_hid": {"profile": "lcus_hid", "answers": True}}
ENCODE = {"dcttech": reports.encode, "lcus_hid": codec.encode}


@pytest.fixture(params=BOARDS)
def profile(request):
    return request.param


@pytest.fixture
def lot(rig, profile):
    made = rig(**BOARDS[profile])
    made.on = [ENCODE[profile](Switch(relay, True)) for relay in (1, 2)]
    made.off = [ENCODE[profile](Switch(relay, False)) for relay in (1, 2)]
    return made


def told(lot, since=0):
    """The commands among what was written."""
    return [data for direction, data, _ in lot.tape.chunks[since:] if direction == "tx" and data in lot.on + lot.off]


class TestRelease:
    def test_is_one_on_and_then_off_after_the_pulse_and_the_board_says_so(self, lot):
        outcome = lot.release()
        assert (outcome.level, outcome.evidence[0].kind) == (Level.LINK_ACKED, EvidenceKind.ECHO)
        assert lot.driver.capabilities.release_level is Level.LINK_ACKED
        assert [name for name, _ in lot.gates.releases] == ["OUT0"]
        assert told(lot) == [*lot.off, lot.on[0], lot.off[0]]
        assert not lot.is_on()
        at = {data: seen for _, data, seen in lot.tape.chunks}
        assert PULSE <= at[lot.off[0]] - at[lot.on[0]] < PULSE + 0.5

    def test_commits_the_exact_bytes_before_the_first_of_them(self, lot):
        lot.release()
        ((raw, _, written_before),) = lot.intents
        assert raw == lot.on[0] + lot.off[0]
        assert lot.on[0] not in written_before

    def test_that_is_lost_leaves_a_doubt_and_is_never_written_again(self, lot):
        lot.faults.drop_on_once = True
        outcome = lot.release()
        assert (type(outcome), outcome.code, lot.gates.releases) == (Uncertain, Code.CONTRADICTION, [])
        assert told(lot).count(lot.on[0]) == 1

    def test_of_an_exit_that_somebody_else_holds_open_is_refused(self, lot):
        lot.read()
        lot.served.relays._switch(1, True)
        assert lot.read().held
        assert isinstance(lot.release(), Refused)
        assert lot.intents == []

    def test_to_a_board_that_is_gone_is_certainly_not_sent(self, lot):
        lot.read()
        lot.faults.unplugged = True
        lot.until(lambda: not lot.is_plugged())
        with pytest.raises((errors.NotSent, errors.Environment)):
            lot.release()
        with pytest.raises(errors.Environment) as caught:
            lot.release()
        assert (caught.value.code, caught.value.remedy != "", lot.intents) == (Code.PORT_MISSING, True, [])

    def test_to_a_board_that_shows_nothing_is_certainly_not_sent(self, lot):
        lot.faults.silent = True
        with pytest.raises(errors.NotSent):
            lot.release()
        assert (lot.intents, lot.gates.releases) == ([], [])

    def test_that_a_board_did_not_acknowledge_is_in_doubt_and_not_repeated(self, lot, monkeypatch):
        """The report was on its way when the cable was pulled; whether it was heard nobody can say."""
        monkeypatch.setattr("drivers.usb_relay.board.OFF_PATIENCE", 0.3)
        for act in (True, False):
            before = len(told(lot)), len(lot.gates.releases)
            lot.faults.own_power, lot.faults.unplug_on_write, lot.faults.act = True, True, act
            outcome = lot.release()
            assert isinstance(outcome, Uncertain)
            assert "the relay may still be on" in outcome.detail
            assert lot.is_on() is act
            assert told(lot)[before[0] :].count(lot.on[0]) == 1
            with pytest.raises(errors.Environment, match="relay 1 may be on"):
                lot.read()
            since = len(lot.tape.chunks)
            lot.faults.unplugged = False
            lot.until(lot.is_plugged)
            assert not lot.read().held
            assert told(lot, since) == lot.off
            assert not lot.is_on()
            assert len(lot.gates.releases) - before[1] == act


class TestOff:
    def test_is_the_first_thing_that_a_board_hears_of_us(self, lot):
        lot.read()
        assert told(lot) == lot.off
        assert [data for direction, data, _ in lot.tape.chunks if direction == "tx"][: len(lot.off)] == lot.off

    def test_is_written_until_the_board_says_so(self, lot):
        lot.read()
        lot.faults.drop_offs = 3
        assert isinstance(lot.release(), Applied)
        assert not lot.is_on()
        assert told(lot)[-5:] == [lot.on[0], *4 * [lot.off[0]]]

    def test_that_never_helps_is_told(self, lot, monkeypatch):
        monkeypatch.setattr("drivers.usb_relay.board.OFF_PATIENCE", 0.3)
        lot.driver.hold_open(lot.target(), lot.order())
        lot.faults.drop_offs = 1000
        outcome = lot.driver.end_hold(lot.target(), lot.order())
        assert isinstance(outcome, Uncertain)
        assert "the board says that it is on" in outcome.detail

    def test_is_tried_until_the_board_is_back(self, lot):
        lot.faults.own_power = lot.faults.unplug_on_write = lot.faults.act = True
        lot.after(0.8, lambda: setattr(lot.faults, "unplugged", False))
        assert isinstance(lot.release(seconds=2.0), Uncertain)
        assert not lot.is_on()
        assert len(lot.gates.releases) == 1

    def test_ends_the_pulse_of_a_bridge_that_was_killed_in_its_midst(self, lot, profile):
        program = (
            "import sys, time\n"
            "from drivers.base import ReleaseOrder, Target\n"
            "from drivers.usb_relay import driver\n"
            "from tests.drivers.usb_relay.conftest import exits, table\n"
            "made = driver.create(table(url=sys.argv[1], profile=sys.argv[2], pulse_ms=3000), exits(), None)\n"
            "order = ReleaseOrder('DK-1-1', 1, time.monotonic() + 9, lambda raw, counter: None)\n"
            "made.release(Target('OUT0', 0), order)\n"
        )
        with subprocess.Popen([sys.executable, "-c", program, lot.served.url, profile]) as bridge:
            lot.until(lot.is_on, 10)
            bridge.send_signal(signal.SIGKILL)
            bridge.wait(5)
        time.sleep(0.1)
        assert lot.is_on(), "nobody ends it until a bridge runs again"
        since = len(lot.tape.chunks)
        assert not lot.made().read([lot.target()], time.monotonic() + 1)[0].held
        assert told(lot, since) == lot.off
        assert not lot.is_on()
        assert len(lot.gates.releases) == 1


def test_a_hold_stays_until_it_is_ended(lot):
    assert lot.driver.hold_open(lot.target(), lot.order()).level is Level.LINK_ACKED
    assert (lot.is_on(), lot.read().held) == (True, True)
    assert lot.driver.end_hold(lot.target(), lot.order()).level is Level.LINK_ACKED
    assert (lot.is_on(), lot.read().held) == (False, False)


def test_a_hold_ends_where_the_board_was_plugged_in_anew(lot):
    lot.faults.own_power = True
    lot.driver.hold_open(lot.target(), lot.order())
    lot.faults.unplugged = True
    lot.until(lambda: not lot.is_plugged())
    lot.faults.unplugged = False
    lot.until(lot.is_plugged)
    assert not lot.read().held
    assert not lot.is_on()


def test_a_plain_board_is_told_and_never_believed(rig):
    lot = rig(profile="lcus_hid")
    assert lot.release() == Applied(Level.SENT, ())
    assert len(lot.gates.releases) == 1
    lot.faults.drop_on_once = True
    assert lot.release() == Applied(Level.SENT, ())
    assert len(lot.gates.releases) == 1


def test_two_bridges_do_not_share_a_board(lot):
    lot.read()
    with pytest.raises(errors.Environment) as caught:
        lot.made().read([lot.target()], time.monotonic() + 1)
    assert caught.value.code is Code.PORT_BUSY


def test_another_device_is_not_written_to(rig):
    """A node's number changes with each plugging in; what hangs there now may be anything."""
    lot = rig(profile="lcus_hid", answers=True)
    stranger = driver.create(table(profile="dcttech", url=lot.served.url), exits(), None, lot.tape)
    with pytest.raises(errors.NotSent):
        stranger.read([lot.target()], time.monotonic() + 1)
    assert lot.tape.written == b""


def test_a_keyboard_is_never_written_to(rig, monkeypatch):
    monkeypatch.setattr("drivers.usb_relay.simhid._IN_OUT", bytes.fromhex("0501 0906 a101 c0"))
    lot = rig(profile="lcus_hid", answers=True)
    for ask in (lot.read, lot.release, lambda: driver.probe(lot.served.url, time.monotonic() + 1)):
        with pytest.raises(errors.Environment, match="another device"):
            ask()
    assert lot.tape.written == b""


class TestProbe:
    def test_finds_a_board_by_its_report_and_switches_nothing(self, rig):
        lot = rig(profile="dcttech")
        lot.served.relays._switch(2, True)
        finding = driver.probe(lot.served.url, time.monotonic() + 1)
        assert (finding.answered, finding.hints) == (True, ('profile = "dcttech"',))
        assert "USB00" in finding.identity
        assert "on: 2" in finding.identity
        assert lot.served.relays.on == {2}

    def test_finds_a_board_that_answers_frames_and_switches_nothing(self, rig):
        lot = rig(profile="lcus_hid", answers=True)
        finding = driver.probe(lot.served.url, time.monotonic() + 1)
        assert (finding.answered, finding.hints) == (True, ('profile = "lcus_hid"', "relays = 4", "answers = true"))
        assert lot.gates.releases == []

    def test_does_not_find_a_plain_board(self, rig):
        finding = driver.probe(rig(profile="lcus_hid").served.url, time.monotonic() + 1)
        assert not finding.answered
        assert "never do" in finding.identity

    @pytest.mark.parametrize("descriptor", ["058e 0901 a101 c0", "06d0f1 0901 a101 c0"])  # a card reader, a FIDO key
    def test_writes_nothing_to_a_usual_device(self, rig, monkeypatch, descriptor):
        monkeypatch.setattr("drivers.usb_relay.simhid._IN_OUT", bytes.fromhex(descriptor))
        lot = rig(profile="lcus_hid", answers=True)
        finding = driver.probe(lot.served.url, time.monotonic() + 1)
        assert (finding.answered, finding.identity) == (False, "no relay board: a usual device")

    def test_of_a_board_that_is_not_there_says_what_to_do(self, tmp_path):
        with pytest.raises(errors.Environment) as caught:
            driver.probe(f"hid://{tmp_path}/hidraw0", time.monotonic() + 1)
        assert caught.value.code is Code.PORT_MISSING


@pytest.mark.parametrize(
    ("profile_", "url"),
    [("dcttech", "/dev/ttyUSB0"), ("lcus_hid", "socket://10.0.0.5:502"), ("lcus", "hid://16c0:05df")],
)
def test_an_address_of_the_other_kind_is_a_mistake_in_the_profile(profile_, url):
    with pytest.raises(errors.Environment, match="`profile` is") as caught:
        driver.create(table(profile=profile_, url=url), exits(), None)
    assert (caught.value.code, "README" in caught.value.remedy) == (Code.CONFIG, True)


def test_where_no_hid_board_can_be_simulated_it_is_told_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setenv("FUSE_LIBRARY_NAME", "nowhere")
    with pytest.raises(errors.Environment, match=r"install mfusepy .* and libfuse3") as caught:
        sim.serve(None, table(profile="dcttech"), exits(), tmp_path)
    assert caught.value.code is Code.CONFIG
    assert not (tmp_path / "usb").exists()


def test_a_device_node_ends_with_the_simulator_however_that_ends(lot, tmp_path):
    program = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from drivers.usb_relay import sim\n"
        "from tests.drivers.usb_relay.conftest import Gates, exits, table\n"
        "sim.serve(Gates(), table(profile='dcttech'), exits(), Path(sys.argv[1]))\n"
        "time.sleep(60)\n"
    )
    folder = tmp_path / "other"
    with subprocess.Popen([sys.executable, "-c", program, str(folder)]) as simulator:
        lot.until(lambda: (folder / "usb" / "hidraw0").exists(), 10)
        simulator.send_signal(signal.SIGKILL)
        simulator.wait(5)
    lot.until(lambda: gone(folder / "usb"), 10)


def gone(folder):
    try:
        return not folder.is_mount()
    except OSError:  # it is being taken away
        return False


def test_a_bridge_without_hid_boards_does_not_load_hidapi():
    program = "import sys, drivers.registry, bridge.app; print('hidraw' in sys.modules, 'hid' in sys.modules)"
    env = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=env)
    assert done.stdout.split() == ["False", "False"]
