"""The sandbox provider's hosted page: where a driver approves, declines, or passes a challenge."""

from datetime import UTC, datetime
from typing import Any, Final

from litestar import MediaType, Response, get, post
from litestar.params import FromPath
from litestar.response import Redirect

from cloud.pages import environment
from cloud.payments.base import ProviderState
from cloud.sandbox.api import AnyRequest, TheConduct, TheLedger, decide
from cloud.sandbox.ledger import Ledger, Paid, Rejected
from cloud.sandbox.wire import Behaviour
from cloud.texts import CATALOGUES, HOME, Texts
from parking.money import yen

HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_PRESSES: Final = {
    "approve": Behaviour.APPROVE,
    "confirm": Behaviour.APPROVE,
    "decline": Behaviour.DECLINE,
    "cancel": Behaviour.DECLINE,
    "challenge": Behaviour.CHALLENGE,
}
_SETTLED_BY_ITSELF: Final = (Behaviour.APPROVE, Behaviour.DECLINE)


@get("/pay/{ref:str}")
async def show(request: AnyRequest, ledger: TheLedger, conduct: TheConduct, ref: FromPath[str]) -> Response[Any]:
    """The page with the buttons; straight back to the shop if the sandbox decides by itself."""
    try:
        paid = ledger.get(ref, datetime.now(UTC))
    except Rejected as missing:
        return _render(request, None, missing.status)
    if paid.state is not ProviderState.PENDING and conduct.decision(ref) in _SETTLED_BY_ITSELF:
        return Redirect(paid.opening.return_url, status_code=303, headers={**HEADERS})
    return _render(request, paid)


@post("/pay/{ref:str}")
async def press(request: AnyRequest, ledger: TheLedger, ref: FromPath[str]) -> Response[Any]:
    """One press of a button; a decision leads back to the shop."""
    try:
        paid = await _pressed(request, ledger, ref)
    except Rejected as error:
        return _render(request, ledger.payments.get(ref), error.status)
    if paid.state is ProviderState.PENDING:
        return Redirect(f"/pay/{ref}", status_code=303, headers={**HEADERS})
    return Redirect(paid.opening.return_url, status_code=303, headers={**HEADERS})


async def _pressed(request: AnyRequest, ledger: Ledger, ref: str) -> Paid:
    button = _PRESSES.get(str((await request.form()).get("press", "")))
    if button is None:
        raise Rejected(400, "no such button")
    return decide(ledger, ref, button, datetime.now(UTC))


def _render(request: AnyRequest, paid: Paid | None, status: int = 200) -> Response[str]:
    asked = request.query_params.get("lang", "") or (paid.opening.language if paid else "")
    t = Texts(asked if asked in CATALOGUES else HOME)
    html = (
        environment()
        .get_template("sandbox/pay.html")
        .render(
            t=t, paid=paid, amount=yen(paid.amount) if paid else 0, pending=paid and paid.state is ProviderState.PENDING
        )
    )
    return Response(html, media_type=MediaType.HTML, status_code=status, headers={**HEADERS})
