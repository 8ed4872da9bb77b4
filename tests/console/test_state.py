"""What the window shows follows from snapshot and events alone, and never runs ahead of them. No Qt here."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.inputs import (
    Acknowledged,
    Contact,
    LinkLost,
    OrderAnswered,
    OrderFailed,
    OrderGiven,
    Progress,
    SnapshotTaken,
    Tick,
)
from console.rows import fold, natural, stay_row
from console.selection import Filter, Selection, arrange, in_doubt, last_order, reading, stay_for
from console.state import State, advance, pending_resolve
from parking.commands import Command, CommandReply, Verb, Verdict
from parking.desk import (
    KEPT_GONE,
    CaseChanged,
    CasePhase,
    CaseView,
    CommandState,
    CommandView,
    Event,
    ExitChanged,
    Position,
    Snapshot,
    StayChanged,
    StayGone,
    StayState,
    StayView,
)
from parking.stay import NameKind, StayRef

GATE = "1002/OUT1"


@pytest.fixture
def snapshot(lot_rows) -> Snapshot:
    tables = {name: tuple(getattr(lot_rows, name).values()) for name in ("stays", "exits", "cases", "links")}
    tables["exits"] = tuple(msgspec.structs.replace(view, command=None) for view in tables["exits"])
    return Snapshot(seq=10, server_time=lot_rows.now, lots=lot_rows.lots, **tables)


@pytest.fixture
def state(snapshot, lot_rows) -> State:
    return advance(State(), [SnapshotTaken(snapshot, lot_rows.now)])


@pytest.fixture
def order(lot_rows) -> Command:
    return Command(command_id="c-9", lot=1002, verb=Verb.RELEASE, actor="田中", reason="emergency", exit="OUT1")


def with_command(state: State, outcome: CommandState, *, command_id: str = "c-9", seconds: float = 1) -> ExitChanged:
    view = state.exits[GATE]
    at = state.bridge_now + timedelta(seconds=seconds)
    told = CommandView(command_id=command_id, verb="release", state=outcome, at=at, actor="田中", code="not-observed")
    return ExitChanged(exit=msgspec.structs.replace(view, command=told))


def after(state: State, body: object) -> State:
    return advance(state, [Event(seq=state.seq + 1, body=body)])


# --- following the bridge -------------------------------------------------------------------------------------------


def test_a_snapshot_brings_the_window_to_life(state, lot_rows):
    assert (state.contact, state.seq, state.needs_snapshot) == (Contact.ONLINE, 10, False)
    assert len(state.stays) == len(lot_rows.stays)
    assert len(state.exits) == 21


def test_an_event_replaces_its_row_and_leaves_other_tables_untouched(state, lot_rows):
    gone = msgspec.structs.replace(lot_rows.doubt, state=StayState.GONE)
    later = after(state, StayChanged(stay=gone))
    assert later.stays[gone.key].view.state is StayState.GONE
    assert state.stays[gone.key].view.state is StayState.IN_DOUBT
    assert later.exits is state.exits
    assert later.cases is state.cases


def test_a_stay_that_is_gone_leaves_the_table(state, lot_rows):
    assert lot_rows.doubt.key not in after(state, StayGone(key=lot_rows.doubt.key)).stays


def test_a_stay_that_has_ended_is_shown_as_gone_until_many_others_have(state, snapshot, lot_rows):
    gone = msgspec.structs.replace(lot_rows.doubt, state=StayState.GONE)
    now = after(state, StayGone(key=gone.key, stay=gone))
    assert now.stays[gone.key].state == "gone"
    others = [
        msgspec.structs.replace(gone, stay=StayRef(NameKind.BAY, f"Z{n}", gone.stay.entered_at))
        for n in range(KEPT_GONE)
    ]
    for other in others:
        now = advance(now, [Event(seq=now.seq + 1, body=StayGone(key=other.key, stay=other))])
    assert gone.key not in now.stays
    assert all(other.key in now.stays for other in others)
    taken = msgspec.structs.replace(snapshot, gone=(gone,), stays=())
    assert list(advance(now, [SnapshotTaken(taken, lot_rows.now)]).stays) == [gone.key]


def test_an_event_seen_before_changes_nothing(state, lot_rows):
    assert advance(state, [Event(seq=10, body=StayGone(key=lot_rows.doubt.key))]) == state


def test_a_gap_asks_for_a_snapshot_and_applies_nothing_until_it_is_there(state, snapshot, lot_rows):
    gone = StayGone(key=lot_rows.doubt.key)
    gap = advance(state, [Event(seq=12, body=gone), Event(seq=13, body=gone)])
    assert gap.needs_snapshot
    assert gap.seq == 10
    assert lot_rows.doubt.key in gap.stays
    healed = advance(gap, [SnapshotTaken(msgspec.structs.replace(snapshot, seq=13), lot_rows.now)])
    assert not healed.needs_snapshot
    assert after(healed, gone).seq == 14


def test_a_lost_bridge_keeps_the_rows_but_shows_nothing_as_live(state, lot_rows):
    first, second = (LinkLost(lot_rows.now + timedelta(seconds=at), "link-down", "gone") for at in (5, 65))
    lost = advance(state, [first, second])
    assert not lost.live
    assert lost.stays is state.stays
    assert lost.contact_since == first.at
    assert not reading(lost, lost.exits[GATE]).fresh


@given(st.lists(st.integers(0, 3), max_size=25), st.integers(0, 25))
def test_one_batch_does_what_its_events_do_one_by_one(kinds, cut):
    made = datetime(2026, 1, 1, tzinfo=UTC)
    views = [_parked(str(at), made) for at in (1, 2)]
    bodies = [StayChanged(stay=views[0]), StayChanged(stay=views[1]), StayGone(key=views[0].key), None]
    events = [
        Event(seq=seq + (1 if kind == 3 else 0), body=bodies[kind] or bodies[0]) for seq, kind in enumerate(kinds, 1)
    ]
    start = State(needs_snapshot=False)
    single = start
    for event in events:
        single = advance(single, [event])
    assert advance(advance(start, events[:cut]), events[cut:]) == single
    assert start.stays == {}


def _parked(name: str, at: datetime):
    from parking.desk import StayView

    return StayView(lot=1, stay=StayRef(NameKind.BAY, name, at), state=StayState.PARKED, seen_at=at)


# --- readings -------------------------------------------------------------------------------------------------------


def test_a_reading_is_shown_while_it_is_fresh_and_is_unknown_with_its_age_after(state, lot_rows):
    fresh = reading(state, state.exits[GATE])
    assert (fresh.position, fresh.fresh) == (Position.CLOSED, True)
    later = advance(state, [Tick(lot_rows.now + timedelta(seconds=5.1))])
    stale = reading(later, later.exits[GATE])
    assert (stale.position, stale.vehicle, stale.fresh) == (Position.UNKNOWN, None, False)
    assert stale.age == timedelta(seconds=5.1)


def test_an_exit_never_read_is_unknown_without_an_age(state):
    view = msgspec.structs.replace(state.exits[GATE], read_at=None)
    assert reading(state, view) == replace(reading(state, view), position=Position.UNKNOWN, age=None, fresh=False)


def test_ages_are_measured_by_the_bridges_clock(snapshot, lot_rows):
    ours = lot_rows.now - timedelta(hours=3)
    state = advance(State(), [SnapshotTaken(snapshot, ours)])
    assert state.bridge_now == lot_rows.now
    assert reading(state, state.exits[GATE]).fresh
    assert not reading(advance(state, [Tick(ours + timedelta(seconds=6))]), state.exits[GATE]).fresh


# --- orders ---------------------------------------------------------------------------------------------------------


def test_an_order_is_never_shown_as_done_before_the_bridge_says_so(state, order, lot_rows):
    outcomes = []
    for step in (
        OrderGiven(order, lot_rows.now),
        OrderAnswered("c-9", CommandReply(accepted=True)),
        Event(seq=11, body=with_command(state, CommandState.COMMANDED)),
        Event(seq=12, body=with_command(state, CommandState.CONFIRMED, seconds=2)),
    ):
        state = advance(state, [step])
        outcomes.append(last_order(state, state.exits[GATE]).outcome)
    assert outcomes == ["sending", "commanded", "commanded", "confirmed"]
    assert state.orders == {}
    assert state.notices == {}


def test_an_order_not_confirmed_stays_visible_until_someone_has_seen_it(state, snapshot, lot_rows):
    state = after(state, with_command(state, CommandState.NOT_CONFIRMED))
    state = after(state, with_command(state, CommandState.CONFIRMED, command_id="c-10", seconds=9))
    state = advance(state, [LinkLost(lot_rows.now, "link-down", ""), SnapshotTaken(snapshot, lot_rows.now)])
    assert state.notices["c-9"].outcome == "not_confirmed"
    assert advance(state, [Acknowledged("c-9")]).notices == {}


def test_what_was_acknowledged_does_not_come_back_with_the_next_reading(state, snapshot, lot_rows):
    state = after(state, with_command(state, CommandState.NOT_CONFIRMED))
    state = advance(state, [Acknowledged("c-9")])
    told = with_command(state, CommandState.NOT_CONFIRMED)
    assert after(state, told).notices == {}
    again = msgspec.structs.replace(snapshot, exits=(told.exit,))
    assert advance(state, [SnapshotTaken(again, lot_rows.now)]).notices == {}


@pytest.mark.parametrize(
    ("ending", "progress"),
    [
        (OrderAnswered("c-9", CommandReply(accepted=False, code="conflict")), Progress.REFUSED),
        (OrderFailed("c-9", "link-down", "refused", certain=True), Progress.UNSENT),
        (OrderFailed("c-9", "no-reply", "time-out", certain=False), Progress.UNKNOWN),
    ],
)
def test_an_order_without_success_becomes_a_notice_that_tells_no_from_unknown(state, order, lot_rows, ending, progress):
    state = advance(state, [OrderGiven(order, lot_rows.now), ending])
    assert state.notices["c-9"].outcome == progress
    assert last_order(state, state.exits[GATE]).outcome == progress
    assert last_order(state, state.exits[GATE]).failed


def test_an_event_may_be_faster_than_the_answer(state, order, lot_rows):
    state = advance(state, [OrderGiven(order, lot_rows.now)])
    state = after(state, with_command(state, CommandState.CONFIRMED))
    state = advance(state, [OrderAnswered("c-9", CommandReply(accepted=True))])
    assert last_order(state, state.exits[GATE]).outcome == "confirmed"


def test_a_decision_is_pending_until_the_case_leaves_doubt(state, lot_rows):
    decision = Command(
        command_id="r", lot=1001, verb=Verb.RESOLVE, actor="a", reason="b", case=42, verdict=Verdict.SETTLED
    )
    state = advance(state, [OrderGiven(decision, lot_rows.now), OrderAnswered("r", CommandReply(accepted=True))])
    assert pending_resolve(state, lot_rows.case).progress is Progress.COMMANDED
    assert in_doubt(state) == [lot_rows.case]
    done = msgspec.structs.replace(lot_rows.case, phase=CasePhase.SETTLED, by="田中")
    state = after(state, CaseChanged(case=done))
    assert pending_resolve(state, done) is None
    assert in_doubt(state) == []


def test_an_order_is_for_the_car_in_the_plates_own_bay_or_for_the_chosen_stay_of_that_lot(state, lot_rows):
    assert stay_for(state, state.exits["1001/7"], "").view == lot_rows.doubt
    assert stay_for(state, state.exits["1001/8"], "") is None
    ticket = next(row for row in state.stays.values() if row.view.lot == 1002)
    assert stay_for(state, state.exits[GATE], ticket.view.key) is ticket
    assert stay_for(state, state.exits[GATE], lot_rows.doubt.key) is None


def test_an_order_at_a_lane_is_for_the_stay_whose_payment_is_pending_there_the_longest_waiting_first(state, lot_rows):
    first, second = [row for row in state.stays.values() if row.view.lot == 1002][:2]
    gate, now = state.exits[GATE], lot_rows.now
    cases = [
        CaseView(lot=1002, number=1, stay=first.view.stay, amount=300, phase=CasePhase.SENDING, since=now, exit="OUT1"),
        CaseView(
            lot=1002,
            number=2,
            stay=second.view.stay,
            amount=300,
            phase=CasePhase.IN_DOUBT,
            since=now - timedelta(minutes=2),
            exit="OUT1",
        ),
    ]
    for case in cases:
        state = after(state, CaseChanged(case=case))
    assert stay_for(state, gate, "").view == second.view
    assert stay_for(state, gate, lot_rows.doubt.key).view == second.view, "a stay of another lot is no answer"
    assert stay_for(state, gate, first.view.key).view == first.view, "who is chosen and pending goes first"
    for case in cases:
        state = after(state, CaseChanged(case=msgspec.structs.replace(case, phase=CasePhase.SETTLED)))
    assert stay_for(state, gate, "") is None


# --- search, filters, order -----------------------------------------------------------------------------------------


def names(state: State, **wanted) -> list[str]:
    return [row.view.stay.name for row in arrange(state, Selection(**wanted))]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("品川300あ12-34", ["00481273"]),
        ("品川３００ ア １２３４", ["00481273"]),
        ("ｻ2046", ["00481290"]),
        ("00481288", ["00481288"]),
        ("481201", ["00481201"]),
        ("０７", ["7"]),
        ("DK-1001-42", ["7"]),
        ("*", []),
    ],
)
def test_a_search_finds_in_any_spelling_and_any_state(state, text, found):
    assert names(state, search=text) == found


def test_an_empty_search_is_no_search(state):
    assert names(state, search="  ") == names(state)


def test_filters_tell_cars_in_the_lot_from_those_that_left(state):
    assert "00481201" not in names(state)
    assert names(state, wanted=Filter.GONE) == ["00481201"]
    assert names(state, wanted=Filter.IN_DOUBT) == ["7"]
    assert len(names(state, wanted=Filter.ALL)) == 14
    assert names(state, lot=1002) == ["00481273", "00481288", "00481290"]


def test_bays_are_sorted_as_people_count(state):
    assert names(state, lot=1001) == ["1", "2", "3", "5", "7", "9", "11", "12", "16", "18"]
    assert natural("A2") < natural("A10") < natural("B1")


def test_any_column_sorts_both_ways(state):
    assert names(state, lot=1001, column="elapsed", descending=True)[0] == "2"
    assert names(state, lot=1001, column="entered", descending=True)[0] == "16"
    assert names(state, column="state")[0] == "7"
    assert names(state, column="paid", descending=True)[0] == "3"


@given(st.text(max_size=40))
def test_any_text_may_be_typed_into_the_search(text):
    assert fold(text) == fold(fold(text))
    assert arrange(State(), Selection(search=text)) == []


# --- stays that are named by plate ------------------------------------------------------------------------------------


def by_plate(token, plate):
    return StayView(
        lot=1003,
        stay=StayRef(NameKind.PLATE, token),
        state=StayState.PARKED,
        seen_at=datetime(2026, 11, 25, tzinfo=UTC),
        plate=plate,
    )


def test_a_stay_named_by_plate_is_searched_sorted_and_shown_by_the_plate_never_by_its_token():
    row, other = stay_row(by_plate("0" * 20, "品川330あ7391")), stay_row(by_plate("1" * 20, "品川4あ1"))
    assert (row.shown, "0" * 20 in row.haystack, "品川330あ7391" in row.haystack) == ("品川330あ7391", False, True)
    assert other.order < row.order
    assert stay_row(by_plate("2" * 20, "")).shown == ""
