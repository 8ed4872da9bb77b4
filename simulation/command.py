"""`python -m bridge simulate`: the relay through a world full of faults."""

import argparse
import multiprocessing
import os
import sys
import time
from collections.abc import Sequence

from simulation.campaign import Summary, campaign
from simulation.explore import Explored, World, worlds
from simulation.faults import Weather
from simulation.machines import Kind
from simulation.progress import SignOfLife
from simulation.world import simulate


def main(arguments: Sequence[str]) -> int:
    """Run and report; 1 if a promise was broken."""
    parser = argparse.ArgumentParser(
        prog="python -m bridge simulate",
        description="Drives the shipped decisions through simulated lots, lines and payments full of faults, and\n"
        "has an independent checker look for broken promises. 障害だらけの模擬環境で、約束が守られることを検証します。",
        epilog="examples:\n"
        "  python -m bridge simulate --seeds 100000               as in CI\n"
        "  python -m bridge simulate --seed 4711 --trace          one run again, with all that happens\n"
        "  python -m bridge simulate --explore                    every interleaving of a small lot\n\n"
        "exit status: 0 all promises held, 1 one was broken, 2 wrong usage",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _options(parser)
    return _run(parser.parse_args(arguments))


def _options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seeds", type=int, default=10_000, metavar="N", help="how many runs (default 10,000)")
    parser.add_argument("--first", type=int, default=0, metavar="K", help="seed of the first run (default 0)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="J", help="processes (default: all)")
    parser.add_argument(
        "--faults", type=Weather, choices=list(Weather), default=Weather.HEAVY, help="how much goes wrong"
    )
    parser.add_argument("--way", choices=[kind.name.lower() for kind in Kind], help="only lots of this kind")
    parser.add_argument(
        "--journal", choices=["memory", "sqlite"], default="memory", help="sqlite: the bridge's own journal, on disk"
    )
    parser.add_argument("--seed", type=int, metavar="S", help="replay this one run")
    parser.add_argument("--trace", action="store_true", help="with --seed: print all that happens")
    parser.add_argument(
        "--explore", action="store_true", help="instead: every interleaving of a small lot, breadth first"
    )
    parser.add_argument(
        "--most", type=int, metavar="F", help="with --explore: up to F faults (default: each fault twice)"
    )


def _run(options: argparse.Namespace) -> int:
    kind = Kind[options.way.upper()] if options.way else None
    if options.explore:
        return _explore(worlds(options.most, kind), options.jobs)
    if options.seed is not None:
        return _one(options.seed, options.faults, kind, options)
    started = time.monotonic()
    seeds = range(options.first, options.first + options.seeds)

    def progress(summary: Summary) -> None:
        took = time.monotonic() - started
        sign_of_life(f"{summary.seeds:,} of {len(seeds):,} runs, {len(summary.broken)} broken promises, {took:.0f} s")

    sign_of_life = SignOfLife()
    summary = campaign(seeds, options.faults, kind, options.jobs, options.journal == "sqlite", progress)
    sign_of_life.over()
    _report(summary, time.monotonic() - started, options)
    return 1 if summary.broken else 0


def _explore(small: Sequence[World], jobs: int) -> int:
    started = time.monotonic()
    states = transitions = broken = 0
    print("| way | states | transitions | faults in one life | ends | a person is needed in | broken |")
    print("|---|---|---|---|---|---|---|", flush=True)
    with multiprocessing.get_context("spawn").Pool(max(1, jobs), maxtasksperchild=1) as pool:
        for kind, found in pool.imap(_exploring, small, chunksize=1):
            states, transitions = states + found.states, transitions + found.transitions
            broken += len(found.broken)
            print(
                f"| {kind.value} | {found.states:,} | {found.transitions:,} | up to {found.faults} | {found.ends:,} |"
                f" {found.persons:,} | {len(found.broken)} |",
                flush=True,
            )
            for what, way in found.broken:
                print(f"BROKEN {what}\n  " + "\n  ".join(way), flush=True)
    print(f"{states:,} states, {transitions:,} transitions in {time.monotonic() - started:.0f} s")
    print(f"broken promises: {broken}")
    return 1 if broken else 0


def _exploring(world: World) -> tuple[Kind, Explored]:
    sign_of_life = SignOfLife()

    def progress(found: Explored) -> None:
        if not sys.stderr.isatty():  # there, several would overwrite each other
            sign_of_life(f"{world.kind}: {found.states:,} states, {found.faults} faults")

    return world.kind, world.explore(progress)


def _one(seed: int, weather: Weather, kind: Kind | None, options: argparse.Namespace) -> int:
    result = simulate(seed, weather, kind, trace=options.trace, on_disk=options.journal == "sqlite")
    if options.trace:
        print("\n".join(result.trace))
    print(
        f"seed {seed}: {result.kind}, {result.payments} payments, {dict(result.outcomes)}, {result.persons} by a person"
    )
    for one in result.broken:
        print(f"BROKEN {one}")
    return 1 if result.broken else 0


def _report(summary: Summary, seconds: float, options: argparse.Namespace) -> None:
    each = seconds / max(summary.seeds, 1) * 1000
    print(f"{summary.seeds:,} runs with {summary.payments:,} payments in {seconds:.0f} s ({each:.2f} ms a run)")
    print("ended as: " + ", ".join(f"{name} {count:,}" for name, count in summary.outcomes.most_common()))
    print("faults:   " + ", ".join(f"{name} {count:,}" for name, count in summary.struck.most_common()))
    print("\n".join(summary.table()))
    print(f"besides, decided by a person because an office PC was lost with its journal: {summary.after_loss}")
    print(f"broken promises: {len(summary.broken)}")
    for seed, what in summary.broken[:20]:
        way = f" --way {options.way}" if options.way else ""
        print(f"  seed {seed}: {what}")
        print(f"    python -m bridge simulate --seed {seed} --faults {options.faults}{way} --trace")
