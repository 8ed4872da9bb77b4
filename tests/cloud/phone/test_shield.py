"""What every answer carries, whose forms are taken, and that no address, header or file leads astray."""

import asyncio
import contextlib
import re
import socket
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from cloud import app, phone, webhooks
from cloud.config import CloudConfig, completion_keys

FOREIGN = "https://elsewhere.example"
ALWAYS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


def raw(url: str, request_line: bytes, *headers: bytes) -> bytes:
    """The answer to bytes that no client library would send."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname, parts.port), 5) as wire:
        wire.settimeout(5)
        wire.sendall(b"\r\n".join((request_line, b"Host: x", b"Connection: close", *headers, b"", b"")))
        answer = b""
        with contextlib.suppress(ConnectionResetError):  # it need not read all that it refuses
            while piece := wire.recv(65_536):
                answer += piece
    return answer


# --- headers ---------------------------------------------------------------------------------------------------------

DOORS = [
    ("GET", "/", 200),
    ("GET", "/nowhere", 404),
    ("DELETE", "/", 405),
    ("GET", "/healthz", 200),
    ("GET", "/sw.js", 200),
    ("GET", "/static/phone.css", 200),
    ("GET", "/static/nothing.css", 404),
    ("POST", "/bridge/v1/enrol", 400),
    ("GET", "/bridge/v1/lots/1001/feed", 401),
    ("GET", "/bridge/v1/nowhere", 404),
    ("POST", "/l/NXSVCH99/fee", 404),
]


def test_whatever_is_answered_cannot_be_sniffed_framed_or_read_by_another_site(cloud):
    for method, path, status in DOORS:
        answer = httpx.request(method, cloud.url + path, trust_env=False, timeout=5)
        assert answer.status_code == status, path
        assert {name: answer.headers.get(name) for name in ALWAYS} == ALWAYS, path
        policy = answer.headers["content-security-policy"]
        for directive in ("default-src", "base-uri 'none'", "frame-ancestors 'none'"):
            assert directive in policy, path
        assert "cache-control" in answer.headers, path
        assert "access-control-allow-origin" not in answer.headers, path
        assert "server" not in answer.headers, path


def test_every_body_says_what_it_is(cloud):
    for method, path, _ in DOORS:
        answer = httpx.request(method, cloud.url + path, trust_env=False, timeout=5)
        kind = answer.headers["content-type"]
        assert re.fullmatch(r"application/json|text/(html|css|plain|javascript); charset=utf-8", kind), path
        assert answer.text.lstrip().startswith("{") is (kind == "application/json"), path


@pytest.fixture
def by_tls(config: CloudConfig) -> httpx.AsyncClient:
    """The whole app, as a phone reaches it through a proxy that ends TLS."""
    keys = completion_keys(Path(config.key_file))
    made = app.build(config, keys, {}, "https://pay.example", [*phone.routes, *webhooks.routes])
    return httpx.AsyncClient(transport=httpx.ASGITransport(made.app), base_url="http://127.0.0.1:8080")


@pytest.mark.parametrize("path", ["/", "/nowhere", "/static/phone.css", "/bridge/v1/nowhere"])
def test_where_phones_come_by_tls_they_are_told_to_come_by_nothing_else(by_tls, site, path):
    answer = asyncio.run(by_tls.get(path))
    assert answer.headers["strict-transport-security"] == "max-age=31536000; includeSubDomains"
    with site.browser() as plain:
        assert "strict-transport-security" not in plain.get(path).headers


def test_the_remembered_language_is_for_this_host_alone_and_for_no_script(by_tls):
    cookie = asyncio.run(by_tls.get("/?lang=en")).headers["set-cookie"]
    name, *rest = cookie.split("; ")
    assert name == "__Host-lang=en"
    assert {part.lower() for part in rest} >= {"secure", "httponly", "samesite=lax", "path=/"}
    assert not any(part.lower().startswith("domain") for part in rest)


def test_the_remembered_language_is_honoured(by_tls):
    async def pages() -> tuple[str, str]:
        known = {"cookie": "__Host-lang=en", "accept-language": "ja"}
        planted = {"cookie": "lang=en", "accept-language": "ja"}
        return (await by_tls.get("/", headers=known)).text, (await by_tls.get("/", headers=planted)).text

    remembered, planted = asyncio.run(pages())
    assert '<html lang="en">' in remembered
    assert '<html lang="ja">' in planted, "a name that plain HTTP could have set is not believed"


# --- whose forms -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "taken"),
    [
        ({"sec-fetch-site": "same-origin"}, True),
        ({"sec-fetch-site": "none"}, True),
        ({"sec-fetch-site": "cross-site"}, False),
        ({"sec-fetch-site": "same-site"}, False),
        ({"sec-fetch-site": "cross-site", "origin": "OURS"}, False),
        ({"origin": "OURS"}, True),
        ({"origin": FOREIGN}, False),
        ({"origin": "null"}, False),
        ({"origin": "http://[broken"}, False),
        ({}, True),
    ],
)
@pytest.mark.parametrize("form", ["fee", "pay", "claim"])
def test_only_our_own_pages_send_our_forms(site, headers, taken, form):
    bay, token = site.park(), site.quote()
    path = "/l/WAKABA1/fee" if form == "fee" else f"/q/{token}/{form}"
    sent = {name: site.url if value == "OURS" else value for name, value in headers.items()}
    with site.browser("en") as phone:
        answer = phone.post(path, data={"name": bay}, headers=sent)
    assert (answer.status_code != 403) is taken
    if not taken:
        assert token not in site.till.payments
        assert "Traceback" not in answer.text


def test_a_link_from_anywhere_is_followed(site):
    with site.browser() as phone:
        assert phone.get("/l/WAKABA1", headers={"sec-fetch-site": "cross-site"}).status_code == 200


# --- where nothing leads ---------------------------------------------------------------------------------------------


def test_whoever_is_named_in_the_host_header_is_named_on_no_page(site):
    token = site.quote()
    with site.browser() as phone:
        for path in ("/", "/l/NXSVCH99", "/nowhere", f"/q/{token}"):
            assert "elsewhere" not in phone.get(path, headers={"host": "elsewhere.example"}).text


@pytest.mark.parametrize(
    "path", ["//elsewhere.example", "//elsewhere.example/x", "/%09/elsewhere.example", "/%5Celsewhere.example", "///x"]
)
def test_no_address_makes_a_page_link_elsewhere(site, path):
    page = raw(site.url, f"GET {path} HTTP/1.1".encode()).decode()
    links = re.findall(r'(?:href|action)="([^"]*)"', page)
    assert links
    assert [link for link in links if re.match(r"/[/\\\s]|[a-z]+:", link)] == []


@pytest.mark.parametrize("code", ["%0d%0aX-Planted:%20yes", "%0aSet-Cookie:%20a=b", "%E2%80%A8", "..%2f..", "a%3Fb"])
@pytest.mark.parametrize("path", ["/l/{}/fee", "/q/{}/pay", "/c/{}/pay"])
def test_a_redirect_stays_here_and_plants_no_header(site, path, code):
    answer = raw(site.url, f"GET {path.format(code)} HTTP/1.1".encode())
    head = answer.partition(b"\r\n\r\n")[0].lower()
    assert b"x-planted" not in [line.split(b":")[0] for line in head.split(b"\r\n")]
    assert b"\r\nset-cookie" not in head
    for where in re.findall(rb"\r\nlocation: ([^\r\n]*)", head):
        assert re.match(rb"/[a-z]/", where)


@pytest.mark.parametrize(
    "typed", ["//elsewhere.example", "https://elsewhere.example", "javascript:alert(1)", "\r\nX: y", "/\\elsewhere"]
)
def test_a_typed_code_leads_to_a_lot_or_nowhere(site, typed):
    with site.browser() as phone:
        answer = phone.get("/", params={"code": typed})
    assert answer.status_code == 303
    assert re.fullmatch(r"/l/[A-Z0-9]{1,16}", answer.headers["location"])


UP = ["..", "%2e%2e", "..%2f..", "%2e%2e%2f%2e%2e", "..\\..", "%5c..", "....//", "%252e%252e", "./.."]
BESIDE = ["templates/base.html", "config.py", "app.py", "/etc/passwd", "%2fetc%2fpasswd"]


def test_static_files_are_the_static_files_alone(site):
    """The folder lies beside the templates and the program itself."""
    odd = ["/static//etc/passwd", "/static/%00", "/static/phone.css%00.html", "/static/."]
    for path in [*(f"/static/{way}/{name}" for way in UP for name in BESIDE), *odd]:
        answer = raw(site.url, f"GET {path} HTTP/1.1".encode())
        assert answer.startswith((b"HTTP/1.1 404", b"HTTP/1.1 400", b"HTTP/1.1 405")), path
        assert b"root:" not in answer, path
        assert b"{% block" not in answer, path


@pytest.mark.parametrize("folder", ["/static", "/static/"])
def test_no_folder_is_listed(site, folder):
    answer = raw(site.url, f"GET {folder} HTTP/1.1".encode())
    assert answer.startswith((b"HTTP/1.1 404", b"HTTP/1.1 405"))
    assert b"phone.css\n" not in answer


@pytest.mark.parametrize("method", ["TRACE", "CONNECT", "PUT", "PATCH", "DELETE", "PROPFIND"])
def test_methods_that_nobody_needs_are_refused(cloud, method):
    for path in ("/", "/healthz", "/bridge/v1/enrol", "/static/phone.css"):
        answer = raw(cloud.url, f"{method} {path} HTTP/1.1".encode(), b"X-Secret: heard")
        assert re.match(rb"HTTP/1.1 (400|404|405|501) ", answer), path
        assert b"heard" not in answer, path


def test_no_description_of_the_inside_is_served(cloud):
    for path in ("/docs", "/schema", "/schema/openapi.json", "/openapi.json", "/.git/config", "/.env", "/metrics"):
        assert httpx.get(cloud.url + path, trust_env=False, timeout=5).status_code == 404, path


def test_a_smuggled_request_is_refused(cloud):
    """A body of two lengths: what one reads as the body, another takes for the next request."""
    both = raw(cloud.url, b"POST / HTTP/1.1", b"Content-Length: 4", b"Transfer-Encoding: chunked")
    two = raw(cloud.url, b"POST / HTTP/1.1", b"Content-Length: 4", b"Content-Length: 5")
    assert two.startswith(b"HTTP/1.1 400")
    assert both.count(b"HTTP/1.1 ") == 1
    long = raw(cloud.url, b"GET / HTTP/1.1", b"X: " + b"x" * 200_000)
    assert long.startswith((b"HTTP/1.1 400", b"HTTP/1.1 431"))


@pytest.mark.parametrize("seen", ["9" * 5000, "-1", "1e9", ""])
def test_an_event_number_that_cannot_be_is_no_defect(site, seen):
    token = site.quote()
    site.pay(token)
    with site.browser() as phone, phone.stream("GET", f"/p/{token}/events", headers={"last-event-id": seen}) as answer:
        assert answer.status_code == 200
