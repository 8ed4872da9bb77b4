"""What the cloud's tests share: a lot, a provider inside the test, a running app, and a bridge that signs."""

import asyncio
import base64
import hashlib
import secrets
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import requests
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from http_message_signatures import HTTPMessageSigner, HTTPSignatureKeyResolver, algorithms
from sqlalchemy import select

from cloud import app, approval, enrolment, lots, phone, server
from cloud.config import CloudConfig, Listen, Payments, Timing, completion_keys
from cloud.payments.base import HostedPage, PaymentRequest, ProviderEvent, ProviderState
from cloud.schema import payments
from cloud.store import Store
from parking.completion import Completion, verify
from parking.errors import BadMessage, Code
from parking.money import Yen
from parking.reports import Report, ReportBatch, StayOpened
from parking.signing import KeyRing, SigningKey, fingerprint, from_text, to_text
from parking.stay import NameKind, StayRef
from parking.wire import EnrolPending, EnrolReply, EnrolRequest, Message, decode, encode

SEEDS = Path(__file__).parents[2] / "seeds"
PLATES, GATED = SEEDS / "lots" / "bay-plates.toml", SEEDS / "lots" / "gated-host.toml"


def now() -> datetime:
    return datetime.now(UTC)


@dataclass
class ShelfProvider:
    """A payment provider that keeps its books on a shelf inside the test.

    `trouble` holds errors to raise, one per call of the verb named; with `acts` the call acts before it fails.
    """

    name: str = "shelf"
    books: dict[str, tuple[ProviderState, Yen]] = field(default_factory=dict)
    calls: list[tuple[str, str]] = field(default_factory=list)
    trouble: list[tuple[str, Exception, bool]] = field(default_factory=list)
    events: int = 0

    def _event(self, order_id: str, reason: str = "") -> ProviderEvent:
        state, amount = self.books[order_id]
        self.events += 1
        return ProviderEvent(
            f"e{self.events}-{secrets.token_hex(4)}", order_id, f"ref-{order_id}", state, amount, now(), reason
        )

    def _act(self, verb: str, order_id: str, state: ProviderState | None) -> None:
        self.calls.append((verb, order_id))
        trouble = next((one for one in self.trouble if one[0] == verb), None)
        if trouble is not None:
            self.trouble.remove(trouble)
            if not trouble[2]:
                raise trouble[1]
        if state is not None:
            self.books[order_id] = (state, self.books[order_id][1])
        if trouble is not None:
            raise trouble[1]

    def say(self, order_id: str, state: ProviderState, amount: int | None = None) -> ProviderEvent:
        """What the driver does on the hosted page, and the webhook that tells of it."""
        self.books[order_id] = (state, Yen(amount) if amount is not None else self.books[order_id][1])
        return self._event(order_id)

    async def begin(self, request: PaymentRequest) -> HostedPage:
        self.books.setdefault(request.order_id, (ProviderState.PENDING, request.amount))
        self._act("begin", request.order_id, None)
        return HostedPage(f"ref-{request.order_id}", f"https://shelf.example/{request.order_id}")

    async def capture(self, order_id: str, provider_ref: str, amount: Yen) -> ProviderEvent:
        self._act("capture", order_id, ProviderState.CAPTURED)
        self.books[order_id] = (self.books[order_id][0], amount)
        return self._event(order_id)

    async def void(self, order_id: str, provider_ref: str) -> ProviderEvent:
        self._act("void", order_id, ProviderState.VOIDED)
        return self._event(order_id)

    async def refund(self, order_id: str, provider_ref: str, amount: Yen) -> ProviderEvent:
        self._act("refund", order_id, ProviderState.REFUNDED)
        return self._event(order_id)

    async def query(self, order_id: str, provider_ref: str) -> ProviderEvent:
        self._act("query", order_id, None)
        return self._event(order_id)

    async def changed_since(self, since: datetime) -> list[ProviderEvent]:
        self._act("changed_since", "", None)
        return [self._event(order_id) for order_id in self.books]

    def parse_webhook(self, headers: Mapping[str, str], body: bytes, now: datetime) -> ProviderEvent:
        raise BadMessage(Code.BAD_SIGNATURE, "the shelf sends no webhooks")

    async def close(self) -> None:
        return None


class _Resolver(HTTPSignatureKeyResolver):
    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key

    def resolve_private_key(self, key_id: str) -> Ed25519PrivateKey:
        return self._key


