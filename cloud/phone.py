"""The driver's pages up to the payment: find the lot, see the fee, go and pay, or leave and pay later.

Everything works without JavaScript; /static/phone.js only adds position, countdown and live status. Tokens are random
and nothing in a URL names a car. The app provides `cashier`, `guard`, `codes` and `public_url` as dependencies and puts
`routes` in.
"""

import logging
import unicodedata
from datetime import UTC, datetime
from typing import Any, Final

from litestar import Response, Router, get, post
from litestar.datastructures import CacheControlHeader
from litestar.di import NamedDependency
from litestar.exceptions import NotFoundException
from litestar.params import FromPath, FromQuery, SkipValidation
from litestar.response import Redirect
from litestar.static_files import create_static_files_router

from cloud import car, phone_claims, phone_receipt, shield
from cloud.guard import Guard
from cloud.pages import HERE, YEAR, AnyRequest, page, see_other, texts
from cloud.phone_errors import EXCEPTION_HANDLERS, IMPOSSIBLE, STATUS, headers_of, problem_of
from cloud.place import Place, metres_between
from cloud.views import Cashier, LotPage, PaymentPage, PaymentStage, QuotePage
from parking.errors import BadMessage, Code, DaikoError, Refused

log = logging.getLogger(__name__)

FORM_BYTES: Final = 8192
_MISREAD: Final = str.maketrans("OIL", "011")
"""Lot codes hold no O, I or L."""

TheCashier = NamedDependency[SkipValidation[Cashier]]
TheGuard = NamedDependency[SkipValidation[Guard]]
PublicUrl = NamedDependency[SkipValidation[str]]


@get("/")
async def find(request: AnyRequest, public_url: PublicUrl, code: FromQuery[str] = "") -> Response[Any]:
    """The first page, or on to the lot whose code was typed."""
    typed = unicodedata.normalize("NFKC", code).upper().translate(_MISREAD)
    folded = "".join(letter for letter in typed if letter.isascii() and letter.isalnum())
    if folded:
        return see_other(f"/l/{folded[:16]}")
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
    """One lot, as named by its QR code; `spot` is the exit lane, or the bay or pay station where lots go by these."""
    found = await cashier.lot(code)
    if spot and not found.names.is_place and spot not in found.exits:
        raise Refused(Code.EXIT_UNKNOWN, f"lot {found.lot} has no exit {spot[:16]!r}")
    place = spot if found.names.is_place else ""
    return _lot_page(request, public_url, found, typed=place, exit_="" if place else spot)


@get("/l/{code:str}/fee", sync_to_thread=False)
def fee_again(code: FromPath[str]) -> Redirect:
    """A reload of the form's address leads back to the form."""
    return see_other(f"/l/{code}")


@post("/l/{code:str}/fee", request_max_body_size=FORM_BYTES)
async def fee(
    request: AnyRequest, cashier: TheCashier, guard: TheGuard, public_url: PublicUrl, code: FromPath[str]
) -> Response[Any]:
    """Stage one: what does this stay cost? Answers with the form again and what to do if that cannot be told."""
    form = {key: value for key, value in (await request.form()).items() if isinstance(value, str)}
    found, place = await cashier.lot(code), Place.parse(form)
    typed, exit_ = form.get("name", "")[:80], form.get("exit", "")[:16]
    try:
        if place is not None and place.away(found) and "confirmed" not in form:
            raise Refused(Code.POSITION_MISMATCH, f"phone and lot {found.lot} are apart")
        quote = await guard.lookup(request, found.lot, lambda: cashier.fee(code, typed, exit_))
    except DaikoError as error:
        log.info("no fee at lot %d: %s", found.lot, error.code)
        return _lot_page(request, public_url, found, typed=typed, exit_=exit_, place=place, error=error)
    return see_other(f"/q/{quote.token}", car.remembered(request, quote, typed))


@get("/q/{token:str}")
async def quote(
    request: AnyRequest, cashier: TheCashier, guard: TheGuard, public_url: PublicUrl, token: FromPath[str]
) -> Response[Any]:
    """The fee with its working. Once it is being paid and cannot be paid again, the payment's page instead."""
    found, now = await cashier.quote(token), datetime.now(UTC)
    under_way = await _payment_of(cashier, token)
    if under_way and (under_way.stage is not PaymentStage.OPEN or now >= found.valid_until):
        return see_other(f"/p/{token}")
    return _quote_page(request, public_url, found, now, doubtful=guard.caution.doubts(found))


@get(["/q/{token:str}/pay", "/q/{token:str}/claim"], sync_to_thread=False)
def pay_again(token: FromPath[str]) -> Redirect:
    """A reload of a button's address leads back to the fee."""
    return see_other(f"/q/{token}")


