"""The strips across the window: the banner without a bridge, the notice to acknowledge, the state of all links."""

from typing import Final

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QPainter, QPaintEvent
from PySide6.QtWidgets import QFrame, QLabel, QScrollArea, QWidget

from console.board import Board
from console.glyphs import paint_alarm, paint_link
from console.inputs import Contact, Notice
from console.parts import across, button, down, label, name
from console.state import State
from console.tokens import STATUS_HEIGHT
from parking.desk import LinkView

_NOTICE_MARK: Final = 2


class Banner(QFrame):
    """Says that the bridge cannot be reached, since when, why, and what still works. Hidden while all is well."""

    def __init__(self, board: Board) -> None:
        super().__init__()
        self.setObjectName("banner")
        self._board = board
        self._mark = Mark(1)
        self.what = label("what")
        self._why = label("quiet", wrap=True)
        row = across(self, spacing=12, margins=(12, 6, 12, 6))
        column = down(spacing=1)
        column.addWidget(self.what)
        column.addWidget(self._why)
        row.addWidget(self._mark)
        row.addLayout(column, 1)
        board.changed.connect(self.refresh)
        board.ticked.connect(self.refresh)
        board.spoken.connect(self.refresh)
        self.refresh()

    def refresh(self, _before: State | None = None) -> None:
        """Show or hide, with the age as of now."""
        state, phrases = self._board.state, self._board.phrases
        self.setVisible(state.contact is not Contact.ONLINE)
        if state.contact is Contact.ONLINE:
            return
        self._mark.setVisible(state.contact is Contact.OFFLINE)
        if state.contact is Contact.CONNECTING or state.contact_since is None:
            self.what.setText(phrases("bridge.connecting"))
            self._why.setText(phrases("bridge.connecting_hint"))
            return
        age = phrases.age(state.now - state.contact_since)
        self.what.setText(phrases("bridge.offline", since=self._board.contact_moment(), age=age))
        trouble = phrases.cause(state.trouble.code, state.trouble.detail) if state.trouble else ""
        self._why.setText(f"{phrases('bridge.offline_hint')}  [{trouble}]")


class NoticeStrip(QFrame):
    """The oldest order that is not known to have worked; it stays until someone has seen it."""

    def __init__(self, board: Board) -> None:
        super().__init__()
        self.setObjectName("notice")
        self._board = board
        self._crash = ""
        self.text = label(wrap=True)
        self._more = label("quiet")
        self.seen = button()
        row = across(self, spacing=12, margins=(12, 5, 12, 5))
        row.addWidget(Mark(_NOTICE_MARK))
        row.addWidget(self.text, 1)
        row.addWidget(self._more)
        row.addWidget(self.seen)
        self.seen.clicked.connect(self.acknowledge)
        board.changed.connect(self._changed)
        board.spoken.connect(self.refresh)
        self.refresh()

    def acknowledge(self) -> None:
        """The attendant has seen the notice that is shown."""
        notice = self._first()
        if self._crash:
            self._crash = ""
            self.refresh()
        elif notice is not None:
            self._board.acknowledge(notice.command_id)

    def say_crash(self, text: str) -> None:
        """Say calmly that something failed in this program; comes before all notices."""
        self._crash = text
        self.refresh()

    def refresh(self) -> None:
        """Show the first notice, or hide."""
        notice, phrases = self._first(), self._board.phrases
        self.setVisible(bool(self._crash) or notice is not None)
        if not self._crash and notice is None:
            return
        self.text.setText(self._crash or (self._say(notice) if notice else ""))
        others = len(self._board.state.notices) - (0 if self._crash else 1)
        self._more.setText(phrases("notice.more", count=others) if others else "")
        self.seen.setText(phrases("notice.ack"))
        name(self.seen, f"{phrases('notice.ack')}: {self.text.text()}")

    def _first(self) -> Notice | None:
        return next(iter(self._board.state.notices.values()), None)

    def _say(self, notice: Notice) -> str:
        phrases, state = self._board.phrases, self._board.state
        view = state.exits.get(f"{notice.lot}/{notice.exit}")
        where = phrases.named(view.label, notice.exit) if view else notice.exit
        if notice.case:
            where = phrases("notice.case", case=notice.case)
        said = phrases(
            "notice.text",
            where=f"{self._board.lot_name(notice.lot)} {where}",
            verb=phrases.happening(notice.verb),
            outcome=phrases(f"outcome.{notice.outcome}"),
            time=self._board.moment(notice.at, notice.lot),
            cause=phrases.cause(notice.code, notice.detail),
        )
        return f"{said}  {phrases(f'notice.do.{notice.outcome}')}"

    def _changed(self, before: State) -> None:
        if before.notices is not self._board.state.notices or before.exits is not self._board.state.exits:
            self.refresh()


