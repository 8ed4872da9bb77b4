"""The console's words to the bridge, over real HTTP; what goes wrong has a code and a remedy. No Qt here."""

import json
import socket
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from hypothesis import given
from hypothesis import strategies as st

from console.client import Address, Client, EventParser, read_directory, read_files
from parking.commands import Command, CommandReply, Verb
from parking.desk import Event, StayGone
from parking.errors import BadMessage, Code, Environment, NotSent, Refused, Uncertain
from parking.wire import encode

ORDER = Command(command_id="c-9", lot=1002, verb=Verb.RELEASE, actor="田中", reason="emergency", exit="OUT1")


@pytest.fixture
def client(full_bridge):
    client = Client(read_directory(full_bridge.directory))
    yield client
    client.stop()
    client.close()


@pytest.fixture
def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def test_a_snapshot_arrives_whole(client, full_bridge):
    assert client.snapshot() == full_bridge.snapshot()


def test_a_timeline_arrives_oldest_first(client, lot_rows):
    assert client.timeline(1001, lot_rows.doubt.stay.key) == lot_rows.timeline


def test_what_the_bridge_does_not_know_is_refused_with_its_own_code(client):
    with pytest.raises(Refused) as refused:
        client.timeline(1001, "bay:99")
    assert refused.value.code is Code.NOT_FOUND


def test_an_order_is_handed_over_with_its_author_and_reason(client, full_bridge):
    assert client.command(ORDER) == CommandReply(accepted=True)
    assert full_bridge.commands == [ORDER]


def test_events_arrive_as_they_happen_and_from_where_the_snapshot_ended(client, full_bridge):
    full_bridge.publish(StayGone(key="1001/bay:1"))
    after = client.snapshot().seq
    stream = client.events(after)
    second = full_bridge.publish(StayGone(key="1001/bay:2"))
    assert next(stream) == second
    third = full_bridge.publish(StayGone(key="1001/bay:3"))
    assert next(stream) == third


def test_stop_ends_a_waiting_stream_at_once(client, full_bridge):
    seen = []
    thread = threading.Thread(target=lambda: seen.extend(client.events(0)))
    thread.start()
    while not full_bridge.asked_after:
        time.sleep(0.005)
    time.sleep(0.05)
    started = time.monotonic()
    client.stop()
    thread.join(5)
    assert not thread.is_alive()
    assert time.monotonic() - started < 1


def test_a_silent_stream_is_taken_for_dead(full_bridge):
    client = Client(read_directory(full_bridge.directory), silence=0.2)
    with pytest.raises(Environment) as lost:
        list(client.events(0))
    client.close()
    assert lost.value.code is Code.LINK_DOWN


def test_events_that_the_bridge_no_longer_holds_need_a_snapshot(client, full_bridge):
    full_bridge.base = 100
    full_bridge.publish(StayGone(key="1001/bay:1"))
    with pytest.raises(BadMessage) as gap:
        list(client.events(5))
    assert gap.value.code is Code.SEQUENCE_GAP


def test_a_wrong_token_is_refused_with_a_remedy(full_bridge):
    client = Client(Address(full_bridge.url, "guess"))
    for call in (client.snapshot, lambda: list(client.events(0)), lambda: client.command(ORDER)):
        with pytest.raises(Refused) as refused:
            call()
        assert refused.value.code is Code.UNAUTHORIZED
        assert refused.value.remedy
    client.close()


