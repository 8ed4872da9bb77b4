"""Last page of the wizard: what answered, as lines for the lot profile; or what to check where nothing did."""

from PySide6.QtCore import Qt
from PySide6.QtGui import QFontDatabase, QGuiApplication
from PySide6.QtWidgets import QPlainTextEdit, QWizard

from console.board import Board
from console.connect_page import ConnectPage
from console.connecting import Stop
from console.parts import across, button, label, name
from console.ports_page import plain
from console.profile_lines import profile_lines
from console.texts import TEXTS
from console.toolbox import FindingRow
from console.workbench import Workbench
from parking.errors import one_line


class ResultPage(ConnectPage):
    """Writes nothing: the lines are for a person to place."""

    def __init__(self, board: Board, bench: Workbench) -> None:
        super().__init__(board, bench, "connect.found")
        phrases = self.phrases
        self.setButtonText(QWizard.WizardButton.BackButton, phrases("connect.again"))
        self.identity = label(wrap=True)
        self.caption = label("heading")
        self.lines = QPlainTextEdit(readOnly=True)
        fixed = QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont)
        fixed.setPixelSize(self.font().pixelSize())
        self.lines.setFont(fixed)
        self.lines.setTabChangesFocus(True)
        self.copy = button()
        self.copy.setAutoDefault(True)
        self.copied = label("quiet")
        self.steps = label(wrap=True)
        self.steps.setTextInteractionFlags(
            Qt.TextInteractionFlag.TextSelectableByMouse | Qt.TextInteractionFlag.TextSelectableByKeyboard
        )
        self.caption.setBuddy(self.lines)
        self.copy.setText(phrases("connect.copy"))
        name(self.copy, plain(phrases("connect.copy")))
        row = across(spacing=10)
        row.addWidget(self.copy)
        row.addWidget(self.copied, 1)
        self.column.addWidget(self.identity)
        self.column.addWidget(self.caption)
        self.column.addWidget(self.lines, 1)
        self.column.addLayout(row)
        self.column.addWidget(self.steps)
        self.copy.clicked.connect(self._copy)

    def initializePage(self) -> None:  # noqa: N802 - Qt's name
        """Say what was found, or that nothing answered."""
        phrases, state = self.phrases, self.bench.state
        found = state.found
        self.say_title("connect.found" if found else "connect.not_found")
        if found:
            text = phrases("connect.is", summary=self.kind(found.family), identity=one_line(found.identity))
            self.lines.setPlainText(profile_lines(found, state.url))
        else:
            text = phrases("connect.asked", url=state.url)
            rows = [
                f"{self.kind(row.family)}\n    {one_line(' '.join((row.identity, *row.hints)).strip()) or '–'}"
                for row in state.findings or ()
            ]
            self.lines.setPlainText("\n".join(rows))
        self.identity.setText(text)
        self.caption.setText(phrases("connect.lines" if found else "connect.told"))
        name(self.lines, plain(self.caption.text()))
        self.copied.setText("")
        self.steps.setText(
            phrases("connect.steps", options=self._options(found)) if found else phrases("connect.check")
        )
        name(self.steps, self.steps.text())

    def _options(self, found: FindingRow) -> str:
        """Which options that kind of machine needs."""
        key = f"connect.options.{found.family}"
        return self.phrases(key if key in TEXTS else "connect.options.other")

    def cleanupPage(self) -> None:  # noqa: N802 - Qt's name
        """Trying again forgets the answer."""
        self.bench.take(Stop())

    def _copy(self) -> None:
        QGuiApplication.clipboard().setText(self.lines.toPlainText())
        self.copied.setText(self.phrases("connect.copied"))
