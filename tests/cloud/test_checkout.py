"""The life of a payment: every fact in every standing, and what no order of events may bring about."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace as replace_message

from cloud.checkout import (
    TABLE,
    Alarm,
    Capture,
    Fact,
    GiveBack,
    IssueCompletion,
    Limits,
    Loss,
    Payment,
    Refund,
    Standing,
    Tick,
    Void,
    stage,
    step,
)
from cloud.payments.base import ProviderEvent, ProviderState
from cloud.views import PaymentStage
from parking.errors import Code
from parking.money import Yen
from parking.outcome import Evidence, EvidenceKind, Level
from parking.reports import InDoubt, Received, Redeemed, Settled, Way
from parking.reports import Refused as LotRefused
from parking.stay import NameKind, StayRef

T0 = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
LIMITS = Limits(timedelta(minutes=30), timedelta(minutes=20))
OPEN = Payment(Standing.OPEN, Yen(600), T0 + timedelta(minutes=5))
SEEN = (Evidence(EvidenceKind.OBSERVED, "plate down"),)
SETTLED = Settled(number=1, at=T0, level=Level.PHYSICALLY_OBSERVED, evidence=SEEN)
REFUSED = LotRefused(number=1, at=T0, code=Code.ALREADY_PAID, detail="cash")
DOUBT = InDoubt(number=1, at=T0, code=Code.NO_REPLY, detail="silence")
GIVEN_BACK = GiveBack("Sato", "paid in cash")
RECEIVED = Received(number=1, at=T0)
REDEEMED = Redeemed(number=1, at=T0, way=Way.CODE, actor="Sato", stay=StayRef(NameKind.BAY, "7"), amount=600)


def says(state: ProviderState, amount: int = 600, at: datetime = T0) -> ProviderEvent:
    return ProviderEvent("e", "o", "r", state, Yen(amount), at)


def after(*events, payment: Payment = OPEN, now: datetime = T0):
    """The payment after the events, and all effects on the way."""
    effects = []
    for event in events:
        payment, made = step(payment, event, now, LIMITS)
        effects += made
    return payment, effects


AUTHORIZED, CAPTURED = says(ProviderState.AUTHORIZED), says(ProviderState.CAPTURED)
VOIDED, REFUNDED = says(ProviderState.VOIDED), says(ProviderState.REFUNDED)


def test_authorize_release_capture():
    payment, effects = after(AUTHORIZED, Received(number=1, at=T0), SETTLED, CAPTURED)
    assert payment.standing is Standing.CAPTURED
    assert effects == [IssueCompletion(T0, T0 + timedelta(minutes=20)), Capture()]


def test_what_the_lot_refuses_is_voided_with_its_reason():
    payment, effects = after(AUTHORIZED, REFUSED, VOIDED)
    assert (payment.standing, payment.code) == (Standing.VOIDED, Code.ALREADY_PAID)
    assert effects[1:] == [Void()]


def test_nothing_moves_while_in_doubt_and_evidence_ends_it_either_way():
    payment, effects = after(AUTHORIZED, DOUBT, DOUBT, says(ProviderState.AUTHORIZED), Tick())
    assert payment.standing is Standing.IN_DOUBT
    assert len(effects) == 1
    assert after(SETTLED, payment=payment)[1] == [Capture()]
    assert after(REFUSED, payment=payment)[1] == [Void()]


@pytest.mark.parametrize(
    ("payment", "at", "now"),
    [
        (OPEN, T0 + timedelta(minutes=5, seconds=6), T0 + timedelta(minutes=6)),
        (OPEN, T0, T0 + timedelta(minutes=20)),
        (replace(OPEN, stay_gone=True), T0, T0),
    ],
    ids=["after-the-quote", "heard-of-too-late", "car-gone"],
)
def test_an_authorization_that_no_longer_counts_is_voided_without_a_completion(payment, at, now):
    late, effects = after(says(ProviderState.AUTHORIZED, at=at), payment=payment, now=now)
    assert late.standing is Standing.LATE
    assert effects == [Void()]
    assert stage(late) is PaymentStage.NOT_CHARGED


def test_an_authorization_in_time_counts_although_its_webhook_is_slow():
    payment, _ = after(says(ProviderState.AUTHORIZED, at=T0), now=T0 + timedelta(minutes=10))
    assert payment.standing is Standing.AUTHORIZED


@pytest.mark.parametrize("amount", [599, 601, 0])
def test_another_amount_than_the_quotes_releases_nobody(amount):
    payment, effects = after(says(ProviderState.AUTHORIZED, amount=amount))
    assert (payment.standing, payment.code) == (Standing.LATE, Code.WRONG_AMOUNT)
    assert [type(effect) for effect in effects] == [Void, Alarm]


def test_refused_after_settled_alarms_and_keeps_the_money_where_it_is():
    payment, effects = after(AUTHORIZED, SETTLED, REFUSED)
    assert payment.standing is Standing.SETTLED
    assert [type(effect) for effect in effects] == [IssueCompletion, Capture, Alarm]


@pytest.mark.parametrize(
    "money_back",
    [(REFUSED,), (REFUSED, VOIDED), (SETTLED, GIVEN_BACK, CAPTURED), (SETTLED, CAPTURED, GIVEN_BACK, REFUNDED)],
    ids=["voiding", "voided", "refunding", "refunded"],
)
def test_a_release_after_the_money_went_back_is_a_loss_and_never_a_charge(money_back):
    before, _ = after(AUTHORIZED, *money_back)
    payment, effects = after(SETTLED, payment=before)
    assert payment.standing is before.standing
    assert [type(effect) for effect in effects] == [Loss]
    assert "observed: plate down" in effects[0].detail


def test_a_capture_that_the_provider_has_let_go_is_a_loss():
    payment, effects = after(AUTHORIZED, SETTLED, VOIDED)
    assert (payment.standing, type(effects[-1])) == (Standing.LOST, Loss)
    assert after(CAPTURED, payment=payment)[0].standing is Standing.CAPTURED


def test_where_the_machine_took_less_that_is_what_the_provider_collects():
    took = replace_message(SETTLED, credited=450)
    payment, effects = after(says(ProviderState.AUTHORIZED), took)
    assert (payment.standing, payment.amount, payment.due) == (Standing.SETTLED, 600, 450)
    assert effects[-1] == Capture()
    again, effects = after(took, replace_message(SETTLED, credited=100), payment=payment)
    assert (again, effects) == (payment, [])  # the first word counts
    assert after(says(ProviderState.CAPTURED, 450), payment=payment) == (
        replace(payment, standing=Standing.CAPTURED),
        [],
    )
    assert [type(one) for one in after(says(ProviderState.CAPTURED, 600), payment=payment)[1]] == [Alarm]
    more, _ = after(says(ProviderState.AUTHORIZED), replace_message(SETTLED, credited=9_000))
    assert more.due == 600  # never more than the driver agreed to


def test_what_a_person_gives_back_is_captured_first_and_then_refunded():
    payment, effects = after(AUTHORIZED, SETTLED, GIVEN_BACK)
    assert [type(effect) for effect in effects] == [IssueCompletion, Capture]
    assert stage(payment) is PaymentStage.REFUNDED
    payment, effects = after(CAPTURED, REFUNDED, payment=payment)
    assert (payment.standing, effects) == (Standing.REFUNDED, [Refund()])


def test_what_is_captured_and_given_back_is_refunded_once():
    payment, effects = after(AUTHORIZED, SETTLED, CAPTURED, GIVEN_BACK, GIVEN_BACK, REFUNDED, GIVEN_BACK)
    assert payment.standing is Standing.REFUNDED
    assert [type(effect) for effect in effects] == [IssueCompletion, Capture, Refund]


@pytest.mark.parametrize("report", [(), (DOUBT,)], ids=["authorized", "in-doubt"])
def test_a_person_gives_nothing_back_while_the_lot_may_still_act(report):
    before, _ = after(AUTHORIZED, *report)
    assert after(GIVEN_BACK, payment=before) == (before, [])


def test_a_payment_that_waits_for_the_lot_alarms_once_after_the_lots_own_time():
    payment, _ = after(AUTHORIZED, DOUBT)
    limits = replace(LIMITS, unsettled=timedelta(seconds=90))
    assert step(payment, Tick(), T0 + timedelta(seconds=89), limits) == (payment, ())
    payment, effects = step(payment, Tick(), T0 + timedelta(seconds=90), limits)
    assert [effect.code for effect in effects] == [Code.UNSETTLED]
    assert step(payment, Tick(), T0 + timedelta(seconds=91), limits) == (payment, ())


WAITED = replace(OPEN, standing=Standing.AUTHORIZED, authorized_at=T0, overdue=True, unsettled=True, ending=True)


def test_what_no_bridge_has_received_is_voided_by_itself_and_a_release_after_that_is_a_loss():
    late = T0 + LIMITS.unheard
    told = replace(WAITED, heard_at=T0 + LIMITS.code_good)
    assert after(Tick(), payment=told, now=late - timedelta(seconds=1)) == (told, [])
    payment, effects = after(Tick(), VOIDED, payment=told, now=late)
    assert (payment.standing, payment.code, effects) == (Standing.VOIDED, Code.LOT_OFFLINE, [Void()])
    assert [type(effect) for effect in after(SETTLED, payment=payment)[1]] == [Loss]


@pytest.mark.parametrize("heard_at", [None, T0 + LIMITS.code_good - timedelta(seconds=1)])
def test_a_lot_that_was_not_heard_since_may_have_used_the_code_as_long_as_the_authorization_lasts(heard_at):
    dark, limits = replace(WAITED, heard_at=heard_at), replace(LIMITS, authorization=timedelta(hours=48))
    assert step(dark, Tick(), T0 + timedelta(hours=48, seconds=-1), limits) == (dark, ())
    payment, effects = step(dark, Tick(), T0 + timedelta(hours=48), limits)
    assert (payment.standing, effects) == (Standing.REFUSED, (Void(),))


@pytest.mark.parametrize("waits", [replace(WAITED, received=True), replace(WAITED, standing=Standing.IN_DOUBT)])
def test_what_a_bridge_has_received_or_may_have_acted_on_is_never_voided_by_time(waits):
    assert after(Tick(), payment=waits, now=T0 + timedelta(days=30)) == (waits, [])


def test_a_claim_is_captured_as_soon_as_it_is_authorized_and_nothing_is_released():
    payment, effects = after(AUTHORIZED, CAPTURED, payment=replace(OPEN, claim=True, stay_gone=True))
    assert (payment.standing, effects) == (Standing.CAPTURED, [Capture()])


def test_money_captured_for_a_refused_completion_is_given_back():
    payment, effects = after(AUTHORIZED, REFUSED, CAPTURED, REFUNDED)
    assert payment.standing is Standing.REFUNDED
    assert [type(effect) for effect in effects] == [IssueCompletion, Void, Refund, Alarm]


def test_an_authorization_after_the_page_was_given_up_is_voided():
    given_up, _ = after(Tick(), now=OPEN.authorize_by + timedelta(seconds=31))
    assert given_up.standing is Standing.EXPIRED
    assert after(AUTHORIZED, payment=given_up)[1] == [Void()]


def test_the_attendant_is_named_twenty_seconds_after_the_authorization():
    payment, _ = after(AUTHORIZED)
    assert stage(after(Tick(), payment=payment, now=T0 + timedelta(seconds=19))[0]) is PaymentStage.RELEASING
    assert stage(after(Tick(), payment=payment, now=T0 + timedelta(seconds=20))[0]) is PaymentStage.ATTENDANT


def test_an_authorization_about_to_end_in_doubt_alarms_once():
    payment, _ = after(AUTHORIZED, DOUBT)
    late = T0 + timedelta(minutes=20)
    payment, effects = after(Tick(), Tick(), Tick(), payment=payment, now=late)
    assert [effect.code for effect in effects] == [Code.UNSETTLED, Code.EXPIRED]
    assert payment.standing is Standing.IN_DOUBT


def test_every_fact_has_a_move_in_every_standing():
    assert {(standing, fact) for standing in TABLE for fact in TABLE[standing]} == {
        (standing, fact) for standing in Standing for fact in Fact
    }


def test_while_in_doubt_the_table_knows_no_void_and_no_refund_but_by_a_refusal():
    acts = {fact: move.acts for fact, move in TABLE[Standing.IN_DOUBT].items() if fact is not Fact.REFUSED}
    assert not any("void" in made or "refund" in made for made in acts.values())


EVENTS = st.one_of(
    st.builds(says, st.sampled_from(list(ProviderState)), st.sampled_from([600, 600, 600, 500])),
    st.sampled_from([SETTLED, REFUSED, DOUBT, RECEIVED, REDEEMED, GIVEN_BACK, Tick()]),
)
MONEY = IssueCompletion | Capture | Void | Refund
PAYMENTS = st.builds(replace, st.just(OPEN), stay_gone=st.booleans(), claim=st.booleans(), received=st.booleans())


@settings(max_examples=300, deadline=None)
@given(payment=PAYMENTS, events=st.lists(st.tuples(EVENTS, st.integers(0, 90_000)), max_size=16))
def test_no_order_of_events_breaks_a_promise(payment, events):
    now, effects, released = T0, [], False
    for event, seconds in events:
        now += timedelta(seconds=seconds)
        was = payment.standing
        payment, made = step(payment, event, now, LIMITS)
        again, repeated = step(payment, event, now, LIMITS)
        if not isinstance(event, Tick):  # time passes in steps: each Tick brings the next thing that is due
            assert not any(isinstance(effect, MONEY) for effect in repeated)
            assert again.standing is payment.standing
        released |= event is SETTLED or payment.claim
        if any(isinstance(effect, Capture) for effect in made):
            assert event is SETTLED or (payment.claim and was is Standing.OPEN)
        if was is Standing.IN_DOUBT and any(isinstance(effect, Void | Refund) for effect in made):
            assert event is REFUSED
        effects += made
    kinds = [type(effect) for effect in effects]
    for once in (IssueCompletion, Capture, Void, Refund):
        assert kinds.count(once) <= 1
    assert not (Capture in kinds and Void in kinds)
    assert released or payment.standing is not Standing.SETTLED


class Books:
    """A provider that does what it is told, and states it: the money's own history, apart from the table."""

    def __init__(self) -> None:
        self.held, self.taken, self.given_back = False, False, False

    def obey(self, effects) -> list[ProviderEvent]:
        stated = []
        for effect in effects:
            match effect:
                case Capture() if self.held:
                    self.held, self.taken = False, True
                    stated.append(CAPTURED)
                case Void() if self.held:
                    self.held = False
                    stated.append(VOIDED)
                case Refund() if self.taken:
                    self.taken, self.given_back = False, True
                    stated.append(REFUNDED)
        return stated


