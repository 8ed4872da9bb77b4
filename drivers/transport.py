"""The one door to the wire: bytes out, bytes in, always with a deadline. The only module that imports pyserial.

URLs are pyserial's: `COM3`, `/dev/ttyUSB0`, `socket://host:port`, `rfc2217://host:port`, `spy:///dev/ttyUSB0`; and
`listen://host:port`, where the machine is the one that connects (drivers.listening). Plain TCP does not go through
pyserial's own handler: that one connects for up to 5 s whatever the deadline, sleeps 0.3 s when it closes, loses the
error number and leaves Nagle's algorithm on.

A port opens when first used, exclusively; after an error it closes, and opens again when next used. Who calls learns
what is certain:

    Environment  PORT_MISSING | PORT_BUSY | PORT_FORBIDDEN | CONFIG: no byte left, a person must do something
    NotSent      DEVICE_UNAVAILABLE | LINK_DOWN: no byte of this call left
    Uncertain    LINK_DOWN: bytes left, then the line broke

A write which succeeds proves nothing: a pty accepts bytes long after its other end has gone.
"""

import contextlib
import errno
import logging
import os
import select
import socket
import sys
import time
from collections.abc import Callable
from typing import Final, Protocol
from urllib.parse import urlsplit

import serial

from drivers.line_settings import LineSettings
from drivers.listening import Door
from drivers.recorder import Direction
from parking.errors import Code, DaikoError, Environment, NotSent, Uncertain

if sys.platform != "win32":
    import fcntl
    import termios

    _TERMIOS_ERROR: type[Exception] = termios.error  # what tcsetattr raises; not an OSError
else:
    _TERMIOS_ERROR = OSError

log = logging.getLogger(__name__)

CHUNK: Final = 4096
_PORT_ERRORS: Final = (OSError, _TERMIOS_ERROR)


class Tap(Protocol):
    """Sees every chunk that crosses the port (drivers.recorder.Recorder is one)."""

    def note(self, direction: Direction, data: bytes) -> None:
        """Take one chunk down."""
        ...


class _Wire(Protocol):
    """An open port. `send` takes at least one byte or raises OSError; `receive` returns b"" when the time is over."""

    certain: bool
    """Whether a `send` that raised took no byte at all."""

    def send(self, data: bytes, deadline: float) -> int: ...
    def receive(self, deadline: float) -> bytes: ...
    def close(self) -> None: ...


def _left(deadline: float) -> float:
    return max(0.0, deadline - time.monotonic())


def _ready(descriptor: int, writing: bool, deadline: float) -> bool:
    """Wait until a descriptor can be used (or is broken, which the use will show), or until the deadline."""
    if sys.platform == "win32":
        wanted = ([], [descriptor]) if writing else ([descriptor], [])
        return any(select.select(*wanted, [], _left(deadline)))
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT if writing else select.POLLIN)
    return bool(poll.poll(_left(deadline) * 1000))


class _SocketWire:
    """Plain TCP, without Nagle: small requests leave at once."""

    certain = True

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self._socket.setblocking(False)

    def send(self, data: bytes, deadline: float) -> int:
        if not _ready(self._socket.fileno(), True, deadline):
            raise TimeoutError(errno.ETIMEDOUT, "the line takes no more bytes")
        return self._socket.send(data)

    def receive(self, deadline: float) -> bytes:
        if not _ready(self._socket.fileno(), False, deadline):
            return b""
        data = self._socket.recv(CHUNK)
        if not data:
            raise ConnectionResetError(errno.ECONNRESET, "the device closed the connection")
        return data

    def close(self) -> None:
        self._socket.close()


class _CalledWire(_SocketWire):
    """A machine that dialled us; gives way to the next caller once it has nothing more to say."""

    def __init__(self, door: Door, deadline: float) -> None:
        super().__init__(door.accept(deadline))
        self._door = door

    def receive(self, deadline: float) -> bytes:
        if not _ready(self._socket.fileno(), False, time.monotonic()) and self._door.waiting:
            raise ConnectionResetError(errno.ECONNRESET, "the machine has dialled anew")
        return super().receive(deadline)


