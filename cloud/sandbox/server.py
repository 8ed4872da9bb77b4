"""The sandbox payment provider, a process of its own: `python -m cloud sandbox …` (docs/payment-sandbox.md).

It moves no money. It behaves like a card provider: hosted page, authorize → capture | void, refund, signed webhooks
that are repeated until taken; and it misbehaves on demand.
"""

import argparse
import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final

from litestar import Litestar
from litestar.di import Provide

from cloud import logs
from cloud.sandbox.api import api
from cloud.sandbox.faults import Conduct
from cloud.sandbox.ledger import Ledger, Paid
from cloud.sandbox.page import press, show
from cloud.sandbox.post import Post
from cloud.server import Server, address, bind, forget_run_file, write_run_file

log = logging.getLogger(__name__)

SWEEP: Final = 0.5
"""Seconds between looks for payments whose page has expired."""


@dataclass(frozen=True, slots=True)
class Settings:
    """How the sandbox was started. `public_url` is empty: the address that the shop called is what browsers get."""

    secret: str
    webhook: str
    api_key: str
    public_url: str
    state: Path | None


def make_app(settings: Settings) -> Litestar:
    """The provider as an ASGI app. Raises as `Ledger` does."""
    conduct = Conduct()
    post: list[Post] = []

    def changed(paid: Paid) -> None:
        post[0].announce(paid.statement())

    ledger = Ledger(settings.state, changed)

    def remark(ref: str, what: str, event_id: str, detail: str) -> None:
        ledger.remark(ref, what, datetime.now(UTC), event_id, detail)

    @asynccontextmanager
    async def life(_: Litestar) -> AsyncIterator[None]:
        post.append(Post(settings.webhook, settings.secret, conduct, remark))
        for statement in ledger.unannounced():
            post[0].announce(statement)
        sweeper = asyncio.create_task(_sweep(ledger))
        try:
            yield
        finally:
            sweeper.cancel()
            await asyncio.gather(sweeper, return_exceptions=True)
            await post[0].close()
            ledger.close()

    return Litestar(
        [api(settings.api_key), show, press],
        dependencies={
            "ledger": Provide(lambda: ledger, sync_to_thread=False),
            "conduct": Provide(lambda: conduct, sync_to_thread=False),
            "public_url": Provide(lambda: settings.public_url, sync_to_thread=False),
        },
        lifespan=[life],
        openapi_config=None,
        logging_config=None,
        request_max_body_size=65_536,
    )


async def _sweep(ledger: Ledger) -> None:
    while True:
        await asyncio.sleep(SWEEP)
        for ref in list(ledger.payments):
            ledger.get(ref, datetime.now(UTC))


def main(argv: Sequence[str]) -> int:
    """Serve until SIGTERM or SIGINT. Exit status: 0 after those, 2 for wrong arguments.

    Raises Environment as `cloud.server.bind` does, and JOURNAL if `--state` is not a file of ours.
    """
    asked = _arguments().parse_args(argv)
    logs.to_stderr("INFO")
    # A request line names a payment, and its name opens its page.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    forget_run_file(asked.run_file)
    host, _, port = asked.listen.rpartition(":")
    settings = Settings(asked.secret, asked.webhook, asked.api_key, asked.public_url.rstrip("/"), asked.state)
    with bind(host.strip("[]"), int(port)) as listening:
        ready = partial(write_run_file, asked.run_file, address(listening))
        Server(make_app(settings), ready, lambda: None).run(sockets=[listening])
    return 0


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m cloud sandbox", description="A payment provider without money.")
    parser.add_argument("--listen", required=True, type=_address, metavar="HOST:PORT", help="port 0: any free one")
    parser.add_argument("--secret", required=True, help="signs the webhooks")
    parser.add_argument("--webhook", required=True, metavar="URL", help="where webhooks go")
    parser.add_argument("--api-key", default="", help="the shop must show it; none: everybody may call")
    parser.add_argument("--public-url", default="", help="what browsers reach us by, if not the address shops call")
    parser.add_argument("--run-file", required=True, type=Path, help='gets {"url", "pid"} once ready')
    parser.add_argument("--state", type=Path, help="keeps the books here; without it they end with the process")
    return parser


def _address(text: str) -> str:
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT, such as 127.0.0.1:8420")
    return text
