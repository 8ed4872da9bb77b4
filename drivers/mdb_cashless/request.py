"""One request of the machine for money, from its VEND REQUEST to what the machine says became of our approval."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from parking.money import Yen
from parking.stay import StayRef


class Stage(StrEnum):
    """How far a request is."""

    ASKED = "asked"
    """The machine waits for money; we have said nothing."""
    READY = "ready"
    """An approval waits to be said; no byte of it has left."""
    SAID = "said"
    """An approval was given to the line; whether it left is known in a moment."""
    APPROVED = "approved"
    """An approval left; the machine has yet to say what became of it."""
    WITHDRAWN = "withdrawn"
    """The machine no longer asks, and no byte of an approval has left."""
    UNSENT = "unsent"
    """An approval was to be said and certainly was not; it never will be."""
    SOLD = "sold"
    """The machine said VEND SUCCESS."""
    RESET = "reset"
    """The machine took the approval and was reset before it said what it gave: by the specification, a success."""
    FAILED = "failed"
    """The machine said VEND FAILURE: it gave nothing."""
    LATE = "late"
    """The machine had withdrawn its request before the adapter saw our approval."""
    NOT_TAKEN = "not_taken"
    """The adapter could make nothing of our approval; the machine has heard nothing of it."""
    UNCLEAR = "unclear"
    """An approval left, and the request is over without a word of the machine about it."""


SETTLED: Final = frozenset({Stage.SOLD, Stage.RESET})
UNTOUCHED: Final = frozenset({Stage.WITHDRAWN, Stage.UNSENT, Stage.FAILED, Stage.LATE, Stage.NOT_TAKEN})
"""It is certain that the machine did not act on an approval of ours."""
_SAID: Final = frozenset({Stage.APPROVED, Stage.UNCLEAR})


@dataclass(slots=True)
class Request:
    """Changed only by the methods below, each of which is one thing that was heard or done."""

    ref: StayRef
    amount: Yen
    written: str
    """The amount as the adapter wrote it, and as it is said back."""
    stage: Stage = Stage.ASKED
    reference: str = ""
    """Whose approval it is."""
    acknowledged: bool = False
    """The controller acknowledged something after the approval had left."""
    over: bool = False
    """The machine has left the vend."""
    closed: bool = False
    """It asked anew since: what comes now is about another request."""
    words: str = ""
    """What is known about the end, for people."""

    @property
    def open(self) -> bool:
        """Whether the machine is still at it."""
        return self.stage in (Stage.ASKED, Stage.READY, Stage.SAID, Stage.APPROVED)

    @property
    def decided(self) -> bool:
        """Whether nothing more can become of it."""
        return self.stage in SETTLED | UNTOUCHED or self.closed

    def approve(self, reference: str) -> None:
        """Somebody has paid; the approval is to be said."""
        self.stage, self.reference = Stage.READY, reference

    def withhold(self) -> None:
        """Take back an approval that has not been said: the machine goes on asking."""
        if self.stage is Stage.READY:
            self.stage, self.reference = Stage.ASKED, ""

    def succeeded(self) -> bool:
        """VEND SUCCESS. False if no approval of ours can have brought it about."""
        if self.closed or self.stage not in _SAID | {Stage.RESET}:
            return False
        self.stage, self.words = Stage.SOLD, "the machine said VEND SUCCESS"
        return True

    def failed(self) -> bool:
        """VEND FAILURE. False if there was no approval of ours that could fail."""
        if self.closed or self.stage not in _SAID:
            return False
        self.stage, self.words = Stage.FAILED, "the machine said VEND FAILURE: it gave nothing for the approval"
        return True

    def not_taken(self, words: str) -> bool:
        """The adapter says that it could make nothing of the approval. False if there was none that it could mean.

        Not believed where the controller has acknowledged something since the approval left: perhaps the approval.
        """
        if self.stage is Stage.APPROVED and not self.acknowledged:
            self.stage, self.words = Stage.NOT_TAKEN, f"the adapter did not take the approval: {words}"
            return True
        self.nothing_asked(words)
        return False

    def nothing_asked(self, words: str) -> None:
        """The adapter says that nothing was asked for when the approval came.

        Believed only where the machine had left the vend already: two words that fit together.
        """
        if self.stage is Stage.UNCLEAR and self.over and not self.closed:
            self.stage, self.words = Stage.LATE, f"the machine withdrew its request before the approval: {words}"
        elif self.stage in _SAID and not self.closed:
            self.stage, self.words = Stage.UNCLEAR, f"the adapter knew of no request for the approval: {words}"

    def left(self, words: str = "the machine withdrew its request") -> None:
        """The machine is no longer in the vend, and did not say why. `words`: for what was not approved by then."""
        self.over = True
        if self.stage in (Stage.ASKED, Stage.READY):
            self.stage, self.words = Stage.WITHDRAWN, words
        elif self.stage is Stage.APPROVED:
            self.stage, self.words = (
                Stage.UNCLEAR,
                "the machine ended the vend and did not say whether it gave anything",
            )

    def reset(self, acknowledging: bool) -> None:
        """The controller has reset the reader, on a line that did not break.

        MDB/ICP 4.2, section 7: a reset between VEND APPROVED and VEND SUCCESS "shall be interpreted as a VEND SUCCESS".
        That is so once the machine has the approval, which an adapter that writes acknowledgements down shows
        (`acknowledging`); before, a reset says nothing.
        """
        if self.stage is not Stage.APPROVED:
            self.left()
        elif self.acknowledged or not acknowledging:
            self.stage = Stage.RESET
            self.words = 'reset after VEND APPROVED: "shall be interpreted as a VEND SUCCESS" (MDB/ICP 4.2)'
        else:
            self.stage, self.over = Stage.UNCLEAR, True
            self.words = "the machine was reset, perhaps before it took the approval"

    def lost(self, certain: bool) -> None:
        """The line broke. `certain`: no byte of what was given to it last has left."""
        if self.stage is Stage.ASKED:
            self.stage, self.words = Stage.WITHDRAWN, "the line to the adapter broke before anything was said"
        elif self.stage is Stage.READY or (self.stage is Stage.SAID and certain):
            self.stage, self.words = Stage.UNSENT, "the line to the adapter broke before the approval left"
        elif self.stage in (Stage.SAID, Stage.APPROVED):
            self.stage, self.words = Stage.UNCLEAR, "the line to the adapter broke after the approval had left"

    def superseded(self) -> None:
        """The machine asks anew."""
        if self.stage in (Stage.ASKED, Stage.READY):
            self.left()
        elif self.stage in _SAID | {Stage.SAID}:
            self.stage = Stage.UNCLEAR
            self.words = self.words or "the machine asked anew and did not say what became of the approval"
        self.closed = True
