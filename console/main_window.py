"""The one window: header, pages, exits, strips, and the keys that lead everywhere."""

from typing import Final

from PySide6.QtCore import QEvent, Signal
from PySide6.QtGui import QCloseEvent, QKeySequence, QPaintEvent, QShortcut
from PySide6.QtWidgets import QButtonGroup, QDialog, QFrame, QMainWindow, QPushButton, QStackedWidget, QWidget

from console.board import Board
from console.command_dialog import CommandDialog
from console.doubts_page import DoubtsPage
from console.exits_rail import ExitsRail
from console.header import Header
from console.parts import across, button, down, name
from console.resolve_dialog import ResolveDialog
from console.selection import in_doubt
from console.state import State
from console.stays_page import StaysPage
from console.strips import Banner, NoticeStrip, StatusStrip
from parking.desk import CaseView, Command, ExitView, Verb, Verdict

SIZE: Final = (1366, 768)
_STAYS, _DOUBTS = 0, 1
_KEYS: Final = (("nav.stays", "F2"), ("nav.doubts", "F7"))


class MainWindow(QMainWindow):
    """`painted` comes once, after the first paint; `closed` when the attendant closes the window."""

    painted = Signal()
    closed = Signal()

    def __init__(self, board: Board) -> None:
        super().__init__()
        self._board = board
        self._painted = False
        self.dialog: QDialog | None = None
        self.header = Header(board)
        self.banner = Banner(board)
        self.stays = StaysPage(board)
        self.doubts = DoubtsPage(board, self._decide)
        self.rail = ExitsRail(board, self._order)
        self.notices = NoticeStrip(board)
        self.status = StatusStrip(board)
        self.pages = QStackedWidget()
        self.pages.addWidget(self.stays)
        self.pages.addWidget(self.doubts)
        self.nav: list[QPushButton] = []
        self._lay_out()
        self._bind_keys()
        self.header.searched.connect(self._searched)
        self.header.entered.connect(self.stays.table.setFocus)
        board.changed.connect(self._changed)
        board.spoken.connect(self.retranslate)
        board.moved.connect(self._count_doubts)
        self.retranslate()
        self.resize(*SIZE)
        self.stays.table.setFocus()

    def _lay_out(self) -> None:
        nav = QFrame()
        nav.setObjectName("nav")
        nav.setFixedWidth(96)
        side = down(nav, spacing=4, margins=(0, 10, 0, 10))
        group = QButtonGroup(self)
        for at in (_STAYS, _DOUBTS):
            choice = button("page", checkable=True)
            choice.setMinimumHeight(58)
            choice.clicked.connect(lambda _checked=False, page=at: self.show_page(page))
            group.addButton(choice)
            side.addWidget(choice)
            self.nav.append(choice)
        self.nav[_STAYS].setChecked(True)
        side.addStretch(1)
        self._help = button("page")
        self._help.setMinimumHeight(44)
        self._help.clicked.connect(self._show_help)
        side.addWidget(self._help)
        field = QWidget()
        field.setObjectName("field")
        whole = down(field, spacing=0)
        whole.addWidget(self.header)
        whole.addWidget(self.banner)
        middle = across(spacing=0)
        middle.addWidget(nav)
        middle.addWidget(self.pages, 1)
        middle.addWidget(self.rail)
        whole.addLayout(middle, 1)
        whole.addWidget(self.notices)
        whole.addWidget(self.status)
        self.setCentralWidget(field)

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

    def retranslate(self) -> None:
        """Say what the window itself says in the language of the board."""
        phrases = self._board.phrases
        self.setWindowTitle(phrases("app.title"))
        self._help.setText(f"F1\n{phrases('nav.help')}")
        name(self._help, phrases("nav.help"))
        self._count_doubts()

    def show_page(self, at: int) -> None:
        """Bring a page up: 0 the stays, 1 the cases in doubt."""
        self.pages.setCurrentIndex(at)
        self.nav[at].setChecked(True)
        (self.stays.table if at == _STAYS else self.doubts.table).setFocus()

    def _find(self) -> None:
        self.pages.setCurrentIndex(_STAYS)
        self.nav[_STAYS].setChecked(True)
        self.header.search.setFocus()
        self.header.search.selectAll()

    def _searched(self, text: str) -> None:
        self.pages.setCurrentIndex(_STAYS)
        self.nav[_STAYS].setChecked(True)
        self.stays.search(text)

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
            self.nav[at].setText(f"{keys}\n{text}{number}")
            name(self.nav[at], f"{text}{number}")

    def _order(self, view: ExitView, verb: Verb) -> None:
        dialog = CommandDialog(self._board, self, view, verb)
        self._open(dialog)
        dialog.accepted.connect(lambda: self._give(dialog.command()))

    def _decide(self, case: CaseView, verdict: Verdict) -> None:
        dialog = ResolveDialog(self._board, self, case, verdict)
        self._open(dialog)
        dialog.accepted.connect(lambda: self._give(dialog.command()))

    def _give(self, command: Command) -> None:
        self._board.actor = command.actor
        self.header.actor_changed()
        self._board.give(command)

    def _show_help(self) -> None:
        from console.help_dialog import HelpDialog

        self._open(HelpDialog(self._board, self))

    def _open(self, dialog: QDialog) -> None:
        self.dialog = dialog
        dialog.finished.connect(self._finished)
        dialog.open()

    def _finished(self) -> None:
        if self.dialog is not None:
            self.dialog.deleteLater()
            self.dialog = None

    def paintEvent(self, event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        """Tell when the window has been painted for the first time."""
        super().paintEvent(event)
        if not self._painted:
            self._painted = True
            self.painted.emit()

    def closeEvent(self, event: QCloseEvent) -> None:  # noqa: N802 - Qt's name
        """Tell that the window is gone."""
        super().closeEvent(event)
        if event.type() is QEvent.Type.Close and event.isAccepted():
            self.closed.emit()
