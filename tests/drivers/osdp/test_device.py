"""The virtual card reader, without a line: one card, said once, and what the panel shows about it."""

import pytest

from drivers.osdp.codec import Frame, decode, encode
from drivers.osdp.device import Reader, Stage
from drivers.osdp.pd import HALF, OFFLINE, Identity
from drivers.osdp.words import GREEN, RED, Command, Control, Nak, Out, Reply, Signal, lamp_for, wiegand26

CARD = wiegand26(17, 4711)


class Bench:
    """A reader in plain, and a panel that is played by hand."""

    def __init__(self, granted_by=(Signal.LED, Signal.OUTPUT)):
        self.reader = Reader(Identity(5), granted_by, lambda count: bytes(count))
        self.now = 100.0
        self.reader.opened(self.now)

    def say(self, *frames, lost=False):
        """What comes back, None for nothing; `lost`: our answer is never written."""
        self.now += 0.05
        raw = self.reader.receive(b"".join(encode(one) for one in frames), self.now)
        if raw and not lost:
            self.reader.written(self.now)
        return decode(raw)

    def poll(self, sequence, **more):
        return self.say(Frame(5, Command.POLL, b"", sequence), **more)

    def command(self, code, data, sequence):
        return self.say(Frame(5, code, data, sequence))

    def taken(self):
        """A card that the panel has taken."""
        self.poll(0)
        showing = self.reader.show(CARD)
        self.poll(1)
        self.poll(2)
        assert showing.stage is Stage.TAKEN
        return showing


@pytest.fixture
def bench():
    return Bench()


class TestCard:
    def test_is_said_once_and_taken_when_the_next_command_follows(self, bench):
        bench.poll(0)
        showing = bench.reader.show(CARD)
        said = bench.poll(1)
        assert (said.code, said.data, said.sequence, said.is_reply) == (Reply.RAW, CARD.raw, 1, True)
        assert showing.stage is Stage.SAID
        assert bench.poll(2).code == Reply.ACK
        assert showing.stage is Stage.TAKEN
        assert [bench.poll(number).code for number in (3, 1, 2)] == [Reply.ACK] * 3

    def test_is_said_again_to_the_same_poll_and_not_taken_by_that(self, bench):
        bench.poll(0)
        showing = bench.reader.show(CARD)
        first = bench.poll(1)
        assert bench.poll(1) == first
        assert showing.stage is Stage.SAID
        bench.poll(2)
        assert showing.stage is Stage.TAKEN

    def test_is_lost_and_never_said_again_when_the_link_begins_anew(self, bench):
        bench.poll(0)
        showing = bench.reader.show(CARD)
        bench.poll(1)
        assert bench.poll(0).code == Reply.ACK
        assert showing.stage is Stage.LOST
        assert [bench.poll(number).code for number in (1, 2, 3)] == [Reply.ACK] * 3

    def test_is_lost_when_the_panel_falls_silent(self, bench):
        bench.poll(0)
        showing = bench.reader.show(CARD)
        bench.poll(1)
        bench.now += OFFLINE
        assert bench.poll(2).data == bytes((Nak.SEQUENCE,))
        assert showing.stage is Stage.LOST

    def test_waits_while_the_panel_asks_for_other_things(self, bench):
        bench.poll(0)
        showing = bench.reader.show(CARD)
        assert bench.command(Command.ID, b"\0", 1).code == Reply.PDID
        assert showing.stage is Stage.WAITING

    def test_is_not_said_after_it_was_withdrawn(self, bench):
        bench.poll(0)
        showing = bench.reader.show(CARD)
        bench.reader.withdraw(showing)
        assert bench.poll(1).code == Reply.ACK
        assert showing.stage is Stage.WITHDRAWN

    def test_cannot_be_withdrawn_once_it_was_said(self, bench):
        bench.poll(0)
        showing = bench.reader.show(CARD)
        bench.poll(1)
        bench.reader.withdraw(showing)
        assert showing.stage is Stage.SAID

    def test_is_not_said_to_a_poll_out_of_sequence(self, bench):
        bench.poll(0)
        showing = bench.reader.show(CARD)
        assert bench.poll(3).data == bytes((Nak.SEQUENCE,))
        assert showing.stage is Stage.WAITING

    def test_is_not_taken_by_a_command_out_of_sequence(self, bench):
        bench.poll(0)
        showing = bench.reader.show(CARD)
        bench.poll(1)
        assert bench.poll(3).data == bytes((Nak.SEQUENCE,))
        assert showing.stage is Stage.SAID

    def test_is_said_to_the_last_of_polls_that_come_together(self, bench):
        """The panel gave up on the first; an answer to it would pass for one to the second."""
        bench.poll(0)
        showing = bench.reader.show(CARD)
        said = bench.say(Frame(5, Command.POLL, b"", 1), Frame(5, Command.POLL, b"", 2))
        assert (said.code, said.sequence, showing.stage) == (Reply.RAW, 2, Stage.SAID)

    def test_is_not_taken_by_a_command_that_was_sent_before_it_was_written(self, bench):
        bench.poll(0)
        showing = bench.reader.show(CARD)
        bench.poll(1, lost=True)
        bench.poll(2)
        assert showing.stage is Stage.SAID

    @pytest.mark.parametrize(("certain", "stage"), [(True, Stage.WITHDRAWN), (False, Stage.SAID)])
    def test_whose_writing_failed_was_said_unless_no_byte_left(self, bench, certain, stage):
        bench.poll(0)
        showing = bench.reader.show(CARD)
        bench.poll(1, lost=True)
        bench.reader.lost(bench.now, certain)
        assert showing.stage is (stage if certain else Stage.LOST)

    def test_that_was_written_is_lost_with_the_line(self, bench):
        bench.poll(0)
        showing = bench.reader.show(CARD)
        bench.poll(1)
        bench.reader.lost(bench.now, certain=True)
        assert showing.stage is Stage.LOST


