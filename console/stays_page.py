"""The page of all stays: filters, the table, and what happened to the chosen one."""

from operator import attrgetter

from PySide6.QtCore import Qt, QTimer
from PySide6.QtWidgets import QButtonGroup, QSplitter, QWidget

from console.board import Board
from console.columns import STAYS
from console.parts import across, button, down, label, name
from console.selection import Filter, Selection, arrange, counts
from console.state import State
from console.tables import RowModel, Table
from console.timeline_pane import TimelinePane

_LOT_COLUMN = next(at for at, column in enumerate(STAYS) if column.key == "lot")
_PLATE_COLUMN = next(at for at, column in enumerate(STAYS) if column.key == "plate")


class StaysPage(QWidget):
    """Everything about the cars in the lot."""

    def __init__(self, board: Board) -> None:
        super().__init__()
        self._board = board
        self.selection = Selection()
        self.model = RowModel(board, STAYS, attrgetter("key"))
        self.table = Table(self.model, _PLATE_COLUMN, "stays")
        self.table.sort_shown(self.selection.column, descending=False)
        self.timeline = TimelinePane(board)
        self.filters = {wanted: button("filter", checkable=True) for wanted in Filter}
        self._shown = label("quiet")
        self._empty = label("quiet", centred=True, parent=self.table)
        self._lay_out()
        self.table.chosen.connect(self._chosen)
        self.table.sorted.connect(self._sorted)
        board.changed.connect(self._changed)
        board.ticked.connect(self._ticked)
        board.spoken.connect(self.retranslate)
        board.moved.connect(self.refresh)
        self.retranslate()

    def _lay_out(self) -> None:
        row = across(spacing=6)
        group = QButtonGroup(self)
        for wanted, choice in self.filters.items():
            group.addButton(choice)
            row.addWidget(choice)
            choice.clicked.connect(lambda _checked, chosen=wanted: self._wanted(chosen))
        self.filters[Filter.IN_LOT].setChecked(True)
        row.addStretch(1)
        row.addWidget(self._shown)
        split = QSplitter(Qt.Orientation.Vertical)
        split.setChildrenCollapsible(False)
        split.addWidget(self.table)
        split.addWidget(self.timeline)
        split.setStretchFactor(0, 3)
        split.setStretchFactor(1, 1)
        split.setSizes([390, 220])
        column = down(self, spacing=6, margins=(10, 8, 10, 8))
        column.addLayout(row)
        column.addWidget(split, 1)
        # A label over the table, kept in the middle of it: an empty table must say why.
        over = down(self.table)
        over.addWidget(self._empty)

    def search(self, text: str) -> None:
        """Show what matches, in any state; '' goes back to the filter."""
        self._select(Selection(text, self.selection.wanted, 0, self.selection.column, self.selection.descending))

    def choose(self, key: str) -> bool:
        """Choose a stay by its key; False if it is not shown."""
        return self.table.choose(key)

    def retranslate(self) -> None:
        """Say everything in the language of the board."""
        phrases = self._board.phrases
        name(self.table, phrases("stays.title"))
        self.model.headerDataChanged.emit(Qt.Orientation.Horizontal, 0, len(STAYS) - 1)
        self.refresh()

    def refresh(self) -> None:
        """Search, filter and sort anew."""
        self.selection = Selection(
            self.selection.search,
            self.selection.wanted,
            self._board.lot,
            self.selection.column,
            self.selection.descending,
        )
        state = self._board.state
        self.model.show_rows(arrange(state, self.selection))
        self.table.setColumnHidden(_LOT_COLUMN, len(state.lots) < 2 or self._board.lot != 0)
        self._say_counts()

    def _say_counts(self) -> None:
        phrases, state = self._board.phrases, self._board.state
        numbers = counts(state, self._board.lot)
        for wanted, choice in self.filters.items():
            text = f"{phrases(f'filter.{wanted}')} {numbers[wanted]}"
            if text != choice.text():
                choice.setText(text)
                name(choice, f"{phrases('stays.filters')}: {text}")
        found, text = len(self.model.rows), self.selection.search.strip()
        self._shown.setText(
            phrases("stays.found", text=text, count=found) if text else phrases("stays.shown", count=found)
        )
        self._empty.setVisible(not found)
        self._empty.setText(phrases("stays.none" if state.lots else "stays.waiting"))

    def _select(self, selection: Selection) -> None:
        self.selection = selection
        self.refresh()

    def _wanted(self, wanted: Filter) -> None:
        now = self.selection
        self._select(Selection(now.search, wanted, now.lot, now.column, now.descending))

    def _sorted(self, column: str, descending: bool) -> None:
        now = self.selection
        self._select(Selection(now.search, now.wanted, now.lot, column, descending))

    def _changed(self, before: State) -> None:
        state = self._board.state
        if state.stays is not before.stays or state.lots is not before.lots:
            self.refresh()
        elif state.contact is not before.contact:
            self.model.repaint()

    def _ticked(self) -> None:
        if self.isVisible():
            self.table.viewport().update()

    def _chosen(self, key: str) -> None:
        self._board.chosen = key
        # One question for a burst of arrow keys, and none before the row itself is painted.
        QTimer.singleShot(0, self.timeline.refresh)
