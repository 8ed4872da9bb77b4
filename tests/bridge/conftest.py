"""A real HTTP cloud on loopback that verifies signatures, and an inbox in memory. Both follow the seams."""

import asyncio
import contextlib
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections import defaultdict, deque
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest
import uvicorn
from http_message_signatures import HTTPMessageVerifier, InvalidSignature, MappingKeyResolver, algorithms
from starlette.applications import Starlette
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from bridge.app import Bridge
from bridge.config import BridgeConfig, FeedWay, LogLevel, load
from bridge.enrol import enrol
from bridge.keys import Identity
from bridge.uplink.pace import Pace
from demo.stack import Stack
from parking import completion as completions
from parking.commands import Command, CommandReply, OperatorRole, RedeemReply, SignedIn, Verb
from parking.completion import Completion
from parking.desk import Event, LinkChanged, LinkView, LotView, Snapshot, Timeline, TimelineEntry
from parking.errors import Code, Environment, Refused
from parking.money import yen
from parking.reports import Received, ReportBatch, ReportReply
from parking.signing import SigningKey, fingerprint, from_text, to_text
from parking.wire import (
    Accepted,
    Answer,
    CompletionKey,
    EnrolPending,
    EnrolReply,
    EnrolRequest,
    Entry,
    FeedBatch,
    Problem,
    decode,
    encode,
)

LOT = 1001
COVERED = ("@method", "@authority", "@target-uri", "content-digest")
CLOUD_KEY = SigningKey.generate(9)