@post("/q/{token:str}/pay", request_max_body_size=FORM_BYTES)
async def pay(
    request: AnyRequest, cashier: TheCashier, guard: TheGuard, public_url: PublicUrl, token: FromPath[str]
) -> Response[Any]:
    """Stage two: on to the provider's page. Where that is impossible, what the lot's policy offers instead."""
    found, told = await cashier.quote(token), "line_down" in await request.form()
    if guard.caution.doubts(found):
        return _quote_page(request, public_url, found, datetime.now(UTC), doubtful=True)
    if found.lot.pay_offline and not told and await _payment_of(cashier, token) is None:
        # its line went down after this fee was shown
        return _quote_page(request, public_url, found, datetime.now(UTC), status=409)
    try:
        return see_other(await cashier.pay(token, texts(request).language, line_down=told))
    except DaikoError as error:
        if error.code in IMPOSSIBLE:
            return await _impossible(request, cashier, public_url, found, error)
        if error.code is not Code.QUOTE_EXPIRED:
            raise
    return _quote_page(request, public_url, found, None)


@post("/q/{token:str}/claim", request_max_body_size=FORM_BYTES)
async def leave_and_pay_later(
    request: AnyRequest, cashier: TheCashier, guard: TheGuard, public_url: PublicUrl, token: FromPath[str]
) -> Response[Any]:
    """Leave against a claim: the same road to the exit as a payment, the money later."""
    found = await cashier.quote(token)
    if guard.caution.doubts(found):
        return _quote_page(request, public_url, found, datetime.now(UTC), doubtful=True)
    try:
        return see_other(await cashier.claim(token))
    except DaikoError as error:
        if error.code is not Code.QUOTE_EXPIRED:
            raise
    return _quote_page(request, public_url, found, None)


async def _payment_of(cashier: Cashier, token: str) -> PaymentPage | None:
    try:
        return await cashier.payment(token)
    except Refused as error:
        if error.code is not Code.NOT_FOUND:
            raise
        return None


async def _impossible(
    request: AnyRequest, cashier: Cashier, public_url: str, found: QuotePage, error: DaikoError
) -> Response[str]:
    """Why nobody can pay just now, the way out that this lot's policy gives, and the button to try again."""
    log.warning("lot %d: payment is impossible: %s", found.lot.lot, error)
    offer = await cashier.claim_offer(found.token)
    return page(
        request,
        "impossible.html",
        status=STATUS[error.code],
        here=f"/q/{found.token}",
        public_url=public_url,
        quote=found,
        lot=found.lot,
        car=car.shown(request, found),
        problem=problem_of(texts(request), error, None if offer else found.lot),
        offer=offer,
    )


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
        more=headers_of(error),
        public_url=public_url,
        lot=found,
        typed=typed,
        exit=exit_,
        place=place,
        metres=round(metres_between(place.latitude, place.longitude, found.latitude, found.longitude)) if place else 0,
        far=place.away(found) if place else False,
        problem=problem_of(texts(request), error, found) if error else None,
        now=datetime.now(UTC),
    )


def _quote_page(
    request: AnyRequest,
    public_url: str,
    found: QuotePage,
    now: datetime | None,
    *,
    doubtful: bool = False,
    status: int = 200,
) -> Response[str]:
    """The fee; 410 with the way to a new one; or, if it cannot well be this driver's, 409 and a person to ask.

    `now` None: the cashier has just said that it is too late. `status`: of the fee itself.
    """
    expired = now is None or now >= found.valid_until
    template, answer = (
        ("expired.html", 410) if expired else ("doubtful.html", 409) if doubtful else ("quote.html", status)
    )
    return page(
        request,
        template,
        status=answer,
        here=f"/q/{found.token}",
        public_url=public_url,
        quote=found,
        lot=found.lot,
        car=car.shown(request, found),
        now=now or datetime.now(UTC),
    )


async def _readable(request: AnyRequest) -> None:
    """A name that no file can have is not looked for: the system would call it a defect of ours."""
    if "\0" in request.url.path:
        raise NotFoundException


def _static() -> Router:
    return create_static_files_router(
        "/static",
        directories=[HERE / "static"],
        cache_control=CacheControlHeader(max_age=YEAR, public=True, immutable=True),
        before_request=_readable,
    )


routes: Final = [
    Router(
        "/",
        route_handlers=[
            find, near, lot, fee_again, fee, quote, pay_again, pay, leave_and_pay_later,
            *phone_receipt.handlers, *phone_claims.handlers,
        ],
        exception_handlers=EXCEPTION_HANDLERS,
        before_request=shield.own_forms_only,
    ),
    _static(),
]  # fmt: skip
"""All of the above, for the app."""
