"""The window itself, before there is anything in it: it paints at once and says the one thing that must be known then.

Everything else is built after the first paint (console.app), so nothing heavy may be imported here; the name `Qt` alone
costs 30 ms, because PySide6 then makes all its enums.
"""

from typing import TYPE_CHECKING, Final

from PySide6.QtCore import QRect, Signal
from PySide6.QtGui import QColor, QPainter
from PySide6.QtWidgets import QMainWindow, QWidget

from console.texts import TEXTS
from console.tokens import FIELD, HEADER_HEIGHT, INK, LINE, NAV_WIDTH, PANEL, QUIET, RAIL_WIDTH, STATUS_HEIGHT

if TYPE_CHECKING:
    from PySide6.QtGui import QCloseEvent, QPaintEvent

SIZE: Final = (1366, 768)
_LINE_HEIGHT: Final = 24


class MainWindow(QMainWindow):
    """`painted` comes once, after the first paint; `closed` when the attendant closes the window."""

    painted = Signal()
    closed = Signal()

    def __init__(self, column: int) -> None:
        """`column` of the catalogue: 0 Japanese, 1 English."""
        super().__init__()
        self.setWindowTitle(TEXTS["app.title"][column])
        self.resize(*SIZE)
        self.setCentralWidget(Skeleton(self, column))

    def closeEvent(self, event: "QCloseEvent") -> None:  # noqa: N802 - Qt's name
        """Tell that the window is gone."""
        super().closeEvent(event)
        if event.isAccepted():
            self.closed.emit()


class Skeleton(QWidget):
    """The window's areas where they will be, and what holds while nothing is connected."""

    def __init__(self, window: MainWindow, column: int) -> None:
        super().__init__(window)
        self._window = window
        self._column = column
        self._painted = False

    def paintEvent(self, _event: "QPaintEvent") -> None:  # noqa: N802 - Qt's name
        """Draw areas and text; tell about the first time."""
        painter, width, height = QPainter(self), self.width(), self.height()
        painter.fillRect(self.rect(), QColor(FIELD))
        panel, line = QColor(PANEL), QColor(LINE)
        middle = height - HEADER_HEIGHT - STATUS_HEIGHT
        for area in (
            QRect(0, 0, width, HEADER_HEIGHT),
            QRect(0, height - STATUS_HEIGHT, width, STATUS_HEIGHT),
            QRect(0, HEADER_HEIGHT, NAV_WIDTH, middle),
            QRect(width - RAIL_WIDTH, HEADER_HEIGHT, RAIL_WIDTH, middle),
        ):
            painter.fillRect(area, panel)
            painter.setPen(line)
            painter.drawRect(area.adjusted(0, 0, -1, -1))
        centre, at = NAV_WIDTH + (width - NAV_WIDTH - RAIL_WIDTH) // 2, HEADER_HEIGHT + middle // 2
        for colour, key in ((INK, "bridge.connecting"), (QUIET, "bridge.connecting_hint")):
            text = TEXTS[key][self._column]
            painter.setPen(QColor(colour))
            painter.drawText(centre - painter.fontMetrics().horizontalAdvance(text) // 2, at, text)
            at += _LINE_HEIGHT
        if not self._painted:
            self._painted = True
            self._window.painted.emit()
