"""The page of cases in doubt: what is known of each, and the two decisions a person can take."""

from collections.abc import Callable

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QWidget

from console.board import Board
from console.columns import CASES
from console.inputs import Progress
from console.parts import across, button, down, label, name
from console.selection import in_doubt
from console.state import State, pending_resolve
from console.tables import RowModel, Table
from parking.commands import Verdict
from parking.desk import CaseView

Decide = Callable[[CaseView, Verdict], None]


class DoubtsPage(QWidget):
    """Cases in doubt; `decide` opens the dialog that asks for reason and name."""

    def __init__(self, board: Board, decide: Decide) -> None:
        super().__init__()
        self._board = board
        self._decide = decide
        self.model = RowModel(board, CASES, lambda case: case.key)
        self.table = Table(self.model, len(CASES) - 1, "doubts")
        self._empty = label("quiet", centred=True, parent=self.table)
        self._heading = label("heading")
        self._evidence = label(wrap=True)
        self._evidence.setAlignment(Qt.AlignmentFlag.AlignTop)
        self._evidence.setMinimumHeight(96)
        self._evidence.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._progress = label("quiet")
        self.settled = button("order")
        self.not_settled = button("order")
        self._lay_out()
        self.settled.clicked.connect(lambda: self._chose(Verdict.SETTLED))
        self.not_settled.clicked.connect(lambda: self._chose(Verdict.NOT_SETTLED))
        self.table.chosen.connect(self._show)
        board.changed.connect(self._changed)
        board.ticked.connect(self.table.viewport().update)
        board.moved.connect(self.refresh)
        board.spoken.connect(self.retranslate)
        self.retranslate()

    def _lay_out(self) -> None:
        over = down(self.table)
        over.addWidget(self._empty)
        row = across(spacing=8)
        row.addWidget(self.settled, 1)
        row.addWidget(self.not_settled, 1)
        row.addWidget(self._progress, 2)
        column = down(self, spacing=6, margins=(10, 8, 10, 8))
        column.addWidget(self.table, 1)
        column.addWidget(self._heading)
        column.addWidget(self._evidence)
        column.addLayout(row)

    @property
    def case(self) -> CaseView | None:
        """The chosen case."""
        return self._board.state.cases.get(self.table.key)

    @property
    def evidence_text(self) -> str:
        """What is said of the chosen case."""
        return self._evidence.text()

    def retranslate(self) -> None:
        """Say everything in the language of the board."""
        phrases = self._board.phrases
        name(self.table, phrases("doubts.title"))
        self.model.headerDataChanged.emit(Qt.Orientation.Horizontal, 0, len(CASES) - 1)
        self._empty.setText(phrases("doubts.none"))
        self._heading.setText(phrases("doubts.evidence"))
        for choice, key in ((self.settled, "doubts.settle"), (self.not_settled, "doubts.not_settle")):
            choice.setText(phrases(key))
            name(choice, phrases(key))
        self.refresh()

    def refresh(self) -> None:
        """Show the cases of the lot that is looked at; the oldest is chosen if none is."""
        self.model.show_rows(in_doubt(self._board.state, self._board.lot))
        if self.model.keys and self.table.key not in self.model.keys:
            self.table.choose(self.model.keys[0])
        self._empty.setVisible(not self.model.rows)
        self._show()

    def _changed(self, before: State) -> None:
        state = self._board.state
        if state.cases is not before.cases or state.lots is not before.lots:
            self.refresh()
        elif state.contact is not before.contact or state.orders is not before.orders:
            self.model.repaint()
            self._show()

    def _show(self, _key: str = "") -> None:
        case, phrases = self.case, self._board.phrases
        order = pending_resolve(self._board.state, case) if case else None
        waits = order is not None and order.progress in (Progress.SENDING, Progress.COMMANDED)
        usable = case is not None and case.key in self.model.keys and self._board.state.live and not waits
        self.settled.setEnabled(usable)
        self.not_settled.setEnabled(usable)
        self._progress.setText(phrases("doubts.pending") if waits else "")
        if case is None or case.key not in self.model.keys:
            self._evidence.setText(phrases("doubts.choose") if self.model.rows else "")
            return
        lines = [f"{phrases(f'evidence.{item.kind}')}: {item.text}" for item in case.evidence]
        cause = phrases.cause(case.code, case.detail)
        self._evidence.setText("\n".join([cause, *(lines or [phrases("doubts.no_evidence")])]))

    def _chose(self, verdict: Verdict) -> None:
        case = self.case
        if case is not None:
            self._decide(case, verdict)