class RealCloud:
    """The cloud's bridge API on a socket. `plans` are one-time scripts of the feed, `force` answers for a door."""

    def __init__(self, tls=None):
        self.tls = tls
        self.port = 0
        self.entries = {}
        self.asks = deque()
        self.heartbeat = 0.1
        self.plans = deque()
        self.force = {}
        self.skew = timedelta(0)
        self.requests = []
        self.forgeries = []
        self.nonces = set()
        self.public_keys = {}
        self.codes = {"CODE-1"}
        self.approved = True
        self.reports = []
        self.accepted = 0
        self.batches = []
        self.answers = []
        self.active = True
        self.heads = defaultdict(list)
        self.generation = 3
        self.feed_after = ()
        self.keys = None

    def start(self):
        self.active = True
        self.socket = socket.socket(proto=socket.IPPROTO_TCP)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(("127.0.0.1", self.port))
        self.port = self.socket.getsockname()[1]
        self.url = f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}"
        lot = f"/bridge/v1/lots/{LOT}"
        app = Starlette(
            routes=[
                Route("/bridge/v1/enrol", self.enrol, methods=["POST"]),
                Route("/bridge/v1/enrolment", self.enrolment, methods=["GET"]),
                Route(f"{lot}/feed", self.feed, methods=["GET"]),
                Route(f"{lot}/keys", self.lot_keys, methods=["GET"]),
                Route(f"{lot}/reports", self.take_reports, methods=["POST"]),
                Route(f"{lot}/answers", self.take_answer, methods=["POST"]),
            ]
        )
        keys = {"ssl_certfile": str(self.tls), "ssl_keyfile": str(self.tls)} if self.tls else {}
        config = uvicorn.Config(
            app, log_config=None, access_log=False, lifespan="off", ws="none", timeout_graceful_shutdown=1, **keys
        )
        self.server = QuickServer(config)
        self.thread = threading.Thread(target=self.server.run, args=([self.socket],), name="real-cloud")
        self.thread.start()
        while not self.server.started:
            time.sleep(0.002)
        return self

    def stop(self):
        self.active = False
        self.server.should_exit = True
        self.thread.join(5)
        self.socket.close()
        assert not self.thread.is_alive()

    def add(self, *numbers):
        for number in numbers:
            self.entries[number] = Entry(number=number, completion=to_text(b"completion-%d" % number))

    def count(self, kind, **query):
        return sum(1 for one, asked in self.requests if one == kind and query.items() <= asked.items())

    async def _enter(self, kind, request):
        body = await request.body()
        self.requests.append((kind, dict(request.query_params)))
        self.heads[kind].append(dict(request.headers))
        if kind in self.force:
            status, content, *more = self.force[kind]
            raise _Answer(Response(content, status, *more, media_type="application/json"))
        if kind != "enrol":
            self._verify(request, body)
        return body

    def _verify(self, request, body):
        verifier = LooseVerifier(
            signature_algorithm=algorithms.ED25519,
            key_resolver=MappingKeyResolver(public_keys=self.public_keys, private_keys={}),
        )
        message = SimpleNamespace(method=request.method, url=str(request.url), headers=request.headers)
        try:
            result = verifier.verify(
                message,
                expect_tag="daiko-bridge",
                require_components=COVERED,
                max_age=None,
                body=body,
            )[0]
            if abs(self.now().timestamp() - result.parameters["created"]) > 120:
                self.forgeries.append("clock")
                raise _Answer(problem(401, "clock", "the request is too old or too new", "set the clock"))
            if result.nonce in self.nonces:
                raise InvalidSignature("nonce repeated")
            self.nonces.add(result.nonce)
        except InvalidSignature as error:
            self.forgeries.append(str(error))
            raise _Answer(problem(401, "unauthorized", str(error), "enrol again")) from error

    def now(self):
        return datetime.now(UTC) + self.skew

    async def enrol(self, request):
        with _answers() as answer:
            message = decode(await self._enter("enrol", request), EnrolRequest)
            if message.code not in self.codes:
                return problem(403, "enrol-code", "the code is unknown or used", "ask the operator for a new one")
            self.codes.discard(message.code)
            self.public_keys["B-7"] = public_key(from_text(message.public_key))
            self.enrolled_name = message.name
            shown = fingerprint(from_text(message.public_key))
            return json_response(EnrolPending(bridge_id="B-7", fingerprint=shown, server_time=self.now()))
        return answer[0]

    async def enrolment(self, request):
        with _answers() as answer:
            await self._enter("enrolment", request)
            if not self.approved:
                return problem(403, "not-approved", "nobody has approved bridge B-7 yet", "wait")
            return json_response(
                EnrolReply(
                    bridge_id="B-7",
                    generation=self.generation,
                    lots=(LOT,),
                    feed_after=self.feed_after,
                    completion_keys=(CompletionKey(key_id=9, public_key=to_text(CLOUD_KEY.public_bytes)),),
                    server_time=self.now(),
                )
            )
        return answer[0]

    async def feed(self, request):
        with _answers() as answer:
            await self._enter("feed", request)
            after = int(request.query_params["after"])
            if "wait" in request.query_params:
                return await self._poll(after, int(request.query_params["wait"]))
            plan = self.plans.popleft() if self.plans else self.live
            return StreamingResponse(plan(after), media_type=getattr(plan, "media", "text/event-stream"))
        return answer[0]

    async def _poll(self, after, wait):
        until = time.monotonic() + wait
        while (  # noqa: ASYNC110  # the test's thread adds what is waited for
            self.active and time.monotonic() < until and max(self.entries, default=0) <= after and not self.asks
        ):
            await asyncio.sleep(0.005)
        asks = tuple(self.asks.popleft() for _ in range(len(self.asks)))
        entries = tuple(self.entries[number] for number in sorted(self.entries) if number > after)
        return json_response(FeedBatch(entries=entries, asks=asks, server_time=self.now()))

    async def live(self, after):
        """What a healthy cloud sends."""
        beat = 0.0
        while self.active:
            for number in sorted(number for number in self.entries if number > after):
                yield entry_event(self.entries[number])
                after = number
            while self.asks:
                yield b"event: ask\ndata: " + encode(self.asks.popleft()) + b"\n\n"
            if time.monotonic() > beat:
                yield self.beat()
                beat = time.monotonic() + self.heartbeat
            await asyncio.sleep(0.003)

    def beat(self):
        return b"event: heartbeat\ndata: " + encode(Accepted(server_time=self.now())) + b"\n\n"

    async def quiet(self, seconds=30.0):
        until = time.monotonic() + seconds
        while self.active and time.monotonic() < until:  # noqa: ASYNC110  # the test's thread sets `active`
            await asyncio.sleep(0.01)

    async def lot_keys(self, request):
        with _answers() as answer:
            await self._enter("keys", request)
            return json_response(self.keys) if self.keys else problem(404, "not-found", "no keys")
        return answer[0]

    async def take_reports(self, request):
        with _answers() as answer:
            batch = decode(await self._enter("reports", request), ReportBatch)
            self.batches.append(batch)
            if batch.first > self.accepted + 1:
                return json_response(ReportReply(accepted_through=self.accepted, server_time=self.now()), 409)
            fresh = batch.reports[self.accepted + 1 - batch.first :]
            self.reports.extend(fresh)
            self.accepted += len(fresh)
            return json_response(ReportReply(accepted_through=self.accepted, server_time=self.now()))
        return answer[0]

    async def take_answer(self, request):
        with _answers() as answer:
            self.answers.append(decode(await self._enter("answers", request), Answer))
            return json_response(Accepted(server_time=self.now()))
        return answer[0]


