"""The driver's pages: find the lot, see the fee, pay, watch the release, keep the receipt.

Everything works without JavaScript; /static/phone.js only adds position, countdown and live status. Tokens are random
and nothing in a URL names a car. The app provides `cashier` and `public_url` as dependencies and puts `routes` in.
"""

import logging
import unicodedata
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any, Final

from litestar import Response, Router, get, post
from litestar.datastructures import CacheControlHeader
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, SkipValidation
from litestar.response import Redirect, ServerSentEvent
from litestar.response.sse import ServerSentEventMessage
from litestar.static_files import create_static_files_router

from cloud.pages import HEADERS, HERE, YEAR, AnyRequest, page, texts
from cloud.phone_errors import EXCEPTION_HANDLERS, STATUS
from cloud.place import Place, metres_between
from cloud.views import Cashier, LotPage, PaymentPage, PaymentStage, QuotePage
from parking.errors import BadMessage, Code, DaikoError, Refused
from parking.stay import NameKind

log = logging.getLogger(__name__)

HEARTBEAT: Final = 15.0
"""Seconds between signs of life on an idle event stream."""
STREAM: Final = 20
"""Heartbeats after which a stream ends; the browser then opens the next one."""
FORM_BYTES: Final = 8192
OVER: Final = (PaymentStage.DONE, PaymentStage.NOT_CHARGED)
_MISREAD: Final = str.maketrans("OIL", "011")
"""Lot codes hold no O, I or L."""

TheCashier = NamedDependency[SkipValidation[Cashier]]
PublicUrl = NamedDependency[SkipValidation[str]]


@get("/")
async def find(request: AnyRequest, public_url: PublicUrl, code: FromQuery[str] = "") -> Response[Any]:
    """The first page, or on to the lot whose code was typed."""
    typed = unicodedata.normalize("NFKC", code).upper().translate(_MISREAD)
    folded = "".join(letter for letter in typed if letter.isascii() and letter.isalnum())
    if folded:
        return _see_other(f"/l/{folded[:16]}")
    return page(request, "find.html", public_url=public_url, near=None, problem=None, typed="")


@get("/near")
async def near(request: AnyRequest, cashier: TheCashier, public_url: PublicUrl) -> Response[str]:
    """The lots around the phone's position, for the driver to confirm."""
    place = Place.parse(request.query_params)
    if place is None:
        raise BadMessage(Code.BAD_MESSAGE, "a position needs lat and lon in degrees")
    lots = await cashier.lots_near(place.latitude, place.longitude)
    return page(request, "find.html", public_url=public_url, near=lots, place=place, problem=None, typed="")


@get(["/l/{code:str}", "/l/{code:str}/{spot:str}"])
async def lot(
    request: AnyRequest, cashier: TheCashier, public_url: PublicUrl, code: FromPath[str], spot: FromPath[str] = ""
) -> Response[str]:
    """One lot, as named by its QR code; `spot` is the exit lane, or the bay where lots go by bays."""
    found = await cashier.lot(code)
    if spot and found.names is not NameKind.BAY and spot not in found.exits:
        raise Refused(Code.EXIT_UNKNOWN, f"lot {found.lot} has no exit {spot[:16]!r}")
    bay = spot if found.names is NameKind.BAY else ""
    return _lot_page(request, public_url, found, typed=bay, exit_="" if bay else spot)


@get("/l/{code:str}/fee", sync_to_thread=False)
def fee_again(code: FromPath[str]) -> Redirect:
    """A reload of the form's address leads back to the form."""
    return _see_other(f"/l/{code}")


@post("/l/{code:str}/fee", request_max_body_size=FORM_BYTES)
async def fee(request: AnyRequest, cashier: TheCashier, public_url: PublicUrl, code: FromPath[str]) -> Response[Any]:
    """Stage one: what does this stay cost? Answers with the form again and what to do if that cannot be told."""
    form = {key: value for key, value in (await request.form()).items() if isinstance(value, str)}
    found, place = await cashier.lot(code), Place.parse(form)
    typed, exit_ = form.get("name", "")[:80], form.get("exit", "")[:16]
    try:
        if place is not None and place.away(found) and "confirmed" not in form:
            raise Refused(Code.POSITION_MISMATCH, f"phone and lot {found.lot} are apart")
        quote = await cashier.fee(code, typed, exit_)
    except DaikoError as error:
        log.info("no fee at lot %d: %s", found.lot, error.code)
        return _lot_page(request, public_url, found, typed=typed, exit_=exit_, place=place, error=error)
    return _see_other(f"/q/{quote.token}")


