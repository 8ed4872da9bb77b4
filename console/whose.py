"""Asks for whom an exit is opened by hand, and what becomes of that stay's phone payment."""

from typing import Final

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QButtonGroup, QComboBox, QRadioButton, QWidget

from console.board import Board
from console.parts import down, label, name
from console.rows import StayRow
from console.selection import pending_case
from parking.desk import CaseView, StayState
from parking.reports import Whose
from parking.stay import NameKind, StayRef

_UNSET: Final = "?"
_NOBODY: Final = ""
_LATER: Final = "later"


class WhoseChoice(QWidget):
    """The stay, nobody, or (where `later` is allowed) nobody known yet; and the payment of the stay, if it has one."""

    changed = Signal()

    def __init__(self, board: Board, lot: int, likely: StayRow | None, *, later: bool) -> None:
        super().__init__()
        self._board = board
        self._lot = lot
        caption = label("heading")
        self.stay = QComboBox()
        self.stay.setMaxVisibleItems(14)
        caption.setBuddy(self.stay)
        self._payment = label(wrap=True)
        self.keep = QRadioButton()
        self.give_back = QRadioButton()
        self._group = QButtonGroup(self)
        column = down(self, spacing=4)
        for widget in (caption, self.stay, self._payment, self.keep, self.give_back):
            column.addWidget(widget)
        for choice in (self.keep, self.give_back):
            self._group.addButton(choice)
        phrases = board.phrases
        caption.setText(phrases("order.stay"))
        name(self.stay, phrases("order.stay"))
        for choice, text in ((self.keep, phrases("order.keep")), (self.give_back, phrases("order.give_back"))):
            choice.setText(text)
            name(choice, text)
        self._fill(likely, later)
        self.keep.setChecked(True)
        self._chosen()
        self.stay.currentIndexChanged.connect(lambda _at: self._chosen())

    @property
    def unset(self) -> bool:
        """Whether nothing is chosen yet."""
        return bool(self.stay.currentData() == _UNSET)

    @property
    def whose(self) -> Whose:
        """For whom."""
        key = self.stay.currentData()
        if key in (_UNSET, _LATER):
            return Whose.LATER
        return Whose.NOBODY if key == _NOBODY else Whose.STAY

    @property
    def ref(self) -> StayRef | None:
        """The stay, if one is chosen."""
        row = self._board.state.stays.get(self.stay.currentData() or "")
        return row.view.stay if row else None

    @property
    def case(self) -> CaseView | None:
        """The stay's latest phone payment that has not been refused."""
        return pending_case(self._board.state, self._lot, self.ref) if self.ref else None

    @property
    def returned(self) -> bool:
        """Whether the phone payment is to be given back."""
        return self.case is not None and self.give_back.isChecked()

    def _chosen(self) -> None:
        case = self.case
        for widget in (self._payment, self.keep, self.give_back):
            widget.setVisible(case is not None)
        if case is not None:
            amount = self._board.phrases.amount(case.amount)
            self._payment.setText(self._board.phrases("order.payment", amount=amount))
        self.changed.emit()

    def _fill(self, likely: StayRow | None, later: bool) -> None:
        phrases = self._board.phrases
        if likely is None:
            self.stay.addItem(phrases("order.stay_choose"), _UNSET)
        self.stay.addItem(phrases("order.nobody"), _NOBODY)
        if later:
            self.stay.addItem(phrases("order.later"), _LATER)
        inside = (row for row in self._board.state.stays.values() if row.view.lot == self._lot)
        present = [row for row in inside if row.view.state is not StayState.GONE]
        for row in sorted(present, key=lambda row: row.order):
            self.stay.addItem(describe(self._board, row), row.view.key)
        if likely is not None and self.stay.findData(likely.view.key) < 0:
            self.stay.addItem(describe(self._board, likely), likely.view.key)
        self.stay.setCurrentIndex(self.stay.findData(likely.view.key) if likely else 0)


def describe(board: Board, row: StayRow) -> str:
    """A stay in one line: its name, its plate, since when, how it stands."""
    view = row.view
    attribute = "" if view.stay.kind is NameKind.PLATE else view.plate
    at = board.moment(view.stay.entered_at or view.seen_at, view.lot, seconds=False)
    parts = (board.phrases.stay(view.stay.kind, row.shown), attribute, at, board.phrases(f"state.{view.state}"))
    return "   ".join(part for part in parts if part)
