"""POST /webhooks/{provider}: what is answered decides whether the provider comes back."""

import logging
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from cloud.payments.base import ProviderState
from cloud.sandbox.wire import Statement, signature
from cloud.views import PaymentStage
from parking.errors import Code, DaikoError, Refused

SECRET = "webhook-secret"


@pytest.fixture
def send(site):
    def post(order: str, event_id: str = "evt_x", secret: str = SECRET, age: float = 0, **values):
        now = datetime.now(UTC)
        said = {"state": ProviderState.AUTHORIZED, "amount": 700, **values}
        body = msgspec.json.encode(Statement(event_id=event_id, order_id=order, ref="sbx", at=now, **said))
        header = {"Sandbox-Signature": signature(secret, body, now - timedelta(seconds=age))}
        with site.browser() as client:
            return client.post("/webhooks/sandbox", content=body, headers=header)

    return post


def test_an_event_is_committed_before_it_is_answered(site, send):
    token = site.quote()
    site.pay(token)
    assert send(token, f"evt-{token}").status_code == 200
    assert site.till.payments[token].stage is PaymentStage.RELEASING


def test_a_repeated_event_is_answered_alike_and_changes_nothing(site, send):
    token = site.quote()
    site.pay(token)
    assert send(token, f"evt-{token}").status_code == 200
    version = site.till.payments[token].version
    assert send(token, f"evt-{token}").status_code == 200
    assert site.till.payments[token].version == version


@pytest.mark.parametrize("forged", [{"secret": "guessed"}, {"age": 301}, {"age": -301}])
def test_an_unsigned_or_stale_event_is_turned_away(site, send, forged):
    token = site.quote()
    site.pay(token)
    assert send(token, **forged).status_code == 401
    assert site.till.payments[token].stage is PaymentStage.OPEN


def test_a_garbled_event_is_a_bad_request(site):
    body = b"{'not': json}"
    with site.browser() as client:
        header = {"Sandbox-Signature": signature(SECRET, body, datetime.now(UTC))}
        answer = client.post("/webhooks/sandbox", content=body, headers=header)
    assert answer.status_code == 400
    assert answer.json()["code"] == "bad-message"


def test_a_provider_that_we_do_not_know_is_not_found(site):
    with site.browser() as client:
        assert client.post("/webhooks/unheard-of", content=b"{}").status_code == 404


def test_an_order_that_is_not_ours_is_logged_and_never_sent_again(site, send, caplog):
    with caplog.at_level(logging.WARNING, "cloud.webhooks"):
        assert send("an-order-of-somebody-else").status_code == 200
    assert [record.levelname for record in caplog.records if record.name == "cloud.webhooks"] == ["WARNING"]


def test_a_contradiction_is_an_error_in_the_log_and_never_sent_again(site, send, caplog):
    token = site.quote()
    site.pay(token)
    with caplog.at_level(logging.WARNING, "cloud.webhooks"):
        assert send(token, f"evt-{token}", amount=1).status_code == 200
    assert [record.levelname for record in caplog.records if record.name == "cloud.webhooks"] == ["ERROR"]
    assert site.till.payments[token].stage is PaymentStage.OPEN


@pytest.mark.parametrize("broken", [OSError("disk full"), DaikoError(Code.DISK, "full"), Refused(Code.BUG, "odd")])
def test_what_was_not_committed_is_asked_for_again(site, send, broken, caplog):
    site.till.broken = broken
    try:
        answer = send("whatever")
    finally:
        site.till.broken = None
    assert answer.status_code == 500
    assert "full" not in answer.text


def test_a_huge_body_is_refused(site):
    with site.browser() as client:
        assert client.post("/webhooks/sandbox", content=b"x" * 70_000).status_code == 413


def test_lost_repeated_and_reordered_webhooks_end_in_the_same_stage(site):
    for wish in ({"behave": "repeat_webhook", "times": 3}, {"behave": "reorder"}):
        token = site.quote()
        site.pay(token)
        ref = site.till.refs[token]
        site.sandbox.wish(ref=ref, **wish)
        site.sandbox.wish("approve", ref)
        site.wait(lambda token=token: site.till.payments[token].stage is PaymentStage.RELEASING)
    token = site.quote()
    site.pay(token)
    ref = site.till.refs[token]
    site.sandbox.wish("lose_webhook", ref)
    site.sandbox.wish("approve", ref)
    polled = site.run(site.till.provider.query(token, ref))
    site.run(site.till.apply(polled))
    assert site.till.payments[token].stage is PaymentStage.RELEASING
