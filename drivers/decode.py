"""What goes by on a line, in words: one decoder for each way of speaking that the families know. Sans-I/O.

For installers' tools: `sniff`, `record`, `replay`. On a line that both sides share the message may tell who spoke; a
recording of our own program knows it of every byte.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Generic, Protocol, TypeVar

from drivers import blackout, in_words
from drivers.cctalk_coin.codec import HOST, Check
from drivers.cctalk_coin.codec import Codec as CctalkCodec
from drivers.cctalk_coin.codec import Frame as CctalkFrame
from drivers.mdb_cashless.codec import LineCodec
from drivers.mdb_cashless.codec import Side as MdbSide
from drivers.mdb_cashless.qibixx import Qibixx
from drivers.mdb_cashless.words import Told, Word
from drivers.modbus_io.eavesdrop import Eavesdropper, Heard, TcpEavesdropper
from drivers.osdp.codec import Codec as OsdpCodec
from drivers.osdp.codec import Frame as OsdpFrame
from drivers.osdp.codec import encode as osdp_bytes
from drivers.recorder import Direction
from drivers.usb_relay.codec import Ask, BoardEar, HostEar, Stands, Switch
from drivers.usb_relay.codec import encode as lcus_bytes
from drivers.zvt_terminal.codec import MOST_SAID, Apdu, Framing, SerialFraming, Signal, TcpFraming
from parking.errors import Code, Environment

MOST_UNDECIDED: Final = 4096
"""Bytes that are kept until something is made of them: more than the longest message."""
HIDDEN: Final = b"*"
_MARKS: Final = {Direction.TX: "> ", Direction.RX: "< ", Direction.LINE: ""}


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes that belong together. `words` is empty where they are no message; `safe` is `raw` without its secrets.

    `side` is TX for whoever asks and RX for whoever answers, LINE where nobody can say.
    """

    raw: bytes
    safe: bytes
    side: Direction = Direction.LINE
    words: str = ""

    def __str__(self) -> str:
        """One line for people."""
        shown = self.safe.hex(" ") if self.words else self.raw.hex(" ")
        if self.words == shown:
            return _MARKS[self.side] + shown
        return f"{_MARKS[self.side]}{self.words or '?'}  [{shown}]"


class Decoder(Protocol):
    """Cuts what goes by into pieces; all bytes that go in come out once, in order of each direction."""

    def feed(self, data: bytes, direction: Direction) -> list[Piece]:
        """What is decided now; never raises."""
        ...

    def silence(self) -> list[Piece]:
        """The line is quiet: what is half said will stay so."""
        ...


class Codec(Protocol):
    """What finds messages in bytes."""

    def feed(self, data: bytes) -> Sequence[Any]:
        """The messages that are complete now."""
        ...


M = TypeVar("M")


@dataclass(frozen=True, slots=True)
class Way(Generic[M]):
    """How one kind of machine speaks: who listens, a message's bytes (b"" if it has none) and words, and whose it is.

    `hidden` takes secrets out; `strict` lines hold such that also bytes of no message are blacked out.
    """

    codecs: Callable[[Direction], Sequence[Codec]]
    encode: Callable[[M], bytes]
    words: Callable[[M], str]
    side: Callable[[M], Direction]
    hidden: Callable[[M], M] = lambda message: message
    strict: bool = False


