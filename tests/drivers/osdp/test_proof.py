"""What is made of what was seen."""

import pytest

from drivers.base import Applied, Refused, Uncertain
from drivers.osdp.cp import Answer
from drivers.osdp.line import Told
from drivers.osdp.proof import Sight, complete, hold_verdict, refused, verdict
from drivers.osdp.words import Nak, Reply
from parking.errors import Code
from parking.outcome import Level

ACK = Told(Answer(Reply.ACK), 1, 0)
LOST = Told(None, 3, 3)
NO = Answer(Reply.NAK, bytes((Nak.RECORD,)))


def test_a_refusal_at_once_is_one():
    assert isinstance(refused(Told(NO, 1, 0)), Refused)
    assert isinstance(refused(Told(Answer(Reply.BUSY), 3, 0)), Refused)


def test_a_refusal_after_a_silence_is_none():
    assert refused(Told(NO, 2, 1)) is None


def test_a_refusal_that_anybody_can_have_said_is_none():
    assert refused(Told(Answer(Reply.NAK, b"\6", certain=False), 1, 0)) is None


def test_an_acknowledgement_and_a_silence_are_no_refusal():
    assert refused(ACK) is None
    assert refused(LOST) is None


@pytest.mark.parametrize(
    ("sight", "level"),
    [
        (Sight(ACK), Level.LINK_ACKED),
        (Sight(LOST, switched=True), Level.LINK_ACKED),
        (Sight(ACK, opened=True), Level.PHYSICALLY_OBSERVED),
        (Sight(LOST, switched=True, opened=True), Level.PHYSICALLY_OBSERVED),
    ],
)
def test_the_device_must_have_said_that_it_was_us(sight, level):
    assert verdict(sight).level is level


def test_an_open_arm_alone_is_a_contradiction():
    outcome = verdict(Sight(LOST, opened=True))
    assert (type(outcome), outcome.code) == (Uncertain, Code.CONTRADICTION)


def test_nothing_seen_is_a_doubt_that_names_the_answer():
    assert "NAK 06" in verdict(Sight(Told(Answer(Reply.NAK, b"\6", certain=False), 2, 1))).detail
    assert verdict(Sight(LOST)).code is Code.NO_REPLY


def test_looking_on_ends_when_it_can_show_no_more():
    assert complete(Sight(ACK), watched=False)
    assert not complete(Sight(ACK), watched=True)
    assert complete(Sight(ACK, opened=True), watched=True)
    assert not complete(Sight(LOST, opened=True), watched=True)


def test_what_was_seen_once_stays_seen():
    sight = Sight(LOST).with_reading(True, None).with_reading(None, True).with_reading(False, False)
    assert (sight.switched, sight.opened) == (True, True)


@pytest.mark.parametrize(
    ("told", "on", "output", "opened", "level"),
    [
        (ACK, True, True, True, Level.PHYSICALLY_OBSERVED),
        (ACK, True, True, False, Level.LEGACY_CONFIRMED),
        (LOST, True, True, None, Level.LEGACY_CONFIRMED),
        (ACK, False, False, True, Level.LEGACY_CONFIRMED),
        (ACK, True, None, None, Level.LINK_ACKED),
    ],
)
def test_a_hold_is_what_its_output_reads(told, on, output, opened, level):
    outcome = hold_verdict(told, on, output, opened)
    assert isinstance(outcome, Applied)
    assert outcome.level is level


def test_a_hold_that_its_output_does_not_show_is_none():
    assert hold_verdict(ACK, True, False, None).code is Code.CONTRADICTION
    assert isinstance(hold_verdict(LOST, True, None, None), Uncertain)
