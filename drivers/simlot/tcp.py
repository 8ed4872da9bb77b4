"""A simulated machine on TCP that answers what it is asked: for families whose simulator needs no more than that."""

import contextlib
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

LOOK: Final = 0.05
CHUNK: Final = 4096

Answer = Callable[[bytes], bytes]
"""Given what came on one connection since it was made, piece by piece; returns what is answered, b"" for nothing."""


@dataclass
class Faults:
    """What is wrong with the machine; set at any time, from any thread."""

    unplugged: bool = False
    silent: bool = False


class TcpMachine:
    """Listens on a port of its own, which stays the same when it is unplugged and plugged in again."""

    def __init__(self, converse: Callable[[], Answer]) -> None:
        """`converse` begins a conversation: it is called for each connection. Raises OSError if it cannot listen."""
        self.faults = Faults()
        self._converse = converse
        self._over = threading.Event()
        self._port = 0
        self._listener: socket.socket | None = None
        self._plug()
        self._thread = threading.Thread(target=self._run, name="tcp-machine", daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        """Where it is reached."""
        return f"socket://127.0.0.1:{self._port}"

    def stop(self) -> None:
        """End it; idempotent."""
        self._over.set()
        self._thread.join()

    def _plug(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", self._port))
        self._listener.settimeout(LOOK)
        self._port = self._listener.getsockname()[1]

    def _unplug(self) -> None:
        listener, self._listener = self._listener, None
        if listener is not None:
            listener.close()

    def _run(self) -> None:
        while not self._over.is_set():
            if self.faults.unplugged:
                self._unplug()
                self._over.wait(LOOK)
                continue
            if self._listener is None:
                self._plug()
                continue
            with contextlib.suppress(OSError):
                caller = self._listener.accept()[0]
                threading.Thread(target=self._serve, args=(caller,), daemon=True).start()
        self._unplug()

    def _serve(self, caller: socket.socket) -> None:
        answer = self._converse()
        with caller, contextlib.suppress(OSError):
            caller.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            caller.settimeout(LOOK)
            while not (self._over.is_set() or self.faults.unplugged):
                try:
                    heard = caller.recv(CHUNK)
                except TimeoutError:
                    continue
                if not heard:
                    return
                if not self.faults.silent and (said := answer(heard)):
                    caller.sendall(said)
