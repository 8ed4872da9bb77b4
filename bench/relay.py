"""How fast the bridge is, beside its floors from the same run: `python3 dev.py bench relay [--payments N] [--json]`.

1. Completion received → first byte at the device, wire time excluded: the shipped bridge in this process, a simulated
   lot as another process on a serial line at 9600 baud. Reported next to fsync, which it does twice on the way. Wire
   time is the status read, and the silence of 3.5 characters that Modbus demands between two frames.
2. Provider confirmed → device released: all programs as processes, payments by plain HTTP forms, the moment of the
   release taken from the device's own record. Reported next to the wire time of the bytes that must cross the line.
3. A burst: completions handed over as the feed does it, each group durable before the next. Reported next to bare
   inserts of the same bytes in as many commits.
4. Recovery: a start with a long journal whose last case was being sent, until that doubt has been looked into.
5. Memory of the bridge process after 2 and after the burst.
"""

import argparse
import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import _journal
from bridge.app import Bridge
from bridge.config import load
from bridge.enrol import adopt
from bridge.keys import Identity, make_key
from demo.driver import PlainDriver
from demo.program import wait_for
from demo.report import approvals_to_releases
from demo.stack import SimLot, Stack
from drivers.recorder import Direction
from parking import completion as completions
from parking.completion import Completion
from parking.desk import CasePhase, StayView
from parking.money import yen
from parking.signing import SigningKey, to_text
from parking.stay import LotId
from parking.wire import CompletionKey, Entry

LOT, PLATES = LotId(1001), "bay-plates"
BAUD, BITS = 9600, 10
WRITE_COIL = 5
BURST, ROWS = 2_000, 10_000
SILENCE = 3.5 * 11 / BAUD
"""Modbus over Serial Line V1.02, section 2.5.1.1."""


@dataclass(slots=True)
class Stopwatch:
    """Sees every chunk on the wire: when the release was written, and how long reads before it kept the line."""

    began: float = 0.0
    asked: float | None = None
    heard: float = 0.0
    reading: float = 0.0
    written: float = 0.0
    bytes_before: int = 0
    frames: list[int] = field(default_factory=list)

    def start(self) -> None:
        """A completion is being handed over now."""
        self.began, self.asked, self.reading, self.written, self.bytes_before = time.perf_counter(), None, 0.0, 0.0, 0

    def note(self, direction: Direction, data: bytes) -> None:
        """One chunk."""
        now = time.perf_counter()
        if direction is Direction.RX:
            self.heard = now
        if self.written or not self.began:
            return
        if direction is Direction.TX:
            silent_since = max(self.heard, self.began)
            self.reading += max(0.0, min(now, self.heard + SILENCE) - silent_since)
        if direction is Direction.TX and data[1:2] == bytes((WRITE_COIL,)):
            self.written = now
            return
        self.bytes_before += len(data)
        if direction is Direction.TX:
            self.asked = now
        elif self.asked is not None:
            self.reading += now - self.asked
            self.asked = now

    @property
    def overhead_ms(self) -> float:
        """Milliseconds of our own between hand-over and first byte."""
        return (self.written - self.began - self.reading) * 1000


def fsync_floor(folder: Path, times: int = 200) -> list[float]:
    """Milliseconds for appending 4 KiB and syncing, on the same disk."""
    found = []
    with (folder / "floor").open("wb", buffering=0) as file:
        for _ in range(times):
            began = time.perf_counter()
            file.write(b"\0" * 4096)
            os.fsync(file.fileno())
            found.append((time.perf_counter() - began) * 1000)
    return found


def park(lot: SimLot, bay: str) -> None:
    """A car drives into a bay, and its plate comes up."""

    def ups() -> int:
        return sum(line["what"] == "plate_up" and line["exit"] == bay for line in lot.history())

    before = ups()
    lot.tell("arrive", bay=bay)
    wait_for("the plate", lambda: ups() > before)


def received_to_first_byte(run: Path, payments: int) -> tuple[list[float], list[float]]:
    """Our overhead, and the wire time of the status reads before the release, in milliseconds per payment."""
    stack, watch, key = Stack(run, lots=(PLATES,), speed=20), Stopwatch(), SigningKey.generate(1)
    lot = stack.lots[PLATES]
    lot.start()
    stack.write_bridge_config()
    config = load(stack.bridge_config)
    make_key(config.data)
    ring = (CompletionKey(key_id=1, public_key=to_text(key.public_bytes)),)
    identity = Identity(cloud_url=config.cloud_url, bridge_id="bench", generation=1, lots=(LOT,), completion_keys=ring)
    adopt(config.data, identity)
    bridge = Bridge(config, tapping=lambda _: watch)
    bridge.start()
    overhead, wire = [], []
    try:
        for number in range(1, payments + 1):
            bay = str(number % 20 + 1)
            park(lot, bay)
            stay = wait_for("the stay", partial(stay_in, bridge, bay))
            now = datetime.now(UTC).replace(microsecond=0)
            completion = Completion(1, LOT, number, stay.stay, yen(100), now, now + timedelta(minutes=9))
            entry = Entry(number=number, completion=to_text(completions.sign(completion, key)))
            watch.start()
            bridge.accept(LOT, [entry])
            wait_for("the release", partial(over, bridge, number))
            overhead.append(watch.overhead_ms)
            wire.append(watch.bytes_before * BITS / BAUD * 1000)
            watch.began = 0.0
            lot.tell("drive-out", name=bay)
            wait_for("the car to go", partial(gone, bridge, bay))
    finally:
        bridge.stop()
        stack.abandon()
    return overhead, wire


