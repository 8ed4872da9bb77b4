"""An ASGI server on a thread of its own: HTTP/1.1, each answer in one write; on loopback but for the lot's page.

Head and body in two writes cost 40 ms a piece where Nagle's algorithm meets a delayed acknowledgement; asyncio sets
TCP_NODELAY, and the cork below spares the second packet as well.
"""

import asyncio
import os
import socket
import threading
import time
from typing import Any, Final, cast

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from parking.errors import Bug, Code, Environment

START_SECONDS: Final = 5.0
STOP_SECONDS: Final = 3.0
MOST_CONNECTIONS: Final = 64
HEAD_SECONDS: Final = 5.0


class HttpServer:
    """Binds at once, so that a port in use is known before anything else starts."""

    def __init__(self, host: str, port: int, table: str = "api") -> None:
        """Raise Environment(PORT_BUSY) if the port cannot be had. `table`: what names the address in bridge.toml."""
        self._table = table
        self._socket = _bind(host, port, table)
        self._server: uvicorn.Server | None = None
        self._thread: threading.Thread | None = None

    @property
    def address(self) -> tuple[str, int]:
        """Host and port, as bound."""
        host, port = self._socket.getsockname()
        return host, port

    def start(self, app: ASGIApp) -> None:
        """Serve `app`; returns once it answers."""
        config = uvicorn.Config(
            app,
            http=_OneWrite,
            loop="asyncio",
            lifespan="off",
            ws="none",
            interface="asgi3",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            limit_concurrency=MOST_CONNECTIONS,
            timeout_graceful_shutdown=1,
            backlog=64,
        )
        server = uvicorn.Server(config)
        # off the main thread uvicorn leaves the signals alone
        thread = threading.Thread(target=server.run, args=([self._socket],), name=f"{self._table}-server", daemon=True)
        self._server, self._thread = server, thread
        thread.start()
        deadline = time.monotonic() + START_SECONDS
        while not server.started:
            if not thread.is_alive() or time.monotonic() > deadline:
                raise Bug(f"the server of [{self._table}] did not start")
            time.sleep(0.005)

    def stop(self) -> None:
        """Finish what is under way, at most a second, and close."""
        if self._server is not None and self._thread is not None:
            self._server.should_exit = True
            self._thread.join(STOP_SECONDS)
        self._socket.close()


def _bind(host: str, port: int, table: str) -> socket.socket:
    # asyncio sets TCP_NODELAY only where the protocol is named; 0, the default, is TCP too, but not to its eyes
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        if os.name != "nt":  # there it would let two programs share one port
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(64)
    except OSError as error:
        listener.close()
        remedy = f"is another bridge running? otherwise give another address in [{table}] listen"
        raise Environment(Code.PORT_BUSY, f"{host}:{port}: {error.strerror}", remedy) from error
    return listener


class _OneWrite(H11Protocol):
    """uvicorn's protocol over a corked transport; a request's head must be there within seconds.

    Otherwise whoever holds many connections open in silence would keep the console out.
    """

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(cast("asyncio.Transport", _Cork(transport, self.loop)))
        self._await_head()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def _await_head(self) -> None:
        if self.cycle is not None and not self.cycle.response_complete:
            self._stop_waiting()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(HEAD_SECONDS, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class _Cork:
    """Gathers what is written within one step of the event loop, and sends it as one."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._parts: list[bytes] = []

    def write(self, part: bytes) -> None:
        if not self._parts:
            self._loop.call_soon(self._flush)
        self._parts.append(part)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        parts, self._parts = self._parts, []
        if parts:
            self._transport.write(b"".join(parts))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
