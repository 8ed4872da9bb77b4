"""The command line as its users meet it: as a process, with its exit status and its words."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

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


@pytest.mark.parametrize("arguments", [["fly"], ["enrol"], ["--config"], ["--port", "1"]])
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
