"""The relay's rules, one by one (promises P2, P5, P6 and the money rules of a booked case)."""

import dataclasses
from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from bridge import events, relay
from bridge.case import Case, Step
from bridge.events import (
    Act,
    Decided,
    Due,
    Finding,
    Finished,
    Go,
    Halt,
    Intending,
    Left,
    Look,
    NothingSent,
    Proof,
    Scene,
    Start,
)
from bridge.views import case_report, case_view
from drivers.base import Applied, Refused, Retry, Uncertain
from parking.commands import Verdict
from parking.desk import CasePhase
from parking.errors import Code
from parking.money import Yen
from parking.outcome import Evidence, EvidenceKind, Level
from parking.reports import Refused as RefusedReport
from parking.reports import Settled
from parking.stay import LotId, NameKind, StayRef

NOW = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
ECHO = Evidence(EvidenceKind.ECHO, "echo")
SEEN = Evidence(EvidenceKind.OBSERVED, "plate 7 down")


def scene(*steps: Step, retry: Retry = Retry.NEVER, rival: bool = False) -> Scene:
    return Scene(
        steps=steps or (Step.RELEASE,),
        settle_level=Level.LEGACY_CONFIRMED,
        release_level=Level.PHYSICALLY_OBSERVED,
        settle_retry=retry,
        release_retry=retry,
        give_up=20.0,
        retry=1.0,
        rival=rival,
    )


def fresh() -> Case:
    return Case(
        lot=LotId(1001),
        number=1,
        reference="DK-1001-1",
        stay=StayRef(NameKind.BAY, "7", NOW - timedelta(hours=1)),
        exit="",
        amount=600,
        paid_at=NOW,
        valid_until=NOW + timedelta(minutes=20),
        since=NOW,
    )


def walk(case: Case, *events: events.Event, on: Scene | None = None, now: datetime = NOW) -> relay.Decision:
    effects: tuple[events.Effect, ...] = ()
    for event in events:
        case, effects = relay.step(case, event, now, on or scene())
    return case, effects


def sending(on: Scene | None = None) -> Case:
    case, _ = walk(fresh(), Start(), Intending(1, b"\x01\x05", 41), on=on)
    return case


def doubtful(on: Scene | None = None) -> Case:
    case, _ = walk(sending(on), Finished(1, Uncertain("no reply")), on=on)
    return case


def test_a_new_completion_is_acted_upon_at_once() -> None:
    case, effects = walk(fresh(), Start())
    assert case.phase is CasePhase.CHECKING
    assert case.step is Step.RELEASE
    assert effects == (Act(case),)


def test_the_intent_is_part_of_the_state_before_the_driver_may_write() -> None:
    case, effects = walk(fresh(), Start(), Intending(1, b"\x01\x05", 41))
    assert (case.phase, case.intent, case.counter, case.sent) == (CasePhase.SENDING, b"\x01\x05", 41, 1)
    assert effects == (Go(1),)


def test_an_observed_release_settles_with_its_evidence() -> None:
    case, effects = walk(sending(), Finished(1, Applied(Level.PHYSICALLY_OBSERVED, (ECHO, SEEN))))
    assert case.phase is CasePhase.SETTLED
    assert case.evidence == (ECHO, SEEN)
    assert effects == ()


def test_what_the_machine_took_is_what_is_charged() -> None:
    case, _ = walk(sending(), Finished(1, Applied(Level.PHYSICALLY_OBSERVED, (ECHO, SEEN), credited=Yen(200))))
    assert (case.phase, case.charged, case_view(case).amount) == (CasePhase.SETTLED, 200, 200)
    assert isinstance(report := case_report(case, NOW), Settled)
    assert report.credited == 200


def test_a_person_who_settles_a_doubt_charges_no_more_than_the_machine_can_have_taken() -> None:
    doubt, _ = walk(sending(), Finished(1, Uncertain("the third coin is not known", credited=Yen(200))))
    case, _ = walk(doubt, Decided(Verdict.SETTLED, "Tanaka", "the station gave the ticket back"))
    assert (case.phase, case.charged) == (CasePhase.SETTLED, 200)
    assert walk(sending(), Finished(1, Applied(Level.PHYSICALLY_OBSERVED, (SEEN,))))[0].charged == case.amount


