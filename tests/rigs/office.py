"""A lot office for rigs: simulated lots as processes, a feed cloud, and a bridge that may be started in odd ways.

The lots are those of seeds/lots with shorter times, so that a case ends in a second or two.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import requests

from bridge.config import load
from bridge.enrol import adopt
from bridge.keys import Identity, make_key
from demo.program import ROOT, Program, Trouble, wait_for
from demo.stack import SimLot
from parking.signing import to_text
from parking.stay import LotId, StayRef
from parking.wire import CompletionKey
from tests.rigs.feed_cloud import KEY, FeedCloud

T = TypeVar("T")

PLATES, GATED = LotId(1001), LotId(1002)
NAMES = {PLATES: "bay-plates", GATED: "gated-host"}
QUICKER = (
    ('tariff = "../tariffs/', f'tariff = "{ROOT.as_posix()}/seeds/tariffs/'),
    ("poll_seconds = 1.0", "poll_seconds = 0.2"),
    ("poll_seconds = 0.5", "poll_seconds = 0.2"),
    ("observe = 4.0", "observe = 1.0"),
    ("observe = 6.0", "observe = 2.0"),
    ("timeout_seconds = 2.0", "timeout_seconds = 0.6"),
    ("timeout_seconds = 1.0", "timeout_seconds = 0.6"),
)
"""A plate takes 0.3 s to move, an arm 0.8 s: `observe` is well above."""

POLICY = """
[policy]
when_down = "claim"
loss_budget = 1_000_000
codes_per_day = 1000
code_yen_per_day = 1_000_000
"""

RUN = ("-m", "bridge")
_NORMAL = """
import sys
from bridge import journal_file
from bridge.__main__ import main
journal_file.PRAGMAS["synchronous"] = 1
sys.exit(main(sys.argv[1:]))
"""
WITHOUT_FULL_SYNC = ("-c", _NORMAL)
"""The bridge with the rule of P3 switched off: SQLite's NORMAL, which does not sync at a commit."""


