"""`python -m drivers`: simulated lots, and an installer's tools (docs/installers-tools.md)."""

import argparse
import contextlib
import dataclasses
import io
import os
import re
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, TextIO

import msgspec

from drivers import profile, registry
from drivers.conform.command import COMMISSION, CONFORM, add_commission, add_conform
from drivers.decode import DECODERS, decoder
from drivers.line_settings import LineSettings
from drivers.new.command import add_new, new
from drivers.recorder import Direction, Recorder, read_back
from drivers.replay import play
from drivers.sniff import listen
from drivers.stop_signal import StopSignal
from drivers.transport import Transport
from parking.errors import Code, DaikoError, Environment

BAD_INPUT: Final = 2
NOTHING_ANSWERED: Final = 1
INTERRUPTED: Final = 130
SIGN_OF_LIFE: Final = 5.0


def _now() -> datetime:
    return datetime.now(UTC)


def sim(arguments: argparse.Namespace) -> int:
    """Run a simulated lot until SIGTERM or SIGINT."""
    from drivers.simlot.host import SimHost
    from drivers.simlot.world import World

    lot = profile.load(arguments.profile)
    run_dir = arguments.run_dir
    world = World(lot, run_dir, _now, speed=arguments.speed, seed=arguments.seed, traffic=arguments.traffic)
    host = SimHost(lot, world, run_dir, _now)
    with StopSignal() as told:
        try:
            run_file = host.start()
            for device, fault, value in arguments.fault:
                host.break_(device, fault, value)
            print(msgspec.json.encode(run_file).decode(), flush=True)
            while not told.wait(1.0):  # a bare wait would not see signals on Windows
                pass
        finally:
            host.stop()
    return 0


def probe(arguments: argparse.Namespace) -> int:
    """Ask the families that could speak at a URL, until one answers; nothing is changed there."""
    names = [arguments.family] if arguments.family else list(registry.families_for(arguments.url))
    if not names:
        raise Environment(
            Code.CONFIG,
            f"no driver family speaks at {arguments.url!r}",
            "write a serial port (COM3, /dev/ttyUSB0), socket://host:port, http://host:port or hid://16c0:05df",
        )
    answered, told = False, []
    for at, name in enumerate(names, 1):
        known = registry.family(name)
        if arguments.json:
            print(f"asking {name} {at}/{len(names)}", file=sys.stderr, flush=True)
        finding = known.module().probe(arguments.url, time.monotonic() + arguments.seconds)
        answered |= finding.answered
        told.append({"family": name, **dataclasses.asdict(finding)})
        if not arguments.json:
            print(f"{name}: {finding.identity if finding.answered else 'no answer'}")
            print("".join(f"    {hint}\n" for hint in finding.hints), end="")
        if answered:
            break  # one device a line: nobody else will answer there
    if arguments.json:
        print(msgspec.json.encode(told).decode())
    elif not answered:
        print(
            "Nothing answered. Check power, cable and address, that unit and baud rate of the device are usual ones, "
            "and that no other program holds the port.",
            file=sys.stderr,
        )
    return 0 if answered else NOTHING_ANSWERED


def families(arguments: argparse.Namespace) -> int:
    """Tell which kinds of machine this program knows, and by which addresses each is reached."""
    rows = [
        {"family": name, "summary": dict(known.summary), "schemes": sorted(known.schemes)}
        for name, known in registry.FAMILIES.items()
    ]
    if arguments.json:
        print(msgspec.json.encode(rows).decode())
    else:
        print("\n".join(f"{name:<14} {known.summary['en']}" for name, known in registry.FAMILIES.items()))
    return 0


def sniff(arguments: argparse.Namespace) -> int:
    """Show what goes by on a line, without a word of our own, until Ctrl-C or `--seconds`."""
    ear = decoder(arguments.codec)
    with _tapped(arguments, arguments.record) as transport:
        for data in listen(transport, arguments.seconds):
            for heard in ear.feed(data, None) if data else ear.silence():
                print(f"{_now():%H:%M:%S.%f}  {heard}", flush=True)
        for heard in ear.silence():
            print(f"{_now():%H:%M:%S.%f}  {heard}", flush=True)
    return 0


