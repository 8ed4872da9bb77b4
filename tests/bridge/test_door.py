"""The local API's door stays shut to web pages, strangers, floods and garbage, and says why."""

import socket
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
import requests

from bridge.local_api import api as local_api
from bridge.local_api import http_server
from bridge.local_api.api import LocalApi
from bridge.local_api.door import Door
from parking.commands import Command, CommandReply, SignedIn, SignIn, SignOut, Verb
from parking.wire import Problem, decode, encode


@pytest.fixture(scope="module")
def office(module_threads_clean, desk_class, tmp_path_factory):
    data = tmp_path_factory.mktemp("bridge") / "data"
    desk = desk_class()
    api = LocalApi(desk, data, "127.0.0.1", 0)
    api.start()
    yield SimpleNamespace(api=api, desk=desk, token=(data / "api-token").read_text())
    api.stop()


@pytest.fixture
def api(office):
    return office.api


@pytest.fixture
def desk(office):
    office.desk.commands.clear()
    return office.desk


@pytest.fixture
def token(office):
    return lambda: office.token


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


def order():
    return Command(command_id="c-1", lot=1, verb=Verb.RELEASE, actor="佐藤", reason="lost ticket", exit="A")


def post(call, api, body, **headers):
    return call(api, "/v1/commands", "POST", data=body, headers={"Content-Type": "application/json", **headers})


def problem(response):
    return decode(response.content, Problem)


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/v1/timeline?lot=2&stay=bay:7", 404, "lot-unknown"),
        ("/v1/timeline?lot=x&stay=bay:7", 400, "bad-message"),
        ("/v1/timeline?lot=1&stay=7", 400, "bad-name"),
        ("/v1/timeline?stay=bay:7", 400, "bad-message"),
        ("/v1/timeline?lot=1&stay=bay:7&more=1", 400, "bad-message"),
        ("/v1/snapshot?after=1", 400, "bad-message"),
        ("/v1/events?after=-1", 400, "bad-message"),
        ("/v1/events?after=1e9", 400, "bad-message"),
        ("/v1/events", 400, "bad-message"),
        ("/v1/events?after=99999999999999999999", 400, "bad-message"),
        ("/v1/commands", 405, "not-found"),
        ("/v1/nothing", 404, "not-found"),
        ("/", 404, "not-found"),
        ("/docs", 404, "not-found"),
    ],
)
def test_wrong_requests_get_a_problem_that_says_what_is_wrong(api, desk, call, path, status, code):
    response = call(api, path)
    assert response.status_code == status
    assert problem(response).code == code
    assert problem(response).detail


@pytest.mark.parametrize(
    "value", [None, "", "Bearer", "Bearer wrong", "Basic abc", "bearer {token}", "Bearer {token}x"]
)
def test_without_the_token_nothing_is_said(api, desk, call, token, value):
    text = value.format(token=token()) if value else value
    response = call(api, "/v1/snapshot", headers={"Authorization": text})
    assert response.status_code == 401
    assert problem(response).code == "unauthorized"
    assert "api-token" in problem(response).remedy
    assert token() not in response.text


def test_the_token_does_not_pass_in_the_url(api, desk, call, token):
    assert call(api, f"/v1/snapshot?token={token()}", headers={"Authorization": None}).status_code == 401


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1", "127.0.0.1.evil.example:{port}", "127.0.0.2:{port}", "127.0.0.1:1", "[::1]:{port}"],
)
def test_another_host_is_refused_whatever_it_resolves_to(api, desk, call, host):
    response = call(api, "/v1/snapshot", headers={"Host": host.format(port=api.url.rpartition(":")[2])})
    assert response.status_code == 421
    assert problem(response).code == "unauthorized"


def test_who_is_turned_away_is_logged_and_a_flood_costs_one_line(api, call, caplog):
    with caplog.at_level("WARNING", "bridge.local_api.door"):
        for _ in range(20):
            call(api, "/v1/snapshot", headers={"Authorization": "Bearer guess", "Host": "x"})
    told = [record.getMessage() for record in caplog.records if record.name == "bridge.local_api.door"]
    assert len(told) <= 1
    assert "guess" not in caplog.text
    door = Door(None, "t", frozenset())
    for status in (401, 401, 421):
        door._tell(status)
    assert dict(door._told).keys() == {401, 421}


