"""The driver against slaves that we did not write, and a master that we did not write against our simulator."""

import os
import select
import shutil
import socket
import subprocess
import time
from datetime import UTC, datetime

import msgspec
import pytest

from drivers.base import ReleaseOrder, Target
from drivers.line_settings import LineSettings
from drivers.modbus_io import driver
from drivers.modbus_io.line import Line
from drivers.modbus_io.pdu import COIL_ON, Function, Read, WriteOne
from drivers.modbus_io.profiles import Framing
from parking import errors
from parking.desk import Position
from parking.errors import Code
from parking.outcome import EvidenceKind, Level


@pytest.fixture(params=["pymodbus_server", "libmodbus_server"])
def server(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(params=["tcp", "rtu"])
def plates(request, server, device, exits, null_modem):
    """Our driver, wired to the stranger's slave."""
    if request.param == "tcp":
        url = f"socket://127.0.0.1:{server('tcp')}"
    else:
        url, far_end = null_modem
        server("rtu", far_end)
    table = msgspec.structs.replace(device("lock_plate", request.param, timeout=1.0, baud=19200), url=url)
    made = driver.create(table, exits("lock_plate"), lambda: datetime.now(UTC))
    yield made
    made.close()


def order(seconds, intents):
    return ReleaseOrder("DK-1-1", 1, time.monotonic() + seconds, lambda raw, counter: intents.append((raw, counter)))


def test_a_strangers_plate_is_lowered_once_and_proves_it(plates):
    intents, target, soon = [], Target("E2", 2), time.monotonic() + 5
    (before,) = plates.read([target], soon)
    outcome = plates.release(target, order(3, intents))
    assert before.position is Position.CLOSED
    assert outcome.level is Level.PHYSICALLY_OBSERVED
    assert {proof.kind for proof in outcome.evidence} == {
        EvidenceKind.COUNTER,
        EvidenceKind.OBSERVED,
        EvidenceKind.ECHO,
    }
    assert plates.read_counter(target, soon) == 1
    assert [counter for _, counter in intents] == [0]
    assert plates.release(target, order(1, intents)).code is Code.ALREADY_PAID
    assert [stay.ref.name for stay in plates.stays(soon)] == ["1"]


def test_a_strangers_hold_coil_is_read_back(plates):
    target = Target("E1", 1)
    assert plates.hold_open(target, order(0.3, [])).level is Level.LEGACY_CONFIRMED
    assert plates.read([target], time.monotonic() + 2)[0].held
    assert plates.end_hold(target, order(1, [])).level is Level.LEGACY_CONFIRMED
    assert not plates.read([target], time.monotonic() + 2)[0].held


def test_a_strangers_exception_names_the_mistake_in_the_profile(server, device, exits):
    url = f"socket://127.0.0.1:{server('tcp')}"
    table = msgspec.structs.replace(device("lock_plate", "tcp", timeout=1.0, down_base=5000), url=url)
    plates = driver.create(table, exits("lock_plate"), lambda: datetime.now(UTC))
    with pytest.raises(errors.Environment) as caught:
        plates.read([Target("E0", 0)], time.monotonic() + 3)
    plates.close()
    assert (caught.value.code, "5000" in caught.value.detail) == (Code.CONFIG, True)


def test_probe_finds_a_stranger(server):
    finding = driver.probe(f"socket://127.0.0.1:{server('tcp')}", time.monotonic() + 3)
    assert (finding.answered, finding.identity.startswith("Modbus TCP, unit 1")) == (True, True)


@pytest.fixture
def mbpoll():
    program = shutil.which("mbpoll")
    if program is None:
        pytest.skip("mbpoll is not installed")

    def run(url, *arguments):
        if url.startswith("socket://"):
            host, port = url.removeprefix("socket://").split(":")
            line = ["-m", "tcp", "-p", port, host]
        else:
            line = ["-m", "rtu", "-b", "57600", "-P", "none", url]
        done = subprocess.run(
            [program, "-0", "-1", "-a", "1", "-o", "1", *arguments[:-1], *line, *arguments[-1]],
            capture_output=True,
            text=True,
            timeout=15,
            check=False,
        )
        return done.stdout + done.stderr

    return run


@pytest.mark.parametrize("framing", ["rtu", "tcp"])
class TestMbpoll:
    def test_reads_inputs_coils_and_registers_of_the_simulator(self, rig, mbpoll, framing):
        lot = rig("lock_plate", framing)
        lot.world.put("E1", Position.OPEN)
        lot.world.release("E3", "bus")
        assert "[1]: \t1" in mbpoll(lot.served.url, "-t", "1", "-r", "0", "-c", "4", [])
        assert "[200]: \t0" in mbpoll(lot.served.url, "-t", "0", "-r", "200", "-c", "4", [])
        assert "[3]: \t1" in mbpoll(lot.served.url, "-t", "3", "-r", "0", "-c", "4", [])

    def test_lowers_a_plate_of_the_simulator(self, rig, mbpoll, framing):
        lot = rig("lock_plate", framing)
        assert "Written 1 references" in mbpoll(lot.served.url, "-t", "0", "-r", "2", ["1"])
        assert [(name, by) for name, by, _ in lot.world.releases] == [("E2", "bus")]

    def test_holds_a_gate_of_the_simulator_with_many_coils(self, rig, mbpoll, framing):
        lot = rig("relay_board", framing)
        assert "Written 2 references" in mbpoll(lot.served.url, "-t", "0", "-r", "0", ["1", "0"])
        assert lot.world.holds == {"E0": True, "E1": False}

    def test_is_told_of_addresses_that_are_not_there(self, rig, mbpoll, framing):
        lot = rig("lock_plate", framing)
        assert "Illegal data address" in mbpoll(lot.served.url, "-t", "1", "-r", "50", "-c", "4", [])
        assert "Illegal data address" in mbpoll(lot.served.url, "-t", "4", "-r", "0", "-c", "1", [])


class TestSimulator:
    """What a proper slave does, said with raw bytes."""

    @pytest.mark.parametrize(
        ("request_", "answer"),
        [
            ("00 01 00 00 00 02 01 11", "00 01 00 00 00 03 01 91 01"),
            ("00 02 00 00 00 06 01 02 00 32 00 04", "00 02 00 00 00 03 01 82 02"),
            ("00 03 00 00 00 06 01 02 00 00 00 00", "00 03 00 00 00 03 01 82 03"),
            ("00 04 00 00 00 06 01 05 00 00 55 00", "00 04 00 00 00 03 01 85 03"),
            ("00 05 00 00 00 06 01 06 00 00 00 01", "00 05 00 00 00 03 01 86 02"),
            ("00 06 00 00 00 06 01 05 01 00 ff 00", "00 06 00 00 00 03 01 85 02"),
        ],
    )
    def test_answers_mistakes_with_exceptions(self, rig, request_, answer):

        lot = rig("lock_plate", "tcp")
        host, port = lot.served.url.removeprefix("socket://").split(":")
        with socket.create_connection((host, int(port)), timeout=2) as wire:
            wire.sendall(bytes.fromhex(request_))
            assert wire.recv(100) == bytes.fromhex(answer)
        assert lot.world.releases == []

    @pytest.mark.parametrize("framing", ["rtu", "tcp"])
    def test_is_silent_to_another_unit(self, rig, framing):
        lot = rig("lock_plate", framing)
        line = Line(lot.served.url, Framing(framing), 9, LineSettings(57600), 0.1)
        with pytest.raises(errors.Uncertain):
            line.ask(Read(Function.READ_COILS, 0, 1), time.monotonic() + 0.2, tries=1)
        line.close()

    def test_is_silent_to_a_wrong_check_sum(self, rig):

        lot = rig("lock_plate", "rtu")
        descriptor = os.open(lot.served.url, os.O_RDWR | os.O_NOCTTY)
        os.write(descriptor, bytes.fromhex("01 05 00 02 ff 00 00 00"))
        assert select.select([descriptor], [], [], 0.15)[0] == []
        os.write(descriptor, bytes.fromhex("01 05 00 02 ff 00 2d fa"))
        assert select.select([descriptor], [], [], 1)[0] == [descriptor]
        os.close(descriptor)
        assert len(lot.world.releases) == 1

    def test_keeps_its_tcp_port_and_its_path_when_replugged(self, rig):
        for framing in ("tcp", "rtu"):
            lot = rig("lock_plate", framing)
            lot.faults.unplugged = True
            time.sleep(0.08)
            lot.faults.unplugged = False
            time.sleep(0.08)
            assert lot.read().position is Position.CLOSED
            lot.stop()

    def test_paces_a_pty_like_a_real_line(self, rig):
        """It acts no sooner than the request's last bit could be there, and its answer takes its time as well."""
        lot = rig("lock_plate", "rtu", baud=2400, timeout=1.0)
        line = Line(lot.served.url, Framing.RTU, 1, LineSettings(2400), 1.0)
        letter = line.compose(WriteOne(Function.WRITE_COIL, 2, COIL_ON))
        began = time.monotonic()
        line.send(letter, began + 2)
        answered = time.monotonic()
        line.close()
        one_way = 8 * 10 / 2400
        assert lot.world.releases[0][2] >= began + one_way
        assert began + 2 * one_way <= answered < began + 2 * one_way + 0.05
