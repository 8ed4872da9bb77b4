"""What a witness, a counter or a position proves about an attempt in doubt, strongest first (P5). Pure."""

from dataclasses import dataclass, replace

from bridge.events import Finding, Proof
from bridge.exit_log import Others
from drivers import base
from parking.desk import Position
from parking.outcome import Evidence, EvidenceKind

COUNTER_SPAN = 65536
"""Device counters are 16 bits wide."""


@dataclass(frozen=True, slots=True)
class Found:
    """What was found: the proofs, and words for what keeps the doubt open; `moved` and `still` as in events.Proof."""

    finding: Finding
    proofs: tuple[Evidence, ...] = ()
    detail: str = ""
    moved: int | None = None
    still: bool = False


def from_witness(said: base.Testimony, device: str, waited: bool) -> Found:
    """Who paid, by a system that knows.

    "Nobody" proves nothing until `waited` is true: a request on its way may yet be booked.
    """
    match said:
        case base.Ours(reference, detail):
            proof = Evidence(EvidenceKind.WITNESS, f"{device}: paid by {reference} {detail}".strip())
            return Found(Finding.OURS, (proof,), detail)
        case base.Cash(detail):
            return Found(Finding.OTHERS, (Evidence(EvidenceKind.WITNESS, f"{device}: {detail}"),), detail)
        case base.Nobody(detail):
            return Found(Finding.NOT_ACTED if waited else Finding.UNKNOWN, (), detail)
        case base.CannotTell(detail):
            return Found(Finding.UNKNOWN, (), detail)


@dataclass(frozen=True, slots=True)
class ExitSeen:
    """An exit as read while in doubt.

    `before` and `count` are its release counter then and now (None: it has none); `shared`: other cars use it, too.
    """

    exit: str
    device: str
    before: int | None
    count: int | None
    state: base.ExitState
    shared: bool = False


def from_exit(seen: ExitSeen, sent: int, waited: bool) -> Found:
    """Whether an exit acted: its counter moved by one, or it is seen open.

    A gate proves that right after the attempt only: later somebody may have opened it for another car, by its own key.

    It certainly did not if nothing was ever sent, or its counter stands still although it had the time to act, and
    it is closed with the car still there.
    """
    state, moved = seen.state, None
    if seen.before is not None and seen.count is not None:
        moved = (seen.count - seen.before) % COUNTER_SPAN
    still = waited and state.position is Position.CLOSED and state.vehicle is not False
    if moved == 1:
        text = f"{seen.device}: release counter {seen.before} → {seen.count}"
        return Found(Finding.OURS, (Evidence(EvidenceKind.COUNTER, text),), "", moved, still)
    if state.position is Position.OPEN and not (seen.shared and waited):
        return Found(Finding.OURS, (Evidence(EvidenceKind.OBSERVED, f"{seen.exit} is open"),), "", moved, still)
    never_sent = sent == 0 and state.position is Position.CLOSED and state.vehicle is not False
    if never_sent or (moved == 0 and still):
        return Found(Finding.NOT_ACTED, (), "its counter stands still and the exit is closed", moved, still)
    shown = f"{seen.exit} is {state.position.value}" + (f", counter +{moved}" if moved else "")
    return Found(Finding.UNKNOWN, (), shown, moved, still)


def among_others(proof: Proof, others: Others) -> Proof:
    """What is left of a proof when other cars used the same exit since the attempt.

    A gate seen open may be open for them. A counter still tells, if it is certain how often they moved it. An exit that
    is closed with the car before it, of a payment that was never sent, is so whatever others did.
    """
    if proof.finding is Finding.NOT_ACTED and proof.moved is None:
        return proof
    if not others.unknown and proof.moved == others.done + 1:
        text = f"release counter +{proof.moved}, {others.done} of them for others"
        return replace(proof, finding=Finding.OURS, evidence=(Evidence(EvidenceKind.COUNTER, text),))
    if not others.unknown and proof.moved == others.done and proof.still:
        return replace(proof, finding=Finding.NOT_ACTED, evidence=())
    return replace(proof, finding=Finding.UNKNOWN, evidence=(), detail="the exit has served other cars since")
