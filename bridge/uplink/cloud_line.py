"""One HTTP conversation with the cloud: signed, verified, bounded, and cut from another thread at any time.

Environment proxies, .netrc and redirects are ignored: a request goes where bridge.toml says, or nowhere. One
`CloudLine` serves one thread; `cut` and `close` may be called from any.
"""

import socket
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final, Generic

import requests
import urllib3
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from bridge.config import BridgeConfig
from bridge.uplink.pace import Pace
from parking import wire
from parking.errors import BadMessage, Code, Environment, Refused
from parking.wire import M, Message, Problem

MOST_BYTES: Final = 4 * 1024 * 1024
"""The longest answer that is taken: a full long poll has a few hundred kilobytes."""

CHUNK_BYTES: Final = 65_536
_REMEDY: Final = "check the network cable, the router and [cloud] url; the bridge keeps trying by itself"

_Failure = (requests.RequestException, urllib3.exceptions.HTTPError, OSError)


class Unreachable(Environment):
    """No connection came about, or it broke off. The cloud's health says nothing about the way taken."""


class Stalled(Environment):
    """The connection stands, and nothing comes."""


class Refusal(Refused):
    """The cloud answered with an error status. `body` as it came; `date` is the cloud's clock, if it said so."""

    def __init__(self, status: int, problem: Problem, body: bytes, date: datetime | None) -> None:
        super().__init__(_code(problem.code), f"{problem.detail} (HTTP {status})", problem.remedy)
        self.status = status
        self.body = body
        self.date = date

    @property
    def is_final(self) -> bool:
        """Whether asking again soon is no use: the cloud does not know us, or does not let us in."""
        return self.status in (401, 403)


@dataclass(frozen=True, slots=True)
class Exchange(Generic[M]):
    """A reply, and how long it took."""

    reply: M
    latency_ms: float


class CloudLine:
    """A keep-alive session with the cloud of `config`; `auth` signs, None for the enrolment alone."""

    def __init__(self, config: BridgeConfig, auth: AuthBase | None, pace: Pace) -> None:
        self._base = config.cloud_url
        self._pace = pace
        self._wires = _Wires()
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.verify = str(config.ca_file) if config.ca_file else True
        self._session.auth = auth
        self._session.headers["Accept-Encoding"] = "identity"  # bytes are read as they come; they are few
        adapter = _CuttableAdapter(self._wires)
        self._session.mount("http://", adapter)
        self._session.mount("https://", adapter)

    def call(
        self,
        path: str,
        kind: type[M],
        message: Message | None = None,
        *,
        params: Mapping[str, int] | None = None,
        patience: float | None = None,
    ) -> Exchange[M]:
        """POST `message`, or GET if there is none, and read the reply; `patience`: seconds without a byte.

        Raises Unreachable, Stalled, Refusal, or BadMessage if the reply is not what was agreed.
        """
        with self._send(path, message, params or {}, {"Accept": "application/json"}, patience) as (response, took):
            body = _read(response)
            return Exchange(wire.decode(body, kind), took)

    @contextmanager
    def stream(self, path: str, after: int, patience: float) -> Iterator[tuple[Iterator[bytes], float]]:
        """Open an event stream: its bytes as they come, and the milliseconds until it opened.

        Raises as `call` does, also from within; BadMessage if the answer is no event stream.
        """
        headers = {"Accept": "text/event-stream", "Cache-Control": "no-store", "Last-Event-ID": str(after)}
        with self._send(path, None, {"after": after}, headers, patience) as (response, took):
            kind = response.headers.get("Content-Type", "")
            if not kind.startswith("text/event-stream"):
                raise BadMessage(Code.BAD_MESSAGE, f"the feed is {kind[:60]!r}, no event stream")
            yield _chunks(response), took

    def cut(self) -> None:
        """Break what is under way, from any thread; the next call connects anew."""
        self._wires.cut()

    def close(self) -> None:
        """Break what is under way and let no call through any more, from any thread."""
        self._wires.close()

    def release(self) -> None:
        """Give the connections back; from the line's own thread, as the last thing."""
        self._session.close()

    @contextmanager
    def _send(
        self,
        path: str,
        message: Message | None,
        params: Mapping[str, int],
        headers: Mapping[str, str],
        patience: float | None,
    ) -> Iterator[tuple[requests.Response, float]]:
        request: dict[str, Any] = {"params": dict(params), "headers": dict(headers)}
        if message is not None:
            request["data"] = wire.encode(message)
            request["headers"]["Content-Type"] = "application/json"
        request["timeout"] = (self._pace.connect, self._pace.reply if patience is None else patience)
        try:
            began = time.perf_counter()
            with self._open("GET" if message is None else "POST", path, request) as response:
                took = (time.perf_counter() - began) * 1000
                if not 200 <= response.status_code < 300:
                    raise _refusal(response)
                yield response, took
        except _Failure as error:
            raise _translate(error, request["timeout"]) from error

    def _open(self, method: str, path: str, request: dict[str, Any]) -> requests.Response:
        """Send; once more if a kept connection turns out to be dead. All our requests may be repeated."""
        url = self._base + path
        connects = self._wires.connects
        try:
            return self._session.request(method, url, stream=True, allow_redirects=False, **request)
        except requests.Timeout:
            raise
        except requests.ConnectionError:
            if self._wires.connects != connects:  # it was a fresh connection: the fault is not its age
                raise
            return self._session.request(method, url, stream=True, allow_redirects=False, **request)


