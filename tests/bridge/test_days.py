"""A lot's day as the bridge tells it: the journal's payments, the legacy's bookings, the exits' counters."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from bridge import days
from bridge.case import Case
from bridge.days import Acts, Mark, TellRecord
from drivers.base import Booking
from parking.commands import Verb
from parking.desk import CasePhase, CommandState, CommandView
from parking.money import yen
from parking.reports import Counter, JournalRow
from parking.stay import LotId, NameKind, StayRef

LOT = 1002
BEGINS = datetime(2026, 11, 23, 19, 0, tzinfo=UTC)
SPAN = (BEGINS, BEGINS + timedelta(days=1))
DAY = "2026-11-24"
NOON = BEGINS + timedelta(hours=8)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


def case(number: int, phase: CasePhase = CasePhase.SETTLED, **more: object) -> Case:
    return Case(
        lot=LotId(LOT),
        number=number,
        reference=f"DK-{LOT}-{number}",
        stay=StayRef(NameKind.TICKET, f"T{number}"),
        exit="",
        amount=600,
        paid_at=NOON,
        valid_until=NOON + 20 * MINUTE,
        since=NOON + MINUTE,
        phase=phase,
        **more,
    )


def booking(reference: str, at: datetime = NOON, amount: int = 600) -> Booking:
    return Booking(reference, yen(amount), at, f"R-{reference}")


def booked(*books: Booking, mine: tuple[int, ...] = (), known: tuple[int, ...] = ()) -> list[str]:
    return [row.reference for row in days.booked(LOT, SPAN, set(mine), known.__contains__, books)]


# --- the journal and the books ---------------------------------------------------------------------------------------


def test_the_days_payments_are_told_as_they_stand() -> None:
    content = days.from_cases([case(2, CasePhase.REFUSED), case(1, by="Sato")])
    assert content.journal == (
        JournalRow(number=1, phase="settled", amount=600, by="Sato"),
        JournalRow(number=2, phase="refused", amount=600),
    )
    assert content.settled_by == NOON + MINUTE


def test_a_booking_belongs_to_the_day_of_its_payment_also_when_it_was_dated_after_midnight() -> None:
    late = booking("DK-1002-7", SPAN[1] + 5 * MINUTE)
    assert booked(late, mine=(7,)) == ["DK-1002-7"]
    assert booked(late, known=(7,)) == []
    assert booked(booking("DK-1002-6", SPAN[0] + MINUTE), known=(6,)) == []  # yesterday's, told there


def test_a_booking_of_nobody_belongs_to_the_day_that_it_is_dated() -> None:
    assert booked(booking("DK-1002-99")) == ["DK-1002-99"]
    assert booked(booking("DK-1002-99", SPAN[1])) == []
    assert booked(booking("DK-1002-9x")) == ["DK-1002-9x"]  # forged, or misspelled: ours by its name


def test_what_the_legacy_booked_for_other_systems_is_not_ours() -> None:
    assert booked(booking("DK-1001-1"), booking("OTHERPAY-5"), booking("DK-10021-1")) == []


def test_a_booking_that_two_readings_show_counts_once_and_two_bookings_count_twice() -> None:
    once = booking("DK-1002-1")
    assert booked(once, once, mine=(1,)) == ["DK-1002-1"]
    assert len(booked(once, Booking("DK-1002-1", yen(600), NOON, "R-other"), mine=(1,))) == 2


def test_the_books_are_read_without_a_gap_and_until_after_the_last_settlement() -> None:
    now = SPAN[1] + 9 * HOUR
    pieces = list(days.spans(SPAN, SPAN[1] + 5 * HOUR, now))
    assert pieces[0][0] == SPAN[0] - days.SLACK
    assert pieces[-1][1] >= SPAN[1] + 5 * HOUR + days.SLACK
    assert all(before[1] == after[0] for before, after in pairwise(pieces))
    assert list(days.spans(SPAN, None, now))[-1][1] >= SPAN[1] + days.SLACK


# --- counters --------------------------------------------------------------------------------------------------------


def mark(day: str, count: int, turn: int = 0, command: int = 0) -> Mark:
    return Mark("7", day, count, turn, command, BEGINS)


def released(number: int, turn: int, **more: object) -> tuple[str, Case]:
    return "7", case(number, sent_at=NOON, turn=turn, **more)


def opened(row: int, state: CommandState = CommandState.CONFIRMED, verb: Verb = Verb.RELEASE) -> tuple:
    return "7", row, CommandView(command_id=f"c{row}", verb=verb.value, state=state, at=NOON, actor="Sato")


def counted(marks: list[Mark], cases: list = [], by_hand: list = [], day: str = DAY) -> list:  # noqa: B006 - read only
    return list(days.counted(("7",), {"7": marks}, day, Acts(cases, by_hand)))


def test_a_counter_moves_once_for_each_release_by_the_relay_and_by_hand() -> None:
    (count,) = counted(
        [mark("2026-11-23", 40, 10, 3), mark(DAY, 43, 13, 5)],
        [released(1, 11), released(2, 13), ("8", released(3, 12)[1])],
        [opened(4), opened(5, verb=Verb.HOLD_OPEN)],
    )
    assert (count.moved, count.by_relay, count.by_hand, count.unsure) == (3, 2, 1, 0)
    assert (count.before, count.after, count.since) == (40, 43, BEGINS)


def test_a_release_counts_between_the_readings_around_it_and_nowhere_else() -> None:
    marks = [mark("2026-11-22", 10, 5, 1), mark("2026-11-23", 11, 6, 1), mark(DAY, 12, 7, 2)]
    acts = [released(1, 5), released(2, 6), released(3, 7), released(4, 8)], [opened(1), opened(2), opened(3)]
    assert [(count.by_relay, count.by_hand) for count in counted(marks, *acts)] == [(1, 1)]
    assert [(count.by_relay, count.by_hand) for count in counted(marks, *acts, day="2026-11-23")] == [(1, 0)]


def test_releases_of_which_nobody_knows_are_said_to_be_unsure() -> None:
    (count,) = counted(
        [mark("2026-11-23", 40), mark(DAY, 42, 9, 9)],
        [
            released(1, 1, phase=CasePhase.IN_DOUBT),
            released(2, 2, by="Sato"),
            released(3, 3, phase=CasePhase.REFUSED),
            released(4, 4, let_out="Sato: stuck"),
        ],
        [opened(1, CommandState.NOT_CONFIRMED), opened(2, CommandState.COMMANDED), opened(3, CommandState.REFUSED)],
    )
    assert (count.by_relay, count.by_hand, count.unsure) == (0, 0, 5)


def test_a_counter_that_passes_its_end_has_moved_on() -> None:
    (count,) = counted([mark("2026-11-23", 65_534), mark(DAY, 1, 3)], [released(n, n) for n in (1, 2, 3)])
    assert (count.state, count.moved) == (Counter.MOVED, 3)


def test_a_counter_that_went_backwards_is_said_to_be_set_anew_and_not_to_have_moved_65_000_times() -> None:
    (count,) = counted([mark("2026-11-23", 300), mark(DAY, 2, 2)], [released(1, 1), released(2, 2)])
    assert (count.state, count.moved, count.before, count.after) == (Counter.RESET, 0, 300, 2)
    assert count.by_relay == 2


def test_a_day_whose_counter_was_not_read_says_so_until_a_later_reading_covers_it() -> None:
    before = [mark("2026-11-23", 40)]
    assert [count.state for count in counted(before)] == [Counter.UNREAD]
    later = [*before, mark("2026-11-25", 42, 2)]
    assert counted(later) == []
    (count,) = counted(later, [released(1, 1), released(2, 2)], day="2026-11-25")
    assert (count.moved, count.by_relay) == (2, 2)


def test_the_first_reading_tells_nothing_yet() -> None:
    assert counted([mark(DAY, 40)]) == []


@given(st.lists(st.sampled_from(["relay", "hand", "mark"]), max_size=30))
def test_whatever_the_order_no_release_is_counted_twice_or_lost(steps: list[str]) -> None:
    """The device counts along; each day's count is explained exactly by the acts between its readings."""
    marks, cases, hands, count, turn, day = [mark("2026-11-00", 0)], [], [], 0, 0, 0
    for step in steps:
        if step == "mark":
            day += 1
            marks.append(mark(f"2026-11-{day:02d}", count, turn, len(hands)))
            continue
        count += 1
        if step == "relay":
            turn += 1
            cases.append(released(turn, turn))
        else:
            hands.append(opened(len(hands) + 1))
    told = [one for at in range(1, day + 1) for one in counted(marks, cases, hands, f"2026-11-{at:02d}")]
    assert len(told) == day
    assert all(one.moved == one.by_relay + one.by_hand for one in told)
    assert sum(one.moved for one in told) == marks[-1].count


