"""The bridges' door: enrolment, feed, reports and answers (see parking.wire). Every refusal is a `Problem` in JSON."""

import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from litestar import Request, Response, Router, get, post
from litestar.datastructures import State
from litestar.exceptions import HTTPException
from litestar.params import FromPath
from litestar.response import Stream

from cloud import alarms, completions, enrolment, reports, signatures
from cloud.asks import Lines
from cloud.checkout import Alarm
from cloud.code_keys import LotSecrets
from cloud.enrolment import Bridge, BridgeState
from cloud.orders import Orders
from cloud.store import Store, wait
from parking.errors import BadMessage, Code, DaikoError, Refused
from parking.reports import ReportBatch, ReportReply
from parking.signing import fingerprint, to_text
from parking.wire import (
    Accepted,
    Answer,
    Ask,
    CompletionKey,
    EnrolPending,
    EnrolReply,
    EnrolRequest,
    Entry,
    FeedBatch,
    Message,
    Problem,
    decode,
    encode,
)

log = logging.getLogger(__name__)

AnyRequest = Request[Any, Any, State]

BODY_BYTES: Final = 1_048_576
MOST_WAIT: Final = 55.0
_STATUS: Final = {
    Code.UNAUTHORIZED: 401,
    Code.BAD_SIGNATURE: 401,
    Code.CLOCK: 401,
    Code.REPLAYED: 401,
    Code.NOT_ENROLLED: 401,
    Code.NOT_APPROVED: 403,
    Code.ENROL_CODE: 403,
    Code.STALE_GENERATION: 403,
    Code.LOT_UNKNOWN: 404,
    Code.NOT_FOUND: 404,
    Code.SEQUENCE_GAP: 409,
    Code.JOURNAL_LOST: 409,
    Code.BUG: 500,
}
_STREAM_HEADERS: Final = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}


@dataclass(frozen=True, slots=True)
class BridgeDesk:
    """What the bridges' door works with."""

    store: Store
    orders: Orders
    lines: Lines
    secrets: LotSecrets
    keys: dict[int, bytes]
    public_url: str
    heartbeat: float
    clock: Callable[[], datetime]

    async def bridge(self, request: AnyRequest, *, waiting: bool = False) -> tuple[Bridge, bytes]:
        """Who asks, and the body. Raises what `signatures.authenticate` raises."""
        body = await request.body()
        raw_path, query = request.scope["raw_path"].decode("ascii", "replace"), request.scope["query_string"].decode()
        url = self.public_url + raw_path.partition("?")[0] + (f"?{query}" if query else "")
        signed = signatures.Signed(request.method, url, _fields(request), body)
        return await signatures.authenticate(self.store, signed, self.clock(), waiting=waiting), body

    async def enrolled(self, bridge: Bridge) -> EnrolReply:
        """What an approved bridge is to know. Raises Refused(NOT_APPROVED | STALE_GENERATION)."""
        if bridge.state is not BridgeState.APPROVED:
            raise enrolment.not_approved(bridge.id)
        async with self.store.read() as db:
            served = await enrolment.served(db, bridge)
        keys = tuple(CompletionKey(key_id=key_id, public_key=to_text(raw)) for key_id, raw in self.keys.items())
        return EnrolReply(
            bridge_id=bridge.id,
            generation=bridge.generation,
            lots=served.lots,
            completion_keys=keys,
            server_time=self.clock(),
            feed_after=served.feed_after,
        )

    async def serving(self, bridge: Bridge, lot: int) -> int:
        """The generation under which a bridge serves a lot; it counts as heard. Raises Refused(STALE_GENERATION)."""
        async with self.store.read() as db:
            generation = await enrolment.check(db, bridge.id, lot)
        self.lines.heard(lot)
        return generation

    async def apply(self, bridge: Bridge, lot: int, batch: ReportBatch) -> int:
        """Up to which number reports are accepted now.

        Raises Refused(STALE_GENERATION | SEQUENCE_GAP | JOURNAL_LOST).
        """
        try:
            async with self.store.write() as tx:
                # read inside the transaction: the lot may be enrolled anew at any moment
                if batch.generation != await enrolment.check(tx.connection, bridge.id, lot):
                    raise enrolment.stale(lot)
                return await reports.apply(tx, self.orders, lot, batch, self.clock())
        except Refused as error:
            if error.code is Code.JOURNAL_LOST:  # the batch is rolled back, and somebody must know
                async with self.store.write() as tx:
                    await alarms.raise_once(tx, lot, Alarm(error.code, error.detail), self.clock())
            raise

    async def look(self, bridge: Bridge, lot: int, cursor: int) -> list[Entry]:
        """What the bridge has not yet, provided that it still serves the lot."""
        async with self.store.read() as db:
            await enrolment.check(db, bridge.id, lot)
            return await completions.after(db, lot, cursor)

    async def stream(self, bridge: Bridge, lot: int, cursor: int) -> AsyncIterator[bytes]:
        """The feed as server-sent events, until the bridge is fenced off or the program stops."""
        told: set[str] = set()
        yield self._heartbeat()  # the bridge learns at once that the line works, and what time it is here
        with self.lines.feed(lot):
            while not self.store.bells.closed:
                bell = self.store.bells.listen(("feed", lot))
                try:
                    entries = await self.look(bridge, lot, cursor)
                except DaikoError as error:
                    log.info("the feed of lot %s for bridge %s ends: %s", lot, bridge.id, error)
                    return
                for entry in entries:
                    cursor = entry.number
                    yield b"event: completion\nid: %d\ndata: %s\n\n" % (cursor, encode(entry))
                for ask in self.lines.waiting(lot, told):
                    yield b"event: ask\ndata: %s\n\n" % encode(ask)
                if len(entries) < completions.BATCH and not await wait(bell, self.heartbeat):
                    yield self._heartbeat()

    def _heartbeat(self) -> bytes:
        return b"event: heartbeat\ndata: %s\n\n" % encode(Accepted(server_time=self.clock()))

    async def poll(self, bridge: Bridge, lot: int, cursor: int, seconds: float) -> FeedBatch:
        """The feed by long poll: as soon as there is something, or empty after `seconds`."""
        with self.lines.feed(lot):
            bell = self.store.bells.listen(("feed", lot))
            entries, asks = await self.look(bridge, lot, cursor), self.lines.waiting(lot)
            if not entries and not asks and await wait(bell, seconds):
                entries, asks = await self.look(bridge, lot, cursor), self.lines.waiting(lot)
        return FeedBatch(entries=tuple(entries), asks=tuple[Ask, ...](asks), server_time=self.clock())


