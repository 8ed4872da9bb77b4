"""The door to the wire: what it says when a port is missing, busy, forbidden or breaks, and how fast it is.

On real ptys and real sockets.
"""

import os
import socket
import subprocess
import sys
import threading
import time
import tty
from pathlib import Path

import pytest
import serial

from drivers.line_settings import LineSettings
from drivers.recorder import Direction
from drivers.transport import Transport
from parking.errors import Code, Environment, NotSent, Uncertain


def soon(seconds=1.0):
    return time.monotonic() + seconds


class Line:
    """A pty: `far` is the machine's end, `path` ours."""

    def __init__(self):
        self.far, self._near = os.openpty()
        tty.setraw(self._near)
        self.path = os.ttyname(self._near)

    def vanish(self):
        for end in (self.far, self._near):
            if end >= 0:
                os.close(end)
        self.far = self._near = -1


@pytest.fixture
def line():
    made = Line()
    yield made
    made.vanish()


@pytest.fixture
def port(line):
    transport = Transport(line.path)
    yield transport
    transport.close()


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(2)
        yield server


def url_of(server):
    return f"socket://127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def connection(listener):
    transport = Transport(url_of(listener))
    yield transport
    transport.close()


@pytest.fixture
def without_rights():
    """For a while this process is nobody, because root may open everything; whether that was necessary."""
    if os.getuid() != 0:
        yield False
        return
    os.seteuid(65534)
    try:
        yield True
    finally:
        os.seteuid(0)


class Notes:
    def __init__(self):
        self.seen = []

    def note(self, direction, data):
        self.seen.append((direction, data))


class TestPty:
    def test_opens_when_first_used_and_carries_bytes_both_ways(self, line, port):
        assert not port.is_open
        port.write(b"\x01\x02", soon())
        assert (port.is_open, os.read(line.far, 10)) == (True, b"\x01\x02")
        os.write(line.far, b"\x03\x04")
        assert port.read_some(soon()) == b"\x03\x04"

    def test_carries_every_byte_value_unchanged(self, line, port):
        everything = bytes(range(256))
        port.write(everything, soon())
        assert os.read(line.far, 300) == everything
        os.write(line.far, everything)
        assert port.read_some(soon()) == everything

    def test_silence_ends_at_the_deadline(self, port):
        began = time.monotonic()
        assert port.read_some(began + 0.1) == b""
        assert 0.1 <= time.monotonic() - began < 0.2

    def test_hands_bytes_over_at_once(self, line, port):
        port.drain()
        port.write(b"x", soon())
        waits = []
        for _ in range(9):
            sent = []
            timer = threading.Timer(0.02, lambda sent=sent: (sent.append(time.monotonic()), os.write(line.far, b"x")))
            timer.start()
            port.read_some(soon())
            waits.append(time.monotonic() - sent[0])
            timer.join()
        assert min(waits) < 0.002

    def test_drain_throws_away_what_nobody_waited_for(self, line, port):
        port.write(b"x", soon())
        os.write(line.far, b"stale")
        port.drain()
        assert port.read_some(soon(0.02)) == b""

    def test_notices_that_the_other_end_vanished(self, line, port):
        port.write(b"x", soon())
        line.vanish()
        with pytest.raises(Uncertain) as caught:
            port.read_some(soon())
        assert (caught.value.code, port.is_open) == (Code.LINK_DOWN, False)

    def test_drain_notices_it_too_so_that_the_next_write_is_certainly_not_sent(self, line, port):
        port.write(b"x", soon())
        line.vanish()
        port.drain()
        assert not port.is_open
        with pytest.raises(Environment) as caught:
            port.write(b"y", soon())
        assert caught.value.code is Code.PORT_MISSING

    def test_works_again_at_the_same_path_after_the_line_was_replaced(self, line, tmp_path):
        path = tmp_path / "gate"
        path.symlink_to(line.path)
        transport = Transport(str(path))
        transport.write(b"x", soon())
        fresh = Line()
        line.vanish()
        path.unlink()
        path.symlink_to(fresh.path)
        transport.drain()
        transport.write(b"again", soon())
        assert os.read(fresh.far, 10) == b"again"
        transport.close()
        fresh.vanish()

    def test_a_full_line_is_uncertain_at_the_deadline_not_a_hang(self, line, port):
        began = time.monotonic()
        with pytest.raises(Uncertain) as caught:
            port.write(bytes(200_000), began + 0.2)
        assert time.monotonic() - began < 0.6
        assert "of 200000 bytes" in caught.value.detail

    def test_close_may_be_repeated(self, line, port):
        port.write(b"x", soon())
        assert os.read(line.far, 10) == b"x"
        port.close()
        port.close()
        port.write(b"y", soon())
        assert os.read(line.far, 10) == b"y"

    def test_every_chunk_is_noted_in_both_directions(self, line):
        notes = Notes()
        transport = Transport(line.path, recorder=notes)
        transport.write(b"ask", soon())
        os.write(line.far, b"answer")
        transport.read_some(soon())
        os.write(line.far, b"stale")
        transport.drain()
        transport.close()
        assert notes.seen == [(Direction.TX, b"ask"), (Direction.RX, b"answer"), (Direction.RX, b"stale")]

    def test_spy_urls_show_the_bytes(self, line, capsys):
        transport = Transport(f"spy://{line.path}")
        transport.write(b"\x01\x05", soon())
        os.write(line.far, b"ok")
        assert transport.read_some(soon()) == b"ok"
        transport.close()
        shown = capsys.readouterr().err
        assert "01 05" in shown
        assert "6F 6B" in shown


