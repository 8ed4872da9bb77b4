"""The chosen exit, large: what is known of it, its last order, and the three orders that a person may give.

There is no button for closing: closing belongs to the equipment, with its own loops and safety edges.
"""

from collections.abc import Callable
from typing import Final

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QFrame, QGridLayout, QWidget

from console.board import Board
from console.exit_tile import HELD_MARK, NOT_CONFIRMED_MARK, mark_of
from console.glyphs import paint_alarm, paint_exit, paint_vehicle
from console.parts import across, button, down, label, name
from console.selection import Reading, last_order, reading
from console.state import State
from parking.commands import Verb
from parking.desk import ExitView

Give = Callable[[ExitView, Verb], None]

_PICTURE: Final = 76
VERBS: Final = (Verb.RELEASE, Verb.HOLD_OPEN, Verb.END_HOLD)


class ExitCard(QFrame):
    """Shows one exit; `give` opens the dialog for an order to it."""

    def __init__(self, board: Board, give: Give) -> None:
        super().__init__()
        self.setObjectName("card")
        self._board = board
        self._give = give
        self.key = ""
        self._title = label("title")
        self._lot = label("quiet")
        self._picture = Picture(board)
        self._position = label("title", wrap=True)
        self._read = label("quiet")
        self._vehicle = label()
        self._last = label("heading")
        self._order = label(wrap=True)
        self._outcome = Outcome()
        self.buttons = {verb: button("order") for verb in VERBS}
        self._lay_out()
        for verb, choice in self.buttons.items():
            choice.clicked.connect(lambda _checked=False, chosen=verb: self.order(chosen))
        board.changed.connect(self._changed)
        board.ticked.connect(self.refresh)
        board.spoken.connect(self.retranslate)
        self.retranslate()

    def _lay_out(self) -> None:
        facts = down(spacing=2)
        for widget in (self._position, self._read, self._vehicle):
            facts.addWidget(widget)
        facts.addStretch(1)
        top = across(spacing=10)
        top.addWidget(self._picture)
        top.addLayout(facts, 1)
        outcome = across(spacing=4)
        outcome.addWidget(self._outcome)
        outcome.addWidget(self._order, 1)
        self._order.setMinimumHeight(36)
        self._order.setAlignment(Qt.AlignmentFlag.AlignTop)
        grid = QGridLayout()
        grid.setSpacing(6)
        grid.addWidget(self.buttons[Verb.RELEASE], 0, 0, 1, 2)
        grid.addWidget(self.buttons[Verb.HOLD_OPEN], 1, 0)
        grid.addWidget(self.buttons[Verb.END_HOLD], 1, 1)
        column = down(self, spacing=4, margins=(10, 8, 10, 10))
        column.addWidget(self._title)
        column.addWidget(self._lot)
        column.addLayout(top)
        column.addWidget(self._last)
        column.addLayout(outcome)
        column.addLayout(grid)

    @property
    def view(self) -> ExitView | None:
        """The exit that is shown."""
        return self._board.state.exits.get(self.key)

    @property
    def order_text(self) -> str:
        """What is said of the last order."""
        return self._order.text()

    @property
    def position_text(self) -> str:
        """What is said of the position."""
        return self._position.text()

    def show_exit(self, key: str) -> None:
        """Show another exit."""
        self.key = key
        self._picture.key = key
        self.refresh()

    def order(self, verb: Verb) -> None:
        """Begin an order to the exit that is shown, if that can be done now."""
        view = self.view
        if view is not None and self.buttons[verb].isEnabled():
            self._give(view, verb)

    def retranslate(self) -> None:
        """Say everything in the language of the board."""
        phrases = self._board.phrases
        self._last.setText(phrases("exit.last"))
        for verb, choice in self.buttons.items():
            choice.setText(phrases(f"verb.{verb}"))
        self.refresh()

    def refresh(self) -> None:
        """Bring texts and ages up to date."""
        view, phrases, state = self.view, self._board.phrases, self._board.state
        for verb, choice in self.buttons.items():
            choice.setEnabled(view is not None and state.live)
            where = phrases.named(view.label, view.exit) if view else "–"
            name(choice, f"{where}: {phrases(f'verb.{verb}')}")
        if view is None:
            self._title.setText(phrases("rail.choose" if state.exits else "rail.none"))
            for widget in (self._lot, self._position, self._read, self._vehicle, self._order):
                widget.setText("")
            self._outcome.show_mark(0)
            self._picture.update()
            return
        seen = reading(state, view)
        self._title.setText(f"{phrases.named(view.label, view.exit)}  {phrases(f'exit.{view.kind}')}")
        self._lot.setText(self._board.lot_name(view.lot))
        self._position.setText(self._where(view, seen))
        self._read.setText(self._age(seen))
        vehicle = {True: "yes", False: "no", None: "unknown"}[seen.vehicle]
        self._vehicle.setText(f"{phrases('exit.vehicle')}: {phrases(f'exit.vehicle.{vehicle}')}")
        self._show_order(view)
        self._picture.update()

    def _where(self, view: ExitView, seen: Reading) -> str:
        held = f"\n{self._board.phrases('exit.held')}" if view.held else ""
        return self._board.phrases(f"position.{view.kind}.{seen.position}") + held

    def _age(self, seen: Reading) -> str:
        phrases = self._board.phrases
        return phrases("exit.never_read") if seen.age is None else phrases("exit.read", age=phrases.age(seen.age))

    def _show_order(self, view: ExitView) -> None:
        phrases = self._board.phrases
        last = last_order(self._board.state, view)
        self._outcome.show_mark(NOT_CONFIRMED_MARK if last is not None and last.failed else 0)
        if last is None:
            self._order.setText(phrases("exit.no_order"))
            return
        cause = phrases.code(last.code) if last.code and last.failed else ""
        first = f"{phrases.happening(last.verb)}  {self._board.moment(last.at, view.lot)}  {last.actor}"
        self._order.setText(
            first + "\n" + " — ".join(part for part in (phrases(f"outcome.{last.outcome}"), cause) if part)
        )

    def _changed(self, before: State) -> None:
        state = self._board.state
        parts = ("exits", "orders", "notices", "lots", "contact")
        if any(getattr(state, part) is not getattr(before, part) for part in parts):
            self.refresh()


