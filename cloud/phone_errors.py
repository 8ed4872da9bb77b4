"""What a driver sees when something goes wrong: a page in words, with the right status and the way on."""

import logging
from typing import Any, Final

from litestar import Request, Response
from litestar.exceptions import HTTPException

from cloud.pages import AnyRequest, page, texts
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
    Code.QUOTE_EXPIRED: 410,
    Code.RATE_LIMITED: 429,
    Code.PROVIDER: 502,
    Code.LOT_OFFLINE: 503,
    Code.DEVICE_UNAVAILABLE: 503,
}
"""HTTP status of each code that a driver can meet; any other is a 500."""

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
            public_url=_host(request),
            near=None,
            problem=problem,
            typed="",
        )
    return _error_page(request, status, problem)


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
    here = request.url.path if request.method == "GET" else "/"
    return page(request, "error.html", status=status, here=here, public_url=_host(request), problem=problem)


def _host(request: Request[Any, Any, Any]) -> str:
    return f"{request.url.scheme}://{request.url.netloc}"


EXCEPTION_HANDLERS: Final[dict[int | type[Exception], Any]] = {
    DaikoError: daiko_error,
    HTTPException: http_error,
    Exception: unexpected,
}
"""For the phone's routes, and for the app's own 404."""
