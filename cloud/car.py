"""How a page for drivers names the car: bays and tickets in full, a plate by its last two digits at most.

The cloud keeps no plate. The last digits are a cookie of the driver's own phone, for the session and for the one fee
that was asked for; without it the page says "the plate that you typed".
"""

import re
from typing import Final

from litestar.datastructures import Cookie

from cloud import shield
from cloud.pages import AnyRequest, cookie_name, texts
from cloud.views import LotPage, QuotePage
from parking.stay import NameKind, StayRef, fold_digits

COOKIE: Final = "car"
_LAST: Final = re.compile(r"[0-9]{1,2}$")


def remembered(request: AnyRequest, found: QuotePage, typed: str) -> list[Cookie]:
    """What the driver's phone is given to show the car again; nothing in lots that do not go by plates."""
    last = _LAST.search(fold_digits(typed))
    if found.lot.names is not NameKind.PLATE or last is None:
        return []
    name, secure = cookie_name(request, COOKIE), shield.is_secure(request)
    return [Cookie(name, value=f"{found.token}.{last[0]}", samesite="lax", httponly=True, secure=secure)]


def shown(request: AnyRequest, found: QuotePage) -> str:
    """The car of a fee or payment in words."""
    if found.lot.names is not NameKind.PLATE:
        return found.stay.name
    token, _, last = request.cookies.get(cookie_name(request, COOKIE), "").partition(".")
    if token == found.token and _LAST.fullmatch(last):
        return texts(request)("car.ends", last=last)
    return texts(request)("car.typed")


def named(stay: StayRef | None, lot: LotPage) -> str:
    """A stay's name where nothing of the phone can be asked; '' where there is none to show."""
    return stay.name if stay is not None and lot.names is not NameKind.PLATE else ""
