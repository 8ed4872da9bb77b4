"""A bridge's local API that speaks parking.desk over real HTTP, and a lot full of cars to show."""

import asyncio
import json
import os
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from parking.commands import (
    Command,
    CommandReply,
    OperatorRole,
    Redeem,
    RedeemReply,
    SignedIn,
    SignIn,
    SignOut,
)
from parking.desk import (
    AlarmView,
    CasePhase,
    CaseView,
    CommandState,
    CommandView,
    Event,
    ExitKind,
    ExitView,
    LinkView,
    LotView,
    OverrideView,
    Position,
    Snapshot,
    StayState,
    StayView,
    Timeline,
    TimelineEntry,
)
from parking.outcome import Evidence, EvidenceKind
from parking.stay import NameKind, StayRef
from parking.wire import Part, Problem, decode, encode

os.environ["QT_QPA_PLATFORM"] = "offscreen"

TOKEN = "t-0123456789"


@dataclass
class Bridge:
    """The test's bridge: rows by kind, events by number, and switches for misbehaviour."""

    directory: Path
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    lots: tuple[LotView, ...] = ()
    stays: dict[str, StayView] = field(default_factory=dict)
    exits: dict[str, ExitView] = field(default_factory=dict)
    cases: dict[str, CaseView] = field(default_factory=dict)
    links: dict[str, LinkView] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    base: int = 0
    commands: list[Command] = field(default_factory=list)
    reply: CommandReply = field(default_factory=lambda: CommandReply(accepted=True))
    swallow: int = 0
    unmatched: dict[str, OverrideView] = field(default_factory=dict)
    alarms: dict[str, AlarmView] = field(default_factory=dict)
    pins: dict[str, tuple[str, OperatorRole]] = field(default_factory=dict)
    sessions: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)
    idle_seconds: int = 300
    codes: list[Redeem] = field(default_factory=list)
    code_reply: RedeemReply = field(default_factory=lambda: RedeemReply(accepted=True))
    answer: Callable[[Command], CommandReply] | None = None
    timelines: dict[str, Timeline] = field(default_factory=dict)
    snapshots: int = 0
    asked_after: list[int] = field(default_factory=list)
    raw_snapshot: bytes | None = None
    _server: uvicorn.Server | None = None
    _thread: threading.Thread | None = None

    @property
    def seq(self) -> int:
        return self.base + len(self.events)

    def snapshot(self) -> Snapshot:
        return Snapshot(
            seq=self.seq,
            server_time=self.now(),
            lots=self.lots,
            stays=tuple(self.stays.values()),
            exits=tuple(self.exits.values()),
            cases=tuple(self.cases.values()),
            links=tuple(self.links.values()),
            unmatched=tuple(self.unmatched.values()),
            alarms=tuple(self.alarms.values()),
            sign_in=bool(self.pins),
        )

    def publish(self, body: Part) -> Event:
        """Change a row and tell everyone."""
        for name, table in (("stay", self.stays), ("exit", self.exits), ("case", self.cases), ("link", self.links)):
            view = getattr(body, name, None)
            if view is not None:
                table[view.key] = view
        event = Event(seq=self.seq + 1, body=body)
        self.events.append(event)
        return event

    def skip(self) -> None:
        """Lose one event: the next one has a gap before it."""
        self.base += 1

    # --- the server ---------------------------------------------------------------------------------------------

    def start(self) -> None:
        listener = socket.create_server(("127.0.0.1", 0))
        config = uvicorn.Config(
            Starlette(
                routes=[
                    Route("/v1/snapshot", self._get_snapshot),
                    Route("/v1/events", self._get_events),
                    Route("/v1/timeline", self._get_timeline),
                    Route("/v1/commands", self._post_command, methods=["POST"]),
                    Route("/v1/codes", self._post_code, methods=["POST"]),
                    Route("/v1/sign-in", self._post_sign_in, methods=["POST"]),
                    Route("/v1/sign-out", self._post_sign_out, methods=["POST"]),
                ]
            ),
            log_level="critical",
            timeout_graceful_shutdown=1,
            lifespan="off",
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [listener]}, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        (self.directory / "api.json").write_text(json.dumps({"url": self.url, "pid": os.getpid()}))
        (self.directory / "api-token").write_text(TOKEN + "\n")

    def stop(self) -> None:
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join(10)
            assert not self._thread.is_alive()
            self._server = None

    def _refused(self, request: Request) -> Response | None:
        if request.headers.get("authorization") == f"Bearer {TOKEN}":
            return None
        return Response(encode(Problem(code="unauthorized", detail="token")), 401)

    async def _get_snapshot(self, request: Request) -> Response:
        self.snapshots += 1
        return self._refused(request) or Response(self.raw_snapshot or encode(self.snapshot()))

    async def _get_events(self, request: Request) -> Response:
        after = int(request.query_params["after"])
        self.asked_after.append(after)
        refused = self._refused(request)
        return refused or StreamingResponse(self._stream(after), media_type="text/event-stream")

    async def _stream(self, after: int):
        if after < self.base and self.events and self.events[0].seq > after + 1:
            yield b"event: reset\ndata: {}\n\n"
            return
        beat = 0
        while self._server is not None and not self._server.should_exit:
            for event in [event for event in self.events if event.seq > after]:
                after = event.seq
                yield f"id: {event.seq}\ndata: ".encode() + encode(event) + b"\n\n"
            beat += 1
            if beat % 50 == 0:
                yield b": heartbeat\n\n"
            await asyncio.sleep(0.01)

    async def _get_timeline(self, request: Request) -> Response:
        if refused := self._refused(request):
            return refused
        found = self.timelines.get(request.query_params["stay"])
        if found is None:
            return Response(encode(Problem(code="not-found", detail="no such stay")), 404)
        return Response(encode(found))

    async def _post_command(self, request: Request) -> Response:
        if refused := self._refused(request):
            return refused
        command = decode(await request.body(), Command)
        self.commands.append(command)
        if self.swallow:
            self.swallow -= 1
            request._receive.__self__.transport.abort()  # uvicorn's own connection: the order came, the answer dies
        return Response(encode(self.answer(command) if self.answer else self.reply))

    async def _post_code(self, request: Request) -> Response:
        self.codes.append(decode(await request.body(), Redeem))
        return self._refused(request) or Response(encode(self.code_reply))

    async def _post_sign_in(self, request: Request) -> Response:
        asked = decode(await request.body(), SignIn)
        pin, role = self.pins.get(asked.operator, ("", OperatorRole.VIEWER))
        if asked.pin != pin:
            return Response(encode(Problem(code="sign-in", detail="name or PIN is wrong")), 403)
        self.sessions.append(f"session-of-{asked.operator}")
        signed = SignedIn(session=self.sessions[-1], operator=asked.operator, role=role, idle_seconds=self.idle_seconds)
        return Response(encode(signed))

    async def _post_sign_out(self, request: Request) -> Response:
        self.ended.append(decode(await request.body(), SignOut).session)
        return Response(encode(CommandReply(accepted=True)))


