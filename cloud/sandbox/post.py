"""Sends the sandbox provider's webhooks: signed, repeated with growing pauses until they are taken, or misbehaving."""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Final

import httpx
import msgspec

from cloud.sandbox.faults import Conduct
from cloud.sandbox.wire import SIGNATURE_HEADER, Statement, signature

log = logging.getLogger(__name__)

PAUSES: Final = (0.2, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Seconds before each further try; after the last one the webhook is given up."""
HOLD: Final = 1.5
"""Seconds that a webhook waits for a later one to overtake it."""
PATIENCE: Final = 5.0

Remark = Callable[[str, str, str, str], None]
"""Called with ref, what, event id and detail, for the history."""


class Post:
    """The webhooks on their way. Made and used inside one event loop."""

    def __init__(self, url: str, secret: str, conduct: Conduct, remark: Remark) -> None:
        self._url = url
        self._secret = secret
        self._conduct = conduct
        self._remark = remark
        self._client = httpx.AsyncClient(timeout=PATIENCE, trust_env=False)
        self._tasks: set[asyncio.Task[None]] = set()
        self._held: dict[str, asyncio.Event] = {}

    async def close(self) -> None:
        """Stop sending; what is still on its way counts as not announced."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._client.aclose()

    def announce(self, statement: Statement) -> None:
        """Send a statement as a webhook, in the background."""
        ref, event_id = statement.ref, statement.event_id
        if self._conduct.loses_webhook(ref):
            self._remark(ref, "webhook_lost", event_id, statement.state.value)
            return
        overtaken = self._held.pop(ref, None)
        wait = None
        if overtaken is None and self._conduct.reorders(ref):
            wait = self._held[ref] = asyncio.Event()
        task = asyncio.create_task(self._deliver(statement, wait, overtaken))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _deliver(self, statement: Statement, wait: asyncio.Event | None, overtaken: asyncio.Event | None) -> None:
        if wait:
            try:
                await asyncio.wait_for(wait.wait(), HOLD)
            except TimeoutError:
                self._held.pop(statement.ref, None)
        try:
            for _ in range(1 + self._conduct.repeats(statement.ref)):
                await self._insist(statement)
        finally:
            if overtaken:
                overtaken.set()

    async def _insist(self, statement: Statement) -> None:
        for pause in (*PAUSES, None):
            answer = await self._send(msgspec.json.encode(statement))
            if answer.startswith("2"):
                self._remark(statement.ref, "webhook_delivered", statement.event_id, statement.state.value)
                return
            self._remark(statement.ref, "webhook_failed", statement.event_id, answer)
            if pause is not None:
                await asyncio.sleep(pause)
        self._remark(statement.ref, "webhook_given_up", statement.event_id, "")
        log.error("webhook %s given up", statement.event_id)

    async def _send(self, body: bytes) -> str:
        """The status of the answer, or why there was none."""
        headers = {
            "content-type": "application/json",
            SIGNATURE_HEADER: signature(self._secret, body, datetime.now(UTC)),
        }
        try:
            answer = await self._client.post(self._url, content=body, headers=headers)
        except httpx.HTTPError as error:
            return f"no answer: {type(error).__name__}"
        return str(answer.status_code)
