"""The relay decides what becomes of a completion: (case, event, now) → (case, effects); no I/O, no clock, no threads.

    RECEIVED ──Start──► CHECKING ──Intending──► SENDING ──Finished──► SETTLED | REFUSED | IN_DOUBT
        ▲                  │  nothing was sent                │            ▲           │
        └──────────────────┘  (try again until give-up)       └────────────┴── Proof ──┘ or Decided by a person

Whoever runs it commits the new case before any effect is carried out. The rules:

* CHECKING: the driver re-reads the machine; no byte that could act has left. A crash here means: start over.
* SENDING is committed before the first byte (the effect `Go` lets the driver write). A crash here means: in doubt.
* In doubt is never refunded, never blindly repeated; evidence or a person ends it. Proof that nothing acted lets the
  relay go again where the driver allows it (six times at most, within the completion's time), or refuse. Only what a
  device knows by its sequence number is told again without proof.
* Once the legacy has booked the payment (`booked`), the case can only be settled or in doubt, never refused. Of a
  machine that may take less (`partial`) only what it can have taken is charged.
* A person who opens by hand for this very stay takes the place of the release (`let_out`): no second pulse. The
  booking still goes on, to end the legacy's stay; if it is impossible the case is settled all the same, and
  reconciliation finds the booking missing. Only cash, or another payment, that came first refuses. In doubt: ours
  settles, cash refuses, nobody books or settles; else a person decides. An unconfirmed opening stops the release.
* Who does not want the money (`given_back`) has it refused; what is booked is settled, and the cloud refunds it.
"""

from datetime import datetime, timedelta
from typing import Final

from msgspec.structs import replace