class TestAMachineThatMayTakeLess:
    on = dataclasses.replace(scene(Step.SETTLE), partial=True)

    def interrupted(self) -> Case:
        case, _ = walk(sending(self.on), Start(), on=self.on)
        assert (case.phase, case.code) == (CasePhase.IN_DOUBT, Code.INTERRUPTED)
        return case

    def test_charges_nothing_if_nobody_knows_how_much_it_took(self) -> None:
        """A bridge that died among the coins: the driver agreed to 3,000 at most, and owes what nobody can tell."""
        case, _ = walk(self.interrupted(), Decided(Verdict.SETTLED, "Tanaka", "it gave the ticket back"), on=self.on)
        assert (case.phase, case.charged) == (CasePhase.SETTLED, 0)
        assert isinstance(report := case_report(case, NOW), RefusedReport)
        assert (report.code, report.by) == (Code.NOT_OBSERVED, "Tanaka")

    def test_charges_all_of_it_if_its_witness_says_that_all_was_taken(self) -> None:
        case, _ = walk(self.interrupted(), Proof(1, Finding.OURS, (SEEN,)), on=self.on)
        assert isinstance(report := case_report(case, NOW), Settled)
        assert (case.charged, report.credited) == (case.amount, None)


def test_a_free_exit_is_settled_although_nothing_is_charged() -> None:
    case, _ = walk(replace(sending(), amount=0), Finished(1, Applied(Level.PHYSICALLY_OBSERVED, (SEEN,))))
    assert isinstance(case_report(case, NOW), Settled)


def test_an_echo_alone_is_not_a_release() -> None:
    case, _ = walk(sending(), Finished(1, Applied(Level.LINK_ACKED, (ECHO,))))
    assert (case.phase, case.code) == (CasePhase.IN_DOUBT, Code.NOT_OBSERVED)


def test_silence_after_the_first_byte_is_a_doubt_and_never_a_second_attempt() -> None:
    case = doubtful()
    assert (case.phase, case.due) == (CasePhase.IN_DOUBT, NOW)
    looked, effects = walk(case, Due())
    assert effects == (Look(looked),)
    for finding in (Finding.UNKNOWN, Finding.NOT_ACTED):
        after, effects = walk(looked, Proof(1, finding, (), "nothing to see"))
        assert after.phase is CasePhase.IN_DOUBT
        assert effects == ()


def test_looks_for_evidence_become_rarer_but_never_end() -> None:
    case, now, gaps = doubtful(), NOW, []
    for _ in range(12):
        assert case.due is not None
        gaps.append((case.due - now).total_seconds())
        now = case.due
        case, _ = walk(case, Due(), now=now)
    assert gaps == [0.0, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 30.0, 30.0, 30.0, 30.0, 30.0]


def test_a_look_before_its_time_changes_nothing() -> None:
    case, _ = walk(doubtful(), Due())
    assert walk(case, Due()) == (case, ())


@pytest.mark.parametrize("retry", [Retry.SAFE, Retry.QUERY_FIRST])
def test_a_proof_that_nothing_acted_lets_a_driver_that_allows_it_go_again(retry: Retry) -> None:
    on = scene(retry=retry)
    case, effects = walk(doubtful(on), Proof(1, Finding.NOT_ACTED, ()), on=on)
    assert (case.phase, case.attempt, case.intent) == (CasePhase.CHECKING, 2, b"")
    assert effects == (Act(case),)


def test_a_driver_that_says_never_is_not_told_again_whatever_seems_proven() -> None:
    on = scene(retry=Retry.NEVER)
    case, effects = walk(doubtful(on), Proof(1, Finding.NOT_ACTED, (), "it is closed"), on=on)
    assert (case.phase, case.detail, effects) == (CasePhase.IN_DOUBT, "it is closed", ())