def test_the_token_is_carried_nowhere_else():
    """Whoever has taken the bridge's port must not send us, and the token with us, to another one."""
    heard = []

    class Elsewhere(BaseHTTPRequestHandler):
        def do_GET(self):
            heard.append((self.path, self.headers.get("Authorization")))
            self.send_response(307)
            self.send_header("Location", f"http://127.0.0.1:{server.server_port}/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def do_POST(self):
            self.do_GET()

        def log_message(self, *_: object):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        client = Client(Address(f"http://127.0.0.1:{server.server_port}", "secret"))
        for call in (client.snapshot, lambda: list(client.events(0)), lambda: client.command(ORDER)):
            with pytest.raises(BadMessage):
                call()
        client.close()
        server.shutdown()
        thread.join(5)
    assert [path.partition("?")[0] for path, _ in heard] == ["/v1/snapshot", "/v1/events", "/v1/commands"]


def test_a_bridge_of_another_version_is_named_as_such(client, full_bridge):
    body = json.loads(encode(full_bridge.snapshot()))
    full_bridge.raw_snapshot = json.dumps(body | {"schema": 2}).encode()
    with pytest.raises(BadMessage) as wrong:
        client.snapshot()
    assert wrong.value.code is Code.WRONG_SCHEMA
    full_bridge.raw_snapshot = json.dumps(body | {"lots": 3}).encode()
    with pytest.raises(BadMessage) as wrong:
        client.snapshot()
    assert wrong.value.code is Code.BAD_MESSAGE
    assert "lots" in wrong.value.detail


def test_without_a_bridge_an_order_is_certainly_not_sent(free_port):
    client = Client(Address(f"http://127.0.0.1:{free_port}", "t"))
    with pytest.raises(NotSent):
        client.command(ORDER)
    with pytest.raises(Environment) as lost:
        client.snapshot()
    client.close()
    assert lost.value.code is Code.LINK_DOWN
    assert "key switch" in lost.value.remedy


def test_an_order_whose_answer_is_lost_may_have_arrived():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = Client(Address(f"http://127.0.0.1:{listener.getsockname()[1]}", "t"))

        def hang_up() -> None:
            peer, _ = listener.accept()
            peer.recv(65536)
            peer.close()

        thread = threading.Thread(target=hang_up)
        thread.start()
        with pytest.raises(Uncertain):
            client.command(ORDER)
        thread.join(5)
        client.close()


def test_the_token_never_leaves_this_machine_nor_shows_in_a_log(tmp_path):
    for url in ("http://192.0.2.7:80", "https://bridge.example", "http://127.0.0.1.example", "file:///x"):
        with pytest.raises(Environment) as wrong:
            Address(url, "t")
        assert wrong.value.code is Code.CONFIG
    assert "secret" not in repr(Address("http://127.0.0.1:1", "secret"))


def test_a_bridge_that_has_not_started_is_a_link_down(tmp_path):
    with pytest.raises(Environment) as missing:
        read_directory(tmp_path)
    assert missing.value.code is Code.LINK_DOWN
    assert "api.json" in missing.value.detail
    (tmp_path / "api.json").write_text("{")
    (tmp_path / "api-token").write_text("t")
    with pytest.raises(Environment):
        read_directory(tmp_path)
    assert read_files("http://127.0.0.1:9", tmp_path / "api-token").url.endswith(":9")


@given(st.lists(st.integers(1, 60), max_size=30), st.sampled_from([b"\n", b"\r\n"]))
def test_an_event_survives_any_cutting_of_the_stream(cuts, newline):
    events = [Event(seq=at, body=StayGone(key=f"1/bay:{at}")) for at in (1, 2, 3)]
    lines = [b": hello", b""]
    for event in events:
        lines += [b"id: 1", b"data: " + encode(event), b""]
    raw = newline.join(lines) + newline
    parser, seen, at = EventParser(), [], 0
    for cut in cuts:
        seen += parser.feed(raw[at : at + cut])
        at += cut
    seen += parser.feed(raw[at:])
    assert seen == events


@given(st.binary(max_size=300))
def test_hostile_bytes_end_in_a_message_error_or_in_nothing(raw):
    with suppress(BadMessage):
        list(EventParser().feed(raw))


def test_an_event_without_an_end_is_cut_off():
    parser = EventParser()
    with pytest.raises(BadMessage):
        [event for _ in range(20) for event in parser.feed(b"x" * 100_000)]
