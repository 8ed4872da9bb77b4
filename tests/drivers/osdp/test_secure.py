"""The secure channel: against a recording of two strangers, and what does not pass."""

import tomllib
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.osdp.codec import Frame, decode, encode
from drivers.osdp.cp import Cp
from drivers.osdp.pd import Identity, Pd
from drivers.osdp.secure import SCBK_D, Keys, Session
from drivers.osdp.words import Command, Nak, Reply

VECTORS = Path(__file__).parents[2] / "vectors" / "osdp"
RECORDED = tomllib.loads((VECTORS / "session.toml").read_text(encoding="utf-8"))
FRAMES = [(one["by"], bytes.fromhex(one["hex"]), bytes.fromhex(one["data"])) for one in RECORDED["frame"]]
SCBK = bytes.fromhex(RECORDED["scbk"])
NONCE = bytes.fromhex(RECORDED["panel_nonce"])
KEYS = Keys.of(SCBK, NONCE)


class Silence:
    """A device that does nothing; keeps what it is told of its last answer."""

    def __init__(self):
        self.told = []

    def answer(self, code, data, now):
        return Reply.ACK, b""

    def poll(self, now):
        return Reply.ACK, b""

    def heard(self, now):
        self.told.append("heard")

    def broken(self, now):
        self.told.append("broken")


class TestRecording:
    def test_the_cryptograms_of_both_strangers_are_ours(self):
        reply, proof, first = (data for _, _, data in FRAMES[1:4])
        device = reply[8:16]
        assert KEYS.device_cryptogram(NONCE, device) == reply[16:]
        assert KEYS.panel_cryptogram(NONCE, device) == proof
        assert KEYS.first_mac(proof) == first

    def test_every_frame_is_opened_and_sealed_to_the_same_bytes(self):
        session = Session(KEYS, FRAMES[3][2])
        for by, raw, data in FRAMES[4:]:
            sealed = decode(raw)
            opened, after = session.open(sealed)
            assert (opened.data, opened.is_reply, opened.block) == (data, by == "pd", None)
            again, same = session.seal(opened)
            assert (encode(again), same) == (raw, after)
            session = after

    def test_our_panel_says_to_the_strangers_device_what_the_strangers_panel_said(self):
        cp = Cp(5, SCBK, lambda count: NONCE)
        cp._sequence = 2
        for (_, raw, data), (_, reply, _) in zip(FRAMES[::2], FRAMES[1::2], strict=True):
            letter = cp.compose(Command(decode(raw).code), data) if cp.ready else cp.step()
            assert letter.raw == b"\xff" + raw
            assert not cp.hear(letter, decode(reply)).is_no
        assert cp.ready

    def test_our_device_says_to_the_strangers_panel_what_the_strangers_device_said(self):
        identity = Identity(5, SCBK, cuid=FRAMES[1][2][:8])
        pd = Pd(identity, Silence(), lambda count: FRAMES[1][2][8:16])
        pd.hear(encode(Frame(5, Command.ID, b"\0", 0)), 0.0)
        pd.hear(encode(Frame(5, Command.CAP, b"\0", 1)), 0.1)
        for at, (by, raw, _) in enumerate(FRAMES):
            if by == "cp":
                assert pd.hear(raw, 0.2 + at / 10) == FRAMES[at + 1][1]


SESSION = Session(KEYS, bytes(range(16)))
MESSAGES = st.builds(
    Frame, address=st.just(5), code=st.integers(0, 255), data=st.binary(max_size=40), is_reply=st.booleans()
)


@given(MESSAGES)
def test_what_is_sealed_is_opened_and_both_sides_go_on_alike(frame):
    sealed, after = SESSION.seal(frame)
    assert SESSION.open(decode(encode(sealed))) == (frame, after)
    assert frame.data == b"" or frame.data not in encode(sealed) or len(frame.data) < 4


