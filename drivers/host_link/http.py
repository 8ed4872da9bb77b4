"""One exchange with a host over HTTP, and what is certain when it fails.

Nothing is repeated, no redirect is followed, no proxy of the environment is used. The deadline covers the whole
exchange, also a body that drips. Known limits: one packet may be waited for once more after the deadline, and a head
that drips is not cut off.
"""

import logging
import time
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter

from drivers.host_link import codec
from drivers.recorder import Direction
from drivers.transport import Tap
from parking.errors import Code, Environment, NotSent, Uncertain

log = logging.getLogger(__name__)

CHUNK: Final = 65_536
LEAST_SECONDS: Final = 0.05
"""With less time than this left, an exchange is not begun."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back as a whole."""

    status: int
    body: bytes


class Line:
    """The connection to one host. Not for several threads at a time."""

    def __init__(self, url: str, api_key: str, recorder: Tap | None, *, by_plate: bool = False) -> None:
        """Nothing is opened yet; raises Environment(CONFIG) if `url` is no http(s) address.

        `by_plate`: the host's tickets are plates, and struck out of what is recorded.
        """
        parts = _checked(url)
        self.url = f"{parts[0]}://{parts[1]}"
        self.host = parts[1]
        self._key = api_key
        self._recorder = recorder
        self._blacken = codec.Blackener(tickets=by_plate)
        self._session = _session()

    def close(self) -> None:
        """Give all connections back; they open again when next used."""
        self._session.close()

    def read(self, method: str, target: str, deadline: float, body: bytes = b"") -> Reply:
        """An exchange that changes nothing at the host.

        Raises NotSent if the request certainly never left, Uncertain if no whole reply came.
        """
        return self._exchange(self._session, method, target, body, deadline)

    def write(self, target: str, body: bytes, deadline: float) -> Reply:
        """An exchange that changes the host's books, over a connection of its own.

        A kept connection may have died unnoticed; its reset would look like a lost reply. Raises as `read` does.
        """
        with _session() as session:
            return self._exchange(session, "POST", target, body, deadline)

    def _exchange(self, session: requests.Session, method: str, target: str, body: bytes, deadline: float) -> Reply:
        left = deadline - time.monotonic()
        if left < LEAST_SECONDS:
            raise NotSent(Code.NO_REPLY, f"{self.url}: no time left")
        headers = {codec.KEY_HEADER: self._key, "Accept": "application/json"}
        if body:
            headers["Content-Type"] = "application/json"
        self._note(Direction.TX, f"{method} {target}\n".encode() + body)
        try:
            response = session.request(
                method,
                self.url + target,
                data=body or None,
                headers=headers,
                timeout=(left, left),
                allow_redirects=False,
                stream=True,
            )
            with response:
                reply = Reply(response.status_code, self._body(response, deadline))
        except requests.RequestException as error:
            raise self._trouble(error) from error
        except urllib3.exceptions.HTTPError as error:  # while a body is streamed, urllib3's own errors come through
            raise Uncertain(Code.NO_REPLY, f"{self.url}: the reply broke off: {error}") from error
        self._note(Direction.RX, f"{reply.status}\n".encode() + reply.body)
        return reply

    def _body(self, response: requests.Response, deadline: float) -> bytes:
        body = bytearray()
        while chunk := response.raw.read1(CHUNK, decode_content=True):  # as it comes; iter_content waits for all of it
            body += chunk
            if len(body) > codec.MOST_BYTES:
                raise Uncertain(Code.BAD_MESSAGE, f"{self.url}: a reply of more than {codec.MOST_BYTES} bytes")
            if time.monotonic() > deadline:
                raise Uncertain(Code.NO_REPLY, f"{self.url}: the reply is too slow")
        return bytes(body)

    def _trouble(self, error: requests.RequestException) -> NotSent | Uncertain:
        if never_left(error):
            return NotSent(
                Code.LINK_DOWN,
                f"{self.url}: not reached: {_reason(error)}",
                "check the host's power, cable and address",
            )
        if isinstance(error, requests.Timeout):
            return Uncertain(Code.NO_REPLY, f"{self.url}: no reply in time")
        return Uncertain(Code.NO_REPLY, f"{self.url}: the connection broke: {_reason(error)}")

    def _note(self, direction: Direction, data: bytes) -> None:
        if self._recorder is not None:
            self._recorder.note(direction, self._blacken(data))


def never_left(error: requests.RequestException) -> bool:
    """Whether it is certain that no byte of the request was sent: the connection was never made.

    requests.ConnectionError covers both a refused connection and one that was reset after the request went out.
    """
    if isinstance(error, requests.ConnectTimeout):
        return True
    if not isinstance(error, requests.ConnectionError) or not error.args:
        return False
    cause = error.args[0]
    if isinstance(cause, urllib3.exceptions.MaxRetryError):
        cause = cause.reason
    return isinstance(cause, urllib3.exceptions.NewConnectionError | urllib3.exceptions.ConnectTimeoutError)


def _session() -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    session.headers.clear()
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(max_retries=0, pool_connections=1, pool_maxsize=1))
    return session


def _checked(url: str) -> tuple[str, str]:
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    if not good or parts.path.strip("/") or parts.query or parts.username:
        raise Environment(Code.CONFIG, f"{url!r} is not a host's address", "write it like http://192.168.0.10:7101")
    return parts.scheme, parts.netloc


def _reason(error: requests.RequestException) -> str:
    cause = error.args[0] if error.args else error
    reason = getattr(cause, "reason", None) or cause
    return str(reason).rpartition("object at ")[2].partition(">: ")[2] or str(reason)