def test_even_a_safe_driver_is_not_driven_for_ever() -> None:
    on, case = scene(retry=Retry.SAFE), fresh()
    case, effects = walk(case, Start(), on=on)
    sent = 0
    while any(isinstance(effect, Act) for effect in effects):
        assert sent < relay.MOST_SENDS
        case, _ = walk(case, Intending(case.attempt, b"x", None), on=on)
        sent += 1
        case, effects = walk(
            case, Finished(case.attempt, Uncertain("?")), Proof(case.attempt, Finding.NOT_ACTED, ()), on=on
        )
    assert sent == relay.MOST_SENDS
    assert (case.phase, case.code) == (CasePhase.REFUSED, Code.DEVICE_UNAVAILABLE)


@pytest.mark.parametrize("late", [timedelta(minutes=21), timedelta(minutes=21, days=3)])
def test_what_is_proven_undone_and_has_expired_is_voided_without_a_person(late: timedelta) -> None:
    on = scene(retry=Retry.QUERY_FIRST)
    case, effects = walk(doubtful(on), Proof(1, Finding.NOT_ACTED, ()), on=on, now=NOW + late)
    assert (case.phase, case.code, effects) == (CasePhase.REFUSED, Code.EXPIRED, ())


def test_what_a_device_knows_by_its_sequence_number_is_told_again_under_the_same_one() -> None:
    on = scene(retry=Retry.SAME_SEQUENCE)
    case, effects = walk(doubtful(on), Proof(1, Finding.UNKNOWN, ()), on=on)
    assert effects == (Act(case),)
    assert (case.attempt, case.sequence) == (2, 1)
    for attempt in range(2, relay.MOST_SENDS + 1):
        case, _ = walk(case, Intending(attempt, b"x", None), Finished(attempt, Uncertain("?")), on=on)
        assert case.sequence == 1
        case, effects = walk(case, Proof(attempt, Finding.UNKNOWN, ()), on=on)
    assert (case.phase, effects) == (CasePhase.IN_DOUBT, ())
    assert walk(case, Proof(case.attempt, Finding.OURS, (SEEN,)), on=on)[0].phase is CasePhase.SETTLED


def test_a_number_under_which_nothing_was_sent_is_not_used_again() -> None:
    on = scene(retry=Retry.SAME_SEQUENCE)
    case, _ = walk(sending(on), NothingSent(1, Code.PORT_BUSY, "busy"), Start(), Intending(2, b"x", None), on=on)
    assert (case.attempt, case.sequence) == (2, 2)


def told_again(on: Scene) -> Case:
    """Told once without an answer, and about to be told again under the same number."""
    return walk(doubtful(on), Proof(1, Finding.UNKNOWN, ()), on=on)[0]


def test_a_number_stays_while_its_repetition_waits_for_the_port() -> None:
    """Found by the simulation: without it the repetition got a number of its own, and the machine booked twice."""
    on = scene(retry=Retry.SAME_SEQUENCE)
    case, _ = walk(told_again(on), NothingSent(2, Code.PORT_BUSY, "busy"), Start(), Intending(3, b"x", None), on=on)
    assert (case.attempt, case.sequence) == (3, 1)


@pytest.mark.parametrize(
    "event", [Finished(2, Refused(Code.ALREADY_PAID, "paid")), NothingSent(2, Code.PORT_BUSY, "busy")]
)
def test_what_was_told_before_without_an_answer_is_never_refused_by_a_repetition(event: events.Event) -> None:
    """Found by the simulation: the machine was paid, the car gone, by our own first telling; the money went back."""
    on = scene(retry=Retry.SAME_SEQUENCE)
    case, _ = walk(told_again(on), event, on=on, now=NOW + timedelta(minutes=19))
    assert case.phase is CasePhase.IN_DOUBT


