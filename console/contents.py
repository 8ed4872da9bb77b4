"""All that is in the window: header, pages, exits, strips, and the keys that lead everywhere."""

from typing import Final

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QKeySequence, QPainter, QPaintEvent, QShortcut
from PySide6.QtWidgets import QButtonGroup, QDialog, QFrame, QPushButton, QStackedWidget, QWidget

from console.board import Board
from console.columns import IN_DOUBT_MARK
from console.doubts_page import DoubtsPage
from console.exits_rail import ExitsRail
from console.glyphs import paint_alarm
from console.header import Header
from console.parts import across, button, down, name
from console.selection import in_doubt, stay_for
from console.state import State
from console.stays_page import StaysPage
from console.strips import Banner, NoticeStrip, StatusStrip
from console.tokens import NAV_WIDTH
from parking.desk import CaseView, Command, ExitKind, ExitView, Verb, Verdict

_STAYS, _DOUBTS = 0, 1
_KEYS: Final = (("nav.stays", "F2"), ("nav.doubts", "F7"))


class NavButton(QPushButton):
    """Leads to a page; shows an alarm mark in its corner while something waits there."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("page")
        self.setCheckable(True)
        self.setAutoDefault(False)
        self._priority = 0

    def show_mark(self, priority: int) -> None:
        """Show the mark of a priority; 0 for none."""
        if priority != self._priority:
            self._priority = priority
            self.update()

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        """Draw the button, and the mark over it."""
        super().paintEvent(event)
        if self._priority:
            paint_alarm(QPainter(self), QRectF(self.width() - 26, 4, 20, 20), self._priority)


class Contents(QWidget):
    """Everything between the window's edges. `dialog` is the one that is open, if any."""

    def __init__(self, board: Board) -> None:
        super().__init__()
        self._board = board
        self.setObjectName("field")
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground)
        self.dialog: QDialog | None = None
        self._doubts: DoubtsPage | None = None
        self.header = Header(board)
        self.banner = Banner(board)
        self.stays = StaysPage(board)
        self.rail = ExitsRail(board, self._order)
        self.notices = NoticeStrip(board)
        self.status = StatusStrip(board)
        self.pages = QStackedWidget()
        self.pages.addWidget(self.stays)
        self.nav: list[NavButton] = []
        self._lay_out()
        self._bind_keys()
        self.header.searched.connect(self._searched)
        self.header.entered.connect(self.stays.table.setFocus)
        self.stays.table.chosen.connect(self._stay_chosen)
        board.changed.connect(self._changed)
        board.spoken.connect(self.retranslate)
        board.moved.connect(self._count_doubts)
        self.retranslate()

    def _lay_out(self) -> None:
        nav = QFrame()
        nav.setObjectName("nav")
        nav.setFixedWidth(NAV_WIDTH)
        side = down(nav, spacing=4, margins=(0, 10, 0, 10))
        group = QButtonGroup(self)
        for at in (_STAYS, _DOUBTS):
            choice = NavButton()
            choice.clicked.connect(lambda _checked=False, page=at: self.show_page(page))
            group.addButton(choice)
            side.addWidget(choice)
            self.nav.append(choice)
        self.nav[_STAYS].setChecked(True)
        side.addStretch(1)
        self._help = button("page")
        self._help.clicked.connect(self._show_help)
        side.addWidget(self._help)
        whole = down(self, spacing=0)
        whole.addWidget(self.header)
        whole.addWidget(self.banner)
        middle = across(spacing=0)
        middle.addWidget(nav)
        middle.addWidget(self.pages, 1)
        middle.addWidget(self.rail)
        whole.addLayout(middle, 1)
        whole.addWidget(self.notices)
        whole.addWidget(self.status)

    def _bind_keys(self) -> None:
        def bind(keys: str, act: object) -> None:
            QShortcut(QKeySequence(keys), self).activated.connect(act)

        bind("F1", self._show_help)
        bind("F2", lambda: self.show_page(_STAYS))
        bind("F3", self._find)
        bind("F5", self.rail.focus)
        bind("F7", lambda: self.show_page(_DOUBTS))
        bind("F8", self.notices.acknowledge)
        bind("Ctrl+O", lambda: self.rail.order(Verb.RELEASE))
        bind("Ctrl+H", lambda: self.rail.order(Verb.HOLD_OPEN))
        bind("Ctrl+E", lambda: self.rail.order(Verb.END_HOLD))
        for digit in range(1, 10):
            bind(f"Ctrl+{digit}", lambda at=digit - 1: self._choose_exit(at))

    @property
    def doubts(self) -> DoubtsPage:
        """The page of cases in doubt, made when it is first needed."""
        if self._doubts is None:
            self._doubts = DoubtsPage(self._board, self._decide)
            self.pages.addWidget(self._doubts)
        return self._doubts

    def retranslate(self) -> None:
        """Say what the window itself says in the language of the board."""
        phrases = self._board.phrases
        self._help.setText(f"F1\n{phrases('nav.help')}")
        name(self._help, phrases("nav.help"))
        self._count_doubts()
        if self.parent() is not None:
            self.window().setWindowTitle(phrases("app.title"))

    def settle(self) -> None:
        """Take the window over once placed in it."""
        self.window().setWindowTitle(self._board.phrases("app.title"))
        self.stays.table.setFocus()

    def show_page(self, at: int) -> None:
        """Bring a page up: 0 the stays, 1 the cases in doubt."""
        page = self.stays if at == _STAYS else self.doubts
        self.pages.setCurrentWidget(page)
        self.nav[at].setChecked(True)
        page.table.setFocus()

    def _find(self) -> None:
        self.pages.setCurrentWidget(self.stays)
        self.nav[_STAYS].setChecked(True)
        self.header.search.setFocus()
        self.header.search.selectAll()

    def _searched(self, text: str) -> None:
        self.pages.setCurrentWidget(self.stays)
        self.nav[_STAYS].setChecked(True)
        self.stays.search(text)

    def _stay_chosen(self, key: str) -> None:
        """Bring up the plate of the chosen stay's own bay: the card must not show a neighbour's."""
        bay = self._board.state.stays.get(key)
        for exit_key, view in self._board.state.exits.items() if bay else ():
            if view.kind is ExitKind.PLATE and stay_for(self._board.state, view, "") is bay:
                self.rail.choose(exit_key)
                return

    def _choose_exit(self, at: int) -> None:
        keys = self.rail.keys
        if at < len(keys):
            self.rail.choose(keys[at])

    def _changed(self, before: State) -> None:
        if before.cases is not self._board.state.cases:
            self._count_doubts()

    def _count_doubts(self) -> None:
        doubts = len(in_doubt(self._board.state, self._board.lot))
        for at, (key, keys) in enumerate(_KEYS):
            text = self._board.phrases(key)
            number = f" {doubts}" if at == _DOUBTS and doubts else ""
            self.nav[at].show_mark(IN_DOUBT_MARK if number else 0)
            self.nav[at].setText(f"{keys}\n{text}{number}")
            name(self.nav[at], f"{text}{number}")

    def _order(self, view: ExitView, verb: Verb) -> None:
        from console.command_dialog import CommandDialog  # not needed before the first order

        dialog = CommandDialog(self._board, self, view, verb)
        self._open(dialog)
        dialog.accepted.connect(lambda: self._give(dialog.command()))

    def _decide(self, case: CaseView, verdict: Verdict) -> None:
        from console.resolve_dialog import ResolveDialog  # not needed before the first decision

        dialog = ResolveDialog(self._board, self, case, verdict)
        self._open(dialog)
        dialog.accepted.connect(lambda: self._give(dialog.command()))

    def _give(self, command: Command) -> None:
        self._board.actor = command.actor
        self.header.actor_changed()
        self._board.give(command)

    def _show_help(self) -> None:
        from console.help_dialog import HelpDialog  # not needed before the first question

        self._open(HelpDialog(self._board, self))

    def _open(self, dialog: QDialog) -> None:
        self.dialog = dialog
        dialog.finished.connect(self._finished)
        dialog.open()

    def _finished(self) -> None:
        if self.dialog is not None:
            self.dialog.deleteLater()
            self.dialog = None