def test_localhost_by_name_is_ours(api, desk, call):
    port = api.url.rpartition(":")[2]
    assert call(api, "/v1/snapshot", headers={"Host": f"localhost:{port}"}).status_code == 200


@pytest.mark.parametrize("origin", ["https://evil.example", "null", "http://127.0.0.1"])
def test_a_web_page_is_refused_even_with_the_token(api, desk, call, origin):
    response = call(api, "/v1/snapshot", headers={"Origin": origin})
    assert response.status_code == 403
    preflight = call(api, "/v1/commands", "OPTIONS", headers={"Origin": origin, "Authorization": None})
    assert preflight.status_code == 403
    assert not [name for name in preflight.headers if name.lower().startswith("access-control")]


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", None])
def test_a_body_must_be_json(api, desk, call, kind):
    response = post(call, api, encode(order()), **{"Content-Type": kind})
    assert response.status_code == 415
    assert desk.commands == {}


def test_json_may_name_its_charset(api, desk, call):
    response = post(call, api, encode(order()), **{"Content-Type": "application/json; charset=utf-8"})
    assert response.status_code == 200


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_is_bounded(api, desk, call, chunked):
    body = b'{"pad":"' + b"x" * 70_000 + b'"}'
    data = iter([body[:40_000], body[40_000:]]) if chunked else body
    response = post(call, api, data)
    assert response.status_code == 413
    assert problem(response).code == "bad-message"


@pytest.mark.parametrize(
    ("change", "code", "place"),
    [
        (lambda text: text.replace(b'"schema":1', b'"schema":2'), "wrong-schema", "schema 2"),
        (lambda text: text.replace(b'"actor"', b'"aktor"'), "bad-message", "aktor"),
        (lambda text: text.replace(b'"lot":1', b'"lot":"1"'), "bad-message", "$.lot"),
        (lambda text: text.replace(b'"release"', b'"close"'), "bad-message", "$.verb"),
        (lambda text: text[:-1], "bad-message", "truncated"),
        (lambda text: b"", "bad-message", "Command"),
        (lambda text: b"\xff\x00" * 100, "bad-message", "Command"),
        (lambda text: b"[" * 5000, "bad-message", "Command"),
    ],
)
def test_an_order_that_is_not_what_was_agreed_is_refused_with_the_place(api, desk, call, change, code, place):
    response = post(call, api, change(encode(order())))
    assert response.status_code == 400
    assert problem(response).code == code
    assert place in problem(response).detail
    assert desk.commands == {}


def test_a_body_that_is_announced_too_long_is_refused_before_it_is_sent(api, token):
    host = api.url.removeprefix("http://")
    head = f"POST /v1/commands HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token()}\r\n"
    with socket.create_connection(("127.0.0.1", int(host.partition(":")[2])), timeout=5) as one:
        one.sendall(f"{head}Content-Type: application/json\r\nContent-Length: 70000\r\n\r\n".encode())
        assert one.recv(100).startswith(b"HTTP/1.1 413")


def test_hostile_bytes_do_not_stop_it(api, desk, call):
    port = int(api.url.rpartition(":")[2])
    for garbage in (
        b"\x00" * 5000,
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
        b"\x16\x03\x01",
    ):
        with socket.create_connection(("127.0.0.1", port), timeout=5) as one:
            one.sendall(garbage)
            one.shutdown(socket.SHUT_WR)
            while one.recv(4096):
                pass
    assert call(api, "/v1/snapshot").status_code == 200


# --- signing in ------------------------------------------------------------------------------------------------------


def hand_in(call, api, path, message):
    return call(api, path, "POST", data=encode(message), headers={"Content-Type": "application/json"})


def test_signing_in_and_out_answers_in_the_agreed_messages(api, desk, call):
    signed = hand_in(call, api, "/v1/sign-in", SignIn(operator="佐藤", pin="483920"))
    assert signed.status_code == 200
    assert signed.headers["Cache-Control"] == "no-store"
    assert decode(signed.content, SignedIn).operator == "佐藤"
    out = hand_in(call, api, "/v1/sign-out", SignOut(session="S" * 43))
    assert decode(out.content, CommandReply).accepted


