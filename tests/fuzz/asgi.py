"""The bridge's local API without a socket: the shipped door and endpoints, asked by the letter of ASGI.

Whoever asks holds the token, so that what lies behind the door is reached. The desk behind answers from memory.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from bridge.local_api.api import LocalApi, _Pump
from bridge.local_api.door import Door
from parking.commands import Command, CommandReply, OperatorRole, Redeem, RedeemReply, SignedIn, SignIn, SignOut
from parking.desk import Event, Snapshot, Timeline
from parking.errors import Code, Refused
from parking.stay import LotId

HOST = "127.0.0.1:7100"
TOKEN = "fuzz"


class QuietDesk:
    """A bridge.ports.Desk on which nothing happens."""

    def snapshot(self) -> Snapshot:
        return Snapshot(seq=0, server_time=datetime.now(UTC), lots=(), stays=(), exits=(), cases=(), links=())

    def events(self, after: int) -> Sequence[Event] | None:
        return None  # a stream ends at once with a reset

    def wait_for_event(self, after: int, seconds: float) -> None:
        return None

    def timeline(self, lot: LotId, stay_key: str) -> Timeline:
        return Timeline(entries=())

    def command(self, command: Command) -> CommandReply:
        return CommandReply(accepted=False, code=Code.NOT_FOUND, detail=command.exit)

    def redeem(self, redeem: Redeem) -> RedeemReply:
        raise Refused(Code.WRONG_CODE, "no code of this lot")

    def sign_in(self, request: SignIn) -> SignedIn:
        return SignedIn(session="S" * 43, operator=request.operator, role=OperatorRole.VIEWER, idle_seconds=300)

    def sign_out(self, request: SignOut) -> CommandReply:
        return CommandReply(accepted=True)


@cache
def _door() -> Door:
    desk = QuietDesk()
    api = LocalApi(desk, Path(mkdtemp(prefix="daiko-fuzz-")), "127.0.0.1", 0)
    return Door(api._routes(_Pump(desk)), TOKEN, frozenset((HOST,)))


async def ask(method: str, path: str, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> int:
    """The status of the answer to one request."""
    raw, _, query = path.partition("?")
    given = {b"host": HOST.encode(), b"authorization": f"Bearer {TOKEN}".encode(), b"content-type": b"application/json"}
    scope: dict[str, Any] = {
        "type": "http",
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": raw,
        "raw_path": raw.encode("latin-1"),
        "query_string": query.encode("latin-1"),
        "root_path": "",
        "headers": [*given.items(), *((name.lower(), value) for name, value in headers)],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 7100),
    }
    messages = iter([{"type": "http.request", "body": body, "more_body": False}])
    statuses: list[int] = []

    async def receive() -> Any:
        return next(messages, {"type": "http.disconnect"})

    async def send(message: Any) -> None:
        if message["type"] == "http.response.start":
            statuses.append(message["status"])

    await _door()(scope, receive, send)
    return statuses[0]
