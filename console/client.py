"""The console's side of the bridge's local API (parking.desk), without Qt.

`requests` is imported at the first call, so that the window can paint before it. Nothing here retries: who calls
decides. One `Client` serves one thread; `stop` may be called from any.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from threading import Event as Flag
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from parking.commands import Command, CommandReply, Redeem, RedeemReply, SignedIn, SignIn, SignOut
from parking.desk import Event, Snapshot, Timeline
from parking.errors import BadMessage, Code, DaikoError, Environment, NotSent, Refused, Uncertain
from parking.wire import M, Message, Problem, decode, encode

if TYPE_CHECKING:
    import requests

CONNECT_SECONDS: Final = 2.0
REPLY_SECONDS: Final = 5.0
SILENCE_SECONDS: Final = 15.0
"""An event stream without a byte, heartbeats included, for this long is taken for dead."""

LARGEST_EVENT: Final = 1 << 20
START_BRIDGE: Final = "start the bridge on this PC; cash still works, and every gate opens by its own key switch"


@dataclass(frozen=True, slots=True)
class Address:
    """Where a bridge listens, and the token that its API wants."""

    url: str
    token: str = field(repr=False)

    def __post_init__(self) -> None:
        """Raise Environment(CONFIG) unless the URL is plain HTTP on this machine: the token goes nowhere else."""
        parts = urlsplit(self.url)
        if parts.scheme != "http" or not _is_loopback(parts.hostname or ""):
            raise Environment(Code.CONFIG, f"{self.url!r} is not a loopback http address", "use the bridge's own PC")


def read_directory(directory: Path) -> Address:
    """The address in a bridge's data directory; raises Environment(LINK_DOWN) if the bridge has not left one there.

    It is read anew for each connection: a restarted bridge may listen elsewhere.
    """
    return read_files(None, directory / "api-token", directory / "api.json")


def read_files(url: str | None, token: Path, address: Path | None = None) -> Address:
    """The address from a given `url`, or from the `address` file, and the token from its file."""
    try:
        if url is None and address is not None:
            url = json.loads(address.read_text(encoding="utf-8"))["url"]
        return Address(str(url), token.read_text(encoding="ascii").strip())
    except OSError as error:
        raise Environment(Code.LINK_DOWN, f"{error.filename}: {error.strerror}", START_BRIDGE) from error
    except (ValueError, KeyError, TypeError) as error:
        raise Environment(Code.LINK_DOWN, f"{address or token}: not what a bridge writes", START_BRIDGE) from error


class Client:
    """One keep-alive conversation with the bridge.

    All calls raise Environment(LINK_DOWN) if the bridge cannot be reached, Refused (UNAUTHORIZED, NOT_FOUND, …) if it
    says no, and BadMessage (WRONG_SCHEMA, BAD_MESSAGE) if it speaks another language.
    """

    def __init__(self, address: Address, *, silence: float = SILENCE_SECONDS) -> None:
        self._address = address
        self._silence = silence
        self._stopped = Flag()
        self._session: requests.Session | None = None
        self._stream: requests.Response | None = None

    def snapshot(self) -> Snapshot:
        """Everything that the bridge shows, at one sequence number."""
        return self._read("/v1/snapshot", Snapshot, {})

    def timeline(self, lot: int, stay_key: str) -> Timeline:
        """What happened to one stay, oldest first."""
        return self._read("/v1/timeline", Timeline, {"lot": str(lot), "stay": stay_key})

    def command(self, command: Command) -> CommandReply:
        """Hand over an order by hand; `command_id` makes a repetition harmless.

        Raises NotSent(LINK_DOWN) if it never left, Uncertain(NO_REPLY) if it may have arrived.
        """
        return self._post("/v1/commands", command, CommandReply)

    def redeem(self, redeem: Redeem) -> RedeemReply:
        """Have a code from a phone checked and acted on; `redeem_id` makes a repetition harmless."""
        return self._post("/v1/codes", redeem, RedeemReply)

    def sign_in(self, request: SignIn) -> SignedIn:
        """Begin a session. Raises Refused(SIGN_IN | LOCKED_OUT) besides what `command` raises."""
        return self._post("/v1/sign-in", request, SignedIn)

    def sign_out(self, request: SignOut) -> CommandReply:
        """End a session."""
        return self._post("/v1/sign-out", request, CommandReply)

    def events(self, after: int) -> Iterator[Event]:
        """All events above `after`, as they happen, until `stop` is called or the stream ends.

        Raises BadMessage(SEQUENCE_GAP) if the bridge no longer holds them: take a snapshot.
        """
        import requests

        try:
            self._stream = self._connect().get(
                self._address.url + "/v1/events",
                params={"after": str(after)},
                headers={"Accept": "text/event-stream"},
                stream=True,
                timeout=(CONNECT_SECONDS, self._silence),
                allow_redirects=False,
            )
            with self._stream as response:
                if response.status_code != 200:
                    _accept(response.status_code, response.content, Timeline)
                parser = EventParser()
                for chunk in response.iter_content(chunk_size=None):
                    if self._stopped.is_set():
                        return
                    yield from parser.feed(chunk)
        except (requests.exceptions.RequestException, OSError, AttributeError) as error:
            if self._stopped.is_set():  # a response that is shut down under its reader fails in several ways
                return
            raise Environment(Code.LINK_DOWN, "the bridge's event stream broke off", START_BRIDGE) from error

    def stop(self) -> None:
        """End `events` at once, from any thread; the client is of no use afterwards."""
        self._stopped.set()
        stream = self._stream
        if stream is not None and stream.raw is not None:
            try:
                stream.raw.shutdown()
            except (OSError, ValueError, RuntimeError):
                return  # already ended by itself

    def close(self) -> None:
        """Give the connections back; only from the client's own thread."""
        if self._session is not None:
            self._session.close()

    def _connect(self) -> "requests.Session":
        if self._session is None:
            import requests

            self._session = requests.Session()
            self._session.trust_env = False  # no proxy of the office may see the token
            self._session.headers["Authorization"] = f"Bearer {self._address.token}"
        return self._session

    def _post(self, path: str, message: Message, kind: type[M]) -> M:
        import requests

        try:
            response = self._connect().post(
                self._address.url + path,
                data=encode(message),
                headers={"Content-Type": "application/json"},
                timeout=(CONNECT_SECONDS, REPLY_SECONDS),
                allow_redirects=False,
            )
        except (requests.exceptions.ConnectTimeout, requests.exceptions.ConnectionError) as error:
            if _never_connected(error):
                raise NotSent(Code.LINK_DOWN, "the bridge cannot be reached", START_BRIDGE) from error
            raise Uncertain(Code.NO_REPLY, "the connection broke before the bridge answered") from error
        except requests.exceptions.RequestException as error:
            raise Uncertain(Code.NO_REPLY, "the bridge did not answer in time") from error
        return _accept(response.status_code, response.content, kind)

    def _read(self, path: str, kind: type[M], query: dict[str, str]) -> M:
        import requests

        try:
            response = self._connect().get(
                self._address.url + path,
                params=query,
                timeout=(CONNECT_SECONDS, REPLY_SECONDS),
                allow_redirects=False,
            )
        except requests.exceptions.RequestException as error:
            raise Environment(Code.LINK_DOWN, f"{self._address.url} does not answer", START_BRIDGE) from error
        return _accept(response.status_code, response.content, kind)