from bridge.case import Case, Step
from bridge.events import (
    Act,
    Decided,
    Due,
    Effect,
    Event,
    Finding,
    Finished,
    Go,
    Halt,
    Intending,
    Left,
    Look,
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
from parking.outcome import Evidence, EvidenceKind, Level

QUERY_AFTER: Final = (0.0, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""Seconds between looks for evidence while in doubt; the last one for ever."""

MOST_SENDS: Final = 6
"""How often an act may be sent, where the driver says that a repetition is safe or a query shows that nothing acted."""

Decision = tuple[Case, tuple[Effect, ...]]


def step(case: Case, event: Event, now: datetime, scene: Scene) -> Decision:
    """Decide. Events that do not fit the case's phase or attempt change nothing."""
    match event:
        case Start() | Due():
            return _start(case, now, scene) if isinstance(event, Start) else _due(case, now, scene)
        case Intending():
            return _intending(case, event, now, scene)
        case NothingSent():
            return _nothing_sent(case, event, now, scene)
        case Finished():
            return _finished(case, event, now, scene)
        case Proof():
            return _proof(case, event, now, scene)
        case Left():
            return _left(case, event, now, scene)
        case Overridden():
            return _overridden(case, event, now, scene)
        case Decided():
            return _decided(case, event, now)


def _start(case: Case, now: datetime, scene: Scene) -> Decision:
    if case.over:
        return case, ()
    if case.phase is CasePhase.SENDING:
        return _in_doubt(case, now, Code.INTERRUPTED, "the bridge stopped between the intent and its result")
    if case.phase is CasePhase.IN_DOUBT:
        return replace(case, due=now, queries=0), ()
    return _try(replace(case, tried_since=None), now, scene)


def _due(case: Case, now: datetime, scene: Scene) -> Decision:
    if case.due is None or now < case.due:
        return case, ()
    if case.phase is CasePhase.RECEIVED:
        return _try(case, now, scene)
    if case.phase is CasePhase.IN_DOUBT:
        wait = QUERY_AFTER[min(case.queries + 1, len(QUERY_AFTER) - 1)]
        looked = replace(case, queries=case.queries + 1, due=now + timedelta(seconds=wait))
        return looked, (Look(looked),)
    return case, ()


def _try(case: Case, now: datetime, scene: Scene) -> Decision:
    """Begin an attempt at the next step, unless it is certain already that it must not happen."""
    at = case.step or (scene.steps[0] if scene.steps else None)
    if at is None:
        return _refuse(case, now, Code.EXIT_UNKNOWN, f"nothing in this lot can act on a payment at {case.exit!r}")
    if no := _forbidden(case, now, scene):
        return _refuse(case, now, *no)
    trying = replace(
        case,
        phase=CasePhase.CHECKING,
        step=at,
        attempt=case.attempt + 1,
        since=case.since if case.phase is CasePhase.RECEIVED else now,
        tried_since=case.tried_since or now,
        due=None,
    )
    return trying, (Act(trying),)


def _forbidden(case: Case, now: datetime, scene: Scene) -> tuple[Code, str] | None:
    if now > case.valid_until:
        return Code.EXPIRED, f"valid until {case.valid_until:%Y-%m-%d %H:%M:%S} UTC"
    if scene.rival and not case.booked:
        return Code.CONFLICT, "another payment for the same stay came first"
    return None


def _intending(case: Case, event: Intending, now: datetime, scene: Scene) -> Decision:
    if case.phase is not CasePhase.CHECKING or event.attempt != case.attempt:
        return case, (Halt(event.attempt),)
    if no := _forbidden(case, now, scene):
        refused, effects = _refuse(case, now, *no)
        return refused, (Halt(event.attempt), *effects)
    sending = replace(
        case,
        phase=CasePhase.SENDING,
        since=now,
        intent=event.intent,
        counter=event.counter,
        credited=0 if scene.partial and case.step is Step.SETTLE else case.credited,
        sent=case.sent + 1,
        sequence=case.sequence or case.attempt,
        sent_at=now if case.step is Step.RELEASE else None,
        turn=scene.turn,
        crowded=scene.crowded,
    )
    return sending, (Go(event.attempt),)


def _nothing_sent(case: Case, event: NothingSent, now: datetime, scene: Scene) -> Decision:
    if case.phase not in (CasePhase.CHECKING, CasePhase.SENDING) or event.attempt != case.attempt:
        return case, ()
    if case.let_out and (ended := _ended_by_hand(case, now, scene)) is not None:
        return ended
    trying_for = (now - (case.tried_since or now)).total_seconds()
    if now > case.valid_until or (trying_for >= scene.give_up and not case.booked):
        return _refuse(case, now, Code.DEVICE_UNAVAILABLE, f"tried for {trying_for:.0f} s: {event.detail}")
    waiting = replace(
        case,
        phase=CasePhase.RECEIVED,
        since=now,
        due=now + timedelta(seconds=scene.retry),
        sent=case.sent - (case.phase is CasePhase.SENDING),
        sequence=case.sequence if _told_before(case) else 0,
        sent_at=None,
        code=event.code,
        detail=event.detail,
        intent=b"",
        counter=None,
    )
    return waiting, ()


def _finished(case: Case, event: Finished, now: datetime, scene: Scene) -> Decision:
    if case.over or case.phase is CasePhase.RECEIVED or event.attempt != case.attempt or not case.step:
        return case, ()
    if case.phase is CasePhase.IN_DOUBT and not _news(case, event):
        return case, ()
    match event.outcome:
        case Applied(level, evidence, credited) if level >= scene.level(case.step):
            return _done(case.taking(credited), now, scene, evidence, level)
        case Applied(level, evidence, credited):
            seen = replace(case, evidence=case.evidence + evidence).taking(credited)
            wanted = scene.level(case.step).name.lower()
            return _in_doubt(seen, now, Code.NOT_OBSERVED, f"only {level.name.lower()}, {wanted} is wanted")
        case Refused(code, detail):
            return _refuse(case, now, code, detail)
        case Uncertain(detail, code, credited):
            return _in_doubt(case.taking(credited), now, code, detail)


def _news(case: Case, late: Finished) -> bool:
    """Whether the late word of a port that hung in the midst of this attempt ends the doubt."""
    match late.outcome:
        case Applied():
            return bool(case.intent) and case.code != Code.NOT_OBSERVED
        case Refused():
            return bool(case.intent) and not case.booked
        case Uncertain():
            return False


def _left(case: Case, event: Left, now: datetime, scene: Scene) -> Decision:
    """A car that has gone proves its release. Of a booking it proves nothing: it may have been paid in cash."""
    if case.phase is CasePhase.IN_DOUBT and case.step is Step.RELEASE:
        return _settled(case, now, (Evidence(EvidenceKind.OBSERVED, event.detail),), scene.release_level)
    if case.phase is CasePhase.IN_DOUBT:
        return replace(case, due=now, queries=0), ()  # the witness knows best while the stay is fresh
    if case.phase is CasePhase.SENDING and case.step is Step.RELEASE:
        return replace(case, left=event.detail), ()
    return case, ()


def _overridden(case: Case, event: Overridden, now: datetime, scene: Scene) -> Decision:
    if case.over:
        return case, ()
    if not event.confirmed and not event.give_back:
        return _perhaps_by_hand(case, event, now, scene)
    told = replace(
        case,
        let_out=f"{event.actor}: {event.reason}",
        given_back=case.given_back or event.give_back,  # the cloud has been told so, and takes nothing back
        by=event.actor,
    )
    if case.phase is CasePhase.SENDING:
        return told, ()  # its result decides, in this light
    return _ended_by_hand(told, now, scene) or (told, ())  # else: the booking goes on, or its witness is heard


def _perhaps_by_hand(case: Case, event: Overridden, now: datetime, scene: Scene) -> Decision:
    """A person's order got no proof that the exit moved. A release that was not sent yet must not follow it blindly."""
    if case.phase not in (CasePhase.RECEIVED, CasePhase.CHECKING) or _at(case, scene) is not Step.RELEASE:
        return case, ()
    detail = f"opened by hand, not confirmed: {event.actor}: {event.reason}"
    return _in_doubt(replace(case, step=Step.RELEASE), now, Code.NOT_OBSERVED, detail)


def _ended_by_hand(case: Case, now: datetime, scene: Scene) -> Decision | None:
    """The end of a case of whose car a person has disposed; None while the legacy's booking is to be heard first."""
    if case.given_back and not case.booked:
        return _refuse(case, now, Code.OVERRIDDEN, case.let_out)
    return None if _at(case, scene) is Step.SETTLE else _by_hand(case, now)


def _at(case: Case, scene: Scene) -> Step:
    """The step that is under way, or the first one."""
    return case.step or (scene.steps[0] if scene.steps else Step.RELEASE)


def _by_hand(case: Case, now: datetime) -> Decision:
    """The car was let out by a person, which ends the case."""
    proof = Evidence(EvidenceKind.PERSON, f"opened by hand: {case.let_out}")
    return _settled(case, now, (proof,), case.level or Level.SENT)


def _proof(case: Case, event: Proof, now: datetime, scene: Scene) -> Decision:
    if case.phase is not CasePhase.IN_DOUBT or event.attempt != case.attempt or not case.step:
        return case, ()
    match event.finding:
        case Finding.OURS:
            whole = replace(case, credited=None) if case.step is Step.SETTLE else case
            return _done(whole, now, scene, event.evidence, scene.level(case.step))
        case Finding.OTHERS:
            return _refuse(replace(case, evidence=case.evidence + event.evidence), now, Code.ALREADY_PAID, event.detail)
        case Finding.NOT_ACTED:
            return _not_acted(case, event, now, scene)
        case Finding.UNKNOWN:
            if scene.may_repeat(case.step) is Retry.SAME_SEQUENCE and _may_go_again(case, now, scene):
                return _again(case, now, scene)
            return replace(case, detail=event.detail or case.detail), ()


def _not_acted(case: Case, event: Proof, now: datetime, scene: Scene) -> Decision:
    """It is proven that the machine did not act: tell it again, or end what can be tried no more.

    Of a driver that declares NEVER the proof is not trusted; but once a person has let the car out nothing is left to
    be done twice.
    """
    trusted = scene.may_repeat(case.step or Step.RELEASE) is not Retry.NEVER or not case.sent
    if trusted and _may_go_again(case, now, scene):
        return _again(case, now, scene)
    if case.booked or not (trusted or case.let_out):
        return replace(case, detail=event.detail or case.detail), ()
    told = f"the machine did not act, told {case.sent} times; {event.detail}"
    return _refuse(case, now, *(_forbidden(case, now, scene) or (Code.DEVICE_UNAVAILABLE, told)))


def _may_go_again(case: Case, now: datetime, scene: Scene) -> bool:
    return case.sent + case.refusals < MOST_SENDS and _forbidden(case, now, scene) is None


def _again(case: Case, now: datetime, scene: Scene) -> Decision:
    same = scene.may_repeat(case.step or Step.RELEASE) is Retry.SAME_SEQUENCE
    sequence = case.sequence if same else 0
    again = replace(case, phase=CasePhase.RECEIVED, intent=b"", counter=None, sent_at=None, sequence=sequence)
    return _try(again, now, scene)


def _decided(case: Case, event: Decided, now: datetime) -> Decision:
    if case.phase is not CasePhase.IN_DOUBT:
        return case, ()
    proof = Evidence(EvidenceKind.PERSON, f"{event.actor}: {event.reason}")
    signed = replace(case, by=event.actor)
    if event.verdict is Verdict.SETTLED:
        return _settled(signed, now, (proof,), case.level or Level.SENT)
    if case.booked:
        return case, ()
    return _refuse(replace(signed, evidence=(*case.evidence, proof)), now, Code.NOT_SETTLED, event.reason)


def _done(case: Case, now: datetime, scene: Scene, evidence: tuple[Evidence, ...], level: Level) -> Decision:
    """The present step is proven; go on to the next, or the case is settled."""
    booked = case.booked or case.step is Step.SETTLE
    if case.let_out and case.step is Step.SETTLE:
        return _by_hand(replace(case, booked=True, evidence=case.evidence + evidence, level=level), now)
    at = scene.steps.index(case.step) + 1 if case.step in scene.steps else len(scene.steps)
    if at == len(scene.steps):
        return _settled(replace(case, booked=booked), now, evidence, level)
    onward = replace(
        case,
        phase=CasePhase.RECEIVED,
        step=scene.steps[at],
        sent=0,
        refusals=0,
        sequence=0,
        doubted=False,
        booked=booked,
        evidence=case.evidence + evidence,
        level=level,
        tried_since=None,
        intent=b"",
        counter=None,
        code="",
        detail="",
    )
    return _try(onward, now, scene)


def _settled(case: Case, now: datetime, evidence: tuple[Evidence, ...], level: Level) -> Decision:
    proven = case.evidence + evidence
    return replace(
        case, phase=CasePhase.SETTLED, since=now, due=None, evidence=proven, level=level, code="", detail=""
    ), ()


def _refuse(case: Case, now: datetime, code: Code, detail: str) -> Decision:
    if case.booked:
        # The legacy has our payment in its books: the money stays, and somebody must see to the car.
        wait = QUERY_AFTER[min(case.refusals + 1, len(QUERY_AFTER) - 1)]
        detail = f"booked by the legacy system, but not released: {detail}"
        return _in_doubt(replace(case, refusals=case.refusals + 1), now, code, detail, wait)
    if _told_before(case) and not case.given_back:
        # A machine that is paid, or a car that is gone, may be so by our own earlier telling.
        wait = QUERY_AFTER[min(case.refusals + 1, len(QUERY_AFTER) - 1)]
        detail = f"told before, and it is not known what came of that; now: {detail}"
        return _in_doubt(replace(case, refusals=case.refusals + 1), now, code, detail, wait)
    if case.let_out and not case.given_back and code not in _CAME_FIRST:
        proofs = (
            Evidence(EvidenceKind.PERSON, f"opened by hand: {case.let_out}"),
            Evidence(EvidenceKind.PERSON, f"the machine itself: {code}: {detail}"),
        )
        return _settled(case, now, proofs, case.level or Level.SENT)
    return replace(case, phase=CasePhase.REFUSED, since=now, due=None, code=code, detail=detail), ()


def may_have_acted(case: Case) -> bool:
    """Whether the machine acted on an open case, or may have: no other payment of its stay may be tried meanwhile."""
    return case.booked or case.phase in (CasePhase.SENDING, CasePhase.IN_DOUBT) or _told_before(case)


def _told_before(case: Case) -> bool:
    """Whether the step is told again under its number while nobody knows what came of telling it before."""
    if case.phase is CasePhase.SENDING:
        return 0 < case.sequence < case.attempt
    return case.phase in (CasePhase.RECEIVED, CasePhase.CHECKING) and case.sequence > 0


_CAME_FIRST: Final = (Code.ALREADY_PAID, Code.CONFLICT)
"""Somebody else paid: the phone payment is not due, whoever opened."""


def _in_doubt(case: Case, now: datetime, code: Code, detail: str, wait: float = 0.0) -> Decision:
    """Nobody knows whether the machine acted; once a person has opened, that no longer matters for a release.

    Evidence is looked for after `wait` seconds.
    """
    if case.let_out and case.given_back and not case.booked:
        return _refuse(case, now, Code.OVERRIDDEN, case.let_out)
    if case.let_out and case.step is Step.RELEASE:
        return _by_hand(case, now)
    if case.left and case.step is Step.RELEASE:
        return _settled(case, now, (Evidence(EvidenceKind.OBSERVED, case.left),), case.level or Level.SENT)
    due = now + timedelta(seconds=wait)
    doubt = replace(case, phase=CasePhase.IN_DOUBT, since=now, code=code, detail=detail, due=due, queries=0)
    return replace(doubt, doubted=True), ()
