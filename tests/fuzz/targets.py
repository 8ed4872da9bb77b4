"""What is fuzzed: for each target what to do with bytes, what it may raise, and what it never does.

    python -m tests.fuzz.run TARGET --seconds 60        one target, instrumented (atheris)

A target returns or raises what its documentation says. Everything else is a finding, and so are a hang, an answer that
does not survive being encoded again, and memory beyond its bounds.
"""

import asyncio
import contextlib
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from bridge.config import load as load_config
from bridge.uplink.sse import EventParser
from cloud.sandbox.wire import Statement
from cloud.sandbox.wire import check as check_signature
from cloud.sandbox.wire import read as read_statement
from drivers.cctalk_coin.codec import Check
from drivers.cctalk_coin.codec import Codec as CctalkCodec
from drivers.cctalk_coin.device import Acceptor
from drivers.cctalk_coin.kinds import KINDS
from drivers.cctalk_coin.settings import Settings
from drivers.framing import ReceiveBuffer, holds_crc16, with_crc16
from drivers.host_link import codec as host_codec
from drivers.host_link import files as host_files
from drivers.host_link import rows as host_rows
from drivers.mdb_cashless import block as mdb_block
from drivers.mdb_cashless import codec as mdb_codec
from drivers.mdb_cashless.qibixx import Qibixx
from drivers.modbus_io.codec import RtuCodec, Side, TcpCodec
from drivers.osdp import codec as osdp_codec
from drivers.osdp import words as osdp_words
from drivers.osdp.cp import Cp
from drivers.osdp.device import Reader as OsdpReader
from drivers.osdp.pd import Identity
from drivers.osdp.secure import Keys, Session
from drivers.profile import load as load_profile
from drivers.usb_relay import codec as usb_codec
from drivers.usb_relay import reports as usb_reports
from drivers.zvt_terminal import codec as zvt_codec
from drivers.zvt_terminal.fields import fields as zvt_fields
from parking import commands, completion, desk, reports, wire
from parking.errors import BadMessage, Environment, Refused
from parking.signing import KeyRing, SigningKey
from parking.stay import LotId, NameKind, StayRef, normalise, parse_key
from tests.fuzz import asgi

KEY = SigningKey.from_seed(1, bytes(range(32)))
RING = KeyRing({1: KEY.public_bytes})
MOST_KEPT = 70_000
"""Bytes that an incremental parser may keep of hostile input."""


def split(data: bytes) -> list[bytes]:
    """The rest in pieces as long as the first bytes say, like a network would cut it."""
    cuts, rest, found = data[:4], data[4:], []
    for cut in cuts:
        found.append(rest[: cut + 1])
        rest = rest[cut + 1 :]
    return [*found, rest]


def modbus(data: bytes) -> None:
    """Both framings, both sides, in pieces; what is understood can be said again."""
    fresh: list[Any] = [RtuCodec(Side.SLAVE, 1), RtuCodec(Side.MASTER, 1), TcpCodec(Side.SLAVE), TcpCodec(Side.MASTER)]
    for codec in fresh:
        for piece in split(data):
            for frame in codec.feed(piece):
                codec.encode(frame)
        assert len(codec._buffer.take(MOST_KEPT + 1)) <= MOST_KEPT


def zvt(data: bytes) -> None:
    """All framings, in pieces; what is understood can be said again, and its fields read."""
    fresh: list[Any] = [zvt_codec.SerialFraming(), zvt_codec.TcpFraming(), zvt_codec.TcpFraming(prefix=True)]
    for framing in fresh:
        for piece in split(data):
            for heard in framing.feed(piece):
                if isinstance(heard, zvt_codec.Apdu) and len(heard.data) <= zvt_codec.MOST_SAID:
                    framing.encode(heard)
                    zvt_fields(heard.data)
        assert len(getattr(framing, "_body", b"")) <= MOST_KEPT


