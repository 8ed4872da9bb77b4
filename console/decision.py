"""The form behind every order by hand: a numbered reason, a note, a name, a confirmation that is never the default."""

from collections.abc import Sequence
from typing import Final

from PySide6.QtCore import Qt
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import QButtonGroup, QDialog, QGridLayout, QLineEdit, QRadioButton, QVBoxLayout, QWidget

from console.board import Board
from console.parts import across, button, down, label, name

OTHER: Final = "other"


class DecisionDialog(QDialog):
    """Collects who and why. Digits choose a reason, Esc cancels; `reason` and `actor` are valid once accepted."""

    def __init__(self, board: Board, parent: QWidget, reasons: Sequence[str]) -> None:
        super().__init__(parent)
        self.setModal(True)
        self.setMinimumWidth(560)
        self._board = board
        self._keys = tuple(reasons)
        self._title = label("title", wrap=True)
        self._hint = label(wrap=True)
        self._reason_label = label("heading")
        self.reasons = [QRadioButton() for _ in reasons]
        self._group = QButtonGroup(self)
        self._note_label = label("heading")
        self.note = QLineEdit(maxLength=200)
        self._actor_label = label("heading")
        self.actor = QLineEdit(board.actor, maxLength=40)
        self._missing = label("quiet")
        self.cancel = button("order")
        self.confirm = button("order")
        self._lay_out()
        self.cancel.clicked.connect(self.reject)
        self.confirm.clicked.connect(self._confirmed)
        self._group.idToggled.connect(lambda _id, _on: self.check())
        for field in (self.note, self.actor):
            field.textChanged.connect(lambda _text: self.check())

    def _lay_out(self) -> None:
        column = down(self, spacing=8, margins=(18, 16, 18, 16))
        column.addWidget(self._title)
        column.addWidget(self._hint)
        self.extra: QVBoxLayout = down(spacing=4)
        column.addLayout(self.extra)
        column.addWidget(self._reason_label)
        grid = QGridLayout()
        grid.setHorizontalSpacing(16)
        grid.setVerticalSpacing(0)
        rows = (len(self.reasons) + 1) // 2
        for at, choice in enumerate(self.reasons):
            self._group.addButton(choice, at)
            grid.addWidget(choice, at % rows, at // rows)
        column.addLayout(grid)
        for caption, field in ((self._note_label, self.note), (self._actor_label, self.actor)):
            caption.setBuddy(field)
            column.addWidget(caption)
            column.addWidget(field)
        column.addWidget(self._missing)
        row = across(spacing=10)
        row.addWidget(self.cancel, 1)
        row.addWidget(self.confirm, 1)
        column.addLayout(row)

    def say(self, title: str, hint: str, confirm: str) -> None:
        """Put the texts in, in the language of the board."""
        phrases = self._board.phrases
        self.setWindowTitle(title)
        self._title.setText(title)
        self._hint.setText(hint)
        self._reason_label.setText(phrases("order.reason"))
        for at, (choice, key) in enumerate(zip(self.reasons, self._keys, strict=True), start=1):
            choice.setText(f"{at}  {phrases(f'reason.{key}')}")
            name(choice, choice.text())
        self._actor_label.setText(phrases("order.actor"))
        name(self.actor, phrases("order.actor"))
        self.cancel.setText(phrases("order.cancel"))
        name(self.cancel, phrases("order.cancel"))
        self.confirm.setText(confirm)
        name(self.confirm, confirm)
        self.reasons[0].setFocus()
        self.check()

    @property
    def reason(self) -> str:
        """What goes into the audit: the reason's stable word, and the note."""
        note = " ".join(self.note.text().split())
        key = self._keys[self._group.checkedId()]
        return f"{key}: {note}" if note else key

    def missing(self) -> str:
        """The key of what is still missing, '' if nothing."""
        at = self._group.checkedId()
        if at < 0:
            return "order.missing.reason"
        if self.note_needed() and not self.note.text().strip():
            return "order.missing.note"
        return "" if self.actor.text().strip() else "order.missing.actor"

    def note_needed(self) -> bool:
        """Whether the reason alone says too little."""
        at = self._group.checkedId()
        return at >= 0 and self._keys[at] == OTHER

    def check(self) -> None:
        """Allow the confirmation once nothing is missing, and say what is."""
        phrases, missing = self._board.phrases, self.missing()
        self._note_label.setText(phrases("order.note_needed" if self.note_needed() else "order.note"))
        name(self.note, self._note_label.text())
        self._missing.setText(phrases(missing) if missing else "")
        self.confirm.setEnabled(not missing)

    def keyPressEvent(self, event: QKeyEvent) -> None:  # noqa: N802 - Qt's name
        """1-9 choose a reason unless they are typed into a field; Enter confirms nothing by itself."""
        at = event.key() - int(Qt.Key.Key_1)
        if 0 <= at < len(self.reasons):
            self.reasons[at].setChecked(True)
            self.reasons[at].setFocus()
        elif event.key() not in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            super().keyPressEvent(event)
        elif self.confirm.hasFocus() and self.confirm.isEnabled():
            self._confirmed()
        elif self.cancel.hasFocus():
            self.reject()

    def _confirmed(self) -> None:
        if not self.missing():
            self.accept()