class _DescriptorWire:
    """A serial port with a file descriptor (POSIX): waits in poll(2), never in pyserial's own time-outs."""

    certain = True

    def __init__(self, port: serial.Serial) -> None:
        self._port = port
        self._descriptor: int = port.fileno()
        port.timeout = 0
        port.write_timeout = 0
        _claim(self._descriptor)
        with contextlib.suppress(AttributeError, ValueError, *_PORT_ERRORS):
            port.set_low_latency_mode(True)  # USB adapters hold bytes back for 16 ms otherwise

    def send(self, data: bytes, deadline: float) -> int:
        # Asked first, because pyserial's non-blocking write spins while a tty is full.
        if not _ready(self._descriptor, True, deadline):
            raise TimeoutError(errno.ETIMEDOUT, "the line takes no more bytes")
        return self._port.write(data) or 0

    def receive(self, deadline: float) -> bytes:
        if not _ready(self._descriptor, False, deadline):
            return b""
        return bytes(self._port.read(CHUNK))

    def close(self) -> None:
        self._port.close()


class _PortWire:
    """Whatever else pyserial opens (Windows ports, rfc2217, loop): its time-outs, set anew for each call."""

    certain = False

    def __init__(self, port: serial.Serial) -> None:
        self._port = port

    def send(self, data: bytes, deadline: float) -> int:
        self._port.write_timeout = max(0.001, _left(deadline))
        return self._port.write(data) or 0

    def receive(self, deadline: float) -> bytes:
        self._port.timeout = _left(deadline)
        first = self._port.read(1)
        waiting = self._port.in_waiting if first else 0
        return bytes(first + self._port.read(min(waiting, CHUNK)) if waiting else first)

    def close(self) -> None:
        self._port.close()


def _claim(descriptor: int) -> None:
    """Refuse the port to other programs, also to those which do not ask for a lock.

    Not on a pty: there the mark would outlive a killed process for as long as the other end is open.
    """
    if sys.platform != "win32":
        with contextlib.suppress(OSError):
            if not os.ttyname(descriptor).startswith("/dev/pts/"):
                fcntl.ioctl(descriptor, termios.TIOCEXCL)


class Transport:
    """A port by URL. Not for several threads at a time: a port belongs to one."""

    def __init__(self, url: str, settings: LineSettings | None = None, recorder: Tap | None = None) -> None:
        """Nothing is opened yet."""
        self.url = url
        self.settings = settings or LineSettings()
        self._tap = recorder
        self._wire: _Wire | None = None
        self._door: Door | None = None

    @property
    def is_open(self) -> bool:
        """Whether the port is open as far as known."""
        return self._wire is not None

    def write(self, data: bytes, deadline: float) -> None:
        """Send all of `data`.

        Raises Environment or NotSent if no byte left, Uncertain if some or all may have.
        """
        wire = self._opened(deadline)
        sent = 0
        while sent < len(data):
            try:
                sent += self._noted(wire.send, data[sent:], deadline)
            except BlockingIOError:
                continue
            except _PORT_ERRORS as error:
                self._hang_up()
                detail = f"{self.url}: writing failed: {_reason(error)}"
                if sent or not wire.certain:
                    raise Uncertain(Code.LINK_DOWN, f"{detail}, after {sent} of {len(data)} bytes") from error
                raise NotSent(Code.LINK_DOWN, detail) from error

    def read_some(self, deadline: float) -> bytes:
        """What has arrived, at least one byte, as soon as there is any; b"" at the deadline.

        Raises Environment or NotSent if the port cannot be opened, Uncertain(LINK_DOWN) if the line broke.
        """
        wire = self._opened(deadline)
        while True:
            try:
                data = wire.receive(deadline)
            except BlockingIOError:
                continue
            except _PORT_ERRORS as error:
                self._hang_up()
                raise Uncertain(Code.LINK_DOWN, f"{self.url}: the line broke: {_reason(error)}") from error
            if data and self._tap:
                self._tap.note(Direction.RX, data)
            return data

    @property
    def is_dialled(self) -> bool:
        """Whether the machine is the one that connects."""
        return self.url.startswith("listen://")

    def drain(self) -> None:
        """Throw away what has arrived and nobody waited for.

        Finds out on the way whether the other end has gone; the port then opens anew at the next use.
        """
        while self._wire is not None:
            try:
                stale = self.read_some(time.monotonic())
            except DaikoError as error:
                log.debug("found while draining: %s", error)
                return
            if not stale:
                return
            log.debug("%s: %d stale bytes thrown away", self.url, len(stale))

    def close(self) -> None:
        """Give the port back; idempotent."""
        self._hang_up()
        door, self._door = self._door, None
        if door is not None:
            door.close()

    def _hang_up(self) -> None:
        """End this connection; where machines connect to us, the next one may come."""
        wire, self._wire = self._wire, None
        if wire is not None:
            with contextlib.suppress(*_PORT_ERRORS):
                wire.close()

    def _noted(self, send: Callable[[bytes, float], int], data: bytes, deadline: float) -> int:
        count = send(data, deadline)
        if count and self._tap:
            self._tap.note(Direction.TX, data[:count])
        return count

    def _opened(self, deadline: float) -> _Wire:
        if self._wire is None:
            scheme = self.url.partition("://")[0]
            if scheme == "listen":
                self._door = self._door or Door(*_address(self.url))
                self._wire = _CalledWire(self._door, deadline)
            else:
                self._wire = _connect(self.url, deadline) if scheme == "socket" else _open_port(self.url, self.settings)
        return self._wire


