"""Signs the bridge's requests (RFC 9421, HTTP Message Signatures), body digest (RFC 9530) included.

Covered are method, authority, target URI and Content-Digest, which is sent for empty bodies too, so that nobody can
add one. `created` and a random `nonce` let the cloud refuse what is old or repeated.
"""

import secrets
from collections.abc import Callable
from datetime import datetime
from typing import Final

from http_message_signatures import ContentDigest, HTTPMessageSigner, MappingKeyResolver, algorithms
from requests import PreparedRequest
from requests.auth import AuthBase

from parking.signing import SigningKey, to_text

COVERED: Final = ("@method", "@authority", "@target-uri", "content-digest")
TAG: Final = "daiko-bridge"
NONCE_BYTES: Final = 16

Clock = Callable[[], datetime]
"""Aware UTC, now."""


class RequestSignature(AuthBase):
    """Signs each request that passes as `bridge_id`; thread-safe."""

    def __init__(self, bridge_id: str, key: SigningKey, clock: Clock) -> None:
        self._bridge_id = bridge_id
        self._clock = clock
        self._signer = HTTPMessageSigner(
            signature_algorithm=algorithms.ED25519,
            key_resolver=MappingKeyResolver(public_keys={}, private_keys={bridge_id: key.private}),
        )

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Add Content-Digest, Signature-Input and Signature."""
        body = request.body or b""
        raw = body.encode() if isinstance(body, str) else body
        request.headers["Content-Digest"] = ContentDigest.create(raw)
        self._signer.sign(
            request,
            key_id=self._bridge_id,
            created=self._clock(),
            nonce=to_text(secrets.token_bytes(NONCE_BYTES)),
            label="bridge",
            tag=TAG,
            covered_component_ids=COVERED,
            use_existing_digest=True,
        )
        return request