@given(MESSAGES, st.integers(0, 31))
def test_another_mac_is_not_of_this_session(frame, bit):
    sealed, _ = SESSION.seal(frame)
    mac = bytearray(sealed.mac)
    mac[bit // 8] ^= 1 << bit % 8
    assert SESSION.open(replace(sealed, mac=bytes(mac))) is None


@given(MESSAGES)
def test_the_same_frame_is_not_opened_twice(frame):
    sealed, after = SESSION.seal(frame)
    assert after.open(sealed) is None


@given(MESSAGES, st.integers(0, 255))
def test_another_code_is_not_of_this_session(frame, code):
    sealed, _ = SESSION.seal(frame)
    if code != frame.code:
        assert SESSION.open(replace(sealed, code=code)) is None


def test_a_reply_does_not_pass_for_a_command():
    sealed, _ = SESSION.seal(Frame(5, Command.POLL))
    assert SESSION.open(replace(sealed, is_reply=True)) is None


def test_the_default_key_is_the_one_that_everybody_knows():
    assert SCBK_D == b"0123456789:;<=>?"


class TestDemanded:
    """A device that demands a secure channel."""

    @pytest.fixture
    def pd(self):
        pd = Pd(Identity(5, SCBK), Silence(), lambda count: bytes(count))
        pd.hear(encode(Frame(5, Command.POLL, b"", 0)), 0.0)
        return pd

    def said(self, pd, frame, now=0.1):
        reply = decode(pd.hear(encode(frame), now))
        return reply.code, reply.data

    def test_carries_nothing_out_in_plain(self, pd):
        assert self.said(pd, Frame(5, Command.OUT, bytes(4), 1)) == (Reply.NAK, bytes((Nak.NOT_SECURE,)))
        assert not pd.online(0.2)

    def test_says_who_it_is_in_plain(self, pd):
        assert self.said(pd, Frame(5, Command.ID, b"\0", 1)) == (Reply.ACK, b"")

    def test_refuses_a_proof_that_does_not_know_the_key(self, pd):
        cp = Cp(5, bytes(16), lambda count: NONCE)
        cp._sequence = 1
        letter = cp.step()
        assert cp.hear(letter, decode(pd.hear(letter.raw, 0.1))).is_no
        wrong = encode(Frame(5, Command.SCRYPT, bytes(16), 2, block=decode(FRAMES[2][1]).block))
        assert decode(pd.hear(wrong, 0.2)).data == bytes((Nak.SECURITY,))
        assert not pd.online(0.3)

    def test_is_not_told_that_it_was_heard_by_a_number_without_a_mac(self, pd):
        cp = Cp(5, SCBK, lambda count: NONCE)
        cp._sequence = 1
        for _ in range(2):
            letter = cp.step()
            cp.hear(letter, decode(pd.hear(letter.raw, 0.1)))
        cp.hear(cp.compose(Command.POLL), decode(pd.hear(cp.compose(Command.POLL).raw, 0.2)))
        pd._answers.told.clear()
        pd.hear(encode(Frame(5, Command.CHLNG, NONCE, 1, block=decode(FRAMES[0][1]).block)), 0.3)
        assert pd._answers.told == ["broken"]

    def test_ends_the_session_at_the_first_frame_that_is_not_of_it(self, pd):
        cp = Cp(5, SCBK, lambda count: NONCE)
        cp._sequence = 1
        for _ in range(2):
            letter = cp.step()
            assert not cp.hear(letter, decode(pd.hear(letter.raw, 0.1))).is_no
        assert pd.online(0.2)
        letter = cp.compose(Command.POLL)
        spoilt = replace(decode(letter.raw[1:]), mac=bytes(4))
        assert self.said(pd, spoilt) == (Reply.NAK, bytes((Nak.SECURITY,)))
        assert not pd.online(0.3)
        assert self.said(pd, decode(letter.raw[1:])) == (Reply.NAK, bytes((Nak.SECURITY,)))