def test_a_port_that_hung_and_comes_back_tells_the_truth_about_its_attempt() -> None:
    hung = walk(sending(), Finished(1, Uncertain("hangs", Code.PORT_HUNG)))[0]
    done, _ = walk(hung, Finished(1, Applied(Level.PHYSICALLY_OBSERVED, (SEEN,))))
    assert (done.phase, done.evidence) == (CasePhase.SETTLED, (SEEN,))
    undone, _ = walk(hung, Finished(1, Refused(Code.DEVICE_REFUSED, "no")))
    assert undone.phase is CasePhase.REFUSED
    assert walk(hung, Finished(1, Uncertain("?"))) == (hung, ())
    assert walk(hung, Finished(0, Applied(Level.PHYSICALLY_OBSERVED, (SEEN,)))) == (hung, ())


def test_a_car_that_leaves_while_its_release_is_being_sent_proves_it_later() -> None:
    case, _ = walk(sending(), Left("the car of 7 has left"))
    assert case.phase is CasePhase.SENDING
    case, _ = walk(case, Finished(1, Uncertain("no reply")))
    assert case.phase is CasePhase.SETTLED
    assert case.evidence[-1].text == "the car of 7 has left"


def test_a_car_that_left_says_nothing_about_who_paid_but_the_witness_is_asked_at_once() -> None:
    on = scene(Step.SETTLE)
    later = NOW + timedelta(seconds=20)
    case, _ = walk(doubtful(on), Due(), on=on)
    case, effects = walk(case, Left("gone"), on=on, now=later)
    assert (case.phase, case.due, effects) == (CasePhase.IN_DOUBT, later, ())


def test_proof_that_it_was_us_settles() -> None:
    case, _ = walk(doubtful(), Proof(1, Finding.OURS, (SEEN,)))
    assert (case.phase, case.evidence) == (CasePhase.SETTLED, (SEEN,))


def test_proof_that_somebody_else_paid_refuses() -> None:
    case, _ = walk(doubtful(), Proof(1, Finding.OTHERS, (), "cash at 11:02"))
    assert (case.phase, case.code) == (CasePhase.REFUSED, Code.ALREADY_PAID)


def test_evidence_of_an_earlier_attempt_says_nothing_about_this_one() -> None:
    case = replace(doubtful(), attempt=2)
    assert walk(case, Proof(1, Finding.OURS, (SEEN,))) == (case, ())


def test_a_car_that_left_proves_the_release() -> None:
    case, _ = walk(doubtful(), Left("bay 7 is empty"))
    assert case.phase is CasePhase.SETTLED


def test_a_car_that_left_says_nothing_before_the_intent() -> None:
    case, _ = walk(fresh(), Start())
    assert walk(case, Left("bay 7 is empty")) == (case, ())


def test_a_refusal_is_final_and_nothing_was_done() -> None:
    case, effects = walk(fresh(), Start(), Finished(1, Refused(Code.ALREADY_PAID, "cash")))
    assert (case.phase, case.code, effects) == (CasePhase.REFUSED, Code.ALREADY_PAID, ())
    assert walk(case, Start()) == (case, ())


def test_nothing_sent_is_tried_again_until_give_up_and_then_refused() -> None:
    case, now = fresh(), NOW
    case, _ = walk(case, Start(), now=now)
    tries = 0
    while case.phase is CasePhase.CHECKING:
        tries += 1
        case, _ = walk(case, NothingSent(case.attempt, Code.PORT_MISSING, "no /dev/ttyUSB0"), now=now)
        if case.due is not None:
            now = case.due
            case, _ = walk(case, Due(), now=now)
    assert tries == 21
    assert (case.phase, case.code) == (CasePhase.REFUSED, Code.DEVICE_UNAVAILABLE)


def test_an_expired_completion_opens_nothing() -> None:
    late = fresh().valid_until + timedelta(seconds=1)
    case, effects = walk(fresh(), Start(), now=late)
    assert (case.phase, case.code, effects) == (CasePhase.REFUSED, Code.EXPIRED, ())


def test_a_completion_that_expires_while_checking_is_halted() -> None:
    case, _ = walk(fresh(), Start())
    case, effects = walk(case, Intending(1, b"x", None), now=fresh().valid_until + timedelta(seconds=1))
    assert (case.phase, case.code, effects) == (CasePhase.REFUSED, Code.EXPIRED, (Halt(1),))


