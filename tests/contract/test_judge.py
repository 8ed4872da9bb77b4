"""The judge of the conformance suite: each promise that an act can break is named when it is broken."""

from dataclasses import replace

import pytest

from drivers.base import Applied, Cash, Nobody, Ours, Refused, Uncertain
from drivers.conform.judge import LATE, Act, broken, well_done
from parking.errors import Code, Environment, NotSent
from parking.money import Yen
from parking.outcome import Evidence, EvidenceKind, Level

PROOF = (Evidence(EvidenceKind.RECEIPT, "receipt 1"),)
DONE = Act(Applied(Level.LEGACY_CONFIRMED, PROOF), 500, 500, Level.LEGACY_CONFIRMED, Level.LEGACY_CONFIRMED)
NO = replace(DONE, outcome=Refused(Code.DEVICE_REFUSED, "no"), taken=0)
DOUBT = replace(DONE, outcome=Uncertain("no answer"))


@pytest.mark.parametrize(
    "act",
    [
        DONE,
        NO,
        DOUBT,
        replace(DOUBT, taken=0),
        replace(DONE, outcome=Applied(Level.LEGACY_CONFIRMED, PROOF, Yen(300)), taken=300),
        replace(NO, outcome=NotSent(Code.LINK_DOWN, "gone"), said=False),
        replace(DONE, outcome=Applied(Level.SENT, ()), taken=0),
        replace(DONE, testimony=Ours("DK-1", "")),
        replace(NO, testimony=Nobody()),
        replace(NO, testimony=Cash("coins")),
        replace(NO, wanted=0, testimony=Cash("coins")),
    ],
)
def test_what_holds_is_not_blamed(act):
    assert broken(act) == ()


@pytest.mark.parametrize(
    ("act", "blame"),
    [
        (replace(DONE, taken=1000), "more than once"),
        (replace(DOUBT, taken=501), "more than once"),
        (replace(DONE, taken=0), "says that 500 were taken"),
        (replace(DONE, outcome=Applied(Level.LEGACY_CONFIRMED, PROOF, Yen(300))), "says that 300 were taken"),
        (replace(DONE, declared=Level.SENT), "declared is sent"),
        (replace(DONE, outcome=Applied(Level.LEGACY_CONFIRMED, ())), "without evidence"),
        (replace(NO, taken=500), "says that nothing happened"),
        (replace(NO, outcome=NotSent(Code.LINK_DOWN, "gone"), taken=500), "says that nothing happened"),
        (replace(NO, outcome=Environment(Code.PORT_MISSING, "", ""), taken=500), "says that no byte left"),
        (replace(NO, outcome=NotSent(Code.LINK_DOWN, "gone"), said=True), "seen on the line"),
        (replace(DOUBT, outcome=Uncertain("", credited=Yen(300))), "says 300 at most"),
        (replace(DONE, late=LATE + 0.1), "stuck"),
        (replace(DOUBT, taken=0, testimony=Ours("DK-1", "")), "the machine has none"),
        (replace(DOUBT, testimony=Nobody()), "nobody paid"),
        (replace(DOUBT, testimony=Cash("coins")), "somebody else"),
    ],
)
def test_each_broken_promise_is_named(act, blame):
    assert any(blame in one.en for one in broken(act)), broken(act)


def test_an_undisturbed_act_must_be_done_and_proven_as_the_profile_wants():
    assert well_done(DONE) == ()
    assert well_done(NO)
    assert well_done(DOUBT)
    assert well_done(replace(DONE, needed=Level.PHYSICALLY_OBSERVED))
