"""Who may come in to the local API, and how it says no.

In this order: exactly our Host (DNS rebinding), no Origin (a browser's page), the bearer token, a query in ASCII, JSON
only, at most 64 kB.
"""

import hmac
import logging
import time
from collections import Counter
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from parking.errors import BadMessage, Code, DaikoError, Environment, Refused
from parking.wire import Problem, encode

MOST_BYTES: Final = 65_536
TELL_EVERY: Final = 60.0

_MISSING: Final = (Code.NOT_FOUND, Code.LOT_UNKNOWN, Code.STAY_UNKNOWN)
_STATUS: Final = {Code.SIGN_IN: 403, Code.LOCKED_OUT: 429}
_TOKEN_REMEDY: Final = "send the content of the bridge's api-token file as a bearer token"  # noqa: S105  # no secret

log = logging.getLogger(__name__)


class TooLong(BadMessage):
    """A body beyond 64 kB."""

    def __init__(self) -> None:
        super().__init__(Code.BAD_MESSAGE, f"the body is longer than {MOST_BYTES:,} bytes")


class Door:
    """Lets a request through to `app`, or answers it itself."""

    def __init__(self, app: ASGIApp, token: str, hosts: frozenset[str]) -> None:
        self._app = app
        self._token = b"Bearer " + token.encode("ascii")
        self._hosts = frozenset(host.encode("ascii") for host in hosts)
        self._turned_away: Counter[int] = Counter()
        self._told: dict[int, float] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request (ASGI)."""
        if scope["type"] != "http":
            return
        refusal = self._refusal(scope)
        if refusal is not None:
            self._tell(refusal.status_code)
            await refusal(scope, receive, send)
            return
        try:
            await self._app(scope, _bounded(receive), send)
        except Exception:  # answered with 500 already; the trace belongs in the log, not to the caller
            log.exception("the local API failed at %s", scope["path"])

    def _tell(self, status: int) -> None:
        """Log that somebody was turned away; a flood of one kind costs a line a minute."""
        self._turned_away[status] += 1
        now = time.monotonic()
        if now - self._told.get(status, -TELL_EVERY) >= TELL_EVERY:
            log.warning("the local API turned %d away with %d", self._turned_away.pop(status), status)
            self._told[status] = now

    def _refusal(self, scope: Scope) -> Response | None:
        headers: dict[bytes, list[bytes]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.lower(), []).append(value)
        hosts = headers.get(b"host", [])
        if len(hosts) != 1 or hosts[0].lower() not in self._hosts:
            return _no(421, Code.UNAUTHORIZED, "this address is not the bridge's", "use the URL in api.json")
        if b"origin" in headers:
            return _no(403, Code.UNAUTHORIZED, "web pages have no access to the bridge")
        tokens = headers.get(b"authorization", [])
        if len(tokens) != 1 or not hmac.compare_digest(tokens[0], self._token):
            return _no(401, Code.UNAUTHORIZED, "the token is missing or wrong", _TOKEN_REMEDY)
        if not scope["query_string"].isascii():  # RFC 3986, section 2: other bytes are percent-encoded
            return _no(400, Code.BAD_MESSAGE, "the query is not ASCII")
        if scope["method"] in ("POST", "PUT", "PATCH"):
            return _body_refusal(headers)
        return None


def _body_refusal(headers: dict[bytes, list[bytes]]) -> Response | None:
    kind = b",".join(headers.get(b"content-type", [])).partition(b";")[0].strip().lower()
    if kind != b"application/json":
        return _no(415, Code.BAD_MESSAGE, "a body must be application/json")
    length = headers.get(b"content-length", [b"0"])[0]
    if not length.isdigit() or int(length) > MOST_BYTES:
        return problem_response(413, TooLong())
    return None


def _bounded(receive: Receive) -> Receive:
    """Count a body that came without a Content-Length."""
    taken = 0

    async def counted() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        if taken > MOST_BYTES:
            raise TooLong
        return message

    return counted


async def answer_problem(request: Request, error: Exception) -> Response:
    """The answer to what an endpoint raised; a bug shows no inner workings."""
    if isinstance(error, HTTPException):
        return _no(error.status_code, Code.NOT_FOUND, f"{request.method} {request.scope['path']}: {error.detail}")
    if isinstance(error, DaikoError):
        return problem_response(_status(error), error)
    return _no(500, Code.BUG, "the bridge made a mistake", "please report this together with the bridge's log")


def problem_response(status: int, error: DaikoError) -> Response:
    """An error as wire.Problem."""
    return _no(status, error.code, error.detail, error.remedy)


def _status(error: DaikoError) -> int:
    match error:
        case TooLong():
            return 413
        case BadMessage():
            return 400
        case Refused() if error.code in _STATUS:
            return _STATUS[error.code]
        case Refused():
            return 404 if error.code in _MISSING else 409
        case Environment():
            return 503
        case _:
            return 500


def _no(status: int, code: Code, detail: str, remedy: str = "") -> Response:
    # a body that nobody has read must not be taken for the next request
    headers = {"Cache-Control": "no-store", "Connection": "close"}
    body = encode(Problem(code=code.value, detail=detail, remedy=remedy))
    return Response(body, status, headers, "application/json")