class LooseVerifier(HTTPMessageVerifier):
    """`created` is judged by the test's own clock."""

    max_clock_skew = timedelta(days=36_500)


class QuickServer(uvicorn.Server):
    """Looks for the end more often, so that many tests can have a cloud each."""

    async def main_loop(self):
        await self.on_tick(0)
        while not self.should_exit:  # noqa: ASYNC110  # uvicorn's own way
            await asyncio.sleep(0.003)

    async def shutdown(self, sockets=None):
        """Like a process that dies: nobody is told goodbye."""
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        for task in self.server_state.tasks:
            task.cancel()
        await asyncio.gather(*self.server_state.tasks, return_exceptions=True)


class _Answer(Exception):
    def __init__(self, response):
        self.response = response


@contextlib.contextmanager
def _answers():
    answer = []
    try:
        yield answer
    except _Answer as early:
        answer.append(early.response)


def public_key(raw):
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    return Ed25519PublicKey.from_public_bytes(raw)


def json_response(message, status=200):
    return Response(encode(message), status, media_type="application/json")


def problem(status, code, detail, remedy=""):
    return json_response(Problem(code=code, detail=detail, remedy=remedy), status)


def entry_event(entry):
    return b"event: completion\nid: %d\ndata: %b\n\n" % (entry.number, encode(entry))


class MemoryInbox:
    """bridge.ports.Inbox in memory. `sick` is raised by accept; `slow` is how long a commit takes."""

    def __init__(self):
        self.condition = threading.Condition()
        self.numbers = set()
        self.groups = []
        self.pending = {}
        self.next_report = 1
        self.links = []
        self.asked = []
        self.answer_with = None
        self.sick = None
        self.slow = 0.0
        self.accepted_calls = []
        self.disowned_lots = []

    def cursor(self, lot):
        cursor = 0
        while cursor + 1 in self.numbers:
            cursor += 1
        return cursor

    def accept(self, lot, entries):
        if self.sick is not None:
            raise self.sick
        time.sleep(self.slow)
        with self.condition:
            self.groups.append([entry.number for entry in entries])
            self.numbers.update(entry.number for entry in entries)
            self.condition.notify_all()

    def ask(self, lot, ask, answer):
        self.asked.append(ask)
        if self.answer_with is not None:
            reply = self.answer_with(ask)
            threading.Thread(target=answer, args=(reply,), name="legacy").start()

    def report(self, *reports):
        with self.condition:
            for one in reports:
                self.pending[self.next_report] = one
                self.next_report += 1
            self.condition.notify_all()

    def reports(self, lot, limit):
        with self.condition:
            numbers = sorted(self.pending)[:limit]
            return (numbers[0], tuple(self.pending[number] for number in numbers)) if numbers else (0, ())

    def disowned(self, lot):
        self.disowned_lots.append(lot)

    def accepted(self, lot, through):
        with self.condition:
            self.accepted_calls.append(through)
            for number in [number for number in self.pending if number <= through]:
                del self.pending[number]

    def wait_for_reports(self, lot, seconds):
        with self.condition:
            self.condition.wait_for(lambda: self.pending, seconds)

    def cloud_link(self, lot, up, detail, latency_ms):
        self.links.append((up, detail, latency_ms))

    @property
    def up(self):
        return bool(self.links) and self.links[-1][0]


