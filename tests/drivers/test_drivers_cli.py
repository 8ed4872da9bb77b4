"""`python -m drivers` as a stranger uses it: real processes, real ports, clear words for mistakes."""

import contextlib
import json
import os
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import tomllib
import tty
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from drivers.profile import DeviceTable
from drivers.pseudo_terminal import PseudoTerminal
from drivers.registry import FAMILIES, families_for
from drivers.simlot.faults import FAULTS
from drivers.tools.texts import REMARKS, TEXTS

ROOT = Path(__file__).parents[2]
SEEDS = ROOT / "seeds" / "lots"
ENGLISH = os.environ | {"LC_ALL": "C.UTF-8"}


def drivers(*words: object, seconds: float = 15) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "drivers", *map(str, words)]
    return subprocess.run(command, cwd=ROOT, env=ENGLISH, capture_output=True, text=True, timeout=seconds, check=False)


class Sim:
    """A simulated lot in its own process, and its control port."""

    def __init__(self, profile: Path, run_dir: Path, *words: str) -> None:
        command = [sys.executable, "-m", "drivers", "sim", str(profile), "--run-dir", str(run_dir), *words]
        self.run_dir = run_dir
        self.process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.line = self.process.stdout.readline()
        self.run_file = json.loads((run_dir / "sim.json").read_text())

    def post(self, path: str, status: int = 200, **body: object) -> Any:
        reply = requests.post(self.run_file["control"] + path, json=body, timeout=5)
        assert reply.status_code == status, reply.text
        return reply.json()

    def get(self, path: str) -> Any:
        return requests.get(self.run_file["control"] + path, timeout=5).json()

    def wait_for(self, what: str, after: int = 0) -> dict[str, str]:
        end = time.monotonic() + 8
        while time.monotonic() < end:
            for entry in self.get(f"/history?after={after}")["entries"]:
                if entry["what"] == what:
                    return entry
            time.sleep(0.05)
        raise AssertionError(f"{what} never happened: {self.get('/history')}")

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return self.process.wait(10)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Sim]]:
    running: list[Sim] = []

    def begin(lot: str, *words: str) -> Sim:
        running.append(Sim(SEEDS / f"{lot}.toml", tmp_path / lot, *words))
        return running[-1]

    yield begin
    for sim in running:
        if sim.process.poll() is None:
            sim.end()


def test_a_gated_lot_runs_is_commanded_and_ends_cleanly(start: Callable[..., Sim]) -> None:
    sim = start("gated-host", "--seed", "4")
    assert json.loads(sim.line) == sim.run_file
    assert set(sim.run_file["urls"]) == {"host", "gate"}
    assert sim.run_file["pid"] == sim.process.pid

    car = sim.post("/arrive", minutes_ago=65)
    assert (car["kind"], len(car["name"])) == ("ticket", 8)
    assert sim.get("/world")["books"][0]["rate"]["due"] == 600
    assert sim.post("/pay-cash", name=car["name"]) == {"name": car["name"], "amount": 600}
    sim.post("/drive-out", name=car["name"])
    assert sim.wait_for("left")["stay"] == car["name"]

    assert sim.end() == 0
    assert not (sim.run_dir / "sim.json").exists()
    written = [json.loads(line) for line in (sim.run_dir / "history.jsonl").read_text().splitlines()]
    assert [line["what"] for line in written][:5] == ["arrive", "cash", "drive_up", "release", "gate_up"]


def test_a_lot_of_plates_runs_at_speed_and_ends_on_ctrl_c(start: Callable[..., Sim]) -> None:
    sim = start("bay-plates", "--speed", "60")
    assert Path(sim.run_file["urls"]["plates"]).exists()
    assert sim.post("/arrive", bay="７")["name"] == "7"
    sim.wait_for("plate_up")
    sim.post("/drive-out", name="7")
    assert sim.get("/world")["exits"]["7"]["position"] == "closed"
    sim.post("/hand-release", exit="7")
    assert sim.wait_for("left")["stay"] == "7"
    assert sim.end(signal.SIGINT) == 0


