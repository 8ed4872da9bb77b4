"""Serves the lot's page: a server of its own, blind to the local API, the journal and all keys.

It knows the lots' signs, the way to the cloud, and one question to the bridge: in which phase is a case? Phones of the
lot's network come in without a token, so everything is bounded: Host, method, rate by address, length, time.
"""

import asyncio
import logging
import re
import threading
import time
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final
from urllib.parse import quote, urlsplit

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from bridge.config import BridgeConfig
from bridge.local_api.http_server import HttpServer
from bridge.lot_page import pages
from bridge.lot_page.cloud_way import CloudWay
from bridge.lot_page.pace import Buckets
from bridge.lot_page.pages import LotSign, Standing
from bridge.lot_page.passing import FORM, FORM_BYTES, PhonePaths
from parking.desk import CasePhase
from parking.errors import DaikoError
from parking.stay import LotId

OPEN_EVERY: Final = 10.0
"""Seconds between two tries to listen: the lot's network may come up after the bridge."""

BODY_SECONDS: Final = 5.0
AT_ONCE: Final = 4
WAITING: Final = 8
"""Requests under way to the cloud, and waiting for that; beyond them a phone is told to come back."""

POST_COST: Final = 5.0
_REFERENCE: Final = re.compile(r"DK-([1-9][0-9]{0,9})-([1-9][0-9]{0,9})")
_HEADERS: Final = {
    "cache-control": "no-store",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}

PhaseOf = Callable[[LotId, int], CasePhase | None]
"""In which phase a case is, by lot and number; None if it is not known."""

log = logging.getLogger(__name__)


class LotPage:
    """Listens as soon as its address can be had, and until `stop`."""

    def __init__(
        self,
        address: tuple[str, int],
        signs: tuple[LotSign, ...],
        cloud: CloudWay,
        cloud_url: str,
        phase_of: PhaseOf,
        buckets: Buckets | None = None,
    ) -> None:
        self._address = address
        self._pool = ThreadPoolExecutor(AT_ONCE, "lot-page-cloud")
        self._views = _Views(signs, cloud, cloud_url, phase_of, self._pool, Buckets() if buckets is None else buckets)
        self._server: HttpServer | None = None
        self._guard = threading.Lock()
        self._stopped = threading.Event()
        self._listening = threading.Event()
        self._thread = threading.Thread(target=self._open, name="lot-page-open", daemon=True)

    def start(self) -> None:
        """Begin to listen, in the background; an address that cannot be had is tried again and again."""
        self._thread.start()

    def wait(self, seconds: float) -> str:
        """The page's URL once it listens, empty if it does not within `seconds`."""
        server = self._server if self._listening.wait(seconds) else None
        return "http://{}:{}".format(*server.address) if server is not None else ""

    def stop(self) -> None:
        """Listen no more; within 3 s."""
        self._stopped.set()
        if self._thread.ident is not None:
            self._thread.join(3.0)
        with self._guard:
            if self._server is not None:
                self._server.stop()
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _open(self) -> None:
        told = ""
        while not self._stopped.is_set():
            try:
                self._listen()
            except DaikoError as error:
                if error.detail != told:
                    log.error("the lot's page does not listen yet: %s", error.detail)
                told = error.detail
                self._stopped.wait(OPEN_EVERY)
            else:
                return

    def _listen(self) -> None:
        with self._guard:
            if self._stopped.is_set():
                return
            server = HttpServer(*self._address, table="lot_page")
            host, port = server.address
            self._views.hosts = frozenset({f"{host}:{port}"} | ({host} if port == 80 else set()))
            self._server = server
            server.start(self._views)
            self._listening.set()
        log.info("the lot's page is at http://%s:%d", host, port)


