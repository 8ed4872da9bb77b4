"""The list of keys."""

from typing import Final

from PySide6.QtWidgets import QDialog, QGridLayout, QWidget

from console.board import Board
from console.parts import button, down, label, name

KEYS: Final = (
    *("F1", "F2", "F3", "F5", "F6", "F7", "F8", "F9", "F10"),
    *("Ctrl+1–9", "Ctrl+O", "Ctrl+H", "Ctrl+E", "Ctrl+L", "1–9", "Esc"),
)


class HelpDialog(QDialog):
    """Shows which key does what."""

    def __init__(self, board: Board, parent: QWidget) -> None:
        super().__init__(parent)
        phrases = board.phrases
        self.setWindowTitle(phrases("help.title"))
        grid = QGridLayout()
        grid.setHorizontalSpacing(24)
        for at, key in enumerate(KEYS):
            for column, text in enumerate((key, phrases(f"help.key.{key}"))):
                cell = label("heading" if column == 0 else "")
                cell.setText(text)
                grid.addWidget(cell, at, column)
        close = button()
        close.setText(phrases("help.close"))
        name(close, phrases("help.close"))
        close.clicked.connect(self.accept)
        column_ = down(self, spacing=14, margins=(24, 20, 24, 20))
        column_.addLayout(grid)
        column_.addWidget(close)