ENDS = {
    Standing.CAPTURED: (False, True, False),
    Standing.VOIDED: (False, False, False),
    Standing.REFUNDED: (False, False, True),
}
"""Held, taken, given back: what the provider's books must say at each end."""
REPORTS = st.sampled_from([SETTLED, REFUSED, DOUBT, RECEIVED, REDEEMED, GIVEN_BACK, AUTHORIZED, Tick()])


@settings(max_examples=300, deadline=None)
@given(
    begin=PAYMENTS,
    reports=st.lists(st.tuples(REPORTS, st.integers(0, 90_000)), max_size=12),
    patience=st.integers(0, 3),
)
def test_all_money_ends_captured_voided_refunded_or_with_a_person_who_was_told(begin, reports, patience):
    books, effects, waiting, now = Books(), [], [], T0
    payment, made = step(begin, AUTHORIZED, now, LIMITS)
    books.held = True
    for event, seconds in [*reports, *[(Tick(), 90_000)] * 4]:
        effects += made
        waiting += books.obey(made)
        if len(waiting) > patience:  # what the provider states arrives late
            payment, made = step(payment, waiting.pop(0), now, LIMITS)
            effects += made
            waiting += books.obey(made)
        now += timedelta(seconds=seconds)
        payment, made = step(payment, event, now, LIMITS)
    for _ in range(4):
        effects += made
        waiting += books.obey(made)
        if waiting:
            payment, made = step(payment, waiting.pop(0), now, LIMITS)
    told = any(isinstance(effect, Alarm) and effect.code is Code.UNSETTLED for effect in effects)
    if payment.standing in ENDS:
        assert (books.held, books.taken, books.given_back) == ENDS[payment.standing]
    else:
        assert payment.standing in (Standing.AUTHORIZED, Standing.IN_DOUBT)
        assert told
        assert books.held
