"""Colours and sizes: a calm grey field on which only the abnormal has colour (ISA-101; docs/console.md).

Alarm marks are told apart by shape and digit as well as by colour: square 1, triangle up 2, triangle down 3, circle 4.
The four colours were checked against colour blindness and are used for nothing else.
"""

from typing import Final

from PySide6.QtGui import QColor, QFont, QPalette
from PySide6.QtWidgets import QApplication, QStyleFactory

FIELD: Final = "#d2d2d2"
PANEL: Final = "#dddddd"
PAPER: Final = "#e8e8e8"
STRIPE: Final = "#e2e2e2"
CHOSEN: Final = "#bcc5cc"
LINE: Final = "#a6a6a6"
DARK: Final = "#4a4a4a"
QUIET: Final = "#555555"
INK: Final = "#1a1a1a"

ALARM: Final = {1: "#c4001a", 2: "#e65c00", 3: "#f2c500", 4: "#8a2ba8"}
ALARM_INK: Final = {1: "#ffffff", 2: "#1a1a1a", 3: "#1a1a1a", 4: "#ffffff"}

TARGET: Final = 44
"""Pixels: the smallest edge of what moves a gate, for gloved or hurried fingers."""

SHEET: Final = f"""
QWidget {{ color: {INK}; }}
QMainWindow, QDialog, #field {{ background: {FIELD}; }}
#header, #rail, #card, #nav, #status {{ background: {PANEL}; }}
#header {{ border-bottom: 1px solid {LINE}; }}
#status {{ border-top: 1px solid {LINE}; }}
#rail {{ border-left: 1px solid {LINE}; }}
#nav {{ border-right: 1px solid {LINE}; }}
#card {{ border: 1px solid {LINE}; }}
#lot, #title {{ font-size: 17px; font-weight: bold; }}
#clock {{ font-size: 15px; }}
#quiet {{ color: {QUIET}; }}
#heading {{ color: {QUIET}; font-weight: bold; }}
#banner {{ background: {PAPER}; border-bottom: 2px solid {DARK}; }}
#banner QLabel#what {{ font-size: 15px; font-weight: bold; }}
#notice {{ background: {PAPER}; border-top: 2px solid {DARK}; }}
QLineEdit, QComboBox, QPlainTextEdit {{
  background: {PAPER}; border: 1px solid #808080; padding: 3px 6px; min-height: 26px;
  selection-background-color: {DARK};
}}
QLineEdit:focus, QComboBox:focus {{ border: 2px solid {INK}; padding: 2px 5px; }}
QComboBox QAbstractItemView {{ background: {PAPER}; selection-background-color: {CHOSEN}; selection-color: {INK}; }}
QPushButton {{
  background: {PAPER}; border: 1px solid #808080; padding: 4px 12px; min-height: 26px;
}}
QPushButton:hover {{ background: #f0f0f0; }}
QPushButton:pressed, QPushButton:checked {{ background: {CHOSEN}; border: 1px solid {INK}; }}
QPushButton:focus {{ border: 2px solid {INK}; padding: 3px 11px; }}
QPushButton:disabled {{ color: #8a8a8a; background: {PANEL}; border-color: #b4b4b4; }}
QPushButton#order {{ min-height: {TARGET - 2}px; font-size: 15px; font-weight: bold; padding: 0 4px; }}
QPushButton#page {{ border: 0; border-left: 4px solid transparent; background: transparent; padding: 0 4px; }}
QPushButton#page:checked {{ border-left: 4px solid {INK}; background: {PAPER}; font-weight: bold; }}
QPushButton#page:focus {{ border-left: 4px solid {DARK}; text-decoration: underline; }}
QPushButton#filter {{ min-height: 24px; padding: 2px 10px; }}
QPushButton#filter:checked {{ font-weight: bold; }}
QTableView {{ background: {PAPER}; border: 1px solid {LINE}; outline: 0; }}
QHeaderView::section {{
  background: {PANEL}; color: {QUIET}; border: 0; border-bottom: 1px solid {LINE}; border-right: 1px solid {LINE};
  padding: 2px 6px; font-weight: bold;
}}
QScrollArea {{ border: 0; background: transparent; }}
QRadioButton {{ min-height: 26px; spacing: 8px; }}
"""


def dress(application: QApplication) -> None:
    """Give the application its style, palette and sheet."""
    application.setStyle(QStyleFactory.create("Fusion"))
    palette = QPalette(QColor(PANEL), QColor(FIELD))
    palette.setColor(QPalette.ColorRole.Base, QColor(PAPER))
    palette.setColor(QPalette.ColorRole.Text, QColor(INK))
    palette.setColor(QPalette.ColorRole.WindowText, QColor(INK))
    palette.setColor(QPalette.ColorRole.Highlight, QColor(CHOSEN))
    palette.setColor(QPalette.ColorRole.HighlightedText, QColor(INK))
    palette.setColor(QPalette.ColorRole.PlaceholderText, QColor(QUIET))
    application.setPalette(palette)
    font = QFont(application.font())
    font.setPixelSize(14)
    application.setFont(font)
    application.setStyleSheet(SHEET)
