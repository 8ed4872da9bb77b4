"""The stage of these tests: a till in memory, our pages on a real socket, and the sandbox provider as a process."""

import asyncio
import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
import uvicorn
from litestar import Litestar
from litestar.di import Provide

from cloud import phone, shield, webhooks
from cloud.clock import utc_now
from cloud.config import PhonePages
from cloud.guard import Guard
from cloud.payments.base import PaymentRequest, ProviderEvent, ProviderState
from cloud.payments.sandbox import SandboxProvider
from cloud.phone_errors import EXCEPTION_HANDLERS
from cloud.place import metres_between
from cloud.receipt import ShownCodes, shown
from cloud.views import ClaimOffer, ClaimPage, LotPage, PaymentPage, PaymentStage, QuotePage
from parking.completion import Completion, from_digits, sign, to_digits, verify
from parking.errors import Code, DaikoError, Environment, Refused
from parking.money import yen
from parking.signing import KeyRing, SigningKey
from parking.stay import LotId, NameKind, StayRef, normalise
from parking.wire import FeeLine

T = TypeVar("T")
SECRET, API_KEY, CODE_KEY = "webhook-secret", "shop-key", b"k" * 32
WITH_COMPLETION = (PaymentStage.RELEASING, PaymentStage.ATTENDANT, PaymentStage.DONE)
PATIENT = PhonePages(misses=100_000, lot_misses=100_000)
"""For tests about something else: all of them come from one address."""

BAYS = LotPage(
    LotId(1001), "WAKABA1", {"ja": "若葉町第1駐車場", "en": "Wakaba-cho Lot 1"},
    {"ja": "東京都立川市若葉町1-2-3", "en": "1-2-3 Wakaba-cho, Tachikawa, Tokyo"},
    NameKind.BAY, "Asia/Tokyo", {}, True, 35.7142, 139.4330, 80,
)  # fmt: skip
GATED = LotPage(
    LotId(1002), "MNAM12K", {"ja": "南口ゲート駐車場", "en": "Minamiguchi Gated Lot"},
    {"ja": "東京都立川市柴崎町2-3-4", "en": "2-3-4 Shibasaki-cho, Tachikawa, Tokyo"},
    NameKind.TICKET, "Asia/Tokyo", {"OUT1": {"ja": "出口1", "en": "Exit 1"}}, True, 35.6971, 139.4138, 120,
)  # fmt: skip
PLATES = replace(BAYS, lot=LotId(1003), code="PARATE9", names=NameKind.PLATE)


@dataclass
class Entered:
    """A car in a lot of the till, or the error that asking for it brings."""

    at: datetime
    amount: int = 700
    lease: timedelta = timedelta(minutes=5)
    error: DaikoError | None = None


