"""The right edge of the window: the chosen exit in full and all exits as tiles, lot by lot. It never scrolls away."""

from typing import Final

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QGridLayout, QLabel, QScrollArea, QWidget

from console.board import Board
from console.exit_card import ExitCard, Give
from console.exit_tile import ExitTile
from console.parts import down, label
from console.selection import exits_of
from console.state import State
from console.tokens import RAIL_WIDTH
from parking.commands import Verb

_IN_A_ROW: Final = 5


class ExitsRail(QFrame):
    """Tiles are made once per exit and kept while the bridge knows it."""

    def __init__(self, board: Board, give: Give) -> None:
        super().__init__()
        self.setObjectName("rail")
        self.setFixedWidth(RAIL_WIDTH)
        self._board = board
        self.card = ExitCard(board, give)
        self.tiles: dict[str, ExitTile] = {}
        self._headings: dict[int, QLabel] = {}
        self._shown: list[str] = []
        self._area = QScrollArea()
        self._area.setWidgetResizable(True)
        self._area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self._area.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self._field = QWidget()
        self._field.setObjectName("inner")
        self._grid = QGridLayout(self._field)
        self._grid.setSpacing(3)
        self._grid.setContentsMargins(0, 0, 2, 0)
        self._area.setWidget(self._field)
        column = down(self, spacing=8, margins=(8, 8, 6, 8))
        column.addWidget(self.card)
        column.addWidget(self._area, 1)
        board.changed.connect(self._changed)
        board.ticked.connect(self._refresh)
        board.spoken.connect(self._spoken)
        board.moved.connect(self._arrange)

    @property
    def keys(self) -> tuple[str, ...]:
        """The exits that are shown, in order."""
        return tuple(self._shown)

    def choose(self, key: str) -> None:
        """Show this exit in the card."""
        for other, tile in self.tiles.items():
            tile.setChecked(other == key)
        self.card.show_exit(key)
        if key in self.tiles:
            self._area.ensureWidgetVisible(self.tiles[key], 0, 8)

    def order(self, verb: Verb) -> None:
        """Begin an order to the chosen exit."""
        self.card.order(verb)

    def focus(self) -> None:
        """Give the keyboard to the chosen tile; arrows move on from there."""
        tile = self.tiles.get(self.card.key) or next(iter(self.tiles.values()), None)
        if tile is not None:
            tile.setFocus(Qt.FocusReason.ShortcutFocusReason)

    def _changed(self, before: State) -> None:
        state = self._board.state
        if list(state.exits) != list(self.tiles) or state.lots is not before.lots:
            self._arrange()
        elif state.exits is not before.exits or state.notices is not before.notices:
            self._refresh(before)
        elif state.contact is not before.contact:
            self._refresh()

    def _refresh(self, before: State | None = None) -> None:
        """Repaint what may look different: all tiles by time or contact, else those whose row or notices changed."""
        notices = before is not None and before.notices is not self._board.state.notices
        for key in self._shown:
            if before is None or notices or before.exits.get(key) is not self._board.state.exits.get(key):
                self.tiles[key].retranslate()

    def _spoken(self) -> None:
        for lot, heading in self._headings.items():
            heading.setText(self._board.lot_name(lot))
        self._refresh()

    def _arrange(self) -> None:
        for gone in set(self.tiles) - set(self._board.state.exits):
            self.tiles.pop(gone).deleteLater()
        for heading in self._headings.values():
            heading.deleteLater()
        self._headings = {}
        self._shown = []
        for tile in self.tiles.values():
            tile.hide()
        row = column = 0
        lot = -1
        for view in exits_of(self._board.state, self._board.lot):
            if view.lot != lot:
                lot, row, column = view.lot, row + 1, 0
                self._grid.addWidget(self._heading(lot), row, 0, 1, _IN_A_ROW)
                row += 1
            elif column == _IN_A_ROW:
                row, column = row + 1, 0
            self._grid.addWidget(self._tile(view.key), row, column)
            column += 1
        for at in range(_IN_A_ROW):
            self._grid.setColumnStretch(at, 1)
        for at in range(self._grid.rowCount()):
            self._grid.setRowStretch(at, 0)
        self._grid.setRowStretch(row + 1, 1)
        if self.card.key not in self._shown:
            self.choose(self._shown[0] if self._shown else "")
        else:
            self.card.refresh()

    def _heading(self, lot: int) -> QLabel:
        heading = label("heading")
        heading.setText(self._board.lot_name(lot))
        self._headings[lot] = heading
        return heading

    def _tile(self, key: str) -> ExitTile:
        tile = self.tiles.get(key)
        if tile is None:
            tile = ExitTile(self._board, key)
            tile.clicked.connect(lambda _checked=False, chosen=key: self.choose(chosen))
            self.tiles[key] = tile
        tile.retranslate()
        tile.show()
        self._shown.append(key)
        return tile
