"""`python -m cloud serve`: everything at one socket, until a signal asks for the end.

Apart from the other commands, which need neither a web server nor a payment provider and so start in half the time.
"""

import logging
from pathlib import Path

from litestar.types import ControllerRouterHandler

from cloud import app, phone, server, webhooks
from cloud.config import CloudConfig, completion_keys
from cloud.payments.configured import providers

log = logging.getLogger(__name__)


async def serve(config: CloudConfig) -> None:
    """Serve phones, bridges and webhooks.

    Raises Environment: the address is taken, the database is not there or of another version.
    """
    if config.run_file:
        server.forget_run_file(Path(config.run_file))
    keys = completion_keys(Path(config.key_file))
    listening = server.bind(config.listen.host, config.listen.port)
    url = server.address(listening)
    doors: list[ControllerRouterHandler] = [*phone.routes, *webhooks.routes]
    cloud = app.build(config, keys, providers(config), config.public_url or url, doors)

    def ready() -> None:
        log.info("serving on %s as %s", url, config.public_url or url)
        if config.run_file:
            server.write_run_file(Path(config.run_file), url)

    try:
        await cloud.store.migrate()
        await server.Server(cloud.app, ready, cloud.store.bells.close).serve(sockets=[listening])
    finally:
        listening.close()
        if config.run_file:
            server.forget_run_file(Path(config.run_file))
    log.info("ended")
