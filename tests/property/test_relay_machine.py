"""Whatever happens, in whatever order: a device is driven at most once unless the driver allows more, and a booked or
doubtful payment is never refused by itself."""

from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from bridge import relay
from bridge.case import Case, Step
from bridge.events import (
    Decided,
    Due,
    Event,
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
from parking.commands import Verdict
from parking.desk import CasePhase
from parking.errors import Code
from parking.outcome import Level
from parking.stay import LotId, NameKind, StayRef

START = datetime(2026, 11, 23, 2, 0, tzinfo=UTC)
attempts = st.integers(0, 4)
outcomes = st.one_of(
    st.sampled_from(list(Level)).map(lambda level: Applied(level, ())),
    st.just(Refused(Code.DEVICE_REFUSED, "no")),
    st.just(Uncertain("silence")),
)
events = st.one_of(
    st.just(Start()),
    st.just(Due()),
    st.builds(Intending, attempts, st.just(b"bytes"), st.none()),
    st.builds(NothingSent, attempts, st.just(Code.PORT_MISSING), st.just("gone")),
    st.builds(Finished, attempts, outcomes),
    st.builds(Proof, attempts, st.sampled_from(list(Finding)), st.just(())),
    st.just(Left("gone")),
    st.builds(Overridden, st.just("Sato"), st.just("malfunction"), st.booleans(), st.booleans()),
    st.builds(Decided, st.sampled_from(list(Verdict)), st.just("Tanaka"), st.just("looked")),
)
scenes = st.builds(
    Scene,
    steps=st.sampled_from([(Step.RELEASE,), (Step.SETTLE,), (Step.SETTLE, Step.RELEASE)]),
    settle_level=st.sampled_from(list(Level)),
    release_level=st.sampled_from(list(Level)),
    settle_retry=st.sampled_from(list(Retry)),
    release_retry=st.sampled_from(list(Retry)),
    give_up=st.just(5.0),
    retry=st.just(1.0),
    rival=st.booleans(),
)


@settings(max_examples=400, deadline=None)
@given(scenes, st.lists(st.tuples(events, st.integers(0, 400)), max_size=40))
def test_promises_hold_in_every_order(scene: Scene, story: list[tuple[Event, int]]) -> None:
    case = Case(
        lot=LotId(1),
        number=1,
        reference="DK-1-1",
        stay=StayRef(NameKind.TICKET, "1"),
        exit="OUT1",
        amount=1,
        paid_at=START,
        valid_until=START + timedelta(minutes=20),
        since=START,
    )
    now, goes = START, {Step.SETTLE: 0, Step.RELEASE: 0}
    for event, seconds in story:
        now += timedelta(seconds=seconds)
        old, (case, effects) = case, relay.step(case, event, now, scene)
        if any(isinstance(effect, Go) for effect in effects):
            assert case.phase is CasePhase.SENDING
            assert case.intent, "the bytes are in the state before the driver may write them"
            assert case.step is not None
            goes[case.step] += 1
            assert now <= case.valid_until
            assert case.step is Step.SETTLE or not old.let_out, "a person has opened: nothing is released twice"
            assert not old.given_back or old.booked, "nobody wants this payment any more"
        if isinstance(event, NothingSent) and old.phase is CasePhase.SENDING and case != old:
            assert old.step is not None
            goes[old.step] -= 1  # the driver is certain that this one never left
        if case.phase is CasePhase.REFUSED and old.phase is not CasePhase.REFUSED:
            assert not old.booked, "what the legacy has booked is never refused"
            if old.phase is CasePhase.IN_DOUBT:
                others = isinstance(event, Proof) and event.finding in (
                    Finding.OTHERS,
                    Finding.NOT_ACTED,
                )
                word = isinstance(event, Finished) and isinstance(event.outcome, Refused)
                given = isinstance(event, Overridden) and event.give_back
                assert isinstance(event, Decided) or others or word or given, "a doubt ends by evidence or by a person"
            if old.let_out and not case.given_back:
                assert case.code in (Code.ALREADY_PAID, Code.CONFLICT, Code.NOT_SETTLED), "never voided silently"
        if old.over:
            assert case == old
            assert all(isinstance(effect, Halt) for effect in effects)
    for step, retry in ((Step.SETTLE, scene.settle_retry), (Step.RELEASE, scene.release_retry)):
        most = 1 if retry is Retry.NEVER else relay.MOST_SENDS
        assert goes[step] <= most
