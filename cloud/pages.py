"""How a page for drivers is made: templates, language, and the headers that every page carries.

Only the language is remembered, in a cookie, and a plate's last digits (cloud.car). Nothing is cached, no other site
learns an address through the Referer header, and scripts and styles come from our own /static/ alone.
"""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import quote, urlencode

import segno
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from litestar import MediaType, Request, Response
from litestar.datastructures import Cookie
from litestar.response import Redirect
from markupsafe import Markup

from cloud import shield
from cloud.texts import CATALOGUES, Texts, choose
from parking.money import Yen, show

HERE: Final = Path(__file__).parent
COOKIE: Final = "lang"
_SECURE: Final = "__Host-"
"""In front of a cookie's name where we are reached by TLS: no other host, and no plain HTTP, can set or read it."""
YEAR: Final = 365 * 24 * 3600

AnyRequest = Request[Any, Any, Any]

HEADERS: Final = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; frame-ancestors 'none'; object-src 'none'",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Permissions-Policy": "geolocation=(self), camera=(), microphone=(), payment=()",
    "Cache-Control": "no-store",
}
"""On every page. There is no form-action: Chromium applies it to redirects too, and paying ends at the provider's.

The Referer goes to our own pages alone; without it browsers would name no origin for our own forms (cloud.shield).
"""


def texts(request: AnyRequest) -> Texts:
    """The texts in the language of this request."""
    asked, remembered = request.query_params.get("lang", ""), request.cookies.get(cookie_name(request, COOKIE), "")
    return Texts(choose(asked, remembered, request.headers.get("accept-language", "")))


def page(
    request: AnyRequest,
    template: str,
    *,
    status: int = 200,
    here: str = "",
    more: Mapping[str, str] = MappingProxyType({}),
    **values: object,
) -> Response[str]:
    """Render `template`.

    `here` is the path that the language links lead to, the request's own by default; `more` are further headers.
    """
    t = texts(request)
    query = urlencode([(key, value) for key, value in request.query_params.items() if key in ("lat", "lon", "acc")])
    html = (
        environment()
        .get_template(template)
        .render(
            t=t,
            languages={tag: Texts(tag)("language.name") for tag in CATALOGUES},
            here=here or _own_path(request),
            query="" if here else query,
            **values,
        )
    )
    asked = request.query_params.get("lang", "")
    keep = [_remembered(request, asked)] if asked in CATALOGUES else []
    headers = {**HEADERS, **more, "Content-Language": t.language, "Vary": "Accept-Language, Cookie"}
    return Response(html, media_type=MediaType.HTML, status_code=status, headers=headers, cookies=keep)


def cookie_name(request: AnyRequest, name: str) -> str:
    """The name of one of our cookies."""
    return f"{_SECURE}{name}" if shield.is_secure(request) else name


def _remembered(request: AnyRequest, language: str) -> Cookie:
    secure = shield.is_secure(request)
    return Cookie(
        cookie_name(request, COOKIE), value=language, max_age=YEAR, samesite="lax", httponly=True, secure=secure
    )


def _own_path(request: AnyRequest) -> str:
    """The request's path as a link: `//elsewhere` would lead away from here."""
    return "/" + quote(request.url.path).lstrip("/")


@cache
def environment() -> Environment:
    """The template environment: everything is escaped, an undefined name is an error."""
    made = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    made.filters.update(yen=_yen, iso=_iso)
    made.globals.update(asset=asset, qr=qr)
    return made


@cache
def asset(name: str) -> str:
    """The URL of a static file, changed with its content, so that it may be kept for ever."""
    digest = hashlib.sha256((HERE / "static" / name).read_bytes()).hexdigest()[:10]
    return f"/static/{name}?v={digest}"


def qr(digits: str) -> Markup:
    """A QR code of decimal digits as an inline SVG without size or style; the style sheet gives both."""
    code = segno.make_qr(digits, error="m")
    return Markup(code.svg_inline(border=4, omitsize=True, svgclass="qr", lineclass=None))  # noqa: S704 - segno's own SVG of digits


def see_other(where: str, cookies: Sequence[Cookie] = ()) -> Redirect:
    """On to another page, by GET."""
    return Redirect(where, status_code=303, headers={**HEADERS}, cookies=list(cookies))


def _yen(amount: Yen, t: Texts) -> str:
    return show(amount, t.language)


def _iso(at: datetime) -> str:
    return at.isoformat(timespec="seconds")
