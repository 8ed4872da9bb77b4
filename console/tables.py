"""One table for everything: rows are plain objects, painted straight from them; a tick needs no model work.

A custom delegate that paints from the row is some ten times faster than `data()` with roles, and `data()` then serves
screen readers and tests only.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, QRect, QRectF, Qt, Signal
from PySide6.QtGui import QColor, QPainter
from PySide6.QtWidgets import QHeaderView, QStyle, QStyledItemDelegate, QStyleOptionViewItem, QTableView, QWidget

from console.board import Board
from console.glyphs import paint_alarm, paint_hatch
from console.tokens import CHOSEN, INK, LINE, PAPER, QUIET, STRIPE

ROW_HEIGHT: Final = 28
_MARGIN: Final = 7
_DISPLAY: Final = Qt.ItemDataRole.DisplayRole.value
_ACCESSIBLE: Final = Qt.ItemDataRole.AccessibleTextRole.value
_SELECTED: Final = QStyle.StateFlag.State_Selected

Index = QModelIndex | QPersistentModelIndex


@dataclass(frozen=True, slots=True)
class Column:
    """How one column reads a row. `key` names its title (`column.KEY`) and its sorting; `mark` an alarm priority."""

    key: str
    width: int
    text: Callable[[Any, Board], str]
    right: bool = False
    mark: Callable[[Any, Board], int] | None = None
    sortable: bool = False


class RowModel(QAbstractTableModel):
    """Rows in the order in which they are given; `key_of` tells rows apart across changes."""

    def __init__(self, board: Board, columns: Sequence[Column], key_of: Callable[[Any], str]) -> None:
        super().__init__()
        self.board = board
        self.columns = tuple(columns)
        self.rows: Sequence[Any] = ()
        self.keys: list[str] = []
        self._key_of = key_of

    def show_rows(self, rows: Sequence[Any]) -> None:
        """Replace all rows; the cheapest signal that is still true is sent."""
        keys = [self._key_of(row) for row in rows]
        if keys == self.keys:
            self.rows = rows
            self.repaint()
            return
        self.beginResetModel()
        self.rows, self.keys = rows, keys
        self.endResetModel()

    def repaint(self) -> None:
        """Have all visible cells painted anew."""
        if self.rows:
            self.dataChanged.emit(self.index(0, 0), self.index(len(self.rows) - 1, len(self.columns) - 1))

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: N802, B008 - Qt's name and its own default
        """How many rows there are."""
        return 0 if parent.isValid() else len(self.rows)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: N802, B008 - Qt's name and its own default
        """How many columns there are."""
        return 0 if parent.isValid() else len(self.columns)

    def data(self, index: Index, role: int = _DISPLAY) -> str | None:
        """A cell's text, for screen readers and tests."""
        if role not in (_DISPLAY, _ACCESSIBLE):
            return None
        return self.columns[index.column()].text(self.rows[index.row()], self.board)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = _DISPLAY) -> object:  # noqa: N802 - Qt's
        """A column's title."""
        if orientation is not Qt.Orientation.Horizontal:
            return None
        if role == Qt.ItemDataRole.TextAlignmentRole.value:
            side = Qt.AlignmentFlag.AlignRight if self.columns[section].right else Qt.AlignmentFlag.AlignLeft
            return side | Qt.AlignmentFlag.AlignVCenter
        return self.board.phrases(f"column.{self.columns[section].key}") if role == _DISPLAY else None


