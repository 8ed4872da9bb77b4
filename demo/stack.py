"""Everything that runs: simulated lots, sandbox provider, cloud, bridge; each a process, joined by real wires."""

import contextlib
import json
import re
import secrets
import socket
import tomllib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from demo.program import ROOT, Program, Trouble, run_module, wait_for

LOTS = ("bay-plates", "gated-host")
PROFILES = ROOT / "seeds" / "lots"


@dataclass(slots=True)
class SimLot:
    """A simulated lot and its remote control."""

    name: str
    program: Program
    urls: dict[str, str] = field(default_factory=dict)
    control: str = ""

    def start(self) -> None:
        """Start it and learn where its devices are."""
        said = self.program.start()
        self.urls, self.control = said["urls"], said["control"]

    def tell(self, order: str, **what: Any) -> dict[str, Any]:
        """Make something happen in the lot: arrive, pay-cash, drive-out, hand-release, strike-booking, fault, ….

        drivers/simlot/host.py has them all.
        """
        answer = _http().post(f"{self.control}/{order}", json=what, timeout=5)
        answer.raise_for_status()
        said: dict[str, Any] = answer.json()
        return said

    def world(self) -> dict[str, Any]:
        """What the lot looks like now."""
        said: dict[str, Any] = _http().get(f"{self.control}/world", timeout=5).json()
        return said

    def history(self) -> list[dict[str, Any]]:
        """Everything that has happened in the lot, from its own record."""
        lines = (self.program.log.parent / "history.jsonl").read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines]

    def wait_history(self, what: str, seconds: float = 20.0, **match: str) -> dict[str, Any]:
        """Wait until something has happened, and return it."""

        def happened() -> dict[str, Any] | None:
            for line in self.history():
                if line["what"] == what and all(line.get(key) == value for key, value in match.items()):
                    return line
            return None

        return wait_for(f"{self.name}: {what} {match}", happened, seconds)