@dataclass
class Till:
    """A whole Cashier in memory: the states are honest, the lot's answers come from the test."""

    provider: SandboxProvider
    public_url: str
    lots: dict[str, LotPage] = field(default_factory=lambda: {lot.code: lot for lot in (BAYS, GATED, PLATES)})
    stays: dict[tuple[str, str], Entered] = field(default_factory=dict)
    quotes: dict[str, QuotePage] = field(default_factory=dict)
    payments: dict[str, PaymentPage] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)
    events: list[ProviderEvent] = field(default_factory=list)
    claims: dict[str, ClaimPage] = field(default_factory=dict)
    broken: Exception | None = None
    provider_down: bool = False
    key: SigningKey = field(default_factory=lambda: SigningKey.generate(1))
    moved: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def lot(self, code: str) -> LotPage:
        if self.broken:
            raise self.broken
        if code not in self.lots:
            raise Refused(Code.LOT_UNKNOWN, f"no lot {code}")
        return self.lots[code]

    async def lots_near(self, latitude: float, longitude: float) -> list[tuple[LotPage, int]]:
        far = [
            (lot, round(metres_between(latitude, longitude, lot.latitude, lot.longitude))) for lot in self.lots.values()
        ]
        return sorted([pair for pair in far if pair[1] <= 3000], key=lambda pair: pair[1])[:5]

    async def fee(self, code: str, typed: str, exit_: str) -> QuotePage:
        lot = await self.lot(code)
        name = normalise(lot.names, typed)
        if exit_ and exit_ not in lot.exits:
            raise Refused(Code.EXIT_UNKNOWN, exit_)
        car = self.stays.get((code, name))
        if car is None:
            raise Refused(Code.STAY_UNKNOWN, name)
        if car.error:
            raise car.error
        now, token = datetime.now(UTC), secrets.token_urlsafe(16)
        lines = (
            (
                FeeLine(text={"ja": "昼間 20分200円 × 3", "en": "Day, ¥200 per 20 min × 3"}, amount=car.amount - 100),
                FeeLine(text={"ja": "夜間 60分100円 × 1", "en": "Night, ¥100 per 60 min × 1"}, amount=100),
            )
            if car.amount
            else ()
        )
        stay = StayRef(lot.names, name, car.at)
        self.quotes[token] = QuotePage(
            token, lot, stay, exit_, yen(car.amount), lines, now, now + car.lease, "cloud" if lot is BAYS else "legacy"
        )
        return self.quotes[token]

    async def quote(self, token: str) -> QuotePage:
        if token not in self.quotes:
            raise Refused(Code.NOT_FOUND, "no such quote")
        return self.quotes[token]

    async def pay(self, token: str, language: str, *, line_down: bool = False) -> str:
        quote, now = await self.quote(token), datetime.now(UTC)
        if token not in self.payments and now >= quote.valid_until:
            raise Refused(Code.QUOTE_EXPIRED, "too late")
        if self.provider_down:
            raise Environment(Code.PROVIDER, "no route to the provider")
        if not quote.amount:
            self.payments[token] = PaymentPage(token, PaymentStage.OPEN, quote, "", "", "", None, now, 1)
            await self.move(token, PaymentStage.RELEASING, completion=self._completion(self.payments[token]))
            return f"{self.public_url}/p/{token}"
        page = await self.provider.begin(
            PaymentRequest(
                token, quote.amount, quote.lot.name[language], f"{self.public_url}/p/{token}", language,
                quote.valid_until + timedelta(minutes=5),
            )
        )  # fmt: skip
        self.refs[token] = page.provider_ref
        self.payments.setdefault(token, PaymentPage(token, PaymentStage.OPEN, quote, "", "", "", None, now, 1))
        return page.url

    async def claim_offer(self, token: str) -> ClaimOffer | None:
        quote = await self.quote(token)
        if not self.provider_down or quote.lot.when_down != "claim":
            return None
        return ClaimOffer(quote.amount, datetime.now(UTC) + timedelta(days=14))

    async def claim(self, token: str) -> str:
        quote, now = await self.quote(token), datetime.now(UTC)
        if await self.claim_offer(token) is None:
            raise Refused(Code.CLAIM_POLICY, "not at this lot")
        name = secrets.token_hex(13).upper()
        until = now + timedelta(days=14)
        self.claims[name] = ClaimPage(name, quote.lot, quote.stay, quote.amount, now, until, "held", False)
        self.payments[token] = PaymentPage(token, PaymentStage.OPEN, quote, "", "", "", None, now, 1, claim=name)
        await self.move(token, PaymentStage.RELEASING, completion=self._completion(self.payments[token]))
        return f"{self.public_url}/p/{token}"

    async def claim_page(self, claim_id: str) -> ClaimPage:
        if claim_id not in self.claims:
            raise Refused(Code.NOT_FOUND, "no such claim")
        return self.claims[claim_id]

    async def pay_claim(self, claim_id: str, language: str) -> str:
        claim = await self.claim_page(claim_id)
        if claim.state != "due":
            raise Refused(Code.ALREADY_PAID if claim.state == "paid" else Code.CONFLICT, claim.state)
        if self.provider_down:
            raise Environment(Code.PROVIDER, "no route to the provider")
        page = await self.provider.begin(
            PaymentRequest(
                f"c-{claim_id}", claim.amount, claim.lot.name[language], f"{self.public_url}/c/{claim_id}", language,
                datetime.now(UTC) + timedelta(minutes=15),
            )
        )  # fmt: skip
        self.claims[claim_id] = replace(claim, paying=True)
        return page.url

    async def of(self, payment: PaymentPage) -> ShownCodes | None:
        """The codes of a payment, as the product makes them, under a key of the test's own."""
        if not payment.completion or payment.stage in (PaymentStage.NOT_CHARGED, PaymentStage.REFUNDED):
            return None
        now, ring = datetime.now(UTC), KeyRing({1: self.key.public_bytes})
        completion = verify(from_digits(payment.completion), ring)
        return shown(completion, payment.completion, (2, CODE_KEY), timedelta(hours=6), now) or None

    async def payment(self, token: str) -> PaymentPage:
        if token not in self.payments:
            raise Refused(Code.NOT_FOUND, "no such payment")
        return self.payments[token]

    async def changed(self, token: str, version: int, seconds: float) -> PaymentPage:
        async with self.moved:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self.moved.wait_for(lambda: self.payments[token].version > version), seconds)
        return self.payments[token]

    async def apply(self, event: ProviderEvent) -> None:
        if self.broken:
            raise self.broken
        page = self.payments.get(event.order_id)
        if page is None:
            raise Refused(Code.NOT_FOUND, f"no order {event.order_id}")
        if event.state is ProviderState.AUTHORIZED and event.amount != page.quote.amount:
            raise Refused(Code.CONFLICT, "another amount")
        if event.event_id in {known.event_id for known in self.events}:
            return
        self.events.append(event)
        if page.stage is not PaymentStage.OPEN:
            return
        if event.state is ProviderState.AUTHORIZED:
            await self.move(event.order_id, PaymentStage.RELEASING, completion=self._completion(page), paid_at=event.at)
        elif event.state is not ProviderState.PENDING:
            await self.move(event.order_id, PaymentStage.NOT_CHARGED, code=Code.PROVIDER.value)

    async def move(self, token: str, stage: PaymentStage, **values: Any) -> None:
        async with self.moved:
            page = self.payments[token]
            if stage in WITH_COMPLETION and not page.completion:
                values = {"completion": self._completion(page), **values}
            reference = page.reference or (f"DK-{page.quote.lot.lot}-42" if stage is not PaymentStage.OPEN else "")
            self.payments[token] = replace(
                page, stage=stage, version=page.version + 1, changed_at=datetime.now(UTC), reference=reference, **values
            )
            self.moved.notify_all()

    def _completion(self, page: PaymentPage) -> str:
        now = datetime.now(UTC).replace(microsecond=0)
        quote = page.quote
        paid = Completion(1, quote.lot.lot, 42, quote.stay, quote.amount, now, now + timedelta(hours=1), quote.exit)
        return to_digits(sign(paid, self.key))