@dataclass
class LotBridge:
    """A bridge as the cloud sees it: its key, its requests. Not the product's uplink, so that both are tested."""

    url: str
    key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    pending: EnrolPending | None = None
    reply: EnrolReply | None = None
    seq: int = 0
    http: requests.Session = field(default_factory=requests.Session)

    @property
    def public_key(self) -> str:
        return to_text(SigningKey(1, self.key).public_bytes)

    @property
    def generation(self) -> int:
        assert self.reply is not None
        return self.reply.generation

    def enrol(self, code: str) -> requests.Response:
        asked = EnrolRequest(code=code, public_key=self.public_key, name="office", software="test")
        answer = self.http.post(f"{self.url}/bridge/v1/enrol", data=encode(asked), timeout=5)
        if answer.ok:
            self.pending = decode(answer.content, EnrolPending)
        return answer

    def fetch(self) -> requests.Response:
        """Ask what came of the enrolment."""
        answer = self.get("/bridge/v1/enrolment")
        if answer.ok:
            self.reply = decode(answer.content, EnrolReply)
        return answer

    @property
    def id(self) -> str:
        return self.pending.bridge_id if self.pending else "b0"

    @property
    def fingerprint(self) -> str:
        """As the lot's screen shows it."""
        return fingerprint(SigningKey(1, self.key).public_bytes)

    def signed(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        created: datetime | None = None,
        nonce: str | None = None,
        covered: tuple[str, ...] = ("@method", "@authority", "@target-uri", "content-digest"),
        tag: str = "daiko-bridge",
        key_id: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> requests.PreparedRequest:
        prepared = requests.Request(method, self.url + path, data=body or None, headers=dict(headers or {})).prepare()
        digest = base64.b64encode(hashlib.sha256(body).digest()).decode()
        prepared.headers["Content-Digest"] = f"sha-256=:{digest}:"
        HTTPMessageSigner(signature_algorithm=algorithms.ED25519, key_resolver=_Resolver(self.key)).sign(
            prepared,
            key_id=key_id or self.id,
            created=created or now(),
            nonce=nonce or secrets.token_hex(12),
            tag=tag,
            covered_component_ids=covered,
            use_existing_digest=True,
        )
        return prepared

    def send(self, prepared: requests.PreparedRequest, **options: Any) -> requests.Response:
        return self.http.send(prepared, timeout=options.pop("timeout", 5), **options)

    def get(self, path: str, **options: Any) -> requests.Response:
        return self.send(self.signed("GET", path), **options)

    def post(self, path: str, message: Message) -> requests.Response:
        return self.send(self.signed("POST", path, encode(message)))

    def report(self, lot: int, *reports: Report, first: int | None = None) -> requests.Response:
        begin = self.seq + 1 if first is None else first
        answer = self.post(
            f"/bridge/v1/lots/{lot}/reports", ReportBatch(generation=self.generation, first=begin, reports=reports)
        )
        if answer.ok and first is None:
            self.seq += len(reports)
        return answer

    def car(self, lot: int, bay: str, minutes: int = 65) -> StayRef:
        entered = (now() - timedelta(minutes=minutes)).replace(microsecond=0)
        stay = StayRef(NameKind.BAY, bay, entered)
        assert self.report(lot, StayOpened(stay=stay, at=entered)).ok
        return stay

    def completion(self, packed: str) -> Completion:
        assert self.reply is not None
        keys = KeyRing({key.key_id: from_text(key.public_key) for key in self.reply.completion_keys})
        return verify(from_text(packed), keys)


@dataclass
class ShiftedClock:
    """The cloud's clock: the system's, plus what a test adds."""

    ahead: timedelta = timedelta()

    def __call__(self) -> datetime:
        return now() + self.ahead


@dataclass
class RunningCloud:
    """A cloud under uvicorn on a loopback port, on an event loop of its own."""

    url: str
    cloud: app.Cloud
    provider: ShelfProvider
    loop: asyncio.AbstractEventLoop
    clock: ShiftedClock

    def do(self, coroutine: Any) -> Any:
        """Run something on the cloud's own loop and wait for it."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(10)

    def code(self, *lot: int) -> str:
        async def make() -> str:
            async with self.cloud.store.write() as tx:
                return await enrolment.new_code(tx, list(lot), now())

        return str(self.do(make()))

    def waiting(self, *lot: int) -> LotBridge:
        """A bridge that has used a code and is not approved."""
        made = LotBridge(self.url)
        assert made.enrol(self.code(*lot)).status_code == 200
        return made

    def let_in(self, bridge: LotBridge, shown: str = "", by: str = "Sato") -> None:
        """Approve a bridge by the fingerprint that its lot shows."""

        async def work() -> None:
            async with self.cloud.store.write() as tx:
                shows = shown or bridge.fingerprint
                await approval.approve(tx, self.cloud.orders, bridge.id, shows, by, self.clock())

        self.do(work())

    def bridge(self, *lot: int) -> LotBridge:
        """A bridge that serves its lots."""
        made = self.waiting(*lot)
        self.let_in(made)
        assert made.fetch().status_code == 200
        return made

    def order(self, token: str) -> str:
        """The order id of a quote's payment."""

        async def find() -> str:
            async with self.cloud.store.read() as db:
                query = select(payments.c.order_id).where(payments.c.token == token)
                return str((await db.execute(query)).scalar_one())

        return str(self.do(find()))

    def pay(self, code: str, typed: str, exit_: str = "") -> tuple[str, str]:
        """The driver asks for the fee and goes to the provider's page: the quote's token, the order's id."""
        quote = self.do(self.cloud.cashier.fee(code, typed, exit_))
        self.do(self.cloud.cashier.pay(quote.token, "en"))
        return quote.token, self.order(quote.token)

    def approve(self, order_id: str) -> None:
        """The driver authorizes; the webhook arrives."""
        self.do(self.cloud.cashier.apply(self.provider.say(order_id, ProviderState.AUTHORIZED)))

    def stage(self, token: str) -> str:
        return str(self.do(self.cloud.cashier.payment(token)).stage)

    def standing(self, order_id: str) -> str:
        """Where the money of an order is."""

        async def find() -> str:
            async with self.cloud.store.read() as db:
                query = select(payments.c.standing).where(payments.c.order_id == order_id)
                return str((await db.execute(query)).scalar_one())

        return str(self.do(find()))

    def until(self, condition: Callable[[], bool], seconds: float = 5.0) -> None:
        """Wait until something holds, or fail."""
        end = now() + timedelta(seconds=seconds)
        while not condition():
            assert now() < end, "it did not happen in time"
            threading.Event().wait(0.02)


def a_config(folder: Path, **timing: Any) -> CloudConfig:
    return CloudConfig(
        payments=Payments(url="http://127.0.0.1:1", api_key="k", webhook_secret="w" * 20),
        listen=Listen(port=0),
        timing=Timing(**timing),
        database_url=f"sqlite+aiosqlite:///{folder / 'cloud.sqlite3'}",
        key_file=str(folder / "key.json"),
    )


@contextmanager
def running(config: CloudConfig, provider: ShelfProvider) -> Iterator[RunningCloud]:
    """Run a cloud in a thread until the block ends."""
    listening = server.bind("127.0.0.1", 0)
    url = server.address(listening)
    keys = completion_keys(Path(config.key_file))
    ready = threading.Event()
    made: list[app.Cloud] = []
    servers: list[server.Server] = []
    clock = ShiftedClock()

    loops: list[asyncio.AbstractEventLoop] = []

    async def serve() -> None:
        loops.append(asyncio.get_running_loop())
        cloud = app.build(config, keys, {provider.name: provider}, url, phone.routes, clock)
        made.append(cloud)
        await cloud.store.migrate()
        servers.append(server.Server(cloud.app, ready.set, cloud.store.bells.close))
        # signals belong to the main thread; here the end comes by a call
        servers[0].config.load()
        await servers[0]._serve(sockets=[listening])

    def work() -> None:
        try:
            asyncio.run(serve())
        finally:
            ready.set()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        assert ready.wait(10), "the cloud did not start in time"
        assert servers, "the cloud did not start"
        assert servers[0].started, "the cloud did not start"
        yield RunningCloud(url, made[0], provider, loops[0], clock)
    finally:
        if servers:
            servers[0].handle_exit(0, None)
        thread.join(10)
        listening.close()
    assert not thread.is_alive()


@pytest.fixture
def provider() -> ShelfProvider:
    return ShelfProvider()


@pytest.fixture(scope="session")
def onboarded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a migrated database that knows both seed lots, and a key: to be copied."""
    folder = tmp_path_factory.mktemp("onboarded")
    config = a_config(folder)
    completion_keys(Path(config.key_file))

    async def make() -> None:
        store = Store(config.database_url)
        await store.migrate()
        for profile in (PLATES, GATED):
            row, exits = lots.read_profile(profile)
            async with store.write() as tx:
                await lots.add(tx, row, exits, (1, "operator 1"))
        await store.close()

    asyncio.run(make())
    return folder


@pytest.fixture
def config(tmp_path: Path, onboarded: Path) -> CloudConfig:
    """A configuration with a database and key of its own, lots onboarded."""
    shutil.copytree(onboarded, tmp_path, dirs_exist_ok=True)
    return a_config(tmp_path, heartbeat_seconds=0.3)


@pytest.fixture
def run(config: CloudConfig, provider: ShelfProvider) -> Callable[[], AbstractContextManager[RunningCloud]]:
    """Run a cloud until the block ends; run again and it is the same cloud, restarted."""
    return lambda: running(config, provider)


@pytest.fixture
def run_with(config: CloudConfig, provider: ShelfProvider) -> Callable[..., AbstractContextManager[RunningCloud]]:
    """Like `run`, with other timing."""
    return lambda **timing: running(replace_timing(config, **timing), provider)


def replace_timing(config: CloudConfig, **timing: Any) -> CloudConfig:
    return msgspec.structs.replace(config, timing=msgspec.structs.replace(config.timing, **timing))


@pytest.fixture
def cloud(run: Callable[[], AbstractContextManager[RunningCloud]]) -> Iterator[RunningCloud]:
    with run() as found:
        yield found


@pytest.fixture
def lot_bridge() -> type[LotBridge]:
    """Makes a bridge that talks to a URL."""
    return LotBridge
