"""The local API over real sockets: whole answers in one write, a stream that resumes, and a door that stays shut."""

import json
import os
import socket
import stat
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
import requests

from bridge.local_api.api import LocalApi
from parking.commands import Command, CommandReply, Verb
from parking.desk import Event, Snapshot, Timeline
from parking.errors import Code, Environment
from parking.wire import Problem, decode, encode

pytestmark = pytest.mark.usefixtures("threads_clean")


def now():
    return datetime.now(UTC)


@pytest.fixture
def serve(tmp_path):
    started = []

    def start(desk, **options):
        api = LocalApi(desk, tmp_path / "data", "127.0.0.1", options.pop("port", 0), **options)
        started.append(api)
        api.start()
        return api

    yield start
    for api in started:
        began = time.monotonic()
        api.stop()
        assert time.monotonic() - began < 3


@pytest.fixture
def token(tmp_path):
    return lambda: (tmp_path / "data" / "api-token").read_text()


@pytest.fixture
def call(token):
    """One request with the right token, unless told otherwise."""

    def send(api, path, method="GET", **options):
        headers = {"Authorization": f"Bearer {token()}", **options.pop("headers", {})}
        headers = {name: value for name, value in headers.items() if value is not None}
        with requests.Session() as session:
            session.trust_env = False
            return session.request(method, api.url + path, headers=headers, timeout=5, **options)

    return send


def order(**changes):
    fields = {
        "command_id": "c-1",
        "lot": 1,
        "verb": Verb.RELEASE,
        "actor": "佐藤",
        "reason": "lost ticket",
        "exit": "A",
    }
    return Command(**{**fields, **changes})


def post(call, api, body, **headers):
    return call(api, "/v1/commands", "POST", data=body, headers={"Content-Type": "application/json", **headers})


def problem(response):
    return decode(response.content, Problem)


# --- what it serves --------------------------------------------------------------------------------------------------


def test_the_console_finds_address_and_token_in_the_data_directory(serve, desk, tmp_path, token):
    api = serve(desk)
    data = tmp_path / "data"
    assert json.loads((data / "api.json").read_text()) == {"url": api.url, "pid": os.getpid()}
    assert api.url.startswith("http://127.0.0.1:")
    assert len(token()) == 43
    for name in ("api-token", "api.json"):
        assert stat.S_IMODE((data / name).stat().st_mode) == 0o600
    api.stop()
    assert not (data / "api.json").exists()


def test_the_token_outlives_a_restart(serve, desk, token):
    api = serve(desk)
    first = token()
    api.stop()
    serve(desk)
    assert token() == first


def test_a_token_that_others_may_read_is_refused(serve, desk, tmp_path):
    api = serve(desk)
    api.stop()
    (tmp_path / "data" / "api-token").chmod(0o644)
    with pytest.raises(Environment, match="chmod 600") as caught:
        serve(desk)
    assert caught.value.code is Code.CONFIG


def test_snapshot_timeline_and_command(serve, desk, call):
    desk.add()
    api = serve(desk)
    snapshot = decode(call(api, "/v1/snapshot").content, Snapshot)
    assert (snapshot.seq, snapshot.lots[0].name["ja"]) == (1, "若葉")
    timeline = decode(call(api, "/v1/timeline", params={"lot": 1, "stay": "bay:7@1766000000"}).content, Timeline)
    assert timeline.entries[0].what == "bay:7@1766000000"
    first = decode(post(call, api, encode(order())).content, CommandReply)
    again = decode(post(call, api, encode(order())).content, CommandReply)
    assert first == again
    assert first.accepted


def test_trouble_of_the_bridge_is_told_with_its_remedy_and_a_bug_is_not_explained(serve, desk, call, caplog, until):
    api = serve(desk)
    desk.sick = Environment(Code.DISK, "journal.db: full", "make room")
    response = call(api, "/v1/snapshot")
    assert response.status_code == 503
    assert problem(response) == Problem(code="disk", detail="journal.db: full", remedy="make room")
    desk.sick = ZeroDivisionError("secret inner workings")
    response = call(api, "/v1/snapshot")
    assert (response.status_code, problem(response).code) == (500, "bug")
    assert "secret" not in response.text
    until(lambda: any(record.exc_info for record in caplog.records))
    desk.sick = None
    assert call(api, "/v1/snapshot").status_code == 200


# --- the event stream ------------------------------------------------------------------------------------------------


class Stream:
    """A raw reader of the event stream."""

    def __init__(self, api, token, after, extra=""):
        host, _, port = api.url.removeprefix("http://").partition(":")
        self.socket = socket.create_connection((host, int(port)), timeout=5)
        query = "" if after is None else f"?after={after}"
        head = f"Host: {host}:{port}\r\nAuthorization: Bearer {token}\r\n{extra}\r\n"
        self.socket.sendall(f"GET /v1/events{query} HTTP/1.1\r\n{head}".encode())
        self.text = ""

    def until(self, mark):
        while mark not in self.text:
            got = self.socket.recv(65536)
            assert got, f"the stream ended: {self.text!r}"
            self.text += got.decode()
        return self.text

    def rest(self):
        while got := self.socket.recv(65536):
            self.text += got.decode()
        return self.text

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()


