"""Opening the provider's page for a payment, with what a failure means for the driver."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import RowMapping, update

from cloud.checkout import Standing
from cloud.orders import Orders
from cloud.payments.base import HostedPage, PaymentProvider, PaymentRequest, ProviderEvent, ProviderState
from cloud.schema import payments
from cloud.store import Store
from parking.errors import BadMessage, Code, Environment, NotSent, Refused, Uncertain

_REMEDY: Final = "try again in a moment, or pay at the machine"


@dataclass(frozen=True, slots=True)
class Opening:
    """Opens pages at the providers."""

    store: Store
    orders: Orders
    providers: Mapping[str, PaymentProvider]
    clock: Callable[[], datetime]

    async def page(self, payment: RowMapping, request: PaymentRequest) -> str:
        """The address of the page for an open payment; the same payment, the same page.

        Raises Environment(PROVIDER). A clear no ends the payment. A provider that is not reached leaves it open to be
        tried again, and marks it (`code`), so that a claim may take its place (`cloud.claim_desk`).
        """
        if payment["page_url"]:
            return str(payment["page_url"])
        try:
            page = await self.providers[payment["provider"]].begin(request)
        except Refused as error:
            now = self.clock()
            event_id, declined = f"begin:{request.order_id}", ProviderState.DECLINED
            said = ProviderEvent(event_id, request.order_id, "", declined, request.amount, now, error.detail)
            async with self.store.write() as tx:
                await self.orders.stated(tx, said, now)
            raise Environment(Code.PROVIDER, error.detail, _REMEDY) from error
        except (NotSent, Uncertain, BadMessage) as error:
            await self._note(payment, {"code": Code.PROVIDER.value, "changed_at": self.clock()}, "")
            raise Environment(Code.PROVIDER, error.detail, _REMEDY) from error
        await self._note(payment, _shown(page), page.provider_ref)
        return page.url

    async def _note(self, payment: RowMapping, values: dict[str, object], ref: str) -> None:
        mine = (payments.c.order_id == payment["order_id"], payments.c.provider_ref.in_(("", ref)))
        async with self.store.write() as tx:
            open_still = (*mine, payments.c.standing == Standing.OPEN.value, payments.c.page_url == "")
            await tx.connection.execute(update(payments).where(*open_still).values(**values))


def _shown(page: HostedPage) -> dict[str, object]:
    return {"provider_ref": page.provider_ref, "page_url": page.url, "code": ""}
