"""The suite finds drivers that lie or act twice: each is our own driver of a gate with one rule switched off."""

import time
from dataclasses import replace

import pytest

from drivers.base import Applied, Refused
from parking.errors import Code, NotSent
from parking.outcome import Evidence, EvidenceKind, Level
from tests.rigs.conformance import Stage

SEEN = (Evidence(EvidenceKind.OBSERVED, "so they say"),)


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    made = Stage(tmp_path_factory.mktemp("lot"), "gated-plates", "gate", timeout_seconds=0.4, observe=2.0)
    yield made
    made.close()


@pytest.fixture
def spoilt(stage):
    """Puts another `release` in the place of the driver's own; the driver is whole again afterwards."""
    driver = stage.bench.harness.driver
    honest = driver.release

    def put(release):
        driver.release = lambda target, order: release(honest, target, order)
        return stage

    yield put
    del driver.release


def twice_after_silence(honest, target, order):
    """Blind retry: what was not answered is said again, after the arm has come down."""
    outcome = honest(target, order)
    time.sleep(4.5)
    honest(target, replace(order, deadline=time.monotonic() + 3))
    return outcome


def optimist(honest, target, order):
    """What was written counts as done."""
    honest(target, order)
    return Applied(Level.PHYSICALLY_OBSERVED, SEEN)


def pessimist(honest, target, order):
    """What was not answered counts as not sent."""
    honest(target, order)
    raise NotSent(Code.NO_REPLY, "no answer")


def denier(honest, target, order):
    """What was not answered counts as refused."""
    honest(target, order)
    return Refused(Code.NO_REPLY, "no answer")


def sleeper(honest, target, order):
    """Waits for ever, as far as anybody can tell."""
    outcome = honest(target, order)
    time.sleep(max(0.0, order.deadline - time.monotonic()) + 2.5)
    return outcome


def guesser(honest, target, order):
    """Claims more than it declares it can see."""
    outcome = honest(target, order)
    return Applied(Level.PHYSICALLY_OBSERVED, ()) if isinstance(outcome, Applied) else outcome


@pytest.mark.parametrize(
    ("release", "case", "blame"),
    [
        (twice_after_silence, "lost-reply", "more than once"),
        (optimist, "lost-request", "says that 1 were taken, the machine counts 0"),
        (pessimist, "lost-reply", "says that nothing happened, but the machine counts 1"),
        (pessimist, "lost-request", "its bytes were seen on the line"),
        (denier, "garbage", "says that nothing happened"),
        (sleeper, "normal", "stuck"),
        (guesser, "normal", "without evidence"),
        (optimist, "cash-race", "somebody else had paid"),
    ],
)
def test_a_driver_with_a_rule_switched_off_is_found(spoilt, release, case, blame):
    broken = spoilt(release).run(case)
    assert any(blame in one.en for one in broken), broken


def test_and_the_driver_itself_is_not(stage):
    assert stage.run("normal") == ()
