"""Who sent a bridge's request: RFC 9421 signatures with the bridge's Ed25519 key, the body's digest, clock and nonce.

Covered: @method, @authority, @target-uri and content-digest; parameters: created, nonce, keyid (the bridge's id), alg
ed25519, tag "daiko-bridge". The target URI is rebuilt from `public_url`, so that a proxy may stand in front.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from http_message_signatures import (
    HTTPMessageVerifier,
    HTTPSignatureKeyResolver,
    InvalidSignature,
    VerifyResult,
    algorithms,
)
from sqlalchemy import insert, update
from sqlalchemy.exc import IntegrityError

from cloud import enrolment
from cloud.enrolment import NEW_CODE, Bridge
from cloud.schema import bridges, nonces
from cloud.store import Store
from parking.errors import BadMessage, Code, Refused

TAG: Final = "daiko-bridge"
COVERED: Final = ("@method", "@authority", "@target-uri", "content-digest")
SKEW: Final = timedelta(seconds=120)
_KEY_ID: Final = re.compile(r';keyid="([A-Za-z0-9_-]{1,32})"')


@dataclass(frozen=True, slots=True)
class Signed:
    """A request as it is checked; `url` is the one that the bridge addressed."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes


class _OneKey(HTTPSignatureKeyResolver):
    def __init__(self, bridge: Bridge) -> None:
        self._bridge = bridge

    def resolve_public_key(self, key_id: str) -> Ed25519PublicKey | None:
        return Ed25519PublicKey.from_public_bytes(self._bridge.public_key) if key_id == self._bridge.id else None


class _Verifier(HTTPMessageVerifier):
    # `created` is judged below by our own clock and with a code of its own
    max_clock_skew = timedelta(days=36_500)


async def authenticate(store: Store, request: Signed, now: datetime, *, waiting: bool = False) -> Bridge:
    """The bridge that signed a request; its nonce is used up. With `waiting`, one that is not approved yet may ask too.

    Raises Refused(NOT_ENROLLED | NOT_APPROVED | CLOCK | REPLAYED), BadMessage(BAD_SIGNATURE).
    """
    named = _KEY_ID.search(request.headers.get("signature-input", ""))
    if named is None:
        raise BadMessage(Code.BAD_SIGNATURE, "the request is not signed", NEW_CODE)
    async with store.read() as db:
        bridge = await enrolment.find(db, named[1], now)
    if bridge is None:
        raise Refused(Code.NOT_ENROLLED, f"bridge {named[1]} is unknown", NEW_CODE)
    signature = verify(request, bridge)
    enrolment.admit(bridge, waiting=waiting)
    created, nonce = signature.parameters.get("created"), signature.nonce
    if not isinstance(created, int) or not nonce or len(nonce) > 64:
        raise BadMessage(Code.BAD_SIGNATURE, "the signature lacks created or nonce")
    if abs(now - datetime.fromtimestamp(created, UTC)) > SKEW:
        detail = f"the request was made at {created}, the cloud's time is {int(now.timestamp())}"
        raise Refused(Code.CLOCK, detail, "set the clock of this PC (NTP)")
    try:
        async with store.write() as tx:
            await tx.connection.execute(insert(nonces).values(bridge_id=bridge.id, nonce=nonce, seen_at=now))
            await tx.connection.execute(update(bridges).where(bridges.c.id == bridge.id).values(heard_at=now))
    except IntegrityError as error:
        raise Refused(Code.REPLAYED, "this request was made before") from error
    return bridge


def verify(request: Signed, bridge: Bridge) -> VerifyResult:
    """Check digest and signature; raises BadMessage(BAD_SIGNATURE)."""
    expected = f"sha-256=:{base64.b64encode(hashlib.sha256(request.body).digest()).decode()}:"
    digest = request.headers.get("content-digest", "")
    if not any(hmac.compare_digest(member.strip().encode(), expected.encode()) for member in digest.split(",")):
        raise BadMessage(Code.BAD_SIGNATURE, "content-digest does not match the body")
    verifier = _Verifier(signature_algorithm=algorithms.ED25519, key_resolver=_OneKey(bridge))
    try:
        found = verifier.verify(request, max_age=None, expect_tag=TAG, require_components=COVERED)
    except InvalidSignature as error:
        raise BadMessage(Code.BAD_SIGNATURE, f"the signature does not hold: {error}", NEW_CODE) from error
    if len(found) != 1:
        raise BadMessage(Code.BAD_SIGNATURE, "exactly one signature is wanted")
    return found[0]