class StatusStrip(QFrame):
    """Every connection: bridge, cloud, devices; up or down since when."""

    def __init__(self, board: Board) -> None:
        super().__init__()
        self.setObjectName("status")
        self.setFixedHeight(STATUS_HEIGHT)
        self._board = board
        self._field = QWidget()
        self._field.setObjectName("inner")
        self._row = across(self._field, spacing=22, margins=(12, 0, 12, 0))
        self._row.addStretch(1)
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        area.setWidget(self._field)
        across(self).addWidget(area)
        self.chips: dict[str, Chip] = {}
        board.changed.connect(self._changed)
        board.spoken.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show all links."""
        state, phrases = self._board.state, self._board.phrases
        up = {Contact.ONLINE: True, Contact.OFFLINE: False, Contact.CONNECTING: None}[state.contact]
        word = {True: "link.up", False: "link.down", None: "link.connecting"}[up]
        since = self._board.contact_moment(seconds=False)
        self._chip("").say(phrases("link.bridge"), up, phrases(word), since and phrases("link.since", since=since))
        for key in set(self.chips) - set(state.links) - {""}:
            self.chips.pop(key).deleteLater()
        for link in state.links.values():
            self._show(link)

    def _show(self, link: LinkView) -> None:
        phrases, live = self._board.phrases, self._board.state.live
        up = link.up if live else None
        word = {True: "link.up", False: "link.down", None: "link.stale"}[up]
        latency = f"  {link.latency_ms:.0f} ms" if live and link.up and link.latency_ms is not None else ""
        since = self._board.moment(link.since, next(iter(self._board.state.lots), 0), seconds=False)
        self._chip(link.key).say(self._name(link), up, phrases(word) + latency, phrases("link.since", since=since))

    def _name(self, link: LinkView) -> str:
        """`1001/gate` is the device gate of lot 1001; the lot is named only beside a cloud link, where it must be."""
        lot, _, device = link.link.rpartition("/")
        if link.kind != "cloud":
            return device
        several = len(self._board.state.lots) > 1 and lot.isdecimal()
        return self._board.phrases("link.cloud") + (f" {self._board.lot_name(int(lot))}" if several else "")

    def _chip(self, key: str) -> "Chip":
        chip = self.chips.get(key)
        if chip is None:
            chip = self.chips[key] = Chip()
            self._row.insertWidget(self._row.count() - 1, chip)
        return chip

    def _changed(self, before: State) -> None:
        state = self._board.state
        if state.links is not before.links or state.contact is not before.contact or state.lots is not before.lots:
            self.refresh()


class Chip(QWidget):
    """One connection: a shape, its name, and a line below."""

    def __init__(self) -> None:
        super().__init__()
        self._up: bool | None = None
        self._name = label()
        self._line = label("quiet")
        small = self._line.font()
        small.setPixelSize(12)
        self._name.setFont(small)
        self._line.setFont(small)
        column = down(self, spacing=0, margins=(24, 4, 0, 4))
        column.addWidget(self._name)
        column.addWidget(self._line)

    def say(self, title: str, up: bool | None, word: str, since: str) -> None:
        """Show a state."""
        self._up = up
        self._name.setText(title)
        self._line.setText(f"{word}  {since}".strip())
        name(self, f"{title}: {self._line.text()}")
        self.update()

    @property
    def text(self) -> str:
        """Both lines, for screen readers and tests."""
        return self.accessibleName()

    def paintEvent(self, _event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        """Draw the shape."""
        paint_link(QPainter(self), QRectF(0, (self.height() - 19) / 2, 19, 19), self._up)


class Mark(QLabel):
    """An alarm mark of fixed size."""

    def __init__(self, priority: int) -> None:
        super().__init__()
        self._priority = priority
        self.setFixedSize(28, 28)

    def paintEvent(self, _event: QPaintEvent) -> None:  # noqa: N802 - Qt's name
        """Draw the mark."""
        paint_alarm(QPainter(self), QRectF(self.rect()), self._priority)