def _address(url: str) -> tuple[str, int]:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
    if not host or not port:
        raise Environment(Code.CONFIG, f"{url!r} is not an address", f"write {url.partition(':')[0]}://host:port")
    return host, port


def _connect(url: str, deadline: float) -> _Wire:
    address = _address(url)
    try:
        return _SocketWire(socket.create_connection(address, timeout=max(0.001, _left(deadline))))
    except ConnectionRefusedError as error:
        raise NotSent(
            Code.DEVICE_UNAVAILABLE,
            f"{url}: nothing listens there",
            "check the device's power, and the port number in the lot profile",
        ) from error
    except OSError as error:
        raise NotSent(
            Code.LINK_DOWN, f"{url}: not reached: {_reason(error)}", "check cable, switch and address"
        ) from error


def _open_port(url: str, settings: LineSettings) -> _Wire:
    try:
        port: serial.Serial = serial.serial_for_url(
            url,
            do_not_open=True,
            baudrate=settings.baud,
            parity="N" if settings.parity in ("E", "O") and _is_pty(url) else settings.parity,
            stopbits=settings.stop_bits,
            exclusive=None if sys.platform == "win32" else True,
        )
        port.open()  # it may be refused or pulled even after this, when it is configured anew
        return _DescriptorWire(port) if _has_descriptor(port) else _PortWire(port)
    except ValueError as error:
        raise Environment(Code.CONFIG, f"{url}: {error}", "correct the address or the line settings") from error
    except _PORT_ERRORS as error:
        if _number(error) == errno.EINVAL:
            refused = f"{url}: this port does not take {settings}"
            raise Environment(Code.CONFIG, refused, "correct the line settings, or use another adapter") from error
        raise _port_trouble(url, error) from error


def _is_pty(url: str) -> bool:
    """Whether it is a simulated line: those have no parity bit, and refuse one."""
    return sys.platform != "win32" and os.path.realpath(url).startswith("/dev/pts/")


def _has_descriptor(port: serial.Serial) -> bool:
    try:
        port.fileno()
    except (OSError, AttributeError):
        return False
    return True


def _number(error: Exception) -> int | None:
    """The error number; termios keeps it as its first argument, pyserial sometimes in the one that it wraps."""
    cause = error.__cause__ or error.__context__
    found = getattr(error, "errno", None) or (error.args[0] if error.args else None)
    return found if isinstance(found, int) else _number(cause) if isinstance(cause, Exception) else None


def _port_trouble(url: str, error: Exception) -> DaikoError:
    """Which trouble it is. Windows and rfc2217 hide the number in the text, so the text is looked at as well."""
    number, text = getattr(error, "errno", None), str(error)
    if url.startswith("rfc2217://"):
        return NotSent(Code.LINK_DOWN, f"{url}: not reached: {_reason(error)}", "check cable, switch and address")
    if sys.platform != "win32" and number in (errno.EACCES, errno.EPERM):
        return Environment(
            Code.PORT_FORBIDDEN,
            f"{url}: this user may not open the port",
            "add the user to the group that owns the port (usually dialout), then sign in again",
        )
    if number in (errno.EBUSY, errno.EAGAIN) or "PermissionError" in text:
        return Environment(
            Code.PORT_BUSY, f"{url}: another program holds the port", "end the other program, or choose another port"
        )
    return Environment(
        Code.PORT_MISSING,
        f"{url}: no such port: {_reason(error)}",
        "plug the adapter in; check the port's name in the lot profile",
    )


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
