"""Threads meet signals in one class: it connects, follows, reconnects, and carries orders without blocking anyone."""

import time
from datetime import UTC, datetime

import msgspec
import pytest
from PySide6.QtCore import QEvent, QObject

from console.board import Board
from console.client import read_directory
from console.i18n import Language
from console.inputs import Contact
from console.link import Link
from parking.commands import Command, Verb
from parking.desk import ExitChanged, StayChanged, StayGone, StayState, Timeline
from parking.errors import DaikoError

ORDER = Command(command_id="c-9", lot=1002, verb=Verb.RELEASE, actor="田中", reason="emergency", exit="OUT1")


@pytest.fixture
def board(qapp, bridge):
    parent = QObject()
    link = Link(lambda: read_directory(bridge.directory), parent)
    board = Board(link, lambda: datetime.now(UTC), Language.JA, "田中", parent)
    board.link = link
    yield board
    link.stop()
    parent.deleteLater()
    qapp.sendPostedEvents(None, QEvent.Type.DeferredDelete)


@pytest.fixture
def live(board, full_bridge, qtbot):
    board.link.start()
    qtbot.waitUntil(lambda: board.state.live)
    return board


def test_it_connects_by_itself_when_the_bridge_appears(board, bridge, qtbot, lot_rows):
    board.link.start()
    qtbot.waitUntil(lambda: board.state.contact is Contact.OFFLINE)
    assert board.state.trouble.code == "link-down"
    bridge.lots = lot_rows.lots
    bridge.start()
    qtbot.waitUntil(lambda: board.state.live)
    assert set(board.state.lots) == {1001, 1002}


def test_an_event_reaches_the_state(live, full_bridge, qtbot, lot_rows):
    gone = msgspec.structs.replace(lot_rows.doubt, state=StayState.GONE)
    full_bridge.publish(StayChanged(stay=gone))
    qtbot.waitUntil(lambda: live.state.stays[gone.key].view.state is StayState.GONE)
    assert full_bridge.snapshots == 1


def test_a_flood_of_events_comes_in_few_batches(live, full_bridge, qtbot, lot_rows):
    batches = []
    live.link.arrived.connect(batches.append)
    view = lot_rows.exits["1002/OUT1"]
    started = time.monotonic()
    for at in range(600):
        full_bridge.publish(ExitChanged(exit=msgspec.structs.replace(view, fresh_for=5.0 + at)))
    qtbot.waitUntil(lambda: live.state.seq == 600)
    took = time.monotonic() - started
    assert sum(map(len, batches)) == 600
    assert len(batches) <= took * 30 + 2


def test_a_gap_is_healed_by_one_new_snapshot(live, full_bridge, qtbot, lot_rows):
    full_bridge.stays.pop(lot_rows.doubt.key)
    full_bridge.skip()
    full_bridge.publish(StayGone(key="1001/bay:1"))
    qtbot.waitUntil(lambda: lot_rows.doubt.key not in live.state.stays)
    assert full_bridge.snapshots == 2
    assert live.state.live
    assert live.state.seq == full_bridge.seq


def test_a_restarted_bridge_is_found_at_its_new_port_and_asked_anew(live, full_bridge, qtbot):
    full_bridge.publish(StayGone(key="1001/bay:1"))
    qtbot.waitUntil(lambda: live.state.seq == 1)
    full_bridge.stop()
    qtbot.waitUntil(lambda: not live.state.live)
    full_bridge.events.clear()
    full_bridge.start()
    qtbot.waitUntil(lambda: live.state.live)
    assert live.state.seq == 0
    assert full_bridge.asked_after[-1] == 0


def test_an_order_reaches_the_bridge_and_its_answer_the_state(live, full_bridge, qtbot):
    live.give(ORDER)
    assert live.state.orders["c-9"].progress == "sending"
    qtbot.waitUntil(lambda: live.state.orders["c-9"].progress == "commanded")
    assert full_bridge.commands == [ORDER]


def test_an_order_whose_answer_was_lost_is_posted_again_under_the_same_id(live, full_bridge, qtbot):
    full_bridge.swallow = 1
    live.give(ORDER)
    qtbot.waitUntil(lambda: live.state.orders["c-9"].progress == "commanded")
    assert full_bridge.commands == [ORDER, ORDER]


def test_an_order_without_any_answer_is_not_said_to_be_unsent(live, full_bridge, qtbot):
    full_bridge.swallow = 2
    live.give(ORDER)
    qtbot.waitUntil(lambda: "c-9" in live.state.notices)
    assert live.state.notices["c-9"].outcome == "unknown"
    assert full_bridge.commands == [ORDER, ORDER]


def test_an_order_without_a_bridge_is_certainly_not_sent(live, full_bridge, qtbot):
    full_bridge.stop()
    live.give(ORDER)
    qtbot.waitUntil(lambda: "c-9" in live.state.notices)
    assert live.state.notices["c-9"].outcome == "unsent"


def test_a_timeline_or_its_error_comes_back_with_its_stay(live, qtbot, lot_rows):
    with qtbot.waitSignal(live.timeline) as came:
        live.ask_timeline(1001, lot_rows.doubt.stay.key)
    assert came.args == [lot_rows.doubt.stay.key, lot_rows.timeline]
    with qtbot.waitSignal(live.timeline) as came:
        live.ask_timeline(1001, "bay:99")
    assert came.args[0] == "bay:99"
    assert isinstance(came.args[1], DaikoError)
    assert not isinstance(came.args[1], Timeline)


def test_a_wrong_token_is_said_and_not_hammered(board, full_bridge, qtbot):
    (full_bridge.directory / "api-token").write_text("guess")
    board.link.start()
    qtbot.waitUntil(lambda: board.state.contact is Contact.OFFLINE)
    assert board.state.trouble.code == "unauthorized"
    qtbot.wait(600)
    assert full_bridge.snapshots <= 3


def test_it_stops_at_once_in_the_middle_of_a_stream(live):
    started = time.monotonic()
    live.link.stop()
    assert time.monotonic() - started < 1