def test_a_second_payment_for_a_stay_gives_way_to_the_first() -> None:
    case, _ = walk(fresh(), Start(), on=scene(rival=True))
    assert (case.phase, case.code) == (CasePhase.REFUSED, Code.CONFLICT)


@pytest.mark.parametrize("attempt", [0, 2])
def test_an_intent_of_another_attempt_is_halted(attempt: int) -> None:
    case, _ = walk(fresh(), Start())
    assert walk(case, Intending(attempt, b"x", None)) == (case, (Halt(attempt),))


def test_an_intent_is_halted_while_one_is_being_sent() -> None:
    case = sending()
    assert walk(case, Intending(1, b"x", None)) == (case, (Halt(1),))


def test_a_late_result_of_an_earlier_attempt_changes_nothing() -> None:
    case = replace(sending(), attempt=2)
    assert walk(case, Finished(1, Applied(Level.PHYSICALLY_OBSERVED, (SEEN,)))) == (case, ())
    assert walk(case, NothingSent(1, Code.PORT_MISSING, "")) == (case, ())


def test_after_a_crash_an_open_intent_is_in_doubt() -> None:
    case, effects = walk(sending(), Start())
    assert (case.phase, case.code, effects) == (CasePhase.IN_DOUBT, Code.INTERRUPTED, ())
    assert case.due == NOW


def test_after_a_crash_before_the_intent_it_starts_over() -> None:
    checking, _ = walk(fresh(), Start())
    case, effects = walk(checking, Start())
    assert (case.phase, case.attempt) == (CasePhase.CHECKING, 2)
    assert effects == (Act(case),)


def test_after_a_crash_a_doubt_is_looked_into_at_once() -> None:
    later = NOW + timedelta(hours=1)
    case, _ = walk(replace(doubtful(), due=NOW + timedelta(hours=2), queries=9), Start(), now=later)
    assert (case.phase, case.due, case.queries) == (CasePhase.IN_DOUBT, later, 0)


def test_a_person_settles_a_doubt_by_name_and_reason() -> None:
    case, _ = walk(doubtful(), Decided(Verdict.SETTLED, "Tanaka", "saw the car leave"))
    assert (case.phase, case.by) == (CasePhase.SETTLED, "Tanaka")
    assert case.evidence[-1].kind is EvidenceKind.PERSON


def test_a_person_decides_that_nothing_happened() -> None:
    case, _ = walk(doubtful(), Decided(Verdict.NOT_SETTLED, "Tanaka", "plate is still up"))
    assert (case.phase, case.code, case.by) == (CasePhase.REFUSED, Code.NOT_SETTLED, "Tanaka")


@pytest.mark.parametrize("phase", [phase for phase in CasePhase if phase is not CasePhase.IN_DOUBT])
def test_a_person_decides_doubts_only(phase: CasePhase) -> None:
    case = replace(doubtful(), phase=phase)
    assert walk(case, Decided(Verdict.SETTLED, "Tanaka", "because")) == (case, ())


def test_a_lot_that_can_do_nothing_refuses() -> None:
    nothing = Scene((), Level.SENT, Level.SENT, Retry.NEVER, Retry.NEVER, 20.0, 1.0)
    case, _ = walk(fresh(), Start(), on=nothing)
    assert (case.phase, case.code) == (CasePhase.REFUSED, Code.EXIT_UNKNOWN)


