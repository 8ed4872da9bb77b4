"""The driver's page of a claim: the car was let out, its fee is paid later, by phone."""

import re
from datetime import UTC, datetime
from typing import Any, Final

from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, SkipValidation
from litestar.response import Redirect

from cloud import car
from cloud.pages import AnyRequest, page, see_other, texts
from cloud.phone_errors import STATUS, problem_of
from cloud.views import Cashier, ClaimPage
from parking.errors import Code, DaikoError, Refused

FORM_BYTES: Final = 8192
_NAME: Final = re.compile("[0-9A-HJKMNP-TV-Z]{26}")
_SHOWN_HERE: Final = (Code.ALREADY_PAID, Code.EXPIRED, Code.CONFLICT, Code.PROVIDER)

TheCashier = NamedDependency[SkipValidation[Cashier]]
PublicUrl = NamedDependency[SkipValidation[str]]


@get("/c/{claim_id:str}")
async def claim(
    request: AnyRequest, cashier: TheCashier, public_url: PublicUrl, claim_id: FromPath[str]
) -> Response[str]:
    """What is to be paid, until when, and where it stands. One made in a lot without a line is not known here yet."""
    try:
        found = await cashier.claim_page(claim_id)
    except Refused as error:
        if error.code is not Code.NOT_FOUND or not _NAME.fullmatch(claim_id):
            raise
        t = texts(request)
        problem = t("claim.unknown"), t("claim.unknown_do")
        return page(request, "error.html", status=404, public_url=public_url, problem=problem)
    return _claim_page(request, public_url, found, None)


@get("/c/{claim_id:str}/pay", sync_to_thread=False)
def pay_claim_again(claim_id: FromPath[str]) -> Redirect:
    """A reload of the button's address leads back to the claim."""
    return see_other(f"/c/{claim_id}")


@post("/c/{claim_id:str}/pay", request_max_body_size=FORM_BYTES)
async def pay_claim(
    request: AnyRequest, cashier: TheCashier, public_url: PublicUrl, claim_id: FromPath[str]
) -> Response[Any]:
    """On to the provider's page, or why not."""
    try:
        return see_other(await cashier.pay_claim(claim_id, texts(request).language))
    except DaikoError as error:
        if error.code not in _SHOWN_HERE:
            raise
        return _claim_page(request, public_url, await cashier.claim_page(claim_id), error)


def _claim_page(request: AnyRequest, public_url: str, found: ClaimPage, error: DaikoError | None) -> Response[str]:
    return page(
        request,
        "claim.html",
        status=STATUS[error.code] if error else 200,
        here=f"/c/{found.claim_id}",
        public_url=public_url,
        claim=found,
        lot=found.lot,
        car=car.named(found.stay, found.lot),
        # where it already says so by itself, an alert would only repeat it
        problem=problem_of(texts(request), error) if error and error.code is Code.PROVIDER else None,
        payable=found.state == "due" and not found.paying and datetime.now(UTC) < found.until,
        now=datetime.now(UTC),
    )


handlers: Final[list[Any]] = [claim, pay_claim_again, pay_claim]
"""For the driver's router."""
