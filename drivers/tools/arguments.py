"""Words of the command line that several tools know."""

import argparse

from drivers.decode import DECODERS
from drivers.language import LANGUAGES, system_language
from drivers.line_settings import LineSettings


def add_language(command: argparse.ArgumentParser) -> None:
    """In which language it tells things."""
    spoken = system_language()
    command.add_argument("--lang", choices=LANGUAGES, default=spoken, help=f"Japanese or English (default {spoken})")


def add_codec(command: argparse.ArgumentParser, usual: str, use: str = "") -> None:
    """How what goes by is read; `usual` says what is meant without it."""
    names = ", ".join(DECODERS)
    text = f"{use}{names} ({usual})"
    command.add_argument("--codec", choices=tuple(DECODERS), metavar="NAME", help=text)


def add_line(command: argparse.ArgumentParser) -> None:
    """The settings of a serial line."""
    command.add_argument("--baud", type=int, default=9600, help="bits per second (default 9600)")
    command.add_argument("--parity", choices=("N", "E", "O"), default="N", help="none, even or odd (default N)")
    command.add_argument("--stop-bits", type=int, choices=(1, 2), default=1, help="1 or 2 (default 1)")


def settings_of(arguments: argparse.Namespace) -> LineSettings:
    """The settings of a serial line, as they were named."""
    return LineSettings(arguments.baud, arguments.parity, arguments.stop_bits)


def positive(text: str) -> float:
    """A positive number of seconds or the like; raises argparse's error."""
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return value
