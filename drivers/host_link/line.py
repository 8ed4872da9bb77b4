"""A TCP line to a server that is cut at a deadline, for a client library that waits without one of its own.

The library connects to a port of this computer, and its bytes are carried to the server and back until the deadline is
over or one of the two ends. A library that waits then sees a broken line, which wakes it whatever it waits for.
"""

import contextlib
import selectors
import socket
import threading
import time
from types import TracebackType
from typing import Final, Self

HERE: Final = "127.0.0.1"
CHUNK: Final = 65_536


class Line:
    """One connection. While entered, whoever connects to HERE, `port` first is carried on to the server."""

    def __init__(self, host: str, port: int, deadline: float) -> None:
        """Connect to the server. `deadline` is monotonic seconds; raises OSError if it is not reached by then."""
        self._deadline = deadline
        self._server = socket.create_connection((host, port), timeout=max(0.001, deadline - time.monotonic()))
        self._server.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._door = socket.create_server((HERE, 0), backlog=1)
        self.port: int = self._door.getsockname()[1]
        self.over = False
        """Whether it was cut because the time was over."""
        self._end, self._told = socket.socketpair()
        self._thread = threading.Thread(target=self._carry, name="host-line", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end.close()
        self._thread.join()

    def _carry(self) -> None:
        with self._told, self._server, self._door, selectors.DefaultSelector() as ready:
            ready.register(self._told, selectors.EVENT_READ)
            ready.register(self._door, selectors.EVENT_READ)
            library = self._wait_for(ready)
            if library is None:
                return
            with library, contextlib.suppress(OSError):
                library.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                ready.unregister(self._door)
                ready.register(library, selectors.EVENT_READ, self._server)
                ready.register(self._server, selectors.EVENT_READ, library)
                while self._pass_on(ready):
                    pass

    def _wait_for(self, ready: selectors.BaseSelector) -> socket.socket | None:
        """Whoever comes; None if nobody does."""
        for key in self._events(ready):
            if key.fileobj is self._door:
                return self._door.accept()[0]
        return None

    def _pass_on(self, ready: selectors.BaseSelector) -> bool:
        """Carry what has come; whether the line goes on. Raises OSError where it is broken."""
        events = self._events(ready)
        for key in events:
            if key.fileobj is self._told or not isinstance(key.fileobj, socket.socket):
                return False
            data = key.fileobj.recv(CHUNK)
            if not data:
                return False
            other: socket.socket = key.data
            other.settimeout(max(0.001, self._deadline - time.monotonic()))
            try:
                other.sendall(data)
            except TimeoutError:
                self.over = True
                return False
        return bool(events)

    def _events(self, ready: selectors.BaseSelector) -> list[selectors.SelectorKey]:
        left = self._deadline - time.monotonic()
        found = [key for key, _ in ready.select(left)] if left > 0 else []
        self.over = self.over or not found
        return found