def record(arguments: argparse.Namespace) -> int:
    """Write down every byte that goes by, with its time, until Ctrl-C or `--seconds`; without a word of our own."""
    count, told = 0, time.monotonic()
    with _tapped(arguments, arguments.recording) as transport:
        try:
            for data in listen(transport, arguments.seconds):
                count += len(data)
                if time.monotonic() - told > SIGN_OF_LIFE:
                    told = time.monotonic()
                    print(f"{count:,} bytes so far; Ctrl-C ends it", file=sys.stderr, flush=True)
        finally:
            print(f"{count:,} bytes in {arguments.recording}", flush=True)
    return 0 if count else NOTHING_ANSWERED


@contextlib.contextmanager
def _tapped(arguments: argparse.Namespace, path: Path | None) -> Iterator[Transport]:
    """The line, with all that crosses it written to `path` if there is one."""
    recorder = Recorder(path, _now) if path else None
    settings = LineSettings(arguments.baud, arguments.parity, arguments.stop_bits)
    try:
        yield Transport(arguments.url, settings, recorder)
    finally:
        if recorder is not None:
            recorder.close()


def ports(arguments: argparse.Namespace) -> int:
    """List the serial ports and HID relay boards of this computer, who has them, and what is missing to open them."""
    from drivers.ports import hid_boards
    from drivers.ports import ports as found

    there = found() + hid_boards()
    if arguments.json:
        print(msgspec.json.encode(there).decode())
    elif there:
        print("\n".join(map(str, there)))
    else:
        print(
            "No serial port and no HID relay board found. Plug it in; a machine on the network needs none.",
            file=sys.stderr,
        )
    return 0 if there else NOTHING_ANSWERED