class Office:
    """Lots, cloud and bridge under one directory. `close` ends all of it."""

    def __init__(
        self, run: Path, lots: Sequence[LotId] = (PLATES, GATED), cloud_url: str = "", speed: float = 5
    ) -> None:
        run.mkdir(parents=True, exist_ok=True)
        self.run, self.cloud = run, FeedCloud()
        self.lots = {lot: _sim(run, lot, speed) for lot in lots}
        for sim in self.lots.values():
            sim.start()
        self.config = run / "bridge.toml"
        self.data = run / "bridge"
        self.write_config(cloud_url or self.cloud.url)
        self.bridge: subprocess.Popen[bytes] | None = None
        self.log = run / "bridge.log"
        self.enrol()

    def write_config(self, cloud_url: str, urls: Mapping[str, str] | None = None) -> None:
        """Write bridge.toml; `urls` are addresses of devices that differ from the simulators' own."""
        lines = ["[bridge]", 'name = "office"', 'data = "bridge"', "", "[cloud]", f'url = "{cloud_url}"']
        for lot, sim in self.lots.items():
            lines += ["", "[[lot]]", f'profile = "{NAMES[lot]}.toml"', "", "[lot.urls]"]
            lines += [f"{device} = {json.dumps((urls or {}).get(device, url))}" for device, url in sim.urls.items()]
        self.config.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def enrol(self) -> None:
        """Give the bridge a key and an identity, without a cloud."""
        config = load(self.config)
        make_key(config.data)
        keys = (CompletionKey(key_id=1, public_key=to_text(KEY.public_bytes)),)
        adopt(
            config.data,
            Identity(
                cloud_url=config.cloud_url, bridge_id="b1", generation=1, lots=tuple(self.lots), completion_keys=keys
            ),
        )

    # --- the bridge --------------------------------------------------------------------------------------------------

    def start(self, *, before: Sequence[str] = (), how: Sequence[str] = RUN, ready: bool = True, **env: str) -> None:
        """Start the bridge: `before` its command line stands a tracer, `how` is what Python runs."""
        (self.data / "api.json").unlink(missing_ok=True)
        command = [*before, sys.executable, *how, "--config", str(self.config)]
        with self.log.open("ab") as log:
            self.bridge = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**os.environ, "PYTHONUTF8": "1", "PYTHONPATH": str(ROOT), **env},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        if ready:
            self.wait("the bridge to be ready", lambda: (self.data / "api.json").exists() or self.ended())

    def ended(self) -> bool:
        """Whether the bridge has ended by itself."""
        return self.bridge is not None and self.bridge.poll() is not None

    def wait_end(self, seconds: float = 40.0) -> int:
        """The bridge's exit status, once it has ended."""
        if self.bridge is None:
            raise Trouble("the bridge was never started")
        try:
            return self.bridge.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Trouble(f"the bridge did not end; {self.tail()}") from None

    def stop(self) -> int:
        """SIGTERM, and its exit status."""
        self._signal(signal.SIGTERM)
        return self.wait_end()

    def kill(self) -> None:
        """SIGKILL."""
        self._signal(signal.SIGKILL)
        if self.bridge is not None and self.bridge.poll() is None:
            self.bridge.kill()
            self.bridge.wait(10)

    def _signal(self, number: signal.Signals) -> None:
        """To the bridge itself, which may be a child of its tracer."""
        if self.bridge is None or self.bridge.poll() is not None:
            return
        try:
            os.kill(json.loads((self.data / "api.json").read_text(encoding="utf-8"))["pid"], number)
        except (OSError, ValueError):
            self.bridge.send_signal(number)

    def close(self) -> None:
        self.kill()
        for sim in self.lots.values():
            sim.program.kill()
        self.cloud.stop()

    def tail(self, lines: int = 25) -> str:
        """The end of the bridge's log."""
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])

    def wait(self, what: str, check: Callable[[], T | None], seconds: float = 40.0) -> T:
        """Wait; the failure shows the end of the bridge's log."""
        try:
            return wait_for(what, check, seconds, 0.02)
        except Trouble as trouble:
            raise Trouble(f"{trouble}\n{self.tail()}") from None

    def snapshot(self) -> dict[str, Any]:
        """What the bridge shows the console; empty while it does not answer."""
        try:
            where = json.loads((self.data / "api.json").read_text(encoding="utf-8"))
            token = (self.data / "api-token").read_text(encoding="ascii").strip()
            with requests.Session() as session:
                session.trust_env = False
                head = {"Authorization": f"Bearer {token}"}
                said: dict[str, Any] = session.get(f"{where['url']}/v1/snapshot", headers=head, timeout=5).json()
                return said
        except (OSError, ValueError):
            return {}

    def command(self, **order: Any) -> dict[str, Any]:
        """An order by hand, as the console gives it."""
        return self.ask("commands", **order)

    def ask(self, what: str, **order: Any) -> dict[str, Any]:
        """What the console posts."""
        where = json.loads((self.data / "api.json").read_text(encoding="utf-8"))
        token = (self.data / "api-token").read_text(encoding="ascii").strip()
        with requests.Session() as session:
            session.trust_env = False
            head, body = {"Authorization": f"Bearer {token}"}, {"schema": 1, **order}
            said: dict[str, Any] = session.post(f"{where['url']}/v1/{what}", headers=head, json=body, timeout=10).json()
            return said

    def case(self, lot: LotId, number: int) -> dict[str, Any]:
        """A case as the bridge shows it, or nothing."""
        cases = self.snapshot().get("cases", [])
        return next((case for case in cases if (case["lot"], case["number"]) == (lot, number)), {})

    # --- the lots ----------------------------------------------------------------------------------------------------

    def stay(self, lot: LotId, name: str) -> StayRef:
        """The stay of a bay or ticket as the bridge knows it."""

        def known() -> StayRef | None:
            import msgspec

            for view in self.snapshot().get("stays", []):
                if view["lot"] == lot and view["stay"]["name"] == name:
                    return msgspec.convert(view["stay"], StayRef)
            return None

        return self.wait(f"stay {name} of {lot}", known)

    def releases(self, lot: LotId, place: str) -> int:
        """How often the device of a lot has received our release: for a bay's exit, or for a ticket's car."""
        return sum(
            line["what"] == "release" and line["by"] == "bus" and line["stay"] == place
            for line in self.lots[lot].history()
        )

    def empty(self) -> None:
        """All faults end, and all cars leave: by hand, where nobody has let them out."""
        for lot, sim in self.lots.items():
            sim.tell("clear-faults")

            def left(lot: LotId = lot, sim: SimLot = sim) -> bool:
                cars = sim.world()["cars"]
                for car in cars:
                    if car["where"] == "parked":
                        sim.tell("drive-out", name=car["name"], **({} if lot == PLATES else {"exit": "OUT1"}))
                    if car["where"] == "at_exit" or lot == PLATES:
                        sim.tell("hand-release", exit=car["name"] if lot == PLATES else "OUT1")
                return not cars

            until(f"{NAMES[lot]} to be empty", left)


def _sim(run: Path, lot: LotId, speed: float) -> SimLot:
    text = (ROOT / "seeds" / "lots" / f"{NAMES[lot]}.toml").read_text(encoding="utf-8")
    for old, new in QUICKER:
        text = text.replace(old, new)
    text += POLICY
    profile = run / f"{NAMES[lot]}.toml"
    profile.write_text(text, encoding="utf-8")
    folder = run / NAMES[lot]
    folder.mkdir(exist_ok=True)
    arguments = ["drivers", "sim", str(profile), "--run-dir", str(folder), "--speed", str(speed)]
    return SimLot(NAMES[lot], Program(f"sim {lot}", arguments, folder / "sim.log", folder / "sim.json"))


def until(what: str, check: Callable[[], T | None], seconds: float = 40.0) -> T:
    """Wait for something outside the bridge."""
    end = time.monotonic() + seconds
    while not (answer := check()):
        if time.monotonic() > end:
            raise Trouble(f"waited {seconds:.0f} s in vain for: {what}")
        time.sleep(0.02)
    return answer
