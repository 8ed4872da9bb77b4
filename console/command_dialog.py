"""Asks what an order to an exit needs: for which car, why, by whom. Nothing is sent before the confirmation."""

from typing import Final
from uuid import uuid4

from PySide6.QtWidgets import QComboBox, QWidget

from console.board import Board
from console.decision import DecisionDialog
from console.parts import label, name
from console.rows import StayRow
from console.selection import stay_for
from parking.desk import Command, ExitView, StayState, Verb
from parking.stay import StayRef

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
_UNSET: Final = "?"
_NOBODY: Final = ""


class CommandDialog(DecisionDialog):
    """For release, hold open and end hold. Only a release is for one car, so only it asks for the stay."""

    def __init__(self, board: Board, parent: QWidget, view: ExitView, verb: Verb) -> None:
        super().__init__(board, parent, REASONS)
        self.view = view
        self.verb = verb
        self._label = label("heading")
        self.stay = QComboBox()
        self.stay.setMaxVisibleItems(14)
        self._label.setBuddy(self.stay)
        if verb is Verb.RELEASE:
            self.extra.addWidget(self._label)
            self.extra.addWidget(self.stay)
            self._fill()
            self.stay.currentIndexChanged.connect(lambda _at: self.check())
        phrases = board.phrases
        self._label.setText(phrases("order.stay"))
        name(self.stay, phrases("order.stay"))
        word = phrases(f"verb.{verb}")
        where = f"{board.lot_name(view.lot)}  {phrases.named(view.label, view.exit)}"
        self.say(
            phrases("order.title", exit=where, verb=word), phrases(_HINTS[verb]), phrases("order.confirm", verb=word)
        )

    def command(self) -> Command:
        """The order as the attendant confirmed it."""
        return Command(
            command_id=str(uuid4()),
            lot=self.view.lot,
            verb=self.verb,
            actor=self.actor.text().strip(),
            reason=self.reason,
            exit=self.view.exit,
            stay=self._stay(),
        )

    def missing(self) -> str:
        """As for any decision, and for a release whom it is for."""
        if self.verb is Verb.RELEASE and self.stay.currentData() == _UNSET:
            return "order.missing.stay"
        return super().missing()

    def note_needed(self) -> bool:
        """A release for no car at all must be explained in words."""
        return super().note_needed() or (self.verb is Verb.RELEASE and self.stay.currentData() == _NOBODY)

    def _stay(self) -> StayRef | None:
        row = self._board.state.stays.get(self.stay.currentData() or "") if self.verb is Verb.RELEASE else None
        return row.view.stay if row else None

    def _fill(self) -> None:
        board, phrases = self._board, self._board.phrases
        likely = stay_for(board.state, self.view, board.chosen)
        if likely is None:
            self.stay.addItem(phrases("order.stay_choose"), _UNSET)
        self.stay.addItem(phrases("order.nobody"), _NOBODY)
        inside = (row for row in board.state.stays.values() if row.view.lot == self.view.lot)
        present = [row for row in inside if row.view.state is not StayState.GONE]
        for row in sorted(present, key=lambda row: row.order):
            self.stay.addItem(self._describe(row), row.view.key)
        if likely is not None and self.stay.findData(likely.view.key) < 0:
            self.stay.addItem(self._describe(likely), likely.view.key)
        self.stay.setCurrentIndex(self.stay.findData(likely.view.key) if likely else 0)

    def _describe(self, row: StayRow) -> str:
        board, view = self._board, row.view
        at = board.moment(view.stay.entered_at or view.seen_at, view.lot, seconds=False)
        parts = (board.phrases.stay(view.stay), view.plate, at, board.phrases(f"state.{view.state}"))
        return "   ".join(part for part in parts if part)
