"""The core commits before it acts, keeps what devices said, and lets one bad message harm no other (P3, P4, P7, P9)."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace as with_fields
from datetime import timedelta
from pathlib import Path

import pytest

from bridge import events
from bridge.case import Opening, Stated, Step
from bridge.journal import Transaction
from bridge.messages import ForCase, Incoming, Reply, Write
from drivers.base import Applied, Retry, Uncertain
from parking import completion as completions
from parking.desk import CasePhase
from parking.errors import Code, Environment, NotSent
from parking.outcome import EvidenceKind, Level
from parking.reports import OverrideMatched, Received, Redeemed, Refused, Settled, Way
from parking.signing import KeyRing, from_text, to_text
from parking.stay import LotId
from parking.wire import Entry
from tests.rigs.core_stage import FORGER, KEY, LOT, SEEN, Stage, clock, entry, settle, staged


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


@pytest.fixture
def stage(path: Path) -> Iterator[Stage]:
    with staged(path) as made:
        yield made


def test_received_is_durable_when_accept_returns(stage: Stage) -> None:
    stage.core.accept(LOT, [entry(1)], 5)
    assert stage.phase(1) is CasePhase.CHECKING
    assert stage.journal.cursor(LOT) == 1
    assert isinstance(stage.reports()[0], Received)


def test_the_intent_is_in_the_journal_before_the_driver_may_write(stage: Stage) -> None:
    stage.core.accept(LOT, [entry(1)], 5)
    case = stage.next(events.Act)
    stage.core.intend(case.key, case.attempt, b"\x01\x05\x00", 41)
    kept = stage.journal.case(LOT, 1)
    assert kept is not None
    assert (kept.phase, kept.intent, kept.counter) == (CasePhase.SENDING, b"\x01\x05\x00", 41)


def test_a_settled_completion_is_reported_with_its_evidence(stage: Stage) -> None:
    stage.core.accept(LOT, [entry(1)], 5)
    settle(stage, stage.next(events.Act))
    assert stage.phase(1) is CasePhase.SETTLED
    last = stage.reports()[-1]
    assert isinstance(last, Settled)
    assert last.evidence == (SEEN,)


def test_the_same_completion_again_acts_once(stage: Stage) -> None:
    same = entry(1)
    stage.core.accept(LOT, [same, same], 5)
    stage.core.accept(LOT, [same], 5)
    settle(stage, stage.next(events.Act))
    stage.core.accept(LOT, [same], 5)
    assert stage.effects.empty()
    assert [type(report) for report in stage.reports()] == [Received, Settled]


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (lambda: entry(1, key=FORGER), Code.BAD_SIGNATURE),
        (lambda: entry(1, lot=LotId(1002)), Code.WRONG_LOT),
        (lambda: entry(2, at=1), Code.WRONG_LOT),
        (lambda: Entry(number=1, completion="%%%"), Code.BAD_MESSAGE),
        (lambda: Entry(number=1, completion="AAAA"), Code.BAD_COMPLETION),
    ],
)
def test_what_does_not_verify_opens_nothing_and_blocks_nobody(
    stage: Stage, bad: Callable[[], Entry], code: Code
) -> None:
    stage.core.accept(LOT, [bad(), entry(2, bay="8")], 5)
    assert stage.next(events.Act).number == 2
    assert stage.effects.empty()
    refused = stage.reports()[0]
    assert isinstance(refused, Refused)
    assert (refused.number, refused.code) == (1, code)
    assert stage.journal.cursor(LOT) == 2


def test_a_second_payment_for_the_same_stay_waits_for_no_one_and_is_refused(stage: Stage) -> None:
    first, second = entry(1), entry(2)
    stage.core.accept(LOT, [first], 5)
    stage.next(events.Act)
    stage.core.accept(LOT, [second], 5)
    assert stage.phase(2) is CasePhase.REFUSED
    assert stage.phase(1) is CasePhase.CHECKING


def test_a_later_payment_for_the_same_stay_is_taken_once_the_first_is_over(stage: Stage) -> None:
    stage.core.accept(LOT, [entry(1)], 5)
    settle(stage, stage.next(events.Act))
    assert stage.core._book._by_place == {}
    stage.core.accept(LOT, [entry(2)], 5)
    assert stage.next(events.Act).number == 2


def test_two_payments_for_one_stay_in_one_batch_act_once(stage: Stage) -> None:
    stage.core.accept(LOT, [entry(1), entry(2)], 5)
    assert stage.next(events.Act).number == 1
    assert stage.phase(2) is CasePhase.REFUSED
    assert stage.effects.empty()


def test_a_payment_that_comes_late_is_refused_while_a_later_one_of_its_stay_is_told_again(stage: Stage) -> None:
    stage.scene = with_fields(stage.scene, steps=(Step.SETTLE,), settle_retry=Retry.SAME_SEQUENCE)
    stage.core.accept(LOT, [entry(2)], 5)
    case = stage.next(events.Act)
    stage.core.intend(case.key, case.attempt, b"\x01", None)
    stage.core.put(ForCase(case.key, events.Finished(case.attempt, Uncertain("no reply"))))
    looked = stage.next(events.Look)
    stage.core.put(ForCase(case.key, events.Proof(looked.attempt, events.Finding.UNKNOWN, ())))
    again = stage.next(events.Act)
    stage.core.put(ForCase(case.key, events.NothingSent(again.attempt, Code.LINK_DOWN, "")))
    stage.flush()
    assert stage.phase(2) is CasePhase.RECEIVED
    stage.core.accept(LOT, [entry(1)], 5)
    assert stage.phase(1) is CasePhase.REFUSED


def test_a_payment_that_comes_late_is_refused_while_a_later_one_of_its_stay_is_booked(stage: Stage) -> None:
    stage.scene = with_fields(stage.scene, steps=(Step.SETTLE, Step.RELEASE))
    stage.core.accept(LOT, [entry(2)], 5)
    settle(stage, stage.next(events.Act))
    assert stage.phase(2) is CasePhase.CHECKING
    stage.core.accept(LOT, [entry(1)], 5)
    assert stage.phase(1) is CasePhase.REFUSED


def test_what_a_shared_gate_did_for_another_car_proves_nothing_for_this_one(stage: Stage) -> None:
    stage.scene = with_fields(stage.scene, exit="OUT", release_retry=Retry.QUERY_FIRST)
    stage.core.accept(LOT, [entry(1)], 5)
    lost = stage.next(events.Act)
    stage.core.intend(lost.key, lost.attempt, b"\x01\x05", None)
    stage.core.put(ForCase(lost.key, events.Finished(lost.attempt, Uncertain("no reply"))))
    stage.next(events.Look)
    stage.core.accept(LOT, [entry(2, bay="8")], 5)
    settle(stage, stage.next(events.Act))
    stage.core.put(ForCase(lost.key, events.Proof(lost.attempt, events.Finding.OURS, (SEEN,))))
    stage.flush()
    assert (stage.phase(1), stage.phase(2)) == (CasePhase.IN_DOUBT, CasePhase.SETTLED)


def test_after_a_crash_doubts_are_looked_into_before_recovery_is_over(path: Path) -> None:
    with staged(path) as before:
        before.core.accept(LOT, [entry(1), entry(2, bay="8")], 5)
        case = before.next(events.Act)
        before.core.intend(case.key, case.attempt, b"\x01\x05", None)
    with staged(path) as after:
        assert not after.core.wait_recovered(0.2)
        seen = {}
        for _ in range(2):
            case, effect = after.effects.get(timeout=5)
            seen[case.number] = (effect, case)
        assert isinstance(seen[1][0], events.Look)
        assert isinstance(seen[2][0], events.Act)
        doubt = seen[1][1]
        after.core.put(ForCase(doubt.key, events.Proof(doubt.attempt, events.Finding.OURS, (SEEN,))))
        assert after.core.wait_recovered(5)
        after.flush()
        assert after.phase(1) is CasePhase.SETTLED


def test_a_driver_waiting_for_go_is_halted_when_the_journal_fails(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.core.accept(LOT, [entry(1)], 5)
    case = stage.next(events.Act)
    broken(stage, monkeypatch)
    with pytest.raises(NotSent):
        stage.core.intend(case.key, case.attempt, b"\x01\x05", None)
    monkeypatch.undo()
    assert stage.phase(1) is CasePhase.CHECKING


def test_nothing_is_acknowledged_when_the_journal_fails(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    broken(stage, monkeypatch)
    with pytest.raises(Environment):
        stage.core.accept(LOT, [entry(1)], 5)
    monkeypatch.undo()
    stage.core.accept(LOT, [entry(1)], 5)
    assert stage.next(events.Act).number == 1


def test_no_port_hears_of_anything_that_is_not_committed(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The commit itself fails: decided, undone, and nobody was told."""
    whole = stage.journal.transaction

    @contextmanager
    def undone() -> Iterator[Transaction]:
        with whole() as tx:
            yield tx
            raise Environment(Code.JOURNAL, "database is locked", "wait")

    monkeypatch.setattr(stage.journal, "transaction", undone)
    with pytest.raises(Environment):
        stage.core.accept(LOT, [entry(1)], 5)
    monkeypatch.undo()
    stage.flush()
    assert stage.effects.empty()
    assert stage.phase(1) is None


