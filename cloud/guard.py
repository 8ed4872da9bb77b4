"""What stands before the driver's pages: limits on wrong numbers, doubts about a fee that looks like someone else's."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, TypeVar

from cloud.config import PhonePages
from cloud.limits import Lookups, Rate, client_of
from cloud.pages import AnyRequest
from cloud.views import QuotePage
from parking.errors import Code, Refused

T = TypeVar("T")

_LOT_PERIOD: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Caution:
    """A stay older than `stay` or dearer than `yen` is probably inherited from an earlier car (a sensor's mistake)."""

    stay: timedelta
    yen: int

    def doubts(self, quote: QuotePage) -> bool:
        """Whether a person should look before anybody pays this."""
        entered = quote.stay.entered_at
        return quote.amount > self.yen or (entered is not None and quote.at - entered > self.stay)


@dataclass(frozen=True, slots=True)
class Guard:
    """The guards of one cloud process; `client_header` is trusted because only our proxy can have written its end."""

    lookups: Lookups
    caution: Caution
    client_header: str
    clock: Callable[[], datetime]

    @classmethod
    def of(cls, pages: PhonePages, clock: Callable[[], datetime]) -> "Guard":
        """As configured."""
        client = Rate(pages.misses, timedelta(minutes=pages.miss_minutes))
        caution = Caution(timedelta(hours=pages.call_hours), pages.call_yen)
        return cls(Lookups(client, Rate(pages.lot_misses, _LOT_PERIOD)), caution, pages.client_header, clock)

    async def lookup(self, request: AnyRequest, lot: int, find: Callable[[], Awaitable[T]]) -> T:
        """Let one look-up at a lot through; a miss is counted, and answered no sooner than any other miss.

        Raises TooMany, and whatever `find` raises.
        """
        client, began = self.client(request), time.monotonic()
        try:
            with self.lookups.one(client, lot, self.clock()):
                return await find()
        except Refused as error:
            if error.code is Code.STAY_UNKNOWN:
                least = self.lookups.missed(client, lot, self.clock())
                await asyncio.sleep(max(least - (time.monotonic() - began), 0.0))
            raise

    def client(self, request: AnyRequest) -> str:
        """The address that this request's look-ups are counted under."""
        peer = request.client.host if request.client else ""
        entries = request.headers.getall(self.client_header, []) if self.client_header else []
        return client_of(peer, entries)
