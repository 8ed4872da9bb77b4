"""A line to one device, as its control panel: one command and its answer at a time, and what is certain without one.

A question that stays without an answer is asked again. The answer to an act is asked for in the way that cannot make
the device act twice (Cp.again), as long as it is the same connection. What does not help begins the link anew, with
sequence 0 and a new secure channel; the line is left alone for one time-out before that, so that a late answer cannot
pass for that of another command. An act is never composed for a link other than the one on which was looked.
"""

import logging
import os
import time
from dataclasses import dataclass
from typing import Final

from drivers.osdp.codec import Codec
from drivers.osdp.cp import Answer, Cp, Letter
from drivers.osdp.pd import OFFLINE
from drivers.osdp.words import Command, Nak, Reply
from drivers.transport import Transport
from parking.errors import Code, DaikoError, Environment, NotSent, Uncertain

log = logging.getLogger(__name__)

TRIES: Final = 3
"""How often a command that changes nothing is said before the link counts as broken."""
HAS_NONE: Final = frozenset((Nak.UNKNOWN, Nak.RECORD))
"""Refusals of a question that say: not with this device."""
BUSY_PAUSE: Final = 0.03
"""Seconds to wait for a device that says it is busy."""
REST: Final = OFFLINE - 1.0
"""Seconds of our own silence after which the device may have given us up: the link begins anew."""


@dataclass(frozen=True, slots=True)
class Told:
    """What came of a command: the answer to it (None: none came), how often something was said and met silence.

    `outputs`: the device told these instead, when it was asked for a lost answer.
    """

    answer: Answer | None
    times: int
    silences: int
    outputs: bytes = b""


