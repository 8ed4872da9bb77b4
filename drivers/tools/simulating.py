"""`python -m drivers sim`: a simulated lot, until it is told to end."""

import argparse
import re
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from drivers import profile
from drivers.language import Phrases
from drivers.stop_signal import StopSignal
from drivers.tools.arguments import add_language, positive
from drivers.tools.texts import TEXTS
from parking.errors import Code, Environment


def _now() -> datetime:
    return datetime.now(UTC)


def sim(arguments: argparse.Namespace) -> int:
    """Run a simulated lot until SIGTERM or SIGINT."""
    from drivers.simlot.host import SimHost
    from drivers.simlot.run_dir import claimed
    from drivers.simlot.world import World

    if arguments.list_faults:
        return _list_faults(arguments)
    if arguments.profile is None or arguments.run_dir is None:
        raise Environment(Code.CONFIG, "a profile and --run-dir are needed", "see `sim --help`")
    lot = profile.load(arguments.profile)
    run_dir = arguments.run_dir
    with claimed(run_dir), StopSignal() as told:
        world = World(lot, run_dir, _now, speed=arguments.speed, seed=arguments.seed, traffic=arguments.traffic)
        host = SimHost(lot, world, run_dir, _now)
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


def _list_faults(arguments: argparse.Namespace) -> int:
    """The mishaps of each family, or of each device of a profile."""
    from drivers.simlot.faults import FAULTS, explained

    say = Phrases(TEXTS, arguments.lang)
    lot = None if arguments.profile is None else profile.load(arguments.profile)
    for family in FAULTS if lot is None else dict.fromkeys(device.family for device in lot.device):
        print(f"{say('sim.faults', family=family)}\n{explained(family)}\n")
    return 0


def add_sim(command: argparse.ArgumentParser) -> None:
    """The command line of `sim`."""
    command.add_argument("profile", type=Path, nargs="?", help="a lot profile, like seeds/lots/bay-plates.toml")
    command.add_argument("--run-dir", type=Path, help="gets sim.json, history.jsonl and the ptys; one lot at a time")
    command.add_argument("--speed", type=_speed, default=1.0, help="lot seconds per second (default 1)")
    command.add_argument("--seed", type=int, help="makes ticket numbers and traffic repeatable")
    command.add_argument("--traffic", action="store_true", help="cars come and go by themselves")
    command.add_argument(
        "--fault",
        action="append",
        type=_mishap,
        default=[],
        metavar="DEVICE.FAULT[=N]",
        help="a mishap from the start, like gate.silent or pay.late_success_ms=500 (see --list-faults); repeatable",
    )
    command.add_argument(
        "--list-faults", action="store_true", help="list the mishaps of each family, or of a profile's"
    )
    add_language(command)
    command.set_defaults(run=sim)


def _mishap(text: str) -> tuple[str, str, int | None]:
    found = re.fullmatch(r"([a-z][a-z0-9_-]*)\.([a-z][a-z0-9_]*)(?:=(\d{1,6}))?", text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text} is not DEVICE.FAULT or DEVICE.FAULT=NUMBER")
    return found[1], found[2], None if found[3] is None else int(found[3])


def _speed(text: str) -> float:
    value = positive(text)
    if value > 3600:
        raise argparse.ArgumentTypeError(f"{text} is more than 3600: an hour in a second is fast enough")
    return value
