"""What a driver sees when something goes wrong: a page in words, with the right status and the way on."""

import logging
import math
from typing import Any, Final

from litestar import Response
from litestar.exceptions import HTTPException

from cloud import shield
from cloud.limits import TooMany
from cloud.pages import AnyRequest, page, texts
from cloud.texts import Texts
from cloud.views import LotPage
from parking.errors import Code, DaikoError

log = logging.getLogger(__name__)

STATUS: Final = {
    Code.BAD_NAME: 400,
    Code.BAD_MESSAGE: 400,
    Code.LOT_UNKNOWN: 404,
    Code.STAY_UNKNOWN: 404,
    Code.EXIT_UNKNOWN: 404,
    Code.NOT_FOUND: 404,
    Code.ALREADY_PAID: 409,
    Code.CONFLICT: 409,
    Code.POSITION_MISMATCH: 409,
    Code.CLAIM_POLICY: 409,
    Code.BUDGET: 409,
    Code.QUOTE_EXPIRED: 410,
    Code.EXPIRED: 410,
    Code.RATE_LIMITED: 429,
    Code.PROVIDER: 502,
    Code.LOT_OFFLINE: 503,
    Code.DEVICE_UNAVAILABLE: 503,
}
"""HTTP status of each code that a driver can meet; any other is a 500."""

IMPOSSIBLE: Final = (Code.LOT_OFFLINE, Code.DEVICE_UNAVAILABLE, Code.PROVIDER)
"""Nobody can pay by phone just now: the lot's policy says what becomes of the driver."""
_AT_THE_DOOR: Final = (Code.LOT_UNKNOWN, Code.EXIT_UNKNOWN)


def daiko_error(request: AnyRequest, error: DaikoError) -> Response[str]:
    """The page for one of our own errors."""
    status = STATUS.get(error.code, 500)
    if status == 500:
        log.error("driver's page failed: %s", error, exc_info=error)
    problem = texts(request).problem(error.code)
    if error.code in _AT_THE_DOOR:
        return page(
            request,
            "find.html",
            status=status,
            here="/",
            public_url=shield.public_url(request),
            near=None,
            problem=problem,
            typed="",
        )
    return _error_page(request, status, problem)


def problem_of(t: Texts, error: DaikoError, lot: LotPage | None = None) -> tuple[str, str]:
    """What went wrong and what to do; how long to wait, or the lot's own way out when paying is impossible."""
    title, remedy = t.problem(error.code, lot.names.value if lot is not None else "")
    if isinstance(error, TooMany):
        remedy = t.joined(remedy, t("error.rate-limited.wait", minutes=math.ceil(error.seconds / 60)))
    if lot is not None and error.code in IMPOSSIBLE:
        remedy = t.joined(remedy, t(f"down.{lot.when_down}"))
    if lot is not None and error.code is Code.STAY_UNKNOWN and not lot.online:
        remedy = t("line.unknown")
    return title, remedy


def headers_of(error: DaikoError | None) -> dict[str, str]:
    """What else the answer has to carry: when to come back."""
    return {"Retry-After": str(error.seconds)} if isinstance(error, TooMany) else {}


def http_error(request: AnyRequest, error: HTTPException) -> Response[str]:
    """The page for an address or a request that makes no sense (404, 405, 413, 400)."""
    code = Code.NOT_FOUND if error.status_code in (404, 405) else Code.BAD_MESSAGE
    if error.status_code >= 500:
        log.error("driver's page failed: %s", error, exc_info=error)
        code = Code.BUG
    return _error_page(request, error.status_code, texts(request).problem(code))


def unexpected(request: AnyRequest, error: Exception) -> Response[str]:
    """The page for a defect of ours: the trace goes to the log, never to the driver."""
    log.error("driver's page failed", exc_info=error)
    return _error_page(request, 500, texts(request).problem(Code.BUG))


def _error_page(request: AnyRequest, status: int, problem: tuple[str, str]) -> Response[str]:
    here = "" if request.method == "GET" else "/"
    return page(request, "error.html", status=status, here=here, public_url=shield.public_url(request), problem=problem)


EXCEPTION_HANDLERS: Final[dict[int | type[Exception], Any]] = {
    DaikoError: daiko_error,
    HTTPException: http_error,
    Exception: unexpected,
}
"""For the phone's routes, and for the app's own 404."""
