"""The command line as its users meet it: as a process, with its exit status and its words."""

import hashlib
import json
import os
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from msgspec.structs import replace

from bridge import keys
from console.client import Client, read_directory
from parking.commands import Command, SignIn, Verb
from parking.errors import Refused
from parking.reports import AuditHead
from parking.signing import fingerprint

ROOT = Path(__file__).parents[2]
PROFILE = ROOT / "seeds" / "lots" / "gated-host.toml"


@pytest.fixture
def config_file(tmp_path, real_cloud):
    """A gated lot whose devices are not there: the bridge must run all the same."""
    path = tmp_path / "bridge.toml"
    profile = tmp_path / "lot.toml"
    profile.write_text(PROFILE.read_text(encoding="utf-8").replace("id = 1002", "id = 1001"), encoding="utf-8")
    urls = '[lot.urls]\nhost = "http://127.0.0.1:9"\ngate = "socket://127.0.0.1:9"\n'
    path.write_text(
        f'[bridge]\nname = "office PC"\ndata = "data"\n[cloud]\nurl = "{real_cloud.url}"\n'
        f'[[lot]]\nprofile = "lot.toml"\n{urls}',
        encoding="utf-8",
    )
    return path


@pytest.fixture
def bridge():
    """Run `python -m bridge` to its end."""

    def run(*arguments, **environment):
        return subprocess.run(
            [sys.executable, "-m", "bridge", *map(str, arguments)],
            cwd=ROOT,
            env={**os.environ, "PYTHONUTF8": "1", **environment},
            capture_output=True,
            encoding="utf-8",
            timeout=20,
        )

    return run


@pytest.fixture
def running(config_file):
    """Start the bridge and wait until it says that it is ready."""
    started = []

    def start(**environment):
        process = subprocess.Popen(
            [sys.executable, "-m", "bridge", "--config", str(config_file)],
            cwd=ROOT,
            env={**os.environ, **environment},
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )
        started.append(process)
        run_file = config_file.parent / "data" / "api.json"
        deadline = time.monotonic() + 10
        while not run_file.exists():
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < deadline
            time.sleep(0.01)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait(5)
        process.stderr.close()


def test_help_is_complete_and_loads_nothing_heavy(bridge):
    result = bridge("--help")
    assert result.returncode == 0
    for word in ("enrol", "check", "--config", "exit status", "bridge.toml", "クラウド"):
        assert word in result.stdout
    heavy = "import sys, bridge.__main__ as m; m._parser(); print({'requests', 'starlette'} & set(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", heavy], cwd=ROOT, capture_output=True, text=True, timeout=20)
    assert loaded.stdout.strip() == "set()"


@pytest.mark.parametrize("arguments", [["fly"], ["enrol", "--wait", "long"], ["--config"], ["--port", "1"]])
def test_wrong_usage_is_status_2(bridge, arguments):
    result = bridge(*arguments)
    assert result.returncode == 2
    assert "usage:" in result.stderr


@pytest.mark.parametrize("command", [[], ["check"], ["enrol", "--code", "X"]])
def test_a_wrong_configuration_is_status_2_with_place_and_remedy(bridge, config_file, command):
    config_file.write_text(config_file.read_text().replace("name =", "nmae ="))
    result = bridge(*command, "--config", config_file)
    assert result.returncode == 2
    assert f"bridge: [config] {config_file}" in result.stderr
    assert "nmae" in result.stderr
    assert "docs/bridge-config.md" in result.stderr
    assert "Traceback" not in result.stderr


def test_check_says_what_is_missing_and_after_the_enrolment_that_all_is_well(bridge, config_file, real_cloud):
    result = bridge("check", "--config", config_file)
    assert result.returncode == 1
    assert "ok    lot 1001: Minamiguchi Gated Lot: 2 devices, 1 exits" in result.stdout
    assert "WRONG key: [not-enrolled]" in result.stdout
    assert "WRONG identity: [not-enrolled]" in result.stdout
    assert not (config_file.parent / "data").exists()  # a check changes nothing

    result = bridge("enrol", "--config", config_file, "--code", "CODE-1")
    assert result.returncode == 0
    assert "enrolled as B-7, generation 3, lots 1001" in result.stdout

    result = bridge("check", "--config", config_file)
    assert result.returncode == 0, result.stdout
    assert "WRONG" not in result.stdout
    assert "ok    identity: B-7, generation 3, lots 1001" in result.stdout


