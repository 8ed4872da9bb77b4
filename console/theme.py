"""The application's style, palette, font and sheet, made of console.tokens."""

import sys
from typing import Final

from PySide6.QtGui import QColor, QFont, QPalette
from PySide6.QtWidgets import QApplication

from console.tokens import CHOSEN, DARK, FAMILIES, FIELD, INK, LINE, PANEL, PAPER, QUIET, TARGET

SHEET: Final = f"""
QWidget {{ color: {INK}; }}
QMainWindow, QDialog, #field {{ background: {FIELD}; }}
#header, #rail, #card, #nav, #status, #inner {{ background: {PANEL}; }}
QComboBox#lots {{ font-size: 15px; font-weight: bold; }}
#header {{ border-bottom: 1px solid {LINE}; }}
#status {{ border-top: 1px solid {LINE}; }}
#rail {{ border-left: 1px solid {LINE}; }}
#nav {{ border-right: 1px solid {LINE}; }}
#card {{ border: 1px solid {LINE}; }}
#lot, #title {{ font-size: 17px; font-weight: bold; }}
#clock {{ font-size: 15px; }}
#quiet {{ color: {QUIET}; }}
#heading {{ color: {QUIET}; font-weight: bold; }}
#warning {{ background: {PAPER}; border: 1px solid {DARK}; padding: 6px 8px; }}
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
QPushButton#page {{
  min-height: 50px; border: 0; border-left: 4px solid transparent; background: transparent; padding: 0 4px;
}}
QPushButton#page:checked {{ border-left: 4px solid {INK}; background: {PAPER}; font-weight: bold; }}
QPushButton#page:focus {{ border-left: 4px solid {DARK}; text-decoration: underline; }}
QPushButton#filter {{ min-height: 24px; padding: 2px 10px; }}
QTableView {{ background: {PAPER}; border: 1px solid {LINE}; outline: 0; }}
QTableView#ports::item {{ padding: 2px 6px; }}
QHeaderView::section {{
  background: {PANEL}; color: {QUIET}; border: 0; border-bottom: 1px solid {LINE}; border-right: 1px solid {LINE};
  padding: 2px 6px; font-weight: bold;
}}
QScrollArea {{ border: 0; background: transparent; }}
QRadioButton {{ min-height: 26px; spacing: 8px; }}
"""


def dress(application: QApplication) -> None:
    """Give the application its style, palette and sheet, once: a style must outlive what it animates."""
    if application.styleSheet() == SHEET:
        return
    application.setStyle("Fusion")
    palette = QPalette(QColor(PANEL), QColor(FIELD))
    palette.setColor(QPalette.ColorRole.Base, QColor(PAPER))
    palette.setColor(QPalette.ColorRole.Text, QColor(INK))
    palette.setColor(QPalette.ColorRole.WindowText, QColor(INK))
    palette.setColor(QPalette.ColorRole.Highlight, QColor(CHOSEN))
    palette.setColor(QPalette.ColorRole.HighlightedText, QColor(INK))
    palette.setColor(QPalette.ColorRole.PlaceholderText, QColor(QUIET))
    application.setPalette(palette)
    font = QFont(application.font())
    font.setFamilies(list(FAMILIES[sys.platform == "win32"]))
    font.setPixelSize(14)
    application.setFont(font)
    application.setStyleSheet(SHEET)