def replay(arguments: argparse.Namespace) -> int:
    """Show a recording, or play what one side said in it to a simulator or a test at a port."""
    chunks = read_back(arguments.recording)
    if arguments.to is None:
        ear = decoder(arguments.codec)
        for chunk in chunks:
            mark = f"{'>' if chunk.direction is Direction.TX else '<'} " if arguments.codec == "raw" else ""
            for heard in ear.feed(chunk.data, chunk.direction):
                print(f"{chunk.at:%H:%M:%S.%f}  {mark}{heard}")
        return 0
    settings = LineSettings(arguments.baud, arguments.parity, arguments.stop_bits)
    transport = Transport(arguments.to, settings)
    try:
        count = sum(len(one.data) for one in play(chunks, transport, Direction(arguments.side), arguments.speed))
    finally:
        transport.close()
    print(f"{count} bytes played")
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line."""
    families = "\n".join(f"  {name:<10} {known.summary['en']}" for name, known in registry.FAMILIES.items())
    top = argparse.ArgumentParser(
        prog="python -m drivers",
        description="Simulate a legacy lot; find ports, ask what answers, listen, look at recordings.",
        epilog=f"driver families:\n{families}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = top.add_subparsers(
        required=True, metavar="sim | ports | families | probe | sniff | record | replay | conform | commission | new"
    )
    _add_sim(commands.add_parser("sim", help="run a whole simulated lot", description=sim.__doc__))
    _add_probe(commands.add_parser("probe", help="ask what answers at an address", description=probe.__doc__))
    _add_sniff(commands.add_parser("sniff", help="listen to a serial line", description=sniff.__doc__))
    _add_ports(commands.add_parser("ports", help="list serial ports and HID boards", description=ports.__doc__))
    _add_families(commands.add_parser("families", help="list the kinds of machine", description=families.__doc__))
    _add_record(commands.add_parser("record", help="write down what goes by", description=record.__doc__))
    _add_replay(commands.add_parser("replay", help="show or play a recording", description=replay.__doc__))
    add_new(commands.add_parser("new", help="write the skeleton of a driver family", description=new.__doc__))
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


def _add_ports(command: argparse.ArgumentParser) -> None:
    command.add_argument("--json", action="store_true", help="for programs")
    command.set_defaults(run=ports)


def _add_families(command: argparse.ArgumentParser) -> None:
    command.add_argument("--json", action="store_true", help="for programs")
    command.set_defaults(run=families)


def _add_replay(command: argparse.ArgumentParser) -> None:
    command.add_argument("recording", type=Path, help="a file that `sniff --record` or the bridge has written")
    command.add_argument("--to", metavar="URL", help="play it there; without this it is shown")
    command.add_argument(
        "--side", choices=("tx", "rx"), default="rx", help="what our program said, or the machine (default)"
    )
    command.add_argument("--speed", type=_positive, default=1.0, help="2 is twice as fast (default 1)")
    _add_codec(command, "raw")
    _add_line(command)
    command.set_defaults(run=replay)


def _add_codec(command: argparse.ArgumentParser, usual: str) -> None:
    names = ", ".join(DECODERS)
    command.add_argument("--codec", choices=tuple(DECODERS), metavar="NAME", default=usual, help=f"{names} ({usual})")


def _add_line(command: argparse.ArgumentParser) -> None:
    command.add_argument("--baud", type=int, default=9600, help="bits per second (default 9600)")
    command.add_argument("--parity", choices=("N", "E", "O"), default="N", help="none, even or odd (default N)")
    command.add_argument("--stop-bits", type=int, choices=(1, 2), default=1, help="1 or 2 (default 1)")


def _add_sim(command: argparse.ArgumentParser) -> None:
    command.add_argument("profile", type=Path, help="a lot profile, like seeds/lots/bay-plates.toml")
    command.add_argument("--run-dir", type=Path, required=True, help="gets sim.json, history.jsonl and the ptys")
    command.add_argument("--speed", type=_speed, default=1.0, help="lot seconds per second (default 1)")
    command.add_argument("--seed", type=int, help="makes ticket numbers and traffic repeatable")
    command.add_argument("--traffic", action="store_true", help="cars come and go by themselves")
    command.add_argument(
        "--fault",
        action="append",
        type=_mishap,
        default=[],
        metavar="DEVICE.FAULT[=N]",
        help="a mishap from the start, like gate.silent or pay.late_success_ms=500; repeatable",
    )
    command.set_defaults(run=sim)


def _add_probe(command: argparse.ArgumentParser) -> None:
    command.add_argument("url", help="COM3, /dev/ttyUSB0, socket://host:port, http://host:port or hid://16c0:05df")
    command.add_argument("--family", help="ask as this family only")
    command.add_argument("--seconds", type=_positive, default=10.0, help="how long each family may try (default 10)")
    command.add_argument("--json", action="store_true", help="for programs; who is asked is told on standard error")
    command.set_defaults(run=probe)


def _add_sniff(command: argparse.ArgumentParser) -> None:
    command.add_argument("url", help="COM3, /dev/ttyUSB0, or socket://host:port of a serial server")
    _add_line(command)
    _add_codec(command, "modbus")
    command.add_argument("--record", type=Path, metavar="FILE", help="also write every byte down, with its time")
    command.add_argument("--seconds", type=_positive, help="stop after so long (default: at Ctrl-C)")
    command.set_defaults(run=sniff, ctrl_c=0)  # that is how it ends


def _add_record(command: argparse.ArgumentParser) -> None:
    command.add_argument("url", help="COM3, /dev/ttyUSB0, or socket://host:port of a serial server")
    command.add_argument("recording", type=Path, help="the file to write")
    _add_line(command)
    command.add_argument("--seconds", type=_positive, help="stop after so long (default: at Ctrl-C)")
    command.set_defaults(run=record, ctrl_c=0)


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return value


def _mishap(text: str) -> tuple[str, str, int | None]:
    found = re.fullmatch(r"([a-z][a-z0-9_-]*)\.([a-z][a-z0-9_]*)(?:=(\d{1,6}))?", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text} is not DEVICE.FAULT or DEVICE.FAULT=NUMBER")
    return found[1], found[2], None if found[3] is None else int(found[3])


def _speed(text: str) -> float:
    value = _positive(text)
    if value > 3600:
        raise argparse.ArgumentTypeError(f"{text} is more than 3600: an hour in a second is fast enough")
    return value


def main(words: Sequence[str] | None = None) -> int:
    """Run one command; 0 is well, 1 is "nothing answered", 2 is a mistake that the message explains, 130 is Ctrl-C."""
    for stream in (sys.stdout, sys.stderr):
        _bear_any_text(stream)
    arguments = parser().parse_args(words)
    try:
        return int(arguments.run(arguments))
    except DaikoError as error:
        print(f"drivers: {error}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        ended: int = getattr(arguments, "ctrl_c", INTERRUPTED)
        if ended:
            print("drivers: interrupted", file=sys.stderr)
        return ended


def _bear_any_text(stream: TextIO) -> None:
    """Write Japanese and arrows wherever the output goes: a file or pipe on Windows is not of UTF-8 by itself."""
    if isinstance(stream, io.TextIOWrapper):
        chosen = stream.isatty() or "PYTHONIOENCODING" in os.environ
        stream.reconfigure(encoding=None if chosen else "utf-8", errors="backslashreplace")


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        sys.exit(main())
