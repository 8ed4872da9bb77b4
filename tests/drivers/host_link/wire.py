"""A line to a database server that can lose the answer to a commit, and counts what was written over it."""

import contextlib
import socket
import threading
import time

COMMITS = {"postgresql": b"INSERT INTO", "firebird": b"\x00\x00\x00\x1e"}
"""What a client says last before the server commits: the statement itself, or op_commit."""


class Wire:
    """Passes everything on to `port`, until the client has said `commit` while the next answer is to get lost."""

    def __init__(self, port: int, commit: bytes) -> None:
        self._target, self._commit = port, commit
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.inserts = 0
        self._lock = threading.Lock()
        self._loses: tuple[float, threading.Event] | None = None
        threading.Thread(target=self._serve, daemon=True).start()

    def lose_answer(self, seconds: float) -> threading.Event:
        """What is answered to the next commit gets lost, and `seconds` later the connection; set once it is on."""
        passed = threading.Event()
        with self._lock:
            self._loses = seconds, passed
        return passed

    def calm(self) -> None:
        """Nothing gets lost any more."""
        with self._lock:
            self._loses = None

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._pass, args=(client,), daemon=True).start()

    def _pass(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._target)) as server:
            lost = threading.Event()
            back = threading.Thread(target=self._back, args=(server, client, lost), daemon=True)
            back.start()
            try:
                self._forth(client, server, lost)
            finally:
                _end(server)
                back.join()

    def _forth(self, client: socket.socket, server: socket.socket, lost: threading.Event) -> None:
        while data := client.recv(65_536):
            with self._lock:
                self.inserts += b"INSERT INTO" in data
                loses = self._loses if self._commit in data else None
                if loses is not None:
                    self._loses = None
                    lost.set()
            server.sendall(data)
            if loses is not None:
                loses[1].set()
                time.sleep(loses[0])
                return

    def _back(self, server: socket.socket, client: socket.socket, lost: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65_536):
                if not lost.is_set():
                    client.sendall(data)
        _end(client)


def _end(side: socket.socket) -> None:
    with contextlib.suppress(OSError):
        side.shutdown(socket.SHUT_RDWR)
