"""The relay decides what becomes of a completion: (case, event, now) → (case, effects); no I/O, no clock, no threads.

    RECEIVED ──Start──► CHECKING ──Intending──► SENDING ──Finished──► SETTLED | REFUSED | IN_DOUBT
        ▲                  │  nothing was sent                │            ▲           │
        └──────────────────┘  (try again until give-up)       └────────────┴── Proof ──┘ or Decided by a person

Whoever runs it commits the new case before any effect is carried out. The rules:

* CHECKING: the driver re-reads the machine; no byte that could act has left. A crash here means: start over.
* SENDING is committed before the first byte (the effect `Go` lets the driver write). A crash here means: in doubt.
* In doubt is never refunded and never blindly repeated; evidence or a person ends it.
* Once the legacy has booked the payment (`booked`), the case can only be settled or in doubt, never refused.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from msgspec.structs import replace

from bridge.case import Case, Step
from drivers.base import Applied, Outcome, Refused, Retry, Uncertain
from parking.desk import CasePhase, Verdict
from parking.errors import Code
from parking.outcome import Evidence, EvidenceKind, Level

QUERY_AFTER: Final = (0.0, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""Seconds between looks for evidence while in doubt; the last one for ever."""

MOST_SENDS: Final = 6
"""How often an act may be sent, where the driver says that a repetition is safe or a query shows that nothing acted."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What the lot's profile and its drivers say about a case. Times in seconds."""

    steps: tuple[Step, ...]
    settle_level: Level
    release_level: Level
    settle_retry: Retry
    release_retry: Retry
    give_up: float
    retry: float
    rival: bool = False
    """Another completion for the same stay is being sent, in doubt or settled."""

    def level(self, step: Step) -> Level:
        """The level at which a step counts as done."""
        return self.settle_level if step is Step.SETTLE else self.release_level

    def may_repeat(self, step: Step) -> Retry:
        """The driver's retry declaration."""
        return self.settle_retry if step is Step.SETTLE else self.release_retry


# --- events ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Start:
    """The case is new, or the bridge has started again."""


@dataclass(frozen=True, slots=True)
class Due:
    """The time in `case.due` has come."""


@dataclass(frozen=True, slots=True)
class Intending:
    """The driver is about to write exactly these bytes; it waits for Go or Halt."""

    attempt: int
    intent: bytes
    counter: int | None


@dataclass(frozen=True, slots=True)
class NothingSent:
    """The driver is certain that no byte left."""

    attempt: int
    code: Code
    detail: str


@dataclass(frozen=True, slots=True)
class Finished:
    """The driver returned."""

    attempt: int
    outcome: Outcome


class Finding(StrEnum):
    """What looking for evidence brought."""

    OURS = "ours"
    OTHERS = "others"
    NOT_ACTED = "not_acted"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Proof:
    """Evidence was looked for: a receipt, a counter, a witness, an input."""

    attempt: int
    finding: Finding
    evidence: tuple[Evidence, ...]
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Left:
    """The stay of the case has ended: the car is gone."""

    detail: str


@dataclass(frozen=True, slots=True)
class Decided:
    """A person looked and decided."""

    verdict: Verdict
    actor: str
    reason: str


def failed(attempt: int, intended: bool, error: Exception) -> "NothingSent | Finished":
    """What a driver's crash amounts to: nothing before the intent was committed, a doubt after it."""
    detail = f"a defect of the driver: {type(error).__name__}: {error}"
    if not intended:
        return NothingSent(attempt, Code.BUG, detail)
    return Finished(attempt, Uncertain(detail, Code.BUG))


RelayEvent = Start | Due | Intending | NothingSent | Finished | Proof | Left | Decided


# --- effects ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Act:
    """Have the driver of the case's step act."""

    case: Case


@dataclass(frozen=True, slots=True)
class Go:
    """The intent is committed: let the driver write."""

    attempt: int


@dataclass(frozen=True, slots=True)
class Halt:
    """The driver must not write."""

    attempt: int


@dataclass(frozen=True, slots=True)
class Look:
    """Look for evidence of the latest attempt."""

    case: Case


Effect = Act | Go | Halt | Look
Decision = tuple[Case, tuple[Effect, ...]]