def test_mishaps_begin_and_end_at_the_control_port(start: Callable[..., Sim]) -> None:
    sim = start("gated-host")
    host = sim.run_file["urls"]["host"]
    for device in ("host", "gate"):
        assert sim.post("/fault", device=device, fault="unplugged")[device]["unplugged"] is True
    assert sim.post("/fault", device="host", fault="delay_ms", value=5)["host"]["delay_ms"] == 5
    with pytest.raises(requests.ConnectionError):
        requests.get(host, timeout=2)
    faults = sim.post("/clear-faults")
    assert not any(value for switches in faults.values() for value in switches.values())
    assert requests.get(host, timeout=2).json()["Code"] == "bad-key"


@pytest.mark.parametrize(
    ("path", "body", "status", "word"),
    [
        ("/arrive", {"bay": "99"}, 404, "not-found"),
        ("/arrive", {"colour": "red"}, 400, "bad-message"),
        ("/pay-cash", {}, 400, "bad-message"),
        ("/pay-cash", {"name": "3"}, 404, "stay-unknown"),
        ("/pay-cash", {"name": "!!"}, 400, "bad-name"),
        ("/hand-release", {"exit": "X"}, 404, "exit-unknown"),
        ("/fault", {"device": "till", "fault": "silent"}, 404, "not-found"),
        ("/fault", {"device": "plates", "fault": "tired"}, 404, "not-found"),
        ("/fault", {"device": "plates", "fault": "delay_ms"}, 400, "bad-message"),
        ("/fault", {"device": "plates", "fault": "silent", "value": 3}, 400, "bad-message"),
        ("/close", {}, 404, "not-found"),
    ],
)
def test_wrong_orders_are_answered_with_a_code(
    plates_sim: Sim, path: str, body: dict[str, object], status: int, word: str
) -> None:
    problem = plates_sim.post(path, status, **body)
    assert problem["code"] == word
    assert problem["detail"]


@pytest.fixture(scope="module")
def plates_sim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sim]:
    sim = Sim(SEEDS / "bay-plates.toml", tmp_path_factory.mktemp("plates"))
    yield sim
    assert sim.end() == 0


# --- probe ------------------------------------------------------------------------------------------------------------


def test_mishaps_may_be_there_from_the_start(start: Callable[..., Sim]) -> None:
    sim = start("gated-host", "--fault", "gate.silent", "--fault", "host.delay_ms=300")
    faults = sim.get("/world")["faults"]
    assert (faults["gate"]["silent"], faults["host"]["delay_ms"]) == (True, 300)


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("gate.melted", "silent"),
        ("moon.silent", "one of"),
        ("gate.silent=3", "takes `on`"),
        ("host.delay_ms", "takes a `value`"),
        ("silent", "DEVICE.FAULT"),
    ],
)
def test_a_mishap_that_cannot_be_is_told_with_those_that_can(tmp_path: Path, fault: str, message: str) -> None:
    done = drivers("sim", SEEDS / "gated-host.toml", "--run-dir", tmp_path, "--fault", fault)
    assert done.returncode == 2
    assert message in done.stderr


def test_a_probe_finds_both_machines_of_a_gated_lot(start: Callable[..., Sim]) -> None:
    urls = start("gated-host").run_file["urls"]
    for device, family in (("host", "host_link"), ("gate", "modbus_io")):
        done = drivers("probe", urls[device])
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(f"{family}: ")
        found = dict(line.split(": ", 1) for line in done.stdout.splitlines() if not line.startswith(" "))
        assert not found.pop(family).startswith("no answer")
        assert all(told.startswith("no answer") for told in found.values())
        assert FAMILIES[family].summary["en"] in done.stderr


def test_a_probe_finds_the_plates_on_their_line_and_leaves_them_alone(plates_sim: Sim) -> None:
    before = plates_sim.get("/history")
    done = drivers("probe", plates_sim.run_file["urls"]["plates"])
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("modbus_io: ")
    assert plates_sim.get("/history") == before


@pytest.mark.parametrize("scheme", ["http", "socket"])
def test_a_probe_of_nothing_says_so_and_what_to_do(scheme: str) -> None:
    with socket.socket() as reserved:  # bound, but nobody listens
        reserved.bind(("127.0.0.1", 0))
        done = drivers("probe", f"{scheme}://127.0.0.1:{reserved.getsockname()[1]}", "--seconds", "2")
    assert done.returncode == 1
    assert "no answer" in done.stdout
    advice = {"http": "Check that it runs, the address and port number", "socket": "network cable, address and port"}
    assert advice[scheme] in done.stderr
    assert ("unit" in done.stderr) is (scheme == "socket")


