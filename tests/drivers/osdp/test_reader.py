"""Exits that an access panel opens for a card: shown once per order, and what the panel did about it."""

import threading
import time

import pytest

from drivers import registry
from drivers.base import Refused, Uncertain
from drivers.osdp import driver
from drivers.osdp.words import wiegand26
from parking import errors
from parking.desk import Position
from parking.errors import Code, NotSent
from parking.outcome import EvidenceKind, Level

CARD = wiegand26(17, 4711)
WAYS = {
    "secure": {},
    "plain": {"secure": False},
    "tcp": {"url": "socket://127.0.0.1:0"},
    "installing": {"install_mode": True},
}


@pytest.fixture(params=["secure", "plain"])
def lot(request, rig):
    return rig("reader", **WAYS[request.param])


class TestRelease:
    @pytest.mark.parametrize("way", WAYS)
    def test_shows_one_card_which_opens_once(self, rig, way):
        lot = rig("reader", timeout=2.0, **WAYS[way])
        outcome = lot.release()
        assert outcome.level is Level.LEGACY_CONFIRMED
        assert [proof.kind for proof in outcome.evidence] == [EvidenceKind.WITNESS, EvidenceKind.ECHO]
        assert [(name, by) for name, by, _ in lot.world.releases] == [("E0", "bus")]
        assert lot.machine.cards == [CARD]

    def test_commits_the_card_before_its_first_byte_leaves(self, rig):
        lot = rig("reader", timeout=2.0)
        lot.release()
        assert lot.intents == [(b"\x50" + CARD.raw, None, 0)]

    def test_shows_nothing_if_the_intent_cannot_be_committed(self, rig):
        def refuse(raw, counter):
            raise NotSent(Code.DISK, "full")

        lot = rig("reader", timeout=2.0)
        with pytest.raises(NotSent):
            lot.release(intend=refuse)
        time.sleep(0.2)
        assert lot.machine.cards == []

    def test_twice_for_two_orders(self, rig):
        lot = rig("reader", timeout=2.0)
        assert [lot.release().level, lot.release().level] == [Level.LEGACY_CONFIRMED] * 2
        assert len(lot.world.releases) == 2

    def test_is_taken_only_where_the_panel_shows_nothing(self, rig):
        lot = rig("reader", timeout=2.0)
        lot.faults.no_lamp = True
        assert lot.release(seconds=0.6).level is Level.LINK_ACKED
        assert len(lot.world.releases) == 1

    def test_ends_with_the_panel_having_it_where_no_signal_is_agreed(self, rig):
        lot = rig("reader", timeout=2.0, granted_by=[])
        began = time.monotonic()
        assert lot.release(seconds=5).level is Level.LINK_ACKED
        assert time.monotonic() - began < 3
        assert lot.driver.capabilities.release_level is Level.LINK_ACKED

    def test_of_a_card_that_the_panel_does_not_know_is_a_doubt_with_its_words(self, rig):
        lot = rig("reader", timeout=2.0)
        lot.faults.unknown_card = True
        outcome = lot.release()
        assert (type(outcome), outcome.code) == (Uncertain, Code.CONTRADICTION)
        assert "red" in outcome.detail
        assert lot.world.releases == []


class TestMishaps:
    def test_a_lost_card_is_said_again_to_the_same_poll_and_opens_once(self, lot):
        lot.driver._timeout = 2.0
        lot.faults.drop_reply_once = True
        assert lot.release().level is Level.LEGACY_CONFIRMED
        assert len(lot.world.releases) == 1

    def test_a_card_that_arrives_twice_opens_once(self, lot):
        lot.driver._timeout = 2.0
        lot.faults.reply_twice_once = True
        assert lot.release().level is Level.LEGACY_CONFIRMED
        assert lot.machine.cards == [CARD]

    @pytest.mark.parametrize("act", [True, False])
    def test_a_panel_that_begins_anew_leaves_a_doubt(self, lot, act):
        lot.driver._timeout = 2.0
        lot.faults.act, lot.faults.restart_once = act, True
        assert isinstance(lot.release(seconds=1.2), Uncertain)
        assert len(lot.world.releases) == act
        time.sleep(0.3)
        assert len(lot.world.releases) == act

    def test_a_panel_without_patience_leaves_a_doubt_and_sees_no_second_card(self, lot):
        lot.driver._timeout = 2.0
        lot.faults.no_patience = lot.faults.drop_reply_once = True
        assert isinstance(lot.release(), Uncertain)
        time.sleep(0.3)
        assert lot.machine.cards == []

    @pytest.mark.parametrize("act", [True, False])
    def test_a_line_that_breaks_with_the_card_on_it_leaves_a_doubt(self, rig, act):
        lot = rig("reader", timeout=2.0, **WAYS["secure" if act else "plain"])
        lot.faults.act, lot.faults.unplug_on_act = act, True
        assert isinstance(lot.release(seconds=1.0), Uncertain)
        lot.replug()
        time.sleep(0.4)
        assert len(lot.world.releases) == act

    @pytest.mark.parametrize("fault", ["silent", "garbage", "unplugged"])
    def test_no_panel_no_card(self, rig, fault):
        lot = rig("reader", timeout=0.3)
        setattr(lot.faults, fault, True)
        with pytest.raises((NotSent, errors.Environment)):
            lot.release(seconds=0.6)
        assert (lot.intents, lot.world.releases) == ([], [])
        setattr(lot.faults, fault, False)
        lot.replug()
        lot.driver._timeout = 3.0
        assert lot.read().position is Position.UNKNOWN
        assert lot.machine.cards == []

    def test_a_panel_that_falls_silent_before_it_asks_is_certainly_not_told(self, rig):
        lot = rig("reader", timeout=2.0)

        def falls_silent(raw, counter):
            lot.faults.silent = True
            time.sleep(0.1)

        with pytest.raises(NotSent):
            lot.release(seconds=0.5, intend=falls_silent)
        lot.faults.silent = False
        time.sleep(0.3)
        assert lot.machine.cards == []

    def test_a_wrong_key_is_no_panel(self, rig, device):
        lot = rig("reader")
        table = device("reader", lot.served.url, timeout=0.6, scbk="00112233445566778899aabbccddeeff")
        other = driver.create(table, lot.exits, None)
        with pytest.raises(NotSent):
            other.read([lot.target()], time.monotonic() + 1)
        other.close()

    def test_after_a_restart_of_ours_no_card_is_shown_again(self, rig):
        lot = rig("reader", timeout=2.0)
        lot.release()
        lot.restart_driver()
        lot.read()
        time.sleep(0.2)
        assert len(lot.world.releases) == 1


class TestOtherOrders:
    def test_a_hold_is_refused(self, rig):
        lot = rig("reader")
        for order in (lot.driver.hold_open, lot.driver.end_hold):
            assert isinstance(order(lot.target(), lot.order()), Refused)
        assert lot.driver.read_counter(lot.target(), 0) is None

    def test_closing_ends_the_line_and_the_next_use_begins_it(self, rig):
        lot = rig("reader", timeout=2.0)
        lot.read()
        lot.driver.close()
        lot.driver.close()
        assert not any(thread.name.startswith("line-") for thread in threading.enumerate())
        assert lot.read().position is Position.UNKNOWN


def test_a_probe_hears_a_panel_and_says_nothing(rig):
    lot = rig("reader")
    found = registry.FAMILIES["osdp"].module().probe(lot.served.url, time.monotonic() + 3)
    assert (found.answered, found.hints) == (True, ('mode = "reader"', "address = 5", "baud = 9600"))
