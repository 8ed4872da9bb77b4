"""What the driver promises: one `on` per order, an `off` behind each whatever happens, and no proof that is none."""

import re
import signal
import subprocess
import sys
import time

import pytest

from drivers.base import Applied, Refused, Uncertain
from drivers.usb_relay import driver
from drivers.usb_relay.codec import Switch, encode
from parking import errors
from parking.desk import Position
from parking.errors import Code
from parking.outcome import EvidenceKind, Level
from tests.drivers.usb_relay.conftest import PULSE, exits, table

ON, OFF = encode(Switch(1, True)), encode(Switch(1, False))


class TestRelease:
    def test_is_one_on_and_then_off_after_the_pulse(self, rig):
        lot = rig()
        outcome = lot.release()
        assert outcome == Applied(Level.SENT, ())
        lot.until(lambda: [name for name, _ in lot.gates.releases] == ["OUT0"])
        assert lot.tape.written.count(ON) == 1
        lot.until(lambda: not lot.is_on())
        told = [(data, at) for _, data, at in lot.tape.chunks if data in (ON, OFF)]
        on_at = next(at for data, at in told if data == ON)
        off_at = next(at for data, at in told if data == OFF and at > on_at)
        assert PULSE <= off_at - on_at < PULSE + 0.5

    def test_commits_the_exact_bytes_before_the_first_of_them(self, rig):
        lot = rig()
        lot.release()
        ((raw, counter, written_before),) = lot.intents
        assert (raw, counter) == (ON + OFF, None)
        assert ON not in written_before

    def test_does_not_happen_if_the_intent_is_not_committed(self, rig):
        lot = rig()

        def refuse(raw, counter):
            raise errors.NotSent(Code.EXPIRED, "too late")

        with pytest.raises(errors.NotSent, match="too late"):
            lot.release(intend=refuse)
        assert ON not in lot.tape.written
        assert lot.gates.releases == []

    def test_that_is_lost_is_never_written_again_and_never_called_more_than_sent(self, rig):
        lot = rig()
        lot.faults.drop_on_once = True
        assert lot.release() == Applied(Level.SENT, ())
        assert (lot.gates.releases, lot.tape.written.count(ON)) == ([], 1)
        assert lot.driver.capabilities.retry == "never"

    def test_of_an_exit_that_is_held_open_is_refused(self, rig):
        lot = rig()
        lot.driver.hold_open(lot.target(), lot.order())
        lot.intents.clear()
        outcome = lot.release()
        assert isinstance(outcome, Refused)
        assert (outcome.code, lot.intents) == (Code.CONFLICT, [])
        lot.until(lot.is_on)

    def test_without_time_for_the_pulse_is_certainly_not_sent(self, rig):
        lot = rig()
        with pytest.raises(errors.NotSent):
            lot.release(seconds=PULSE / 2)
        assert (lot.intents, lot.gates.releases) == ([], [])

    def test_to_an_unplugged_board_is_certainly_not_sent(self, rig):
        lot = rig()
        lot.faults.unplugged = True
        lot.until(lambda: not lot.is_plugged())
        with pytest.raises(errors.Environment) as caught:
            lot.release()
        assert (caught.value.code, caught.value.remedy != "", lot.intents) == (Code.PORT_MISSING, True, [])