# --- when ------------------------------------------------------------------------------------------------------------

TOLD = TellRecord(told_at=SPAN[1] + MINUTE, looked_at=SPAN[1] + MINUTE, seen="as it was", digest="d")


@pytest.mark.parametrize(
    ("record", "after", "due"),
    [
        (None, HOUR, True),
        (TOLD, HOUR, False),
        (TOLD, 23 * HOUR, False),
        (TOLD, 24 * HOUR + MINUTE, True),  # another day has ended: the books may have changed
        (replace(TOLD, looked_at=SPAN[1] + 24 * HOUR), 30 * HOUR, False),
        (replace(TOLD, seen="otherwise"), HOUR, True),
        (replace(TOLD, told_at=SPAN[1] - HOUR), HOUR, True),  # told before its end, by a wrong clock
        (replace(TOLD, looked_at=SPAN[1] + 48 * HOUR), HOUR, True),
        (replace(TOLD, trouble=True), 5 * MINUTE, False),
        (replace(TOLD, trouble=True), 12 * MINUTE, True),
    ],
)
def test_a_day_is_told_once_and_again_when_it_may_have_changed(record, after: timedelta, due: bool) -> None:
    assert days.is_due(record, "as it was", SPAN, SPAN[1] + after) is due


def test_no_day_before_the_journal_began_and_no_day_that_goes_on_is_looked_at() -> None:
    today = date(2026, 11, 24)
    assert days.days_to_look_at({"2026-11-21": TellRecord()}, today) == [date(2026, 11, 22), date(2026, 11, 23)]
    assert days.days_to_look_at({"2026-11-23": TellRecord()}, today) == []
    assert days.days_to_look_at({"2026-11-30": TellRecord()}, today) == []


