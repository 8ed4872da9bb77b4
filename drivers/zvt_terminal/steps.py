"""What the terminal says as the master, one message at a time. Pure data."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from drivers.zvt_terminal.approval import Approval
from drivers.zvt_terminal.codec import Apdu
from drivers.zvt_terminal.fields import Control, Result

DONE: Final = Apdu(Control.DONE)

YES: Final = frozenset({Control.DONE, Control.REFUSED})
"""Positive answers: 84 00 is one as well (PA00P015, "Positive Acknowledgement")."""


class Kind(StrEnum):
    """What a message of ours as the master is for."""

    STATUS = "status"
    RESULT = "result"
    PRINT = "print"
    END = "end"


@dataclass(frozen=True, slots=True)
class Step:
    """One message to be said; `about` is the approval that it tells of, `then` happens when it has been answered."""

    kind: Kind
    apdu: Apdu
    about: Approval | None = None
    not_before: float = float("-inf")
    then: Callable[[], None] | None = None


@dataclass(slots=True)
class Said:
    """The message whose answer is outstanding."""

    step: Step
    number: int
    at: float


def refused(why: Result) -> Apdu:
    """A command's negative answer."""
    return Apdu(Control.REFUSED | why)


def aborted(why: Result, about: Approval | None = None) -> Step:
    """The end of a dialogue in which it did not work."""
    return Step(Kind.END, Apdu(Control.ABORTED, bytes((why,))), about)


def completed(data: bytes = b"", about: Approval | None = None, then: Callable[[], None] | None = None) -> Step:
    """The end of a dialogue in which it did."""
    return Step(Kind.END, Apdu(Control.COMPLETION, data), about, then=then)