def router(desk: BridgeDesk) -> Router:
    """The routes under /bridge/v1, on `desk`."""

    @post("/enrol", status_code=200)
    async def enrol(request: AnyRequest) -> Response[bytes]:
        asked = decode(await request.body(), EnrolRequest)
        now = desk.clock()
        async with desk.store.write() as tx:
            bridge = await enrolment.enrol(tx, asked, now)
        shown = fingerprint(bridge.public_key)
        log.warning("bridge %s is %s, fingerprint %s: python -m cloud bridge approve", bridge.id, bridge.state, shown)
        return _reply(EnrolPending(bridge_id=bridge.id, fingerprint=shown, server_time=now))

    @get("/enrolment")
    async def enrolled(request: AnyRequest) -> Response[bytes]:
        bridge, _ = await desk.bridge(request, waiting=True)
        return _reply(await desk.enrolled(bridge))

    @get("/lots/{lot:int}/keys")
    async def lot_keys(request: AnyRequest, lot: FromPath[int]) -> Response[bytes]:
        bridge, _ = await desk.bridge(request)
        await desk.serving(bridge, lot)
        async with desk.store.write() as tx:
            # read inside the transaction: a bridge that is fenced off meanwhile gets nothing
            generation = await enrolment.check(tx.connection, bridge.id, lot)
            found = await desk.secrets.for_bridge(tx, lot, generation, desk.clock())
        return _reply(found)

    @get("/lots/{lot:int}/feed")
    async def feed(request: AnyRequest, lot: FromPath[int]) -> Response[bytes] | Stream:
        bridge, _ = await desk.bridge(request)
        await desk.serving(bridge, lot)
        cursor = _number(request.headers.get("last-event-id") or request.query_params.get("after") or "0", "after")
        seconds = request.query_params.get("wait")
        if seconds is None:
            content = desk.stream(bridge, lot, cursor)
            return Stream(content, media_type="text/event-stream", headers=_STREAM_HEADERS)
        return _reply(await desk.poll(bridge, lot, cursor, min(_number(seconds, "wait"), MOST_WAIT)))

    @post("/lots/{lot:int}/reports", status_code=200)
    async def report(request: AnyRequest, lot: FromPath[int]) -> Response[bytes]:
        bridge, body = await desk.bridge(request)
        await desk.serving(bridge, lot)
        batch = decode(body, ReportBatch)
        return _reply(ReportReply(accepted_through=await desk.apply(bridge, lot, batch), server_time=desk.clock()))

    @post("/lots/{lot:int}/answers", status_code=200)
    async def answer(request: AnyRequest, lot: FromPath[int]) -> Response[bytes]:
        bridge, body = await desk.bridge(request)
        await desk.serving(bridge, lot)
        if not desk.lines.answer(lot, decode(body, Answer)):
            log.info("lot %s answered too late, or twice", lot)
        return _reply(Accepted(server_time=desk.clock()))

    return Router(
        "/bridge/v1",
        route_handlers=[enrol, enrolled, lot_keys, feed, report, answer],
        exception_handlers={DaikoError: _problem, HTTPException: http_problem, Exception: _bug},
        request_max_body_size=BODY_BYTES,
        include_in_schema=False,
    )


def _reply(message: Message, status: int = 200) -> Response[bytes]:
    return Response(encode(message), status_code=status, media_type="application/json")


def _problem(request: AnyRequest, error: DaikoError) -> Response[bytes]:
    log.info("%s %s: %s", request.method, request.url.path, error)
    problem = Problem(code=error.code.value, detail=error.detail, remedy=error.remedy)
    return _reply(problem, _STATUS.get(error.code, 400))


def http_problem(request: AnyRequest, error: HTTPException) -> Response[bytes]:
    """What the framework refuses (no such path, too large a body), in our own form."""
    del request
    code = Code.NOT_FOUND if error.status_code == 404 else Code.BAD_MESSAGE
    return _reply(Problem(code=code.value, detail=error.detail), error.status_code)


def _bug(request: AnyRequest, error: Exception) -> Response[bytes]:
    log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return _reply(Problem(code=Code.BUG.value, detail="the cloud failed; nothing was changed", remedy="try again"), 500)


def _fields(request: AnyRequest) -> dict[str, str]:
    """Header fields, repeated ones joined as RFC 9421 §2.1 wants it."""
    found: dict[str, str] = {}
    for name, value in request.headers.multi_items():
        found[name.lower()] = f"{found[name.lower()]}, {value}" if name.lower() in found else value
    return found


def _number(text: str, name: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 10:
        raise BadMessage(Code.BAD_MESSAGE, f"`{name}` is {text[:20]!r}, not a whole number")
    return int(text)
