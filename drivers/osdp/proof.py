"""What came of a release or a hold, judged from what was seen before and after. Pure.

Evidence must say whose act it was. The device's own word does: its acknowledgement (which bears our sequence number,
and in a secure channel our key), or its output that reads on after our order and was off before: nobody but its control
panel switches it. An open arm alone does not: somebody may have paid in cash at the same moment.
"""

from dataclasses import dataclass, replace

from drivers.base import Applied, Outcome, Refused, Uncertain
from drivers.osdp.line import Told
from drivers.osdp.words import Reply
from parking.errors import Code
from parking.outcome import Evidence, EvidenceKind, Level

_DONE = frozenset((Reply.ACK, Reply.OSTATR))


@dataclass(frozen=True, slots=True)
class Sight:
    """What was seen of one release; both inputs and outputs as they were at any time since, off before it."""

    told: Told
    switched: bool = False
    opened: bool = False

    def with_reading(self, switched: bool | None, opened: bool | None) -> "Sight":
        """The same after another look; what could not be read stays as it was."""
        return replace(self, switched=self.switched or bool(switched), opened=self.opened or bool(opened))

    @property
    def acknowledged(self) -> bool:
        """Whether the device took the order."""
        return self.told.answer is not None and self.told.answer.code in _DONE


def refused(told: Told) -> Refused | None:
    """A refusal, if the answer is one: the device says no and has not acted.

    Not after a silence: then it may have acted the first time, and refuse the repetition alone (as devices do that do
    not keep their last answer). Not in plain where a secure channel stood: anybody on the line can say that.
    """
    answer = told.answer
    if answer is None or told.silences or not answer.certain:
        return None
    if answer.is_no or answer.code == Reply.BUSY:
        return Refused(Code.DEVICE_REFUSED, f"the device answered {answer}")
    return None


def complete(sight: Sight, watched: bool) -> bool:
    """Whether looking on cannot make the proof any better. `watched`: there is an input that shows the arm."""
    return (sight.acknowledged or sight.switched) and (sight.opened or not watched)


def verdict(sight: Sight) -> Outcome:
    """The outcome at the deadline, or when the proof is complete."""
    evidence = []
    if sight.switched:
        evidence.append(Evidence(EvidenceKind.OBSERVED, "output: off before, on after"))
    if sight.acknowledged:
        evidence.append(Evidence(EvidenceKind.ECHO, _words(sight.told)))
    if not evidence:
        if sight.opened:
            return Uncertain("open, but the device acknowledged nothing: perhaps by somebody else", Code.CONTRADICTION)
        answer = sight.told.answer
        words = "no answer to the command" if answer is None else f"no answer to the command but {answer}"
        return Uncertain(f"{words}, and nothing shows what became of it")
    if sight.opened:
        opened = Evidence(EvidenceKind.OBSERVED, "input: closed before, open after")
        return Applied(Level.PHYSICALLY_OBSERVED, (opened, *evidence))
    return Applied(Level.LINK_ACKED, tuple(evidence))


def _words(told: Told) -> str:
    times = "" if told.times == 1 else f", asked {told.times} times under one sequence number"
    return f"the device answered {told.answer}{times}"


def hold_verdict(told: Told, on: bool, output: bool | None, opened: bool | None) -> Outcome:
    """The outcome of beginning (`on`) or ending a hold; `output` and `opened` as read afterwards, None if unknown.

    Ending a hold moves nothing by itself: closing belongs to the controller, so the output is all there is to see.
    """
    acknowledged = Sight(told).acknowledged
    evidence = (Evidence(EvidenceKind.ECHO, _words(told)),) if acknowledged else ()
    if output is on:
        read = Evidence(EvidenceKind.OBSERVED, f"output reads {'on' if on else 'off'}")
        if on and opened:
            seen = Evidence(EvidenceKind.OBSERVED, "input: open")
            return Applied(Level.PHYSICALLY_OBSERVED, (seen, read, *evidence))
        return Applied(Level.LEGACY_CONFIRMED, (read, *evidence))
    if output is not None:
        return Uncertain(f"the output reads {'off' if on else 'on'} after the command", Code.CONTRADICTION)
    if acknowledged:
        return Applied(Level.LINK_ACKED, evidence)
    return Uncertain("no answer to the command, and the output cannot be read back")
