"""One gate or plate, small, in the rail: label, position by shape, a car if there is one, a mark if abnormal."""

from datetime import timedelta
from typing import Final

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QAbstractButton, QSizePolicy

from console.board import Board
from console.glyphs import paint_alarm, paint_exit, paint_vehicle
from console.selection import reading
from console.state import State
from console.tokens import CHOSEN, INK, LINE, PAPER
from parking.desk import ExitView

HEIGHT: Final = 44
_MINUTE: Final = 60
_HOUR: Final = 3600
NOT_CONFIRMED_MARK: Final = 2
HELD_MARK: Final = 3


def mark_of(state: State, view: ExitView) -> int:
    """The alarm priority of an exit: 2 while a failed order to it is not acknowledged, 3 while held open, else 0."""
    if any((notice.lot, notice.exit) == (view.lot, view.exit) for notice in state.notices.values()):
        return NOT_CONFIRMED_MARK
    return HELD_MARK if view.held else 0


def short_age(age: timedelta) -> str:
    """An age in at most three signs, the same in every language: `95s` would be `1m`."""
    seconds = int(age.total_seconds())
    if seconds < _MINUTE:
        return f"{seconds}s"
    return f"{seconds // _MINUTE}m" if seconds < _HOUR else f"{min(seconds // _HOUR, 99)}h"


class ExitTile(QAbstractButton):
    """Checkable; checked is the exit that the card shows."""

    def __init__(self, board: Board, key: str) -> None:
        super().__init__()
        self._board = board
        self.key = key
        self.setCheckable(True)
        self.setAutoExclusive(False)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFixedHeight(HEIGHT)
        self.retranslate()

    def sizeHint(self) -> QSize:  # noqa: N802 - Qt's name
        """Small enough for five in a row."""
        return QSize(54, HEIGHT)

    def retranslate(self) -> None:
        """Take label and state into what a screen reader says."""
        view, phrases = self._board.state.exits.get(self.key), self._board.phrases
        if view is None:
            return
        seen = reading(self._board.state, view)
        self.setText(phrases.named(view.label, view.exit))
        self.setToolTip(self.text())
        spoken = f"{self.text()}: {phrases(f'position.{view.kind}.{seen.position}')}"
        if spoken != self.accessibleName():
            self.setAccessibleName(spoken)
        self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        """Draw everything by shape."""
        view, state = self._board.state.exits.get(self.key), self._board.state
        if view is None:
            return
        painter = QPainter(self)
        seen, area = reading(state, view), QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5)
        painter.setBrush(QColor(CHOSEN if self.isChecked() else PAPER))
        focused = self.hasFocus()
        painter.setPen(QPen(QColor(INK if self.isChecked() or focused else LINE), 2 if focused else 1))
        painter.drawRect(area)
        font = painter.font()
        font.setPixelSize(12)
        font.setBold(self.isChecked())
        painter.setFont(font)
        painter.setPen(QColor(INK))
        width = int(area.width()) - 6
        text = painter.fontMetrics().elidedText(self.text(), Qt.TextElideMode.ElideRight, width)
        painter.drawText(QRectF(3, 2, width, 16), Qt.AlignmentFlag.AlignCenter, text)
        paint_exit(painter, QRectF(3, 20, 25, 18), view.kind, seen.position, fresh=seen.fresh)
        mark = mark_of(state, view)
        right = QRectF(area.right() - 23, 20, 20, 20)
        if mark:
            paint_alarm(painter, right, mark)
        elif seen.fresh and seen.vehicle:
            paint_vehicle(painter, right.adjusted(-2, 4, 2, 0), vehicle=True)
        elif not seen.fresh and seen.age is not None:
            painter.setPen(QColor(INK))
            painter.drawText(right.adjusted(-3, 0, 3, 0), Qt.AlignmentFlag.AlignCenter, short_age(seen.age))
