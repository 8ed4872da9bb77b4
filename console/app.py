"""Starts the console: the window paints first, then everything else is imported, built and connected.

Nothing heavy is imported here; console.assembly is the composition root.
"""

import argparse
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from PySide6.QtCore import QLocale, QTimer
from PySide6.QtWidgets import QApplication

from console.main_window import MainWindow

if TYPE_CHECKING:
    from console.board import Board
    from console.contents import Contents
    from console.link import Link


class Console:
    """A console that is built. `window` has all the parts, and is what to drive and grab; `board` is what they show.

    `frame` is the top-level window around it.
    """

    __slots__ = ("application", "board", "frame", "link", "window")

    def __init__(
        self, application: QApplication, frame: MainWindow, window: "Contents", board: "Board", link: "Link"
    ) -> None:
        self.application = application
        self.frame = frame
        self.window = window
        self.board = board
        self.link = link

    def show(self) -> None:
        """Bring the window up."""
        self.frame.show()

    def close(self) -> None:
        """End all threads and take the window down; of no use afterwards."""
        self.link.stop()
        self.frame.close()
        self.frame.deleteLater()


def build(arguments: Sequence[str]) -> Console:
    """Make a whole console from command-line arguments (without the program's name); it connects once it is shown.

    Uses the running QApplication, or makes one. For programs that drive the window; `main` is for attendants.
    """
    options = _parser().parse_args(list(arguments))
    application, window = _open(options)
    from console.assembly import furnish

    console = furnish(application, window, options)
    QTimer.singleShot(0, console.link.start)
    return console


def main(arguments: Sequence[str], painted: Callable[[str], None] | None = None) -> int:
    """Run the console until its window is closed.

    `painted` is called with "window" after the first paint, and with "contents" when all of it is built and painted
    (bench/console.py).
    """
    options = _parser().parse_args(list(arguments))
    application, window = _open(options)
    tell = painted or (lambda _what: None)
    consoles: list[Console] = []

    def first_painted() -> None:
        tell("window")
        QTimer.singleShot(0, furnish_it)

    def furnish_it() -> None:
        from console.assembly import attend, furnish

        console = furnish(application, window, options)
        consoles.append(console)
        attend(console)
        QTimer.singleShot(0, connect_it)

    def connect_it() -> None:
        window.repaint()
        tell("contents")
        consoles[0].link.start()

    window.painted.connect(first_painted)
    window.show()
    try:
        return application.exec()
    finally:
        for console in consoles:
            console.link.stop()


def _open(options: argparse.Namespace) -> tuple[QApplication, MainWindow]:
    running = QApplication.instance()
    application = running if isinstance(running, QApplication) else QApplication(["daiko-console"])
    application.setApplicationName("daiko-console")
    application.setOrganizationName("daiko")
    if options.language is None:
        options.language = "ja" if QLocale.system().name().startswith("ja") else "en"
    return application, MainWindow(0 if options.language == "ja" else 1)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m console", description="The attendant's window.")
    parser.add_argument("--bridge", metavar="DIR", default=".", help="the bridge's data directory (address and token)")
    parser.add_argument("--url", help="the bridge's address, instead of the one in --bridge")
    parser.add_argument("--token-file", metavar="FILE", help="the file that holds the bridge's token")
    parser.add_argument("--language", choices=("ja", "en"))
    parser.add_argument("--actor", default="", metavar="NAME", help="who is on duty")
    return parser