class MemoryDesk:
    """bridge.ports.Desk in memory; `held` events are kept, older ones are gone."""

    def __init__(self, held=100):
        self.condition = threading.Condition()
        self.all = []
        self.held = held
        self.commands = {}
        self.sick = None
        self.padding = ""

    def add(self, detail="x"):
        with self.condition:
            link = LinkView(link="1/cloud", kind="cloud", up=True, since=datetime.now(UTC), detail=detail)
            self.all.append(Event(seq=len(self.all) + 1, body=LinkChanged(link=link)))
            self.condition.notify_all()

    def snapshot(self):
        if self.sick is not None:
            raise self.sick
        lot = LotView(lot=1, name={"ja": "若葉" + self.padding}, time_zone="Asia/Tokyo")
        return Snapshot(
            seq=len(self.all), server_time=datetime.now(UTC), lots=(lot,), stays=(), exits=(), cases=(), links=()
        )

    def events(self, after):
        with self.condition:
            if after < len(self.all) - self.held:
                return None
            return self.all[after:]

    def wait_for_event(self, after, seconds):
        with self.condition:
            self.condition.wait_for(lambda: len(self.all) > after, seconds)

    def timeline(self, lot, stay_key):
        if lot != 1:
            raise Refused(Code.LOT_UNKNOWN, f"no lot {lot}")
        return Timeline(entries=(TimelineEntry(at=datetime.now(UTC), source="relay", what=stay_key),))

    def command(self, command):
        reply = CommandReply(accepted=not self.commands, detail=f"the {len(self.commands)}th")
        return self.commands.setdefault(command.command_id, reply)

    def redeem(self, redeem):
        return RedeemReply(accepted=redeem.text == "123", number=7, detail=f"by {redeem.actor}")

    def sign_in(self, request):
        if request.pin != "483920":
            raise Refused(Code.SIGN_IN, "name or PIN is wrong")
        time.sleep(0.05)
        return SignedIn(session="S" * 43, operator=request.operator, role=OperatorRole.ATTENDANT, idle_seconds=300)

    def sign_out(self, request):
        return CommandReply(accepted=True)


@pytest.fixture
def desk():
    return MemoryDesk()


@pytest.fixture(scope="session")
def desk_class():
    return MemoryDesk


@pytest.fixture
def threads_clean():
    """Nothing that a test starts outlives it."""
    with no_thread_left():
        yield


@pytest.fixture(scope="module")
def module_threads_clean():
    """Nothing that a module's tests start outlives them."""
    with no_thread_left():
        yield


@contextlib.contextmanager
def no_thread_left():
    before = set(threading.enumerate())
    yield
    until = time.monotonic() + 12
    left = {}
    while time.monotonic() < until:
        left = set(threading.enumerate()) - before
        if not left:
            return
        time.sleep(0.01)
    raise AssertionError(f"threads left behind: {left}")


@pytest.fixture
def real_cloud(threads_clean):
    cloud = RealCloud().start()
    yield cloud
    if cloud.thread.is_alive():
        cloud.stop()


class PlatesOffice:
    """A simulated lot as a process, a real HTTP cloud, and the bridge between them; in this process, or as its own."""

    def __init__(self, run, cloud):
        self.cloud = cloud
        self.stack = Stack(run, lots=("bay-plates",), speed=5)
        self.stack.cloud_url = cloud.url
        self.lot = self.stack.lots["bay-plates"]
        self.lot.start()
        self.bridge = None
        self.number = 0

    @property
    def data(self):
        return self.stack.bridge_data

    @property
    def config(self):
        if not self.stack.bridge_config.exists():
            self.stack.write_bridge_config()
        return load(self.stack.bridge_config)

    def edit_profile(self, old, new):
        """Give the lot a profile of its own, with these words instead of those."""
        seed, own = self.config.profiles[LOT], self.data.parent / "lot.toml"
        text = seed.read_text(encoding="utf-8")
        assert old in text
        text = text.replace(old, new).replace("../tariffs", str(seed.parents[1] / "tariffs"))
        own.write_text(text, encoding="utf-8")
        config = self.stack.bridge_config.read_text(encoding="utf-8")
        self.stack.bridge_config.write_text(config.replace(str(seed), str(own)), encoding="utf-8")

    def enrol(self, **again):
        self.cloud.codes.add("CODE-1")
        return enrol(self.config, "CODE-1", lambda _: None, **again)

    def start(self):
        """The bridge in this process."""
        self.bridge = Bridge(self.config)
        self.bridge.start()
        return self.bridge

    def stop(self):
        if self.bridge is not None:
            self.bridge.stop()
            self.bridge = None

    def close(self):
        self.stop()
        self.stack.abandon()

    def park(self, bay):
        self.lot.tell("arrive", bay=bay)
        self.lot.wait_history("plate_up", exit=bay)

    def pay(self, bay, *, valid=timedelta(minutes=20), key=CLOUD_KEY):
        """Once the bridge shows the car, the cloud has a completion for it; returns its number."""
        stay = self.until(lambda: self.stay_of(bay))
        self.number += 1
        now = datetime.now(UTC).replace(microsecond=0)
        packed = completions.sign(Completion(9, LOT, self.number, stay, yen(200), now, now + valid), key)
        self.cloud.entries[self.number] = Entry(number=self.number, completion=to_text(packed))
        return self.number

    def stay_of(self, bay):
        return next((view.stay for view in self.snapshot().stays if view.stay.name == bay), None)

    def snapshot(self):
        if self.bridge is not None:
            return self.bridge.snapshot()
        return decode(msgspec.json.encode(self.stack.snapshot()), Snapshot)

    def case(self, number):
        return next((view for view in self.snapshot().cases if view.number == number), None)

    def ends(self, number, phase, seconds=15.0):
        self.until(lambda: (case := self.case(number)) is not None and case.phase is phase, seconds)

    def alarm(self, code):
        return next((alarm for alarm in self.snapshot().alarms if alarm.code == code), None)

    def order(self, bay):
        """A release by hand, as the console gives it."""
        return Command(
            command_id=os.urandom(8).hex(), lot=LOT, verb=Verb.RELEASE, actor="Tanaka", reason="1 fault", exit=bay
        )

    def releases(self, bay):
        lines = self.lot.history()
        return sum(line["what"] == "release" and line["exit"] == bay and line["by"] == "bus" for line in lines)

    def received(self, number):
        return any(isinstance(one, Received) and one.number == number for one in self.cloud.reports)

    def until(self, check, seconds=10.0):
        end = time.monotonic() + seconds
        while not (seen := check()):
            assert time.monotonic() < end, "waited in vain"
            time.sleep(0.02)
        return seen


