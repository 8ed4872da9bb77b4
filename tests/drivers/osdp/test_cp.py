"""The control panel's side of a link, without a line: which answers count, and what is said when one is lost."""

import pytest

from drivers.osdp.codec import Frame, decode, encode
from drivers.osdp.cp import Answer, Cp
from drivers.osdp.pd import Identity, Pd
from drivers.osdp.words import Command, Nak, Out, Reply

SCBK = bytes(range(100, 116))
PULSE = Out(0, 5, 7).data


class Device:
    """Counts what it carries out."""

    def __init__(self, scbk):
        self.carried_out = []
        self.pd = Pd(Identity(5, scbk), self, lambda count: bytes(range(count)))
        self.now = 0.0

    def answer(self, code, data, now):
        self.carried_out.append(code)
        return (Reply.OSTATR, b"\0\0") if code == Command.OSTAT else (Reply.ACK, b"")

    def poll(self, now):
        return Reply.ACK, b""

    def heard(self, now):
        pass

    def broken(self, now):
        pass

    def hear(self, letter):
        self.now += 0.5
        return decode(self.pd.hear(letter.raw, self.now))


def _begun(scbk):
    device, cp = Device(scbk), Cp(5, scbk, lambda count: bytes(range(count)))
    while not cp.ready:
        letter = cp.step()
        assert not cp.hear(letter, device.hear(letter)).is_no
    device.carried_out.clear()
    return device, cp


@pytest.fixture(params=[None, SCBK], ids=["plain", "secure"])
def link(request):
    return _begun(request.param)


def test_composing_changes_nothing(link):
    _, cp = link
    assert cp.compose(Command.OUT, PULSE) == cp.compose(Command.OUT, PULSE)
    cp.compose(Command.POLL)
    assert cp.compose(Command.OUT, PULSE).sequence == cp.compose(Command.POLL).sequence


def test_numbers_go_round_from_one_to_three(link):
    device, cp = link
    seen = []
    for _ in range(7):
        letter = cp.compose(Command.OUT, PULSE)
        seen.append(letter.sequence)
        assert cp.hear(letter, device.hear(letter)) == Answer(Reply.ACK)
    at = seen[0]
    assert seen == [(at - 1 + step) % 3 + 1 for step in range(7)]
    assert device.carried_out == [Command.OUT] * 7


def test_an_answer_with_another_number_belongs_to_something_else(link):
    device, cp = link
    earlier = cp.compose(Command.OUT, PULSE)
    late = device.hear(earlier)
    cp.hear(earlier, late)
    assert cp.hear(cp.compose(Command.OUT, PULSE), late) is None


def test_what_is_no_answer_or_from_another_address_is_passed_over(link):
    _, cp = link
    letter = cp.compose(Command.OUT, PULSE)
    assert cp.hear(letter, Frame(5, Reply.ACK, b"", letter.sequence)) is None
    assert cp.hear(letter, Frame(6, Reply.ACK, b"", letter.sequence, is_reply=True)) is None


def test_a_busy_device_leaves_the_number_as_it_is(link):
    _, cp = link
    letter = cp.compose(Command.OUT, PULSE)
    busy = cp.hear(letter, Frame(5, Reply.BUSY, b"", 0, is_reply=True))
    assert busy.code == Reply.BUSY
    assert cp.compose(Command.OUT, PULSE) == letter


