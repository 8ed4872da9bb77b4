"""The console's rows and events: numbered without gaps, resumable, and honest about what is no longer held."""

import threading
from datetime import UTC, datetime, timedelta

from bridge.board import KEPT_CASES, RING, Board
from parking.desk import (
    KEPT_GONE,
    CasePhase,
    CaseView,
    CommandState,
    CommandView,
    ExitKind,
    ExitView,
    LinkView,
    Position,
    StayState,
    StayView,
)
from parking.stay import NameKind, StayRef

T0 = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)


def exit_view(position: Position = Position.CLOSED, at: datetime | None = T0) -> ExitView:
    return ExitView(lot=1001, exit="7", kind=ExitKind.PLATE, label={"ja": "7番"}, position=position, read_at=at)


def make() -> Board:
    return Board([], [exit_view(Position.UNKNOWN, None)], T0)


def test_an_event_follows_the_snapshot_without_a_gap() -> None:
    board = make()
    seq = board.snapshot(T0).seq
    board.exit_read(exit_view())
    (event,) = board.events(seq) or ()
    assert event.seq == seq + 1
    assert board.snapshot(T0).exits == (exit_view(),)
    assert board.events(event.seq) == []


def test_an_unchanged_reading_is_no_event() -> None:
    board = make()
    board.exit_read(exit_view())
    seq = board.snapshot(T0).seq
    board.exit_read(exit_view(at=T0 + timedelta(milliseconds=500)))
    assert board.events(seq) == []


def test_a_reading_is_repeated_before_the_console_calls_it_stale() -> None:
    board = make()
    board.exit_read(exit_view())
    seq = board.snapshot(T0).seq
    board.exit_read(exit_view(at=T0 + timedelta(seconds=3)))
    assert len(board.events(seq) or ()) == 1


def test_a_reading_keeps_the_last_order_on_show() -> None:
    board = make()
    order = CommandView(command_id="c", verb="release", state=CommandState.COMMANDED, at=T0, actor="Tanaka")
    board.command("1001/7", order)
    board.exit_read(exit_view(Position.OPEN))
    shown = board.exit_view("1001/7")
    assert shown is not None
    assert (shown.command, shown.position) == (order, Position.OPEN)


def test_a_console_that_is_too_far_behind_is_told_so() -> None:
    board = make()
    seq = board.snapshot(T0).seq
    for at in range(RING + 2):
        board.exit_read(exit_view(Position.OPEN if at % 2 else Position.CLOSED))
    assert board.events(seq) is None
    assert board.events(seq + 10**9) is None


def test_the_numbers_grow_over_a_restart() -> None:
    before = make()
    before.exit_read(exit_view())
    later = Board([], [], T0 + timedelta(seconds=1))
    assert later.snapshot(T0).seq > before.snapshot(T0).seq
    assert later.events(before.snapshot(T0).seq) is None


def test_a_link_keeps_its_since_while_its_state_lasts() -> None:
    board = make()
    for second, up in enumerate((True, True, False)):
        board.link(LinkView(link="1001/cloud", kind="cloud", up=up, since=T0 + timedelta(seconds=second)))
        since = board.snapshot(T0).links[0].since
        assert since == T0 + timedelta(seconds=2 if not up else 0)


def test_the_board_forgets_old_cases_but_never_an_open_one() -> None:
    board = make()
    for number in range(1, KEPT_CASES + 50):
        phase = CasePhase.IN_DOUBT if number == 1 else CasePhase.SETTLED
        stay = StayRef(NameKind.BAY, "7", T0)
        board.case(CaseView(lot=1001, number=number, stay=stay, amount=100, phase=phase, since=T0))
    shown = [case.number for case in board.snapshot(T0).cases]
    assert len(shown) == KEPT_CASES
    assert shown[0] == 1
    assert shown[-1] == KEPT_CASES + 49


def test_the_latest_stays_that_have_ended_stay_on_show_apart_from_those_that_are_there() -> None:
    board = make()
    views = [
        StayView(lot=1001, stay=StayRef(NameKind.BAY, str(n), T0), state=StayState.PAID, seen_at=T0)
        for n in range(1, KEPT_GONE + 3)
    ]
    for view in views:
        board.stay(view)
        board.stay_gone(view.key)
    board.stay_gone(views[0].key)  # known no more: nothing happens
    shown = board.snapshot(T0)
    assert shown.stays == ()
    assert [view.key for view in shown.gone] == [view.key for view in views[2:]]
    assert {view.state for view in shown.gone} == {StayState.GONE}
    board.stay(views[-1])  # a sensor that flickered: it is there after all
    assert views[-1].key not in [view.key for view in board.snapshot(T0).gone]


def test_waiting_ends_with_an_event_or_with_the_bridge() -> None:
    board = make()
    seq = board.snapshot(T0).seq
    threading.Timer(0.05, lambda: board.exit_read(exit_view())).start()
    board.wait(seq, 5)
    assert board.events(seq)
    closing = make()
    threading.Timer(0.05, closing.close).start()
    closing.wait(closing.snapshot(T0).seq, 5)
