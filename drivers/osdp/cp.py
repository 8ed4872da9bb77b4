"""A control panel's (CP) side of the link to one device: sequence, repetition, secure channel. Pure: no I/O, no clock.

SIA OSDP v2.2, 5.9 and annex D. A command is composed to the last byte before it is decided whether it goes out;
composing changes nothing. Only the answer that belongs to it moves the link on.

A device that hears the same sequence number again is to repeat its answer and to do nothing. Not all do: libosdp's
carries the command out again if there is no secure channel (in one its MAC no longer fits). So an act is said again in
a secure channel only; elsewhere a question is asked under its number, see `Cp.again` and docs/decisions/0035.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from cryptography.hazmat.primitives.constant_time import bytes_eq

from drivers.osdp.codec import MARK, Block, Frame, encode
from drivers.osdp.secure import ACCEPTED, CHALLENGE, CRYPTOGRAMS, NONCE, PROOF, Keys, Session
from drivers.osdp.words import Command, Nak, Reply

OUT_OF_STEP: Final = frozenset((Nak.CHECK, Nak.SEQUENCE, Nak.NOT_SECURE, Nak.SECURITY))
"""Refusals after which the link has to begin anew."""
_CCRYPT: Final = 32
"""Bytes: the device's name, its random number, its cryptogram."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A command ready to go: what it asks, its exact bytes, and the session with which its answer is opened."""

    code: int
    sequence: int
    raw: bytes
    session: Session | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply in plain. `certain`: nobody on the line without our key can have made it, where there is a key."""

    code: int
    data: bytes = b""
    certain: bool = True

    @property
    def is_no(self) -> bool:
        """Whether the device refuses."""
        return self.code == Reply.NAK

    @property
    def reason(self) -> int:
        """Why it refuses; 0 if it does not say."""
        return self.data[0] if self.data else 0

    def __str__(self) -> str:
        """For logs and evidence."""
        if self.is_no:
            known = [one.name.lower().replace("_", " ") for one in Nak if one == self.reason]
            return f"NAK {self.reason:02x}" + (f" ({known[0]})" if known else "")
        return next((one.name for one in Reply if one == self.code), f"reply {self.code:02x}")


class Secured(Enum):
    """How far the secure channel is."""

    NONE = auto()
    PROVED = auto()
    STANDS = auto()


class Cp:
    """The link to the device at one address."""

    def __init__(
        self,
        address: int,
        scbk: bytes | None,
        random: Callable[[int], bytes],
        *,
        default_key: bool = False,
        crc: bool = True,
    ) -> None:
        """`scbk` None: no secure channel. `random` gives so many unpredictable bytes."""
        self._address, self._scbk, self._random = address, scbk, random
        self._which = bytes((0 if default_key else 1,))
        self._crc = crc
        self.reset()

    def reset(self) -> None:
        """The next command begins the link anew."""
        self._sequence = 0
        self._session: Session | None = None
        self._secured = Secured.NONE
        self._nonce = b""
        self._keys: Keys | None = None
        self._proof = b""

    @property
    def begun(self) -> bool:
        """Whether the device has answered since the last reset."""
        return self._sequence > 0

    @property
    def ready(self) -> bool:
        """Whether commands may go out: the link is begun, and secured if it is to be."""
        return self.begun and (self._scbk is None or self._secured is Secured.STANDS)

    def step(self) -> Letter:
        """The next command on the way to `ready`: ID with sequence 0, then the two steps of the secure channel.

        ID is answered outside of a secure channel also by devices that demand one.
        """
        if not self.begun:
            return self._letter(Command.ID, b"\0", None)
        if self._secured is Secured.NONE:
            self._nonce = self._random(NONCE)
            return self._letter(Command.CHLNG, self._nonce, Block(CHALLENGE, self._which))
        return self._letter(Command.SCRYPT, self._proof, Block(PROOF, self._which))

    def compose(self, code: Command, data: bytes = b"") -> Letter:
        """A command, when `ready`."""
        return self._letter(code, data, None)

    def again(self, letter: Letter) -> Letter:
        """What to say when the answer to an act was lost.

        In a secure channel the same bytes. In plain a question (OSTAT) under the same sequence number: a device that
        has the act repeats its ACK, which is no answer to the question; one that has not, or that takes each command
        as new, answers the question. The act itself is not written twice either way.
        """
        if letter.session is not None:
            return letter
        frame = Frame(self._address, Command.OSTAT, b"", letter.sequence, crc=self._crc)
        return Letter(Command.OSTAT, letter.sequence, MARK + encode(frame))

    def _letter(self, code: Command, data: bytes, block: Block | None) -> Letter:
        frame = Frame(self._address, code, data, self._sequence, crc=self._crc, block=block)
        session = self._session
        if session is not None:
            frame, session = session.seal(frame)
        return Letter(code, self._sequence, MARK + encode(frame), session)

    def hear(self, letter: Letter, frame: Frame) -> Answer | None:
        """The answer to `letter`, if that is what `frame` is; then the link has moved on, unless the device is busy.

        None: it belongs to something else, or to nobody who has our key.
        """
        if not frame.is_reply or frame.address != self._address:
            return None
        if frame.code == Reply.BUSY and frame.block is None and frame.sequence in (0, letter.sequence):
            return Answer(Reply.BUSY, certain=letter.session is None)
        if frame.sequence != letter.sequence:
            return None
        if letter.session is not None and frame.code == Reply.NAK and not frame.sealed:
            self.reset()  # the device has lost the session: so it says, or somebody on the line does
            return Answer(Reply.NAK, frame.data, certain=False)
        if letter.session is not None:
            opened = letter.session.open(frame)
            if opened is None:
                return None
            frame, self._session = opened
        elif frame.sealed:
            return None
        answer = self._agreed(letter, frame, Answer(frame.code, frame.data))
        if answer.is_no and answer.reason in OUT_OF_STEP:
            self.reset()
        else:
            self._sequence = letter.sequence % 3 + 1
        return answer

    def _agreed(self, letter: Letter, frame: Frame, answer: Answer) -> Answer:
        """Take the steps of the secure channel down; who fails is treated as one who says no."""
        if letter.code == Command.CHLNG:
            return answer if answer.is_no or self._challenged(frame) else Answer(Reply.NAK, bytes((Nak.SECURITY,)))
        if letter.code == Command.SCRYPT:
            return answer if answer.is_no or self._proved(frame) else Answer(Reply.NAK, bytes((Nak.SECURITY,)))
        return answer

    def _challenged(self, frame: Frame) -> bool:
        if self._scbk is None or frame.block != Block(CRYPTOGRAMS, self._which) or len(frame.data) != _CCRYPT:
            return False
        device, cryptogram = frame.data[8:16], frame.data[16:]
        keys = Keys.of(self._scbk, self._nonce)
        if not bytes_eq(cryptogram, keys.device_cryptogram(self._nonce, device)):
            return False
        self._keys, self._proof = keys, keys.panel_cryptogram(self._nonce, device)
        self._secured = Secured.PROVED
        return True

    def _proved(self, frame: Frame) -> bool:
        if self._keys is None or frame.block != Block(ACCEPTED, b"\x01"):
            return False
        first = self._keys.first_mac(self._proof)
        if not bytes_eq(frame.data, first):
            return False
        self._session, self._secured = Session(self._keys, first), Secured.STANDS
        return True
