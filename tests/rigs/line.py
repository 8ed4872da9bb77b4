"""A line that can be cut."""

import socket
import threading
from contextlib import suppress


class Line:
    """Between two programs: a port that passes bytes on, until it is cut. Then nobody listens there."""

    def __init__(self, target: str) -> None:
        """On to `target`, a URL; open at once."""
        self.target = ("127.0.0.1", int(target.rpartition(":")[2]))
        self.port = 0
        self.open: list[socket.socket] = []
        self.mend()

    @property
    def url(self) -> str:
        """Where it begins."""
        return f"http://127.0.0.1:{self.port}"

    def mend(self) -> None:
        """Let bytes pass again, under the same address."""
        self.listener = socket.create_server(("127.0.0.1", self.port))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, args=(self.listener,), daemon=True).start()

    def cut(self) -> None:
        """End all connections, and take no new ones."""
        with suppress(OSError):
            self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        for each in self.open:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        self.open.clear()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                phone, _ = listener.accept()
                cloud = socket.create_connection(self.target)
                self.open += [phone, cloud]
                for pair in ((phone, cloud), (cloud, phone)):
                    threading.Thread(target=self._pass_on, args=pair, daemon=True).start()

    @staticmethod
    def _pass_on(source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        with suppress(OSError):
            sink.shutdown(socket.SHUT_WR)
