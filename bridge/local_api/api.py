"""The local API for the console (parking.desk): loopback only, one bearer token, an event stream with resume.

A browser page must not reach it, whatever it knows: the Host must be ours to the letter (DNS rebinding), an Origin is
refused, a token is needed, a POST must be JSON. Errors are wire.Problem.
"""

import asyncio
import logging
import re
import threading
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from bridge import keys
from bridge.local_api.door import Door, answer_problem
from bridge.local_api.http_server import HttpServer
from bridge.ports import Desk
from parking.commands import Command, Redeem, SignIn, SignOut
from parking.errors import BadMessage, Code, DaikoError, Environment, Refused
from parking.stay import LotId, parse_key
from parking.wire import M, Message, decode, encode

HEARTBEAT_SECONDS: Final = 5.0
PUMP_SECONDS: Final = 0.25
BODY_SECONDS: Final = 5.0
MOST_SIGNING_IN: Final = 4
"""PINs that may wait to be looked at; each takes 50 ms and 19 MB, one at a time, beside the orders' threads."""

_NUMBER: Final = re.compile(r"[0-9]{1,18}")

log = logging.getLogger(__name__)


class LocalApi:
    """Serves `desk` until `stop`; writes its address to `data`/api.json once it listens, the token to api-token."""

    def __init__(
        self, desk: Desk, data: Path, host: str, port: int, *, heartbeat_seconds: float = HEARTBEAT_SECONDS
    ) -> None:
        self._desk = desk
        self._data = data
        self._address = (host, port)
        self._heartbeat = heartbeat_seconds
        self._server: HttpServer | None = None
        self._pump: _Pump | None = None
        self._signers = ThreadPoolExecutor(1, "api-sign-in")
        self.url = ""

    def start(self) -> str:
        """Listen; returns the URL. Raises Environment: PORT_BUSY, or DISK | CONFIG for the token's file."""
        token = keys.api_token(self._data)
        server = HttpServer(*self._address)
        self._pump = _Pump(self._desk)
        host, port = server.address
        allowed = frozenset((f"{host}:{port}", f"localhost:{port}"))
        server.start(Door(self._routes(self._pump), token, allowed))
        self._server = server
        self._pump.start()
        self.url = f"http://{host}:{port}"
        try:
            keys.write_run_file(self._data, self.url)
        except Environment as error:  # on a read-only disk a console that knows the address still gets through
            log.error("the console cannot be told where this bridge listens: %s", error)
        log.info("the console finds this bridge at %s", self.url)
        return self.url

    def stop(self) -> None:
        """End all streams and listen no more; within 3 s."""
        keys.remove_run_file(self._data)
        if self._pump is not None:
            self._pump.stop()
        if self._server is not None:
            self._server.stop()
        if self._pump is not None:
            self._pump.join()
        self._signers.shutdown(cancel_futures=True)

    def _routes(self, pump: "_Pump") -> Starlette:
        views = _Views(self._desk, pump, self._signers, self._heartbeat)
        return Starlette(
            routes=[
                Route("/v1/snapshot", views.snapshot, methods=["GET"]),
                Route("/v1/events", views.events, methods=["GET"]),
                Route("/v1/timeline", views.timeline, methods=["GET"]),
                Route("/v1/commands", views.commands, methods=["POST"]),
                Route("/v1/codes", views.codes, methods=["POST"]),
                Route("/v1/sign-in", views.sign_in, methods=["POST"]),
                Route("/v1/sign-out", views.sign_out, methods=["POST"]),
            ],
            exception_handlers={DaikoError: answer_problem, HTTPException: answer_problem, Exception: answer_problem},
        )


