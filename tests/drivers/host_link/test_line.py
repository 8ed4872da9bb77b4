"""A line to a server that is cut at its deadline, whatever the library at its other end waits for."""

import socket
import threading
import time

import pytest

from drivers.host_link.line import HERE, Line


@pytest.fixture
def server():
    with socket.create_server((HERE, 0)) as made:
        made.settimeout(5)
        yield made


def opened(server, seconds):
    return Line(*server.getsockname(), time.monotonic() + seconds)


def test_what_is_said_is_carried_both_ways_whole(server):
    said = bytes(range(256)) * 4096
    with opened(server, 10) as line, socket.create_connection((HERE, line.port), 5) as library:
        far, _ = server.accept()
        sending = threading.Thread(target=library.sendall, args=(said,))
        sending.start()
        with far:
            heard = b""
            while len(heard) < len(said):
                heard += far.recv(65_536)
            sending.join()
            far.sendall(b"so be it")
            assert (heard == said, library.recv(100)) == (True, b"so be it")
        assert library.recv(100) == b""  # the server hangs up, and the library sees it
    assert not line.over


@pytest.mark.parametrize("begun", [False, True], ids=["before a word", "in the midst"])
def test_a_library_that_waits_is_woken_at_the_deadline(server, begun):
    began = time.monotonic()
    with opened(server, 0.3) as line, socket.create_connection((HERE, line.port), 5) as library:
        far, _ = server.accept()
        with far:
            if begun:
                library.sendall(b"a question")
                assert far.recv(100) == b"a question"
                far.sendall(b"half an ans")
                assert library.recv(100) == b"half an ans"
            assert library.recv(100) == b""
            assert 0.25 < time.monotonic() - began < 2
            assert far.recv(100) == b""
    assert line.over


def flood(library):
    while True:
        library.sendall(bytes(65_536))


def test_a_server_that_takes_nothing_is_left_at_the_deadline(server):
    began = time.monotonic()
    with opened(server, 0.3) as line, socket.create_connection((HERE, line.port), 5) as library:
        far, _ = server.accept()
        with far, pytest.raises(OSError, match=r"."):
            flood(library)
        assert time.monotonic() - began < 2
    assert line.over


def test_a_line_that_nobody_uses_ends_with_whoever_made_it(server):
    began = time.monotonic()
    with opened(server, 60) as line:
        pass
    assert (time.monotonic() - began < 1, line.over) == (True, False)


def test_a_library_that_hangs_up_ends_it(server):
    with opened(server, 60) as line:
        socket.create_connection((HERE, line.port), 5).close()
        far, _ = server.accept()
        with far:
            assert far.recv(100) == b""
    assert not line.over


def test_a_server_that_is_not_there_is_not_waited_for():
    with socket.create_server((HERE, 0)) as gone:
        address = gone.getsockname()
    with pytest.raises(OSError, match="refused"):
        Line(*address, time.monotonic() + 5)