def test_check_finds_a_key_that_others_can_read_and_another_cloud(bridge, config_file):
    bridge("enrol", "--config", config_file, "--code", "CODE-1")
    (config_file.parent / "data" / "bridge.key").chmod(0o644)
    config_file.write_text(config_file.read_text().replace("url = ", 'url = "http://127.0.0.1:1"\n#'))
    result = bridge("check", "--config", config_file)
    assert result.returncode == 1
    assert "chmod 600" in result.stdout
    assert "paired with http://127.0.0.1" in result.stdout


def test_check_finds_a_directory_that_cannot_be_written(bridge, config_file):
    config_file.write_text(config_file.read_text().replace('"data"', '"/proc/none/data"'))
    result = bridge("check", "--config", config_file)
    assert result.returncode == 1
    assert "WRONG data: [disk] /proc" in result.stdout


def test_a_refused_code_is_status_2_in_the_clouds_words(bridge, config_file):
    result = bridge("enrol", "--config", config_file, "--code", "WRONG")
    assert result.returncode == 2
    assert "[enrol-code] the code is unknown or used" in result.stderr
    assert "ask the operator" in result.stderr


def test_a_second_enrolment_is_refused_without_again(bridge, config_file, real_cloud):
    assert bridge("enrol", "--config", config_file, "--code", "CODE-1").returncode == 0
    real_cloud.codes.add("CODE-2")
    result = bridge("enrol", "--config", config_file, "--code", "CODE-2")
    assert result.returncode == 1
    assert "--again" in result.stderr
    assert bridge("enrol", "--config", config_file, "--code", "CODE-2", "--again").returncode == 0


def test_ctrl_c_ends_the_wait_for_approval_and_the_same_command_goes_on(bridge, config_file, real_cloud, until):
    real_cloud.approved = False
    words = ["enrol", "--config", str(config_file), "--code", "CODE-1"]
    process = subprocess.Popen(
        [sys.executable, "-m", "bridge", *words], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with process:
        until(lambda: real_cloud.count("enrolment"), 20)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=10)
    assert process.returncode == 1
    assert "the same command goes on from here" in out
    assert "Traceback" not in err
    result = bridge("enrol", "--config", config_file, "--wait", "0")
    assert result.returncode == 1
    assert "[not-approved]" in result.stderr
    shown = fingerprint(keys.load_key(config_file.parent / "data").public_bytes)
    assert f"|    {shown}    |" in result.stdout
    result = bridge("check", "--config", config_file)
    assert f"its fingerprint is {shown}" in result.stdout
    real_cloud.approved = True
    assert bridge("enrol", "--config", config_file).returncode == 0
    assert real_cloud.count("enrol") == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_runs_without_its_devices_and_ends_clean_on_a_signal(
    bridge, config_file, running, real_cloud, until, number
):
    bridge("enrol", "--config", config_file, "--code", "CODE-1")
    process = running()
    until(lambda: real_cloud.count("feed"))
    address = json.loads((config_file.parent / "data" / "api.json").read_text())
    assert address["pid"] == process.pid
    began = time.monotonic()
    process.send_signal(number)
    assert process.wait(5) == 0
    assert time.monotonic() - began < 5
    log = process.stderr.read()
    assert "Traceback" not in log
    assert "stopped in" in log
    assert not (config_file.parent / "data" / "api.json").exists()


def test_it_runs_unenrolled_so_that_the_attendant_can_open_by_hand(running):
    process = running()
    process.send_signal(signal.SIGTERM)
    assert process.wait(5) == 0
    assert "enrol" in process.stderr.read()


