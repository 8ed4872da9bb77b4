"""Says afterwards for whom an exit was opened by hand, so that no payment is left without its end."""

from typing import Final
from uuid import uuid4

from PySide6.QtWidgets import QWidget

from console.board import Board
from console.decision import DecisionDialog
from console.whose import WhoseChoice
from parking.commands import Command, Verb
from parking.desk import OverrideView
from parking.reports import Whose

REASONS: Final = ("seen_leave", "asked_driver", "camera", "attendant", "other")


class AssignDialog(DecisionDialog):
    """For an override that nobody has matched yet."""

    def __init__(self, board: Board, parent: QWidget, override: OverrideView) -> None:
        super().__init__(board, parent, REASONS)
        self.override = override
        phrases = board.phrases
        self.whose = WhoseChoice(board, override.lot, None, later=False)
        self.extra.addWidget(self.whose)
        self.whose.changed.connect(self.check)
        exit_ = board.state.exits.get(f"{override.lot}/{override.exit}")
        title = phrases(
            "assign.title",
            exit=phrases.named(exit_.label, override.exit) if exit_ else override.exit,
            at=board.moment(override.at, override.lot),
            actor=override.actor,
        )
        self.say(title, phrases("assign.hint"), phrases("assign.confirm"))

    def command(self) -> Command:
        """The answer as the attendant confirmed it."""
        case = self.whose.case
        return Command(
            command_id=str(uuid4()),
            lot=self.override.lot,
            verb=Verb.ASSIGN,
            actor=self.actor.text().strip(),
            reason=self.reason,
            exit=self.override.exit,
            override=self.override.command_id,
            stay=self.whose.ref,
            whose=self.whose.whose,
            case=case.number if case else 0,
            give_back=self.whose.returned,
        )

    def missing(self) -> str:
        """As for any decision, and for whom it was."""
        return "order.missing.stay" if self.whose.unset else super().missing()

    def note_needed(self) -> bool:
        """An opening for nobody must be explained in words."""
        return super().note_needed() or self.whose.whose is Whose.NOBODY
