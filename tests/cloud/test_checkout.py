"""The life of a payment: every fact in every standing, and what no order of events may bring about."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cloud.checkout import (
    TABLE,
    Alarm,
    Capture,
    Fact,
    IssueCompletion,
    Limits,
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
from parking.outcome import Level
from parking.wire import InDoubt, Received, Settled
from parking.wire import Refused as LotRefused

T0 = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
LIMITS = Limits(timedelta(minutes=30), timedelta(minutes=20))
OPEN = Payment(Standing.OPEN, Yen(600), T0 + timedelta(minutes=5))
SETTLED = Settled(number=1, at=T0, level=Level.PHYSICALLY_OBSERVED, evidence=())
REFUSED = LotRefused(number=1, at=T0, code=Code.ALREADY_PAID, detail="cash")
DOUBT = InDoubt(number=1, at=T0, code=Code.NO_REPLY, detail="silence")


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


def test_settled_after_the_void_alarms_and_never_captures():
    payment, effects = after(AUTHORIZED, REFUSED, VOIDED, SETTLED)
    assert payment.standing is Standing.VOIDED
    assert [type(effect) for effect in effects] == [IssueCompletion, Void, Alarm]


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
    payment, effects = after(Tick(), Tick(), payment=payment, now=late)
    assert [type(effect) for effect in effects] == [Alarm]
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
    st.sampled_from([SETTLED, REFUSED, DOUBT, Received(number=1, at=T0), Tick()]),
)


@settings(max_examples=200, deadline=None)
@given(events=st.lists(st.tuples(EVENTS, st.integers(0, 120)), max_size=14))
def test_no_order_of_events_breaks_a_promise(events):
    payment, now, effects, settled_seen = OPEN, T0, [], False
    for event, seconds in events:
        now += timedelta(seconds=seconds)
        was = payment.standing
        payment, made = step(payment, event, now, LIMITS)
        again, repeated = step(payment, event, now, LIMITS)
        assert not any(isinstance(effect, IssueCompletion | Capture | Void | Refund) for effect in repeated)
        assert again.standing is payment.standing or isinstance(event, Tick)
        settled_seen |= event is SETTLED
        if any(isinstance(effect, Capture) for effect in made):
            assert event is SETTLED
        if was is Standing.IN_DOUBT and any(isinstance(effect, Void | Refund) for effect in made):
            assert event is REFUSED
        effects += made
    kinds = [type(effect) for effect in effects]
    for once in (IssueCompletion, Capture, Void, Refund):
        assert kinds.count(once) <= 1
    assert not (Capture in kinds and Void in kinds)
    assert settled_seen or payment.standing is not Standing.SETTLED
