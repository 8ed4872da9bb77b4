"""Puts the console together; the only place that knows all its parts."""

import argparse
import faulthandler
import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from threading import current_thread, main_thread
from types import TracebackType
from typing import Final, TextIO

from PySide6.QtCore import QLocale, QSettings, QStandardPaths, QTimer
from PySide6.QtWidgets import QApplication

from console.board import Board
from console.client import read_directory, read_files
from console.i18n import Language, language_of
from console.link import Link, Source
from console.main_window import MainWindow
from console.theme import dress

log = logging.getLogger(__name__)

LOG_BYTES: Final = 2_000_000


@dataclass(frozen=True, slots=True)
class Console:
    """A console that is built; `show` brings it up, and it connects by itself after its first paint."""

    application: QApplication
    board: Board
    link: Link
    window: MainWindow

    def show(self) -> None:
        """Bring the window up."""
        self.window.show()

    def close(self) -> None:
        """Take the window down and end all threads."""
        self.window.close()
        self.link.stop()


def build(arguments: Sequence[str]) -> Console:
    """Make a console from command-line arguments (without the program's name); nothing is connected yet.

    Uses the running QApplication, or makes one.
    """
    options = _parser().parse_args(list(arguments))
    running = QApplication.instance()
    application = running if isinstance(running, QApplication) else QApplication(["daiko-console"])
    application.setApplicationName("daiko-console")
    application.setOrganizationName("daiko")
    dress(application)
    language = Language(options.language) if options.language else language_of(QLocale.system().name())
    link = Link(_source(options))
    board = Board(link, partial(datetime.now, UTC), language, options.actor)
    window = MainWindow(board)
    # The first event loop turn after the first paint: what follows may import and connect at leisure.
    window.painted.connect(lambda: QTimer.singleShot(0, link.start))
    return Console(application, board, link, window)


def main(arguments: Sequence[str], painted: Callable[[], None] | None = None) -> int:
    """Run the console until its window is closed. `painted` is called after the first paint (bench/console.py)."""
    console = build(arguments)
    if painted is not None:
        console.window.painted.connect(painted)
    settings = QSettings()
    geometry = settings.value("geometry")
    if geometry is not None:
        console.window.restoreGeometry(geometry)
    console.window.closed.connect(lambda: settings.setValue("geometry", console.window.saveGeometry()))
    console.show()
    console.window.painted.connect(lambda: QTimer.singleShot(0, lambda: _keep_log(console)))
    try:
        return console.application.exec()
    finally:
        console.link.stop()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m console", description="The attendant's window.")
    parser.add_argument("--bridge", type=Path, metavar="DIR", help="the bridge's data directory (address and token)")
    parser.add_argument("--url", help="the bridge's address, instead of the one in --bridge")
    parser.add_argument("--token-file", type=Path, help="the file that holds the bridge's token")
    parser.add_argument("--language", choices=[str(language) for language in Language])
    parser.add_argument("--actor", default="", help="who is on duty")
    return parser


def _source(options: argparse.Namespace) -> Source:
    if options.url:
        token = options.token_file or (options.bridge or Path()) / "api-token"
        return partial(read_files, options.url, token)
    return partial(read_directory, options.bridge or Path())


def _keep_log(console: Console) -> None:
    """Write a log beside other user data, and let nothing that fails in a slot go unseen."""
    from logging.handlers import RotatingFileHandler

    folder = Path(QStandardPaths.writableLocation(QStandardPaths.StandardLocation.AppLocalDataLocation))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "console.log"
        handler = RotatingFileHandler(path, maxBytes=LOG_BYTES, backupCount=3, encoding="utf-8")
        faults = (folder / "faults.log").open("a", encoding="utf-8")
    except OSError as error:
        log.warning("no log file: %s", error)
        return
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.getLogger().addHandler(handler)
    logging.getLogger().setLevel(logging.INFO)
    faulthandler.enable(faults)
    sys.excepthook = partial(_crashed, console, path, faults)


def _crashed(
    console: Console,
    path: Path,
    _faults: TextIO,  # kept open for faulthandler
    kind: type[BaseException],
    error: BaseException,
    trace: TracebackType | None,
) -> None:
    log.critical("unexpected", exc_info=(kind, error, trace))
    if current_thread() is main_thread():
        console.window.notices.say_crash(console.board.phrases("crash.text", path=path))