def test_systemd_is_told_ready_alive_and_stopping(running, tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(10)
        process = running(NOTIFY_SOCKET=str(tmp_path / "notify"), WATCHDOG_USEC="200000")
        assert systemd.recv(100) == b"READY=1"
        assert systemd.recv(100) == b"WATCHDOG=1"
        assert systemd.recv(100) == b"WATCHDOG=1"
        process.send_signal(signal.SIGTERM)
        said = b""
        while said != b"STOPPING=1":
            said = systemd.recv(100)
            assert said in (b"WATCHDOG=1", b"STOPPING=1")
        assert process.wait(5) == 0


def test_a_port_in_use_ends_the_start_with_the_remedy(bridge, config_file):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        config_file.write_text(
            config_file.read_text().replace("[cloud]", f'[api]\nlisten = "127.0.0.1:{port}"\n[cloud]')
        )
        result = bridge("--config", config_file)
    assert result.returncode == 1
    assert f"[port-busy] 127.0.0.1:{port}" in result.stderr
    assert "[api] listen" in result.stderr
    assert "Traceback" not in result.stderr


# --- operators and the record ----------------------------------------------------------------------------------------


@pytest.fixture
def with_pin():
    """Run a command of `python -m bridge operator` that takes a PIN from standard input."""

    def run(config, pin, *arguments):
        return subprocess.run(
            [sys.executable, "-m", "bridge", "operator", *arguments, "--pin-stdin", "--config", str(config)],
            cwd=ROOT,
            env={**os.environ, "PYTHONUTF8": "1"},
            input=f"{pin}\n",
            capture_output=True,
            encoding="utf-8",
            timeout=20,
        )

    return run


def test_operators_are_added_listed_changed_and_removed_and_all_of_it_is_on_record(bridge, with_pin, config_file):
    config = ("--config", config_file)
    assert "warn  operators: none has a PIN" in bridge("check", *config).stdout
    assert with_pin(config_file, "483920", "add", "佐藤").stdout == "佐藤: attendant\n"
    assert with_pin(config_file, "739104", "add", "田中", "--role", "supervisor").returncode == 0
    assert bridge("operator", "role", "佐藤", "viewer", *config).returncode == 0
    assert with_pin(config_file, "205871", "pin", "佐藤").returncode == 0
    listed = bridge("operator", "list", *config).stdout
    assert listed.splitlines()[0].startswith("viewer")
    assert "$argon2" not in listed
    assert "ok    operators: 佐藤 (viewer), 田中 (supervisor)" in bridge("check", *config).stdout
    bridge("operator", "remove", "佐藤", *config)
    assert "nobody is left" in bridge("operator", "remove", "田中", *config).stdout

    verified = bridge("audit", "verify", *config)
    assert verified.returncode == 0
    assert verified.stdout.startswith("whole: 6 entries, head 6:")
    shown = bridge("audit", "show", "--last", "2", *config).stdout.splitlines()
    assert len(shown) == 2
    assert '{"change":"remove","operator":"田中"}' in shown[1]


def test_an_operators_sessions_can_be_ended_without_taking_anything(bridge, with_pin, config_file):
    with_pin(config_file, "483920", "add", "佐藤")
    config = ("--config", config_file)
    assert bridge("operator", "sign-out", "佐藤", *config).stdout == "佐藤: signed out\n"
    assert bridge("operator", "sign-out", "田中", *config).returncode == 1
    assert '"change":"sign-out"' in bridge("audit", "show", "--last", "1", *config).stdout


@pytest.mark.parametrize(
    ("pin", "arguments", "status", "said"),
    [
        ("123456", ["add", "鈴木"], 2, "tried first"),
        ("1234", ["add", "鈴木"], 2, "6 to 64 digits"),
        ("205871", ["add", "relay"], 2, "[bad-name]"),
        ("205871", ["add", "佐藤"], 1, "is an operator already"),
        ("205871", ["pin", "鈴木"], 1, "no operator 鈴木"),
    ],
)
def test_a_change_of_operators_that_cannot_be_changes_nothing(
    bridge, with_pin, config_file, pin, arguments, status, said
):
    assert with_pin(config_file, "483920", "add", "佐藤").returncode == 0
    before = (config_file.parent / "data" / "operators.json").read_bytes()
    result = with_pin(config_file, pin, *arguments)
    assert result.returncode == status
    assert said in result.stderr
    assert pin not in result.stderr
    assert (config_file.parent / "data" / "operators.json").read_bytes() == before
    assert "whole: 1 entries" in bridge("audit", "verify", "--config", config_file).stdout


def test_a_first_operator_that_was_refused_leaves_the_door_as_it_was(bridge, with_pin, config_file):
    assert with_pin(config_file, "000000", "add", "佐藤").returncode == 2
    assert "none has a PIN" in bridge("check", "--config", config_file).stdout


def test_without_a_terminal_a_pin_is_not_asked_for(bridge, config_file):
    result = bridge("operator", "add", "佐藤", "--config", config_file)
    assert result.returncode == 2
    assert "--pin-stdin" in result.stderr


def test_verify_says_the_first_wrong_entry_and_finds_a_cut_off_end(bridge, with_pin, config_file):
    for name, pin in (("佐藤", "483920"), ("田中", "739104"), ("鈴木", "205871")):
        assert with_pin(config_file, pin, "add", name).returncode == 0
    whole = bridge("audit", "verify", "--config", config_file).stdout
    head = whole.split("head ")[1].strip()
    assert bridge("audit", "verify", "--head", head, "--config", config_file).returncode == 0
    wrong = bridge("audit", "verify", "--head", "3", "--config", config_file)
    assert (wrong.returncode, "ENTRY:HASH" in wrong.stderr) == (2, True)

    with sqlite3.connect(config_file.parent / "data" / "journal.db") as journal:
        journal.executescript(
            "drop trigger audit_no_delete; drop trigger audit_no_update; delete from audit where entry=3"
        )
    assert bridge("audit", "verify", "--config", config_file).returncode == 0  # nothing in the file itself shows it
    cut = bridge("audit", "verify", "--head", head, "--config", config_file)
    assert cut.returncode == 1
    assert "[audit] entry 3 is missing: the chain once reached entry 3" in cut.stderr

    with journal:
        journal.execute("update audit set actor='somebody' where entry=2")
    journal.close()
    changed = bridge("audit", "verify", "--config", config_file)
    assert changed.returncode == 1
    assert "[audit] entry 2 has been changed" in changed.stderr


def test_a_bridge_that_never_ran_has_no_record_to_verify(bridge, config_file):
    result = bridge("audit", "verify", "--config", config_file)
    assert result.returncode == 1
    assert "[journal]" in result.stderr
    assert not (config_file.parent / "data").exists()


def test_a_running_bridge_chains_its_start_takes_new_operators_and_anchors_its_head(
    bridge, with_pin, config_file, running, real_cloud, until
):
    bridge("enrol", "--config", config_file, "--code", "CODE-1")
    running()
    until(lambda: any(isinstance(one, AuditHead) for one in real_cloud.reports), 10)
    head = next(one for one in real_cloud.reports if isinstance(one, AuditHead))
    assert with_pin(config_file, "483920", "add", "佐藤").returncode == 0
    data = config_file.parent / "data"
    client = Client(read_directory(data))
    with pytest.raises(Refused):
        client.sign_in(SignIn(operator="佐藤", pin="739104"))
    signed = client.sign_in(SignIn(operator="佐藤", pin="483920"))
    assert signed.role == "attendant"
    assert client.snapshot().sign_in
    order = Command(command_id="c-1", lot=1001, verb=Verb.RELEASE, actor="x", reason="y", exit="nowhere")
    assert client.command(order).code == "sign-in"
    assert client.command(replace(order, session=signed.session)).code == "exit-unknown"
    assert client.command(replace(order, command_id="c-2", emergency=True)).code == "exit-unknown"
    client.close()
    verified = bridge("audit", "verify", "--head", f"{head.entry}:{head.head}", "--config", config_file)
    assert verified.returncode == 0, verified.stderr
    shown = bridge("audit", "show", "--config", config_file).stdout
    for what in ("start", "operator", "sign_in"):
        assert f"  {what}  " in shown
    profile = hashlib.sha256((config_file.parent / "lot.toml").read_bytes()).hexdigest()
    assert f'"profile":"{profile}"' in shown
    assert signed.session not in shown
