"""The lot's page lets phones there see the cloud's pages for drivers and how a payment stands: no more."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from bridge.lot_page import cloud_way, pages, server
from bridge.lot_page.cloud_way import CloudWay
from bridge.lot_page.pace import Buckets
from bridge.lot_page.pages import LotSign, Standing
from bridge.lot_page.passing import Passed, PhonePaths
from bridge.lot_page.server import LotPage
from drivers.profile import load
from parking.desk import CasePhase
from parking.stay import NameKind

SEEDS = Path(__file__).parents[2] / "seeds" / "lots"
PLATES, GATED = LotSign.of(load(SEEDS / "bay-plates.toml")), LotSign.of(load(SEEDS / "gated-host.toml"))
CLOUD = "https://cloud.example"
TOKEN = "Ab3-_" * 5
CLAIM = "0123456789ABCDEFGHJKMNPQRS"
PATHS = PhonePaths([PLATES.code], CLOUD)
LOT = f"/l/{PLATES.code}"


# --- what is passed on ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", LOT),
        ("GET", f"{LOT}/7"),
        ("GET", f"{LOT}/fee"),
        ("POST", f"{LOT}/fee"),
        ("GET", f"/q/{TOKEN}"),
        ("POST", f"/q/{TOKEN}/pay"),
        ("POST", f"/q/{TOKEN}/claim"),
        ("GET", f"/p/{TOKEN}"),
        ("GET", f"/c/{CLAIM}"),
        ("POST", f"/c/{CLAIM}/pay"),
        ("GET", "/static/phone.css"),
    ],
)
def test_a_drivers_page_is_passed_on(method: str, path: str) -> None:
    assert PATHS.allows(method, path)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/bridge/v1/lots/1001/feed"),
        ("POST", "/bridge/v1/enrol"),
        ("GET", "/bridge/v1/lots/1001/keys"),
        ("POST", "/webhooks/sandbox"),
        ("GET", "/v1/snapshot"),
        ("GET", f"/l/{GATED.code}"),
        ("GET", f"{LOT}/.."),
        ("GET", f"{LOT}/../../bridge"),
        ("GET", f"{LOT}/7/8"),
        ("GET", f"{LOT}?x"),
        ("GET", f"{LOT}\n"),
        ("GET", f"//evil.example{LOT}"),
        ("GET", f"/p/{TOKEN}/events"),
        ("GET", "/p/short"),
        ("GET", "/static/../cloud.toml"),
        ("GET", "/static/a/b.css"),
        ("GET", "/near"),
        ("GET", "/sw.js"),
        ("POST", LOT),
        ("POST", f"/p/{TOKEN}"),
        ("PUT", f"{LOT}/fee"),
        ("DELETE", f"/q/{TOKEN}"),
        ("HEAD", LOT),
    ],
)
def test_nothing_else_is(method: str, path: str) -> None:
    assert not PATHS.allows(method, path)
    assert PATHS.passing(method, path, {}, "ja", b"") is None


own_parts = st.sampled_from(["/", "l", PLATES.code, "fee", "7", "q", "p", "c", TOKEN, CLAIM, "pay", "static", "x.css"])
strange_parts = st.sampled_from(["//", GATED.code, "..", "%2e", "bridge", "v1", "?", "#", "\n", "@", ":", "events"])
path_parts = own_parts | strange_parts


@given(st.sampled_from(["GET", "POST"]), st.lists(path_parts, max_size=8).map("".join))
def test_whatever_is_passed_on_is_plain_and_for_this_lot(method: str, path: str) -> None:
    passing = PATHS.passing(method, path, {}, "ja", b"")
    if passing is not None:
        assert passing.path == path
        assert path.split("/")[1] in ("l", "q", "p", "c", "static")
        assert not set(path) & set("?#%@:\n\\")
        assert ".." not in path
        assert GATED.code not in path
        assert "events" not in path.split("/")[2:] or path == f"{LOT}/events"


def test_of_the_phone_nothing_goes_along_but_its_languages() -> None:
    asked = {"lang": "en", "v": "0a1b", "lat": "35.1", "next": "https://evil.example", "code": "X"}
    passing = PATHS.passing("GET", LOT, asked, "en-GB,en;q=0.8", b"")
    assert passing is not None
    assert (passing.query, passing.languages) == ({"lang": "en", "v": "0a1b"}, "en-GB,en;q=0.8")
    other = PATHS.passing("GET", LOT, {"lang": "<b>", "v": "x"}, "ja\r\nX: y", b"")
    assert other is not None
    assert (other.query, other.languages) == ({}, "ja")


@pytest.mark.parametrize(
    ("location", "onward"),
    [
        (f"/q/{TOKEN}", f"/q/{TOKEN}"),
        (f"{CLOUD}/q/{TOKEN}", f"/q/{TOKEN}"),
        (f"/p/{TOKEN}?lang=en", f"/p/{TOKEN}?lang=en"),
        ("/bridge/v1/x", f"{CLOUD}/bridge/v1/x"),
        ("/", f"{CLOUD}/"),
        ("https://pay.example/123", "https://pay.example/123"),
        ("http://127.0.0.1:9/pay/1", "http://127.0.0.1:9/pay/1"),
        ("http://pay.example/123", None),
        ("//evil.example/x", None),
        ("/\\evil.example", None),
        ("javascript:alert(1)", None),
        ("data:text/html,x", None),
        ("https://[", None),
        ("", None),
    ],
)
def test_a_redirect_stays_on_the_way_by_the_lot_or_leads_on_safely(location: str, onward: str | None) -> None:
    passed = PATHS.passed(f"{LOT}/fee", Passed(303, {"location": location}, b""))
    assert (passed.headers["location"] if passed else None) == onward


def test_no_cookie_comes_back_and_no_header_that_would_bind_the_browser() -> None:
    sent = {
        "set-cookie": "lang=en",
        "strict-transport-security": "max-age=1",
        "clear-site-data": "*",
        "service-worker-allowed": "/",
        "content-type": "text/html",
        "content-security-policy": "default-src 'self'",
    }
    passed = PATHS.passed(LOT, Passed(200, sent, b"x"))
    assert passed is not None
    assert set(passed.headers) == {"content-type", "content-security-policy"}


def test_a_page_that_waits_for_news_is_fetched_anew_for_there_are_no_event_streams() -> None:
    live = PATHS.passed(f"/p/{TOKEN}", Passed(200, {}, b'<p data-events="/p/x/events">'))
    over = PATHS.passed(f"/p/{TOKEN}", Passed(200, {}, b"<p>done"))
    assert live is not None
    assert over is not None
    assert "refresh" in live.headers
    assert "refresh" not in over.headers


# --- our own pages ----------------------------------------------------------------------------------------------------


def test_the_page_names_the_lot_and_its_bays_in_two_languages_within_ten_kilobytes() -> None:
    page = pages.welcome((PLATES, GATED), "cloud.example").decode()
    assert len(page.encode()) <= 10_000
    for sign in (PLATES, GATED):
        assert sign.name["ja"] in page
        assert sign.name["en"] in page
        for spot, _ in sign.spots:
            assert f'<option value="{spot}">' in page
    assert 'lang="ja"' in page
    assert 'lang="en"' in page
    assert "<script" not in page
    assert "on the phone's own line" not in page
    assert page.count("cloud.example") >= 2


def test_what_a_profile_says_is_text_and_never_markup() -> None:
    nasty = "<script>alert(1)</script>\"'"
    sign = LotSign(1, "ABCDEF", {"ja": nasty, "en": nasty}, NameKind.BAY, ((nasty, {"ja": nasty}),))
    page = pages.welcome((sign,), nasty).decode()
    assert "<script" not in page
    assert f'value="{nasty}' not in page


def test_the_answer_is_as_long_for_every_payment_known_or_not() -> None:
    references = ["DK-1-1", "DK-1001-42", "DK-4294967295-4294967295"]
    assert len({len(pages.standing(one, state)) for one in references for state in Standing}) == 1
    assert all(len(pages.standing("DK-1-1", state)) <= 10_000 for state in Standing)


@pytest.mark.parametrize(
    ("phase", "state"),
    [
        (None, Standing.UNKNOWN),
        (CasePhase.RECEIVED, Standing.UNDER_WAY),
        (CasePhase.CHECKING, Standing.UNDER_WAY),
        (CasePhase.SENDING, Standing.UNDER_WAY),
        (CasePhase.IN_DOUBT, Standing.LOOKED_AT),
        (CasePhase.SETTLED, Standing.SETTLED),
        (CasePhase.REFUSED, Standing.NOT_SETTLED),
    ],
)
def test_a_stranger_learns_how_a_payment_stands_and_not_whose_it_is(phase: CasePhase | None, state: Standing) -> None:
    assert Standing.of(phase) is state
    page = pages.standing("DK-1001-42", state).decode()
    assert "DK-1001-42" in page
    assert "<script" not in page


def test_only_what_may_still_change_is_fetched_anew() -> None:
    final = {state for state in Standing if not pages.news_seconds(state)}
    assert final == {Standing.SETTLED, Standing.NOT_SETTLED}


# --- how often --------------------------------------------------------------------------------------------------------


def test_an_address_has_so_many_requests_and_gets_them_back_with_time() -> None:
    buckets = Buckets(burst=3, per_second=1)
    assert [buckets.take("a", 0.0) for _ in range(4)] == [True, True, True, False]
    assert buckets.take("b", 0.0)
    assert not buckets.take("a", 0.5)
    assert buckets.take("a", 1.1)
    assert not buckets.take("a", 1.2)
    assert [buckets.take("a", 1000.0) for _ in range(4)] == [True, True, True, False]


def test_the_memory_of_addresses_is_bounded() -> None:
    buckets = Buckets(most=10)
    for number in range(1000):
        buckets.take(f"10.0.{number // 256}.{number % 256}", 0.0)
    assert len(buckets) == 10


# --- the server, with a real cloud behind it --------------------------------------------------------------------------


class PhoneCloud(ThreadingHTTPServer):
    """A cloud on loopback that notes what reaches it, and answers as told."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.seen: list[tuple[str, str, dict[str, str], bytes]] = []
        self.answer: Callable[[Any], None] = plain(200, b"<p>page")
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.gate = threading.Event()


