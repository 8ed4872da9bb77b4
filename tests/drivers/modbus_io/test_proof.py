"""What counts as proof, case by case."""

import pytest

from drivers.base import Applied, Uncertain
from drivers.modbus_io import proof
from drivers.modbus_io.pdu import Failure, Function, WriteOne
from drivers.modbus_io.proof import Sight
from parking.errors import Code
from parking.outcome import EvidenceKind, Level

ECHO = WriteOne(Function.WRITE_COIL, 0, 0xFF00)
COUNTER, OBSERVED, ECHOED = EvidenceKind.COUNTER, EvidenceKind.OBSERVED, EvidenceKind.ECHO


@pytest.mark.parametrize(
    ("sight", "level", "kinds"),
    [
        (Sight(ECHO, 4, True, 5), Level.PHYSICALLY_OBSERVED, [COUNTER, OBSERVED, ECHOED]),
        (Sight(ECHO, None, True), Level.PHYSICALLY_OBSERVED, [OBSERVED, ECHOED]),
        (Sight(None, None, True), Level.PHYSICALLY_OBSERVED, [OBSERVED]),
        (Sight(None, 4, True, 5), Level.PHYSICALLY_OBSERVED, [COUNTER, OBSERVED]),
        (Sight(None, 65535, True, 0), Level.PHYSICALLY_OBSERVED, [COUNTER, OBSERVED]),
        (Sight(None, 4, False, 5), Level.LEGACY_CONFIRMED, [COUNTER]),
        (Sight(ECHO, 4, False, 5), Level.LEGACY_CONFIRMED, [COUNTER, ECHOED]),
        (Sight(Failure(5, 4), 4, False, 5), Level.LEGACY_CONFIRMED, [COUNTER]),
        (Sight(Failure(5, 5), None, True), Level.PHYSICALLY_OBSERVED, [OBSERVED]),
        (Sight(ECHO, 4, False, 4), Level.LINK_ACKED, [ECHOED]),
        (Sight(ECHO, 4, True, 6), Level.PHYSICALLY_OBSERVED, [OBSERVED, ECHOED]),
    ],
)
def test_is_applied(sight, level, kinds):
    outcome = proof.verdict(sight)
    assert isinstance(outcome, Applied)
    assert (outcome.level, [evidence.kind for evidence in outcome.evidence]) == (level, kinds)


@pytest.mark.parametrize(
    ("sight", "code"),
    [
        (Sight(None), Code.NO_REPLY),
        (Sight(None, 4, False, 4), Code.NO_REPLY),
        (Sight(None, 4, True), Code.NO_REPLY),  # open, but the counter cannot be read: whose act was it?
        (Sight(None, 4, True, 4), Code.CONTRADICTION),
        (Sight(ECHO, 4, True, 4), Code.CONTRADICTION),
        (Sight(None, 4, True, 6), Code.CONTRADICTION),
        (Sight(None, 4, False, 3), Code.CONTRADICTION),
        (Sight(Failure(5, 0x0B)), Code.NOT_OBSERVED),
    ],
)
def test_is_in_doubt(sight, code):
    outcome = proof.verdict(sight)
    assert (type(outcome), outcome.code) == (Uncertain, code)


@pytest.mark.parametrize(
    ("code", "sure"), [(1, True), (2, True), (3, True), (6, True), (4, False), (5, False), (11, False)]
)
def test_a_device_that_says_no_has_not_acted_unless_it_says_so_half_heartedly(code, sure):
    assert (proof.refused(Failure(5, code)) is not None) is sure
    assert proof.refused(ECHO) is proof.refused(None) is None


def test_looking_goes_on_until_the_counter_moved_too():
    assert not proof.complete(Sight(ECHO, 4, True, 4))
    assert proof.complete(Sight(ECHO, 4, True, 5))
    assert proof.complete(Sight(ECHO, None, True))
    assert not proof.complete(Sight(ECHO, None, False))


def test_what_cannot_be_read_stays_as_it_was():
    sight = Sight(None, 4, True, 5).with_reading(None, None)
    assert (sight.opened, sight.after) == (True, 5)


@pytest.mark.parametrize(
    ("reply", "on", "coil", "opened", "expected"),
    [
        (ECHO, True, True, True, Level.PHYSICALLY_OBSERVED),
        (None, True, True, False, Level.LEGACY_CONFIRMED),
        (ECHO, False, False, True, Level.LEGACY_CONFIRMED),
        (ECHO, True, None, None, Level.LINK_ACKED),
        (ECHO, True, False, False, Code.CONTRADICTION),
        (None, True, None, True, Code.NO_REPLY),
    ],
)
def test_a_hold_is_proved_by_its_coil(reply, on, coil, opened, expected):
    outcome = proof.hold_verdict(reply, on, coil, opened)
    assert expected == (outcome.level if isinstance(outcome, Applied) else outcome.code)
