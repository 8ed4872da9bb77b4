"""What happened to the chosen stay, oldest first, as the bridge has it on record."""

from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import QWidget

from console.board import Board
from console.columns import TIMELINE
from console.parts import down, label, name
from console.state import State
from console.tables import RowModel, Table
from parking.desk import CommandView, Timeline
from parking.errors import DaikoError

_GATHER_MS = 250


class TimelinePane(QWidget):
    """Follows `Board.chosen`; asks again when that stay or its case changes."""

    def __init__(self, board: Board) -> None:
        super().__init__()
        self._board = board
        self._asked = ""
        self._answer: Timeline | DaikoError | None = None
        self._title = label("heading")
        self.model = RowModel(board, TIMELINE, lambda row: f"{row[1].at.timestamp()}{row[1].source}{row[1].what}")
        self.table = Table(self.model, len(TIMELINE) - 1, "timeline")
        self._hint = label("quiet", centred=True, parent=self.table)
        over = down(self.table)
        over.addWidget(self._hint)
        column = down(self, spacing=4, margins=(0, 4, 0, 0))
        column.addWidget(self._title)
        column.addWidget(self.table, 1)
        self._soon = QTimer(self, singleShot=True, interval=_GATHER_MS)
        self._soon.timeout.connect(self._ask)
        board.timeline.connect(self._arrived)
        board.changed.connect(self._changed)
        board.spoken.connect(self._show)
        self._show()

    def refresh(self) -> None:
        """Show the stay that is chosen now."""
        if self._board.chosen != self._asked:
            self._asked, self._answer = self._board.chosen, None
            self._ask()
        self._show()

    def _ask(self) -> None:
        row = self._board.state.stays.get(self._asked)
        if row is not None and self._board.state.live:
            self._board.ask_timeline(row.view.lot, row.view.stay.key)

    def _arrived(self, stay_key: str, answer: Timeline | DaikoError) -> None:
        row = self._board.state.stays.get(self._asked)
        if row is not None and row.view.stay.key == stay_key:
            self._answer = answer
            self._show()

    def _changed(self, before: State) -> None:
        state, key = self._board.state, self._asked
        if not key:
            return
        stay, was = state.stays.get(key), before.stays.get(key)
        case = f"{stay.view.lot}/{stay.view.case}" if stay else ""
        same_case = state.cases.get(case) == before.cases.get(case)
        ordered = state.exits is not before.exits and _orders(state) != _orders(before)
        if stay is not was or not same_case or ordered or state.contact is not before.contact:
            self._soon.start()

    def _show(self) -> None:
        phrases, row = self._board.phrases, self._board.state.stays.get(self._asked)
        name(self.table, phrases("column.what"))
        self.model.headerDataChanged.emit(Qt.Orientation.Horizontal, 0, len(TIMELINE) - 1)
        entries = self._answer.entries if isinstance(self._answer, Timeline) else ()
        lot = row.view.lot if row else 0
        self.model.show_rows([(lot, entry) for entry in entries])
        self.table.scrollToBottom()
        self._hint.setVisible(not entries)
        if row is None:
            self._title.setText(phrases("detail.none"))
            self._hint.setText("")
            return
        self._title.setText(phrases("detail.title", stay=phrases.stay(row.view.stay.kind, row.shown)))
        if isinstance(self._answer, DaikoError):
            text = phrases.cause(self._answer.code, self._answer.detail)
            self._hint.setText(phrases("detail.failed", text=text))
        else:
            self._hint.setText(phrases("detail.loading" if self._answer is None else "detail.empty"))


def _orders(state: State) -> list[CommandView | None]:
    """The last order at each exit; a new one may have been for the stay that is shown."""
    return [view.command for view in state.exits.values()]
