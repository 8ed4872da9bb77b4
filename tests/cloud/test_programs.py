"""The programs as they run: `python -m cloud` serves, onboards, enrols, takes a phone's payment and ends cleanly."""

import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests
import segno

from cloud.__main__ import main
from parking.outcome import Level
from parking.reports import Received, Settled
from parking.wire import FeedBatch, decode

ROOT = Path(__file__).parents[2]
SECRET, KEY = "a-secret-of-the-test", "an-api-key"


class Programs:
    """`python -m cloud …` in a folder of its own; what was started is ended by its pid."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "cloud.toml"
        self.started: list[subprocess.Popen[bytes]] = []

    def configure(self, sandbox_url: str, port: int = 0) -> None:
        self.config.write_text(
            f'run_file = "cloud.json"\n[listen]\nport = {port}\n[payments]\nurl = "{sandbox_url}"\n'
            f'api_key = "{KEY}"\nwebhook_secret = "{SECRET}"\n[timing]\nheartbeat_seconds = 1\npoll_seconds = [30]\n'
        )

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "cloud", *words, "--config", str(self.config)],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=25,
        )

    def start(self, run_file: str, *words: str) -> tuple[subprocess.Popen[bytes], str]:
        with (self.folder / f"{run_file}.log").open("ab") as log:
            started = subprocess.Popen([sys.executable, "-m", "cloud", *words], cwd=ROOT, stderr=log, stdout=log)
        self.started.append(started)
        path, end = self.folder / run_file, datetime.now(UTC) + timedelta(seconds=20)
        while not path.exists():
            assert started.poll() is None, (self.folder / f"{run_file}.log").read_text()
            assert datetime.now(UTC) < end, "it did not start in time"
            threading.Event().wait(0.05)
        return started, str(json.loads(path.read_text())["url"])

    def serve(self) -> tuple[subprocess.Popen[bytes], str]:
        return self.start("cloud.json", "serve", "--config", str(self.config))

    def enrol(self, bridge, lot: str) -> None:
        assert bridge.enrol(self.run("enrol-code", lot).stdout).status_code == 200
        approved = self.run("bridge", "approve", bridge.id, "--fingerprint", bridge.fingerprint, "--by", "Sato")
        assert approved.returncode == 0, approved.stderr
        assert bridge.fetch().ok

    def end(self) -> None:
        for started in self.started:
            if started.poll() is None:
                os.kill(started.pid, signal.SIGKILL)
            started.wait(5)


@pytest.fixture
def programs(tmp_path):
    made = Programs(tmp_path)
    yield made
    made.end()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def payments(programs) -> list[dict[str, object]]:
    return json.loads(programs.run("payments", "--json").stdout)


def test_a_phone_pays_over_real_programs_and_is_charged_after_the_release(programs, tmp_path, lot_bridge):
    port = free_port()
    programs.configure("http://127.0.0.1:9", port)
    hook = f"http://127.0.0.1:{port}/webhooks/sandbox"
    sandbox = ("sandbox", "--listen", "127.0.0.1:0", "--secret", SECRET, "--api-key", KEY, "--webhook", hook)
    _, provider_url = programs.start("sandbox.json", *sandbox, "--run-file", str(tmp_path / "sandbox.json"))
    programs.configure(provider_url, port)
    added = programs.run("lot", "add", str(ROOT / "seeds" / "lots" / "bay-plates.toml"))
    assert "lot 1001 (WAKABA1) onboarded" in added.stdout, added.stderr
    _, url = programs.serve()
    bridge = lot_bridge(url)
    programs.enrol(bridge, "WAKABA1")
    bridge.car(1001, "7")

    phone = requests.Session()
    page = phone.post(f"{url}/l/WAKABA1/fee", data={"typed": "7", "name": "7", "bay": "7"}, timeout=5)
    token = re.search(r"/q/([A-Za-z0-9_-]{22})", page.url + page.text)[1]
    hosted = phone.post(f"{url}/q/{token}/pay", timeout=10)
    assert hosted.url.startswith(provider_url), hosted.text[:500]
    back = phone.post(hosted.url, data={"press": "approve"}, timeout=10)
    assert back.url == f"{url}/p/{token}"

    batch = decode(bridge.get("/bridge/v1/lots/1001/feed?after=0&wait=10", timeout=15).content, FeedBatch)
    assert bridge.completion(batch.entries[0].completion).stay.name == "7"
    now = datetime.now(UTC)
    done = Settled(number=1, at=now, level=Level.PHYSICALLY_OBSERVED, evidence=())
    assert bridge.report(1001, Received(number=1, at=now), done).ok
    for _ in range(50):
        found = payments(programs)
        if found[0]["standing"] == "captured":
            break
        threading.Event().wait(0.1)
    assert (found[0]["standing"], found[0]["commands"], found[0]["alarms"]) == ("captured", ["capture:done"], [])
    log = (tmp_path / "cloud.json.log").read_text()
    assert token not in log
    assert SECRET not in log


def test_the_server_ends_cleanly_although_a_bridge_listens(programs, lot_bridge):
    programs.configure("http://127.0.0.1:9")
    programs.run("lot", "add", str(ROOT / "seeds" / "lots" / "gated-host.toml"))
    served, url = programs.serve()
    bridge = lot_bridge(url)
    programs.enrol(bridge, "1002")
    assert requests.get(f"{url}/healthz", timeout=5).json() == {"status": "ok"}
    with bridge.get("/bridge/v1/lots/1002/feed", stream=True) as stream:
        assert next(stream.iter_lines(chunk_size=1))
        began = datetime.now(UTC)
        served.send_signal(signal.SIGTERM)
        assert served.wait(8) == 0
    assert datetime.now(UTC) - began < timedelta(seconds=5)
    assert not (programs.folder / "cloud.json").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("serve",), "[config]"),
        (("enrol-code", "9999"), "[lot-unknown]"),
        (("bridge", "revoke", "b0", "--by", "Sato"), "[not-found]"),
        (("lot", "add", "none.toml"), "[config]"),
    ],
    ids=["no-config", "no-lot", "no-bridge", "no-profile"],
)
def test_what_cannot_be_done_is_said_and_fails(programs, words, message, capsys):
    if words != ("serve",):
        programs.configure("http://127.0.0.1:9")
    assert main([*words, "--config", str(programs.config)]) == 1
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said


def test_a_port_in_use_is_said(programs, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        programs.configure("http://127.0.0.1:9", taken.getsockname()[1])
        assert main(["serve", "--config", str(programs.config)]) == 1
    assert "[port-busy]" in capsys.readouterr().err


def test_a_posters_code_leads_to_its_lot_and_spot(programs, tmp_path):
    programs.configure("http://127.0.0.1:1")
    programs.run("lot", "add", str(ROOT / "seeds/lots/bay-plates.toml"))
    picture = tmp_path / "bay-7.svg"
    missing = programs.run("lot", "qr", "WAKABA1", "--out", str(picture))
    assert missing.returncode == 1
    assert "public_url" in missing.stderr
    programs.config.write_text('public_url = "https://pay.example"\n' + programs.config.read_text())
    drawn = programs.run("lot", "qr", "wakaba1", "--spot", "7", "--out", str(picture))
    assert (drawn.returncode, drawn.stdout) == (0, "https://pay.example/l/WAKABA1/7\n")
    expected = io.BytesIO()
    segno.make_qr("https://pay.example/l/WAKABA1/7", error="q").save(expected, kind="svg", scale=10, border=4)
    assert picture.read_bytes() == expected.getvalue()
    assert programs.run("lot", "qr", "ZZZZZZ9", "--out", str(picture)).returncode == 1
