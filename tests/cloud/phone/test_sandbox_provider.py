"""The provider port on the sandbox: certainty of every error, and webhooks that are believed only when signed."""

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import msgspec
import pytest

from cloud.payments.base import PaymentRequest, ProviderState
from cloud.payments.sandbox import SandboxProvider
from cloud.sandbox.wire import Statement, signature
from parking.errors import BadMessage, Code, NotSent, Refused, Uncertain
from parking.money import yen

SECRET = "webhook-secret"
NOW = datetime(2026, 11, 23, 5, 0, tzinfo=UTC)
BODY = msgspec.json.encode(
    Statement(event_id="evt_1", order_id="o-1", ref="sbx_1", state=ProviderState.AUTHORIZED, amount=700, at=NOW)
)


@pytest.fixture
def order(request):
    return PaymentRequest(
        f"{request.node.name}-{datetime.now(UTC).timestamp()}",
        yen(700), "Lot 1, bay 7", "http://127.0.0.1:1/p/x", "en",
        datetime.now(UTC) + timedelta(minutes=5),
    )  # fmt: skip


@pytest.fixture
def provider(site):
    async def make(url: str, **values: object) -> SandboxProvider:
        return SandboxProvider(url, "shop-key", SECRET, **values)

    made: list[SandboxProvider] = []

    def start(url: str = "", **values: object) -> SandboxProvider:
        made.append(site.run(make(url or site.sandbox.url, **values)))
        return made[-1]

    yield start
    for each in made:
        site.run(each.close())


def test_a_payment_goes_from_page_to_capture_to_refund(site, provider, order):
    sandbox = provider()
    page, again = site.run(sandbox.begin(order)), site.run(sandbox.begin(order))
    assert page == again
    assert page.url == f"{site.sandbox.url}/pay/{page.provider_ref}"
    site.sandbox.wish("approve", page.provider_ref)
    stated = site.run(sandbox.query(order.order_id, page.provider_ref))
    assert (stated.state, stated.amount, stated.order_id) == (ProviderState.AUTHORIZED, 700, order.order_id)
    captured = site.run(sandbox.capture(order.order_id, page.provider_ref, order.amount))
    assert captured == site.run(sandbox.capture(order.order_id, page.provider_ref, order.amount))
    assert captured.state is ProviderState.CAPTURED
    refunded = site.run(sandbox.refund(order.order_id, page.provider_ref, order.amount))
    assert (refunded.state, refunded.amount) == (ProviderState.REFUNDED, 700)


def test_a_void_is_stated(site, provider, order):
    sandbox = provider()
    page = site.run(sandbox.begin(order))
    site.sandbox.wish("approve", page.provider_ref)
    assert site.run(sandbox.void(order.order_id, page.provider_ref)).state is ProviderState.VOIDED


def test_what_the_provider_declines_is_refused(site, provider, order):
    sandbox = provider()
    page = site.run(sandbox.begin(order))
    with pytest.raises(Refused) as refused:
        site.run(sandbox.capture(order.order_id, page.provider_ref, order.amount))
    assert refused.value.code is Code.PROVIDER
    with pytest.raises(Refused):
        site.run(sandbox.begin(replace(order, amount=yen(701))))


def test_nobody_there_is_certainly_not_sent(site, provider, order, dead_port):
    with pytest.raises(NotSent):
        site.run(provider(f"http://127.0.0.1:{dead_port}").begin(order))


def test_a_lost_reply_is_uncertain_and_the_query_tells_that_it_happened(site, provider, order):
    sandbox = provider()
    page = site.run(sandbox.begin(order))
    site.sandbox.wish("approve", page.provider_ref)
    site.sandbox.wish("lose_reply_once", page.provider_ref)
    with pytest.raises(Uncertain):
        site.run(sandbox.capture(order.order_id, page.provider_ref, order.amount))
    assert site.run(sandbox.query(order.order_id, page.provider_ref)).state is ProviderState.CAPTURED
    assert site.run(sandbox.capture(order.order_id, page.provider_ref, order.amount)).state is ProviderState.CAPTURED
    assert site.sandbox.history(page.provider_ref).count("captured") == 1


def test_a_capture_that_fails_on_purpose_is_uncertain_and_did_not_happen(site, provider, order):
    sandbox = provider()
    page = site.run(sandbox.begin(order))
    site.sandbox.wish("approve", page.provider_ref)
    site.sandbox.wish("fail_capture_once", page.provider_ref)
    with pytest.raises(Uncertain):
        site.run(sandbox.capture(order.order_id, page.provider_ref, order.amount))
    assert site.run(sandbox.query(order.order_id, page.provider_ref)).state is ProviderState.AUTHORIZED
    assert site.run(sandbox.capture(order.order_id, page.provider_ref, order.amount)).state is ProviderState.CAPTURED


