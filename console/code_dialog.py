"""Checks the code that a driver's phone shows: scanned (a long run of digits) or typed. Works without the cloud."""

from typing import Final
from uuid import uuid4

from PySide6.QtWidgets import QComboBox, QDialog, QLineEdit, QWidget

from console.board import Board
from console.parts import across, button, down, label, name
from console.selection import exits_of, stay_for
from console.whose import WhoseChoice
from parking.commands import Redeem, RedeemReply
from parking.errors import DaikoError
from parking.stay import fold_digits

SCANNED: Final = 60
"""A code with more digits than this came from a scanner: it names its own stay."""


class CodeDialog(QDialog):
    """A scanner ends with Enter, so Enter checks. A typed code is good only for the stay that is chosen here."""

    def __init__(self, board: Board, parent: QWidget, lot: int) -> None:
        super().__init__(parent)
        self.setModal(True)
        self.setMinimumWidth(560)
        self._board = board
        self._lot = lot
        self._waits = ""
        phrases = board.phrases
        title, hint = label("title"), label(wrap=True)
        title.setText(phrases("code.title"))
        hint.setText(phrases("code.hint"))
        self.code = QLineEdit(maxLength=1000)
        self.exit = QComboBox()
        self.exit.addItem(phrases("code.no_exit"), "")
        views = exits_of(board.state, lot)
        for view in views:
            self.exit.addItem(phrases.named(view.label, view.exit), view.exit)
        likely = next((row for view in views if (row := stay_for(board.state, view, board.chosen)) is not None), None)
        chosen = board.state.stays.get(board.chosen)
        self.whose = WhoseChoice(board, lot, chosen or (likely if len(views) == 1 else None), later=False)
        self.result_text = label("title", wrap=True)
        self.close_button, self.check = button("order"), button("order")
        column = down(self, spacing=8, margins=(18, 16, 18, 16))
        column.addWidget(title)
        column.addWidget(hint)
        for key, field in (("code.code", self.code), ("code.exit", self.exit)):
            caption = label("heading")
            caption.setText(phrases(key))
            caption.setBuddy(field)
            name(field, phrases(key))
            column.addWidget(caption)
            column.addWidget(field)
        column.addWidget(self.whose)
        column.addWidget(self.result_text)
        buttons = across(spacing=10)
        buttons.addWidget(self.close_button, 1)
        buttons.addWidget(self.check, 1)
        column.addLayout(buttons)
        for choice, key in ((self.close_button, "help.close"), (self.check, "code.check")):
            choice.setText(phrases(key))
            name(choice, phrases(key))
        self.setWindowTitle(title.text())
        self.close_button.clicked.connect(self.reject)
        self.check.clicked.connect(self.ask)
        self.code.returnPressed.connect(self.ask)
        self.code.textChanged.connect(lambda _text: self._changed())
        self.whose.changed.connect(self._changed)
        board.redeemed.connect(self._answered)
        self._changed()
        self.code.setFocus()

    @property
    def scanned(self) -> bool:
        """Whether the code carries its own stay."""
        return len(fold_digits(self.code.text())) > SCANNED

    def ask(self) -> None:
        """Have the bridge check the code."""
        if not self.check.isEnabled():
            return
        self._waits = str(uuid4())
        self._changed()
        self.result_text.setText(self._board.phrases("code.checking"))
        self._board.redeem(
            Redeem(
                redeem_id=self._waits,
                lot=self._lot,
                text=fold_digits(self.code.text()),
                actor=self._board.actor or "–",
                stay=None if self.scanned else self.whose.ref,
                exit=self.exit.currentData() or "",
            )
        )

    def _changed(self) -> None:
        ready = bool(fold_digits(self.code.text())) and (self.scanned or self.whose.ref is not None)
        self.whose.setEnabled(not self.scanned)
        self.check.setEnabled(ready and not self._waits)

    def _answered(self, redeem_id: str, answer: RedeemReply | DaikoError) -> None:
        if redeem_id != self._waits:
            return
        self._waits = ""
        phrases = self._board.phrases
        if isinstance(answer, RedeemReply) and answer.accepted:
            stay = self._board.stay(self._lot, answer.stay) if answer.stay else ""
            self.result_text.setText(phrases("code.accepted", stay=stay, amount=phrases.amount(answer.amount)))
            self.code.clear()
        else:
            text = phrases.cause(answer.code, answer.detail)
            if isinstance(answer, RedeemReply) and answer.wait_seconds:
                text = f"{text}  {phrases('code.wait', seconds=answer.wait_seconds)}"
            self.result_text.setText(text)
            self.code.selectAll()
        self._changed()
        self.code.setFocus()