@pytest.fixture
def bridge(tmp_path: Path) -> Iterator[Bridge]:
    """A bridge that is not started yet."""
    it = Bridge(tmp_path)
    yield it
    it.stop()


NOW = datetime(2026, 11, 23, 5, 2, 31, tzinfo=UTC)


def _car(lot: int, kind: NameKind, name: str, minutes: int, **more: object) -> StayView:
    entered = NOW - timedelta(minutes=minutes)
    entered = entered.replace(microsecond=0)
    state = more.pop("state", StayState.PARKED)
    return StayView(lot=lot, stay=StayRef(kind, name, entered), state=state, seen_at=entered, **more)


def _plates(lots: list[tuple[str, int]]) -> list[StayView]:
    return [_car(1001, NameKind.BAY, name, minutes) for name, minutes in lots]


@pytest.fixture
def lot_rows() -> SimpleNamespace:
    """Two lots as at 14:02 in Tokyo: twenty plates, a gate, a case in doubt, a silent device, an order that failed."""
    doubt = _car(1001, NameKind.BAY, "7", 235, state=StayState.IN_DOUBT, case=42, plate="練馬330 す 55-21")
    paid = _car(1001, NameKind.BAY, "3", 238, state=StayState.PAID, paid=1200, via="phone", case=41)
    stays = [
        doubt,
        paid,
        *_plates([("1", 41), ("2", 512), ("5", 12), ("9", 88), ("11", 300), ("12", 61), ("16", 7), ("18", 129)]),
        _car(
            1002, NameKind.TICKET, "00481273", 261, state=StayState.PAID, paid=900, via="cash", plate="品川300 あ 12-34"
        ),
        _car(1002, NameKind.TICKET, "00481288", 237, plate="横浜58 て 9-87"),
        _car(1002, NameKind.TICKET, "00481290", 35, state=StayState.SETTLING, case=7, plate="多摩501 さ 20-46"),
        _car(1002, NameKind.TICKET, "00481201", 600, state=StayState.GONE, paid=2400, via="phone", case=6),
    ]
    occupied = {view.stay.name for view in stays if view.lot == 1001}
    exits = [
        ExitView(
            lot=1001,
            exit=str(at),
            kind=ExitKind.PLATE,
            label={"ja": f"{at}番", "en": f"Bay {at}"},
            position=Position.CLOSED if str(at) in occupied and at != 3 else Position.OPEN,
            vehicle=str(at) in occupied,
            read_at=NOW - timedelta(seconds=1 if at != 14 else 95),
            device="plates",
        )
        for at in range(1, 21)
    ]
    failed = CommandView(
        command_id="c-1",
        verb="release",
        state=CommandState.NOT_CONFIRMED,
        at=NOW - timedelta(seconds=33),
        actor="田中",
        code="not-observed",
        detail="arm did not rise in 6 s",
    )
    exits.append(
        ExitView(
            lot=1002,
            exit="OUT1",
            kind=ExitKind.GATE,
            label={"ja": "出口1", "en": "Exit 1"},
            position=Position.CLOSED,
            vehicle=True,
            read_at=NOW,
            device="gate",
            command=failed,
        )
    )
    case = CaseView(
        lot=1001,
        number=42,
        stay=doubt.stay,
        amount=1000,
        phase=CasePhase.IN_DOUBT,
        since=NOW - timedelta(seconds=48),
        exit="7",
        code="no-reply",
        detail="plates: silence for 0.5 s after the pulse",
        evidence=(Evidence(EvidenceKind.COUNTER, "channel 6: 118 before, not readable now"),),
    )
    since = NOW - timedelta(minutes=47)
    links = [
        LinkView(link="1001/cloud", kind="cloud", up=True, since=since, latency_ms=21.0),
        LinkView(link="1002/cloud", kind="cloud", up=True, since=since, latency_ms=19.0),
        LinkView(link="1001/plates", kind="device", up=False, since=NOW - timedelta(seconds=49), detail="no reply"),
        LinkView(link="1002/host", kind="device", up=True, since=since, latency_ms=6.0),
        LinkView(link="1002/gate", kind="device", up=True, since=since, latency_ms=3.0),
    ]
    words = [
        (235, "plates", "arrived", ""),
        (2, "cloud", "received", "DK-1001-42 1,000"),
        (1.9, "relay", "checking", ""),
        (1.8, "relay", "intent", "channel 6, counter 118"),
        (1.7, "plates", "sent", "01 05 00 06 FF 00"),
        (0.8, "relay", "in_doubt", "no-reply silence for 0.5 s"),
    ]
    timeline = Timeline(
        entries=tuple(
            TimelineEntry(at=NOW - timedelta(minutes=ago), source=source, what=what, detail=detail)
            for ago, source, what, detail in words
        )
    )
    return SimpleNamespace(
        now=NOW,
        lots=(
            LotView(lot=1001, name={"ja": "若葉町第1駐車場", "en": "Wakaba-cho Lot 1"}, time_zone="Asia/Tokyo"),
            LotView(lot=1002, name={"ja": "南口ゲート駐車場", "en": "Minamiguchi Gated Lot"}, time_zone="Asia/Tokyo"),
        ),
        stays={view.key: view for view in stays},
        exits={view.key: view for view in exits},
        cases={case.key: case},
        links={view.key: view for view in links},
        timeline=timeline,
        doubt=doubt,
        case=case,
    )