@dataclass
class SandboxProcess:
    """The sandbox provider as a process of its own, and what a shop with its key can ask of it."""

    webhook: str
    folder: Path
    arguments: tuple[str, ...] = ()
    url: str = ""
    pid: int = 0
    process: subprocess.Popen[bytes] | None = None

    def start(self, listen: str = "127.0.0.1:0") -> "SandboxProcess":
        run_file = self.folder / "sandbox.json"
        run_file.unlink(missing_ok=True)
        code = "import sys; from cloud.sandbox.server import main; sys.exit(main(sys.argv[1:]))"
        command = [sys.executable, "-c", code, "--listen", listen, "--secret", SECRET, "--webhook", self.webhook]
        command += ["--api-key", API_KEY, "--run-file", str(run_file), *self.arguments]
        self.process = subprocess.Popen(command, cwd=Path(__file__).parents[3])
        deadline = time.monotonic() + 15
        while not run_file.exists():
            assert self.process.poll() is None, "the sandbox ended at its start"
            assert time.monotonic() < deadline, "the sandbox did not start"
            time.sleep(0.02)
        said = json.loads(run_file.read_text())
        self.url, self.pid = said["url"], said["pid"]
        return self

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        assert self.process is not None
        if self.process.poll() is None:
            os.kill(self.process.pid, how)
        self.process.wait(10)

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> httpx.Response:
        merged = {
            "authorization": f"Bearer {API_KEY}",
            **{name.replace("_", "-"): value for name, value in headers.items()},
        }
        with httpx.Client(trust_env=False, timeout=10, verify=False) as client:
            return client.request(
                method, self.url + path, headers=merged, **({"json": body} if body is not None else {})
            )

    def wish(self, behave: str, ref: str = "", **more: float) -> None:
        path = f"/v1/payments/{ref}/behave" if ref else "/v1/behave"
        assert self.ask("POST", path, {"behave": behave, **more}).status_code == 204

    def history(self, ref: str) -> list[str]:
        return [entry["what"] for entry in self.ask("GET", "/v1/history").json() if entry["ref"] == ref]


