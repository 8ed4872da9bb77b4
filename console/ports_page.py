"""First page of the wizard: on which port of this PC, or at which address, the machine hangs."""

from typing import Final

from PySide6.QtCore import QSignalBlocker, Qt
from PySide6.QtWidgets import (
    QAbstractItemView,
    QButtonGroup,
    QHeaderView,
    QLineEdit,
    QRadioButton,
    QTableWidget,
    QTableWidgetItem,
)

from console.address import LONGEST
from console.board import Board
from console.connect_page import ConnectPage
from console.connecting import Choose, Refresh, Turn, Type
from console.parts import across, button, label, name
from console.toolbox import PortRow
from console.workbench import Workbench
from parking.errors import one_line

COLUMNS: Final = ("port", "what", "usb", "use")


class PortsPage(ConnectPage):
    """Opens no port: the list is made from outside."""

    def __init__(self, board: Board, bench: Workbench) -> None:
        super().__init__(board, bench, "connect.where")
        self._shown: tuple[PortRow, ...] | None = None
        self.by_port, self.by_address = QRadioButton(), QRadioButton()
        self._group = QButtonGroup(self)
        self.refresh = button()
        self.table = QTableWidget(0, len(COLUMNS))
        self.port_note, self.address_note = label(wrap=True), label(wrap=True)
        self.address = QLineEdit(maxLength=LONGEST)
        self.address_kinds = label("quiet", wrap=True)
        self._lay_out()
        self._say()
        self.by_port.clicked.connect(lambda: bench.take(Turn(by_address=False)))
        self.by_address.clicked.connect(self._turned_to_address)
        self.refresh.clicked.connect(lambda: bench.take(Refresh()))
        self.table.itemSelectionChanged.connect(self._chose)
        self.table.cellClicked.connect(lambda _row, _column: self._chose())  # back from an address to the same port
        self.address.textChanged.connect(lambda text: bench.take(Type(text)))
        self.show_state()

    def _lay_out(self) -> None:
        hint = label(wrap=True)
        hint.setText(self.phrases("connect.where_hint"))
        row = across(spacing=10)
        row.addWidget(self.by_port)
        row.addStretch(1)
        row.addWidget(self.refresh)
        for choice in (self.by_port, self.by_address):
            self._group.addButton(choice)
        table = self.table
        table.setObjectName("ports")
        table.verticalHeader().hide()
        table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        table.setTabKeyNavigation(False)
        table.setWordWrap(False)
        header = table.horizontalHeader()
        header.setHighlightSections(False)
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)
        self.column.addWidget(hint)
        self.column.addLayout(row)
        self.column.addWidget(table, 1)
        self.column.addWidget(self.port_note)
        self.column.addSpacing(8)
        self.column.addWidget(self.by_address)
        self.column.addWidget(self.address)
        self.column.addWidget(self.address_kinds)
        self.column.addWidget(self.address_note)

    def _say(self) -> None:
        phrases = self.phrases
        self.by_port.setText(phrases("connect.ports"))
        self.by_address.setText(phrases("connect.network"))
        self.refresh.setText(phrases("connect.refresh"))
        self.address.setPlaceholderText(phrases("connect.address_hint"))
        self.address_kinds.setText(phrases("connect.address_kinds"))
        self.table.setHorizontalHeaderLabels([phrases(f"connect.column.{key}") for key in COLUMNS])
        name(self.by_port, plain(phrases("connect.ports")))
        name(self.by_address, plain(phrases("connect.network")))
        name(self.refresh, plain(phrases("connect.refresh")))
        name(self.table, plain(phrases("connect.ports")))
        name(self.address, phrases("connect.address"))

    def isComplete(self) -> bool:  # noqa: N802 - Qt's name
        """Whether there is something to ask, and nothing in the way."""
        return self.bench.state.ready

    def show_state(self) -> None:
        """The ports as they were told last, and what is in the way."""
        state = self.bench.state
        (self.by_address if state.by_address else self.by_port).setChecked(True)
        self.refresh.setEnabled(state.job is None)
        self._list(state.ports or ())
        way = self._way()
        if state.job is not None:
            note = self.phrases("connect.looking")
        elif state.trouble is not None:
            note = self.trouble(state.trouble)
        elif state.by_address:
            note = self.phrases("connect.way.port.none") if state.ports == () else ""
        else:
            note = way
        self.port_note.setText(note)
        self.address_note.setText(way if state.by_address else "")

    def _list(self, ports: tuple[PortRow, ...]) -> None:
        if ports == self._shown:
            return
        self._shown = ports
        with QSignalBlocker(self.table):
            self.table.setRowCount(len(ports))
            for at, row in enumerate(ports):
                usb = " ".join(part for part in (row.vid_pid, row.serial_number) if part)
                for column, text in enumerate((row.url, row.description, usb, self._use(row))):
                    item = QTableWidgetItem(one_line(text))
                    item.setToolTip(row.stable if column == 0 else text)
                    self.table.setItem(at, column, item)
            self.table.clearSelection()
            chosen = [at for at, row in enumerate(ports) if row.url == self.bench.state.chosen]
            if chosen:
                self.table.selectRow(chosen[0])

    def _use(self, row: PortRow) -> str:
        if row.held_by:
            return self.phrases("connect.use.bridge" if row.by_bridge else "connect.use.held")
        return self.phrases("connect.use.forbidden" if row.hint else "connect.use.free")

    def _way(self) -> str:
        """What will be asked, or what is in the way."""
        state = self.bench.state
        if not state.obstacle:
            return self.phrases("connect.ready", url=state.url)
        program, group = (state.port.held_by, state.port.group) if state.port else ("", "")
        return self.phrases(f"connect.way.{state.obstacle}", program=program, command=f"sudo usermod -aG {group} $USER")

    def _chose(self) -> None:
        rows = self.table.selectionModel().selectedRows()
        if rows and self._shown:
            self.bench.take(Choose(self._shown[rows[0].row()].url))

    def _turned_to_address(self) -> None:
        self.bench.take(Turn(by_address=True))
        self.address.setFocus()


def plain(text: str) -> str:
    """A button's text without its mnemonic: `再検索(&R)` and `&Refresh` are read out as words."""
    head, _, tail = text.partition("(&")
    return head if tail else text.replace("&", "")