def test_a_probe_for_programs_is_one_list_and_tells_meanwhile_who_is_asked(start: Callable[..., Sim]) -> None:
    urls = start("gated-host").run_file["urls"]
    done = drivers("probe", urls["gate"], "--json")
    (found,) = json.loads(done.stdout)
    assert (done.returncode, found["family"], found["answered"]) == (0, "modbus_io", True)
    assert found["identity"] == "Modbus TCP, unit 1"
    assert found["hints"][:-1] == ['profile = "input_board"', 'framing = "tcp"', "unit = 1"]
    assert done.stderr == f"asking modbus_io 1/{len(families_for(urls['gate']))}\n"


def test_a_probe_of_nothing_is_a_list_of_who_did_not_answer() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        done = drivers("probe", f"http://127.0.0.1:{reserved.getsockname()[1]}", "--seconds", "2", "--json")
    (row,) = json.loads(done.stdout)
    assert (done.returncode, row["family"], row["answered"]) == (1, "host_link", False)


def test_the_families_are_told_in_both_languages_with_the_schemes_that_reach_them() -> None:
    rows = json.loads(drivers("families", "--json").stdout)
    assert [row["family"] for row in rows] == list(FAMILIES)
    assert all(row["summary"]["ja"] and row["summary"]["en"] and row["schemes"] for row in rows)
    assert "modbus_io" in drivers("families").stdout


# --- sniff ------------------------------------------------------------------------------------------------------------


def test_sniff_shows_both_directions_and_writes_nothing(tmp_path: Path) -> None:
    near, far = os.openpty()
    tty.setraw(far)
    command = [sys.executable, "-m", "drivers", "sniff", os.ttyname(far), "--record", str(tmp_path / "wire.jsonl")]
    sniffer = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert sniffer.stdout is not None
    lines: list[str] = []
    reader = threading.Thread(target=lambda: lines.extend(iter(sniffer.stdout.readline, "")))
    reader.start()
    try:
        # request and answer of a coil read, a pulse and its echo, noise (vectors: Modbus specification, relay board)
        question, answer = bytes.fromhex("010100000008 3dcc"), bytes.fromhex("01010101 9048")
        pulse = bytes.fromhex("010502000007 8db0")
        end = time.monotonic() + 10
        while not any("read coils" in line for line in lines) and time.monotonic() < end:
            os.write(near, question)  # until the sniffer has opened the port
            time.sleep(0.3)
        for piece in (answer, pulse, pulse[:3], pulse[3:], b"\x99\x98\x97"):
            os.write(near, piece)
            time.sleep(0.05)
        while not any("?" in line for line in lines) and time.monotonic() < end:
            time.sleep(0.05)
        assert select.select([near], [], [], 0)[0] == []  # not one byte came back
    finally:
        sniffer.send_signal(signal.SIGINT)
        assert sniffer.wait(10) == 0
        reader.join()
        sniffer.stdout.close()
        os.close(near)
        os.close(far)
    text = "".join(lines)
    assert "> unit 1: read coils 0-7  [01 01 00 00 00 08 3d cc]" in text
    assert "< unit 1: coils from the first asked for: 1 0 0 0 0 0 0 0  [01 01 01 01 90 48]" in text
    assert text.count("> unit 1: write coil 512 = 7  [01 05 02 00 00 07 8d b0]") == 1
    assert text.count("< unit 1: written: coil 512 = 7  [01 05 02 00 00 07 8d b0]") == 1
    assert "?  [99 98 97]" in text
    recorded = b"".join(
        bytes.fromhex(json.loads(line)["hex"]) for line in (tmp_path / "wire.jsonl").read_text().splitlines()
    )
    assert recorded.endswith(answer + pulse + pulse + b"\x99\x98\x97")


def test_sniff_of_a_port_that_is_not_there_says_so() -> None:
    done = drivers("sniff", "/dev/does-not-exist", "--seconds", "1")
    assert done.returncode == 2
    assert "port-missing" in done.stderr
    assert len(done.stderr.splitlines()) == 1


# --- mistakes ---------------------------------------------------------------------------------------------------------


