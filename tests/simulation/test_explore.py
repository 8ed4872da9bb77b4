"""The shipped relay, explored completely: every interleaving of a small lot keeps the promises, or the way is shown."""

import random

import pytest
from msgspec.structs import replace

from bridge import casebook, evidence, relay
from bridge.case import Case
from bridge.events import Finding
from drivers.base import Cash, Ours
from parking.desk import CasePhase
from simulation import decided, explore, plain, small
from simulation.explore import Explored, Explorer, World, worlds
from simulation.machines import Kind
from tests.rigs.figures import SEED


@pytest.mark.timeout(240)
@pytest.mark.parametrize(
    "world",
    [*worlds(1), *random.Random(SEED).sample(worlds(2), 3)],
    ids=lambda it: f"{it.kind.name.lower()}-{it.total}",
)
def test_every_interleaving_keeps_the_promises(world: World) -> None:
    found = world.explore()
    assert found.broken == []
    assert found.complete
    assert found.faults == world.total
    assert found.states > 1_000


def explored(kind: Kind, faults: int = 1, paid: int = 1) -> Explored:
    return World(kind, faults, paid=paid, by_hand=paid == 1).explore()


def broken(kind: Kind, faults: int = 1, paid: int = 1) -> set[str]:
    return {what.partition(":")[0] for what, _ in explored(kind, faults, paid).broken}


def test_a_witness_that_says_who_paid_leaves_nothing_to_a_person_and_one_that_does_not_does() -> None:
    assert explored(Kind.D_WHO).persons == 0
    assert explored(Kind.D_PAID).persons > 0


def test_what_is_explored_can_be_read_again_step_by_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "_in_doubt", relay._refuse)
    _, way = explored(Kind.C_RELAY).broken[0]
    assert way[0] == "completion 1"
    assert any("lost" in step or "late" in step or step == "crash" for step in way)


# --- nothing is missed by what is left out ----------------------------------------------------------------------------


Outcomes = set[tuple[object, ...]]


def outcomes(kind: Kind, paid: int) -> tuple[int, Outcomes]:
    """How many states there are, and what the machine did, people said and payments came to in any of them."""
    explorer = Explorer(kind, 2, 1, paid, by_hand=paid == 1)
    found = explorer.run()
    assert found.broken == []
    states = [explorer._packing.unpack((core, 0)) for core in explorer._known]
    phases = {one.cases: tuple(case.phase for case in explorer._moves.book.cases(one)) for one in states}
    return found.states, {(one.acts, one.people, one.paid, phases[one.cases]) for one in states}


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("kind", "paid"), [(Kind.C_PLATE, 2), (Kind.B_NUMBERED, 1), (Kind.D_GATE, 1), (Kind.D_PAID, 2)]
)
def test_cases_that_are_called_alike_come_to_the_same(kind: Kind, paid: int, monkeypatch: pytest.MonkeyPatch) -> None:
    few, short = outcomes(kind, paid)

    def literal(case: Case, instant: int) -> Case:
        due = min(case.due, plain.MOMENTS[instant]) if case.due is not None and instant == small.LAST else case.due
        return replace(case, evidence=(), detail="", intent=b"", queries=min(case.queries, 9), due=due)

    monkeypatch.setattr(decided, "plain", literal)
    monkeypatch.setattr(decided, "numbered_anew", lambda case: case)
    monkeypatch.setattr(explore, "no_more", lambda spent, than: spent == than)
    many, long = outcomes(kind, paid)
    assert many > 2 * few
    assert short == long


# --- each rule, switched off, is missed -------------------------------------------------------------------------------


def test_exploring_finds_a_doubt_that_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "_in_doubt", relay._refuse)
    assert "P1" in broken(Kind.C_RELAY)


def test_exploring_finds_a_blind_retry(monkeypatch: pytest.MonkeyPatch) -> None:
    real = relay._proof

    def blind(case, event, now, scene):
        if case.phase is CasePhase.IN_DOUBT and event.finding is Finding.UNKNOWN and case.sent < relay.MOST_SENDS:
            return relay._try(relay.replace(case, phase=CasePhase.RECEIVED), now, scene)
        return real(case, event, now, scene)

    monkeypatch.setattr(relay, "_proof", blind)
    assert "P2" in broken(Kind.C_RELAY)


def test_exploring_finds_that_it_matters_who_paid(monkeypatch: pytest.MonkeyPatch) -> None:
    real = evidence.from_witness

    def paid(said, device, waited):
        return real(Ours("anybody", "") if isinstance(said, Cash) else said, device, waited)

    monkeypatch.setattr(small, "from_witness", paid)
    assert broken(Kind.D_WHO) & {"P1", "P6"}


def test_exploring_finds_a_counter_that_is_believed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    real = evidence.from_exit
    monkeypatch.setattr(small, "from_exit", lambda seen, sent, waited: real(seen, sent, True))
    assert "P2" in broken(Kind.C_PLATE)


def test_exploring_finds_an_intent_forgotten_by_a_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    real = relay._start

    def forgetful(case, now, scene):
        if case.phase is CasePhase.SENDING:
            case = relay.replace(case, phase=CasePhase.RECEIVED)
        return real(case, now, scene)

    monkeypatch.setattr(relay, "_start", forgetful)
    assert "P2" in broken(Kind.C_PLATE)


def test_exploring_finds_a_rival_that_is_let_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(casebook.Casebook, "_has_rival", lambda *_: False)
    assert "P6" in broken(Kind.C_PLATE, paid=2)