def test_a_slow_provider_runs_into_the_deadline_and_is_uncertain(site, provider, order):
    sandbox = provider(deadline=httpx.Timeout(0.3))
    page = site.run(sandbox.begin(order))
    site.sandbox.wish("approve", page.provider_ref)
    site.sandbox.wish("slow", page.provider_ref, seconds=5)
    with pytest.raises(Uncertain):
        site.run(sandbox.capture(order.order_id, page.provider_ref, order.amount))


def test_an_answer_about_another_order_is_not_believed(site, provider, order):
    sandbox = provider()
    page = site.run(sandbox.begin(order))
    with pytest.raises(Refused):
        site.run(sandbox.query("another-order", page.provider_ref))


class Till(BaseHTTPRequestHandler):
    """A provider that agrees to everything, and notes under which key."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        asked = self.path.rpartition("/")[2]
        self.server.keys.append((asked, self.headers.get_all("idempotency-key")))
        state = {"capture": "captured", "void": "voided", "refund": "refunded"}.get(asked, "pending")
        stated = Statement(
            event_id="e", order_id="dk-1", ref="sbx_1", state=ProviderState(state), amount=700, at=NOW, url="http://x/"
        )
        body = msgspec.json.encode(stated)
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def till():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Till)
    server.keys = []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_each_call_has_the_orders_own_key_also_when_it_is_repeated(site, provider, order, till):
    """Under another key, or none, a provider takes a repeated capture or refund for a new one."""
    sandbox = provider(f"http://127.0.0.1:{till.server_port}")
    for _ in range(2):
        site.run(sandbox.begin(replace(order, order_id="dk-1")))
        site.run(sandbox.capture("dk-1", "sbx_1", order.amount))
        site.run(sandbox.refund("dk-1", "sbx_1", order.amount))
        site.run(sandbox.void("dk-1", "sbx_1"))
    once = [(asked, ["dk-1"]) for asked in ("payments", "capture", "refund", "void")]
    assert till.keys == once * 2


# --- webhooks --------------------------------------------------------------------------------------------------------


def test_a_signed_webhook_is_read(site):
    headers = {"Sandbox-Signature": signature(SECRET, BODY, NOW)}
    event = site.till.provider.parse_webhook(headers, BODY, NOW)
    assert (event.event_id, event.order_id, event.state, event.amount) == (
        "evt_1",
        "o-1",
        ProviderState.AUTHORIZED,
        700,
    )


def test_the_signature_is_the_published_one():
    """Computed with `printf '1700000000.{}' | openssl dgst -sha256 -hmac secret`."""
    at = datetime.fromtimestamp(1_700_000_000, UTC)
    wanted = "b8569b78799ff9e3cbff0fc2d63a33a2b57f3282abd07c37ae5e8e7d79a5f163"
    assert signature("secret", b"{}", at) == f"t=1700000000,v1={wanted}"


@pytest.mark.parametrize(
    "forge",
    [
        lambda header, body: ("", body),
        lambda header, body: ("t=,v1=", body),
        lambda header, body: (header.partition(",")[0], body),
        lambda header, body: (header, body.replace(b"700", b"100")),
        lambda header, body: (header[:-1] + ("0" if header[-1] != "0" else "1"), body),
        lambda header, body: (header.replace("t=", "t=1", 1), body),
        lambda header, body: (signature("guessed", body, NOW), body),
        lambda header, body: (signature(SECRET, body, NOW - timedelta(seconds=301)), body),
        lambda header, body: (signature(SECRET, body, NOW + timedelta(seconds=301)), body),
        lambda header, body: (f"t=1,{header}", body),
        lambda header, body: ("t=²,v1=é", body),
    ],
    ids=["none", "empty", "no-mac", "body", "mac", "time", "secret", "stale", "ahead", "two-times", "not-ascii"],
)
def test_a_forged_altered_or_stale_webhook_is_not_believed(site, forge):
    header, body = forge(signature(SECRET, BODY, NOW), BODY)
    with pytest.raises(BadMessage) as refused:
        site.till.provider.parse_webhook({"sandbox-signature": header}, body, NOW)
    assert refused.value.code is Code.BAD_SIGNATURE


def test_while_a_secret_is_changed_one_good_signature_is_enough(site):
    _, _, mac = signature(SECRET, BODY, NOW).partition(",")
    header = f"{signature('old secret', BODY, NOW)},{mac}"
    assert site.till.provider.parse_webhook({"sandbox-signature": header}, BODY, NOW).event_id == "evt_1"


@pytest.mark.parametrize("body", [b"", b"{}", b"[1]", BODY[:-1], BODY.replace(b"authorized", b"stolen"), b"\xff\xfe"])
def test_a_garbled_webhook_is_told_apart_from_a_forged_one(site, body):
    with pytest.raises(BadMessage) as refused:
        site.till.provider.parse_webhook({"sandbox-signature": signature(SECRET, body, NOW)}, body, NOW)
    assert refused.value.code is Code.BAD_MESSAGE
