"""The attendant's hands: runs the real console window and works it by mouse and keyboard, as told by lines on stdin.

One JSON object a line in, one out: {"do": "release" | "resolve" | "shot" | "look" | "stay" | "language" | "quit", …}.
A program of its own, because it must own the Qt event loop, and because the console knows nothing of demos.
"""

import json
import queue
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QInputMethodEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QDialog

from console.app import Console, build
from console.decision import DecisionDialog
from parking.commands import Verb, Verdict
from parking.desk import CommandState
from parking.stay import NameKind

PATIENCE = 15.0


class Pilot:
    """Carries out one line at a time on the UI thread."""

    def __init__(self, console: Console) -> None:
        """Work this console."""
        self._console = console
        self._window = console.window
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._busy = False
        threading.Thread(target=self._read, daemon=True).start()
        self._timer = QTimer()
        self._timer.timeout.connect(self._next)
        self._timer.start(10)

    def _read(self) -> None:
        for line in sys.stdin:
            self._lines.put(line)
        self._lines.put('{"do": "quit"}')

    def _next(self) -> None:
        if self._busy or self._lines.empty():
            return
        self._busy = True
        order = json.loads(self._lines.get())
        try:
            said = getattr(self, f"do_{order.pop('do')}")(**order)
        except Exception as error:  # noqa: BLE001 - whatever it is, the demo must hear of it
            said = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(said or {}), flush=True)
        self._busy = False

    def _until(self, what: str, check: Callable[[], Any], seconds: float = PATIENCE) -> Any:
        end = time.monotonic() + seconds
        while not (seen := check()):
            if time.monotonic() > end:
                raise TimeoutError(f"waited in vain for {what}")
            QTest.qWait(10)
        return seen

    def do_look(self, exits: int) -> dict[str, Any]:
        """Wait until the console shows that many exits and is live."""
        state = self._console.board
        self._until("a live console", lambda: state.state.live and len(state.state.exits) >= exits)
        return {"stays": len(state.state.stays), "exits": len(state.state.exits)}

    def do_shot(self, file: str) -> None:
        """Render the window, as it is, into a PNG; an open dialog is drawn in its place."""
        QTest.qWait(120)
        picture = self._window.grab()
        if self._window.dialog is not None:
            self._window.dialog.render(picture, self._window.mapFromGlobal(self._window.dialog.pos()))
        Path(file).parent.mkdir(parents=True, exist_ok=True)
        if not picture.save(file):
            raise OSError(f"cannot write {file}")

    def do_language(self, to: str) -> None:
        """Switch the language by the button in the header."""
        buttons = {str(language): button for language, button in self._window.header.languages.items()}
        QTest.mouseClick(buttons[to], Qt.MouseButton.LeftButton)

    def do_stay(self, name: str) -> None:
        """Find a stay by typing, and select it, so that its timeline is shown."""
        search = self._window.header.search
        QTest.keyClicks(search, name)
        model = self._window.stays.model
        key = self._until(
            f"stay {name}", lambda: next((k for k in model.keys if f":{name}@" in k or k.endswith(f":{name}")), "")
        )
        self._window.stays.choose(key)
        QTest.qWait(300)
        search.clear()

    def do_release(self, exit: str, note: str, actor: str) -> dict[str, Any]:  # noqa: A002 - the word of the wire
        """Open an exit by hand, with a reason, and wait until the device is known to have acted, or not."""
        self._window.rail.choose(exit)
        button = self._window.rail.card.buttons[Verb.RELEASE]
        self._until("the button", button.isEnabled)
        before = self._console.board.state.exits[exit].command
        QTest.mouseClick(button, Qt.MouseButton.LeftButton)
        self._confirm(1, note, actor)

        def ended() -> Any:
            command = self._console.board.state.exits[exit].command
            return command if command != before and command and command.state is not CommandState.COMMANDED else None

        command = self._until("the outcome of the order", ended)
        return {"state": command.state.value, "detail": command.detail}

    def do_resolve(self, verdict: str, note: str, actor: str, shot: str = "") -> dict[str, Any]:
        """Go to the doubts, decide the first one, and wait until it is gone from the list."""
        QTest.mouseClick(self._window.nav[1], Qt.MouseButton.LeftButton)
        page = self._window.doubts
        self._until("a case in doubt", lambda: page.case)
        case = page.case
        if case is None:
            raise LookupError("no case in doubt")
        button = page.settled if Verdict(verdict) is Verdict.SETTLED else page.not_settled
        self._until("the button", button.isEnabled)
        if shot:
            self.do_shot(shot)
        QTest.mouseClick(button, Qt.MouseButton.LeftButton)
        self._confirm(1, note, actor)
        self._until("the end of the doubt", lambda: case.key not in page.model.keys)
        QTest.mouseClick(self._window.nav[0], Qt.MouseButton.LeftButton)
        return {"number": case.number, "name": case.stay.name, "kind": NameKind(case.stay.kind).value}

    def do_quit(self) -> None:
        """End the console."""
        self._timer.stop()
        QTimer.singleShot(0, self._console.application.quit)

    def _confirm(self, reason: int, note: str, actor: str) -> None:
        """Fill the dialog as a person does: a digit for the reason, a note, a name, then the button."""

        def dialog() -> QDialog | None:
            return self._window.dialog

        asked = self._until("the dialog", dialog)
        if not isinstance(asked, DecisionDialog):
            raise TypeError(f"unexpected dialog {type(asked).__name__}")
        QTest.keyClick(asked, Qt.Key(int(Qt.Key.Key_0) + reason))
        for field, text in ((asked.note, note), (asked.actor, actor)):
            field.clear()
            typed = QInputMethodEvent()  # text comes as from an input method, for there is no key for 田
            typed.setCommitString(text)
            QApplication.sendEvent(field, typed)
        self._until("the confirmation", asked.confirm.isEnabled)
        QTest.mouseClick(asked.confirm, Qt.MouseButton.LeftButton)


def main() -> int:
    """Run the console with the arguments given, and work it until told to quit."""
    console = build(sys.argv[1:])
    console.frame.resize(1366, 768)
    console.show()
    pilot = Pilot(console)
    try:
        return console.application.exec()
    finally:
        del pilot
        console.close()


if __name__ == "__main__":
    raise SystemExit(main())