class TestBooked:
    """A lot that books first and releases then: once booked the money stays."""

    on = scene(Step.SETTLE, Step.RELEASE)

    def booked(self) -> Case:
        case, effects = walk(sending(self.on), Finished(1, Applied(Level.LEGACY_CONFIRMED, (ECHO,))), on=self.on)
        assert effects == (Act(case),)
        return case

    def test_goes_on_to_the_release(self) -> None:
        case = self.booked()
        assert (case.phase, case.step, case.booked, case.attempt) == (CasePhase.CHECKING, Step.RELEASE, True, 2)
        case, _ = walk(case, Intending(2, b"y", None), on=self.on)
        case, _ = walk(case, Finished(2, Applied(Level.PHYSICALLY_OBSERVED, (SEEN,))), on=self.on)
        assert (case.phase, case.evidence) == (CasePhase.SETTLED, (ECHO, SEEN))

    @pytest.mark.parametrize(
        "event",
        [
            Finished(2, Refused(Code.DEVICE_REFUSED, "no")),
            Finished(2, Uncertain("?")),
        ],
    )
    def test_is_never_refused_by_the_gate(self, event: events.Event) -> None:
        case, _ = walk(self.booked(), event, on=self.on)
        assert case.phase is CasePhase.IN_DOUBT

    def test_is_never_refused_by_a_person(self) -> None:
        case, _ = walk(self.booked(), Finished(2, Uncertain("?")), on=self.on)
        assert walk(case, Decided(Verdict.NOT_SETTLED, "Tanaka", "no"), on=self.on) == (case, ())

    def test_waits_for_a_dead_gate_until_it_expires(self) -> None:
        case, now = self.booked(), NOW + timedelta(minutes=10)
        case, _ = walk(case, NothingSent(2, Code.DEVICE_UNAVAILABLE, "refused"), on=self.on, now=now)
        assert case.phase is CasePhase.RECEIVED
        case, _ = walk(case, Due(), on=self.on, now=case.valid_until + timedelta(seconds=1))
        assert (case.phase, case.code) == (CasePhase.IN_DOUBT, Code.EXPIRED)

    def test_a_gate_that_was_never_written_to_may_be_tried_when_it_is_shut(self) -> None:
        case, _ = walk(self.booked(), Finished(2, Refused(Code.DEVICE_REFUSED, "no")), on=self.on)
        case, effects = walk(case, Proof(2, Finding.NOT_ACTED, ()), on=self.on)
        assert effects == (Act(case),)

    def test_a_gate_that_says_no_is_asked_six_times_at_most_and_ever_more_slowly(self) -> None:
        case, tries, waits = self.booked(), 0, []
        on = scene(Step.SETTLE, Step.RELEASE, retry=Retry.QUERY_FIRST)
        while case.phase is CasePhase.CHECKING:
            tries += 1
            case, _ = walk(case, Finished(case.attempt, Refused(Code.DEVICE_REFUSED, "no")), on=on)
            assert case.due is not None
            waits.append((case.due - NOW).total_seconds())
            case, _ = walk(case, Proof(case.attempt, Finding.NOT_ACTED, ()), on=on)
        assert (tries, case.phase) == (relay.MOST_SENDS, CasePhase.IN_DOUBT)
        assert waits == sorted(waits)
        assert waits[0] >= 1

    def test_after_its_time_a_booked_payment_waits_for_a_person_and_is_not_asked_about_in_a_loop(self) -> None:
        on = scene(Step.SETTLE, Step.RELEASE, retry=Retry.QUERY_FIRST)
        case, _ = walk(self.booked(), Finished(2, Refused(Code.DEVICE_REFUSED, "no")), on=on)
        late = case.valid_until + timedelta(seconds=1)
        after, effects = walk(case, Proof(2, Finding.NOT_ACTED, (), "shut"), on=on, now=late)
        assert (after.phase, after.due, effects) == (CasePhase.IN_DOUBT, case.due, ())

    def test_a_crash_between_booking_and_release_goes_on_with_the_release(self) -> None:
        case, effects = walk(self.booked(), Start(), on=self.on)
        assert (case.step, case.phase) == (Step.RELEASE, CasePhase.CHECKING)
        assert effects == (Act(case),)


def test_a_driver_that_crashes_leaves_a_doubt_only_after_its_intent() -> None:
    assert isinstance(events.failed(1, False, RuntimeError("x")), NothingSent)
    assert isinstance(events.failed(1, True, RuntimeError("x")), Finished)
