"""One request and its answer at a time: pacing, matching, and what is certain when no answer comes.

On a serial line nothing in an answer says which request it belongs to. So a request is preceded by 3.5 characters of
silence and a drained buffer, and after a request that stayed without an answer the line is left alone for one more
time-out, so that a late answer cannot pass for that of the next request. On TCP the transaction number tells; after a
silence the connection is closed, because its other end may be gone.
"""

import logging
import time
from dataclasses import dataclass
from typing import Final

from drivers.line_settings import LineSettings
from drivers.modbus_io.codec import Codec, Frame, RtuCodec, Side, TcpCodec
from drivers.modbus_io.pdu import Reply, Request, answer_to
from drivers.modbus_io.profiles import Framing
from drivers.transport import Tap, Transport
from parking.errors import Code, NotSent, Uncertain

log = logging.getLogger(__name__)

SILENCE_CHARS: Final = 3.5
FAST_SILENCE: Final = 0.00175
"""Above 19200 baud the silence is fixed (Modbus over Serial Line V1.02, section 2.5.1.1)."""


def silence(settings: LineSettings) -> float:
    """Seconds between two frames on a serial line."""
    return FAST_SILENCE if settings.baud > 19200 else SILENCE_CHARS * settings.seconds_per_char


@dataclass(frozen=True, slots=True)
class Letter:
    """A request ready to go: what it asks, and its exact bytes."""

    request: Request
    raw: bytes
    transaction: int


class Line:
    """A Modbus line or connection to one unit, as its master."""

    def __init__(
        self,
        url: str,
        framing: Framing,
        unit: int,
        settings: LineSettings,
        timeout: float,
        recorder: Tap | None = None,
    ) -> None:
        """Nothing is opened yet; `timeout` is how long (seconds) an answer is waited for."""
        self._serial = framing is Framing.RTU
        self._transport = Transport(url, settings, recorder)
        self._codec: Codec = RtuCodec(Side.MASTER, unit) if self._serial else TcpCodec(Side.MASTER)
        self._unit = unit
        self._timeout = timeout
        self._silence = silence(settings) if self._serial else 0.0
        self._quiet_until = 0.0
        self._transaction = 0

    def compose(self, request: Request) -> Letter:
        """The exact bytes of a request, before anything is sent."""
        self._transaction = 0 if self._serial else self._transaction % 0xFFFF + 1
        raw = self._codec.encode(Frame(self._unit, request, self._transaction))
        return Letter(request, raw, self._transaction)

    def send(self, letter: Letter, deadline: float) -> Reply:
        """Write a request once and wait for its answer.

        Raises NotSent or Environment if no byte left, Uncertain(NO_REPLY | LINK_DOWN) otherwise.
        """
        self._keep_quiet(deadline)
        self._codec.reset()
        self._transport.write(letter.raw, deadline)
        limit = min(deadline, time.monotonic() + self._timeout)
        while chunk := self._transport.read_some(limit):
            for frame in self._codec.feed(chunk):
                reply = self._matching(letter, frame)
                if reply is not None:
                    self._quiet_until = time.monotonic() + self._silence
                    return reply
        self._leave_alone()
        raise Uncertain(Code.NO_REPLY, f"{self._transport.url}: unit {self._unit} does not answer")

    def ask(self, request: Request, deadline: float, tries: int = 2) -> Reply:
        """Send a request that changes nothing; repeat it if the answer is lost. Raises as `send` does."""
        for left in range(tries - 1, 0, -1):
            try:
                return self.send(self.compose(request), deadline)
            except Uncertain as error:
                if time.monotonic() >= deadline:
                    raise
                log.debug("asked again (%d left): %s", left, error)
        return self.send(self.compose(request), deadline)

    def close(self) -> None:
        """Give the port back; idempotent."""
        self._transport.close()

    def _matching(self, letter: Letter, frame: Frame) -> Reply | None:
        if (frame.unit, frame.transaction) == (self._unit, letter.transaction):
            reply = answer_to(letter.request, frame.pdu)
            if reply is not None:
                return reply
        log.debug("%s: passed over an answer to something else: %s", self._transport.url, frame)
        return None

    def _keep_quiet(self, deadline: float) -> None:
        """Wait until the line may be used, throwing away what comes meanwhile.

        After a lost answer, a request that would have no time left for its own is not sent: it would be lost as well,
        and the one right behind it, for ever.
        """
        lost = self._quiet_until - time.monotonic() > self._silence
        if self._quiet_until >= deadline - (self._timeout / 2 if lost else 0.0):
            raise NotSent(Code.DEVICE_UNAVAILABLE, f"{self._transport.url}: the line is still settling")
        while (left := self._quiet_until - time.monotonic()) > 0:
            time.sleep(left)
        self._transport.drain()

    def _leave_alone(self) -> None:
        if self._serial:
            self._quiet_until = time.monotonic() + self._timeout
        else:
            self._transport.close()