class TestPortTrouble:
    def test_a_missing_port_is_named_with_a_remedy(self):
        with pytest.raises(Environment) as caught:
            Transport("/dev/ttyUSB77").write(b"x", soon())
        assert (caught.value.code, "/dev/ttyUSB77" in caught.value.detail) == (Code.PORT_MISSING, True)
        assert "plug the adapter in" in caught.value.remedy

    def test_a_file_is_not_a_port(self, tmp_path):
        (tmp_path / "file").touch()
        with pytest.raises(Environment) as caught:
            Transport(str(tmp_path / "file")).write(b"x", soon())
        assert caught.value.code is Code.PORT_MISSING

    def test_a_port_in_use_by_us_is_busy(self, line, port):
        port.write(b"x", soon())
        with pytest.raises(Environment) as caught:
            Transport(line.path).write(b"y", soon())
        assert (caught.value.code, "other program" in caught.value.remedy) == (Code.PORT_BUSY, True)
        port.close()
        again = Transport(line.path)
        again.write(b"z", soon())
        again.close()

    def test_a_port_in_use_by_another_program_is_busy_until_that_is_killed(self, line):
        holder = (
            "import sys, time; from drivers.transport import Transport;"
            "t = Transport(sys.argv[1]); t.write(b'x', time.monotonic() + 2); print('held', flush=True); time.sleep(20)"
        )
        root = Path(__file__).parents[2]
        other = subprocess.Popen([sys.executable, "-c", holder, line.path], cwd=root, stdout=subprocess.PIPE, text=True)
        with other:
            assert other.stdout.readline() == "held\n"
            transport = Transport(line.path)
            with pytest.raises(Environment) as caught:
                transport.write(b"y", soon())
            assert caught.value.code is Code.PORT_BUSY
            other.kill()
            other.wait()
            transport.write(b"z", soon())
            transport.close()

    def test_a_port_of_another_user_is_forbidden(self, line, without_rights):
        if not without_rights:
            Path(line.path).chmod(0)
        with pytest.raises(Environment) as caught:
            Transport(line.path).write(b"x", soon())
        assert (caught.value.code, "dialout" in caught.value.remedy) == (Code.PORT_FORBIDDEN, True)

    @pytest.mark.parametrize("url", ["socket://", "socket://here", "socket://host:port", "nonsense://x", ""])
    def test_a_wrong_address_is_a_mistake_in_the_profile(self, url):
        with pytest.raises(Environment) as caught:
            Transport(url).write(b"x", soon(0.2))
        assert caught.value.code in (Code.CONFIG, Code.PORT_MISSING)

    def test_wrong_line_settings_are_a_mistake_in_the_profile(self, line):
        with pytest.raises(Environment) as caught:
            Transport(line.path, LineSettings(parity="X")).write(b"x", soon())
        assert caught.value.code is Code.CONFIG

    @pytest.mark.parametrize("parity", ["E", "O"])
    def test_line_settings_that_a_port_refuses_are_named(self, line, monkeypatch, parity):
        monkeypatch.setattr("drivers.transport._is_pty", lambda url: False)  # a pty is such a port
        with pytest.raises(Environment) as caught:
            Transport(line.path, LineSettings(19200, parity)).write(b"x", soon())
        assert (caught.value.code, f"19200 baud, 8{parity}1" in caught.value.detail) == (Code.CONFIG, True)

    @pytest.mark.parametrize("parity", ["E", "O"])
    def test_a_simulated_line_bears_any_parity(self, line, parity):
        port = Transport(line.path, LineSettings(parity=parity))
        port.write(b"x", soon())
        assert os.read(line.far, 1) == b"x"
        port.close()


