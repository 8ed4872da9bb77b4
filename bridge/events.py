"""What the relay hears (events), what it has others do (effects), and what a lot's profile says (the scene). Pure."""

from dataclasses import dataclass
from enum import StrEnum

from bridge.case import Case, Step
from drivers.base import Outcome, Retry, Uncertain
from parking.commands import Verdict
from parking.errors import Code
from parking.outcome import Evidence, Level


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
    exit: str = ""
    turn: int = 0
    crowded: bool = False
    rival: bool = False
    """An earlier payment of the same stay is still open, or the machine may have acted on a later one."""
    partial: bool = False
    """What settles may take less than the amount, and says how much."""

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
    """Evidence was looked for: a receipt, a counter, a witness, an input.

    Of an exit: by how much its counter has `moved` since the attempt, and whether it stands `still`: closed, with the
    car before it, after it had the time to act.
    """

    attempt: int
    finding: Finding
    evidence: tuple[Evidence, ...]
    detail: str = ""
    moved: int | None = None
    still: bool = False


@dataclass(frozen=True, slots=True)
class Left:
    """The stay of the case has ended: the car is gone."""

    detail: str


@dataclass(frozen=True, slots=True)
class Overridden:
    """A person has opened by hand for the stay of the case; with `give_back` they do not want its payment.

    Unless `confirmed` it is not known whether the exit moved.
    """

    actor: str
    reason: str
    give_back: bool = False
    confirmed: bool = True


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


Event = Start | Due | Intending | NothingSent | Finished | Proof | Left | Overridden | Decided


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
