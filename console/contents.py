"""All that is in the window: header, pages, exits, strips, and the keys that lead everywhere."""

from typing import Final
from uuid import uuid4

from msgspec.structs import replace
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
from console.selection import in_doubt, may_connect, stay_for, todo
from console.state import State
from console.stays_page import StaysPage
from console.strips import Banner, NoticeStrip, StatusStrip
from console.todo_page import TodoPage
from console.tokens import NAV_WIDTH
from parking.commands import Command, CommandReply, SignedIn, Verb, Verdict
from parking.desk import CaseView, ExitKind, ExitView, OverrideView
from parking.errors import Code

STAYS, DOUBTS, TODO = 0, 1, 2
_KEYS: Final = (("nav.stays", "F2"), ("nav.doubts", "F7"), ("nav.todo", "F6"))
_ALARM_MARK: Final = 3


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
        self._todo: TodoPage | None = None
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
        self.header.signing.connect(self._sign)
        board.answered.connect(self._answered)
        board.changed.connect(self._changed)
        board.spoken.connect(self.retranslate)
        board.moved.connect(self._count)
        self.retranslate()

    def _lay_out(self) -> None:
        nav = QFrame()
        nav.setObjectName("nav")
        nav.setFixedWidth(NAV_WIDTH)
        side = down(nav, spacing=4, margins=(0, 10, 0, 10))
        group = QButtonGroup(self)
        for at in (STAYS, DOUBTS, TODO):
            choice = NavButton()
            choice.clicked.connect(lambda _checked=False, page=at: self.show_page(page))
            group.addButton(choice)
            side.addWidget(choice)
            self.nav.append(choice)
        self.nav[STAYS].setChecked(True)
        self._code = button("page")
        self._code.clicked.connect(self._ask_code)
        side.addWidget(self._code)
        side.addStretch(1)
        self.connect_machine = button("page")
        self.connect_machine.clicked.connect(self._connect_machine)
        side.addWidget(self.connect_machine)
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
        bind("F2", lambda: self.show_page(STAYS))
        bind("F3", self._find)
        bind("F5", self.rail.focus)
        bind("F6", lambda: self.show_page(TODO))
        bind("F7", lambda: self.show_page(DOUBTS))
        bind("F9", self._ask_code)
        bind("F10", self._connect_machine)
        bind("Ctrl+L", self._sign)
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

    @property
    def todo(self) -> TodoPage:
        """The page of what a person must still end, made when it is first needed."""
        if self._todo is None:
            self._todo = TodoPage(self._board, self._assign)
            self.pages.addWidget(self._todo)
        return self._todo

    def retranslate(self) -> None:
        """Say what the window itself says in the language of the board."""
        phrases = self._board.phrases
        self._help.setText(f"F1\n{phrases('nav.help')}")
        name(self._help, phrases("nav.help"))
        self._code.setText(f"F9\n{phrases('nav.code')}")
        name(self._code, phrases("nav.code"))
        self.connect_machine.setText(f"F10\n{phrases('nav.connect')}")
        name(self.connect_machine, phrases("connect.title"))
        self.connect_machine.setVisible(may_connect(self._board.state))
        self._count()
        if self.parent() is not None:
            self.window().setWindowTitle(phrases("app.title"))

    def settle(self) -> None:
        """Take the window over once placed in it."""
        self.window().setWindowTitle(self._board.phrases("app.title"))
        self.stays.table.setFocus()

    def show_page(self, at: int) -> None:
        """Bring a page up: STAYS, DOUBTS (the cases in doubt) or TODO."""
        page = self.stays if at == STAYS else self.doubts if at == DOUBTS else self.todo
        self.pages.setCurrentWidget(page)
        self.nav[at].setChecked(True)
        page.table.setFocus()

    def _find(self) -> None:
        self.pages.setCurrentWidget(self.stays)
        self.nav[STAYS].setChecked(True)
        self.header.search.setFocus()
        self.header.search.selectAll()

    def _searched(self, text: str) -> None:
        self.pages.setCurrentWidget(self.stays)
        self.nav[STAYS].setChecked(True)
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
        state = self._board.state
        tables = ((before.cases, state.cases), (before.alarms, state.alarms), (before.unmatched, state.unmatched))
        if any(old is not new for old, new in tables):
            self._count()
        if before.session is not state.session or before.sign_in != state.sign_in:
            self.connect_machine.setVisible(may_connect(state))

    def _count(self) -> None:
        state, lot = self._board.state, self._board.lot
        waiting = {DOUBTS: len(in_doubt(state, lot)), TODO: len(todo(state, lot))}
        for at, (key, keys) in enumerate(_KEYS):
            text = self._board.phrases(key)
            number = f" {waiting[at]}" if waiting.get(at) else ""
            self.nav[at].show_mark((IN_DOUBT_MARK if at == DOUBTS else _ALARM_MARK) if number else 0)
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

    def _assign(self, override: OverrideView) -> None:
        from console.assign_dialog import AssignDialog  # not needed before the first override

        dialog = AssignDialog(self._board, self, override)
        self._open(dialog)
        dialog.accepted.connect(lambda: self._give(dialog.command()))

    def _ask_code(self) -> None:
        from console.code_dialog import CodeDialog  # not needed before the first code

        lot = self._board.lot or next(iter(self._board.state.lots), 0)
        if self._board.state.live and lot:
            self._open(CodeDialog(self._board, self, lot))

    def _connect_machine(self) -> None:
        if may_connect(self._board.state):
            from console.connect_wizard import ConnectWizard  # not needed before the first machine

            self._open(ConnectWizard(self._board, self))

    def _sign(self) -> None:
        """Lock, or sign in where a PIN is wanted."""
        if self._board.state.session is not None:
            self._board.end_session()
        elif self._board.state.sign_in:
            self._ask_pin(None, second=False)

    def _ask_pin(self, command: Command | None, *, second: bool) -> None:
        """Have somebody sign in, and then give the order that waits for it."""
        from console.sign_in_dialog import SignInDialog  # not needed before the first order

        dialog = SignInDialog(self._board, self, second=second)
        self._open(dialog)
        if command is not None:
            dialog.accepted.connect(lambda: self._board.give(_again(command, dialog.signed if second else None)))

    def _give(self, command: Command) -> None:
        self._board.actor = command.actor
        self.header.actor_changed()
        state = self._board.state
        if state.sign_in and state.session is None and not command.emergency:
            self._ask_pin(command, second=False)
        else:
            self._board.give(command)

    def _answered(self, command: Command, reply: CommandReply) -> None:
        """Follow up what the bridge said to an order: a PIN is wanted, a second person, or a claim is to be shown."""
        if reply.accepted and reply.claim_url:
            from console.claim_dialog import ClaimDialog  # not needed before the first claim

            self._open(ClaimDialog(self._board, self, reply.claim_url))
        elif not reply.accepted and reply.code in (Code.SIGN_IN, Code.SECOND_PERSON) and self.dialog is None:
            self._board.acknowledge(command.command_id)
            self._ask_pin(command, second=reply.code == Code.SECOND_PERSON)

    def _show_help(self) -> None:
        from console.help_dialog import HelpDialog  # not needed before the first question

        self._open(HelpDialog(self._board, self))

    def _open(self, dialog: QDialog) -> None:
        self.dialog = dialog
        dialog.finished.connect(lambda: self._finished(dialog))
        dialog.open()

    def _finished(self, dialog: QDialog) -> None:
        dialog.deleteLater()
        if self.dialog is dialog:  # one dialog may have led to the next
            self.dialog = None


def _again(command: Command, second: SignedIn | None) -> Command:
    """The same order once more, as a new one: the bridge remembers that it refused the first."""
    token = second.session if second is not None else command.second
    return replace(command, command_id=str(uuid4()), second=token)
