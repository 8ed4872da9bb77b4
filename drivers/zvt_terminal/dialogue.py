"""One dialogue after another: whose turn it is, what an answer belongs to, whether a payment's end was read. Pure.

Nothing is said while an answer is outstanding, so that each answer belongs to the one message before it.
"""

from collections import deque
from typing import Final

from drivers.zvt_terminal.codec import Apdu
from drivers.zvt_terminal.fields import Control
from drivers.zvt_terminal.line import Line
from drivers.zvt_terminal.steps import Kind, Said, Step

CROSSING: Final = 0.3
"""Seconds for which an answer may still be under way that was meant for a message from before a command."""

UNSURE: Final = frozenset({Control.ABORT, Control.REPEAT_RECEIPT, Control.REVERSAL, Control.REFUND})
"""Commands of a machine that wants out of a payment, asks what became of it, or wants it back."""


class Dialogue:
    """What is to be said to the machine, what was said, and what it has answered."""

    def __init__(self, line: Line, t4: float) -> None:
        """`t4`: seconds without a message of ours after which a machine gives a payment up, at least."""
        self._line, self._t4 = line, t4
        self._quiet_until = float("-inf")
        self._end: Said | None = None
        self.steps: deque[Step] = deque()
        """What is to be said yet."""
        self.said: Said | None = None
        """The message whose answer is outstanding."""
        self.began: Apdu | None = None
        """The command that made us the master."""
        self.interrupts = False
        """Whether this machine commands while we are the master."""
        self._interjected = False

    def answer(self, answer: Apdu) -> None:
        """Answer a command."""
        self._line.say(answer)

    def interject(self, answer: Apdu, now: float) -> None:
        """Answer a command while we are the master. Some machines answer that as well: nothing is said meanwhile."""
        self._line.say(answer)
        self._quiet_until, self._interjected = now + CROSSING, self.said is not None

    def say(self, step: Step, now: float) -> None:
        """Say something as the master."""
        self.said = Said(step, self._line.say(step.apdu), now)
        if step.about is not None and step.kind is Kind.END:
            self._end = self.said
            step.about.ends += 1

    def may_speak(self, now: float) -> bool:
        """Whether nothing is outstanding, on neither level."""
        return self.said is None and now >= self._quiet_until and self._line.free(now)

    def take_answer(self, now: float) -> Said | None:
        """What an answer that has just come belongs to; None if it is one to something older, said once more."""
        said = self.said
        if said is None or not self._line.arrived(said.number):
            return None
        self.said = None
        if self._interjected:
            self._quiet_until, self._interjected = now + CROSSING, False
        if said.step.kind is Kind.END:
            self.began = self._end = None
        return said

    @property
    def is_master(self) -> bool:
        """Whether we are to tell something yet. A no must have arrived; a yes that was said needs only be said."""
        said = self.said
        if self.began is None or said is None or said.step.kind is not Kind.END:
            return self.began is not None
        return said.step.apdu.control == Control.ABORTED and not self._line.arrived(said.number)

    def take_end(self, control: int, now: float) -> Step | None:
        """The end of a payment that the machine must have read, although it did not answer: it commands in its turn.

        The end came before on the same unbroken line, and until it was read, or T4 is over, commands are not the
        machine's to give. Nothing is known if it asks what became of the payment; if it gives commands out of turn, but
        for a new payment; and on a cable, where nobody sees a machine restart, if it registers.
        """
        end = self._end
        if end is None:
            return None
        restarted = control == Control.REGISTRATION and not self._line.ends_with_its_machine
        in_time = self._line.arrived(end.number) and now - end.at <= self._t4
        if control in UNSURE or restarted or not in_time:
            self._end = None
            return None
        if self.interrupts and control != Control.AUTHORISATION:
            return None
        self._end = None
        return end.step

    def hush(self, now: float) -> None:
        """Say nothing more of the dialogue that was. An answer that crossed the command must not count for the next."""
        if self.said is not None:
            self._quiet_until = now + CROSSING
        self.said = None
        self._line.hush()

    def drop(self, kind: Kind) -> None:
        """Say nothing of that kind any more in this dialogue."""
        self.steps = deque(step for step in self.steps if step.kind is not kind)

    def over(self) -> None:
        """What is not said yet never will be."""
        self.said = self.began = None
        self._interjected = False
        self.steps.clear()

    def anew(self) -> None:
        """The line is a new one: nothing that was said on the old one counts for what is heard on this."""
        self.over()
        self._end, self.interrupts = None, False
        self._line.reset()
