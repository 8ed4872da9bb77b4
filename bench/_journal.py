"""A burst of completions, and a start with a long journal: the shipped bridge in a process of its own, a simulated lot.

    python -m bench._journal burst RUN_DIR COUNT       one JSON line: seconds, floor_seconds, rss_mb
    python -m bench._journal recover RUN_DIR ROWS      one JSON line: recovered (seconds), rss_mb

`bench.relay` starts both; a process of its own, so that the memory which is told is the bridge's.
"""

import json
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from bridge.app import Bridge
from bridge.case import Case, Step, open_case
from bridge.config import BridgeConfig, load
from bridge.enrol import adopt
from bridge.journal import PRAGMAS, Journal
from bridge.keys import Identity, make_key
from bridge.uplink.feed import GROUP
from demo.program import ROOT
from demo.stack import Stack
from parking import completion as completions
from parking.completion import Completion
from parking.desk import CasePhase
from parking.money import yen
from parking.outcome import Evidence, EvidenceKind, Level
from parking.signing import SigningKey, to_text
from parking.stay import LotId, NameKind, StayRef
from parking.wire import CompletionKey, Entry

LOT, PLATES = LotId(1001), "bay-plates"
KEY = SigningKey.from_seed(1, bytes(range(32)))
IN_DOUBT_BAY = "7"


def told(run: Path, what: str, size: int) -> dict[str, float]:
    """Have a process of its own measure."""
    command = [sys.executable, "-m", "bench._journal", what, str(run), str(size)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    if done.returncode:
        raise RuntimeError(f"{what}: {done.stderr[-2000:]}")
    said: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return said


def burst(run: Path, count: int) -> dict[str, float]:
    """Completions handed over as the feed does it, in groups, each group durable before the next."""
    seconds = 0.0
    with _lot(run) as config:
        bridge = Bridge(config)
        bridge.start()
        for at in range(0, count, GROUP):
            group = _group(at)
            began = time.perf_counter()
            bridge.accept(LOT, group)
            seconds += time.perf_counter() - began
        memory = _memory_mb()
        bridge.stop()
    return {"seconds": seconds, "floor_seconds": _floor(run / "floor.db", count), "rss_mb": memory}


def recover(run: Path, rows: int) -> dict[str, float]:
    """A start with a journal of `rows` cases, the last of which was being sent when the bridge died (P4)."""
    with _lot(run) as config:
        _fill(config, rows)
        began = time.perf_counter()
        bridge = Bridge(config)
        bridge.start()  # returns once each doubt has been looked into, and the feed may open
        recovered = time.perf_counter() - began
        found = next(view for view in bridge.snapshot().cases if view.number == rows)
        memory = _memory_mb()
        bridge.stop()
    if found.phase is CasePhase.SENDING:
        raise RuntimeError("the interrupted case was not recovered")
    return {"recovered": recovered, "rss_mb": memory}


@contextmanager
def _lot(run: Path) -> Iterator[BridgeConfig]:
    """A simulated lot that runs, and the configuration of a bridge that is enrolled for it at a cloud of nowhere."""
    stack = Stack(run, lots=(PLATES,), speed=20)
    stack.lots[PLATES].start()
    stack.lots[PLATES].tell("arrive", bay=IN_DOUBT_BAY)
    stack.lots[PLATES].wait_history("plate_up", exit=IN_DOUBT_BAY)
    stack.write_bridge_config()
    config = load(stack.bridge_config)
    make_key(config.data)
    ring = (CompletionKey(key_id=1, public_key=to_text(KEY.public_bytes)),)
    adopt(
        config.data,
        Identity(cloud_url=config.cloud_url, bridge_id="bench", generation=1, lots=(LOT,), completion_keys=ring),
    )
    try:
        yield config
    finally:
        stack.abandon()


def _completion(number: int, bay: str) -> Completion:
    now = datetime.now(UTC).replace(microsecond=0)
    entered = now - timedelta(hours=1)
    return Completion(1, LOT, number, StayRef(NameKind.BAY, bay, entered), yen(100), now, now + timedelta(minutes=20))


def _group(at: int) -> list[Entry]:
    """The next completions of the feed."""
    made = [_completion(number, str(number % 20 + 1)) for number in range(at + 1, at + GROUP + 1)]
    return [Entry(number=one.number, completion=to_text(completions.sign(one, KEY))) for one in made]


def _fill(config: BridgeConfig, rows: int) -> None:
    """Cases that ended, with what the bridge writes of each, and one whose intent is open."""
    now = datetime.now(UTC)
    proof = Evidence(EvidenceKind.OBSERVED, "plate down")
    with closing(Journal(config.data / "journal.db")) as journal, journal.transaction() as tx:
        for number in range(1, rows + 1):
            made = _completion(number, IN_DOUBT_BAY if number == rows else str(number % 20 + 1))
            case = open_case(made, now)
            tx.put_case(_sending(case, now) if number == rows else _ended(case, proof), completions.sign(made, KEY))
            for what in ("received", "checking", "sending", "settled"):
                tx.note(LOT, case.stay.key, now, "relay", what, case.reference)
        tx.advance_cursor(LOT)


def _ended(case: Case, proof: Evidence) -> Case:
    return replace(
        case, phase=CasePhase.SETTLED, step=Step.RELEASE, attempt=1, sent=1, level=Level.PHYSICALLY_OBSERVED,
        evidence=(proof,), intent=b"\1\5\0\6\xff\0", counter=case.number, sent_at=case.since,
    )  # fmt: skip


def _sending(case: Case, now: datetime) -> Case:
    return replace(
        case, phase=CasePhase.SENDING, step=Step.RELEASE, attempt=1, sent=1, tried_since=now, sent_at=now,
        intent=b"\1\5\0\6\xff\0", counter=0,
    )  # fmt: skip


def _floor(path: Path, count: int) -> float:
    """Seconds for bare inserts of the same bytes: as many rows, in as many commits."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        for name, value in PRAGMAS.items():
            db.execute(f"PRAGMA {name}={value}")
        db.execute("create table rows (number integer primary key, body text)")
        seconds = 0.0
        for at in range(0, count, GROUP):
            group = _group(at)
            began = time.perf_counter()
            db.execute("BEGIN IMMEDIATE")
            for entry in group:
                db.execute("insert into rows values (?,?)", (entry.number, entry.completion))
            db.execute("COMMIT")
            seconds += time.perf_counter() - began
        return seconds


def _memory_mb() -> float:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) / 1024


def main(arguments: list[str]) -> int:
    """Measure one thing and print it."""
    what, run, size = arguments
    found: dict[str, Any] = {"burst": burst, "recover": recover}[what](Path(run), int(size))
    print(json.dumps(found))
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
