"""`python -m drivers`: simulated lots, and an installer's tools (docs/installers-tools.md)."""

import argparse
import contextlib
import io
import os
import sys
from collections.abc import Callable, Sequence
from typing import Final, TextIO

from drivers.conform.codes import CODES
from drivers.conform.command import COMMISSION, CONFORM, add_commission, add_conform
from drivers.language import system_language
from drivers.new.command import add_new
from drivers.tools.finding import add_families, add_ports, add_probe, families, ports, probe, summaries
from drivers.tools.lines import add_record, add_replay, add_sniff, record, replay, sniff
from drivers.tools.simulating import add_sim, sim
from parking.errors import DaikoError

BAD_INPUT: Final = 2
INTERRUPTED: Final = 130
NEW: Final = "Write the skeleton of a driver family, and say what was written and what comes next."


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(
        prog="python -m drivers",
        description="Simulate a legacy lot; find ports, ask what answers, listen, look at recordings.",
        epilog=f"driver families:\n{summaries(system_language())}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = top.add_subparsers(
        required=True, metavar="sim | ports | families | probe | sniff | record | replay | conform | commission | new"
    )
    add_sim(commands.add_parser("sim", help="run a whole simulated lot", description=sim.__doc__))
    add_probe(commands.add_parser("probe", help="ask what answers at an address", description=probe.__doc__))
    add_sniff(commands.add_parser("sniff", help="listen to a serial line", description=sniff.__doc__))
    add_ports(commands.add_parser("ports", help="list serial ports and HID boards", description=ports.__doc__))
    add_families(commands.add_parser("families", help="list the kinds of machine", description=families.__doc__))
    add_record(commands.add_parser("record", help="write down what goes by", description=record.__doc__))
    add_replay(commands.add_parser("replay", help="show or play a recording", description=replay.__doc__))
    add_new(commands.add_parser("new", help="write the skeleton of a driver family", description=NEW))
    _add_conform(commands, "conform", "try a driver with all that goes wrong", CONFORM, add_conform)
    _add_conform(commands, "commission", "the first time on site, step by step", COMMISSION, add_commission)
    return top


def _add_conform(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]",
    name: str,
    summary: str,
    text: str,
    add: Callable[[argparse.ArgumentParser], None],
) -> None:
    raw = argparse.RawDescriptionHelpFormatter
    add(commands.add_parser(name, help=summary, description=text, formatter_class=raw))


def main(words: Sequence[str] | None = None) -> int:
    """Run one command; 0 is well, 1 is "nothing answered", 2 is a mistake that the message explains, 130 is Ctrl-C."""
    for stream in (sys.stdout, sys.stderr):
        _bear_any_text(stream)
    arguments = parser().parse_args(words)
    try:
        return int(arguments.run(arguments))
    except DaikoError as error:
        if getattr(arguments, "lang", system_language()) == "ja" and error.code in CODES:
            print(f"drivers: {CODES[error.code][0]}", file=sys.stderr)
        print(f"drivers: {error}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print("drivers: interrupted", file=sys.stderr)
        return INTERRUPTED


def _bear_any_text(stream: TextIO) -> None:
    """Write Japanese and arrows wherever the output goes: a file or pipe on Windows is not of UTF-8 by itself."""
    if isinstance(stream, io.TextIOWrapper):
        chosen = stream.isatty() or "PYTHONIOENCODING" in os.environ
        stream.reconfigure(encoding=None if chosen else "utf-8", errors="backslashreplace")


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        sys.exit(main())
