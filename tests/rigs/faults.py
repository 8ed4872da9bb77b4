"""All fault rigs at full size, one after the other, and what they tried in a table: python3 dev.py faults [RIG …]

What a rig counts is written to build/faults/figures.tsv, a line per trial that held; see tests.rigs.figures.
"""

import argparse
import os
import subprocess
import sys
import time

from demo.program import ROOT
from tests.rigs.figures import table

RIGS = {
    "crashes": ("tests/faults/test_crash_points.py", 4),
    "migrations": ("tests/faults/test_crash_migrating.py", 0),
    "power": ("tests/faults/test_power_cut.py", 0),
    "kills": ("tests/e2e/test_kill_nine.py", 2),
    "weather": ("tests/faults/test_weather.py", 3),
    "requests": ("tests/faults/test_generated_requests.py", 2),
    "fuzz": ("tests/fuzz/test_fuzz.py", 2),
    "mdb": ("tests/drivers/mdb_cashless/test_faults.py", 2),
    "zvt": ("tests/drivers/zvt_terminal/test_faults.py", 2),
    "exits": ("tests/drivers/modbus_io/test_faults.py", 0),
    "usb": ("tests/drivers/usb_relay/test_faults.py", 0),
    "coins": ("tests/drivers/cctalk_coin/test_faults.py", 2),
    "osdp": ("tests/drivers/osdp/test_faults.py", 2),
    "hosts": ("tests/drivers/host_link/test_lives.py", 0),
    "mutants": ("tests/mutants/test_mutants.py", 2),
}
"""What runs, and in how many processes: rigs that wait more than they work share the processor."""
FIGURES = ROOT / "build" / "faults" / "figures.tsv"


def run(rig: str, environment: dict[str, str]) -> int:
    """One rig; pytest's exit status."""
    path, workers = RIGS[rig]
    shared = ["-n", str(workers), "--dist", "worksteal"] if workers else []
    return subprocess.call([sys.executable, "-m", "pytest", "-q", *shared, path], cwd=ROOT, env=environment)


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> int:
    """The command line; exit status 1 if a promise was broken."""
    parser = argparse.ArgumentParser("dev.py faults", description=__doc__)
    parser.add_argument("rigs", nargs="*", metavar="RIG", help=f"only these: {', '.join(RIGS)}")
    parser.add_argument("--seed", type=int, default=1, help="of what is random (default 1)")
    parser.add_argument("--fuzz-seconds", type=int, default=300, help="per target (default 300)")
    options = parser.parse_args()
    if unknown := set(options.rigs) - set(RIGS):
        parser.error(f"no rig {', '.join(sorted(unknown))}; there are: {', '.join(RIGS)}")
    FIGURES.parent.mkdir(parents=True, exist_ok=True)
    FIGURES.write_text("", encoding="utf-8")
    environment = os.environ | {
        "DAIKO_FULL": "1",
        "DAIKO_SEED": str(options.seed),
        "DAIKO_FUZZ_SECONDS": str(options.fuzz_seconds),
        "DAIKO_FIGURES": str(FIGURES),
    }
    failed = []
    for rig in options.rigs or RIGS:
        began = time.monotonic()
        if run(rig, environment):
            failed.append(rig)
        say(f"--- {rig}: {time.monotonic() - began:.0f} s\n")
    say("\n".join(table(FIGURES)))
    say(f"FAILED: {', '.join(failed)}" if failed else f"no promise was broken (seed {options.seed})")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
