"""The driver's payment page: where it stands, the codes that open without a line, the receipt that the phone keeps.

The service worker (/sw.js) controls /p/ alone. It keeps the latest receipts on the phone and shows them when there is
no connection; how long, `KEEP_UNTIL` says.
"""

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from functools import cache
from typing import Any, Final

from litestar import Response, get
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, SkipValidation
from litestar.response import Redirect, ServerSentEvent
from litestar.response.sse import ServerSentEventMessage

from cloud import car
from cloud.pages import HEADERS, HERE, AnyRequest, page, see_other
from cloud.receipt import KEPT_FOR, Codes
from cloud.views import Cashier, PaymentStage

HEARTBEAT: Final = 15.0
"""Seconds between signs of life on an idle event stream."""
STREAM: Final = 20
"""Heartbeats after which a stream ends; the browser then opens the next one."""
OVER: Final = (PaymentStage.DONE, PaymentStage.NOT_CHARGED, PaymentStage.REFUNDED)
KEEP_UNTIL: Final = "Daiko-Keep-Until"
"""Header of a payment's page: until when a phone may keep it, in milliseconds since 1970."""

TheCashier = NamedDependency[SkipValidation[Cashier]]
TheCodes = NamedDependency[SkipValidation[Codes]]
PublicUrl = NamedDependency[SkipValidation[str]]


@get("/p/{token:str}")
async def payment(
    request: AnyRequest, cashier: TheCashier, codes: TheCodes, public_url: PublicUrl, token: FromPath[str]
) -> Response[str]:
    """Where the payment stands; at its end the receipt, or the reason why nothing was charged."""
    found = await cashier.payment(token)
    until = int((found.changed_at + KEPT_FOR).timestamp() * 1000)
    return page(
        request,
        "payment.html",
        more={KEEP_UNTIL: str(until)},
        public_url=public_url,
        payment=found,
        quote=found.quote,
        lot=found.quote.lot,
        car=car.shown(request, found.quote),
        codes=await codes.of(found),
        over=found.stage in OVER,
        now=datetime.now(UTC),
    )


@get("/p/{token:str}/events")
async def events(
    request: AnyRequest, cashier: TheCashier, token: FromPath[str], version: FromQuery[int] = 0
) -> ServerSentEvent:
    """A server-sent event `changed` for each new version of the payment; the page then fetches itself."""
    await cashier.payment(token)
    last = request.headers.get("last-event-id", "")
    seen = max(version, int(last)) if re.fullmatch("[0-9]{1,18}", last) else version
    headers = {**HEADERS, "X-Accel-Buffering": "no"}
    return ServerSentEvent(_changes(cashier, token, seen), headers=headers, retry_duration=1000)


async def _changes(cashier: Cashier, token: str, version: int) -> AsyncIterator[ServerSentEventMessage]:
    for _ in range(STREAM):
        found = await cashier.changed(token, version, HEARTBEAT)
        if found.version > version:
            version = found.version
            yield ServerSentEventMessage(event="changed", id=version, data=found.stage.value)
            if found.stage in OVER:
                return
        else:
            yield ServerSentEventMessage(comment="still here", data=None)


@get("/p", sync_to_thread=False)
def kept() -> Redirect:
    """Where the page on a phone's home screen begins: the phone's own last receipt (/sw.js), else the first page."""
    return see_other("/")


@get("/sw.js", sync_to_thread=False)
def service_worker() -> Response[str]:
    """What keeps receipts on the phone; it stands at the root because it may control only what is below it."""
    headers = {**HEADERS, "Cache-Control": "no-cache"}
    return Response(_worker(), media_type="text/javascript", headers=headers)


@cache
def _worker() -> str:
    return (HERE / "static" / "sw.js").read_text(encoding="utf-8")


handlers: Final[list[Any]] = [payment, events, kept, service_worker]
"""For the driver's router."""
