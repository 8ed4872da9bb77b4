"""What the pages of the wizard that connects a machine have in common."""

from PySide6.QtWidgets import QVBoxLayout, QWizardPage

from console.board import Board
from console.i18n import Phrases
from console.parts import down, label, name
from console.toolbox import Trouble
from console.workbench import Workbench


class ConnectPage(QWizardPage):
    """A page that shows the state of the workbench, and follows it."""

    def __init__(self, board: Board, bench: Workbench, key: str) -> None:
        super().__init__()
        self.phrases: Phrases = board.phrases
        self.bench = bench
        self.column: QVBoxLayout = down(self, spacing=8, margins=(8, 4, 8, 4))
        self.title_text = label("title", wrap=True)  # the wizard's own titles are too small to read in our font
        self.column.addWidget(self.title_text)
        self.say_title(key)
        bench.changed.connect(self._changed)

    def say_title(self, key: str) -> None:
        """What the page is about, for the eye and for a screen reader."""
        self.title_text.setText(self.phrases(key))
        name(self, self.phrases(key))

    def show_state(self) -> None:
        """Bring what is on the page up to date."""

    def kind(self, family: str) -> str:
        """A kind of machine in words; its short name if it has none."""
        known = next((row for row in self.bench.state.families if row.family == family), None)
        return self.phrases.named(known.summary, family) if known else family

    def trouble(self, trouble: Trouble) -> str:
        """Why a tool gave nothing, what to do, and its own words."""
        parts = [self.phrases(f"connect.failure.{trouble.failure}")]
        if trouble.code == "port-busy":
            parts = [self.phrases("connect.busy")]
        told = self.phrases.cause(trouble.code, trouble.detail)
        return "\n".join([*parts, told] if told else parts)

    def _changed(self) -> None:
        self.show_state()
        self.completeChanged.emit()
