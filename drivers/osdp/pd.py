"""A peripheral device (PD) as a control panel polls it: sequence, repetition, secure channel. Pure: no I/O, no clock.

SIA OSDP v2.2, 5.9 and annex D. Sequence number 0 begins the link anew; 1, 2, 3 follow each other in a ring. The same
number again means that our reply was lost: it is said again, and the command is not carried out again. A number that
follows means that it was heard.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Protocol

from cryptography.hazmat.primitives.constant_time import bytes_eq

from drivers.osdp.codec import BROADCAST, Block, Codec, Frame, encode
from drivers.osdp.secure import ACCEPTED, CHALLENGE, CRYPTOGRAMS, NONCE, PROOF, Keys, Session
from drivers.osdp.words import Command, Nak, Reply

OFFLINE: Final = 8.0
"""Seconds of silence after which the link is down (5.7)."""
HALF: Final = 0.1
"""Seconds after which half a frame is given up (5.6 allows 20 ms between bytes; a PC's adapters are slower)."""
UNPROTECTED: Final = frozenset((Command.ID, Command.CAP))
"""Commands that are answered outside of a secure channel although one is demanded; POLL, too, but with nothing."""

Answer = tuple[int, bytes]
"""Code and data of a reply."""


def nak(reason: Nak) -> Answer:
    """No."""
    return Reply.NAK, bytes((reason,))


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the device is; `scbk` None: no secure channel. `cuid` is its 8 bytes' name in the channel (D.4.2)."""

    address: int = 0
    scbk: bytes | None = None
    default_key: bool = False
    cuid: bytes = b"DAIKO\0\0\1"


class Answers(Protocol):
    """What the device does. Nothing here blocks or raises."""

    def answer(self, code: int, data: bytes, now: float) -> Answer:
        """Carry out a command."""
        ...

    def poll(self, now: float) -> Answer:
        """What is new; asked only when the answer is certain to go out."""
        ...

    def heard(self, now: float) -> None:
        """The panel has our last reply."""
        ...

    def broken(self, now: float) -> None:
        """The link began anew: nobody knows whether the panel has our last reply."""
        ...


class Pd:
    """One address on the line."""

    def __init__(self, identity: Identity, answers: Answers, random: Callable[[int], bytes]) -> None:
        """`random` gives so many unpredictable bytes."""
        self._identity, self._answers, self._random = identity, answers, random
        self._codec = Codec()
        self._touched = float("-inf")
        self.last_heard = float("-inf")
        self._sequence: int | None = None
        self._said = b""
        self._session: Session | None = None
        self._nonces: tuple[bytes, bytes] | None = None

    def online(self, now: float) -> bool:
        """Whether a panel polls us, over a secure channel if one is demanded."""
        ready = self._identity.scbk is None or self._session is not None
        return now - self.last_heard < OFFLINE and self._sequence is not None and ready

    def reset(self, now: float) -> None:
        """As after a power failure: the panel has to begin anew."""
        self._codec.reset()
        self._begin_anew(now)
        self._sequence = None
        self.last_heard = float("-inf")

    def hear(self, data: bytes, now: float) -> bytes:
        """Take bytes in; returns what is to be said.

        Commands that come in a heap were sent before we answered the first of them. They are all taken, and the last
        one alone is answered: an answer to an earlier one would pass for that to the next.
        """
        if now - self._touched > HALF:
            self._codec.reset()
        self._touched = now
        raw = b""
        known = (self._identity.address, BROADCAST)
        frames = [one for one in self._codec.feed(data) if not one.is_reply and one.address in known]
        for place, frame in enumerate(frames, 1):
            if frame.address == BROADCAST:
                raw = self._introduce(frame, now)
            else:
                raw = self._take(frame, place == len(frames), now)
        return raw

    def _introduce(self, frame: Frame, now: float) -> bytes:
        """Say who we are to somebody who does not know our address; the link with our panel is not touched."""
        if frame.code != Command.ID or frame.block is not None:
            return b""
        code, data = self._answers.answer(Command.ID, frame.data, now)
        return encode(replace(frame, code=int(code), data=data, is_reply=True))

    def _take(self, frame: Frame, last: bool, now: float) -> bytes:
        if now - self.last_heard >= OFFLINE and self._sequence is not None:
            self._begin_anew(now)
            self._sequence = None
        if frame.sequence == 0:
            self._begin_anew(now)
            self._sequence, self.last_heard = 0, now
        elif self._sequence is None:
            return self._say(frame, nak(Nak.SEQUENCE))
        elif frame.sequence == self._sequence:
            self.last_heard = now
            return self._said
        elif frame.sequence != self._sequence % 3 + 1:
            return self._say(frame, nak(Nak.SEQUENCE))
        plain = self._opened(frame)
        if plain is None:
            self._session = None
            return self._say(frame, nak(Nak.SECURITY))
        self.last_heard = now
        if frame.sequence and (self._identity.scbk is None or frame.sealed):
            self._answers.heard(now)
        elif frame.sequence:  # a number alone is anybody's
            self._answers.broken(now)
        self._sequence = frame.sequence
        self._said = self._reply(plain, last, now)
        return self._said

    def _begin_anew(self, now: float) -> None:
        self._session = self._nonces = None
        self._said = b""
        self._answers.broken(now)

    def _opened(self, frame: Frame) -> Frame | None:
        """The command in plain; None if it breaks the secure channel. Steps the session."""
        if self._session is None:
            return None if frame.sealed else frame
        if frame.block is not None and frame.block.kind in (CHALLENGE, PROOF):
            self._session = None
            return frame
        opened = self._session.open(frame)
        if opened is None:
            return None
        plain, self._session = opened
        return plain

    def _reply(self, command: Frame, last: bool, now: float) -> bytes:
        if command.code in (Command.CHLNG, Command.SCRYPT):
            return self._agree(command)
        if self._session is None and self._identity.scbk is not None:
            if command.code == Command.POLL:
                return self._say(command, (Reply.ACK, b""))
            if command.code not in UNPROTECTED:
                return self._say(command, nak(Nak.NOT_SECURE))
        if command.code == Command.POLL:
            return self._say(command, self._answers.poll(now) if last else (Reply.ACK, b""))
        return self._say(command, self._answers.answer(command.code, command.data, now))

    def _agree(self, command: Frame) -> bytes:
        """The two steps to a secure channel (D.4)."""
        scbk, kind = self._identity.scbk, command.block.kind if command.block else 0
        if scbk is None:
            return self._say(command, nak(Nak.NOT_SECURE))
        which = bytes((0 if self._identity.default_key else 1,))  # a panel may ask for another: it is told
        if (command.code, kind, len(command.data)) == (Command.CHLNG, CHALLENGE, NONCE):
            panel, device = self._nonces = (command.data, self._random(NONCE))
            proof = Keys.of(scbk, panel).device_cryptogram(panel, device)
            data = self._identity.cuid + device + proof
            return self._say(command, (Reply.CCRYPT, data), Block(CRYPTOGRAMS, which))
        nonces, self._nonces = self._nonces, None
        if (command.code, kind) == (Command.SCRYPT, PROOF) and nonces is not None:
            keys = Keys.of(scbk, nonces[0])
            if bytes_eq(keys.panel_cryptogram(*nonces), command.data):
                first = keys.first_mac(command.data)
                raw = self._say(command, (Reply.RMAC_I, first), Block(ACCEPTED, b"\x01"))
                self._session = Session(keys, first)
                return raw
        return self._say(command, nak(Nak.SECURITY))

    def _say(self, command: Frame, answer: Answer, block: Block | None = None) -> bytes:
        code, data = answer
        frame = replace(command, code=int(code), data=data, is_reply=True, block=block, mac=b"")
        if self._session is not None and command.block is None and block is None:
            frame, self._session = self._session.seal(frame)
        return encode(frame)