def stay_in(bridge: Bridge, bay: str) -> StayView | None:
    """The stay that the bridge sees in a bay."""
    return next((view for view in bridge.snapshot().stays if view.stay.name == bay), None)


def gone(bridge: Bridge, bay: str) -> bool:
    """Whether a bay is empty."""
    return stay_in(bridge, bay) is None


def done(driver: PlainDriver) -> bool:
    """Whether the phone shows the release."""
    return driver.stage() == "done"


def over(bridge: Bridge, number: int) -> bool:
    """Whether a case is settled."""
    return any(view.number == number and view.phase is CasePhase.SETTLED for view in bridge.snapshot().cases)


def confirmed_to_released(run: Path, payments: int) -> tuple[list[float], float]:
    """Milliseconds from the provider's approval to the device receiving the release; and the bridge's memory in MB."""
    stack = Stack(run, lots=(PLATES,), speed=20)
    try:
        stack.up()
        lot = stack.lots[PLATES]
        for number in range(payments):
            bay = str(number % 20 + 1)
            park(lot, bay)
            driver = PlainDriver(stack.cloud_url, stack.code(PLATES))
            wait_for("the bridge to see the car", partial(seen, stack, bay))
            time.sleep(0.3)  # the report of the stay is on its way to the cloud
            driver.pay(bay)
            time.sleep(0.3)  # a phone's way back from the provider to our page takes longer than the release
            wait_for("the release", partial(done, driver), 20, 0.05)
            lot.tell("drive-out", name=bay)
            wait_for("the car to go", partial(unseen, stack, bay))
        return approvals_to_releases(stack), stack.bridge.rss_mb()
    finally:
        stack.abandon()


def seen(stack: Stack, bay: str) -> bool:
    """Whether the bridge shows a car in a bay."""
    return any(stay["stay"]["name"] == bay for stay in stack.snapshot()["stays"])


def unseen(stack: Stack, bay: str) -> bool:
    """Whether the bridge shows no car in a bay."""
    return not seen(stack, bay)


def p(values: Sequence[float], percent: int) -> float:
    """A percentile, by nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def measure(payments: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Run everything once."""
    run = Path(tempfile.mkdtemp(prefix="daiko-bench-"))
    try:
        floor = fsync_floor(run)
        say(f"{payments} completions through the bridge on a serial line …")
        overhead, reads = received_to_first_byte(run / "first-byte", payments)
        say(f"{payments} payments through all programs …")
        released, memory = confirmed_to_released(run / "released", payments)
        say(f"a burst of {BURST:,}, a start with {ROWS:,} cases …")
        burst = _journal.told(run / "burst", "burst", BURST)
        recovery = _journal.told(run / "recovery", "recover", ROWS)
    finally:
        shutil.rmtree(run, ignore_errors=True)
    write_wire = 8 * BITS / BAUD * 1000
    return {
        "payments": payments,
        "fsync_ms": {"p50": p(floor, 50), "p99": p(floor, 99)},
        "received_to_first_byte_ms": {"p50": p(overhead, 50), "p99": p(overhead, 99)},
        "first_byte_over_two_fsyncs": p(overhead, 50) / (2 * p(floor, 50)),
        "wire_ms": {"status_reads": statistics.median(reads), "command": write_wire},
        "confirmed_to_released_ms": {"p50": p(released, 50), "p99": p(released, 99)},
        "released_over_wire": p(released, 50) / (statistics.median(reads) + write_wire),
        "burst": {"per_second": BURST / burst["seconds"], "over_floor": burst["seconds"] / burst["floor_seconds"]},
        "recovery_s": recovery["recovered"],
        "bridge_rss_mb": {"after_payments": memory, "after_burst": burst["rss_mb"]},
    }


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--payments", type=int, default=40, help="payments per measurement (default 40)")
    parser.add_argument("--json", action="store_true", help="print figures as JSON")
    options = parser.parse_args()
    found = measure(options.payments, lambda text: print(text, file=sys.stderr))
    if options.json:
        print(json.dumps(found, indent=2))
        return 0
    rows = (
        ("append 4 KiB + fsync", found["fsync_ms"], ""),
        ("received → first byte (wire excluded)", found["received_to_first_byte_ms"], "goal p50 ≤ 2, p99 ≤ 15"),
        ("provider confirmed → device released", found["confirmed_to_released_ms"], "goal p50 ≤ 50, p99 ≤ 120"),
    )
    for name, figures, goal in rows:
        print(f"{name:40} p50 {figures['p50']:8.2f} ms   p99 {figures['p99']:8.2f} ms   {goal}")
    wire = found["wire_ms"]
    print(f"{'wire at 9600 baud':40} status reads {wire['status_reads']:.2f} ms + command {wire['command']:.2f} ms")
    print(f"{'first byte ÷ two fsyncs':40} {found['first_byte_over_two_fsyncs']:.2f}")
    print(f"{'released ÷ wire':40} {found['released_over_wire']:.2f}")
    burst, memory = found["burst"], found["bridge_rss_mb"]
    print(f"{f'burst of {BURST:,}, journaled':40} {burst['per_second']:.0f} completions/s   goal ≥ 500")
    print(f"{'burst ÷ bare inserts':40} {burst['over_floor']:.1f}")
    print(f"{f'recovery with {ROWS:,} cases':40} {found['recovery_s']:.2f} s   goal ≤ 1")
    print(f"{'bridge memory (RSS)':40} {memory['after_payments']:.1f} MB   goal ≤ 60")
    print(f"{'the same, after the burst':40} {memory['after_burst']:.1f} MB")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
