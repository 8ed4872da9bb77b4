"""The bridge's signatures hold under a verifier that we did not write, and break when anything covered changes."""

from datetime import UTC, datetime, timedelta

import pytest
import requests
from http_message_signatures import HTTPMessageVerifier, InvalidSignature, MappingKeyResolver, algorithms

from bridge.uplink.signatures import COVERED, TAG, RequestSignature
from parking.signing import SigningKey

KEY = SigningKey.generate(1)


def now():
    return datetime.now(UTC)


def signed(method="POST", url="http://127.0.0.1:8080/bridge/v1/lots/1001/reports?after=3", body=b'{"a":1}', clock=now):
    request = requests.Request(method, url, data=body, auth=RequestSignature("B-7", KEY, clock))
    return request.prepare()


def verify(request, body):
    public = KEY.private.public_key()
    verifier = HTTPMessageVerifier(
        signature_algorithm=algorithms.ED25519,
        key_resolver=MappingKeyResolver(public_keys={"B-7": public}, private_keys={}),
    )
    return verifier.verify(
        request, expect_tag=TAG, require_components=COVERED, max_age=timedelta(seconds=120), body=body
    )[0]


def test_a_request_is_signed_with_all_that_the_cloud_asks_for():
    result = verify(signed(), b'{"a":1}')
    assert result.parameters["keyid"] == "B-7"
    assert result.parameters["alg"] == "ed25519"
    assert result.parameters["tag"] == "daiko-bridge"
    assert abs(result.parameters["created"] - now().timestamp()) < 5
    assert len(result.nonce) == 22  # 16 bytes, base64url
    assert set(result.covered_components) == {f'"{name}"' for name in COVERED} | {'"@signature-params"'}


@pytest.mark.parametrize("body", [None, b"", ""])
def test_an_empty_body_has_a_digest_too_so_that_nobody_can_add_one(body):
    request = signed("GET", body=body)
    assert request.headers["Content-Digest"] == "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:"
    verify(request, b"")
    with pytest.raises(InvalidSignature):
        verify(request, b"added")


def test_text_bodies_are_digested_as_the_bytes_that_are_sent():
    verify(signed(body="若葉"), "若葉".encode())


@pytest.mark.parametrize(
    "change",
    [
        lambda request: setattr(request, "method", "PUT"),
        lambda request: setattr(request, "url", request.url.replace("1001", "1002")),
        lambda request: setattr(request, "url", request.url.replace("after=3", "after=4")),
        lambda request: setattr(request, "url", request.url.replace("8080", "8081")),
        lambda request: request.headers.update({"Content-Digest": "sha-256=:" + "A" * 43 + "=:"}),
        lambda request: request.headers.update(
            {"Signature-Input": request.headers["Signature-Input"].replace("created=1", "created=2")}
        ),
    ],
)
def test_a_change_to_anything_covered_breaks_the_signature(change):
    request = signed()
    change(request)
    with pytest.raises(InvalidSignature):
        verify(request, b'{"a":1}')


def test_another_body_breaks_the_digest():
    with pytest.raises(InvalidSignature):
        verify(signed(), b'{"a":2}')


def test_a_stale_clock_makes_a_stale_signature():
    with pytest.raises(InvalidSignature):
        verify(signed(clock=lambda: now() - timedelta(seconds=200)), b'{"a":1}')


def test_no_two_requests_share_a_nonce():
    assert verify(signed(), b'{"a":1}').nonce != verify(signed(), b'{"a":1}').nonce
