"""Where payment providers report: POST /webhooks/{provider}. Answered 200 only once the event is committed.

What cannot be helped by sending it again is answered 200 too, and logged; only our own failure is a 500, which makes
the provider come back.
"""

import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from litestar import Request, Response, post
from litestar.di import NamedDependency
from litestar.params import FromPath, SkipValidation

from cloud.payments.base import PaymentProvider, ProviderEvent
from cloud.views import Cashier
from parking.errors import BadMessage, Code, Refused
from parking.wire import Accepted, Problem

log = logging.getLogger(__name__)

WEBHOOK_BYTES: Final = 65_536


@post("/webhooks/{provider:str}", request_max_body_size=WEBHOOK_BYTES)
async def webhook(
    request: Request[Any, Any, Any],
    cashier: NamedDependency[SkipValidation[Cashier]],
    providers: NamedDependency[SkipValidation[Mapping[str, PaymentProvider]]],
    provider: FromPath[str],
) -> Response[Accepted | Problem]:
    """One event of one provider: 200 committed or beyond help, 400 garbled, 401 not signed, 404 not a provider."""
    speaker = providers.get(provider)
    if speaker is None:
        return _problem(404, Code.NOT_FOUND, "no such provider")
    now = datetime.now(UTC)
    try:
        event = speaker.parse_webhook(request.headers, await request.body(), now)
    except BadMessage as error:
        log.warning("webhook of %s not taken: %s", provider, error)
        return _problem(401 if error.code is Code.BAD_SIGNATURE else 400, error.code, error.detail)
    try:
        await _apply(cashier, event)
    except Exception:
        log.exception("webhook of %s failed, the provider will send it again", provider)
        return _problem(500, Code.BUG, "not committed, send it again")
    return Response(Accepted(server_time=now), status_code=200)


async def _apply(cashier: Cashier, event: ProviderEvent) -> None:
    try:
        await cashier.apply(event)
    except Refused as error:
        if error.code is Code.NOT_FOUND:
            log.warning("webhook about an order that is not ours: %s", error.detail)
        elif error.code is Code.CONFLICT:
            log.error("webhook contradicts our books: %s", error.detail)
        else:
            raise


def _problem(status: int, code: Code, detail: str) -> Response[Accepted | Problem]:
    return Response(Problem(code=code.value, detail=detail), status_code=status)


routes: Final = [webhook]
"""For the app, which provides `cashier` and `providers` as dependencies."""
