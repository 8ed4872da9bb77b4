"""The composition root: puts store, orders, cashier, background work and the two doors together."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from litestar import Litestar, Response, get
from litestar.di import Provide
from litestar.exceptions import HTTPException
from litestar.types import ControllerRouterHandler
from sqlalchemy import text

from cloud import bridge_api, claims, shield
from cloud.asks import Lines
from cloud.cashier import PhoneCashier
from cloud.clock import utc_now
from cloud.code_keys import LotSecrets, SecretRounds
from cloud.config import CloudConfig, CompletionKeys
from cloud.day_rounds import DayRounds
from cloud.guard import Guard
from cloud.line_down import LineDown
from cloud.orders import Orders
from cloud.outbox import Outbox
from cloud.pages import AnyRequest
from cloud.payments import free
from cloud.payments.base import PaymentProvider
from cloud.payments.claim import ClaimProvider
from cloud.payments.free import FreeProvider
from cloud.phone_errors import EXCEPTION_HANDLERS, http_error
from cloud.presence import Presence
from cloud.receipt import PhoneCodes
from cloud.rounds import Rounds
from cloud.store import Store
from parking.signing import KeyRing

log = logging.getLogger(__name__)

_STOP_WITHIN = 10.0


def _http_error(request: AnyRequest, error: HTTPException) -> Response[Any]:
    """What no route takes: a `Problem` for bridges, a page for everybody else."""
    if request.url.path.startswith("/bridge/"):
        return bridge_api.http_problem(request, error)
    return http_error(request, error)


@dataclass(frozen=True, slots=True)
class Cloud:
    """All parts of one cloud process. The store must be migrated before `app` starts."""

    app: Litestar
    store: Store
    orders: Orders
    lines: Lines
    cashier: PhoneCashier


def build(
    config: CloudConfig,
    keys: CompletionKeys,
    providers: Mapping[str, PaymentProvider],
    public_url: str,
    doors: Sequence[ControllerRouterHandler],
    clock: Callable[[], datetime] = utc_now,
) -> Cloud:
    """Put a cloud together that is reached under `public_url` (scheme, host and port, no path).

    `doors` are the routes of the phone and of the providers' webhooks.
    """
    timing = config.timing
    store = Store(config.database_url)
    orders = Orders(keys.current, config.limits)
    # the first is the one that takes money; these two only look like it
    providers = {**providers, claims.PROVIDER: ClaimProvider(store, clock), free.NAME: FreeProvider(clock)}
    lines = Lines(store.bells, clock)
    secrets = LotSecrets(keys.sealing, config.codes.good_seconds, config.codes.rotate_after)
    line_down = LineDown(lines, secrets, clock)
    first_poll = timing.poll_seconds[0]
    cashier = PhoneCashier(
        store, orders, line_down, providers, secrets, first_poll=first_poll, public_url=public_url, clock=clock
    )
    desk = bridge_api.BridgeDesk(
        store, orders, lines, secrets, keys.public, public_url, timing.heartbeat_seconds, clock
    )
    guard = Guard.of(config.phone, clock)
    codes = PhoneCodes(store, secrets, KeyRing(keys.public), clock)
    outbox = Outbox(store, orders, providers, clock)
    rounds = Rounds(store, orders, lines, providers, timing.poll_seconds, clock)
    day_rounds = DayRounds(store, providers, clock)
    secret_rounds = SecretRounds(store, secrets, clock)
    presence = Presence(store, lines, clock)

    @asynccontextmanager
    async def background(_: Litestar) -> AsyncIterator[None]:
        tasks = [
            asyncio.create_task(outbox.run()),
            asyncio.create_task(rounds.run()),
            asyncio.create_task(day_rounds.run()),
            asyncio.create_task(secret_rounds.run()),
            asyncio.create_task(presence.run()),
        ]
        try:
            yield
        finally:
            store.bells.close()
            left = (await asyncio.wait(tasks, timeout=_STOP_WITHIN))[1]
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)
            for provider in providers.values():
                await provider.close()
            await store.close()

    @get("/healthz", include_in_schema=False)
    async def healthz() -> Response[dict[str, str]]:
        async with store.read() as db:
            await db.execute(text("SELECT 1"))
        return Response({"status": "ok"})

    app = Litestar(
        route_handlers=[bridge_api.router(desk), healthz, *doors],
        dependencies={
            "cashier": Provide(lambda: cashier, sync_to_thread=False),
            "guard": Provide(lambda: guard, sync_to_thread=False),
            "codes": Provide(lambda: codes, sync_to_thread=False),
            "providers": Provide(lambda: dict(providers), sync_to_thread=False),
            "public_url": Provide(lambda: public_url, sync_to_thread=False),
        },
        exception_handlers={**EXCEPTION_HANDLERS, HTTPException: _http_error},
        lifespan=[background],
        before_send=[shield.every_answer(public_url)],
        state=shield.state(public_url),
        openapi_config=None,
        logging_config=None,  # logging is the program's business (cloud.__main__)
    )
    return Cloud(app, store, orders, lines, cashier)