class _Views:
    """The application (ASGI)."""

    def __init__(
        self,
        signs: tuple[LotSign, ...],
        cloud: CloudWay,
        cloud_url: str,
        phase_of: PhaseOf,
        pool: ThreadPoolExecutor,
        buckets: Buckets,
    ) -> None:
        self._signs = {sign.code: sign for sign in signs}
        self._cloud, self._cloud_url, self._phase_of, self._pool = cloud, cloud_url, phase_of, pool
        self._paths = PhonePaths(list(self._signs), cloud_url)
        self._buckets = buckets
        self._passing = 0
        self.hosts: frozenset[str] = frozenset()
        parts = urlsplit(cloud_url)
        self._welcome = pages.welcome(signs, parts.netloc)
        # Chromium applies form-action to redirects too
        policy = (
            f"default-src 'none'; style-src 'sha256-{pages.STYLE_HASH}'; img-src data:; base-uri 'none'; "
            f"form-action 'self' {parts.scheme}://{parts.netloc}; frame-ancestors 'none'"
        )
        self._headers = {**_HEADERS, "content-security-policy": policy}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        try:
            answer = await self._answer(request)
        except Exception:  # a stranger learns nothing of our inner workings
            log.exception("the lot's page failed")  # without its path, which may hold a token
            answer = self._trouble(500, *_BROKEN)
        await answer(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        method, path = request.method, request.scope["path"]  # a whole URL need not be text
        if request.headers.getlist("host") not in ([host] for host in self.hosts):
            return self._trouble(421, *_NOT_HERE)
        address = request.client.host if request.client else ""
        if not self._buckets.take(address, time.monotonic(), POST_COST if method == "POST" else 1.0):
            return self._trouble(429, *_TOO_MANY, {"retry-after": "30"})
        if method == "GET" and path == "/":
            return self._own(self._welcome)
        if method == "GET" and path == "/go":
            return self._go(request)
        if method == "GET" and path == "/standing":
            return self._standing(request)
        if self._paths.allows(method, path):
            return await self._pass_on(request)
        return self._trouble(404, *_NOT_HERE)

    def _go(self, request: Request) -> Response:
        """On to the cloud's page of this lot and spot, by the phone's own line or by ours."""
        sign = self._signs.get(request.query_params.get("lot", ""))
        spot, by_lot = request.query_params.get("spot", ""), request.query_params.get("by", "") == "lot"
        if sign is None or (spot and spot not in (one for one, _ in sign.spots)):
            return self._trouble(404, *_NOT_HERE)
        path = f"/l/{sign.code}" + (f"/{quote(spot, safe='')}" if spot else "")
        if by_lot and not self._paths.allows("GET", path):
            path = f"/l/{sign.code}"
        return Response(b"", 303, {**self._headers, "location": path if by_lot else self._cloud_url + path})

    def _standing(self, request: Request) -> Response:
        typed = request.query_params.get("reference", "")[: pages.REFERENCE_SIGNS]
        match = _REFERENCE.fullmatch(unicodedata.normalize("NFKC", typed).strip().upper())
        if match is None:
            return self._trouble(400, *_NO_REFERENCE)
        state = Standing.of(self._phase_of(LotId(int(match[1])), int(match[2])))
        seconds = pages.news_seconds(state)
        more = {"refresh": str(seconds)} if seconds else {}
        return self._own(pages.standing(match[0], state), more)

    async def _pass_on(self, request: Request) -> Response:
        """Fetch from the cloud, beside the event loop."""
        body = b""
        if request.method == "POST":
            taken = await self._form(request)
            if isinstance(taken, Response):
                return taken
            body = taken
        languages = request.headers.get("accept-language", "")
        passing = self._paths.passing(request.method, request.scope["path"], request.query_params, languages, body)
        if passing is None:
            return self._trouble(404, *_NOT_HERE)
        if self._passing >= AT_ONCE + WAITING:
            return self._trouble(503, *_BUSY, {"retry-after": "5"})
        self._passing += 1
        try:
            answer = await asyncio.get_running_loop().run_in_executor(self._pool, self._cloud.fetch, passing)
        except DaikoError as error:
            log.warning("%s", error)
            return self._trouble(502, *_NO_CLOUD)
        finally:
            self._passing -= 1
        passed = self._paths.passed(passing.path, answer)
        if passed is None:
            log.warning("the cloud's answer to %s leads nowhere safe", passing.path.split("/")[1])
            return self._trouble(502, *_NO_CLOUD)
        return Response(passed.body, passed.status, dict(passed.headers))

    async def _form(self, request: Request) -> bytes | Response:
        """A form, within 5 s and 8 kB. Whose page it was on does not matter: no cookie goes with it."""
        body = bytearray()
        try:
            async with asyncio.timeout(BODY_SECONDS):
                async for chunk in request.stream():
                    body += chunk
                    if len(body) > FORM_BYTES:
                        return self._trouble(413, *_NOT_HERE, {"connection": "close"})
        except (ClientDisconnect, TimeoutError):
            return self._trouble(408, *_NOT_HERE, {"connection": "close"})
        if body and request.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
            return self._trouble(415, *_NOT_HERE)
        return bytes(body)

    def _own(self, page: bytes, more: dict[str, str] | None = None) -> Response:
        return Response(page, 200, {**self._headers, **(more or {})}, "text/html")

    def _trouble(self, status: int, ja: str, en: str, more: dict[str, str] | None = None) -> Response:
        headers = {**self._headers, **(more or {})}
        if status != 404:
            headers["connection"] = "close"  # a body that nobody has read must not be taken for the next request
        return Response(pages.trouble(ja, en), status, headers, "text/html")


_NOT_HERE: Final = (
    "このページはありません。最初からやり直してください。",
    "There is no such page. Please begin again.",
)
_NO_REFERENCE: Final = ("受付番号は DK-1001-42 の形です。", "A reference looks like DK-1001-42.")
_TOO_MANY: Final = ("少し待ってからもう一度お試しください。", "Please wait half a minute, then try again.")
_BUSY: Final = ("ただいま混み合っています。もう一度お試しください。", "Busy just now. Please try again.")
_BROKEN: Final = (
    "ただいまご利用になれません。係員にお尋ねください。",
    "Not working just now. Please ask the attendant.",
)
_NO_CLOUD: Final = (
    (
        "駐車場の回線がつながりません。スマートフォンが自分の回線につながるときは、看板のQRコードを開いてください。"
        "つながらないときは、精算機でお支払いになるか、係員をお呼びください。お支払い済みの場合は、スマートフォンのコードをお見せください。"
    ),
    (
        "The lot's line is down. If your phone has a connection of its own, scan the code on the sign. If not, "
        "pay at the machine, or call the attendant. If you have paid, show the code on your phone."
    ),
)


def open_lot_page(config: BridgeConfig, phase_of: PhaseOf) -> LotPage | None:
    """The page, if the configuration wants one."""
    if config.lot_page is None:
        return None
    signs = tuple(LotSign.of(profile) for profile in config.lots.values())
    cloud = CloudWay(config.cloud_url, config.ca_file)
    return LotPage(config.lot_page, signs, cloud, config.cloud_url, phase_of)