class _Answers(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        cloud = self.server
        assert isinstance(cloud, PhoneCloud)
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        cloud.seen.append((self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body))
        cloud.answer(self)

    do_POST = do_GET  # noqa: N815  # the names that the server asks for

    def log_message(self, *_: object) -> None:
        """Silent."""


def plain(status: int, body: bytes, **headers: str) -> Callable[[Any], None]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


@pytest.fixture
def phone_cloud(threads_clean: None) -> Iterator[PhoneCloud]:
    cloud = PhoneCloud()
    thread = threading.Thread(target=cloud.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield cloud
    cloud.gate.set()
    cloud.shutdown()
    cloud.server_close()
    thread.join()


@contextmanager
def listening(cloud_url: str, buckets: Buckets | None = None) -> Iterator["LotNetwork"]:
    phases = {(1001, 42): CasePhase.SETTLED, (1001, 43): CasePhase.SENDING}
    page = LotPage(
        ("127.0.0.1", 0),
        (PLATES,),
        CloudWay(cloud_url, None),
        cloud_url,
        lambda lot, number: phases.get((lot, number)),
        buckets,
    )
    page.start()
    try:
        yield LotNetwork(page.wait(5))
    finally:
        page.stop()


class LotNetwork:
    """Phones in it."""

    def __init__(self, url: str) -> None:
        assert url
        self.url = url

    def get(self, path: str, **more: Any) -> requests.Response:
        return requests.get(self.url + path, timeout=10, allow_redirects=False, **more)

    def post(self, path: str, form: Any, **more: Any) -> requests.Response:
        return requests.post(self.url + path, data=form, timeout=10, allow_redirects=False, **more)


@pytest.fixture
def network(phone_cloud: PhoneCloud) -> Iterator[LotNetwork]:
    with listening(phone_cloud.url) as made:
        yield made


def test_the_way_leads_to_the_clouds_page_of_lot_and_bay(network: LotNetwork, phone_cloud: PhoneCloud) -> None:
    spot = PLATES.spots[0][0]
    asked = {"lot": PLATES.code, "spot": spot}
    own = network.get("/go", params={**asked, "by": "line"})
    assert (own.status_code, own.headers["location"]) == (303, f"{phone_cloud.url}{LOT}/{spot}")
    ours = network.get("/go", params={**asked, "by": "lot"})
    assert (ours.status_code, ours.headers["location"]) == (303, f"{LOT}/{spot}")
    assert network.get("/go", params={"lot": PLATES.code}).headers["location"] == f"{phone_cloud.url}{LOT}"
    assert phone_cloud.seen == []


@pytest.mark.parametrize(
    "asked",
    [{}, {"lot": GATED.code}, {"lot": PLATES.code, "spot": "999"}, {"lot": PLATES.code, "spot": "//evil.example"}],
)
def test_nobody_is_led_anywhere_else(network: LotNetwork, asked: dict[str, str]) -> None:
    answer = network.get("/go", params=asked)
    assert answer.status_code == 404
    assert "location" not in answer.headers


def test_a_phone_without_a_line_sees_the_clouds_page(network: LotNetwork, phone_cloud: PhoneCloud) -> None:
    phone_cloud.answer = plain(200, b"<p>fee", Content_Type="text/html", Set_Cookie="lang=en")
    headers = {
        "Accept-Language": "en",
        "Cookie": "lang=ja",
        "Authorization": "Bearer x",
        "Signature": "x",
        "X-Forwarded-For": "1.2.3.4",
    }
    answer = network.get(f"{LOT}/7?lang=en&x=1", headers=headers)
    assert (answer.status_code, answer.content, "set-cookie" in answer.headers) == (200, b"<p>fee", False)
    ((method, path, arrived, _),) = phone_cloud.seen
    assert (method, path, arrived["accept-language"]) == ("GET", f"{LOT}/7?lang=en", "en")
    assert not {"cookie", "authorization", "signature", "signature-input", "x-forwarded-for"} & set(arrived)


def test_a_form_goes_to_the_cloud_as_it_is(network: LotNetwork, phone_cloud: PhoneCloud) -> None:
    phone_cloud.answer = plain(303, b"", Location=f"{phone_cloud.url}/q/{TOKEN}")
    answer = network.post(f"{LOT}/fee", {"name": "７", "exit": ""})
    assert (answer.status_code, answer.headers["location"]) == (303, f"/q/{TOKEN}")
    ((_, path, arrived, body),) = phone_cloud.seen
    assert (path, body) == (f"{LOT}/fee", b"name=%EF%BC%97&exit=")
    assert "origin" not in arrived


@pytest.mark.parametrize(
    ("path", "body", "headers", "status"),
    [
        ("/l/{code}/fee", b"x" * 8193, {}, 413),
        ("/l/{code}/fee", b"{}", {"Content-Type": "application/json"}, 415),
        ("/bridge/v1/enrol", b"a=b", {}, 404),
        ("/bridge/v1/lots/1001/reports", b"a=b", {}, 404),
        ("/v1/commands", b"a=b", {"Authorization": "Bearer token"}, 404),
        ("/webhooks/sandbox", b"a=b", {}, 404),
    ],
)
def test_what_is_no_drivers_form_never_reaches_the_cloud(
    network: LotNetwork, phone_cloud: PhoneCloud, path: str, body: bytes, headers: dict[str, str], status: int
) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    answer = network.post(path.format(code=PLATES.code), body, headers=form | headers)
    assert answer.status_code == status
    assert phone_cloud.seen == []


def test_the_host_is_ours_to_the_letter(network: LotNetwork) -> None:
    assert network.get("/", headers={"Host": "evil.example"}).status_code == 421
    assert network.get("/").status_code == 200


def test_how_a_payment_stands_is_told_by_the_lot_itself(network: LotNetwork, phone_cloud: PhoneCloud) -> None:
    settled, under_way, unknown = (
        network.get("/standing", params={"reference": one}) for one in ("dk-1001-42", "DK-1001-43", "ＤＫ－1001－9")
    )
    assert (settled.status_code, under_way.status_code, unknown.status_code) == (200, 200, 200)
    assert "Settled." in settled.text
    assert "being settled" in under_way.text
    assert "not heard" in unknown.text
    assert len({len(one.content) for one in (settled, under_way, unknown)}) == 1
    assert "refresh" not in settled.headers
    assert under_way.headers["refresh"] == unknown.headers["refresh"]
    assert network.get("/standing", params={"reference": "1 or 1"}).status_code == 400
    assert phone_cloud.seen == []


def test_with_the_lots_line_down_the_page_says_what_to_do(
    threads_clean: None, caplog: pytest.LogCaptureFixture
) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        with listening(f"http://127.0.0.1:{nobody.getsockname()[1]}") as network:
            answer = network.get(f"/p/{TOKEN}")
            assert answer.status_code == 502
            assert TOKEN not in caplog.text
            assert "code on your phone" in answer.text
            assert "127.0.0.1" not in answer.text
            assert network.get("/standing", params={"reference": "DK-1001-42"}).status_code == 200


@pytest.mark.parametrize("fault", ["too long", "silent", "leads to http"])
def test_a_cloud_that_answers_badly_costs_an_apology(
    network: LotNetwork, phone_cloud: PhoneCloud, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    monkeypatch.setattr(cloud_way, "SILENCE_SECONDS", 0.2)
    phone_cloud.answer = {
        "too long": plain(200, b"x" * (cloud_way.MOST_BYTES + 1)),
        "silent": lambda _: phone_cloud.gate.wait(5) and None,
        "leads to http": plain(303, b"", Location="http://evil.example/"),
    }[fault]
    answer = network.get(LOT)
    assert answer.status_code == 502
    assert "location" not in answer.headers


def test_one_phone_that_asks_without_end_is_told_to_wait_and_the_page_goes_on(phone_cloud: PhoneCloud) -> None:
    with listening(phone_cloud.url, Buckets(burst=5, per_second=0.001)) as network:
        said = [network.get("/").status_code for _ in range(7)]
        assert said == [200] * 5 + [429] * 2
        assert network.get(LOT).headers["retry-after"] == "30"
        assert phone_cloud.seen == []


def test_phones_beyond_what_the_line_takes_are_told_at_once(
    network: LotNetwork, phone_cloud: PhoneCloud, until: Callable[[Callable[[], bool]], None]
) -> None:
    phone_cloud.answer = lambda handler: (phone_cloud.gate.wait(5), plain(200, b"late")(handler))[1]
    answers: list[requests.Response] = []
    phones = [
        threading.Thread(target=lambda: answers.append(network.get(LOT)))
        for _ in range(server.AT_ONCE + server.WAITING + 3)
    ]
    for one in phones:
        one.start()
    until(lambda: len(answers) == 3)
    assert [(one.status_code, one.headers["retry-after"]) for one in answers] == [(503, "5")] * 3
    assert len(phone_cloud.seen) <= server.AT_ONCE
    phone_cloud.gate.set()
    for one in phones:
        one.join()
    assert [one.status_code for one in answers[3:]] == [200] * (server.AT_ONCE + server.WAITING)


def test_a_form_that_never_arrives_is_given_up(network: LotNetwork, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "BODY_SECONDS", 0.2)
    host, port = network.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as phone:
        phone.sendall(
            f"POST {LOT}/fee HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/x-www-form-urlencoded\r\n"
            "Content-Length: 100\r\n\r\nname=".encode()
        )
        assert phone.recv(100).startswith(b"HTTP/1.1 408")


@pytest.fixture(scope="module")
def patient_network(module_threads_clean: None) -> Iterator[LotNetwork]:
    """No cloud behind it, and no limit on requests."""
    with listening("http://127.0.0.1:9", Buckets(burst=1e9)) as made:
        yield made


targets = st.binary(max_size=60).map(lambda raw: bytes(byte for byte in raw if byte > 32 and byte != 127))
queries = st.sampled_from([b"", b"/go", b"/standing", LOT.encode(), f"{LOT}/fee".encode(), b"/p/%ff%00"])


@given(
    st.sampled_from([b"GET", b"POST", b"HEAD", b"PATCH"]), queries, st.sampled_from([b"", b"?", b"/", b"%"]), targets
)
@example(b"GET", b"/standing", b"?", b"\xff=\xff")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_whatever_bytes_come_the_answer_is_a_refusal_and_never_a_defect(
    patient_network: LotNetwork, method: bytes, begin: bytes, sign: bytes, rest: bytes
) -> None:
    host, port = patient_network.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as phone:
        phone.sendall(
            method
            + b" "
            + begin
            + sign
            + rest
            + f" HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode()
        )
        answer = b"".join(iter(lambda: phone.recv(4096), b""))
    assert answer.startswith((b"HTTP/1.1 2", b"HTTP/1.1 3", b"HTTP/1.1 4", b"HTTP/1.1 502")), (begin, sign, rest)
    assert b"Traceback" not in answer


def test_an_address_that_comes_later_is_listened_to_then(threads_clean: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "OPEN_EVERY", 0.05)
    holder = socket.socket()
    holder.bind(("127.0.0.1", 0))
    holder.listen()
    page = LotPage(holder.getsockname(), (PLATES,), CloudWay(CLOUD, None), CLOUD, lambda _lot, _number: None)
    page.start()
    assert page.wait(0.3) == ""
    holder.close()
    assert page.wait(5)
    page.stop()


def test_a_page_that_never_could_listen_ends_as_well(threads_clean: None) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        page = LotPage(holder.getsockname(), (PLATES,), CloudWay(CLOUD, None), CLOUD, lambda _lot, _number: None)
        page.start()
        page.stop()
        assert page.wait(0) == ""