class Picture(QWidget):
    """The exit's shape, large, with a vehicle before it."""

    def __init__(self, board: Board) -> None:
        super().__init__()
        self._board = board
        self.key = ""
        self.setFixedSize(QSize(int(_PICTURE * 1.4), _PICTURE + 22))

    def paintEvent(self, _event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        """Draw position, vehicle and mark."""
        view, state = self._board.state.exits.get(self.key), self._board.state
        if view is None:
            return
        painter, seen = QPainter(self), reading(state, view)
        top = QRectF(2, 4, self.width() - 4, _PICTURE - 8)
        paint_exit(painter, top, view.kind, seen.position, fresh=seen.fresh)
        paint_vehicle(painter, QRectF(0, _PICTURE, self.width(), 20), seen.vehicle)
        if mark_of(state, view) == HELD_MARK:
            paint_alarm(painter, QRectF(self.width() - 26, 0, 26, 26), HELD_MARK)


class Outcome(QWidget):
    """The alarm mark beside an order that is not known to have worked; takes no room otherwise."""

    def __init__(self) -> None:
        super().__init__()
        self._priority = 0
        self.setFixedSize(24, 24)
        self.hide()

    def show_mark(self, priority: int) -> None:
        """Show the mark of a priority; 0 for none."""
        self._priority = priority
        self.setVisible(bool(priority))
        self.update()

    def paintEvent(self, _event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        """Draw the mark."""
        if self._priority:
            paint_alarm(QPainter(self), QRectF(self.rect()), self._priority)