class Stack:
    """All programs under one directory `run`, which holds their files and logs."""

    def __init__(self, run: Path, lots: Sequence[str] = LOTS, speed: float = 1.0) -> None:
        """Prepare; nothing is started yet. `speed` makes the simulated lots' time run faster."""
        self.run = run
        run.mkdir(parents=True, exist_ok=True)
        self.lots = {name: self._sim(name, speed) for name in lots}
        cloud_port, provider_port = _free_port(), _free_port()
        self.cloud_url = f"http://127.0.0.1:{cloud_port}"
        self.provider_url = f"http://127.0.0.1:{provider_port}"
        self.api_key, self._secret = secrets.token_hex(16), secrets.token_hex(16)
        self.cloud_config, self.bridge_config = run / "cloud.toml", run / "bridge.toml"
        self._write_cloud_config(cloud_port)
        self.provider = Program(
            "sandbox",
            [
                *("cloud", "sandbox", "--listen", f"127.0.0.1:{provider_port}", "--secret", self._secret),
                *("--api-key", self.api_key, "--webhook", f"{self.cloud_url}/webhooks/sandbox"),
                *("--run-file", str(run / "sandbox.json"), "--state", str(run / "sandbox.state")),
            ],
            run / "sandbox.log",
            run / "sandbox.json",
        )
        self.cloud = Program(
            "cloud", ["cloud", "serve", "--config", str(self.cloud_config)], run / "cloud.log", run / "cloud.json"
        )
        self.bridge = Program(
            "bridge", ["bridge", "--config", str(self.bridge_config)], run / "bridge.log", self.bridge_data / "api.json"
        )

    @property
    def bridge_data(self) -> Path:
        """The bridge's data directory; the console is given it."""
        return self.run / "bridge"

    @property
    def programs(self) -> list[Program]:
        """All programs, in the order of their start."""
        return [*(lot.program for lot in self.lots.values()), self.provider, self.cloud, self.bridge]

    def up(self, say: Callable[[str], None] = lambda _: None) -> None:
        """Start everything as an installer would: lots, provider, cloud, onboarding, pairing, bridge."""
        with ThreadPoolExecutor() as pool:
            code = pool.submit(self.onboard)
            lots = [pool.submit(lot.start) for lot in self.lots.values()]
            self.provider.start()
            for begun in lots:
                begun.result()
        for lot in self.lots.values():
            say(f"simulated lot {lot.name}: {', '.join(f'{name} at {url}' for name, url in lot.urls.items())}")
        say(f"sandbox payment provider at {self.provider_url}")
        self.cloud.start()
        say(f"cloud at {self.cloud_url}")
        self.write_bridge_config()
        self.pair(code.result())
        self.bridge.start()
        wait_for("the cloud to hear the bridge", self._heard)
        say(f"bridge paired and running, local API at {self.bridge_api()['url']}")

    def onboard(self) -> str:
        """Tell the cloud of the lots; returns a code with which a bridge may ask to serve them."""
        profiles = [str(self.profile(name)) for name in self.lots]
        run_module(["cloud", "lot", "add", *profiles, "--config", str(self.cloud_config)])
        ids = [str(lot_id) for lot_id in self.lot_ids()]
        return run_module(["cloud", "enrol-code", *ids, "--config", str(self.cloud_config)]).split()[-1]

    def pair(self, code: str) -> None:
        """Enrol the bridge for its lots: by a code, and the operator's approval by the fingerprint on its screen."""
        screen = self.run / "enrol.log"
        screen.unlink(missing_ok=True)
        enrol = Program("enrol", ["bridge", "enrol", "--config", str(self.bridge_config), "--code", code], screen)
        enrol.start()
        try:
            bridge, shown = wait_for("the bridge to show its fingerprint", lambda: _shown(enrol))
            words = ["cloud", "bridge", "approve", bridge, "--fingerprint", shown, "--by", "demo"]
            run_module([*words, "--config", str(self.cloud_config)])
            if enrol.process.wait(20):
                raise Trouble(f"the bridge was not enrolled:\n{enrol.tail()}")
        finally:
            enrol.kill()

    def lot_ids(self) -> list[int]:
        """The numbers of the lots, from their profiles."""
        return [_lot_table(name)["id"] for name in self.lots]

    def profile(self, name: str) -> Path:
        """The profile of a lot."""
        return _profile(name)

    def profile_table(self, name: str) -> dict[str, Any]:
        """The profile of a lot as it stands in its file."""
        return tomllib.loads(_profile(name).read_text(encoding="utf-8"))

    def code(self, name: str) -> str:
        """The code printed on a lot's posters."""
        return str(_lot_table(name)["code"])

    def down(self) -> None:
        """Stop everything, in the reverse order."""
        for program in reversed(self.programs):
            program.stop()

    def abandon(self) -> None:
        """Kill whatever still runs."""
        for program in reversed(self.programs):
            program.kill()

    # --- what the programs say ---------------------------------------------------------------------------------------

    def bridge_api(self) -> dict[str, Any]:
        """Where the bridge's local API is."""
        said: dict[str, Any] = json.loads((self.bridge_data / "api.json").read_text(encoding="utf-8"))
        return said

    def snapshot(self) -> dict[str, Any]:
        """What the bridge shows the console."""
        token = (self.bridge_data / "api-token").read_text(encoding="ascii").strip()
        answer = _http().get(
            f"{self.bridge_api()['url']}/v1/snapshot", headers={"Authorization": f"Bearer {token}"}, timeout=5
        )
        answer.raise_for_status()
        said: dict[str, Any] = answer.json()
        return said

    def command(self, **order: Any) -> dict[str, Any]:
        """Give the bridge an order by hand, as the console does."""
        token = (self.bridge_data / "api-token").read_text(encoding="ascii").strip()
        answer = _http().post(
            f"{self.bridge_api()['url']}/v1/commands",
            headers={"Authorization": f"Bearer {token}"},
            json={"schema": 1, **order},
            timeout=10,
        )
        said: dict[str, Any] = answer.json()
        return said

    def cases(self) -> list[dict[str, Any]]:
        """The completions as the bridge sees them."""
        found: list[dict[str, Any]] = self.snapshot()["cases"]
        return found

    def payments(self) -> list[dict[str, Any]]:
        """The payments as the cloud sees them."""
        printed = run_module(["cloud", "payments", "--json", "--config", str(self.cloud_config)])
        found: list[dict[str, Any]] = json.loads(printed)
        return found

    def provider_payments(self) -> list[dict[str, Any]]:
        """The payments as the provider sees them."""
        return _list(self._ask_provider("payments"))

    def provider_history(self) -> list[dict[str, Any]]:
        """Everything that has happened at the provider."""
        return _list(self._ask_provider("history"))

    def behave(self, **how: Any) -> None:
        """Tell the sandbox provider how to behave from now on."""
        answer = _http().post(
            f"{self.provider_url}/v1/behave", json=how, headers={"Authorization": f"Bearer {self.api_key}"}, timeout=5
        )
        answer.raise_for_status()

    def _ask_provider(self, what: str) -> Any:
        answer = _http().get(
            f"{self.provider_url}/v1/{what}", headers={"Authorization": f"Bearer {self.api_key}"}, timeout=5
        )
        answer.raise_for_status()
        return answer.json()

    def _heard(self) -> bool:
        links = {link["link"]: link["up"] for link in self.snapshot()["links"] if link["kind"] == "cloud"}
        return len(links) == len(self.lots) and all(links.values())

    # --- files -------------------------------------------------------------------------------------------------------

    def _sim(self, name: str, speed: float) -> SimLot:
        run = self.run / name
        run.mkdir(parents=True, exist_ok=True)
        arguments = ["drivers", "sim", str(self.profile(name)), "--run-dir", str(run), "--speed", str(speed)]
        return SimLot(name, Program(f"sim {name}", arguments, run / "sim.log", run / "sim.json"))

    def _write_cloud_config(self, port: int) -> None:
        self.cloud_config.write_text(
            f'public_url = "{self.cloud_url}"\nrun_file = "cloud.json"\n\n'
            f'[listen]\nhost = "127.0.0.1"\nport = {port}\n\n'
            f'[payments]\nprovider = "sandbox"\nurl = "{self.provider_url}"\n'
            f'api_key = "{self.api_key}"\nwebhook_secret = "{self._secret}"\n\n'
            # all drivers of the stage come from one address
            "[phone]\nmisses = 100000\nlot_misses = 100000\n",
            encoding="utf-8",
        )

    def write_bridge_config(self) -> None:
        """Write the bridge's configuration, with the addresses of the simulated devices."""
        lines = ["[bridge]", 'name = "office"', 'data = "bridge"', "", "[cloud]", f'url = "{self.cloud_url}"']
        for name, lot in self.lots.items():
            lines += ["", "[[lot]]", f"profile = {json.dumps(str(self.profile(name)))}", "", "[lot.urls]"]
            lines += [f"{device} = {json.dumps(url)}" for device, url in lot.urls.items()]
        self.bridge_config.write_text("\n".join(lines) + "\n", encoding="utf-8")


@contextlib.contextmanager
def running(run: Path, **options: Any) -> Iterator[Stack]:
    """A stack that is up inside the block, and gone after it whatever happens."""
    stack = Stack(run, **options)
    try:
        stack.up()
        yield stack
        stack.down()
    finally:
        stack.abandon()


def _shown(enrol: Program) -> tuple[str, str] | None:
    """What stands on the screen of `bridge enrol`: the bridge's id and the fingerprint of its key."""
    screen = enrol.tail()
    bridge, shown = re.search(r"bridge approve (\w+)\n", screen), re.search(r"\|\s+([0-9A-F-]{19})\s+\|", screen)
    if bridge and shown:
        return bridge[1], shown[1]
    if not enrol.running:
        raise Trouble(f"the bridge was not enrolled:\n{screen}")
    return None


def _profile(name: str) -> Path:
    return PROFILES / f"{name}.toml"


def _lot_table(name: str) -> dict[str, Any]:
    table: dict[str, Any] = tomllib.loads(_profile(name).read_text(encoding="utf-8"))["lot"]
    return table


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _http() -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    return session


def _list(said: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = said if isinstance(said, list) else next(iter(said.values()))
    return found