@pytest.fixture
def full_bridge(bridge: Bridge, lot_rows: SimpleNamespace) -> Bridge:
    """A started bridge of both lots, whose clock stands at 14:02:31 in Tokyo on 23 November 2026."""
    bridge.now = lambda: lot_rows.now
    bridge.lots = lot_rows.lots
    for name in ("stays", "exits", "cases", "links"):
        setattr(bridge, name, getattr(lot_rows, name))
    bridge.timelines[lot_rows.doubt.stay.key] = lot_rows.timeline
    bridge.start()
    return bridge


@pytest.fixture
def console(qapp, bridge, qtbot):
    """A console that is shown; its bridge may or may not be there."""
    from PySide6.QtCore import QEvent  # tests of the Qt-free parts use this file, too

    from console.app import build

    console = build(["--bridge", str(bridge.directory), "--language", "ja", "--actor", "田中"])
    try:
        console.show()
        _activate(console, qtbot)
        yield console
    finally:
        console.close()
        qapp.sendPostedEvents(None, QEvent.Type.DeferredDelete)


@pytest.fixture
def live(full_bridge, console, qtbot):
    qtbot.waitUntil(lambda: console.board.state.live)
    return console


def _activate(console, qtbot) -> None:
    """Keys reach only an active window; offscreen nobody else makes it one."""

    window = console.frame if console.window.dialog is None else console.window.dialog

    def active() -> bool:
        window.activateWindow()
        return window.isActiveWindow()

    qtbot.waitUntil(active)
