"""The top of the window: which lot, what time it is there, who is on duty, the search, the language."""

from typing import Final

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QButtonGroup, QComboBox, QFrame, QLineEdit

from console.board import Board
from console.i18n import Language
from console.parts import across, button, label, name
from console.state import State
from console.tokens import HEADER_HEIGHT

_SHORT: Final = {Language.JA: "JP", Language.EN: "EN"}


class Header(QFrame):
    """`searched` carries the text as it is typed; `entered` comes on Enter, `signing` on signing in or locking."""

    searched = Signal(str)
    entered = Signal()
    signing = Signal()

    def __init__(self, board: Board) -> None:
        super().__init__()
        self.setObjectName("header")
        self.setFixedHeight(HEADER_HEIGHT)
        self._board = board
        self.lots = QComboBox()
        self.lots.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToContents)
        self._lot = label("lot")
        self._clock = label("clock")
        self._actor = label()
        self.sign = button()
        self.search = QLineEdit(clearButtonEnabled=True, maxLength=64)
        self.search.setMinimumWidth(240)
        self._search_label = label("quiet")
        self._search_label.setBuddy(self.search)
        self.languages = {language: button(checkable=True) for language in Language}
        self._lay_out()
        self.lots.activated.connect(self._chose_lot)
        self.sign.clicked.connect(self.signing)
        self.search.textChanged.connect(self.searched)
        self.search.returnPressed.connect(self.entered)
        board.changed.connect(self._changed)
        board.ticked.connect(self._tick)
        board.spoken.connect(self.retranslate)
        self.retranslate()

    def _lay_out(self) -> None:
        row = across(self, spacing=14, margins=(12, 6, 12, 6))
        row.addWidget(self._lot)
        row.addWidget(self.lots)
        row.addWidget(self._clock)
        row.addWidget(self._actor)
        row.addWidget(self.sign)
        row.addStretch(1)
        row.addWidget(self._search_label)
        row.addWidget(self.search)
        pair = across(spacing=0)
        group = QButtonGroup(self)
        for language, switch in self.languages.items():
            switch.setText(_SHORT[language])
            switch.setFixedWidth(46)
            switch.clicked.connect(lambda _checked, chosen=language: self._board.speak(chosen))
            group.addButton(switch)
            pair.addWidget(switch)
        row.addLayout(pair)

    def retranslate(self) -> None:
        """Say everything in the language of the board."""
        phrases = self._board.phrases
        self.actor_changed()
        self._search_label.setText(phrases("header.search"))
        self.search.setPlaceholderText(phrases("header.search_hint"))
        name(self.search, phrases("header.search"))
        name(self.lots, phrases("header.lot"))
        name(self._clock, phrases("header.clock"))
        for language, switch in self.languages.items():
            name(switch, f"{phrases('header.language')}: {switch.text()}")
            switch.setChecked(language is phrases.language)
        self._list_lots()
        self._tick()

    def actor_changed(self) -> None:
        """Show who is on duty now."""
        state, phrases = self._board.state, self._board.phrases
        signed = state.session
        self._actor.setText(phrases("header.actor", name=(signed.operator if signed else self._board.actor) or "–"))
        self.sign.setVisible(state.sign_in or signed is not None)
        self.sign.setText(phrases("header.lock" if signed else "header.sign_in"))
        name(self.sign, self.sign.text())

    def _list_lots(self) -> None:
        phrases, lots = self._board.phrases, self._board.state.lots
        several = len(lots) > 1
        self.lots.setVisible(several)
        self._lot.setVisible(not several)
        only = next(iter(lots.values()), None)
        self._lot.setText(phrases.named(only.name, str(only.lot)) if only else phrases("header.no_lot"))
        self.lots.clear()
        self.lots.addItem(phrases("header.all_lots"), 0)
        for lot in lots.values():
            self.lots.addItem(phrases.named(lot.name, str(lot.lot)), lot.lot)
        self.lots.setCurrentIndex(max(self.lots.findData(self._board.lot), 0))

    def _chose_lot(self) -> None:
        self._board.look_at(self.lots.currentData())

    def _changed(self, before: State) -> None:
        state = self._board.state
        if state.lots != before.lots:
            self._list_lots()
            self._tick()
        if state.session is not before.session or state.sign_in != before.sign_in:
            self.actor_changed()

    def _tick(self) -> None:
        state = self._board.state
        lot = self._board.lot or next(iter(state.lots), 0)
        self._clock.setText(self._board.phrases.day(state.bridge_now, self._board.zone(lot)))
