"""The composition root: puts link, board and contents into a window. Imported after the window's first paint."""

import argparse
import faulthandler
import logging
import sys
from datetime import UTC, datetime
from functools import partial
from logging.handlers import RotatingFileHandler
from pathlib import Path
from threading import current_thread, main_thread
from types import TracebackType
from typing import Final, TextIO

from PySide6.QtCore import QByteArray, QSettings, QStandardPaths
from PySide6.QtWidgets import QApplication

from console.app import Console
from console.board import Board
from console.client import read_directory, read_files
from console.contents import Contents
from console.i18n import Language
from console.link import Link, Source
from console.main_window import MainWindow
from console.theme import dress
from parking.errors import one_line

log = logging.getLogger(__name__)

LOG_BYTES: Final = 2_000_000


def furnish(application: QApplication, window: MainWindow, options: argparse.Namespace) -> Console:
    """Fill the window; the caller starts the link.

    Every QObject gets a parent: Python's garbage collector may run on any thread, and would end the timers of an object
    that only Python owns on the wrong one.
    """
    dress(application)
    link = Link(_source(options), window)
    board = Board(link, partial(datetime.now, UTC), Language(options.language), options.actor, window)
    contents = Contents(board)
    window.setCentralWidget(contents)
    contents.settle()
    return Console(application, window, contents, board, link)


class Lines(logging.Formatter):
    """Whatever is typed or told, only we begin a line: control signs are spelt out, what follows is indented."""

    def format(self, record: logging.LogRecord) -> str:
        """A record with its trace."""
        return "\n    ".join(one_line(line) for line in super().format(record).split("\n"))


def attend(console: Console) -> None:
    """What only a console at work needs: remembered geometry, a log file, and nothing that fails unseen."""
    settings = QSettings()
    geometry = settings.value("geometry")
    if isinstance(geometry, QByteArray):
        console.frame.restoreGeometry(geometry)
    console.frame.closed.connect(lambda: settings.setValue("geometry", console.frame.saveGeometry()))
    folder = Path(QStandardPaths.writableLocation(QStandardPaths.StandardLocation.AppLocalDataLocation))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "console.log"
        handler = RotatingFileHandler(path, maxBytes=LOG_BYTES, backupCount=3, encoding="utf-8")
        faults = (folder / "faults.log").open("a", encoding="utf-8")
    except OSError as error:
        log.warning("no log file: %s", error)
        return
    handler.setFormatter(Lines("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.getLogger().addHandler(handler)
    logging.getLogger().setLevel(logging.INFO)
    faulthandler.enable(faults)
    sys.excepthook = partial(_crashed, console, path, faults)


def _source(options: argparse.Namespace) -> Source:
    directory = Path(options.bridge)
    if options.url:
        return partial(read_files, options.url, Path(options.token_file or directory / "api-token"))
    return partial(read_directory, directory)


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