class TestLostAnswer:
    def test_is_asked_for_without_a_second_act(self, link):
        device, cp = link
        letter = cp.compose(Command.OUT, PULSE)
        device.hear(letter)
        again = cp.again(letter)
        assert cp.hear(again, device.hear(again)) == Answer(Reply.ACK)
        assert device.carried_out == [Command.OUT]
        letter = cp.compose(Command.OUT, PULSE)
        assert cp.hear(letter, device.hear(letter)) == Answer(Reply.ACK)

    def test_of_an_act_that_never_arrived_in_plain_is_an_answer_to_the_question(self):
        device, cp = _begun(None)
        again = cp.again(cp.compose(Command.OUT, PULSE))
        assert cp.hear(again, device.hear(again)) == Answer(Reply.OSTATR, b"\0\0")
        assert device.carried_out == [Command.OSTAT]

    def test_of_an_act_that_never_arrived_in_a_secure_channel_makes_up_for_it(self):
        device, cp = _begun(SCBK)
        again = cp.again(cp.compose(Command.OUT, PULSE))
        assert cp.hear(again, device.hear(again)) == Answer(Reply.ACK)
        assert device.carried_out == [Command.OUT]

    def test_in_plain_is_never_asked_for_with_the_act_itself(self):
        _, cp = _begun(None)
        letter = cp.compose(Command.OUT, PULSE)
        again = decode(cp.again(letter).raw[1:])
        assert (again.code, again.sequence) == (Command.OSTAT, letter.sequence)


class TestSecure:
    @pytest.fixture
    def secure(self):
        return _begun(SCBK)

    def test_an_answer_in_plain_does_not_count(self, secure):
        _, cp = secure
        letter = cp.compose(Command.OUT, PULSE)
        assert cp.hear(letter, Frame(5, Reply.ACK, b"", letter.sequence, is_reply=True)) is None

    def test_a_no_in_plain_ends_the_session_and_is_not_certain(self, secure):
        _, cp = secure
        letter = cp.compose(Command.OUT, PULSE)
        said = cp.hear(letter, Frame(5, Reply.NAK, bytes((Nak.SECURITY,)), letter.sequence, is_reply=True))
        assert (said.is_no, said.certain, cp.ready) == (True, False, False)

    def test_busy_in_plain_is_not_certain(self, secure):
        _, cp = secure
        letter = cp.compose(Command.OUT, PULSE)
        assert not cp.hear(letter, Frame(5, Reply.BUSY, b"", 0, is_reply=True)).certain

    def test_a_device_with_another_key_is_not_believed(self):
        device, cp = Device(bytes(16)), Cp(5, SCBK, lambda count: bytes(range(count)))
        letter = cp.step()
        cp.hear(letter, device.hear(letter))
        letter = cp.step()
        assert cp.hear(letter, device.hear(letter)) == Answer(Reply.NAK, bytes((Nak.SECURITY,)))
        assert not cp.ready

    def test_a_device_that_offers_the_default_key_instead_is_not_believed(self):
        device, cp = Device(SCBK), Cp(5, SCBK, lambda count: bytes(range(count)))
        device.pd._identity = Identity(5, SCBK, default_key=True)
        letter = cp.step()
        cp.hear(letter, device.hear(letter))
        letter = cp.step()
        assert cp.hear(letter, device.hear(letter)).is_no

    def test_a_device_that_did_not_accept_us_is_not_believed(self):
        device, cp = Device(SCBK), Cp(5, SCBK, lambda count: bytes(range(count)))
        for _ in range(2):
            letter = cp.step()
            cp.hear(letter, device.hear(letter))
        letter = cp.step()
        accepted = device.hear(letter)
        wrong = Frame(5, accepted.code, bytes(16), accepted.sequence, is_reply=True, block=accepted.block)
        assert cp.hear(letter, wrong).is_no
        assert not cp.ready

    def test_a_no_within_the_session_is_certain(self, secure):
        device, cp = secure
        device.answer = lambda code, data, now: (Reply.NAK, bytes((Nak.RECORD,)))
        letter = cp.compose(Command.OUT, PULSE)
        said = cp.hear(letter, device.hear(letter))
        assert (said.reason, said.certain, cp.ready) == (Nak.RECORD, True, True)
        assert str(said) == "NAK 09 (record)"


def test_an_unknown_no_and_an_unknown_reply_are_told_by_their_number():
    assert str(Answer(Reply.NAK, b"\x63")) == "NAK 63"
    assert str(Answer(0xEE)) == "reply ee"
    assert encode(Frame(5, 0xEE))[0] == 0x53
