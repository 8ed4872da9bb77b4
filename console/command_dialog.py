"""Asks what an order to an exit needs: for which car, why, by whom. Nothing is sent before the confirmation."""

from typing import Final
from uuid import uuid4

from PySide6.QtGui import QIntValidator
from PySide6.QtWidgets import QLineEdit, QWidget

from console.board import Board
from console.decision import DecisionDialog
from console.parts import label, name
from console.selection import stay_for
from console.whose import WhoseChoice
from parking.commands import Command, Verb
from parking.desk import ExitView
from parking.reports import Whose

REASONS: Final = (
    "malfunction",
    "paid_checked",
    "emergency",
    "maintenance",
    "attendant",
    "ticket_lost",
    "staff_vehicle",
    "blocked",
    "other",
)
_HINTS: Final = {
    Verb.RELEASE: "order.release_hint",
    Verb.HOLD_OPEN: "order.hold_hint",
    Verb.END_HOLD: "order.end_hint",
}
_MOST_CLAIMED: Final = 9_999_999


class CommandDialog(DecisionDialog):
    """For release, hold open and end hold. Only a release is for one car, so only it asks for the stay.

    Opening never waits for a PIN: where one is wanted and nobody has signed in, the order goes out as an emergency.
    """

    def __init__(self, board: Board, parent: QWidget, view: ExitView, verb: Verb) -> None:
        super().__init__(board, parent, REASONS)
        self.view = view
        self.verb = verb
        self.emergency = board.state.sign_in and board.state.session is None and verb is not Verb.END_HOLD
        phrases = board.phrases
        self.whose = WhoseChoice(board, view.lot, stay_for(board.state, view, board.chosen), later=True)
        self.claim = QLineEdit(maxLength=7)
        self.claim.setValidator(QIntValidator(0, _MOST_CLAIMED, self))
        if verb is Verb.RELEASE:
            caption = label("heading")
            caption.setText(phrases("order.claim"))
            caption.setBuddy(self.claim)
            name(self.claim, phrases("order.claim"))
            for widget in (self.whose, caption, self.claim):
                self.extra.addWidget(widget)
            self.whose.changed.connect(self.check)
        word = phrases(f"verb.{verb}")
        where = f"{board.lot_name(view.lot)}  {phrases.named(view.label, view.exit)}"
        hint = phrases(_HINTS[verb])
        if self.emergency:
            hint = f"{phrases('order.emergency_hint')}\n{hint}"
        self.say(phrases("order.title", exit=where, verb=word), hint, phrases("order.confirm", verb=word))

    def command(self) -> Command:
        """The order as the attendant confirmed it."""
        release = self.verb is Verb.RELEASE
        case = self.whose.case if release else None
        return Command(
            command_id=str(uuid4()),
            lot=self.view.lot,
            verb=self.verb,
            actor=self.actor.text().strip(),
            reason=self.reason,
            exit=self.view.exit,
            stay=self.whose.ref if release else None,
            whose=self.whose.whose if release else Whose.NOBODY,
            case=case.number if case else 0,
            give_back=release and self.whose.returned,
            claim=int(self.claim.text()) if release and self.claim.text() else None,
            emergency=self.emergency,
        )

    def missing(self) -> str:
        """As for any decision, and for a release whom it is for."""
        if self.verb is Verb.RELEASE and self.whose.unset:
            return "order.missing.stay"
        return super().missing()

    def note_needed(self) -> bool:
        """A release for no car at all must be explained in words."""
        return super().note_needed() or (self.verb is Verb.RELEASE and self.whose.whose is Whose.NOBODY)