def test_events_are_sent_as_they_happen_and_resumed_where_one_left_off(serve, desk, token):
    desk.add("one")
    desk.add("two")
    api = serve(desk)
    with Stream(api, token(), 1) as stream:
        stream.until("id: 2\n")
        assert "text/event-stream" in stream.text
        assert "id: 1\n" not in stream.text
        began = time.monotonic()
        desk.add("three")
        stream.until('"detail":"three"')
        assert time.monotonic() - began < 0.4  # woken, not polled
    with Stream(api, token(), 2) as stream:
        stream.until("id: 3\n")
        assert "id: 2\n" not in stream.text
    with Stream(api, token(), None, "Last-Event-ID: 1\r\n") as stream:
        stream.until("id: 3\n")
        assert "id: 2\n" in stream.text


def test_each_event_is_a_whole_event_message(serve, desk, token):
    api = serve(desk)
    desk.add("one")
    with Stream(api, token(), 0) as stream:
        text = stream.until("}\n\n")
        data = next(line for line in text.splitlines() if line.startswith("data: "))
        assert decode(data.removeprefix("data: "), Event) == desk.all[0]


def test_a_quiet_stream_has_a_heartbeat(serve, desk, token):
    api = serve(desk, heartbeat_seconds=0.05)
    with Stream(api, token(), 0) as stream:
        stream.until(": heartbeat\n\n")


def test_a_stream_that_asks_for_forgotten_events_is_told_to_take_a_snapshot(serve, token, desk_class):
    desk = desk_class(held=2)
    for _ in range(5):
        desk.add()
    api = serve(desk)
    with Stream(api, token(), 1) as stream:
        assert "event: reset\n" in stream.until("event: reset\ndata:")
        assert stream.until("0\r\n\r\n")  # and it ends


def test_a_stream_from_before_a_restart_of_the_bridge_is_told_to_take_a_snapshot(serve, desk, token):
    api = serve(desk)
    with Stream(api, token(), 7000) as stream:
        stream.until("event: reset\n")


def test_a_stream_right_after_the_snapshot_is_no_reset(serve, desk, call, token, monkeypatch):
    monkeypatch.setattr(desk, "wait_for_event", lambda after, seconds: time.sleep(seconds))  # the API lags behind
    api = serve(desk)
    for _ in range(20):
        desk.add()
        seq = decode(call(api, "/v1/snapshot").content, Snapshot).seq
        with Stream(api, token(), seq) as stream:
            assert "reset" not in stream.until(": open\n\n")


def test_many_streams_cost_no_threads(serve, desk, token):
    api = serve(desk)
    before = threading.active_count()
    streams = [Stream(api, token(), 0) for _ in range(10)]
    desk.add("for all")
    for stream in streams:
        stream.until("for all")
    assert threading.active_count() <= before
    for stream in streams:
        stream.socket.close()


def test_stopping_ends_open_streams(serve, desk, token):
    api = serve(desk)
    with Stream(api, token(), 0) as stream:
        stream.until(": open")
        began = time.monotonic()
        api.stop()
        assert time.monotonic() - began < 2
        stream.rest()


# --- the wire --------------------------------------------------------------------------------------------------------


def test_an_answer_leaves_in_one_write_without_nagle(serve, desk, token):
    """Head and body in two writes cost 40 ms each where Nagle's algorithm meets a delayed acknowledgement."""
    desk.padding = "x" * 2000
    api = serve(desk)
    port = int(api.url.rpartition(":")[2])
    ask = f"GET /v1/snapshot HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {token()}\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", port), timeout=5) as one:
        for _ in range(20):  # on one kept connection
            one.sendall(ask)
            first = one.recv(65536)
            head, _, body = first.partition(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            assert len(body) == length > 2000


def test_nagle_is_off_so_that_one_event_does_not_wait_for_the_last_ones_receipt(serve, desk, token):
    api = serve(desk)
    with Stream(api, token(), 0) as stream:
        stream.until(": open\n\n")
        (connection,) = api._server._server.server_state.connections
        assert connection.transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_streamed_event_leaves_in_one_write(serve, desk, token):
    api = serve(desk)
    with Stream(api, token(), 0) as stream:
        stream.until(": open\n\n")
        for number in range(1, 11):
            desk.add(f"event {number}")
            chunk = stream.socket.recv(65536)
            assert chunk.endswith(b"}\n\n\r\n")
            assert b"id: %d\n" % number in chunk


def test_a_port_in_use_is_told_with_its_remedy(serve, desk):
    api = serve(desk)
    with pytest.raises(Environment) as caught:
        serve(desk, port=int(api.url.rpartition(":")[2]))
    assert caught.value.code is Code.PORT_BUSY
    assert "[api] listen" in caught.value.remedy


def test_it_listens_on_loopback_alone(serve, desk):
    api = serve(desk)
    port = int(api.url.rpartition(":")[2])
    listening = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    ours = {line[1] for line in listening if line[1].endswith(f":{port:04X}") and line[3] == "0A"}
    assert ours == {f"0100007F:{port:04X}"}
