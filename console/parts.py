"""Widgets and layouts as this window uses them: plain text only, named for the style sheet."""

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

Margins = tuple[int, int, int, int]


def label(name: str = "", *, centred: bool = False, wrap: bool = False, parent: QWidget | None = None) -> QLabel:
    """A label that never takes what a machine sent for markup."""
    widget = QLabel(parent)
    widget.setObjectName(name)
    widget.setTextFormat(Qt.TextFormat.PlainText)
    widget.setWordWrap(wrap)
    if centred:
        widget.setAlignment(Qt.AlignmentFlag.AlignCenter)
    return widget


def button(name: str = "", *, checkable: bool = False) -> QPushButton:
    """A button which Enter presses only while it has the focus."""
    widget = QPushButton()
    widget.setObjectName(name)
    widget.setCheckable(checkable)
    widget.setAutoDefault(False)
    return widget


def across(parent: QWidget | None = None, *, spacing: int = 6, margins: Margins = (0, 0, 0, 0)) -> QHBoxLayout:
    """A row."""
    layout = QHBoxLayout(parent) if parent else QHBoxLayout()
    layout.setSpacing(spacing)
    layout.setContentsMargins(*margins)
    return layout


def down(parent: QWidget | None = None, *, spacing: int = 6, margins: Margins = (0, 0, 0, 0)) -> QVBoxLayout:
    """A column."""
    layout = QVBoxLayout(parent) if parent else QVBoxLayout()
    layout.setSpacing(spacing)
    layout.setContentsMargins(*margins)
    return layout


def name(widget: QWidget, text: str) -> None:
    """What a screen reader calls the widget."""
    widget.setAccessibleName(text)
