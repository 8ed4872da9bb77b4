"""A cloud's bridge API in a thread: hands out signed completions, keeps reports by their numbers, and judges them.

Real HTTP on loopback, no signatures of requests (tests/bridge has those), no database: rigs start many bridges against
it, and it must outlive them. What it says of the money shares no code with the bridge's relay.
"""

import re
import socketserver
import threading
import time
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, TypeVar
from urllib.parse import parse_qs, urlsplit

from parking import completion as completions
from parking.completion import Completion
from parking.money import yen
from parking.reports import InDoubt, Received, Redeemed, Refused, Report, ReportBatch, ReportReply, Settled
from parking.signing import SigningKey, to_text
from parking.stay import LotId, StayRef
from parking.wire import Accepted, CodeKey, Entry, LotKeys, decode, encode

KEY = SigningKey.from_seed(1, bytes(range(32)))
SECRET = bytes(range(32, 64))
"""Of typed codes, for every lot."""
HEARTBEAT = 0.5
T = TypeVar("T")


KEYS = LotKeys(
    code_keys=(CodeKey(kid=0, key=to_text(SECRET)),),
    code_seconds=1800,
    plate_key=to_text(bytes(32)),
    server_time=datetime(2026, 11, 24, tzinfo=UTC),
)


class FeedCloud:
    """What the cloud knows of its lots. Thread-safe."""

    def __init__(self) -> None:
        self.news = threading.Condition()
        self.entries: dict[int, list[Entry]] = defaultdict(list)
        self.paid: dict[tuple[int, int], Completion] = {}
        self.reports: dict[int, list[Report]] = defaultdict(list)
        self.contradictions: list[str] = []
        self.open = True
        self.down = False
        """The line is cut: every request ends without an answer, and no stream goes on."""
        self._server = _Server(("127.0.0.1", 0), _Door)
        self._server.cloud = self
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="feed-cloud")
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def stop(self) -> None:
        with self.news:
            self.open = False
            self.news.notify_all()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    # --- payments ----------------------------------------------------------------------------------------------------

    def pay(self, lot: LotId, stay: StayRef, amount: int = 200, exit_: str = "", minutes: float = 20.0) -> int:
        """A driver has paid: the completion stands in the feed when this returns."""
        with self.news:
            number = len(self.entries[lot]) + 1
            now = datetime.now(UTC).replace(microsecond=0)
            until = now + timedelta(minutes=minutes)
            self.paid[(lot, number)] = paid = Completion(1, lot, number, stay, yen(amount), now, until, exit_)
            self.entries[lot].append(Entry(number=number, completion=to_text(completions.sign(paid, KEY))))
            self.news.notify_all()
            return number

    def typed(self, lot: LotId, number: int) -> str:
        """What the phone shows of a payment, to be typed."""
        return completions.typed_code(self.paid[(lot, number)], 0, SECRET)

    def digits(self, lot: LotId, number: int) -> str:
        """What the phone shows of a payment, to be scanned."""
        return completions.to_digits(completions.sign(self.paid[(lot, number)], KEY))

    def said(self, lot: int, kind: type[T]) -> list[T]:
        """All reports of a kind."""
        with self.news:
            return [one for one in self.reports[lot] if isinstance(one, kind)]

    def forge(self, lot: LotId) -> int:
        """Something that is no completion takes the next number."""
        with self.news:
            number = len(self.entries[lot]) + 1
            self.entries[lot].append(Entry(number=number, completion=to_text(b"forged %d" % number)))
            self.news.notify_all()
            return number

    def ends(self, lot: int, number: int) -> list[str]:
        """What became of a payment, in the order of the reports: `settled`, `refused`."""
        with self.news:
            kinds = {Settled: "settled", Refused: "refused"}
            return [
                kinds[type(report)]
                for report in self.reports[lot]
                if isinstance(report, Settled | Refused) and report.number == number
            ]

    def doubted(self, lot: int, number: int) -> bool:
        """Whether the last word is a doubt."""
        with self.news:
            said = [
                one
                for one in self.reports[lot]
                if isinstance(one, Received | Redeemed | InDoubt | Settled | Refused) and one.number == number
            ]
            return bool(said) and isinstance(said[-1], InDoubt)

    def received(self, lot: int) -> set[int]:
        """The numbers that the bridge has acknowledged."""
        with self.news:
            return {one.number for one in self.reports[lot] if isinstance(one, Received | Redeemed)}

    # --- the doors ---------------------------------------------------------------------------------------------------

    def take(self, lot: int, body: bytes) -> tuple[int, bytes]:
        """A batch of reports: repeated ones must say what they said before."""
        batch = decode(body, ReportBatch)
        with self.news:
            held = self.reports[lot]
            if batch.first > len(held) + 1:
                return 409, encode(ReportReply(accepted_through=len(held), server_time=datetime.now(UTC)))
            for place, report in enumerate(batch.reports, batch.first):
                if place <= len(held):
                    if report != held[place - 1]:
                        self.contradictions.append(f"lot {lot}, report {place}: {held[place - 1]} became {report}")
                else:
                    held.append(report)
            self.news.notify_all()
            return 200, encode(ReportReply(accepted_through=len(held), server_time=datetime.now(UTC)))


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    cloud: FeedCloud

    def server_bind(self) -> None:
        socketserver.TCPServer.server_bind(self)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A bridge that was killed is no news."""


class _Door(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class' name
        """Quiet."""

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        found = re.fullmatch(r"/bridge/v1/lots/(\d+)/(feed|keys)", parts.path)
        if self.server.cloud.down:
            self.close_connection = True
            return
        if found is None:
            self._send(404, b"{}")
            return
        if found[2] == "keys":
            self._send(200, encode(KEYS))
            return
        self._stream(int(found[1]), int(parse_qs(parts.query)["after"][0]))

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        found = re.fullmatch(r"/bridge/v1/lots/(\d+)/(reports|answers)", self.path)
        if self.server.cloud.down:
            self.close_connection = True
        elif found is None:
            self._send(404, b"{}")
        elif found[2] == "reports":
            self._send(*self.server.cloud.take(int(found[1]), body))
        else:
            self._send(200, encode(Accepted(server_time=datetime.now(UTC))))

    def _send(self, status: int, body: bytes) -> None:
        head = f"HTTP/1.1 {status} said\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self.wfile.write(head.encode() + body)

    def _stream(self, lot: int, after: int) -> None:
        cloud, beat = self.server.cloud, 0.0
        self.close_connection = True
        self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
        while cloud.open and not cloud.down:
            with cloud.news:
                if len(cloud.entries[lot]) <= after and time.monotonic() < beat:
                    cloud.news.wait(0.1)
                if cloud.down:
                    return
                fresh = cloud.entries[lot][after:]
            for entry in fresh:
                self.wfile.write(b"event: completion\nid: %d\ndata: %b\n\n" % (entry.number, encode(entry)))
                after = entry.number
            if time.monotonic() >= beat:
                now = encode(Accepted(server_time=datetime.now(UTC)))
                self.wfile.write(b"event: heartbeat\ndata: %b\n\n" % now)
                beat = time.monotonic() + HEARTBEAT
