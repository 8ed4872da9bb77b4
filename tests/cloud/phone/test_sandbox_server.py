"""The sandbox provider as a process: its rules of money, its webhooks, and its misbehaviour on demand."""

import json
import signal
import socketserver
import threading
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

from cloud.sandbox.ledger import Ledger
from cloud.sandbox.server import main
from cloud.sandbox.wire import check
from parking.errors import BadMessage, Code, Environment

SECRET = "webhook-secret"


class Shop(ThreadingHTTPServer):
    """A shop that takes webhooks, and refuses as many of the first as it is told."""

    daemon_threads = True

    def __init__(self, port: int = 0) -> None:
        self.seen: list[dict] = []
        self.raw: list[tuple[str, bytes]] = []
        self.refuse = 0
        super().__init__(("127.0.0.1", port), _Door)
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/hook"

    def states(self, ref: str) -> list[str]:
        return [event["state"] for event in self.seen if event["ref"] == ref]


class _Door(BaseHTTPRequestHandler):
    server: Shop

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.raw.append((self.headers["sandbox-signature"], body))
        refused = self.server.refuse > 0
        self.server.refuse -= refused
        if not refused:
            self.server.seen.append(json.loads(body))
        self.send_response(503 if refused else 200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Quiet."""


@pytest.fixture(scope="module")
def shop():
    with Shop() as there:
        yield there
        there.shutdown()


@pytest.fixture(scope="module")
def box(shop, sandbox_process, tmp_path_factory):
    process = sandbox_process(shop.url, tmp_path_factory.mktemp("box"), ()).start()
    yield process
    process.stop()


@pytest.fixture
def open_payment(box, request):
    """Opens a payment; each gets an order of its own."""

    def start(amount: int = 700, process=None, order: str = "", seconds: float = 300) -> dict:
        order = order or f"{request.node.name}-{datetime.now(UTC).timestamp()}"
        body = {
            "amount": amount, "description": "Lot 1, bay 7", "return_url": "http://127.0.0.1:1/p/x", "language": "ja",
            "expires_at": (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat(),
        }  # fmt: skip
        answer = (process or box).ask("POST", "/v1/payments", body, idempotency_key=order)
        return {"status": answer.status_code, **answer.json()}

    return start


def act(box, ref, verb, amount=None):
    return box.ask("POST", f"/v1/payments/{ref}/{verb}", None if amount is None else {"amount": amount})


def press(box, ref, button):
    return httpx.post(f"{box.url}/pay/{ref}", data={"press": button}, trust_env=False, verify=False)


def test_the_same_order_is_the_same_payment_and_another_amount_is_a_conflict(box, open_payment):
    first, again = open_payment(order="o-1"), open_payment(order="o-1")
    assert first["ref"] == again["ref"]
    assert open_payment(701, order="o-1")["status"] == 409
    assert box.history(first["ref"]) == ["opened"]


def test_authorize_then_capture_moves_money_once(box, open_payment):
    ref = open_payment()["ref"]
    assert act(box, ref, "capture", 700).status_code == 409, "nothing is authorized yet"
    assert press(box, ref, "approve").status_code == 303
    assert act(box, ref, "capture", 701).status_code == 409, "more than was authorized"
    first, again = act(box, ref, "capture", 700), act(box, ref, "capture", 700)
    assert first.json() == again.json()
    assert first.json()["state"] == "captured"
    assert act(box, ref, "capture", 699).status_code == 409
    assert act(box, ref, "void").status_code == 409
    assert box.history(ref).count("captured") == 1


def test_a_void_is_for_authorized_payments_and_harmless_to_repeat(box, open_payment):
    ref = open_payment()["ref"]
    assert act(box, ref, "void").status_code == 409
    press(box, ref, "approve")
    assert act(box, ref, "refund", 700).status_code == 409
    assert act(box, ref, "void").json() == act(box, ref, "void").json()
    assert act(box, ref, "capture", 700).status_code == 409
    assert box.history(ref).count("voided") == 1


def test_a_refund_is_for_captured_payments_and_happens_once(box, open_payment):
    ref = open_payment()["ref"]
    press(box, ref, "approve")
    act(box, ref, "capture", 700)
    assert act(box, ref, "refund", 701).status_code == 409
    assert act(box, ref, "refund", 700).json() == act(box, ref, "refund", 700).json()
    assert act(box, ref, "refund", 100).status_code == 409
    assert box.history(ref).count("refunded") == 1


def test_a_challenge_stands_between_the_driver_and_the_approval(box, open_payment):
    ref = open_payment()["ref"]
    assert press(box, ref, "challenge").headers["location"] == f"/pay/{ref}"
    page = httpx.get(f"{box.url}/pay/{ref}", params={"lang": "en"}, trust_env=False, verify=False).text
    assert "Confirm that it is you" in page
    assert 'value="approve"' not in page
    assert press(box, ref, "confirm").status_code == 303
    assert act(box, ref, "capture", 700).status_code == 200


@pytest.mark.parametrize(("language", "button"), [("ja", "承認する"), ("en", "Approve")])
def test_the_hosted_page_says_sandbox_in_both_languages(box, open_payment, language, button):
    ref = open_payment()["ref"]
    page = httpx.get(f"{box.url}/pay/{ref}", params={"lang": language}, trust_env=False, verify=False).text
    assert "SANDBOX" in page
    assert button in page
    press(box, ref, "decline")
    assert press(box, ref, "approve").status_code == 409, "a decision stands"


def test_an_unknown_payment_or_button_is_told(box, open_payment):
    ref = open_payment()["ref"]
    assert press(box, ref, "rob").status_code == 400
    assert press(box, "sbx_none", "approve").status_code == 404
    assert act(box, "sbx_none", "capture", 1).status_code == 404


def test_a_page_left_open_expires_by_itself(box, shop, open_payment, wait):
    ref = open_payment(seconds=0.05)["ref"]
    wait(lambda: shop.states(ref) == ["expired"])
    assert press(box, ref, "approve").status_code == 409


def test_every_decision_is_announced_with_a_signature_and_its_own_event_id(box, shop, open_payment, wait):
    ref = open_payment()["ref"]
    press(box, ref, "approve")
    wait(lambda: shop.states(ref) == ["authorized"])
    act(box, ref, "capture", 700)
    act(box, ref, "capture", 700)
    wait(lambda: len(shop.states(ref)) >= 2)
    assert shop.states(ref) == ["authorized", "captured"]
    assert len({event["event_id"] for event in shop.seen if event["ref"] == ref}) == 2
    for header, body in list(shop.raw):
        check(SECRET, header, body, datetime.now(UTC))
    with pytest.raises(BadMessage):
        check("another secret", header, body, datetime.now(UTC))


def test_a_webhook_that_is_refused_comes_again_until_it_is_taken(own_sandbox, open_payment, wait):
    with Shop() as own:
        own.refuse = 2
        process = own_sandbox(own.url)
        ref = open_payment(process=process)["ref"]
        press(process, ref, "approve")
        wait(lambda: own.states(ref) == ["authorized"])
        assert len({json.loads(body)["event_id"] for _, body in own.raw}) == 1, "it is the same event each time"
        wait(lambda: process.history(ref)[-1] == "webhook_delivered")
        assert process.history(ref).count("webhook_failed") == 2
        own.shutdown()


def test_a_lost_webhook_leaves_the_truth_to_a_query(box, shop, open_payment, wait):
    ref = open_payment()["ref"]
    box.wish("lose_webhook", ref)
    press(box, ref, "approve")
    wait(lambda: "webhook_lost" in box.history(ref))
    assert box.ask("GET", f"/v1/payments/{ref}").json()["state"] == "authorized"
    assert shop.states(ref) == []


def test_a_repeated_webhook_is_the_same_event(box, shop, open_payment, wait):
    ref = open_payment()["ref"]
    box.wish("repeat_webhook", ref, times=3)
    press(box, ref, "approve")
    wait(lambda: len(shop.states(ref)) == 4)
    assert len({event["event_id"] for event in shop.seen if event["ref"] == ref}) == 1


def test_reordered_webhooks_arrive_the_wrong_way_round(box, shop, open_payment, wait):
    ref = open_payment()["ref"]
    box.wish("reorder", ref)
    press(box, ref, "approve")
    act(box, ref, "capture", 700)
    wait(lambda: len(shop.states(ref)) == 2)
    assert shop.states(ref) == ["captured", "authorized"]


def test_decisions_can_be_wished_for_without_a_browser(box, open_payment):
    approved, declined = open_payment()["ref"], open_payment()["ref"]
    box.wish("approve", approved)
    box.wish("decline", declined)
    states = {one["ref"]: one["state"] for one in box.ask("GET", "/v1/payments").json()}
    assert (states[approved], states[declined]) == ("authorized", "declined")


def test_a_wish_for_everybody_decides_at_once_and_can_be_taken_back(own_sandbox, shop, open_payment):
    process = own_sandbox(shop.url)
    process.wish("approve")
    first = open_payment(process=process)
    assert first["state"] == "authorized"
    back = httpx.get(first["url"], trust_env=False, verify=False)
    assert (back.status_code, back.headers["location"]) == (303, "http://127.0.0.1:1/p/x")
    process.wish("normal")
    assert open_payment(process=process)["state"] == "pending"


def test_nobody_without_the_key_is_let_in(box, open_payment):
    ref = open_payment()["ref"]
    for path in ("/v1/payments", f"/v1/payments/{ref}", "/v1/history"):
        assert httpx.get(box.url + path, trust_env=False, verify=False).status_code == 401
    answer = httpx.post(
        f"{box.url}/v1/payments/{ref}/capture", json={"amount": 700}, headers={"authorization": "Bearer x"},
        trust_env=False, verify=False,
    )  # fmt: skip
    assert answer.status_code == 401


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b'{"amount": 0}', b'{"amount": true}', b"\xff", b'{"amount": 700, "surprise": 1}', b'{"amount": 1e9}'],
)
def test_garbled_bodies_are_refused_and_change_nothing(box, open_payment, body):
    ref = open_payment()["ref"]
    press(box, ref, "approve")
    answer = httpx.post(
        f"{box.url}/v1/payments/{ref}/capture", content=body, headers={"authorization": "Bearer shop-key"},
        trust_env=False, verify=False,
    )  # fmt: skip
    assert answer.status_code == 400
    assert answer.json()["error"]
    assert box.ask("GET", f"/v1/payments/{ref}").json()["state"] == "authorized"


def test_the_books_survive_kill_9_and_unannounced_decisions_are_announced(own_sandbox, open_payment, wait, tmp_path):
    with socketserver.TCPServer(("127.0.0.1", 0), None) as placeholder:
        port = placeholder.server_address[1]
    books = tmp_path / "books.jsonl"
    process = own_sandbox(f"http://127.0.0.1:{port}/hook", "--state", str(books))
    captured, pending = open_payment(process=process, order="a")["ref"], open_payment(process=process, order="b")["ref"]
    press(process, captured, "approve")
    act(process, captured, "capture", 700)
    address = process.url.removeprefix("http://")
    process.stop(signal.SIGKILL)
    books.write_bytes(books.read_bytes() + b'{"seq": 99, "what": "half a li')
    with Shop(port) as own:
        process.start(address)
        states = {one["ref"]: one["state"] for one in process.ask("GET", "/v1/payments").json()}
        assert states == {captured: "captured", pending: "pending"}
        assert open_payment(process=process, order="a")["ref"] == captured
        wait(lambda: sorted(own.states(captured)) == ["authorized", "captured"])
        own.shutdown()
    later = open_payment(process=process, order="c")["ref"]
    process.stop(signal.SIGKILL)
    process.start(address)
    refs = {one["ref"] for one in process.ask("GET", "/v1/payments").json()}
    assert refs == {captured, pending, later}, "what came after the torn line is read again"
    sequence = [entry["seq"] for entry in process.ask("GET", "/v1/history").json()]
    assert sequence == list(range(1, len(sequence) + 1))


@pytest.mark.parametrize("line", [b"not json", b'{"seq": 1}', b'{"some": "other file"}'])
def test_books_that_are_not_ours_are_told_with_place_and_remedy(tmp_path, line):
    file = tmp_path / "books.jsonl"
    file.write_bytes(line + b"\n")
    with pytest.raises(Environment) as told:
        Ledger(file, lambda _: None)
    assert (told.value.code, "line 1" in told.value.detail) == (Code.JOURNAL, True)
    assert told.value.remedy
    assert file.read_bytes() == line + b"\n", "a file of somebody else is left alone"


def test_an_address_that_is_taken_is_told_with_its_remedy(shop, tmp_path):
    arguments = ["--listen", shop.url.removeprefix("http://").removesuffix("/hook"), "--secret", "s"]
    with pytest.raises(Environment) as told:
        main([*arguments, "--webhook", shop.url, "--run-file", str(tmp_path / "run.json")])
    assert told.value.code is Code.PORT_BUSY
    assert not (tmp_path / "run.json").exists()


def test_a_stop_by_signal_is_a_clean_end(own_sandbox, shop):
    process = own_sandbox(shop.url)
    process.stop(signal.SIGTERM)
    assert process.process.returncode == 0
