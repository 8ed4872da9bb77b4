"""What must hold of one act, whatever happened to its line: the driver's words against the machine's count. Pure."""

from dataclasses import dataclass
from typing import Final

from drivers.base import Applied, Cash, Nobody, Ours, Outcome, Refused, Testimony, Uncertain
from drivers.conform.words import LEVELS, Words, quoting, told
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


def broken(act: Act) -> tuple[Words, ...]:
    """Which promises the act broke; nothing: it held them all."""
    taken = act.taken
    found = []
    if taken > act.wanted:
        found.append(
            Words(f"2回以上実行: {act.wanted} のところ {taken}", f"acted more than once: {taken} of {act.wanted}")
        )
    if act.late > LATE:
        found.append(Words(f"期限を {act.late:.1f} 秒過ぎて応答", f"stuck: {act.late:.1f} s beyond its deadline"))
    match act.outcome:
        case Applied():
            found += _applied(act, act.outcome)
        case Refused() | NotSent() if taken:
            found.append(_counts(taken, "何も起きていないと言う", "says that nothing happened, but"))
        case Uncertain(credited=most) if most is not None and taken > most:
            found.append(_counts(taken, f"最大でも {most} と言う", f"says {most} at most, but"))
        case DaikoError() if taken:
            found.append(_counts(taken, "1バイトも送っていないと言う", "says that no byte left, but"))
    if isinstance(act.outcome, DaikoError) and act.said:
        found.append(
            Words(
                "1バイトも送っていないと言うが、指示が回線に出ていた",
                "says that no byte left, but its bytes were seen on the line",
            )
        )
    return (*found, *_contradicted(act))


def _counts(taken: int, ja: str, en: str) -> Words:
    return Words(f"{ja}が、機器の記録は {taken}", f"{en} the machine counts {taken}")


def _applied(act: Act, outcome: Applied) -> list[Words]:
    found = []
    expected = act.wanted if outcome.credited is None else outcome.credited
    proven = outcome.level > Level.SENT  # "sent" claims no more than that
    if act.taken != expected and (proven or act.taken > expected):
        found.append(_counts(act.taken, f"{expected} を実行したと言う", f"says that {expected} were taken,"))
    claimed, declared = LEVELS[outcome.level], LEVELS[act.declared]
    if outcome.level > act.declared:
        found.append(
            Words(
                f"申告は「{declared.ja}」なのに「{claimed.ja}」と主張",
                f"claims {claimed.en}, declared is {declared.en}",
            )
        )
    if outcome.level >= Level.LEGACY_CONFIRMED and not outcome.evidence:
        found.append(Words(f"証拠なしに「{claimed.ja}」と主張", f"claims {claimed.en} without evidence"))
    return found


OURS_ONLY: Final = Words(
    "照会ではこちらの支払いがあると言うが、機器には無い", "its witness names our payment, the machine has none"
)
NOBODY: Final = Words(
    "照会では支払いが無いと言うが、機器にはこちらの支払いがある",
    "its witness says that nobody paid, the machine has our payment",
)
SOMEBODY: Final = Words(
    "照会ではほかの人の支払いだと言うが、機器にはこちらの支払いがある",
    "its witness says that somebody else paid, the machine has our payment",
)


def _contradicted(act: Act) -> list[Words]:
    paid = act.taken > 0 and act.taken >= act.wanted
    match act.testimony:
        case Ours() if not act.taken:
            return [OURS_ONLY]
        case Nobody() if paid:
            return [NOBODY]
        case Cash() if paid:
            return [SOMEBODY]
    return []


def well_done(act: Act) -> tuple[Words, ...]:
    """What an undisturbed act must be, beyond holding the promises: done, and proven as the profile wants it."""
    return enough(act.outcome, act.needed)


def enough(outcome: Outcome | DaikoError, needed: Level) -> tuple[Words, ...]:
    """What an outcome lacks to count as done where the profile wants this level."""
    match outcome:
        case Applied(level=level) if level >= needed:
            return ()
        case Applied(level=level):
            proven, wanted = LEVELS[level], LEVELS[needed]
            return (
                Words(
                    f"確認の度合いは「{proven.ja}」だが、設定は「{wanted.ja}」を求めている",
                    f"proven as {proven.en} only; the profile wants {wanted.en}",
                ),
            )
    said = told(outcome)
    return (
        quoting(
            f"何の妨げも無いのに実行されない: {said.ja}", f"not done although nothing disturbed it: {said.en}", said
        ),
    )