class Framed(Generic[M]):
    """A decoder that finds the bytes of each message again, whatever stood before it."""

    def __init__(self, way: Way[M]) -> None:
        """Nothing was heard yet."""
        self._way = way
        self._codecs = {direction: way.codecs(direction) for direction in Direction}
        self._pending = {direction: bytearray() for direction in Direction}

    def feed(self, data: bytes, direction: Direction) -> list[Piece]:
        """What is decided now."""
        found: list[Piece] = []
        pending = self._pending[direction]
        for byte in data:
            pending.append(byte)
            for codec in self._codecs[direction]:
                for message in codec.feed(bytes((byte,))):
                    found += self._cut(direction, message)
            if len(pending) > MOST_UNDECIDED:
                found += self._lost(direction, MOST_UNDECIDED // 2)
        return found

    def silence(self) -> list[Piece]:
        """What never became a message."""
        self._codecs = {direction: self._way.codecs(direction) for direction in Direction}
        return [piece for direction in Direction for piece in self._lost(direction, len(self._pending[direction]))]

    def _cut(self, direction: Direction, message: M) -> list[Piece]:
        pending, way = self._pending[direction], self._way
        raw = way.encode(message)
        at = len(pending) - len(raw) if pending.endswith(raw) else pending.find(raw)
        if not raw or at < 0:  # spelled otherwise than we would
            at, raw = 0, bytes(pending)
        before = self._lost(direction, at)
        del pending[: len(raw)]
        hidden = way.hidden(message)
        safe = raw if hidden == message else way.encode(hidden) or HIDDEN * len(raw)
        side = way.side(message) if direction is Direction.LINE else direction
        return [*before, Piece(raw, safe, side, way.words(message))]

    def _lost(self, direction: Direction, count: int) -> list[Piece]:
        pending = self._pending[direction]
        raw = bytes(pending[:count])
        del pending[:count]
        return [Piece(raw, HIDDEN * len(raw) if self._way.strict else raw, direction)] if raw else []


class _Raw:
    """Bytes as they are."""

    def feed(self, data: bytes, direction: Direction) -> list[Piece]:
        return [Piece(data, data, direction, data.hex(" "))] if data else []

    def silence(self) -> list[Piece]:
        return []


class _Modbus:
    """Modbus RTU: a frame says itself whether it asks or answers."""

    def __init__(self) -> None:
        self._ear = Eavesdropper()

    def feed(self, data: bytes, direction: Direction) -> list[Piece]:
        return [_modbus(heard, direction) for heard in self._ear.feed(data)]

    def silence(self) -> list[Piece]:
        return [_modbus(heard, Direction.LINE) for heard in self._ear.silence()]


class _ModbusTcp:
    """Modbus TCP."""

    def __init__(self) -> None:
        answers = {Direction.TX: False, Direction.RX: True, Direction.LINE: None}
        self._ears = {direction: TcpEavesdropper(answers[direction]) for direction in Direction}

    def feed(self, data: bytes, direction: Direction) -> list[Piece]:
        return [_modbus(heard, direction) for heard in self._ears[direction].feed(data)]

    def silence(self) -> list[Piece]:
        return [_modbus(heard, direction) for direction, ear in self._ears.items() for heard in ear.silence()]


def _modbus(heard: Heard, direction: Direction) -> Piece:
    if heard.pdu is None:
        return Piece(heard.raw, heard.raw, direction)
    side = Direction.RX if heard.answer else Direction.TX
    words = f"unit {heard.unit}: {in_words.modbus(heard.pdu, heard.answer)}"
    return Piece(heard.raw, heard.raw, side if direction is Direction.LINE else direction, words)


class _CctalkWords:
    """An answer says nothing of what was asked: that is remembered."""

    def __init__(self) -> None:
        self._asked: int | None = None

    def __call__(self, frame: CctalkFrame) -> str:
        asked, self._asked = self._asked, None
        if frame.header == 0 and asked is not None:
            return f"to {frame.destination}: {in_words.cctalk(0, frame.data, asked)}"
        self._asked = frame.header
        return f"to {frame.destination}: {in_words.cctalk(frame.header, frame.data, None)}"


def _cctalk(check: Check) -> Decoder:
    return Framed[CctalkFrame](
        Way(
            codecs=lambda _: (CctalkCodec(check, None),),
            encode=CctalkCodec(check, None).encode,
            words=_CctalkWords(),
            side=lambda frame: Direction.RX if frame.destination == HOST else Direction.TX,
            hidden=blackout.cctalk,
        )
    )


def _mdb() -> Decoder:
    sides = {Direction.RX: (MdbSide.READER,), Direction.TX: (MdbSide.ADAPTER,), Direction.LINE: tuple(MdbSide)}
    return Framed[Word](
        Way(
            codecs=lambda direction: [LineCodec(Qibixx(), side) for side in sides[direction]],
            encode=LineCodec(Qibixx(), MdbSide.READER).encode,
            words=in_words.mdb,
            side=lambda word: Direction.TX if isinstance(word, Told) else Direction.RX,
        )
    )


def _lcus() -> Decoder:
    ears: Mapping[Direction, tuple[Callable[[], Codec], ...]] = {
        Direction.RX: (HostEar,),
        Direction.TX: (BoardEar,),
        Direction.LINE: (HostEar, BoardEar),
    }
    return Framed[Switch | Ask | Stands](
        Way(
            codecs=lambda direction: [ear() for ear in ears[direction]],
            encode=lcus_bytes,
            words=in_words.lcus,
            side=lambda word: Direction.RX if isinstance(word, Stands) else Direction.TX,
        )
    )


def _osdp() -> Decoder:
    return Framed[OsdpFrame](
        Way(
            codecs=lambda _: (OsdpCodec(),),
            encode=osdp_bytes,
            words=in_words.osdp,
            side=lambda frame: Direction.RX if frame.is_reply else Direction.TX,
            hidden=blackout.osdp,
            strict=True,
        )
    )


_SIGNALS: Final = {Signal.ACK: b"\x06", Signal.NAK: b"\x15", Signal.BROKEN: b""}


def _zvt(framing: Callable[[], Framing]) -> Decoder:
    writer = framing()

    def encode(heard: Apdu | Signal) -> bytes:
        if isinstance(heard, Signal):
            return _SIGNALS[heard]
        return writer.encode(heard) if len(heard.data) <= MOST_SAID else b""

    return Framed[Apdu | Signal](
        Way(
            codecs=lambda _: (framing(),),
            encode=encode,
            words=in_words.zvt,
            side=lambda _: Direction.LINE,
            hidden=blackout.zvt,
            strict=True,
        )
    )


DECODERS: Final[Mapping[str, Callable[[], Decoder]]] = MappingProxyType(
    {
        "raw": _Raw,
        "modbus": _Modbus,
        "modbus-tcp": _ModbusTcp,
        "cctalk": lambda: _cctalk(Check.SUM),
        "cctalk-crc": lambda: _cctalk(Check.CRC),
        "mdb": _mdb,
        "lcus": _lcus,
        "osdp": _osdp,
        "zvt": lambda: _zvt(SerialFraming),
        "zvt-tcp": lambda: _zvt(TcpFraming),
    }
)


def decoder(name: str) -> Decoder:
    """A decoder by name; raises Environment(CONFIG) that lists the known ones."""
    if name not in DECODERS:
        raise Environment(Code.CONFIG, f"no codec {name!r}", f"one of {', '.join(DECODERS)}")
    return DECODERS[name]()


class Blackout:
    """A stream without the secrets that a codec knows of; what is half said is held back (drivers.recorder.Masking)."""

    def __init__(self, codec: str) -> None:
        """Raises as `decoder` does."""
        self._ear = decoder(codec)

    def __call__(self, data: bytes) -> bytes:
        """The bytes that may be written down now."""
        return b"".join(piece.safe for piece in self._ear.feed(data, Direction.LINE))

    def rest(self) -> bytes:
        """What was held back and became no message."""
        return b"".join(piece.safe for piece in self._ear.silence())