def cctalk(data: bytes) -> None:
    """Both checks; what is understood can be said again. And both devices, in pieces that come at various times."""
    for check in Check:
        codec, now = CctalkCodec(check, None), 0.0
        devices = [Acceptor(Settings(accepts=one.accepts, address=one.address, check=check)) for one in KINDS.values()]
        for piece in split(data):
            for frame in codec.feed(piece):
                assert CctalkCodec(check, None).feed(codec.encode(frame)) == [frame]
            assert len(codec._buffer) <= MOST_KEPT
            now += len(piece) / 64
            for device in devices:
                if device.receive(piece, now) + device.due(now):
                    device.written(now)


def usb_relay(data: bytes) -> None:
    """A board's ear and ours, in pieces, and HID reports; what is understood can be said again."""
    for read in (usb_reports.told, usb_reports.shown):
        for report in (data, data[: usb_reports.SIZE]):
            if (said := read(report)) is not None:
                assert read(usb_reports.encode(said)) == said
    for fresh in (usb_codec.BoardEar, usb_codec.HostEar):
        ear = fresh()
        for piece in split(data):
            for word in ear.feed(piece):
                assert fresh().feed(usb_codec.encode(word)) == [word]
            assert len(ear._buffer) <= usb_codec.MOST


def osdp(data: bytes) -> None:
    """Frames in pieces, what they say, a card reader and a panel that hear them; what is understood can be said again.

    No card is taken but by a panel that has our key, and nothing is acknowledged by who has it not.
    """
    key = bytes(range(16))
    session = Session(Keys.of(key, key), bytes(16))
    codec, now = osdp_codec.Codec(), 100.0
    readers = [
        OsdpReader(Identity(5, scbk), tuple(osdp_words.Signal), lambda count: bytes(count)) for scbk in (None, key)
    ]
    panel = Cp(5, None, lambda count: bytes(count))
    for reader in readers:
        reader.opened(now)
        reader.show(osdp_words.wiegand26(1, 2))
    for piece in split(data):
        now += len(piece) / 64
        for reader in readers:
            if reader.receive(piece, now):
                reader.written(now)
        for frame in codec.feed(piece):
            assert osdp_codec.decode(osdp_codec.encode(frame)) == frame
            assert session.open(frame) is None
            panel.hear(panel.compose(osdp_words.Command.POLL), frame)
            for read in (osdp_words.outs, osdp_words.lamps, osdp_words.card, osdp_words.sounds, osdp_words.identity):
                read(frame.data)
        assert len(codec._buffer) <= osdp_codec.MOST
    assert not readers[1].online(now)


def host_link(data: bytes) -> None:
    """Every message of the host, from bytes that a stranger sent."""
    kinds = (
        host_codec.StayList,
        host_codec.PaymentList,
        host_codec.RateRequest,
        host_codec.RateReply,
        host_codec.PaymentRequest,
        host_codec.PaymentReply,
        host_codec.Problem,
    )
    for kind in kinds:
        again(data, kind, host_codec.decode, host_codec.encode)


def host_folder(data: bytes) -> None:
    """A folder's snapshots in both encodings, and its answers beside an order: whole ones are read, nothing else is."""
    for encoding in host_files.ENCODINGS:
        for columns in (host_files.STAYS_COLUMNS, host_rows.BOOKS):
            try:
                shown = host_files.snapshot(data, columns, encoding, UTC)
                host_files.books(shown, UTC) if columns is host_rows.BOOKS else host_files.stays(shown, UTC)
                host_files.rate(shown, "T-1", UTC)
            except BadMessage:
                continue
            assert data.endswith(b"\n")
    for slip in (host_files.slip("DK-1-1", None, data, None), host_files.slip("DK-1-1", data, None, data)):
        assert slip is not None
        assert not slip.receipt or slip.booked


def mdb_cashless(data: bytes) -> None:
    """An adapter's lines in pieces, both sides, and characters on the bus; what is understood can be said again."""
    for side in mdb_codec.Side:
        codec = mdb_codec.LineCodec(Qibixx(), side)
        for piece in split(data):
            for word in codec.feed(piece):
                again_ = mdb_codec.LineCodec(Qibixx(), side).feed(codec.encode(word))
                assert again_ == [word]
        assert len(codec._buffer) <= mdb_codec.MOST
    characters = tuple(mdb_block.Char(byte, byte % 5 == 0) for byte in data)
    for bus in mdb_block.Side:
        ear = mdb_block.BlockCodec(bus)
        ear.feed(characters)
        assert len(ear._heard) <= mdb_block.MOST


