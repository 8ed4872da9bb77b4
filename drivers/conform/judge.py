"""What must hold of one act, whatever happened to its line: the driver's words against the machine's count. Pure."""

from dataclasses import dataclass
from typing import Final

from drivers.base import Applied, Cash, Nobody, Ours, Outcome, Refused, Testimony, Uncertain
from parking.errors import DaikoError, NotSent
from parking.outcome import Level

LATE: Final = 2.0
"""Seconds beyond its deadline that a call may take; what waits longer is stuck."""


@dataclass(frozen=True, slots=True)
class Act:
    """One order and what came of it.

    `taken` is what the machine itself counts since: releases, or yen. `wanted` is what one order is worth: 1 release,
    or the yen that the machine asked for. `declared` is the best level that the driver says it can reach, `needed` what
    the profile calls done. `late`: seconds that the call took beyond its deadline. `said`: whether the bytes of the act
    were seen on the line; None where there is no line to watch. `testimony`: what the driver's witness says afterwards,
    None where it has none.
    """

    outcome: Outcome | DaikoError
    taken: int
    wanted: int
    declared: Level
    needed: Level
    late: float = 0.0
    said: bool | None = None
    testimony: Testimony | None = None


def broken(act: Act) -> tuple[str, ...]:
    """Which promises the act broke; nothing: it held them all."""
    found = [f"acted more than once: {act.taken} of {act.wanted}"] if act.taken > act.wanted else []
    if act.late > LATE:
        found.append(f"stuck: {act.late:.1f} s beyond its deadline")
    match act.outcome:
        case Applied():
            found += _applied(act, act.outcome)
        case Refused() | NotSent() if act.taken:
            found.append(f"says that nothing happened, but the machine counts {act.taken}")
        case Uncertain(credited=most) if most is not None and act.taken > most:
            found.append(f"says {most} at most, but the machine counts {act.taken}")
        case DaikoError() if act.taken:
            found.append(f"says that no byte left, but the machine counts {act.taken}")
    if isinstance(act.outcome, DaikoError) and act.said:
        found.append("says that no byte left, but its bytes were seen on the line")
    return (*found, *_contradicted(act))


def _applied(act: Act, outcome: Applied) -> list[str]:
    found = []
    expected = act.wanted if outcome.credited is None else outcome.credited
    proven = outcome.level > Level.SENT  # "sent" claims no more than that
    if act.taken != expected and (proven or act.taken > expected):
        found.append(f"says that {expected} were taken, the machine counts {act.taken}")
    if outcome.level > act.declared:
        found.append(f"claims {outcome.level.name}, declared is {act.declared.name}")
    if outcome.level >= Level.LEGACY_CONFIRMED and not outcome.evidence:
        found.append(f"claims {outcome.level.name} without evidence")
    return found


def _contradicted(act: Act) -> list[str]:
    paid = act.taken > 0 and act.taken >= act.wanted
    match act.testimony:
        case Ours() if not act.taken:
            return ["its witness names our payment, the machine has none"]
        case Nobody() if paid:
            return ["its witness says that nobody paid, the machine has our payment"]
        case Cash() if paid:
            return ["its witness says that somebody else paid, the machine has our payment"]
    return []


def well_done(act: Act) -> tuple[str, ...]:
    """What an undisturbed act must be, beyond holding the promises: done, and proven as the profile wants it."""
    match act.outcome:
        case Applied(level=level) if level >= act.needed:
            return ()
        case Applied(level=level):
            return (f"proven as {level.name} only; the profile wants {act.needed.name}",)
    return (f"not done although nothing disturbed it: {told(act.outcome)}",)


def told(outcome: Outcome | DaikoError) -> str:
    """An outcome in words."""
    match outcome:
        case Applied(level=level, evidence=evidence):
            return f"applied, {level.name.lower()}" + (f" ({evidence[0].text})" if evidence else "")
        case Refused(code=code, detail=detail):
            return f"refused, {code.value}: {detail}"
        case Uncertain(detail=detail):
            return f"uncertain: {detail}"
    return f"{'not sent' if isinstance(outcome, NotSent) else 'environment'}: {outcome.detail}"
