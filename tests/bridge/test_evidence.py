"""What proves that a machine acted, and what does not (P5): who paid, not whether it is paid; a counter, not a hope."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from msgspec import structs

from bridge.case import Case
from bridge.events import Finding, Proof
from bridge.evidence import ExitSeen, among_others, from_exit, from_witness
from bridge.exit_log import KEPT, ExitLog, Others, Turn
from drivers.base import CannotTell, Cash, ExitState, Nobody, Ours
from parking.desk import Position
from parking.errors import Code
from parking.outcome import Evidence, EvidenceKind
from parking.stay import LotId, NameKind, StayRef

SEEN = Evidence(EvidenceKind.OBSERVED, "OUT1 is open")


@pytest.mark.parametrize(
    ("said", "waited", "finding"),
    [
        (Ours("DK-1-1", "R-9"), False, Finding.OURS),
        (Cash("paid by cash"), False, Finding.OTHERS),
        (Nobody("nobody"), False, Finding.UNKNOWN),
        (Nobody("nobody"), True, Finding.NOT_ACTED),
        (CannotTell("no reply"), True, Finding.UNKNOWN),
    ],
)
def test_a_witness_says_who_and_nobody_counts_only_after_a_while(said, waited, finding):
    assert from_witness(said, "host", waited).finding is finding


def seen(before: int | None, count: int | None, position: Position, vehicle: bool | None = True) -> ExitSeen:
    return ExitSeen("7", "plates", before, count, ExitState(position, held=False, vehicle=vehicle))


@pytest.mark.parametrize(
    ("look", "sent", "waited", "finding"),
    [
        (seen(41, 42, Position.CLOSED), 1, False, Finding.OURS),
        (seen(65535, 0, Position.CLOSED), 1, False, Finding.OURS),
        (seen(41, 43, Position.CLOSED), 1, True, Finding.UNKNOWN),
        (seen(41, 41, Position.OPEN), 1, False, Finding.OURS),
        (seen(41, 41, Position.CLOSED), 1, False, Finding.UNKNOWN),
        (seen(41, 41, Position.CLOSED), 1, True, Finding.NOT_ACTED),
        (seen(41, 41, Position.CLOSED, vehicle=False), 1, True, Finding.UNKNOWN),
        (seen(41, 41, Position.MOVING), 1, True, Finding.UNKNOWN),
        (seen(41, None, Position.CLOSED), 1, True, Finding.UNKNOWN),
        (seen(None, None, Position.CLOSED), 1, True, Finding.UNKNOWN),
        (seen(None, None, Position.CLOSED), 0, False, Finding.NOT_ACTED),
    ],
)
def test_an_exit_proves_by_its_counter_and_its_position(look, sent, waited, finding):
    assert from_exit(look, sent, waited).finding is finding


def test_a_gate_seen_open_proves_our_release_right_after_it_only():
    """Later somebody may have opened it for another car, by its own key; a plate holds one car alone."""
    plate = seen(None, None, Position.OPEN)
    gate = replace(plate, shared=True)
    assert from_exit(gate, 1, waited=False).finding is Finding.OURS
    assert from_exit(gate, 1, waited=True).finding is Finding.UNKNOWN
    assert from_exit(plate, 1, waited=True).finding is Finding.OURS


def test_the_counter_is_named_before_the_position():
    found = from_exit(seen(41, 42, Position.OPEN), 1, waited=True)
    assert [proof.kind for proof in found.proofs] == [EvidenceKind.COUNTER]


@pytest.mark.parametrize(
    ("proof", "others", "finding"),
    [
        (Proof(1, Finding.OURS, (SEEN,)), Others(1), Finding.UNKNOWN),
        (Proof(1, Finding.OURS, (SEEN,)), Others(open=True), Finding.UNKNOWN),
        (Proof(1, Finding.OURS, (), moved=1), Others(open=True), Finding.OURS),
        (Proof(1, Finding.OURS, (), moved=1), Others(1), Finding.UNKNOWN),
        (Proof(1, Finding.OURS, (), moved=1, still=True), Others(1), Finding.NOT_ACTED),
        (Proof(1, Finding.UNKNOWN, (), moved=2), Others(1), Finding.OURS),
        (Proof(1, Finding.UNKNOWN, (), moved=2), Others(1, unknown=True), Finding.UNKNOWN),
        (Proof(1, Finding.UNKNOWN, (), moved=3), Others(1), Finding.UNKNOWN),
        (Proof(1, Finding.NOT_ACTED, (), moved=0, still=True), Others(unknown=True), Finding.UNKNOWN),
        (Proof(1, Finding.NOT_ACTED, (), moved=0, still=True), Others(open=True), Finding.NOT_ACTED),
    ],
)
def test_at_a_gate_that_served_other_cars_since_only_exact_counting_proves(proof, others, finding):
    """Found by the simulation: the gate was seen open for the next car, and the one before was charged."""
    assert among_others(proof, others).finding is finding


AT = datetime(2026, 11, 24, tzinfo=UTC)
OUT = (1, "OUT")


def at(seconds: float) -> datetime:
    return AT + timedelta(seconds=seconds)


def turn(number: int, acted: bool | None, *, ends: float = 60) -> Turn:
    return Turn(f"turn-{number}", number, at(number), at(ends), acted)


def ours(number: int, *, crowded: bool = False) -> Case:
    return Case(
        lot=LotId(1),
        number=99,
        reference="DK-1-99",
        stay=StayRef(NameKind.BAY, "7"),
        exit="OUT",
        amount=600,
        paid_at=AT,
        valid_until=AT,
        since=AT,
        sent_at=at(number),
        turn=number,
        crowded=crowded,
    )


def test_an_exit_that_stands_open_is_an_opening_by_hand_only_if_nobody_else_had_it_open():
    """Found by exploring: opened by the relay a moment ago, it was taken for an opening that never happened."""
    log, perhaps = ExitLog(), structs.replace(ours(0), sent_at=None, turn=0, code=Code.NOT_OBSERVED)
    log.note(OUT, Turn("by hand", 0, at(1), at(61), None))
    assert not log.others(OUT, perhaps)
    assert log.others(OUT, structs.replace(perhaps, code=Code.DEVICE_UNAVAILABLE))  # it was no opening for this stay
    log.note(OUT, turn(1, acted=True))
    seen = among_others(Proof(1, Finding.OURS, (SEEN,)), log.others(OUT, perhaps))
    assert seen.finding is Finding.UNKNOWN
    closed = Proof(1, Finding.NOT_ACTED, ())
    assert among_others(closed, log.others(OUT, perhaps)) == closed


def test_the_log_of_an_exit_tells_what_others_did_there_since():
    log = ExitLog()
    log.note(OUT, turn(1, None))
    log.note(OUT, turn(3, None))
    assert log.others(OUT, ours(2)).unknown
    log.note(OUT, turn(3, acted=True))
    log.note(OUT, turn(4, acted=False))
    assert log.others(OUT, ours(2)) == Others(1, unknown=False, open=True)
    assert not log.others((2, "OUT"), ours(2))


def test_turns_are_ordered_by_their_numbers_and_never_by_the_clock():
    """Found by exploring every interleaving: two turns within one tick of the clock."""
    log = ExitLog()
    log.note(OUT, Turn("before", 1, at(2), at(2), acted=True))
    assert log.others(OUT, ours(2)).done == 0
    log.note(OUT, Turn("after", 3, at(2), at(2), acted=True))
    assert log.others(OUT, ours(2)).done == 1
    assert log.next() == 4


def test_an_order_before_ours_counts_while_nobody_knows_when_it_acted():
    """Found by the simulation: a late pulse for the car before moved the counter after ours had been read."""
    log = ExitLog()
    log.note(OUT, turn(1, None))
    assert log.crowded(OUT, "DK-1-99", at(2))
    assert not log.crowded(OUT, "DK-1-99", at(61))
    assert not log.crowded(OUT, "turn-1", at(2))  # repeated only once proven not to have acted
    assert log.others(OUT, ours(2, crowded=True)).unknown
    assert not log.others(OUT, ours(70))


def test_orders_by_hand_of_a_former_run_make_a_doubt_unprovable():
    log = ExitLog()
    log.note(OUT, Turn("hand", 0, at(0), at(60), None))
    assert log.others(OUT, ours(30)).unknown
    assert not log.others(OUT, ours(130))


def test_an_order_by_hand_keeps_its_turn_when_its_end_is_heard():
    log = ExitLog()
    log.by_hand(OUT, Turn("hand", 0, at(3), at(63), None))
    log.note(OUT, turn(2, acted=True))
    log.by_hand(OUT, Turn("hand", 0, at(3), at(4), acted=True))
    assert log.others(OUT, ours(0)).done == 2


def test_a_doubt_older_than_all_that_is_remembered_is_not_judged_by_the_exit():
    log = ExitLog()
    for number in range(1, KEPT + 1):
        log.note(OUT, turn(number, acted=True, ends=number))
    assert log.others(OUT, ours(0)).unknown
    assert not log.others(OUT, ours(1)).unknown