class _Wires:
    """The open sockets of one line."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sockets: list[socket.socket] = []
        self._closed = False
        self.connects = 0

    def begin(self) -> None:
        if self._closed:
            raise ConnectionAbortedError("the line is closed")
        self.connects += 1

    def add(self, wire_: socket.socket) -> None:
        with self._lock:
            self._sockets = [one for one in self._sockets if one.fileno() >= 0] + [wire_]
            if self._closed:
                _shut(wire_)

    def cut(self) -> None:
        with self._lock:
            for one in self._sockets:
                _shut(one)
            self._sockets.clear()

    def close(self) -> None:
        self._closed = True
        self.cut()


def _shut(wire_: socket.socket) -> None:
    """Wake whoever reads; a TLS socket is shut below TLS, whose state belongs to the reading thread."""
    with suppress(OSError):
        socket.socket.shutdown(wire_, socket.SHUT_RDWR)


class _CuttableAdapter(HTTPAdapter):
    """Lets `wires` know of every socket that is opened."""

    def __init__(self, wires: _Wires) -> None:
        self._wires = wires
        super().__init__(pool_connections=1, pool_maxsize=1, max_retries=0)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = _pools(self._wires)


def _pools(wires: _Wires) -> dict[str, type[HTTPConnectionPool]]:
    class Plain(HTTPConnection):
        def connect(self) -> None:
            wires.begin()
            super().connect()
            wires.add(self.sock)

    class Secure(HTTPSConnection):
        def connect(self) -> None:
            wires.begin()
            super().connect()
            wires.add(self.sock)

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    return {"http": PlainPool, "https": SecurePool}


def _chunks(response: requests.Response) -> Iterator[bytes]:
    while chunk := response.raw.read1(CHUNK_BYTES):
        yield chunk


def _read(response: requests.Response) -> bytes:
    body = bytearray()
    for chunk in _chunks(response):
        body += chunk
        if len(body) > MOST_BYTES:
            raise BadMessage(Code.BAD_MESSAGE, f"the cloud's answer is longer than {MOST_BYTES:,} bytes")
    return bytes(body)


def _refusal(response: requests.Response) -> Refusal:
    status, body = response.status_code, b""
    try:
        body = _read(response)
        problem = wire.decode(body, Problem)
    except BadMessage:
        problem = Problem(code=Code.BAD_MESSAGE, detail="the cloud answered with an error", remedy=_REMEDY)
    try:
        date = parsedate_to_datetime(response.headers.get("Date", ""))
    except ValueError:
        return Refusal(status, problem, body, None)
    return Refusal(status, problem, body, date if date.tzinfo else None)


def _code(text: str) -> Code:
    try:
        return Code(text)
    except ValueError:
        return Code.BAD_MESSAGE


def _translate(error: Exception, timeout: tuple[float, float]) -> Environment:
    connecting, reading = timeout
    if isinstance(error, requests.exceptions.SSLError):
        remedy = "check this computer's clock, and [cloud] ca_file if the cloud has a certificate of its own"
        return Unreachable(Code.LINK_DOWN, f"the cloud's certificate is not accepted: {_reason(error)}", remedy)
    if isinstance(error, requests.ConnectTimeout):
        return Unreachable(Code.LINK_DOWN, f"no connection to the cloud within {connecting:g} s", _REMEDY)
    if isinstance(error, requests.Timeout | urllib3.exceptions.TimeoutError | TimeoutError) or _timed_out(error):
        return Stalled(Code.LINK_DOWN, f"the cloud has been silent for {reading:g} s", _REMEDY)
    return Unreachable(Code.LINK_DOWN, f"no connection to the cloud: {_reason(error)}", _REMEDY)


def _timed_out(error: BaseException) -> bool:
    return any(isinstance(one, TimeoutError | urllib3.exceptions.ReadTimeoutError) for one in _causes(error))


def _reason(error: BaseException) -> str:
    """The system's own words where there are some: requests' sentences hold addresses and object names."""
    for one in _causes(error):
        if isinstance(one, OSError) and one.strerror:
            return one.strerror
        if isinstance(one, urllib3.exceptions.NameResolutionError):
            return "the name is not known"
    return "it broke off"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        wrapped = getattr(error, "reason", None) or next(iter(error.args), None)
        error = wrapped if isinstance(wrapped, BaseException) else error.__cause__ or error.__context__