class TestOff:
    """A relay that stays on holds the gate open."""

    @pytest.mark.parametrize("act", [False, True])
    def test_that_cannot_be_written_is_told_and_written_when_the_board_comes_back(self, rig, act, monkeypatch):
        monkeypatch.setattr("drivers.usb_relay.board.OFF_PATIENCE", 0.3)
        lot = rig(pulse_ms=400)
        lot.faults.own_power, lot.faults.unplug_on_write, lot.faults.act = True, True, act
        outcome = lot.release()
        assert isinstance(outcome, Uncertain)
        assert "the relay may still be on" in outcome.detail
        lot.until(lambda: lot.is_on() is act)
        with pytest.raises(errors.Environment, match="relay 1 may be on"):
            lot.read()
        lot.faults.unplugged = False
        lot.until(lot.is_plugged)
        assert not lot.read().held
        lot.until(lambda: not lot.is_on())
        assert len(lot.gates.releases) == act

    def test_is_tried_until_the_board_is_back(self, rig):
        lot = rig(pulse_ms=400)
        lot.faults.own_power = lot.faults.unplug_on_write = lot.faults.act = True
        lot.after(1.0, lambda: setattr(lot.faults, "unplugged", False))
        assert lot.release(seconds=2.0) == Applied(Level.SENT, ())
        lot.until(lambda: not lot.is_on())
        assert len(lot.gates.releases) == 1

    def test_is_written_when_something_breaks_in_the_midst_of_a_pulse(self, rig):
        """Here it is the recorder, at the very chunk that switched the relay on."""
        lot = rig()
        lot.read()
        lot.tape.breaks_at = ON
        with pytest.raises(MemoryError):
            lot.release()
        lot.until(lambda: len(lot.gates.releases) == 1)
        lot.until(lambda: not lot.is_on())

    def test_survives_the_loss_of_one(self, rig):
        lot = rig()
        lot.read()
        lot.faults.drop_offs = 1
        lot.release()
        lot.until(lambda: not lot.is_on())

    def test_is_the_first_thing_that_a_board_hears_of_us(self, rig):
        lot = rig()
        lot.read()
        assert lot.tape.written == 2 * OFF + 2 * encode(Switch(2, False))

    def test_that_got_lost_is_made_good_by_the_next_reading(self, rig):
        lot = rig()
        lot.driver.hold_open(lot.target(1), lot.order())
        lot.until(lambda: lot.is_on(2))
        lot.release(0, intend=lambda raw, counter: setattr(lot.faults, "drop_offs", 2))
        lot.until(lambda: lot.is_on(2) and not lot.faults.drop_offs)
        assert lot.is_on(1)
        lot.read(1)
        lot.until(lambda: not lot.is_on(1))
        assert lot.is_on(2), "what is held stays so"

    def test_ends_the_pulse_of_a_bridge_that_was_killed_in_its_midst(self, rig):
        lot = rig()
        program = (
            "import sys, time\n"
            "from drivers.base import ReleaseOrder, Target\n"
            "from drivers.usb_relay import driver\n"
            "from tests.drivers.usb_relay.conftest import exits, table\n"
            "made = driver.create(table(url=sys.argv[1], pulse_ms=3000), exits(), None)\n"
            "order = ReleaseOrder('DK-1-1', 1, time.monotonic() + 9, lambda raw, counter: None)\n"
            "made.release(Target('OUT0', 0), order)\n"
        )
        with subprocess.Popen([sys.executable, "-c", program, lot.served.url]) as bridge:
            lot.until(lot.is_on, 10)
            bridge.send_signal(signal.SIGKILL)
            bridge.wait(5)
        time.sleep(0.1)
        assert lot.is_on(), "nobody ends it until a bridge runs again"
        assert not lot.made().read([lot.target()], time.monotonic() + 1)[0].held
        lot.until(lambda: not lot.is_on())
        assert len(lot.gates.releases) == 1


class TestHold:
    def test_stays_until_it_is_ended(self, rig):
        lot = rig()
        assert lot.driver.hold_open(lot.target(), lot.order()) == Applied(Level.SENT, ())
        lot.until(lot.is_on)
        assert lot.read().held
        assert lot.driver.end_hold(lot.target(), lot.order()) == Applied(Level.SENT, ())
        lot.until(lambda: not lot.is_on())
        assert not lot.read().held
        assert [raw for raw, _, _ in lot.intents] == [ON, OFF]

    def test_of_one_exit_does_not_hinder_another(self, rig):
        lot = rig()
        lot.driver.hold_open(lot.target(0), lot.order())
        lot.release(1)
        lot.until(lambda: (lot.is_on(1), lot.is_on(2)) == (True, False))

    def test_ends_where_the_port_was_opened_anew_and_is_not_shown_any_more(self, rig):
        """Nobody knows how the board stands then, and no order of ours opens a gate unasked."""
        lot = rig()
        lot.faults.own_power = True
        lot.driver.hold_open(lot.target(), lot.order())
        lot.until(lot.is_on)
        lot.faults.unplugged = True
        lot.until(lambda: not lot.is_plugged())
        with pytest.raises((errors.Environment, errors.Uncertain), match="relay 1 may be on"):
            lot.read()
        lot.faults.unplugged = False
        lot.until(lot.is_plugged)
        assert not lot.read().held
        lot.until(lambda: not lot.is_on())

    def test_of_one_exit_ends_as_well_where_the_line_broke_in_the_pulse_of_another(self, rig):
        lot = rig(pulse_ms=400)
        lot.faults.own_power = True
        lot.driver.hold_open(lot.target(1), lot.order())
        lot.until(lambda: lot.is_on(2))
        lot.faults.unplug_on_write = lot.faults.act = True
        lot.after(0.6, lambda: setattr(lot.faults, "unplugged", False))
        lot.release(0, seconds=2.0)
        assert not lot.read(1).held
        lot.until(lambda: not lot.is_on(1) and not lot.is_on(2))

    def test_that_cannot_be_ended_is_told(self, rig, monkeypatch):
        monkeypatch.setattr("drivers.usb_relay.board.OFF_PATIENCE", 0.3)
        lot = rig(answers=True, timeout=0.6)
        lot.driver.hold_open(lot.target(), lot.order())
        lot.faults.drop_offs = 1000
        outcome = lot.driver.end_hold(lot.target(), lot.order())
        assert isinstance(outcome, Uncertain)
        assert "may still be on" in outcome.detail
        assert "the board says that it is on" in outcome.detail


