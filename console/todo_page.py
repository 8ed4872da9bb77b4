"""The page of what a person must still end: alarms, and openings by hand that nobody has matched to a stay."""

from collections.abc import Callable

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QWidget

from console.board import Board
from console.columns import TODO
from console.parts import across, button, down, label, name
from console.selection import todo
from console.state import State
from console.tables import RowModel, Table
from parking.desk import OverrideView

Assign = Callable[[OverrideView], None]


class TodoPage(QWidget):
    """Oldest first; `assign` opens the dialog that asks for whom an override was."""

    def __init__(self, board: Board, assign: Assign) -> None:
        super().__init__()
        self._board = board
        self._assign = assign
        self.model = RowModel(board, TODO, lambda row: row.key)
        self.table = Table(self.model, len(TODO) - 1, "todo")
        self._empty = label("quiet", centred=True, parent=self.table)
        self._text = label(wrap=True)
        self._text.setAlignment(Qt.AlignmentFlag.AlignTop)
        self._text.setMinimumHeight(72)
        self.assign = button("order")
        over = down(self.table)
        over.addWidget(self._empty)
        row = across(spacing=8)
        row.addWidget(self.assign, 1)
        row.addStretch(2)
        column = down(self, spacing=6, margins=(10, 8, 10, 8))
        column.addWidget(self.table, 1)
        column.addWidget(self._text)
        column.addLayout(row)
        self.assign.clicked.connect(self._chose)
        self.table.chosen.connect(self._show)
        board.changed.connect(self._changed)
        board.ticked.connect(self.table.viewport().update)
        board.moved.connect(self.refresh)
        board.spoken.connect(self.retranslate)
        self.retranslate()

    @property
    def override(self) -> OverrideView | None:
        """The chosen override, if it is one."""
        return self._board.state.unmatched.get(self.table.key)

    def retranslate(self) -> None:
        """Say everything in the language of the board."""
        phrases = self._board.phrases
        name(self.table, phrases("todo.title"))
        self.model.headerDataChanged.emit(Qt.Orientation.Horizontal, 0, len(TODO) - 1)
        self._empty.setText(phrases("todo.none"))
        self.assign.setText(phrases("todo.assign"))
        name(self.assign, phrases("todo.assign"))
        self.refresh()

    def refresh(self) -> None:
        """Show what waits at the lot that is looked at; the oldest is chosen if none is."""
        self.model.show_rows(todo(self._board.state, self._board.lot))
        if self.model.keys and self.table.key not in self.model.keys:
            self.table.choose(self.model.keys[0])
        self._empty.setVisible(not self.model.rows)
        self._show()

    def _changed(self, before: State) -> None:
        state = self._board.state
        if state.alarms is not before.alarms or state.unmatched is not before.unmatched or state.lots != before.lots:
            self.refresh()
        elif state.contact is not before.contact:
            self._show()

    def _show(self, _key: str = "") -> None:
        row = next((row for row in self.model.rows if row.key == self.table.key), None)
        phrases = self._board.phrases
        self.assign.setEnabled(self.override is not None and self._board.state.live)
        if row is None:
            self._text.setText("")
        elif row.override is not None:
            reason = phrases.particular(row.detail)
            self._text.setText(phrases("todo.override", actor=row.override.actor, reason=reason))
        else:
            self._text.setText(phrases.cause(row.code, row.detail))

    def _chose(self) -> None:
        if self.override is not None:
            self._assign(self.override)
