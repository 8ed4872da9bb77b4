"""Shows where a driver who was let out against a claim pays later: as a QR code to photograph, and in words."""

from typing import Final

import segno
from PySide6.QtCore import QRectF
from PySide6.QtGui import QColor, QPainter, QPaintEvent
from PySide6.QtWidgets import QDialog, QWidget

from console.board import Board
from console.parts import button, down, label, name

_MODULE: Final = 7
_QUIET_ZONE: Final = 4


class ClaimDialog(QDialog):
    """One claim's address. Closing it loses nothing: the cloud lists the claim."""

    def __init__(self, board: Board, parent: QWidget, url: str) -> None:
        super().__init__(parent)
        self.setModal(True)
        phrases = board.phrases
        title, text = label("title"), label(wrap=True)
        title.setText(phrases("claim.title"))
        text.setText(f"{phrases('claim.hint')}\n{url}")
        close = button("order")
        close.setText(phrases("help.close"))
        name(close, phrases("help.close"))
        close.clicked.connect(self.accept)
        self.setWindowTitle(title.text())
        column = down(self, spacing=10, margins=(18, 16, 18, 16))
        for widget in (title, text, QrCode(url, phrases("claim.qr")), close):
            column.addWidget(widget)


class QrCode(QWidget):
    """A QR code, black on white, large enough to photograph from a screen."""

    def __init__(self, text: str, caption: str) -> None:
        super().__init__()
        self._rows = [bytes(row) for row in segno.make_qr(text, error="m").matrix]
        edge = (len(self._rows) + 2 * _QUIET_ZONE) * _MODULE
        self.setFixedSize(edge, edge)
        name(self, caption)

    def paintEvent(self, _event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        """Draw the modules."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor("#ffffff"))
        for y, row in enumerate(self._rows, start=_QUIET_ZONE):
            for x, dark in enumerate(row, start=_QUIET_ZONE):
                if dark:
                    painter.fillRect(QRectF(x * _MODULE, y * _MODULE, _MODULE, _MODULE), QColor("#000000"))