class TestBoardThatAnswers:
    def test_acknowledges_a_release_and_that_is_all(self, rig):
        lot = rig(answers=True)
        outcome = lot.release()
        assert (outcome.level, outcome.evidence[0].kind) == (Level.LINK_ACKED, EvidenceKind.ECHO)
        assert lot.driver.capabilities.release_level is Level.LINK_ACKED
        assert len(lot.gates.releases) == 1

    def test_that_says_off_after_on_leaves_a_doubt(self, rig):
        lot = rig(answers=True)
        lot.faults.drop_on_once = True
        outcome = lot.release()
        assert (type(outcome), outcome.code, lot.gates.releases) == (Uncertain, Code.CONTRADICTION, [])
        assert lot.tape.written.count(ON) == 1

    def test_that_is_silent_before_the_command_is_not_sent_anything(self, rig):
        lot = rig(answers=True)
        lot.faults.silent = True
        with pytest.raises(errors.NotSent):
            lot.release()
        assert (lot.intents, lot.gates.releases) == ([], [])

    def test_that_falls_silent_in_the_midst_may_still_be_on(self, rig, monkeypatch):
        monkeypatch.setattr("drivers.usb_relay.board.OFF_PATIENCE", 0.3)
        lot = rig(answers=True)
        outcome = lot.release(intend=lambda raw, counter: setattr(lot.faults, "silent", True))
        assert isinstance(outcome, Uncertain)
        assert "may still be on" in outcome.detail
        lot.until(lambda: not lot.is_on())

    def test_tells_what_somebody_else_switched(self, rig):
        lot = rig(answers=True)
        lot.read()
        lot.served.relays._switch(1, True)
        assert lot.read().held
        assert lot.release().code is Code.CONFLICT

    def test_is_found_by_a_probe_that_switches_nothing(self, rig):
        lot = rig(answers=True)
        finding = driver.probe(lot.served.url, time.monotonic() + 1)
        assert finding.answered
        assert "relays = 4" in finding.hints
        assert lot.gates.releases == []


def test_a_plain_board_cannot_be_probed(rig):
    finding = driver.probe(rig().served.url, time.monotonic() + 1)
    assert not finding.answered
    assert "never do" in finding.identity


def test_it_sees_nothing_and_counts_nothing(rig):
    lot = rig()
    state = lot.read()
    assert (state.position, state.vehicle) == (Position.UNKNOWN, None)
    assert lot.driver.read_counter(lot.target(), time.monotonic() + 1) is None


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"relays": 1}, "channels count from 0 to 0"),
        ({"pulse_ms": 10}, "$.options.pulse_ms"),
        ({"pulse_ms": 60_000}, "$.options.pulse_ms"),
        ({"relays": 15}, "$.options.relays"),
        ({"toggle": True}, "toggle"),
    ],
)
def test_a_mistake_in_the_options_is_told_with_its_place(options, told):
    with pytest.raises(errors.Environment, match=re.escape(told)) as caught:
        driver.create(table(**options), exits(), None)
    assert (caught.value.code, "README" in caught.value.remedy) == (Code.CONFIG, True)
