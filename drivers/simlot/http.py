"""A small JSON server on loopback for simulators: one write per response, no Nagle delay, and it can be unplugged.

The standard library's handler writes head and body separately; over a kept connection that costs 44 ms per reply.
"""

import contextlib
import json
import socket
import socketserver
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

MOST_BYTES: Final = 1_000_000
IDLE_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it came in; `target` is path and query."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Response:
    """What goes back."""

    status: int
    body: bytes


class Hangup(Exception):
    """Raised by an answering function: reset the connection without a reply."""


Answering = Callable[[Request], Response]


def json_response(status: int, value: Any) -> Response:
    """A response with a JSON body."""
    return Response(status, json.dumps(value, ensure_ascii=False, default=str).encode())


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, address: tuple[str, int], answering: Answering) -> None:
        self.answering = answering
        self.open_sockets: set[socket.socket] = set()
        self.guard = threading.Lock()
        super().__init__(address, _Handler, bind_and_activate=False)
        self.server_bind()

    def server_bind(self) -> None:
        """Bind without asking a name server for our own name."""
        socketserver.TCPServer.server_bind(self)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = IDLE_SECONDS
    server: _Server

    def setup(self) -> None:
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with self.server.guard:
            self.server.open_sockets.add(self.request)
        super().setup()

    def finish(self) -> None:
        with self.server.guard:
            self.server.open_sockets.discard(self.request)
        with contextlib.suppress(OSError):
            super().finish()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class' name
        """Quiet: the history says what happened."""

    def _serve(self) -> None:
        try:
            length = int(self.headers.get("Content-Length") or 0)
        except ValueError:
            length = -1
        if not 0 <= length <= MOST_BYTES or self.headers.get("Transfer-Encoding"):
            self.close_connection = True
            self._send(json_response(400, {"code": "bad-message", "detail": "a body needs an honest Content-Length"}))
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        try:
            self._send(self.server.answering(Request(self.command, self.path, headers, self.rfile.read(length))))
        except Hangup:
            self.close_connection = True
            reset(self.request)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = _serve  # noqa: N815 - the names that the base calls

    def _send(self, response: Response) -> None:
        reason = self.responses.get(response.status, ("",))[0]
        head = (
            f"HTTP/1.1 {response.status} {reason}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(response.body)}\r\n"
            f"Connection: {'close' if self.close_connection else 'keep-alive'}\r\n\r\n"
        )
        self.wfile.write(head.encode() + (b"" if self.command == "HEAD" else response.body))


def reset(connection: socket.socket) -> None:
    """Make closing this connection a reset, without a farewell."""
    with contextlib.suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class JsonServer:
    """Listens on 127.0.0.1; `unplug` refuses connections and resets those that are open, `plug` listens again."""

    def __init__(self, answering: Answering, port: int = 0) -> None:
        """Listen at once; port 0 takes a free one. Raises OSError if the port is taken."""
        self._answering = answering
        self._server = _Server(("127.0.0.1", port), answering)
        self._port = int(self._server.server_address[1])
        self._thread: threading.Thread | None = None
        self.plug()

    @property
    def url(self) -> str:
        """Where it listens; the same after it was unplugged and plugged in again."""
        return f"http://127.0.0.1:{self._port}"

    def plug(self) -> None:
        """Listen; harmless if it does already."""
        if self._thread is None:
            self._server.server_activate()
            self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), name="sim-http")
            self._thread.start()

    def unplug(self) -> None:
        """Refuse connections and reset those that are open. The port stays ours: bound, but nobody listens."""
        if self._thread is None:
            return
        self._hang_up()
        self._server = _Server(("127.0.0.1", self._port), self._answering)

    def stop(self) -> None:
        """End for good; idempotent."""
        if self._thread is not None:
            self._hang_up()
        self._server.server_close()

    def _hang_up(self) -> None:
        self._server.shutdown()
        if self._thread is not None:
            self._thread.join()
        self._thread = None
        self._server.server_close()
        with self._server.guard:
            for connection in self._server.open_sockets:
                reset(connection)
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
