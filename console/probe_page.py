"""Second page of the wizard: asks what answers, says that this changes nothing, and where it would be noise."""

from PySide6.QtCore import QSignalBlocker, Qt
from PySide6.QtWidgets import QComboBox, QProgressBar, QWizard

from console.board import Board
from console.connect_page import ConnectPage
from console.connecting import FAMILY_SECONDS, Ask, Job, Narrow, Stop
from console.parts import label, name
from console.ports_page import plain
from console.workbench import Workbench


class ProbePage(ConnectPage):
    """`Next` asks; once something was found or nothing answered, the wizard goes on by itself."""

    def __init__(self, board: Board, bench: Workbench) -> None:
        super().__init__(board, bench, "connect.probe")
        phrases = self.phrases
        self.setButtonText(QWizard.WizardButton.NextButton, phrases("connect.ask"))
        self.target, safe = label(wrap=True), label(wrap=True)
        self.warning = label("warning", wrap=True)
        caption = label("heading")
        self.kinds = QComboBox()
        self.bar = QProgressBar()
        self.bar.setTextVisible(False)
        self.bar.setRange(0, 0)  # nobody knows how long a machine takes
        self.status = label(wrap=True)
        self.status.setFocusPolicy(Qt.FocusPolicy.TabFocus)
        caption.setText(phrases("connect.kind"))
        caption.setBuddy(self.kinds)
        safe.setText(phrases("connect.safe", seconds=FAMILY_SECONDS))
        self.warning.setText(phrases("connect.warning"))
        name(self.kinds, plain(phrases("connect.kind")))
        name(self.bar, phrases("connect.probe"))
        for widget in (self.target, safe, self.warning, caption, self.kinds):
            self.column.addWidget(widget)
        self.column.addSpacing(8)
        self.column.addWidget(self.bar)
        self.column.addWidget(self.status)
        self.column.addStretch(1)
        self.kinds.activated.connect(lambda _at: bench.take(Narrow(self.kinds.currentData())))

    def initializePage(self) -> None:  # noqa: N802 - Qt's name
        """Offer the kinds that could speak at the address."""
        self.bench.take(Stop())
        state = self.bench.state
        with QSignalBlocker(self.kinds):
            self.kinds.clear()
            self.kinds.addItem(self.phrases("connect.every_kind", count=len(state.fitting)), "")
            for row in state.fitting:
                text = self.phrases("connect.kind_row", summary=self.kind(row.family), family=row.family)
                self.kinds.addItem(text, row.family)
            self.kinds.setCurrentIndex(max(self.kinds.findData(state.family), 0))
        self.show_state()

    def cleanupPage(self) -> None:  # noqa: N802 - Qt's name
        """Going back ends what is asked."""
        self.bench.take(Stop())

    def validatePage(self) -> bool:  # noqa: N802 - Qt's name
        """Go on with an answer; without one, ask."""
        if self.bench.state.findings is not None:
            return True
        self.bench.take(Ask())
        self.status.setFocus()  # else it would be the button "back", and a second Enter would end what the first began
        return False

    def isComplete(self) -> bool:  # noqa: N802 - Qt's name
        """Whether one may ask (again)."""
        return self.bench.state.job is None

    def show_state(self) -> None:
        """How far the asking has come."""
        state, phrases = self.bench.state, self.phrases
        self.target.setText(phrases("connect.ready", url=state.url))
        runs = state.job is Job.PROBE
        self.kinds.setEnabled(not runs)
        self.bar.setVisible(runs)
        if state.trouble is not None:
            status = self.trouble(state.trouble)
        elif state.asking is not None:
            at, of = state.asking.at, state.asking.of
            status = phrases("connect.asking", at=at, of=of, summary=self.kind(state.asking.family))
        else:
            status = phrases("connect.starting" if runs else "connect.begin")
        self.status.setText(status)
        name(self.status, status)