def test_what_a_device_did_is_kept_until_the_journal_works_again(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.core.accept(LOT, [entry(1)], 5)
    case = stage.next(events.Act)
    stage.core.intend(case.key, case.attempt, b"\x01\x05", None)
    failed = broken(stage, monkeypatch)
    stage.core.put(ForCase(case.key, events.Finished(case.attempt, Uncertain("no reply"))))
    assert failed.wait(5)
    monkeypatch.undo()
    stage.next(events.Look)
    assert stage.phase(1) is CasePhase.IN_DOUBT


def broken(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """A disk that is full: every commit fails until undone."""
    failed = threading.Event()

    @contextmanager
    def full() -> Iterator[None]:
        failed.set()
        raise Environment(Code.DISK, "database or disk is full", "free disk space")
        yield

    monkeypatch.setattr(stage.journal, "transaction", full)
    return failed


def test_one_bad_message_harms_no_other_of_its_batch(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    busy, goes_on, reply = threading.Event(), threading.Event(), Reply()

    def keep_busy() -> None:
        busy.set()
        assert goes_on.wait(10)

    def bug(tx: object) -> None:
        raise RuntimeError("a defect")

    stage.core.put(Write(lambda tx: None, after=keep_busy))
    assert busy.wait(10)
    stage.core.put(Write(bug))  # these two wait together, and so become one batch
    stage.core.put(Incoming(LOT, [entry(1)], reply))
    goes_on.set()
    reply.wait(10)
    assert stage.phase(1) is CasePhase.CHECKING
    assert "a defect" in caplog.text


def test_an_intent_for_a_case_that_is_over_is_halted(stage: Stage) -> None:
    stage.core.accept(LOT, [entry(1)], 5)
    case = stage.next(events.Act)
    settle(stage, case)
    with pytest.raises(NotSent):
        stage.core.intend(case.key, case.attempt, b"\x01\x05", None)


# --- codes from phones ------------------------------------------------------------------------------------------------


def stated(number: int, of: Entry | None = None, amount: int = 600) -> Stated:
    told = completions.verify(from_text((of or entry(number)).completion), KeyRing({1: KEY.public_bytes}))
    return Stated(LOT, number, told.stay, amount, told.paid_at.replace(second=0), told.valid_until, "")


def test_a_typed_code_acts_once_and_its_completion_later_by_the_feed_is_a_no_op(stage: Stage) -> None:
    later = entry(1)
    stage.core.accept_code(stated(1, later), "Sato", 5)
    settle(stage, stage.next(events.Act))
    stage.core.accept(LOT, [later], 5)
    stage.core.accept(LOT, [later], 5, Way.QR, "Sato")
    assert stage.phase(1) is CasePhase.SETTLED
    assert stage.effects.empty()
    assert [type(report) for report in stage.reports()] == [Redeemed, Settled]
    redeemed, settled = stage.reports()
    assert (redeemed.way, redeemed.actor) == (Way.CODE, "Sato")
    assert settled.by == "relay"


def test_a_scanned_completion_before_its_turn_leaves_no_gap_behind(stage: Stage) -> None:
    first, second = entry(1, bay="8"), entry(2)
    stage.core.accept(LOT, [second], 5, Way.QR, "Sato")
    assert stage.next(events.Act).number == 2
    assert stage.journal.cursor(LOT) == 0
    stage.core.accept(LOT, [first, second], 5)
    assert stage.next(events.Act).number == 1
    assert stage.journal.cursor(LOT) == 2
    assert stage.effects.empty()
    assert [type(report) for report in stage.reports()] == [Redeemed, Received]


def test_a_code_that_said_something_else_than_what_was_signed_is_kept_aside_and_told(stage: Stage) -> None:
    signed = entry(1, bay="8")
    stage.core.accept_code(stated(1), "Sato", 5)
    stage.next(events.Act)
    for _ in range(2):
        stage.core.accept(LOT, [signed], 5)
    refused = [report for report in stage.reports() if isinstance(report, Refused)]
    assert [(report.number, report.code) for report in refused] == [(1, Code.CONTRADICTION)]
    assert stage.effects.empty()


def test_codes_and_completions_for_a_known_number_do_nothing(stage: Stage) -> None:
    stage.core.accept(LOT, [entry(1)], 5)
    stage.next(events.Act)
    stage.core.accept_code(stated(1), "Sato", 5)
    assert stage.effects.empty()
    assert [type(report) for report in stage.reports()] == [Received]


def test_a_forged_code_opens_nothing_and_does_not_use_up_the_number_of_a_real_payment(stage: Stage) -> None:
    stage.core.accept(LOT, [entry(1, key=FORGER)], 5, Way.QR, "Sato")
    assert stage.effects.empty()
    assert stage.reports() == []
    stage.core.accept(LOT, [entry(1)], 5)
    assert stage.next(events.Act).number == 1


def test_money_given_back_after_the_machine_acted_is_told_for_a_refund(stage: Stage) -> None:
    stage.core.accept(LOT, [entry(1)], 5)
    case = stage.next(events.Act)
    stage.core.intend(case.key, case.attempt, b"\x01\x05", 41)
    stage.core.put(ForCase(case.key, events.Overridden("Sato", "paid cash", give_back=True)))
    stage.core.put(ForCase(case.key, events.Finished(case.attempt, Applied(Level.PHYSICALLY_OBSERVED, (SEEN,)))))
    stage.flush()
    *_, matched = stage.reports()
    assert isinstance(matched, OverrideMatched)
    assert (matched.number, matched.give_back, matched.actor) == (1, True, "Sato")


# --- opened by hand before the payment was heard of -------------------------------------------------------------------


def opened(after: Entry, *, seconds: float = 1, give_back: bool = False, name: str = "hand-1") -> Opening:
    """What a person opened, so many seconds after this completion was paid."""
    paid = completions.verify(from_text(after.completion), KeyRing({1: KEY.public_bytes}))
    return Opening(
        command_id=name,
        lot=LOT,
        stay=paid.stay,
        actor="Sato",
        reason="line down",
        at=paid.paid_at + timedelta(seconds=seconds),
        give_back=give_back,
    )


def test_a_payment_that_arrives_after_a_person_let_its_car_out_releases_nothing_and_ends(stage: Stage) -> None:
    paid = entry(1)
    stage.core.write(lambda tx: tx.put_opening(opened(paid)), 5)
    stage.core.accept(LOT, [paid], 5)
    received, settled = stage.reports()
    assert isinstance(received, Received)
    assert isinstance(settled, Settled)
    assert (settled.by, settled.evidence[0].kind) == ("Sato", EvidenceKind.PERSON)
    assert stage.effects.empty()


def test_one_opening_ends_one_payment_and_a_second_one_for_the_stay_is_refused(stage: Stage) -> None:
    first = entry(1)
    paid = completions.verify(from_text(first.completion), KeyRing({1: KEY.public_bytes}))
    again = Entry(number=2, completion=to_text(completions.sign(with_fields(paid, number=2), KEY)))
    stage.core.write(lambda tx: tx.put_opening(opened(first)), 5)
    stage.core.accept(LOT, [first], 5)
    stage.core.accept(LOT, [again], 5)
    assert (stage.phase(1), stage.phase(2)) == (CasePhase.SETTLED, CasePhase.REFUSED)
    assert [one.code for one in stage.reports() if isinstance(one, Refused)] == [Code.CONFLICT]


def test_a_payment_that_was_made_after_the_opening_is_carried_out_as_ever(stage: Stage) -> None:
    paid = entry(1)
    stage.core.write(lambda tx: tx.put_opening(opened(paid, seconds=-1)), 5)
    stage.core.accept(LOT, [paid], 5)
    assert stage.next(events.Act).number == 1


def test_a_payment_that_was_given_back_before_it_arrived_is_refused(stage: Stage) -> None:
    paid = entry(1)
    stage.core.write(lambda tx: tx.put_opening(opened(paid, give_back=True)), 5)
    stage.core.accept(LOT, [paid], 5)
    assert stage.effects.empty()
    assert [one.code for one in stage.reports() if isinstance(one, Refused)] == [Code.OVERRIDDEN]


def test_an_opening_whose_payment_was_not_told_before_a_crash_is_heard_at_the_next_start(path: Path) -> None:
    paid = entry(1)
    with staged(path) as stage:
        stage.core.accept(LOT, [paid], 5)
        stage.next(events.Act)
        stage.core.write(lambda tx: tx.put_opening(opened(paid)), 5)
    with staged(path) as stage:
        stage.flush()
        assert stage.phase(1) is CasePhase.SETTLED
        assert stage.effects.empty()


def test_an_opening_for_an_open_payment_is_used_up_by_it(stage: Stage) -> None:
    paid = entry(1)
    stage.core.accept(LOT, [paid], 5)
    stage.core.write(lambda tx: tx.put_opening(opened(paid)), 5)
    stage.core.put(ForCase((LOT, 1), events.Overridden("Sato", "line down")))
    stage.flush()
    stay = opened(paid).stay
    assert [one.number for one in stage.journal.openings(LOT, stay, clock() - timedelta(hours=2))] == [1]