@pytest.fixture
def plates_office(tmp_path, real_cloud):
    """The bridge is enrolled and not started."""
    office = PlatesOffice(tmp_path / "office", real_cloud)
    office.enrol()
    yield office
    office.close()


@pytest.fixture(scope="session")
def preload(tmp_path_factory):
    """Compile a library that makes something of the computer go wrong; its path is for LD_PRELOAD."""
    if not sys.platform.startswith("linux") or shutil.which("cc") is None:
        pytest.skip("needs Linux and a C compiler")

    def build(name):
        source = Path(__file__).parent / "preload" / f"{name}.c"
        library = tmp_path_factory.mktemp("preload") / f"{name}.so"
        done = subprocess.run(
            ["cc", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"],
            capture_output=True,
            text=True,
            timeout=20,
        )
        assert done.returncode == 0, done.stderr
        return library

    return build


@pytest.fixture
def cloud_class():
    return RealCloud


@pytest.fixture
def inbox():
    return MemoryInbox()


@pytest.fixture
def bridge_config(tmp_path):
    def make(url, feed=FeedWay.AUTO, ca_file=None):
        return BridgeConfig(
            path=tmp_path / "bridge.toml",
            name="office PC",
            data=tmp_path / "data",
            log_level=LogLevel.INFO,
            record=False,
            cloud_url=url,
            ca_file=ca_file,
            feed=feed,
            api_host="127.0.0.1",
            api_port=0,
            lots={},
        )

    return make


@pytest.fixture
def identity():
    def make(url):
        keys = (CompletionKey(key_id=9, public_key=to_text(CLOUD_KEY.public_bytes)),)
        return Identity(cloud_url=url, bridge_id="B-7", generation=3, lots=(LOT,), completion_keys=keys)

    return make


@pytest.fixture
def quick():
    return Pace(
        connect=1.0,
        reply=1.0,
        heartbeat=0.25,
        poll_wait=1,
        poll_for=0.5,
        first=0.02,
        base=0.02,
        cap=0.1,
        refused=0.1,
        settled=0.2,
        idle=0.05,
    )


@pytest.fixture
def until():
    """Wait for a condition; what it is waiting for is in the failure."""

    def wait(condition, seconds=20.0):
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "waited in vain"
            time.sleep(0.002)

    return wait


@pytest.fixture
def disk_full():
    return Environment(Code.DISK, "journal.db: disk full", "make room")


@pytest.fixture
def to_entry_event():
    return entry_event


@pytest.fixture
def to_problem():
    def make(code, detail, remedy=""):
        return msgspec.json.encode(Problem(code=code, detail=detail, remedy=remedy))

    return make
