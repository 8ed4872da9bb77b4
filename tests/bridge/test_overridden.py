"""A person opens by hand for a stay with a phone payment: one release, and the money ends (never an orphan)."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from bridge import events, overrides, relay
from bridge.case import Case, Step
from bridge.events import (
    Act,
    Finding,
    Finished,
    Go,
    Halt,
    Intending,
    Left,
    NothingSent,
    Overridden,
    Proof,
    Scene,
    Start,
)
from drivers.base import Applied, Refused, Retry, Uncertain
from drivers.profile import Policy, WhenDown
from parking.commands import Command, Verb
from parking.desk import CasePhase, CommandState, CommandView
from parking.errors import Code
from parking.outcome import Evidence, EvidenceKind, Level
from parking.reports import Claim, Whose
from parking.stay import LotId, NameKind, StayRef

NOW = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)
STAY = StayRef(NameKind.BAY, "7", NOW - timedelta(hours=1))
SEEN = Evidence(EvidenceKind.OBSERVED, "plate 7 down")
LET = Overridden("Sato", "malfunction")
BACK = Overridden("Sato", "paid cash", give_back=True)


def scene(*steps: Step, retry: Retry = Retry.NEVER) -> Scene:
    return Scene(steps or (Step.RELEASE,), Level.LEGACY_CONFIRMED, Level.PHYSICALLY_OBSERVED, retry, retry, 20.0, 1.0)


PLATE = scene()
GATE = scene(Step.SETTLE, Step.RELEASE)


def fresh() -> Case:
    return Case(
        lot=LotId(1001),
        number=1,
        reference="DK-1001-1",
        stay=STAY,
        exit="",
        amount=600,
        paid_at=NOW,
        valid_until=NOW + timedelta(minutes=20),
        since=NOW,
    )


def walk(on: Scene, *heard: events.Event, case: Case | None = None) -> relay.Decision:
    at, effects = case or fresh(), ()
    for event in heard:
        at, effects = relay.step(at, event, NOW, on)
    return at, effects


def intending(attempt: int = 1) -> Intending:
    return Intending(attempt, b"\x01\x05", 41)


def by_person(case: Case) -> bool:
    return any(proof.kind is EvidenceKind.PERSON and "Sato" in proof.text for proof in case.evidence)


# --- one release ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("before", [(), (Start(),), (Start(), NothingSent(1, Code.PORT_BUSY, "busy"))])
def test_before_anything_was_sent_the_opening_settles_and_the_device_is_not_told_again(before: tuple) -> None:
    case, effects = walk(PLATE, *before, LET)
    assert (case.phase, effects) == (CasePhase.SETTLED, ())
    assert by_person(case)
    after, said = walk(PLATE, intending(), case=case)
    assert (after.phase, said) == (CasePhase.SETTLED, (Halt(1),))


@pytest.mark.parametrize(
    "outcome",
    [
        Applied(Level.PHYSICALLY_OBSERVED, (SEEN,)),
        Applied(Level.SENT, ()),
        Uncertain("no reply"),
        Refused(Code.STAY_CHANGED, "no car"),
        Refused(Code.DEVICE_REFUSED, "plate is down already"),
    ],
)
def test_an_order_under_way_ends_settled_whatever_the_device_says(outcome: object) -> None:
    case, effects = walk(PLATE, Start(), intending(), LET, Finished(1, outcome))
    assert (case.phase, effects) == (CasePhase.SETTLED, ())


def test_what_turns_out_never_sent_is_not_sent_after_the_opening() -> None:
    never = NothingSent(1, Code.PORT_MISSING, "gone before the first byte")
    case, effects = walk(PLATE, Start(), intending(), LET, never)
    assert (case.phase, effects) == (CasePhase.SETTLED, ())
    case, effects = walk(PLATE, Start(), intending(), BACK, never)
    assert (case.phase, case.code, effects) == (CasePhase.REFUSED, Code.OVERRIDDEN, ())
    case, _ = walk(GATE, Start(), intending(), LET, never)
    assert (case.phase, case.step) == (CasePhase.RECEIVED, Step.SETTLE)  # the booking is still to be made


def test_an_opening_that_was_not_confirmed_stops_the_release_until_the_exit_was_looked_at() -> None:
    perhaps = Overridden("Sato", "malfunction", confirmed=False)
    case, _ = walk(PLATE, Start(), perhaps)
    assert (case.phase, case.code) == (CasePhase.IN_DOUBT, Code.NOT_OBSERVED)
    assert walk(PLATE, intending(), case=case)[1] == (Halt(1),)
    assert walk(PLATE, Proof(1, Finding.OURS, (SEEN,)), case=case)[0].phase is CasePhase.SETTLED
    assert walk(PLATE, Left("gone"), case=case)[0].phase is CasePhase.SETTLED
    again, effects = walk(PLATE, Proof(1, Finding.NOT_ACTED, ()), case=case)
    assert isinstance(effects[0], Act)
    assert (again.phase, again.attempt) == (CasePhase.CHECKING, 2)
    assert walk(PLATE, Finished(1, Refused(Code.STAY_UNKNOWN, "no car")), case=case) == (case, ())


def test_an_opening_that_was_not_confirmed_changes_nothing_else() -> None:
    perhaps = Overridden("Sato", "malfunction", confirmed=False)
    for before in ((Start(), intending()), (Start(), intending(), Finished(1, Uncertain("?")))):
        case, _ = walk(PLATE, *before)
        assert walk(PLATE, perhaps, case=case) == (case, ())
    case, _ = walk(GATE, Start())
    assert walk(GATE, perhaps, case=case) == (case, ())
    refused, _ = walk(PLATE, Start(), Overridden("Sato", "paid cash", give_back=True, confirmed=False))
    assert (refused.phase, refused.code) == (CasePhase.REFUSED, Code.OVERRIDDEN)


def test_who_gives_back_once_has_given_back() -> None:
    case, _ = walk(PLATE, Start(), intending(), BACK, LET)
    assert case.given_back


@pytest.mark.parametrize("retry", list(Retry))
def test_a_booking_that_is_proven_undone_after_the_opening_ends_with_it_named(retry: Retry) -> None:
    on = scene(Step.SETTLE, Step.RELEASE, retry=retry)
    case, _ = walk(on, Start(), intending(), Finished(1, Uncertain("no reply")), LET)
    late = NOW + timedelta(hours=1)
    case, effects = relay.step(case, Proof(1, Finding.NOT_ACTED, ()), late, on)
    assert (case.phase, effects) == (CasePhase.SETTLED, ())
    assert by_person(case)
    assert any("expired" in proof.text for proof in case.evidence)


def test_a_doubt_about_a_release_is_ended_by_the_opening() -> None:
    case, _ = walk(PLATE, Start(), intending(), Finished(1, Uncertain("no reply")), LET)
    assert case.phase is CasePhase.SETTLED
    assert by_person(case)


def test_the_legacy_still_books_but_nothing_is_released_twice() -> None:
    booked = Applied(Level.LEGACY_CONFIRMED, (Evidence(EvidenceKind.RECEIPT, "R-1"),))
    case, effects = walk(GATE, Start(), LET)
    assert (case.phase, case.step) == (CasePhase.CHECKING, Step.SETTLE)
    case, effects = walk(GATE, intending(), case=case)
    assert effects == (Go(1),)
    case, effects = walk(GATE, Finished(1, booked), case=case)
    assert (case.phase, effects, case.booked) == (CasePhase.SETTLED, (), True)
    assert {proof.kind for proof in case.evidence} == {EvidenceKind.RECEIPT, EvidenceKind.PERSON}


def test_a_doubt_about_the_booking_waits_for_the_witness() -> None:
    case, _ = walk(GATE, Start(), intending(), Finished(1, Uncertain("no reply")), LET)
    assert case.phase is CasePhase.IN_DOUBT
    ours = Proof(1, Finding.OURS, (Evidence(EvidenceKind.WITNESS, "paid by DK-1001-1"),))
    assert walk(GATE, ours, case=case)[0].phase is CasePhase.SETTLED
    cash = Proof(1, Finding.OTHERS, (Evidence(EvidenceKind.WITNESS, "cash"),), "cash")
    assert walk(GATE, cash, case=case)[0].phase is CasePhase.REFUSED
    again, effects = walk(scene(*GATE.steps, retry=Retry.QUERY_FIRST), Proof(1, Finding.NOT_ACTED, ()), case=case)
    assert isinstance(effects[0], Act)
    assert again.step is Step.SETTLE


def test_cash_that_came_first_still_refuses_the_phone_payment() -> None:
    case, _ = walk(GATE, Start(), LET, Finished(1, Refused(Code.ALREADY_PAID, "cash")))
    assert (case.phase, case.code) == (CasePhase.REFUSED, Code.ALREADY_PAID)


def test_a_booking_that_proves_impossible_does_not_let_a_paid_car_go_unpaid() -> None:
    case, _ = walk(GATE, Start(), LET, Finished(1, Refused(Code.STAY_UNKNOWN, "ticket is closed")))
    assert case.phase is CasePhase.SETTLED
    assert any("stay-unknown" in proof.text for proof in case.evidence)


# --- giving back ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("on", [PLATE, GATE], ids=["plate", "gate"])
@pytest.mark.parametrize(
    "before", [(Start(),), (Start(), intending(), Finished(1, Uncertain("no reply")))], ids=["checking", "in doubt"]
)
def test_what_a_person_gives_back_is_refused_by_their_word(on: Scene, before: tuple) -> None:
    case, _ = walk(on, *before, BACK)
    assert (case.phase, case.code, case.by) == (CasePhase.REFUSED, Code.OVERRIDDEN, "Sato")


def test_what_the_machine_does_meanwhile_is_settled_and_left_to_a_refund() -> None:
    case, _ = walk(PLATE, Start(), intending(), BACK)
    assert case.phase is CasePhase.SENDING
    done, _ = walk(PLATE, Finished(1, Applied(Level.PHYSICALLY_OBSERVED, (SEEN,))), case=case)
    assert (done.phase, done.given_back) == (CasePhase.SETTLED, True)
    undone, _ = walk(PLATE, Finished(1, Uncertain("no reply")), case=case)
    assert (undone.phase, undone.code) == (CasePhase.REFUSED, Code.OVERRIDDEN)


def test_an_ended_case_stays_as_it_is() -> None:
    case, _ = walk(PLATE, Start(), Finished(1, Refused(Code.ALREADY_PAID, "cash")))
    assert walk(PLATE, LET, case=case) == (case, ())


heard = st.sampled_from(
    [
        Start(),
        intending(1),
        intending(2),
        NothingSent(1, Code.PORT_BUSY, "busy"),
        Finished(1, Applied(Level.PHYSICALLY_OBSERVED, (SEEN,))),
        Finished(1, Uncertain("no reply")),
        Finished(1, Refused(Code.DEVICE_REFUSED, "no")),
        Proof(1, Finding.NOT_ACTED, ()),
        Proof(1, Finding.UNKNOWN, ()),
        LET,
        BACK,
    ]
)


@given(st.lists(heard, max_size=9), st.sampled_from([PLATE, GATE, scene(retry=Retry.QUERY_FIRST)]))
def test_after_an_opening_no_release_is_begun(rows: list[events.Event], on: Scene) -> None:
    case, let_out = fresh(), False
    for event in rows:
        case, effects = relay.step(case, event, NOW, on)
        if let_out and on is PLATE:
            assert not any(isinstance(effect, Go) for effect in effects)
        if let_out and case.phase is CasePhase.REFUSED and not case.given_back:
            assert case.code in (Code.ALREADY_PAID, Code.CONFLICT)
        let_out = let_out or (isinstance(event, Overridden) and bool(case.let_out))


# --- for whom it was ------------------------------------------------------------------------------------------------


def order(**more: object) -> Command:
    row = {"command_id": "c", "lot": 1001, "verb": Verb.RELEASE, "actor": "Sato", "reason": "r", "exit": "7"} | more
    return Command(**row)


def view(state: CommandState) -> CommandView:
    return CommandView(command_id="c", verb="release", state=state, at=NOW, actor="Sato")


@pytest.mark.parametrize(
    "more",
    [
        {"whose": Whose.STAY},
        {"whose": Whose.NOBODY, "give_back": True},
        {"whose": Whose.LATER, "claim": 500},
        {"verb": Verb.ASSIGN, "whose": Whose.LATER, "override": "x"},
        {"verb": Verb.ASSIGN, "whose": Whose.NOBODY},
        {"verb": Verb.HOLD_OPEN, "whose": Whose.STAY, "stay": STAY, "claim": 500},
    ],
)
def test_an_order_that_contradicts_itself_is_not_taken_on(more: dict[str, object]) -> None:
    refused = overrides.refusal(order(**more))
    assert refused is not None
    assert refused.code == Code.BAD_MESSAGE


def test_an_opening_for_nobody_needs_words_of_its_own() -> None:
    for verb, more in ((Verb.RELEASE, {}), (Verb.ASSIGN, {"override": "x"})):
        bare = overrides.refusal(order(verb=verb, whose=Whose.NOBODY, reason="other", **more))
        assert bare is not None
        assert bare.code == Code.BAD_MESSAGE
        assert overrides.refusal(order(verb=verb, whose=Whose.NOBODY, reason="other: fire drill", **more)) is None
    assert overrides.refusal(order(whose=Whose.NOBODY, reason="emergency", emergency=True)) is None


def test_an_order_is_about_the_payment_that_is_still_open() -> None:
    settled = replace(fresh(), number=2, phase=CasePhase.SETTLED)
    named = order(whose=Whose.STAY, stay=STAY)
    assert overrides.payment_of(named, [fresh(), settled]) == fresh()
    assert overrides.payment_of(named, [settled]) == settled
    assert overrides.payment_of(named, [replace(settled, phase=CasePhase.REFUSED)]) is None


def test_only_what_was_opened_and_not_named_waits_to_be_matched() -> None:
    named = order(whose=Whose.STAY, stay=STAY)
    assert overrides.orphan(order(whose=Whose.LATER), view(CommandState.CONFIRMED)) is not None
    assert overrides.orphan(named, view(CommandState.NOT_CONFIRMED)) is not None
    assert overrides.orphan(named, view(CommandState.CONFIRMED)) is None
    assert overrides.orphan(order(whose=Whose.NOBODY), view(CommandState.CONFIRMED)) is None
    assert overrides.orphan(order(whose=Whose.LATER), view(CommandState.REFUSED)) is None
    assert overrides.orphan(order(verb=Verb.END_HOLD), view(CommandState.CONFIRMED)) is None


def test_a_refused_opening_carries_neither_refund_nor_claim_to_the_cloud() -> None:
    claim = Claim(claim_id="A" * 26, amount=500, until=NOW)
    command = order(whose=Whose.STAY, stay=STAY, give_back=True, claim=500)
    refused = overrides.report(command, view(CommandState.REFUSED), 1, claim)
    assert (refused.give_back, refused.claim) == (False, None)
    told = overrides.report(command, view(CommandState.CONFIRMED), 1, claim)
    assert (told.give_back, told.claim) == (True, claim)


def test_claims_need_the_policy_and_end_with_the_budget_of_the_day() -> None:
    policy = Policy(when_down=WhenDown.CLAIM, loss_budget=1000)
    assert overrides.claim_refusal(policy, 400, 600) is None
    over = overrides.claim_refusal(policy, 401, 600)
    assert over is not None
    assert over.code == Code.BUDGET
    never = overrides.claim_refusal(Policy(), 1, 0)
    assert never is not None
    assert never.code == Code.CLAIM_POLICY
