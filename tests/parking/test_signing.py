"""Keys are kept, shown, compared and carried as text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parking.errors import BadMessage, Code
from parking.signing import KeyRing, SigningKey, fingerprint, from_text, to_text


def test_a_key_is_rebuilt_from_its_seed() -> None:
    key = SigningKey.generate(7)
    again = SigningKey.from_seed(7, key.seed)
    assert again.public_bytes == key.public_bytes
    KeyRing({7: key.public_bytes}).verify(7, b"d", b"payload", again.sign(b"d", b"payload"))


def test_no_two_keys_are_the_same() -> None:
    assert SigningKey.generate(1).seed != SigningKey.generate(1).seed


def test_payload_and_domain_cannot_be_shifted_into_each_other() -> None:
    key = SigningKey.generate(1)
    ring = KeyRing({1: key.public_bytes})
    signature = key.sign(b"daiko", b"pay")
    for domain, payload in ((b"daikop", b"ay"), (b"daik", b"opay"), (b"", b"daiko\0pay")):
        with pytest.raises(BadMessage) as refused:
            ring.verify(1, domain, payload, signature)
        assert refused.value.code is Code.BAD_SIGNATURE


@pytest.mark.parametrize("signature", [b"", b"\0" * 64, b"x" * 63, b"x" * 65])
def test_a_malformed_signature_is_refused(signature: bytes) -> None:
    with pytest.raises(BadMessage) as refused:
        KeyRing({1: SigningKey.generate(1).public_bytes}).verify(1, b"d", b"p", signature)
    assert refused.value.code is Code.BAD_SIGNATURE


@pytest.mark.parametrize("raw", [b"", b"x" * 31, b"x" * 33])
def test_a_malformed_key_does_not_enter_a_ring(raw: bytes) -> None:
    with pytest.raises(BadMessage) as refused:
        KeyRing({1: raw})
    assert refused.value.code is Code.UNKNOWN_KEY


@given(st.binary(max_size=100))
def test_bytes_come_back_from_text(raw: bytes) -> None:
    text = to_text(raw)
    assert from_text(text) == raw
    assert "=" not in text
    assert "+" not in text
    assert "/" not in text


@pytest.mark.parametrize("text", ["A", "AAAAA", "A=A", "鍵", "A A=", "AA\n"])
def test_what_is_no_base64url_is_refused(text: str) -> None:
    with pytest.raises(BadMessage) as refused:
        from_text(text)
    assert refused.value.code is Code.BAD_MESSAGE


def test_a_fingerprint_is_what_two_people_can_read_to_each_other() -> None:
    assert fingerprint(bytes(32)) == "6668-7AAD-F862-BD77"
    assert fingerprint(bytes(31) + b"\1") != fingerprint(bytes(32))
