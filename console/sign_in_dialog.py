"""Asks who sits here. Opening never waits for it; decisions about money do."""

from PySide6.QtWidgets import QDialog, QLineEdit, QWidget

from console.board import Board
from console.parts import across, button, down, label, name
from parking.commands import SignedIn, SignIn
from parking.errors import DaikoError


class SignInDialog(QDialog):
    """Name and PIN. It stays open until the bridge has answered; `signed` is what it said.

    With `second`, another person confirms what the first one is about to do, and the session is not kept.
    """

    def __init__(self, board: Board, parent: QWidget, *, second: bool = False) -> None:
        super().__init__(parent)
        self.setModal(True)
        self.setMinimumWidth(420)
        self._board = board
        self.second = second
        self.signed: SignedIn | None = None
        phrases = board.phrases
        title, hint = label("title", wrap=True), label(wrap=True)
        self.operator = QLineEdit("" if second else board.actor, maxLength=40)
        self.pin = QLineEdit(maxLength=64)
        self.pin.setEchoMode(QLineEdit.EchoMode.Password)
        self.trouble = label(wrap=True)
        self.cancel, self.confirm = button("order"), button("order")
        column = down(self, spacing=8, margins=(18, 16, 18, 16))
        column.addWidget(title)
        column.addWidget(hint)
        for key, field in (("sign.operator", self.operator), ("sign.pin", self.pin)):
            caption = label("heading")
            caption.setText(phrases(key))
            caption.setBuddy(field)
            name(field, phrases(key))
            column.addWidget(caption)
            column.addWidget(field)
            field.textChanged.connect(lambda _text: self._check())
            field.returnPressed.connect(self._ask)
        column.addWidget(self.trouble)
        row = across(spacing=10)
        row.addWidget(self.cancel, 1)
        row.addWidget(self.confirm, 1)
        column.addLayout(row)
        title.setText(phrases("sign.second" if second else "sign.title"))
        hint.setText(phrases("sign.second_hint" if second else "sign.hint"))
        self.setWindowTitle(title.text())
        for choice, key in ((self.cancel, "order.cancel"), (self.confirm, "sign.confirm")):
            choice.setText(phrases(key))
            name(choice, phrases(key))
        self.cancel.clicked.connect(self.reject)
        self.confirm.clicked.connect(self._ask)
        board.signed.connect(self._answered)
        self._check()
        (self.pin if self.operator.text() else self.operator).setFocus()

    def _check(self) -> None:
        self.confirm.setEnabled(bool(self.operator.text().strip() and self.pin.text()))

    def _ask(self) -> None:
        if self.confirm.isEnabled():
            self.confirm.setEnabled(False)
            self._board.sign_in(SignIn(operator=self.operator.text().strip(), pin=self.pin.text()))

    def _answered(self, answer: SignedIn | DaikoError) -> None:
        if isinstance(answer, SignedIn):
            self.signed = answer
            if not self.second:
                self._board.begin_session(answer)
            self.accept()
            return
        self.pin.clear()
        self.trouble.setText(self._board.phrases.cause(answer.code, answer.detail))
        self.pin.setFocus()