class _Views:
    """The endpoints. What may take a lock or a commit runs beside the event loop."""

    def __init__(self, desk: Desk, pump: "_Pump", signers: ThreadPoolExecutor, heartbeat: float) -> None:
        self._desk = desk
        self._pump = pump
        self._signers, self._signing = signers, 0
        self._heartbeat = heartbeat

    async def snapshot(self, request: Request) -> Response:
        _only(request, ())
        return await asyncio.to_thread(lambda: _json(self._desk.snapshot()))

    async def timeline(self, request: Request) -> Response:
        _only(request, ("lot", "stay"))
        lot = _number(request, "lot", None)
        stay = parse_key(request.query_params.get("stay", ""))
        return await asyncio.to_thread(lambda: _json(self._desk.timeline(LotId(lot), stay.key)))

    async def commands(self, request: Request) -> Response:
        command = await _body(request, Command)
        return await asyncio.to_thread(lambda: _json(self._desk.command(command)))

    async def codes(self, request: Request) -> Response:
        redeem = await _body(request, Redeem)
        return await asyncio.to_thread(lambda: _json(self._desk.redeem(redeem)))

    async def sign_in(self, request: Request) -> Response:
        who = await _body(request, SignIn)
        if self._signing >= MOST_SIGNING_IN:
            raise Refused(Code.LOCKED_OUT, "too many are signing in at once: wait 1 s")
        self._signing += 1
        try:
            signed = await asyncio.get_running_loop().run_in_executor(self._signers, self._desk.sign_in, who)
        finally:
            self._signing -= 1
        return _json(signed)

    async def sign_out(self, request: Request) -> Response:
        who = await _body(request, SignOut)
        return await asyncio.to_thread(lambda: _json(self._desk.sign_out(who)))

    async def events(self, request: Request) -> Response:
        _only(request, ("after",))
        resume = request.headers.get("last-event-id")
        after = _number(request, "after", resume)
        if after > self._pump.latest and after > (await asyncio.to_thread(self._desk.snapshot)).seq:
            stream = _reset()  # numbered by a bridge that has been restarted since
        else:
            stream = self._events(after)
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        return StreamingResponse(stream, media_type="text/event-stream", headers=headers)

    async def _events(self, after: int) -> AsyncIterator[bytes]:
        yield b": open\n\n"
        with self._pump.listen() as news:
            while not self._pump.stopped:
                news.clear()
                events = self._desk.events(after)
                if events is None:
                    yield RESET
                    return
                if events:
                    yield b"".join(b"id: %d\ndata: %b\n\n" % (event.seq, encode(event)) for event in events)
                    after = events[-1].seq
                    continue
                try:
                    await asyncio.wait_for(news.wait(), self._heartbeat)
                except TimeoutError:
                    yield b": heartbeat\n\n"


RESET: Final = b"event: reset\ndata: {}\n\n"


async def _reset() -> AsyncIterator[bytes]:
    yield RESET


class _Listening:
    """One stream's wake-up, as a context."""

    def __init__(self, pump: "_Pump") -> None:
        self._pump = pump
        self._news = asyncio.Event()
        self._entry = (asyncio.get_running_loop(), self._news)

    def __enter__(self) -> asyncio.Event:
        self._pump.listeners.add(self._entry)
        return self._news

    def __exit__(self, *_: object) -> None:
        self._pump.listeners.discard(self._entry)


class _Pump:
    """Waits for the desk's events on one thread and wakes every stream, however many consoles there are."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._thread = threading.Thread(target=self._run, name="api-pump", daemon=True)
        self.listeners: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = set()
        self.latest = 0
        self.stopped = False

    def listen(self) -> _Listening:
        """Be woken while the context lasts; called on the event loop."""
        return _Listening(self)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self.stopped = True
        self._wake()

    def join(self) -> None:
        if self._thread.ident is not None:
            self._thread.join(PUMP_SECONDS * 4)

    def _run(self) -> None:
        while not self.stopped:
            try:
                self._once()
            except Exception:  # the streams fall back to their heartbeat; the thread must live on
                log.exception("the desk failed while the API waited for events")
                threading.Event().wait(PUMP_SECONDS)

    def _once(self) -> None:
        self._desk.wait_for_event(self.latest, PUMP_SECONDS)
        events = self._desk.events(self.latest)
        latest = self._desk.snapshot().seq if events is None else events[-1].seq if events else self.latest
        if latest != self.latest:
            self.latest = latest
            self._wake()

    def _wake(self) -> None:
        for loop, news in tuple(self.listeners):
            if not loop.is_closed():
                loop.call_soon_threadsafe(news.set)


async def _body(request: Request, kind: type[M]) -> M:
    try:
        raw = await asyncio.wait_for(request.body(), BODY_SECONDS)
    except (ClientDisconnect, TimeoutError) as error:
        raise BadMessage(Code.BAD_MESSAGE, f"the body did not arrive within {BODY_SECONDS:.0f} s") from error
    return decode(raw, kind)


def _json(message: Message) -> Response:
    return Response(encode(message), media_type="application/json", headers={"Cache-Control": "no-store"})


def _only(request: Request, names: tuple[str, ...]) -> None:
    for name in request.query_params:
        if name not in names:
            raise BadMessage(Code.BAD_MESSAGE, f"{name[:40]!r} is no parameter of {request.scope['path']}")


def _number(request: Request, name: str, otherwise: str | None) -> int:
    text = request.query_params.get(name, otherwise or "")
    if not _NUMBER.fullmatch(text):
        raise BadMessage(Code.BAD_MESSAGE, f"`{name}` must be a whole number, not {text[:40]!r}")
    return int(text)