def step(case: Case, event: RelayEvent, now: datetime, scene: Scene) -> Decision:
    """Decide. Events that do not fit the case's phase or attempt change nothing."""
    match event:
        case Start():
            return _start(case, now, scene)
        case Due():
            return _due(case, now, scene)
        case Intending():
            return _intending(case, event, now, scene)
        case NothingSent():
            return _nothing_sent(case, event, now, scene)
        case Finished():
            return _finished(case, event, now, scene)
        case Proof():
            return _proof(case, event, now, scene)
        case Left(detail):
            if case.phase is not CasePhase.IN_DOUBT or case.step is not Step.RELEASE:
                return case, ()
            return _settled(case, now, (Evidence(EvidenceKind.OBSERVED, detail),), scene.release_level)
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
        case, phase=CasePhase.SENDING, since=now, intent=event.intent, counter=event.counter, sent=case.sent + 1
    )
    return sending, (Go(event.attempt),)


def _nothing_sent(case: Case, event: NothingSent, now: datetime, scene: Scene) -> Decision:
    if case.phase not in (CasePhase.CHECKING, CasePhase.SENDING) or event.attempt != case.attempt:
        return case, ()
    trying_for = (now - (case.tried_since or now)).total_seconds()
    if now > case.valid_until or (trying_for >= scene.give_up and not case.booked):
        return _refuse(case, now, Code.DEVICE_UNAVAILABLE, f"tried for {trying_for:.0f} s: {event.detail}")
    waiting = replace(
        case,
        phase=CasePhase.RECEIVED,
        since=now,
        due=now + timedelta(seconds=scene.retry),
        sent=case.sent - (case.phase is CasePhase.SENDING),
        code=event.code,
        detail=event.detail,
        intent=b"",
        counter=None,
    )
    return waiting, ()


def _finished(case: Case, event: Finished, now: datetime, scene: Scene) -> Decision:
    if case.phase not in (CasePhase.CHECKING, CasePhase.SENDING) or event.attempt != case.attempt or not case.step:
        return case, ()
    match event.outcome:
        case Applied(level, evidence) if level >= scene.level(case.step):
            return _done(case, now, scene, evidence, level)
        case Applied(level, evidence):
            seen = replace(case, evidence=case.evidence + evidence)
            wanted = scene.level(case.step).name.lower()
            return _in_doubt(seen, now, Code.NOT_OBSERVED, f"only {level.name.lower()}, {wanted} is wanted")
        case Refused(code, detail):
            return _refuse(case, now, code, detail)
        case Uncertain(detail, code):
            return _in_doubt(case, now, code, detail)


def _proof(case: Case, event: Proof, now: datetime, scene: Scene) -> Decision:
    if case.phase is not CasePhase.IN_DOUBT or event.attempt != case.attempt or not case.step:
        return case, ()
    match event.finding:
        case Finding.OURS:
            return _done(case, now, scene, event.evidence, scene.level(case.step))
        case Finding.OTHERS:
            return _refuse(replace(case, evidence=case.evidence + event.evidence), now, Code.ALREADY_PAID, event.detail)
        case Finding.NOT_ACTED if _may_go_again(case, now, scene):
            again = replace(case, phase=CasePhase.RECEIVED, intent=b"", counter=None)
            return _try(again, now, scene)
        case _:
            return replace(case, detail=event.detail or case.detail), ()


def _may_go_again(case: Case, now: datetime, scene: Scene) -> bool:
    declared = scene.may_repeat(case.step or Step.RELEASE)
    return (
        (declared in (Retry.SAFE, Retry.QUERY_FIRST) or not case.sent)
        and case.sent < MOST_SENDS
        and now <= case.valid_until
        and not scene.rival
    )


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
    at = scene.steps.index(case.step) + 1 if case.step in scene.steps else len(scene.steps)
    if at == len(scene.steps):
        return _settled(replace(case, booked=booked), now, evidence, level)
    onward = replace(
        case,
        phase=CasePhase.RECEIVED,
        step=scene.steps[at],
        sent=0,
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
        return _in_doubt(case, now, code, f"booked by the legacy system, but not released: {detail}")
    return replace(case, phase=CasePhase.REFUSED, since=now, due=None, code=code, detail=detail), ()


def _in_doubt(case: Case, now: datetime, code: Code, detail: str) -> Decision:
    return replace(case, phase=CasePhase.IN_DOUBT, since=now, code=code, detail=detail, due=now, queries=0), ()
