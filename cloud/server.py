"""Runs the app under uvicorn on a socket of ours: real address in the run file, prompt and clean end on SIGTERM."""

import asyncio
import json
import logging
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import uvicorn
from litestar import Litestar

from parking.errors import Code, Environment

log = logging.getLogger(__name__)

BACKLOG = 2048
_GRACE = 10


class Server(uvicorn.Server):
    """Uvicorn that tells long-lived streams to end before it waits for them, and says when it is ready."""

    def __init__(self, app: Litestar, ready: Callable[[], None], stop: Callable[[], None]) -> None:
        """`ready` is called once requests are served, `stop` (on the event loop) when a signal asks for the end."""
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,  # its lines would hold tokens
            lifespan="on",
            server_header=False,
            proxy_headers=False,  # whom to believe about a client's address is configured (cloud.guard)
            timeout_graceful_shutdown=_GRACE,
        )
        super().__init__(config)
        self._ready = ready
        self._stop = stop
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to serve, then say so."""
        self._loop = asyncio.get_running_loop()
        await super().startup(sockets)
        if self.started:
            self._ready()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take SIGINT and SIGTERM; unlike uvicorn's own, do not raise them again: our exit status is 0."""
        former = {sign: signal.signal(sign, self.handle_exit) for sign in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for sign, handler in former.items():
                signal.signal(sign, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """End: streams first, so that uvicorn's wait for them is short."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._stop)
        super().handle_exit(sig, frame)


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one. Raises Environment(PORT_BUSY | PORT_FORBIDDEN | CONFIG)."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=BACKLOG)
    except PermissionError as error:
        raise Environment(Code.PORT_FORBIDDEN, f"{host}:{port}: {error.strerror}", "take a port above 1023") from error
    except socket.gaierror as error:
        raise Environment(Code.CONFIG, f"{host}: {error.strerror}", "correct [listen] host") from error
    except OSError as error:
        remedy = "end the other program or change [listen]"
        raise Environment(Code.PORT_BUSY, f"{host}:{port}: {error.strerror}", remedy) from error


def address(listening: socket.socket) -> str:
    """The URL under which a socket is reached from this machine."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def forget_run_file(path: Path) -> None:
    """Remove a run file that an earlier process left behind, so that nobody takes it for ours."""
    path.unlink(missing_ok=True)


def write_run_file(path: Path, url: str) -> None:
    """Write `{"url", "pid"}` in one step: readers see all of it or nothing."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    draft.write_text(json.dumps({"url": url, "pid": os.getpid()}), encoding="utf-8")
    draft.replace(path)