def test_a_wrong_pin_is_403_and_comes_back_in_nothing(api, desk, call):
    response = hand_in(call, api, "/v1/sign-in", SignIn(operator="佐藤", pin="739104"))
    assert response.status_code == 403
    assert problem(response).code == "sign-in"
    assert "739104" not in response.text


@pytest.mark.parametrize("body", [b'{"schema":1,"operator":"a","pin":739104}', b'{"schema":1,"pin":"739104"', b"[]"])
def test_a_malformed_sign_in_does_not_echo_the_pin(api, desk, call, body):
    response = call(api, "/v1/sign-in", "POST", data=body, headers={"Content-Type": "application/json"})
    assert response.status_code == 400
    assert "739104" not in response.text


@pytest.mark.parametrize("path", ["/v1/sign-in", "/v1/sign-out"])
@pytest.mark.parametrize(
    ("headers", "status"), [({"Authorization": None}, 401), ({"Origin": "null"}, 403), ({"Host": "evil.example"}, 421)]
)
def test_the_door_stands_before_signing_in_too(api, desk, call, path, headers, status):
    assert call(api, path, "POST", data=b"{}", headers=headers).status_code == status
    assert call(api, path).status_code == 405


def test_a_flood_of_pins_is_bounded_and_keeps_no_order_waiting(api, desk, call):
    with ThreadPoolExecutor(16) as crowd:
        tries = [crowd.submit(hand_in, call, api, "/v1/sign-in", SignIn(operator="x", pin="483920")) for _ in range(48)]
        began = time.monotonic()
        assert post(call, api, encode(order())).status_code == 200
        took = time.monotonic() - began
        codes = [one.result().status_code for one in tries]
    assert set(codes) == {200, 429}  # four wait at most, 50 ms each
    assert took < 1.5  # all 48, one after the other, would take 2.4 s


# --- time ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def hasty(monkeypatch):
    monkeypatch.setattr(http_server, "HEAD_SECONDS", 0.3)
    monkeypatch.setattr(local_api, "BODY_SECONDS", 0.3)


def ended_within(one, seconds, drip=b""):
    """Whether the server ends the connection, although a byte comes every now and then."""
    deadline = time.monotonic() + seconds
    one.settimeout(0.05)
    while time.monotonic() < deadline:
        try:
            if one.recv(4096) == b"":
                return True
        except TimeoutError:
            pass
        except OSError:
            return True
        try:
            if drip:
                one.sendall(drip)
        except OSError:
            return True
    return False


@pytest.mark.parametrize("begun", [b"", b"GET /v1/snap", b"GET /v1/snapshot HTTP/1.1\r\nHost: x\r\nX: "])
def test_a_connection_that_never_says_what_it_wants_is_ended(api, desk, hasty, begun):
    with socket.create_connection(("127.0.0.1", int(api.url.rpartition(":")[2])), timeout=5) as one:
        one.sendall(begun)
        assert ended_within(one, 5, drip=b"a" if begun else b"")


def test_a_second_request_must_come_in_time_too(api, desk, token, hasty):
    host = api.url.removeprefix("http://")
    whole = f"GET /v1/snapshot HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token()}\r\n\r\n".encode()
    with socket.create_connection(("127.0.0.1", int(host.partition(":")[2])), timeout=5) as one:
        one.sendall(whole)
        assert one.recv(65_536).startswith(b"HTTP/1.1 200")
        one.sendall(b"GET /v1/snap")
        assert ended_within(one, 3, drip=b"a")


def test_a_body_that_drips_is_refused_in_time(api, desk, token, hasty):
    host = api.url.removeprefix("http://")
    head = f"POST /v1/commands HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token()}\r\n"
    with socket.create_connection(("127.0.0.1", int(host.partition(":")[2])), timeout=5) as one:
        one.sendall(f"{head}Content-Type: application/json\r\nContent-Length: 5000\r\n\r\n{{".encode())
        assert one.recv(100).startswith(b"HTTP/1.1 400")
    assert desk.commands == {}


def test_an_event_stream_is_not_ended_for_being_long(api, desk, token, hasty):
    host = api.url.removeprefix("http://")
    head = f"GET /v1/events?after=0 HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token()}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", int(host.partition(":")[2])), timeout=5) as one:
        one.sendall(head.encode())
        assert not ended_within(one, 1.0)