class Line:
    """One line or connection."""

    def __init__(self, transport: Transport, cp: Cp, timeout: float) -> None:
        """Nothing is opened yet; `timeout`: how long (seconds) each answer is waited for."""
        self._transport, self._cp, self._timeout = transport, cp, timeout
        self._codec = Codec()
        self._quiet_until = self._last = float("-inf")

    def ask(self, code: Command, expected: Reply, deadline: float) -> bytes | None:
        """Ask for something; the answer's data, None if the device says that it has no such thing to tell.

        The link is begun first if need be.

        Raises Environment, NotSent or Uncertain: nothing was commanded either way.
        """
        self.begin(deadline)
        told = self._say(self._cp.compose(code), deadline, TRIES)
        if told.answer is None or told.answer.code == Reply.BUSY:
            self._give_up()
            raise Uncertain(Code.NO_REPLY, f"{self._transport.url}: no answer to {code.name}")
        if told.answer.is_no and told.answer.reason in HAS_NONE:
            return None
        if told.answer.code != expected:
            raise NotSent(Code.DEVICE_UNAVAILABLE, f"{self._transport.url}: {told.answer} to {code.name}")
        return told.answer.data

    def begin(self, deadline: float) -> None:
        """Make sure that the link stands. Raises as `ask` does."""
        self._transport.drain()
        if not self._transport.is_open or time.monotonic() - self._last > REST:
            self._cp.reset()
        while not self._cp.ready:
            letter = self._cp.step()
            told = self._say(letter, deadline, TRIES)
            if told.answer is None or told.answer.code == Reply.BUSY:
                self._give_up()
                raise Uncertain(Code.NO_REPLY, f"{self._transport.url}: the device does not answer")
            if told.answer.is_no:
                self._give_up()
                what = "the secure channel" if letter.sequence else "the beginning of the link"
                remedy = "compare address and key in the lot profile with the device's"
                raise NotSent(Code.DEVICE_UNAVAILABLE, f"{self._transport.url}: {told.answer} to {what}", remedy)

    def compose(self, code: Command, data: bytes) -> Letter:
        """The exact bytes of an act, on the link as it stands. Raises NotSent if it stands no more."""
        if not self._cp.ready or not self._transport.is_open:
            raise NotSent(Code.LINK_DOWN, f"{self._transport.url}: the link broke before the command")
        return self._cp.compose(code, data)

    def act(self, letter: Letter, deadline: float, repeats: int) -> Told:
        """Say an act; ask for its answer while none comes, at most `repeats` times.

        Raises NotSent or Environment only if no byte of it left.
        """
        self._transport.drain()
        if not self._transport.is_open or time.monotonic() - self._last > REST:
            self._cp.reset()
            raise NotSent(Code.LINK_DOWN, f"{self._transport.url}: the link was lost before the command")
        told = self._say(letter, deadline, 1 + repeats, act=True)
        if told.silences == told.times:
            self._give_up()
        elif told.answer is None and not told.outputs:
            self._cp.reset()
        return told

    def close(self) -> None:
        """Give the port back; idempotent."""
        self._cp.reset()
        self._transport.close()

    def _give_up(self) -> None:
        """Begin anew, once what may still be on the way has arrived."""
        self._cp.reset()
        self._quiet_until = time.monotonic() + self._timeout

    def _say(self, letter: Letter, deadline: float, tries: int, *, act: bool = False) -> Told:
        said, silences = letter, 0
        answer: Answer | None = None
        self._keep_quiet(deadline)
        if deadline - time.monotonic() < self._timeout / 2:
            # The link stays as it is: were it begun anew here, one that takes longer than a look would never stand.
            raise NotSent(Code.DEVICE_UNAVAILABLE, f"{self._transport.url}: no time left for an answer")
        for times in range(1, tries + 1):
            try:
                answer = self._once(said, deadline)
            except DaikoError as error:
                self._cp.reset()
                if not act or (isinstance(error, NotSent | Environment) and times == 1):
                    raise
                log.warning("the line broke after the command, which is not repeated: %s", error)
                return Told(None, times, silences + 1)
            if answer is not None and answer.code != Reply.BUSY:
                return _told(letter, said, answer, times, silences)
            silences += answer is None
            if times == tries or not self._may_go_on(answer, deadline):
                break
            said = self._cp.again(letter) if act and silences else letter
        return Told(None if silences else answer, times, silences)

    def _may_go_on(self, answer: Answer | None, deadline: float) -> bool:
        """Whether there is time for another try, on the same connection."""
        if time.monotonic() + self._timeout > deadline:
            return False
        if answer is not None:
            time.sleep(BUSY_PAUSE)
        self._transport.drain()
        return self._transport.is_open

    def _once(self, letter: Letter, deadline: float) -> Answer | None:
        """Write the bytes, wait for their answer. Raises as Transport does."""
        self._codec.reset()
        self._transport.write(letter.raw, deadline)
        limit = min(deadline, time.monotonic() + self._timeout)
        while chunk := self._transport.read_some(limit):
            for frame in self._codec.feed(chunk):
                answer = self._cp.hear(letter, frame)
                if answer is not None:
                    self._last = time.monotonic()
                    return answer
                log.debug("%s: passed over %s", self._transport.url, frame)
        return None

    def _keep_quiet(self, deadline: float) -> None:
        """Wait until the line may be used again after a lost answer, throwing away what comes meanwhile."""
        left = self._quiet_until - time.monotonic()
        if left <= 0:
            return
        if self._quiet_until + self._timeout / 2 > deadline:
            raise NotSent(Code.DEVICE_UNAVAILABLE, f"{self._transport.url}: the line is still settling")
        time.sleep(left)
        self._transport.drain()


def _told(letter: Letter, said: Letter, answer: Answer, times: int, silences: int) -> Told:
    """What an answer means for `letter`, if something else was said to get it."""
    if said.code == letter.code or answer.code == Reply.ACK:
        return Told(answer, times, silences)
    return Told(None, times, silences, answer.data if answer.code == Reply.OSTATR else b"")


def random_bytes(count: int) -> bytes:
    """Unpredictable bytes, from the system."""
    return os.urandom(count)