class TestTcp:
    def test_carries_bytes_both_ways_without_delay(self, listener, connection):
        def echo():
            client, _ = listener.accept()
            with client:
                heard = b""
                while data := client.recv(100):
                    heard += data
                    if len(heard) == 5:  # no answer before the request is whole
                        client.sendall(heard)
                        heard = b""

        machine = threading.Thread(target=echo)
        machine.start()
        took = []
        for _ in range(20):
            began = time.monotonic()
            for half in (b"he", b"llo"):  # two writes: with Nagle's algorithm the second would wait 40 ms
                connection.write(half, soon())
            heard = b""
            while heard != b"hello":
                heard += connection.read_some(soon())
            took.append(time.monotonic() - began)
        began = time.monotonic()
        connection.close()
        closing = time.monotonic() - began
        machine.join()
        assert sorted(took)[10] < 0.005
        assert closing < 0.05

    def test_refused_is_not_sent(self, listener, connection):
        listener.close()
        with pytest.raises(NotSent) as caught:
            connection.write(b"x", soon())
        assert (caught.value.code, caught.value.remedy != "") == (Code.DEVICE_UNAVAILABLE, True)

    def test_connecting_ends_at_the_deadline(self, listener):
        """A listener with a full queue answers no more."""
        with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
            crowd = [socket.socket() for _ in range(4)]
            for one in crowd:
                one.setblocking(False)
                one.connect_ex(full.getsockname())
            began = time.monotonic()
            with pytest.raises(NotSent) as caught:
                Transport(url_of(full)).write(b"x", began + 0.2)
            took = time.monotonic() - began
            for one in crowd:
                one.close()
        assert caught.value.code is Code.LINK_DOWN
        assert 0.15 < took < 0.5

    def test_a_name_that_nobody_knows_is_not_sent(self):
        with pytest.raises(NotSent) as caught:
            Transport("socket://no-such-host.invalid:502").write(b"x", soon())
        assert caught.value.code is Code.LINK_DOWN

    def test_a_closed_connection_is_noticed_while_reading(self, listener, connection):
        connection.write(b"x", soon())
        listener.accept()[0].close()
        with pytest.raises(Uncertain) as caught:
            connection.read_some(soon())
        assert (caught.value.code, connection.is_open) == (Code.LINK_DOWN, False)

    def test_a_connection_that_closed_while_idle_is_replaced_before_the_next_write(self, listener, connection):
        connection.write(b"x", soon())
        listener.accept()[0].close()
        time.sleep(0.02)
        connection.drain()
        connection.write(b"again", soon())
        second, _ = listener.accept()
        with second:
            assert second.recv(10) == b"again"

    def test_a_peer_that_takes_no_more_bytes_is_uncertain_at_the_deadline(self, listener, connection):
        began = time.monotonic()
        with pytest.raises(Uncertain):
            connection.write(bytes(30_000_000), began + 0.3)
        assert time.monotonic() - began < 1


def test_characters_take_their_time():
    assert LineSettings(9600).seconds_per_char == pytest.approx(10 / 9600)
    assert LineSettings(9600, "E").seconds_per_char == pytest.approx(11 / 9600)
    assert LineSettings(9600, "N", 2).seconds_per_char == pytest.approx(11 / 9600)


def test_a_port_that_is_pulled_while_it_is_opened_is_missing(monkeypatch):
    """pyserial configures an open port anew, which then fails in its own words."""
    master, slave = os.openpty()
    name = os.ttyname(slave)
    opened = serial.Serial.open

    def pulled(port):
        opened(port)
        os.close(slave)
        os.close(master)

    monkeypatch.setattr(serial.Serial, "open", pulled)
    port = Transport(name, LineSettings(baud=9600))
    with pytest.raises(Environment) as caught:
        port.write(b"x", time.monotonic() + 1)
    assert caught.value.code is Code.PORT_MISSING
