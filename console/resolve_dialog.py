"""Asks for the reason and the name behind a decision about a case in doubt, and says what it will do to the money."""

from typing import Final
from uuid import uuid4

from PySide6.QtWidgets import QWidget

from console.board import Board
from console.decision import DecisionDialog
from parking.commands import Command, Verb, Verdict
from parking.desk import CaseView

_REASONS: Final = {
    Verdict.SETTLED: ("seen_open", "car_gone", "receipt_checked", "attendant", "other"),
    Verdict.NOT_SETTLED: ("seen_closed", "paid_cash", "receipt_checked", "attendant", "other"),
}


class ResolveDialog(DecisionDialog):
    """For a decision that cannot be undone: settled is charged, not settled is voided."""

    def __init__(self, board: Board, parent: QWidget, case: CaseView, verdict: Verdict) -> None:
        super().__init__(board, parent, _REASONS[verdict])
        self.case = case
        self.verdict = verdict
        phrases = board.phrases
        word = phrases(f"resolve.{verdict}")
        title = phrases(
            "resolve.title", stay=board.stay(case.lot, case.stay), amount=phrases.amount(case.amount), verdict=word
        )
        self.say(title, phrases(f"resolve.{verdict}_hint"), phrases("order.confirm", verb=word))

    def command(self) -> Command:
        """The decision as the attendant confirmed it."""
        return Command(
            command_id=str(uuid4()),
            lot=self.case.lot,
            verb=Verb.RESOLVE,
            actor=self.actor.text().strip(),
            reason=self.reason,
            exit=self.case.exit,
            stay=self.case.stay,
            case=self.case.number,
            verdict=self.verdict,
        )
