"""What goes by on a line, in words: one decoder for each way of speaking that the families know. Sans-I/O.

For installers' tools: `sniff`, `replay`. On a line that both sides share nobody can say who spoke; a recording can.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, Protocol

from drivers.cctalk_coin.codec import Check
from drivers.cctalk_coin.codec import Codec as CctalkCodec
from drivers.cctalk_coin.codec import Frame as CctalkFrame
from drivers.cctalk_coin.headers import Header
from drivers.mdb_cashless.codec import LineCodec
from drivers.mdb_cashless.codec import Side as MdbSide
from drivers.mdb_cashless.qibixx import Qibixx
from drivers.modbus_io.eavesdrop import Eavesdropper
from drivers.osdp.codec import Codec as OsdpCodec
from drivers.osdp.codec import Frame as OsdpFrame
from drivers.osdp.words import Command, Reply
from drivers.recorder import Direction
from drivers.zvt_terminal.codec import Apdu, Framing, SerialFraming, Signal, TcpFraming
from parking.errors import Code, Environment


class Decoder(Protocol):
    """Turns bytes into lines for people. `direction` is None where both sides share the line."""

    def feed(self, data: bytes, direction: Direction | None) -> list[str]:
        """What is complete now; never raises."""
        ...

    def silence(self) -> list[str]:
        """The line is quiet: what is half said will stay so."""
        ...


class _Raw:
    """Bytes as they are."""

    def feed(self, data: bytes, direction: Direction | None) -> list[str]:
        del direction
        return [data.hex(" ")]

    def silence(self) -> list[str]:
        return []


class _Modbus:
    """Modbus RTU."""

    def __init__(self) -> None:
        self._ear = Eavesdropper()

    def feed(self, data: bytes, direction: Direction | None) -> list[str]:
        del direction  # a frame says itself whether it asks or answers
        return [str(heard) for heard in self._ear.feed(data)]

    def silence(self) -> list[str]:
        return [str(heard) for heard in self._ear.silence()]


class _Cctalk:
    """ccTalk with either check."""

    def __init__(self, check: Check) -> None:
        self._codec = CctalkCodec(check, None)
        self._asked: int | None = None

    def feed(self, data: bytes, direction: Direction | None) -> list[str]:
        del direction  # one wire for both
        return [self._told(frame) for frame in self._codec.feed(data)]

    def silence(self) -> list[str]:
        self._codec.reset()
        return []

    def _told(self, frame: CctalkFrame) -> str:
        data = f"  {frame.data.hex(' ')}" if frame.data else ""
        text = f' "{frame.data.decode()}"' if len(frame.data) > 2 and frame.data.isascii() else ""
        text = text if text.isprintable() else ""
        if frame.header == 0 and self._asked is not None:
            asked, self._asked = self._asked, None
            return f"< to {frame.destination}: answer to {_header(asked)}{data}{text}"
        self._asked = frame.header
        return f"> to {frame.destination}: {_header(frame.header)}{data}"


def _header(number: int) -> str:
    known = number in set(Header)
    return f"{number} {Header(number).name.lower().replace('_', ' ')}" if known else str(number)


class _Mdb:
    """The lines of an MDB adapter."""

    def __init__(self) -> None:
        self._said = LineCodec(Qibixx(), MdbSide.READER)
        self._told = LineCodec(Qibixx(), MdbSide.ADAPTER)

    def feed(self, data: bytes, direction: Direction | None) -> list[str]:
        found = []
        if direction is not Direction.TX:
            found += [f"< {word}" for word in self._said.feed(data)]
        if direction is not Direction.RX:
            found += [f"> {word}" for word in self._told.feed(data)]
        return found

    def silence(self) -> list[str]:
        return []


class _Zvt:
    """Messages of a card terminal; each side has its own framing, for a message may be cut in two."""

    def __init__(self, framing: Callable[[], Framing]) -> None:
        self._framings = {direction: framing() for direction in (None, *Direction)}

    def feed(self, data: bytes, direction: Direction | None) -> list[str]:
        mark = {None: "", Direction.TX: "> ", Direction.RX: "< "}[direction]
        return [mark + _zvt(heard) for heard in self._framings[direction].feed(data)]

    def silence(self) -> list[str]:
        for framing in self._framings.values():
            framing.reset()
        return []


class _Osdp:
    """OSDP; what goes by in a secure channel is named, not read."""

    def __init__(self) -> None:
        self._codec = OsdpCodec()

    def feed(self, data: bytes, direction: Direction | None) -> list[str]:
        del direction  # a frame says itself whether it answers
        return [_osdp(frame) for frame in self._codec.feed(data)]

    def silence(self) -> list[str]:
        return []


def _osdp(frame: OsdpFrame) -> str:
    names: type[Command | Reply] = Reply if frame.is_reply else Command
    name = names(frame.code).name if frame.code in {one.value for one in names} else f"{frame.code:02x}"
    data = f"  {frame.data.hex(' ')}" if frame.data else ""
    return f"{'<' if frame.is_reply else '>'} {frame.address} #{frame.sequence} {name}{data}"


def _zvt(heard: Apdu | Signal) -> str:
    if isinstance(heard, Signal):
        return heard.value
    return f"{heard.control:04x}{'  ' + heard.data.hex(' ') if heard.data else ''}"


DECODERS: Final[Mapping[str, Callable[[], Decoder]]] = MappingProxyType(
    {
        "raw": _Raw,
        "modbus": _Modbus,
        "cctalk": lambda: _Cctalk(Check.SUM),
        "cctalk-crc": lambda: _Cctalk(Check.CRC),
        "mdb": _Mdb,
        "osdp": _Osdp,
        "zvt": lambda: _Zvt(SerialFraming),
        "zvt-tcp": lambda: _Zvt(TcpFraming),
    }
)


def decoder(name: str) -> Decoder:
    """A decoder by name; raises Environment(CONFIG) that lists the known ones."""
    if name not in DECODERS:
        raise Environment(Code.CONFIG, f"no codec {name!r}", f"one of {', '.join(DECODERS)}")
    return DECODERS[name]()
