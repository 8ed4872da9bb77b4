"""Passwords, keys, PINs and card data of a known way of speaking never reach a recording; the messages still do."""

from datetime import UTC, datetime

import pytest

from drivers.cctalk_coin.codec import Check, Codec, Frame
from drivers.decode import Blackout, decoder
from drivers.osdp.codec import Block
from drivers.osdp.codec import Frame as OsdpFrame
from drivers.osdp.codec import encode as osdp
from drivers.osdp.words import Command, Reply, wiegand26
from drivers.recorder import Direction, Recorder, read_back
from drivers.zvt_terminal.codec import Apdu, SerialFraming, TcpFraming

LINE = Direction.LINE
PASSWORD, CARD, KEY = b"\x12\x34\x56", bytes.fromhex("4711471147114711"), b"sixteen byte key"
REGISTRATION = Apdu(0x0600, PASSWORD + b"\x08\x03\x92")
PAID = Apdu(
    0x040F, bytes.fromhex("2700 04000000000450 49 0392 870007 22f0f8") + CARD + b"\x0e\x29\x12" + b"\x06\x02\xaa\xbb"
)


def written(codec: str, *pieces: bytes) -> bytes:
    mask = Blackout(codec)
    return b"".join(mask(piece) for piece in pieces) + mask.rest()


@pytest.mark.parametrize(("codec", "framing"), [("zvt", SerialFraming()), ("zvt-tcp", TcpFraming())])
@pytest.mark.parametrize("size", [1, 3, 400])
def test_a_terminals_password_and_card_are_gone_and_the_messages_still_read(codec, framing, size) -> None:
    stream = framing.encode(REGISTRATION) + (b"\x06" if codec == "zvt" else b"") + framing.encode(PAID)
    kept = written(codec, *(stream[at : at + size] for at in range(0, len(stream), size)))
    for secret in (PASSWORD, CARD, b"\x29\x12", b"\xaa\xbb"):
        assert secret in stream
        assert secret not in kept
    assert len(kept) == len(stream)
    told = [piece.words for piece in decoder(codec).feed(kept, LINE) if piece.words != "received"]
    assert told == ["registration", "status information 450 yen receipt 7 result success"]


@pytest.mark.parametrize("control", [0x0620, 0x0630, 0x0631, 0x0650, 0x0501, 0x0618, 0x061B])
def test_whatever_the_machine_commands_its_password_is_gone(control) -> None:
    assert PASSWORD not in written("zvt-tcp", TcpFraming().encode(Apdu(control, PASSWORD + b"\x87\x00\x07")))


def test_an_amount_that_is_asked_for_stays() -> None:
    asked = TcpFraming().encode(Apdu(0x0601, bytes.fromhex("04000000000450")))
    assert written("zvt-tcp", asked) == asked


@pytest.mark.parametrize(
    ("frame", "secret"),
    [
        (OsdpFrame(1, Command.KEYSET, b"\x01\x10" + KEY), KEY),
        (OsdpFrame(1, Command.CHLNG, b"\x01RANDOM-A", block=Block(0x11, b"\x00")), b"RANDOM-A"),
        (OsdpFrame(1, Reply.CCRYPT, KEY + KEY, is_reply=True), KEY),
        (OsdpFrame(1, Reply.RAW, wiegand26(17, 4711).raw, is_reply=True), wiegand26(17, 4711).data),
        (OsdpFrame(1, 0x53, b"\x00\x044711", is_reply=True), b"4711"),
        (OsdpFrame(1, Command.KEYSET, KEY, block=Block(0x17), mac=b"\x01\x02\x03\x04"), KEY),
    ],
)
def test_keys_and_cards_on_an_osdp_line_are_gone_and_the_frame_still_checks(frame, secret) -> None:
    kept = written("osdp", osdp(frame))
    assert secret not in kept
    (piece,) = decoder("osdp").feed(kept, LINE)
    assert len(kept) == len(osdp(frame))
    assert piece.raw == kept


@pytest.mark.parametrize("frame", [OsdpFrame(1, Command.OUT, b"\0\5\x1e\0"), OsdpFrame(1, Reply.ACK, is_reply=True)])
def test_what_is_no_secret_stays(frame) -> None:
    assert written("osdp", osdp(frame)) == osdp(frame)


def test_a_pin_on_a_cctalk_line_is_gone() -> None:
    kept = written("cctalk", Codec(Check.SUM, None).encode(Frame(2, 218, b"4711")))
    assert b"4711" not in kept
    assert len(decoder("cctalk").feed(kept, LINE)) == 1


@pytest.mark.parametrize("codec", ["zvt", "osdp"])
def test_half_a_message_is_no_place_for_a_secret_to_stay(codec) -> None:
    whole = (
        SerialFraming().encode(REGISTRATION) if codec == "zvt" else osdp(OsdpFrame(1, Command.KEYSET, b"\1\x10" + KEY))
    )
    assert written(codec, whole[:-1]) == b"*" * (len(whole) - 1)


def test_what_is_half_said_is_written_once_the_line_is_quiet(tmp_path) -> None:
    path = tmp_path / "wire.jsonl"
    recorder = Recorder(path, lambda: datetime(2025, 4, 1, tzinfo=UTC), masking=lambda: Blackout("zvt-tcp"))
    recorder.note(LINE, b"\x06\x00\x06" + PASSWORD)
    assert list(read_back(path)) == []
    recorder.silence()
    assert [chunk.data for chunk in read_back(path)] == [b"*" * 6]
    recorder.close()