def test_a_wrong_profile_is_one_clear_line(tmp_path: Path) -> None:
    text = (SEEDS / "gated-host.toml").read_text(encoding="utf-8")
    cases = {
        "family.toml": (text.replace('family = "host_link"', 'family = "telepathy"'), "telepathy"),
        "sim.toml": (text.replace("cash_machine = true", "cash_machine = 1"), "$.sim.cash_machine"),
        "role.toml": (text.replace('stays = "host"', 'stays = "hsot"'), "$.roles.stays"),
    }
    for name, (content, place) in cases.items():
        path = tmp_path / name
        path.write_text(content, encoding="utf-8")
        done = drivers("sim", path, "--run-dir", tmp_path / "run")
        assert (done.returncode, done.stdout) == (2, "")
        assert place in done.stderr
        assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("probe", "gopher://host"), "no driver family speaks at 'gopher://host'"),
        (
            ("probe", "http://127.0.0.1:9", "--family", "telepathy"),
            "known families: cctalk_coin, host_link, mdb_cashless, modbus_io, osdp, usb_relay, zvt_terminal",
        ),
        (("sim", "nowhere.toml", "--run-dir", "/tmp"), "nowhere.toml: No such file or directory"),
        (("sim", "x.toml", "--run-dir", "/tmp", "--speed", "0"), "0 is not a positive number"),
        (("sim", "x.toml"), "--run-dir"),
        ((), "sim | ports | families | probe | sniff | record | replay | conform | commission | new"),
    ],
)
def test_a_wrong_command_line_says_what_is_wrong(words: tuple[str, ...], message: str) -> None:
    done = drivers(*words)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_help_names_every_command_and_family() -> None:
    done = drivers("--help")
    assert done.returncode == 0
    for word in (
        "sim",
        "probe",
        "sniff",
        "modbus_io",
        "host_link",
        "mdb_cashless",
        "zvt_terminal",
        "cctalk_coin",
        "osdp",
    ):
        assert word in done.stdout


@pytest.mark.parametrize(
    "name", ["sim", "ports", "families", "probe", "sniff", "record", "replay", "conform", "commission", "new"]
)
def test_the_help_of_a_command_is_for_people(name: str) -> None:
    told = drivers(name, "--help").stdout
    for word in ("str(object", "Raises", "Environment", "deadline"):
        assert word not in told


def test_the_help_of_the_probe_lists_the_addresses_of_each_family() -> None:
    told = drivers("probe", "--help").stdout
    for name in FAMILIES:
        assert name in told
    for scheme in {scheme for known in FAMILIES.values() for scheme in known.schemes if scheme}:
        assert f"{scheme}://" in told


# --- languages --------------------------------------------------------------------------------------------------------


def test_the_tools_speak_the_systems_language_or_the_one_that_is_named() -> None:
    command = [sys.executable, "-m", "drivers", "families"]
    for locale, more, text in (
        ("ja_JP.UTF-8", (), "ロック板コントローラー"),
        ("ja_JP.UTF-8", ("--lang", "en"), "lock-plate controllers"),
        ("C.UTF-8", (), "lock-plate controllers"),
        ("C.UTF-8", ("--lang", "ja"), "ロック板コントローラー"),
    ):
        env = os.environ | {"LC_ALL": locale, "PYTHONUTF8": "1"}
        done = subprocess.run([*command, *more], cwd=ROOT, env=env, capture_output=True, encoding="utf-8", check=True)
        assert text in done.stdout


def test_a_mistake_is_led_by_its_kind_in_japanese() -> None:
    told = drivers("probe", "gopher://host", "--lang", "ja").stderr.splitlines()
    assert told[0] == "drivers: 設定の誤り"
    assert told[1].startswith("drivers: [config] no driver family speaks at")


def test_a_host_that_wants_a_key_is_told_as_one_that_answers(start: Callable[..., Sim]) -> None:
    url = start("gated-host").run_file["urls"]["host"]
    english, japanese = (drivers("probe", url, "--lang", language) for language in ("en", "ja"))
    assert english.stdout.startswith("host_link: first management server (host link); it answers, but the key is ")
    assert "bad-key" not in english.stdout
    assert japanese.stdout.startswith("host_link: 見つかりました: 第1管理サーバー。応答しますが、鍵")
    assert "facility と api_key" in japanese.stdout
    assert "に問い合わせます" in japanese.stderr


def test_a_machine_that_has_to_speak_first_is_waited_for_in_plain_words() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        url = f"listen://127.0.0.1:{reserved.getsockname()[1]}"
    done = drivers("probe", url, "--seconds", "0.3")
    assert done.returncode == 1
    assert "[1/1] listening for zvt_terminal" in done.stderr
    assert "for 0.3 s at most; begin a payment now" in done.stderr
    assert "which address and port of this PC it dials" in done.stderr