@get("/q/{token:str}")
async def quote(request: AnyRequest, cashier: TheCashier, public_url: PublicUrl, token: FromPath[str]) -> Response[Any]:
    """The fee with its working. Once it is being paid and cannot be paid again, the payment's page instead."""
    found, now = await cashier.quote(token), datetime.now(UTC)
    under_way = await _payment_of(cashier, token)
    if under_way and (under_way.stage is not PaymentStage.OPEN or now >= found.valid_until):
        return _see_other(f"/p/{token}")
    return _quote_page(request, public_url, found, now)


@get("/q/{token:str}/pay", sync_to_thread=False)
def pay_again(token: FromPath[str]) -> Redirect:
    """A reload of the button's address leads back to the fee."""
    return _see_other(f"/q/{token}")


@post("/q/{token:str}/pay", request_max_body_size=FORM_BYTES)
async def pay(request: AnyRequest, cashier: TheCashier, public_url: PublicUrl, token: FromPath[str]) -> Response[Any]:
    """Stage two: on to the provider's page."""
    try:
        return _see_other(await cashier.pay(token, texts(request).language))
    except DaikoError as error:
        if error.code is not Code.QUOTE_EXPIRED:
            raise
    return _quote_page(request, public_url, await cashier.quote(token), None)


@get("/p/{token:str}")
async def payment(
    request: AnyRequest, cashier: TheCashier, public_url: PublicUrl, token: FromPath[str]
) -> Response[str]:
    """Where the payment stands; at its end the receipt, or the reason why nothing was charged."""
    found = await cashier.payment(token)
    return page(
        request,
        "payment.html",
        public_url=public_url,
        payment=found,
        quote=found.quote,
        lot=found.quote.lot,
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
    seen = max(version, int(last)) if last.isascii() and last.isdecimal() else version
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


async def _payment_of(cashier: Cashier, token: str) -> PaymentPage | None:
    try:
        return await cashier.payment(token)
    except Refused as error:
        if error.code is not Code.NOT_FOUND:
            raise
        return None


def _lot_page(
    request: AnyRequest,
    public_url: str,
    found: LotPage,
    *,
    typed: str,
    exit_: str,
    place: Place | None = None,
    error: DaikoError | None = None,
) -> Response[str]:
    place = place or Place.parse(request.query_params)
    return page(
        request,
        "lot.html",
        status=STATUS.get(error.code, 500) if error else 200,
        here=f"/l/{found.code}" if error else "",
        public_url=public_url,
        lot=found,
        typed=typed,
        exit=exit_,
        place=place,
        metres=round(metres_between(place.latitude, place.longitude, found.latitude, found.longitude)) if place else 0,
        far=place.away(found) if place else False,
        problem=texts(request).problem(error.code) if error else None,
    )


def _quote_page(request: AnyRequest, public_url: str, found: QuotePage, now: datetime | None) -> Response[str]:
    """The fee, or 410 with the way to a new one; `now` None: the cashier has just said that it is too late."""
    expired = now is None or now >= found.valid_until
    return page(
        request,
        "expired.html" if expired else "quote.html",
        status=410 if expired else 200,
        here=f"/q/{found.token}",
        public_url=public_url,
        quote=found,
        lot=found.lot,
        now=now or datetime.now(UTC),
    )


def _see_other(where: str) -> Redirect:
    return Redirect(where, status_code=303, headers={**HEADERS})


def _static() -> Router:
    return create_static_files_router(
        "/static",
        directories=[HERE / "static"],
        cache_control=CacheControlHeader(max_age=YEAR, public=True, immutable=True),
    )


routes: Final = [
    Router(
        "/",
        route_handlers=[find, near, lot, fee_again, fee, quote, pay_again, pay, payment, events],
        exception_handlers=EXCEPTION_HANDLERS,
    ),
    _static(),
]
"""All of the above, for the app."""
