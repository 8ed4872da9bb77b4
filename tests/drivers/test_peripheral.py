"""A line on which we are the device: served by its own thread, whatever the machine at the other end does to it."""

import os
import socket
import time
import tty
from collections.abc import Iterator

import pytest

from drivers.peripheral import Serving
from drivers.transport import Transport
from parking.errors import Code, Environment, NotSent


class Echo:
    """Says what it hears in capitals at once, and `news` when it is due."""

    def __init__(self) -> None:
        self.news = b""
        self.heard = b""
        self.happened: list[object] = []

    def opened(self, now: float) -> None:
        self.happened.append("opened")

    def lost(self, now: float, certain: bool) -> None:
        self.happened.append(("lost", certain))

    def receive(self, data: bytes, now: float) -> bytes:
        self.heard += data
        return data.upper()

    def due(self, now: float) -> bytes:
        said, self.news = self.news, b""
        return said

    def written(self, now: float) -> None:
        self.happened.append("written")


def soon(seconds: float = 5.0) -> float:
    return time.monotonic() + seconds


@pytest.fixture
def pty() -> Iterator[tuple[int, str]]:
    near, far = os.openpty()
    tty.setraw(far)
    yield near, os.ttyname(far)
    os.close(near)
    os.close(far)


def served(url: str) -> Serving[Echo]:
    return Serving(Transport(url), Echo())


def test_it_answers_from_its_own_thread_and_says_what_a_role_has_changed(pty: tuple[int, str]) -> None:
    near, name = pty
    serving = served(name)
    try:
        with serving.held(soon()) as echo:
            echo.news = b"ready"
        assert os.read(near, 10) == b"ready"
        os.write(near, b"poll")
        assert os.read(near, 10) == b"POLL"
        assert serving.wait(lambda it: it.heard or None, soon()) == b"poll"
        assert serving.wait(lambda it: None, soon(0.05)) is None
        with serving.held(soon()) as echo:
            assert echo.happened == ["opened", "written", "written"]
    finally:
        serving.close()
    serving.close()  # once more does no harm


def test_a_port_that_is_not_there_is_told_and_one_that_comes_back_is_used(tmp_path, pty: tuple[int, str]) -> None:
    near, name = pty
    link = tmp_path / "port"
    serving = served(str(link))
    try:
        with pytest.raises(Environment) as caught, serving.held(soon()):
            pass
        assert caught.value.code is Code.PORT_MISSING
        link.symlink_to(name)
        assert serving.wait(lambda it: it.happened or None, soon()) == ["opened"]
        with serving.held(soon()) as echo:
            echo.news = b"x"
        assert os.read(near, 10) == b"x"
    finally:
        serving.close()


def test_a_line_that_broke_is_certainly_not_sent_for_who_comes_next(tmp_path) -> None:
    near, far = os.openpty()
    tty.setraw(far)
    link = tmp_path / "port"
    link.symlink_to(os.ttyname(far))
    serving = served(str(link))
    try:
        with serving.held(soon()):
            pass
        os.close(far)
        os.close(near)
        assert serving.wait(lambda it: ("lost", False) in it.happened or None, soon())
        with pytest.raises(NotSent) as caught, serving.held(soon()):
            pass
        assert caught.value.code is Code.LINK_DOWN
    finally:
        serving.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_where_the_machine_connects_each_of_its_connections_is_served() -> None:
    port = free_port()
    serving = served(f"listen://127.0.0.1:{port}")
    try:
        with pytest.raises(NotSent) as caught, serving.held(soon(2)):
            pass
        assert caught.value.code is Code.DEVICE_UNAVAILABLE
        for times in (1, 2):
            with socket.create_connection(("127.0.0.1", port), timeout=5) as machine:
                machine.sendall(b"abc")
                assert machine.recv(10) == b"ABC"
            lost = serving.wait(
                lambda it, n=times: it.happened if it.happened.count(("lost", False)) == n else None, soon()
            )
            assert lost is not None
    finally:
        serving.close()
    socket.create_server(("127.0.0.1", port)).close()  # given back


def test_of_two_connections_the_newest_is_served_once_the_old_one_has_no_more_to_say() -> None:
    port = free_port()
    serving = served(f"listen://127.0.0.1:{port}")
    try:
        serving.wait(lambda it: None, soon(0.1))
        with socket.create_connection(("127.0.0.1", port), timeout=5) as old:
            old.sendall(b"a")
            assert old.recv(10) == b"A"
            with socket.create_connection(("127.0.0.1", port), timeout=5) as new:
                new.sendall(b"b")
                assert new.recv(10) == b"B"
                assert old.recv(10) == b""
    finally:
        serving.close()


def test_a_port_that_another_program_listens_on_is_busy() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        serving = served(f"listen://127.0.0.1:{taken.getsockname()[1]}")
        try:
            with pytest.raises(Environment) as caught, serving.held(soon()):
                pass
            assert caught.value.code is Code.PORT_BUSY
        finally:
            serving.close()


def test_a_line_that_broke_is_not_there_and_nothing_was_said_on_it_by_who_asks_then() -> None:
    """What broke it was uncertain for those who were speaking; who comes later has not spoken."""
    near, far = os.openpty()
    tty.setraw(far)
    serving = served(os.ttyname(far))
    os.close(far)
    try:
        assert serving.wait(lambda it: it.happened or None, soon()) == ["opened"]
        os.close(near)
        assert serving.wait(lambda it: ("lost", False) in it.happened or None, soon())
        with pytest.raises((NotSent, Environment)), serving.held(soon(0.0)):
            pass
    finally:
        serving.close()