@dataclass
class Site:
    """Our pages on a real socket, their till, and the loop on which it lives."""

    url: str
    till: Till
    sandbox: SandboxProcess
    loop: asyncio.AbstractEventLoop
    guard: Guard

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(20)

    def park(self, lot: LotPage = BAYS, name: str = "", ago: timedelta = timedelta(minutes=92), **values: Any) -> str:
        name = name or str(1000 + len(self.till.stays))
        self.till.stays[lot.code, name] = Entered(datetime.now(UTC).replace(microsecond=0) - ago, **values)
        return name

    def browser(self, language: str = "ja") -> httpx.Client:
        return httpx.Client(
            base_url=self.url, headers={"accept-language": language}, trust_env=False, timeout=10, verify=False
        )

    def quote(self, lot: LotPage = BAYS, exit_: str = "", **values: Any) -> str:
        name = self.park(lot, **values)
        return self.run(self.till.fee(lot.code, name, exit_)).token

    def pay(self, token: str) -> str:
        return self.run(self.till.pay(token, "ja"))

    def stage(self, token: str, stage: PaymentStage, **values: Any) -> None:
        self.run(self.till.move(token, stage, **values))

    def wait(self, true: Callable[[], bool], seconds: float = 5.0) -> None:
        deadline = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < deadline, "it did not happen in time"
            time.sleep(0.01)


class Served:
    """A Litestar app under uvicorn on a loopback port, in a thread with a loop of its own."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()

    def serve(self, app: Litestar, port: int) -> None:
        config = uvicorn.Config(
            app, host="127.0.0.1", port=port, log_config=None, timeout_graceful_shutdown=1, proxy_headers=False
        )
        self.server = uvicorn.Server(config)
        self.server.capture_signals = _no_signals  # type: ignore[method-assign]  # not in a thread
        self.task = asyncio.run_coroutine_threadsafe(self.server.serve(), self.loop)
        while not self.server.started:
            time.sleep(0.01)

    def end(self) -> None:
        self.server.should_exit = True
        self.task.result(10)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)
        self.loop.close()


def _no_signals() -> Any:
    import contextlib

    return contextlib.nullcontext()


def free_port() -> int:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    url = f"http://127.0.0.1:{free_port()}"
    sandbox = SandboxProcess(f"{url}/webhooks/sandbox", tmp_path_factory.mktemp("sandbox")).start()
    try:
        yield from _served(url, sandbox)
    finally:
        sandbox.stop()


def _served(url: str, sandbox: SandboxProcess) -> Iterator[Site]:
    served = Served()

    async def make() -> Till:
        return Till(SandboxProvider(sandbox.url, API_KEY, SECRET), url)

    till = asyncio.run_coroutine_threadsafe(make(), served.loop).result(5)
    app = Litestar(
        [*phone.routes, *webhooks.routes],
        dependencies={
            "cashier": Provide(lambda: till, sync_to_thread=False),
            "public_url": Provide(lambda: url, sync_to_thread=False),
            "providers": Provide(lambda: {"sandbox": till.provider}, sync_to_thread=False),
            "codes": Provide(lambda: till, sync_to_thread=False),
            "guard": Provide(lambda: there.guard, sync_to_thread=False),
        },
        exception_handlers=EXCEPTION_HANDLERS,
        before_send=[shield.every_answer(url)],
        state=shield.state(url),
        openapi_config=None,
        logging_config=None,
    )
    there = Site(url, till, sandbox, served.loop, Guard.of(PATIENT, utc_now))
    served.serve(app, int(url.rpartition(":")[2]))
    yield there
    there.run(till.provider.close())
    served.end()


@pytest.fixture
def strict(site: Site) -> Iterator[Site]:
    """The site with fresh guards as they are by default."""
    former, site.guard = site.guard, Guard.of(PhonePages(), utc_now)
    yield site
    site.guard = former


@pytest.fixture
def lots() -> dict[str, LotPage]:
    return {"bays": BAYS, "gated": GATED, "plates": PLATES}


@pytest.fixture
def own_sandbox(tmp_path: Path) -> Iterator[Callable[..., SandboxProcess]]:
    """Starts a sandbox of the test's own; all are ended with it."""
    started: list[SandboxProcess] = []

    def start(webhook: str, *arguments: str) -> SandboxProcess:
        started.append(SandboxProcess(webhook, tmp_path, arguments).start())
        return started[-1]

    yield start
    for each in started:
        each.stop()


@pytest.fixture
def offline_error() -> DaikoError:
    return Environment(Code.LOT_OFFLINE, "not heard for 90 s")


@pytest.fixture(scope="session")
def sandbox_process() -> type[SandboxProcess]:
    return SandboxProcess


@pytest.fixture
def dead_port() -> int:
    """A port at which nobody listens."""
    return free_port()


@pytest.fixture(scope="session")
def wait() -> Callable[..., None]:
    """Returns once something is true; fails after five seconds."""

    def until(true: Callable[[], bool], seconds: float = 5.0) -> None:
        deadline = time.monotonic() + seconds
        while not true():
            assert time.monotonic() < deadline, "it did not happen in time"
            time.sleep(0.01)

    return until
