"""The sandbox provider's API for shops (docs/payment-sandbox.md), and its misbehaviour on demand."""

import asyncio
import hmac
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

from litestar import Request, Response, Router, get, post
from litestar.connection import ASGIConnection
from litestar.di import NamedDependency
from litestar.exceptions import NotAuthorizedException
from litestar.handlers import BaseRouteHandler
from litestar.params import FromPath, SkipValidation
from litestar.response.base import ASGIResponse
from litestar.types import Receive, Scope, Send

from cloud.payments.base import ProviderState
from cloud.sandbox.faults import Conduct
from cloud.sandbox.ledger import Entry, Ledger, Paid, Rejected
from cloud.sandbox.wire import KEY_HEADER, Behaviour, Complaint, Opening, Statement, Sum, Wish, read
from parking.errors import BadMessage

AnyRequest = Request[Any, Any, Any]
TheLedger = NamedDependency[SkipValidation[Ledger]]
TheConduct = NamedDependency[SkipValidation[Conduct]]
PublicUrl = NamedDependency[SkipValidation[str]]

_DECISIONS: Final = (Behaviour.APPROVE, Behaviour.DECLINE, Behaviour.CHALLENGE)


class Cut(ASGIResponse):
    """Not a response: the connection ends in the middle of one, as when a line breaks after the work was done."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - the ASGI signature
        """Promise two bytes and send none; the server then closes the connection."""
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})


def key_guard(api_key: str) -> Callable[[ASGIConnection[Any, Any, Any, Any], BaseRouteHandler], None]:
    """A guard that lets in who bears the API key; everybody if there is none."""

    def guard(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
        shown = connection.headers.get("authorization", "").removeprefix("Bearer ").encode()
        if api_key and not hmac.compare_digest(shown, api_key.encode()):
            raise NotAuthorizedException("no or wrong API key")

    return guard


@post("/payments")
async def open_payment(request: AnyRequest, ledger: TheLedger, conduct: TheConduct, public_url: PublicUrl) -> Any:
    """Begin a payment; the order id in the Idempotency-Key header makes a repetition harmless."""
    order_id = request.headers.get(KEY_HEADER, "")
    if not 1 <= len(order_id) <= 255:
        raise Rejected(400, "an Idempotency-Key of 1 to 255 characters is needed: the order id")
    now, opening = _now(), read(await request.body(), Opening)
    paid = ledger.open(order_id, opening, now)
    if paid.state is ProviderState.PENDING:
        decide(ledger, paid.ref, conduct.decision(paid.ref), now)
    base = public_url or str(request.base_url).rstrip("/")
    return await _reply(ledger.payments[paid.ref], conduct, f"{base}/pay/{paid.ref}")


@post("/payments/{ref:str}/capture")
async def capture(request: AnyRequest, ledger: TheLedger, conduct: TheConduct, ref: FromPath[str]) -> Any:
    """Collect."""
    wanted = read(await request.body(), Sum)
    if conduct.takes_once(ref, Behaviour.FAIL_CAPTURE_ONCE):
        ledger.get(ref, _now())
        ledger.remark(ref, "capture_failed_on_purpose", _now())
        raise Rejected(503, "out of order, as was wished")
    return await _reply(ledger.capture(ref, wanted.amount, _now()), conduct)


@post("/payments/{ref:str}/void")
async def void(ledger: TheLedger, conduct: TheConduct, ref: FromPath[str]) -> Any:
    """Let an authorization go."""
    return await _reply(ledger.void(ref, _now()), conduct)


@post("/payments/{ref:str}/refund")
async def refund(request: AnyRequest, ledger: TheLedger, conduct: TheConduct, ref: FromPath[str]) -> Any:
    """Give money back."""
    return await _reply(ledger.refund(ref, read(await request.body(), Sum).amount, _now()), conduct)


@get("/payments/{ref:str}")
async def query(ledger: TheLedger, conduct: TheConduct, ref: FromPath[str]) -> Statement:
    """One payment as it stands."""
    paid = ledger.get(ref, _now())
    await asyncio.sleep(conduct.seconds(ref))
    return paid.statement()


@get("/payments")
async def payments(ledger: TheLedger, since: datetime | None = None) -> list[Statement]:
    """All payments as they stand, in the order of their opening; with `since`, those that changed from then on."""
    found = [ledger.get(ref, _now()).statement() for ref in list(ledger.payments)]
    return [statement for statement in found if since is None or statement.at >= since]


@get("/history")
async def history(ledger: TheLedger) -> list[Entry]:
    """All that ever happened, oldest first; nothing is ever taken out."""
    return ledger.history


@post("/behave", status_code=204)
async def behave(request: AnyRequest, conduct: TheConduct) -> None:
    """Wish for a behaviour towards everybody from now on."""
    conduct.wish(read(await request.body(), Wish))


@post("/payments/{ref:str}/behave", status_code=204)
async def behave_once(request: AnyRequest, ledger: TheLedger, conduct: TheConduct, ref: FromPath[str]) -> None:
    """Wish for a behaviour towards one payment; a decision takes effect at once."""
    wish = read(await request.body(), Wish)
    ledger.get(ref, _now())
    if wish.behave in _DECISIONS:
        decide(ledger, ref, wish.behave, _now())
    else:
        conduct.wish(wish, ref)


def decide(ledger: Ledger, ref: str, decision: Behaviour, now: datetime) -> Paid:
    """Do what a press of the button on the hosted page does; anything else than a decision does nothing."""
    match decision:
        case Behaviour.APPROVE:
            return ledger.authorize(ref, now)
        case Behaviour.DECLINE:
            return ledger.decline(ref, now)
        case Behaviour.CHALLENGE:
            return ledger.challenge(ref, now)
        case _:
            return ledger.get(ref, now)


async def _reply(paid: Paid, conduct: Conduct, url: str = "") -> Any:
    await asyncio.sleep(conduct.seconds(paid.ref))
    if conduct.takes_once(paid.ref, Behaviour.LOSE_REPLY_ONCE):
        return Cut()
    return Response(paid.statement(url), status_code=200)


def _rejected(_: AnyRequest, error: Rejected) -> Response[Complaint]:
    return Response(Complaint(error=error.detail), status_code=error.status)


def _garbled(_: AnyRequest, error: BadMessage) -> Response[Complaint]:
    return Response(Complaint(error=error.detail), status_code=400)


def _now() -> datetime:
    return datetime.now(UTC)


def api(api_key: str) -> Router:
    """All of the above under /v1, behind the key."""
    return Router(
        "/v1",
        route_handlers=[
            open_payment,
            capture,
            void,
            refund,
            query,
            payments,
            history,
            behave,
            behave_once,
        ],
        guards=[key_guard(api_key)],
        exception_handlers={Rejected: _rejected, BadMessage: _garbled},
    )
