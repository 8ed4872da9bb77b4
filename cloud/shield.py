"""What every answer of the cloud carries against misuse in a browser, and which forms come from our own pages.

Drivers' pages bring their own policy (cloud.pages); this is what all else gets: bridges' answers, webhooks, static
files, errors that no route has made. Nothing here trusts the Host header: who we are is `public_url`.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final
from urllib.parse import urlsplit

from litestar import Request
from litestar.datastructures import MutableScopeHeaders, State
from litestar.exceptions import PermissionDeniedException
from litestar.types import Message, Scope

from parking.errors import Code

log = logging.getLogger(__name__)

AnyRequest = Request[Any, Any, Any]

POLICY: Final = "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; sandbox"
ONE_YEAR: Final = "max-age=31536000; includeSubDomains"
_ALWAYS: Final = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_OURS: Final = ("same-origin", "none")
_PUBLIC_URL: Final = "public_url"


def state(public_url: str) -> State:
    """The app's state: the address that we are reached under."""
    return State({_PUBLIC_URL: public_url})


def public_url(request: AnyRequest) -> str:
    """Scheme, host and port that phones call us by, whatever the Host header says."""
    return str(request.app.state[_PUBLIC_URL])


def is_secure(request: AnyRequest) -> bool:
    """Whether phones reach us by TLS."""
    return public_url(request).startswith("https://")


def every_answer(public_url: str) -> Callable[[Message, Scope], Awaitable[None]]:
    """A `before_send` hook: adds what an answer does not say by itself; HSTS where the public address is https."""
    always = dict(_ALWAYS)
    if public_url.startswith("https://"):
        always["Strict-Transport-Security"] = ONE_YEAR

    async def add(message: Message, scope: Scope) -> None:
        del scope
        if message["type"] == "http.response.start":
            headers = MutableScopeHeaders.from_message(message)
            for name, value in always.items():
                headers.setdefault(name, value)

    return add


async def own_forms_only(request: AnyRequest) -> None:
    """A `before_request` hook: refuses what another site has a driver's browser send. Raises 403.

    No session rides along in a cookie; but a stranger's page could have the numbers of a lot tried by its visitors.
    """
    if request.method != "POST":
        return
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is not None:
        ours = site in _OURS
    else:  # an old browser, or none; without either header there is nothing to forge
        ours = origin is None or _authority(origin) == _authority(public_url(request))
    if not ours:
        log.warning("a form that another site sent is refused: %s", Code.UNAUTHORIZED)
        raise PermissionDeniedException("sent by another site")


def _authority(url: str) -> tuple[str, str]:
    try:
        parts = urlsplit(url)
    except ValueError:
        return ("", "")
    return (parts.scheme, parts.netloc.lower())