class CellDelegate(QStyledItemDelegate):
    """Paints cells from the model's rows: alarm mark, text, and hatching while the bridge cannot be reached."""

    def __init__(self, model: RowModel, parent: QWidget) -> None:
        super().__init__(parent)
        self._model = model
        self._colours = {name: QColor(name) for name in (CHOSEN, PAPER, STRIPE, INK, QUIET, LINE)}

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: Index) -> None:
        """Paint one cell."""
        model, place, at = self._model, index.row(), index.column()
        column, row, rect = model.columns[at], model.rows[place], option.rect
        live = model.board.state.live
        chosen = bool(option.state & _SELECTED)
        painter.fillRect(rect, self._colours[CHOSEN if chosen else STRIPE if place % 2 else PAPER])
        if not live:
            paint_hatch(painter, QRectF(rect))
        text_box = rect.adjusted(_MARGIN, 0, -_MARGIN, 0)
        priority = column.mark(row, model.board) if column.mark else 0
        if priority:
            side = ROW_HEIGHT - 8
            paint_alarm(painter, QRectF(text_box.left(), rect.top() + 4, side, side), priority)
            text_box.setLeft(text_box.left() + side + 5)
        self._text(painter, option, text_box, column, column.text(row, model.board))
        if chosen and at == 0:
            painter.fillRect(QRect(rect.left(), rect.top(), 4, rect.height()), self._colours[INK])

    def _text(self, painter: QPainter, option: QStyleOptionViewItem, box: QRect, column: Column, text: str) -> None:
        metrics = option.fontMetrics
        if metrics.horizontalAdvance(text) > box.width():
            text = metrics.elidedText(text, Qt.TextElideMode.ElideRight, box.width())
        side = Qt.AlignmentFlag.AlignRight if column.right else Qt.AlignmentFlag.AlignLeft
        painter.setPen(self._colours[INK])
        painter.drawText(box, side | Qt.AlignmentFlag.AlignVCenter, text)


class Table(QTableView):
    """A table of a `RowModel` that keeps the chosen row across changes. `chosen` carries its key, '' for none."""

    chosen = Signal(str)
    sorted = Signal(str, bool)

    def __init__(self, model: RowModel, stretch: int, name: str) -> None:
        super().__init__()
        self._rows = model
        self._key = ""
        self.setObjectName(name)
        model.setParent(self)
        self.setModel(model)
        self.setItemDelegate(CellDelegate(model, self))
        self.setSelectionBehavior(QTableView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QTableView.SelectionMode.SingleSelection)
        self.setEditTriggers(QTableView.EditTrigger.NoEditTriggers)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setTabKeyNavigation(False)
        self.setHorizontalScrollMode(QTableView.ScrollMode.ScrollPerPixel)
        self.verticalHeader().hide()
        self.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        self.verticalHeader().setDefaultSectionSize(ROW_HEIGHT)
        header = self.horizontalHeader()
        header.setHighlightSections(False)
        header.setMinimumSectionSize(36)
        header.setFixedHeight(ROW_HEIGHT)
        for at, column in enumerate(model.columns):
            self.setColumnWidth(at, column.width)
        header.setSectionResizeMode(stretch, QHeaderView.ResizeMode.Stretch)
        header.setSectionsClickable(any(column.sortable for column in model.columns))
        header.sectionClicked.connect(self._sort)
        model.modelReset.connect(self._restore)
        # Not the current row: that also moves when the table merely gets the keyboard, and nobody chose that stay.
        self.selectionModel().selectionChanged.connect(self._moved)

    @property
    def key(self) -> str:
        """The chosen row's key, '' if none."""
        return self._key

    def choose(self, key: str) -> bool:
        """Choose the row with this key; False if it is not shown."""
        if key not in self._rows.keys:
            return False
        self.selectRow(self._rows.keys.index(key))
        return True

    def sort_shown(self, key: str, *, descending: bool) -> None:
        """Show by which column the rows are sorted."""
        for at, column in enumerate(self._rows.columns):
            if column.key == key:
                order = Qt.SortOrder.DescendingOrder if descending else Qt.SortOrder.AscendingOrder
                self.horizontalHeader().setSortIndicatorShown(True)
                self.horizontalHeader().setSortIndicator(at, order)

    def _sort(self, section: int) -> None:
        column = self._rows.columns[section]
        if column.sortable:
            header = self.horizontalHeader()
            self.sorted.emit(column.key, header.sortIndicatorOrder() is Qt.SortOrder.DescendingOrder)

    def _moved(self) -> None:
        chosen = self.selectionModel().selectedRows()
        key = self._rows.keys[chosen[0].row()] if chosen else ""
        if key and key != self._key:
            self._key = key
            self.chosen.emit(key)

    def _restore(self) -> None:
        if self._key and not self.choose(self._key):
            self._key = ""
            self.chosen.emit("")
