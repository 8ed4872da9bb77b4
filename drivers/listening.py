"""Where the machine is the one that connects: a pay station that dials its payment terminal over TCP."""

import contextlib
import errno
import select
import socket
import time
from typing import Final

from parking.errors import Code, Environment, NotSent

_BACKLOG: Final = 2


class Door:
    """Listens on one address, and has one caller at a time: the newest.

    A machine whose connection broke without a word dials anew; the old connection would look alive for hours.
    """

    def __init__(self, host: str, port: int) -> None:
        """Raises Environment: PORT_BUSY if somebody else listens there, CONFIG if it is no address of this computer."""
        self.address = f"{host}:{port}"
        try:
            self._socket = socket.create_server((host, port), backlog=_BACKLOG)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                remedy = "end the other program, or choose another port"
                raise Environment(Code.PORT_BUSY, f"{self.address}: another program listens there", remedy) from error
            detail, remedy = f"{self.address}: {error.strerror or error}", "name an address of this computer"
            raise Environment(Code.CONFIG, detail, remedy) from error

    def accept(self, deadline: float) -> socket.socket:
        """The newest caller. Raises NotSent(DEVICE_UNAVAILABLE) if nobody has called by the deadline."""
        self._socket.settimeout(max(0.001, deadline - time.monotonic()))
        try:
            caller = self._socket.accept()[0]
            while self.waiting:
                caller.close()
                caller = self._socket.accept()[0]
            return caller
        except OSError as error:
            detail, remedy = f"{self.address}: no machine has connected", "check the terminal's address in the machine"
            raise NotSent(Code.DEVICE_UNAVAILABLE, detail, remedy) from error

    @property
    def waiting(self) -> bool:
        """Whether another caller is there."""
        return bool(select.select([self._socket], [], [], 0)[0])

    def close(self) -> None:
        """Listen no more; idempotent."""
        with contextlib.suppress(OSError):
            self._socket.close()
