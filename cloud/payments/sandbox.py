"""The payment provider port on the sandbox provider. Every call has a deadline and is sent once."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

import httpx
import msgspec

from cloud.payments.base import HostedPage, PaymentRequest, ProviderEvent, ProviderState
from cloud.sandbox.wire import (
    KEY_HEADER,
    SIGNATURE_HEADER,
    Opening,
    Statement,
    Sum,
    check,
    read,
)
from parking.errors import BadMessage, Code, NotSent, Refused, Uncertain
from parking.money import Yen, yen

DEADLINE: Final = httpx.Timeout(8.0, connect=2.0)

_NEVER_LEFT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)


class SandboxProvider:
    """Talks to `cloud.sandbox.server`."""

    name = "sandbox"

    def __init__(self, url: str, api_key: str, webhook_secret: str, deadline: httpx.Timeout = DEADLINE) -> None:
        """`url` is where the sandbox is reached, by us and by browsers."""
        headers = {"authorization": f"Bearer {api_key}"} if api_key else {}
        # Proxies of the environment are for strangers, not for a neighbour on this machine.
        self._client = httpx.AsyncClient(base_url=url, headers=headers, timeout=deadline, trust_env=False)
        self._secret = webhook_secret

    async def begin(self, request: PaymentRequest) -> HostedPage:
        """Open a hosted page; the same order id leads to the same page."""
        opening = Opening(
            amount=request.amount,
            description=request.description,
            return_url=request.return_url,
            language=request.language,
            expires_at=request.expires_at,
        )
        statement = await self._call("POST", "/v1/payments", request.order_id, opening)
        return HostedPage(statement.ref, statement.url)

    async def capture(self, order_id: str, provider_ref: str, amount: Yen) -> ProviderEvent:
        """Collect an authorized amount."""
        return _event(await self._call("POST", f"/v1/payments/{provider_ref}/capture", order_id, Sum(amount=amount)))

    async def void(self, order_id: str, provider_ref: str) -> ProviderEvent:
        """Let an authorization go."""
        return _event(await self._call("POST", f"/v1/payments/{provider_ref}/void", order_id))

    async def refund(self, order_id: str, provider_ref: str, amount: Yen) -> ProviderEvent:
        """Give captured money back."""
        return _event(await self._call("POST", f"/v1/payments/{provider_ref}/refund", order_id, Sum(amount=amount)))

    async def query(self, order_id: str, provider_ref: str) -> ProviderEvent:
        """The payment's state now."""
        return _event(await self._call("GET", f"/v1/payments/{provider_ref}", order_id))

    async def changed_since(self, since: datetime) -> list[ProviderEvent]:
        """The present state of every payment that changed at or after `since`."""
        try:
            answer = await self._client.get("/v1/payments", params={"since": since.isoformat()})
        except httpx.HTTPError as error:
            raise NotSent(Code.PROVIDER, f"sandbox not reached: {type(error).__name__}") from error
        if not answer.is_success:
            raise Refused(Code.PROVIDER, f"sandbox: {answer.status_code} {answer.text[:200]}")
        try:
            return [_event(statement) for statement in msgspec.json.decode(answer.content, type=list[Statement])]
        except msgspec.MsgspecError as error:
            raise BadMessage(Code.BAD_MESSAGE, f"garbled list from the sandbox: {error}") from error

    def parse_webhook(self, headers: Mapping[str, str], body: bytes, now: datetime) -> ProviderEvent:
        """Verify and read a webhook; raises BadMessage(BAD_SIGNATURE | BAD_MESSAGE)."""
        shown = next((value for name, value in headers.items() if name.lower() == SIGNATURE_HEADER), "")
        check(self._secret, shown, body, now)
        return _event(read(body, Statement), prefix="")

    async def close(self) -> None:
        """Give connections back."""
        await self._client.aclose()

    async def _call(self, method: str, path: str, order_id: str, body: msgspec.Struct | None = None) -> Statement:
        content = msgspec.json.encode(body) if body else None
        try:
            answer = await self._client.request(method, path, content=content, headers={KEY_HEADER: order_id})
        except _NEVER_LEFT as error:
            raise NotSent(
                Code.PROVIDER, f"sandbox not reached: {type(error).__name__}", "is the sandbox process running?"
            ) from error
        except httpx.HTTPError as error:
            raise Uncertain(Code.PROVIDER, f"no answer from the sandbox: {type(error).__name__}") from error
        if answer.is_client_error:
            raise Refused(Code.PROVIDER, f"sandbox: {answer.status_code} {answer.text[:200]}")
        if not answer.is_success:
            raise Uncertain(Code.PROVIDER, f"sandbox: {answer.status_code}")
        return _statement(answer.content, order_id)


def _statement(raw: bytes, order_id: str) -> Statement:
    try:
        statement = read(raw, Statement)
    except BadMessage as error:
        raise Uncertain(Code.PROVIDER, f"garbled answer from the sandbox: {error.detail}") from error
    if statement.order_id != order_id:
        raise Refused(Code.PROVIDER, "the sandbox answered about another order")
    return statement


def _event(statement: Statement, prefix: str = "poll:") -> ProviderEvent:
    """A statement that we fetched gets an id of its own; the same state fetched twice is one event."""
    return ProviderEvent(
        event_id=f"{prefix}{statement.event_id}",
        order_id=statement.order_id,
        provider_ref=statement.ref,
        state=ProviderState(statement.state),
        amount=yen(statement.amount),
        at=statement.at,
        reason=statement.reason,
    )