def framing(data: bytes) -> None:
    """The receive buffer never keeps more than it may."""
    buffer = ReceiveBuffer(256)
    for piece in split(data):
        buffer.extend(piece)
        assert len(buffer.take(300)) <= 256
    assert not data or holds_crc16(with_crc16(data))


def completions(data: bytes) -> None:
    """Packed, and as the digits of a QR code; nothing verifies that was not signed."""
    ways: list[Callable[[], bytes]] = [lambda: data, lambda: completion.from_digits(data.decode("utf-8", "replace"))]
    for packed in ways:
        try:
            completion.verify(packed(), RING)
        except BadMessage:
            continue
        raise AssertionError("a forged completion verifies")


def messages(data: bytes) -> None:
    """Every message of cloud, bridge and console."""
    for module in (wire, reports, commands, desk):
        for kind in vars(module).values():
            if isinstance(kind, type) and issubclass(kind, wire.Message) and kind is not wire.Message:
                again(data, kind, wire.decode, wire.encode)


def stays(data: bytes) -> None:
    """Names and keys of stays: what is accepted is normal already the second time."""
    text = data.decode("utf-8", "replace")
    try:
        parsed = parse_key(text)
        assert parse_key(parsed.key) == parsed
    except BadMessage:
        pass
    for kind in NameKind:
        try:
            once = normalise(kind, text)
        except BadMessage:
            continue
        assert normalise(kind, once) == once


def events(data: bytes) -> None:
    """The stream of the feed."""
    parser = EventParser()
    try:
        for piece in split(data):
            parser.feed(piece)
            assert len(parser._rest) <= MOST_KEPT
    except BadMessage:
        pass


def config(data: bytes) -> None:
    """bridge.toml."""
    _file(data, load_config)


def profile(data: bytes) -> None:
    """A lot's profile."""
    _file(data, load_profile)


def codes(data: bytes) -> None:
    """Typed codes: no stranger's text is one."""
    now = datetime(2026, 11, 24, tzinfo=UTC)
    stay = StayRef(NameKind.BAY, "7", now)
    try:
        completion.read_code(data.decode("utf-8", "replace"), {1: bytes(32)}, LotId(1), stay, 0, now)
    except (BadMessage, Refused):
        return
    raise AssertionError("a forged code is read")


def webhook(data: bytes) -> None:
    """What a payment provider posts; the first line is its signature."""
    shown, _, body = data.partition(b"\n")
    now = datetime(2026, 11, 24, tzinfo=UTC)
    with contextlib.suppress(BadMessage):
        read_statement(body, Statement)
    try:
        check_signature("secret", shown.decode("latin-1"), body, now)
    except BadMessage:
        return
    raise AssertionError("a forged webhook is believed")


def local_api(data: bytes) -> None:
    """Requests to the local API behind its door: method, path, headers, body; never a 5xx, never in without a token."""
    head, _, body = data.partition(b"\n\n")
    lines = head.split(b"\n")
    method, _, path = lines[0].partition(b" ")
    named = [line.partition(b":")[::2] for line in lines[1:] if line]
    status = asyncio.run(asgi.ask(method.decode("latin-1"), path.decode("latin-1"), named, body))
    assert status < 500, status


def again(data: bytes, kind: Any, decode: Callable[..., Any], encode: Callable[[Any], bytes]) -> None:
    """What is accepted survives being encoded and read again."""
    try:
        message = decode(data, kind)
    except BadMessage:
        return
    assert decode(encode(message), kind) == message


@cache
def _folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="daiko-fuzz-"))


def _file(data: bytes, read: Callable[[Path], object]) -> None:
    path = _folder() / "file.toml"
    path.write_bytes(data)
    with contextlib.suppress(Environment):
        read(path)
