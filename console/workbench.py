"""Runs the wizard's tools as processes of their own: one at a time, with a deadline, and never in the window's way."""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from PySide6.QtCore import QByteArray, QCoreApplication, QObject, QProcess, QProcessEnvironment, QTimer, Signal

from console.connecting import Event, Failed, State, Told, advance
from console.toolbox import LARGEST_ANSWER, Answer, Failure

TOOLS: Final = (sys.executable, "-m", "drivers")
FOLDER: Final = Path(__file__).resolve().parents[1]
"""Where the console itself was loaded from: the tools are beside it, or not installed."""

LONGEST_LINE: Final = 4096


class ToolRun(QObject):
    """One run of one tool. `happened` carries Told for each line, and at last Answer or Failed."""

    happened = Signal(object)

    def __init__(self, command: Sequence[str], folder: Path, patience: float, parent: QObject) -> None:
        """`patience` is how many seconds it may say nothing."""
        super().__init__(parent)
        self._out, self._err, self._line = bytearray(), bytearray(), bytearray()
        # Whatever becomes of the window, the process's object lives until the process has ended.
        self._process = QProcess(QCoreApplication.instance())
        self._process.setProgram(command[0])
        self._process.setArguments(list(command[1:]))
        self._process.setWorkingDirectory(str(folder))
        environment = QProcessEnvironment.systemEnvironment()
        environment.insert("PYTHONUTF8", "1")  # else Windows would write in the code page of the country
        self._process.setProcessEnvironment(environment)
        self._patience = QTimer(self, singleShot=True, interval=int(patience * 1000))
        self._patience.timeout.connect(lambda: self._give_up(Failed(Failure.TIMED_OUT)))
        self._process.readyReadStandardOutput.connect(self._read_out)
        self._process.readyReadStandardError.connect(self._read_err)
        self._process.errorOccurred.connect(self._failed)
        self._process.finished.connect(self._finished)
        self._process.finished.connect(self._process.deleteLater)
        self.destroyed.connect(self._process.kill)  # a window that is torn down takes its tool along

    @property
    def process(self) -> int:
        """The process's number; 0 if there is none."""
        return int(self._process.processId())

    def start(self) -> None:
        """Begin."""
        self._patience.start()
        self._process.start()

    def stop(self) -> None:
        """End it, once, and say nothing more. Does not wait: a process that hangs at a port may take long."""
        self._patience.stop()
        process = self._process
        for signal, slot in (
            (process.readyReadStandardOutput, self._read_out),
            (process.readyReadStandardError, self._read_err),
            (process.errorOccurred, self._failed),
            (process.finished, self._finished),
        ):
            signal.disconnect(slot)
        if process.state() is not QProcess.ProcessState.NotRunning:
            process.kill()
        self.deleteLater()

    def _read_out(self) -> None:
        self._out += _bytes(self._process.readAllStandardOutput())
        if len(self._out) > LARGEST_ANSWER:
            self._give_up(Failed(Failure.UNREADABLE))

    def _read_err(self) -> None:
        heard = _bytes(self._process.readAllStandardError())
        self._patience.start()
        self._err = (self._err + heard)[-LARGEST_ANSWER:]
        *lines, rest = (self._line + heard).split(b"\n")
        self._line = rest[-LONGEST_LINE:]
        for line in lines:
            self.happened.emit(Told(line.decode(errors="replace")))

    def _failed(self, error: QProcess.ProcessError) -> None:
        if error is QProcess.ProcessError.FailedToStart:
            self._process.deleteLater()
            self._give_up(Failed(Failure.NOT_STARTED, self._process.errorString()))

    def _finished(self, code: int, status: QProcess.ExitStatus) -> None:
        self._patience.stop()
        crashed = status is not QProcess.ExitStatus.NormalExit
        self.happened.emit(Answer(-1 if crashed else code, bytes(self._out), self._err.decode(errors="replace")))

    def _give_up(self, failed: Failed) -> None:
        self._patience.stop()
        self.happened.emit(failed)


class Workbench(QObject):
    """Holds the one `State` and runs the tool that it asks for; `changed` comes after each event."""

    changed = Signal()

    def __init__(self, parent: QObject, tools: Sequence[str] = TOOLS, folder: Path = FOLDER) -> None:
        """`tools` is the command line that the tools' own words follow, `folder` where it is run."""
        super().__init__(parent)
        self.state = State()
        self._tools, self._folder = tuple(tools), folder
        self.run: ToolRun | None = None

    def take(self, event: Event) -> None:
        """Bring the state forward; start the tool that is wanted now, and end the one that no longer is."""
        before, self.state = self.state, advance(self.state, event)
        if self.run is not None and self.state.job is not before.job:
            self.run.stop()
            self.run = None
        if self.run is None and self.state.job is not None:
            command = (*self._tools, *self.state.words)
            self.run = ToolRun(command, self._folder, self.state.patience, self)
            self.run.happened.connect(self.take)
            self.run.start()
        self.changed.emit()


def _bytes(data: QByteArray) -> bytes:
    return bytes(data.data())