class TestPanelShows:
    @pytest.mark.parametrize(
        ("code", "data", "words"),
        [
            (Command.LED, lamp_for(GREEN, 20), "it lit the lamp green"),
            (Command.OUT, Out(0, Control.ON_FOR, 30).data, "it switched an output on"),
        ],
    )
    def test_that_it_grants(self, bench, code, data, words):
        showing = bench.taken()
        assert bench.command(code, data, 3).code == Reply.ACK
        assert (showing.granted, showing.denied) == (words, "")

    def test_that_it_denies(self, bench):
        showing = bench.taken()
        bench.command(Command.LED, lamp_for(RED, 20), 3)
        assert (showing.granted, showing.denied) == ("", "it lit the lamp red")

    def test_nothing_about_this_card_before_it_has_taken_it(self, bench):
        bench.poll(0)
        showing = bench.reader.show(CARD)
        bench.command(Command.LED, lamp_for(GREEN, 20), 1)
        bench.poll(2)
        bench.command(Command.LED, lamp_for(RED, 20), 2)
        assert (showing.stage, showing.granted, showing.denied) == (Stage.SAID, "", "")

    def test_nothing_by_a_signal_that_was_not_agreed(self):
        bench = Bench(granted_by=(Signal.BUZZER,))
        showing = bench.taken()
        bench.command(Command.LED, lamp_for(GREEN, 20), 3)
        assert showing.granted == ""
        bench.command(Command.BUZ, bytes((0, 2, 1, 1, 1)), 1)
        assert showing.granted == "it sounded the buzzer"

    def test_nothing_by_switching_an_output_off(self, bench):
        showing = bench.taken()
        bench.command(Command.OUT, Out(0, Control.OFF).data, 3)
        assert showing.granted == ""

    def test_nothing_by_its_idle_lamp(self, bench):
        showing = bench.taken()
        bench.command(Command.LED, bytes((0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 5, 5, RED, RED)), 3)
        assert (showing.granted, showing.denied) == ("", "")

    @pytest.mark.parametrize("code", [Command.LED, Command.OUT, Command.BUZ])
    def test_nothing_by_what_is_malformed(self, bench, code):
        showing = bench.taken()
        assert bench.command(code, b"\1\2\3", 3).data == bytes((Nak.LENGTH,))
        assert showing.granted == ""


class TestDevice:
    @pytest.mark.parametrize(
        ("code", "reply"),
        [
            (Command.ID, Reply.PDID),
            (Command.CAP, Reply.PDCAP),
            (Command.LSTAT, Reply.LSTATR),
            (Command.ISTAT, Reply.ISTATR),
            (Command.OSTAT, Reply.OSTATR),
            (Command.RSTAT, Reply.RSTATR),
            (Command.TEXT, Reply.ACK),
            (Command.COMSET, Reply.NAK),
            (Command.KEYSET, Reply.NAK),
            (0xF0, Reply.NAK),
        ],
    )
    def test_answers_each_command(self, bench, code, reply):
        bench.poll(0)
        assert bench.command(code, b"\0", 1).code == reply

    def test_does_not_answer_for_another_address(self, bench):
        assert bench.say(Frame(6, Command.POLL)) is None

    def test_does_not_answer_an_answer(self, bench):
        assert bench.say(Frame(5, Reply.ACK, is_reply=True)) is None

    def test_answers_in_the_check_that_it_was_asked_in(self, bench):
        assert bench.say(Frame(5, Command.POLL, crc=False)).crc is False

    def test_wants_the_link_begun(self, bench):
        assert bench.poll(1).data == bytes((Nak.SEQUENCE,))
        assert not bench.reader.online(bench.now)

    def test_is_offline_after_eight_seconds_of_silence(self, bench):
        bench.poll(0)
        assert bench.reader.online(bench.now + OFFLINE - 0.01)
        assert not bench.reader.online(bench.now + OFFLINE)

    def test_gives_half_a_frame_up(self, bench):
        raw = encode(Frame(5, Command.POLL))
        assert bench.reader.receive(raw[:4], bench.now) == b""
        assert bench.reader.receive(raw[4:], bench.now + HALF * 2) == b""
        assert decode(bench.reader.receive(raw, bench.now + HALF * 2)).code == Reply.ACK

    def test_says_nothing_unasked(self, bench):
        bench.poll(0)
        bench.reader.show(CARD)
        assert bench.reader.due(bench.now) == b""