@pytest.mark.parametrize("url", ["sqlite:///nowhere/lot.db", "folder:///nowhere/handover"])
def test_a_path_without_a_host_has_no_baud_rate(url: str) -> None:
    done = drivers("probe", url, "--seconds", "1")
    assert done.returncode == 1
    assert "Check the path" in done.stderr
    assert "baud" not in done.stderr


def test_what_a_probe_suggests_can_be_loaded(start: Callable[..., Sim]) -> None:
    (found,) = json.loads(drivers("probe", start("gated-host").run_file["urls"]["gate"], "--json").stdout)
    options: dict[str, Any] = {}
    for hint in found["hints"]:
        with contextlib.suppress(tomllib.TOMLDecodeError):
            options |= tomllib.loads(hint)
    FAMILIES["modbus_io"].module().line(DeviceTable(id="gate", family="modbus_io", url="COM3", options=options))


def test_the_remarks_in_japanese_are_those_that_drivers_make() -> None:
    sources = "".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "drivers").glob("*/*.py") if path.parent.name != "tools"
    )
    assert [text for text in REMARKS if text not in sources] == []
    for words in TEXTS.values():
        assert sorted(re.findall(r"{\w+", words.ja)) == sorted(re.findall(r"{\w+", words.en))


# --- one lot a run directory ------------------------------------------------------------------------------------------


def test_a_second_lot_does_not_take_over_the_folder_of_one_that_runs(start: Callable[..., Sim]) -> None:
    first = start("bay-plates")
    second = drivers("sim", SEEDS / "gated-host.toml", "--run-dir", first.run_dir)
    assert second.returncode == 2
    assert "another simulated lot runs there" in second.stderr
    assert "--run-dir" in second.stderr
    assert json.loads((first.run_dir / "sim.json").read_text()) == first.run_file
    assert Path(first.run_file["urls"]["plates"]).exists()
    assert first.get("/world")["exits"]


def test_the_folder_of_a_lot_that_was_killed_is_free_again(start: Callable[..., Sim], tmp_path: Path) -> None:
    first = start("bay-plates")
    first.end(signal.SIGKILL)
    assert start("bay-plates").run_file["pid"] != first.run_file["pid"]


def test_the_mishaps_of_each_family_are_listed_and_are_those_that_can_be_ordered(start: Callable[..., Sim]) -> None:
    told = drivers("sim", "--list-faults").stdout
    assert all(name in told for name in FAMILIES)
    ours = drivers("sim", SEEDS / "gated-host.toml", "--list-faults").stdout
    assert "modbus_io" in ours
    assert "osdp" not in ours
    for switches in start("gated-host").get("/world")["faults"].values():
        assert all(re.search(rf"\b{name}\b", ours) for name in switches)
    assert set(FAULTS) == set(FAMILIES)


# --- the end of a command --------------------------------------------------------------------------------------------


def test_ctrl_c_in_the_midst_of_a_question_is_no_answer(tmp_path: Path) -> None:
    line = PseudoTerminal(tmp_path / "line")
    line.plug()
    words = [sys.executable, "-m", "drivers", "probe", str(tmp_path / "line")]
    with subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as asking:
        assert select.select([line.descriptor], [], [], 10)[0]  # it asks
        asking.send_signal(signal.SIGINT)
        _, told = asking.communicate(timeout=10)
    line.unplug()
    assert (asking.returncode, told.splitlines()[-1]) == (130, "drivers: interrupted")


@pytest.mark.parametrize("encoding", ["", "cp1252", "ascii"])
def test_what_is_told_can_be_written_wherever_it_goes(encoding: str) -> None:
    environment = {**os.environ, "PYTHONUTF8": "0", "LC_ALL": "C", "PYTHONCOERCECLOCALE": "0"}
    environment.pop("PYTHONIOENCODING", None)
    if encoding:
        environment["PYTHONIOENCODING"] = encoding
    words = [sys.executable, "-m", "drivers", "conform", "--list", "--lang", "ja"]
    done = subprocess.run(words, cwd=ROOT, env=environment, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.decode(encoding or "utf-8").startswith("identify")
    assert ("通常の支払い" in done.stdout.decode(encoding or "utf-8")) is (not encoding)