def test_days_of_an_outage_are_made_up_for_and_old_days_are_left_alone_once_told() -> None:
    today, begin = date(2026, 11, 24), date(2026, 10, 1)
    untold = days.days_to_look_at({begin.isoformat(): TellRecord()}, today)
    assert untold == [begin + timedelta(days=n) for n in range(1, (today - begin).days)]
    every = {day.isoformat(): TOLD for day in untold} | {begin.isoformat(): TellRecord()}
    assert len(days.days_to_look_at(every, today)) == days.LOOK_BACK


# --- the wire --------------------------------------------------------------------------------------------------------


@given(st.integers(0, 260), st.none() | st.integers(0, 260))
def test_a_day_in_parts_is_whole_and_no_part_is_large(cases: int, rows: int | None) -> None:
    content = days.from_cases([case(number) for number in range(1, cases + 1)])
    if rows is not None:
        books = [booking(f"DK-1002-{number}") for number in range(1, rows + 1)]
        content = days.with_books(content, days.booked(LOT, SPAN, set(), lambda _: False, books))
    told = days.parts(date(2026, 11, 24), NOON, content)
    assert [(part.part, part.parts) for part in told] == [(n + 1, len(told)) for n in range(len(told))]
    assert tuple(row for part in told for row in part.journal) == content.journal
    assert all(len(part.journal) <= days.ROWS and len(part.legacy or ()) <= days.ROWS for part in told)
    if rows is None:
        assert all(part.legacy is None for part in told)
    else:
        assert tuple(row for part in told for row in part.legacy or ()) == content.legacy


def test_books_that_could_not_be_read_are_not_a_lot_without_books() -> None:
    content = days.from_cases([case(1)])
    (without,) = days.parts(date(2026, 11, 24), NOON, content)
    (unread,) = days.parts(date(2026, 11, 24), NOON, days.with_books(content, None, "[no-reply] silent"))
    assert (without.legacy, without.legacy_trouble) == (None, "")
    assert (unread.legacy, unread.legacy_trouble) == (None, "[no-reply] silent")
    assert not content.trouble
    assert days.with_books(content, None, "[no-reply] silent").trouble
