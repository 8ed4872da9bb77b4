"""The wizard that connects a machine: where it hangs, what answers there, and the lines for the lot profile."""

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QWidget, QWizard

from console.board import Board
from console.connect_page import ConnectPage
from console.connecting import Job, Refresh, Stop
from console.ports_page import PortsPage
from console.probe_page import ProbePage
from console.result_page import ResultPage
from console.workbench import Workbench

SIZE = (820, 620)


class ConnectWizard(QWizard):
    """Three pages over one workbench. Enter goes on, Esc ends a tool that asks, and else the wizard."""

    def __init__(self, board: Board, parent: QWidget, bench: Workbench | None = None) -> None:
        super().__init__(parent)
        self._bench = bench or Workbench(self)
        self.setModal(True)
        self.setWindowTitle(board.phrases("connect.title"))
        self.setWizardStyle(QWizard.WizardStyle.ClassicStyle)
        self.setOption(QWizard.WizardOption.NoBackButtonOnStartPage)
        self.setOption(QWizard.WizardOption.NoCancelButtonOnLastPage)
        self.setTitleFormat(Qt.TextFormat.PlainText)
        self.setSubTitleFormat(Qt.TextFormat.PlainText)
        self.resize(*SIZE)
        for kind, key in (
            (QWizard.WizardButton.NextButton, "connect.next"),
            (QWizard.WizardButton.BackButton, "connect.back"),
            (QWizard.WizardButton.FinishButton, "connect.close"),
            (QWizard.WizardButton.CancelButton, "connect.cancel"),
        ):
            self.setButtonText(kind, board.phrases(key))
        self.ports = PortsPage(board, self._bench)
        self.probe = ProbePage(board, self._bench)
        self.outcome = ResultPage(board, self._bench)
        pages: tuple[ConnectPage, ...] = (self.ports, self.probe, self.outcome)
        for page in pages:
            self.addPage(page)
        self._bench.changed.connect(self._changed)
        self._bench.take(Refresh())

    @property
    def bench(self) -> Workbench:
        """The tools and what they said."""
        return self._bench

    def reject(self) -> None:
        """Esc: end what is being asked, or the wizard."""
        if self._bench.state.job is Job.PROBE:
            self._bench.take(Stop())
        else:
            super().reject()

    def done(self, result: int) -> None:
        """No tool outlives the wizard."""
        self._bench.take(Stop())
        super().done(result)

    def _changed(self) -> None:
        if self._bench.state.findings is not None and self.currentPage() is self.probe:
            self.next()
            self.outcome.copy.setFocus()  # an Enter too many copies; it does not close what has just been found