class EventParser:
    """Server-sent events from chunks of any size, bounded; comments are heartbeats and vanish."""

    def __init__(self) -> None:
        self._rest = b""
        self._name = ""
        self._data: list[bytes] = []

    def feed(self, chunk: bytes) -> Iterator[Event]:
        """The events that `chunk` completes; raises BadMessage on garbage, on `reset` and on endless lines."""
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        if len(self._rest) + sum(map(len, self._data)) > LARGEST_EVENT:
            raise BadMessage(Code.BAD_MESSAGE, "the bridge sent an event without an end")
        for line in lines:
            event = self._line(line.rstrip(b"\r"))
            if event is not None:
                yield event

    def _line(self, line: bytes) -> Event | None:
        if not line:
            name, data = self._name, b"\n".join(self._data)
            self._name, self._data = "", []
            if name == "reset":
                raise BadMessage(Code.SEQUENCE_GAP, "the bridge no longer holds these events", "take a snapshot")
            return decode(data, Event) if data else None
        key, _, value = line.partition(b":")
        if key == b"event":
            self._name = value.strip().decode("ascii", "replace")
        elif key == b"data":
            self._data.append(value.removeprefix(b" "))
        return None


def _accept(status: int, body: bytes, kind: type[M]) -> M:
    if 200 <= status < 300:
        return decode(body, kind)
    if status == 401:
        raise Refused(
            Code.UNAUTHORIZED, "the bridge refused our token", "start the console with the bridge's directory"
        )
    try:
        problem = decode(body, Problem)
    except DaikoError as error:
        raise BadMessage(Code.BAD_MESSAGE, f"the bridge answered HTTP {status}", "look at the bridge's log") from error
    raise Refused(_code(problem.code), problem.detail, problem.remedy)


def _code(text: str) -> Code:
    try:
        return Code(text)
    except ValueError:
        return Code.BAD_MESSAGE


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _never_connected(error: Exception) -> bool:
    """Whether the connection itself failed, so that certainly nothing was sent."""
    from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

    cause: object = error.args[0] if error.args else None
    return isinstance(getattr(cause, "reason", cause), NewConnectionError | ConnectTimeoutError)
