"""Promises under faults: thousands of seeded runs of the shipped decisions, and an independent checker (P1-P10)."""

import subprocess
import sys
from pathlib import Path

import pytest

from bridge import casebook, evidence, relay
from bridge.events import Finding
from bridge.evidence import Found
from drivers.base import Cash, Nobody, Ours
from simulation import machines
from simulation.campaign import run_seeds
from simulation.faults import FAULTS, Weather
from simulation.machines import Kind
from simulation.world import simulate

ROOT = Path(__file__).parents[2]
SLICE = 120


@pytest.mark.parametrize("kind", Kind, ids=lambda kind: kind.name.lower())
def test_no_promise_is_broken_whatever_fails(kind: Kind) -> None:
    summary = run_seeds(range(SLICE), Weather.HEAVY, kind)
    assert summary.broken == []
    assert summary.payments > SLICE


def test_without_faults_nobody_is_needed_and_every_car_is_let_out_and_charged() -> None:
    summary = run_seeds(range(150), Weather.NONE)
    assert summary.broken == []
    assert set(summary.outcomes) == {"captured"}
    assert summary.persons_at.total() == 0


def test_where_a_witness_can_say_who_paid_no_person_is_needed() -> None:
    assert run_seeds(range(200), Weather.HEAVY, Kind.D_WHO).persons_at.total() == 0
    assert run_seeds(range(40), Weather.HEAVY, Kind.D_PAID).persons_at.total() > 0


def test_every_fault_strikes() -> None:
    assert set(run_seeds(range(600), Weather.HEAVY).struck) == set(FAULTS)


def test_one_seed_replays_exactly() -> None:
    once, twice = (simulate(4711, trace=True) for _ in range(2))
    assert once.trace == twice.trace
    assert simulate(4712, trace=True).trace != once.trace


def test_the_real_journal_on_disk_changes_nothing() -> None:
    for seed in range(12):
        assert simulate(seed, trace=True, on_disk=True).trace == simulate(seed, trace=True).trace


def test_the_command_prints_its_findings_and_exits_by_them() -> None:
    command = [sys.executable, "-m", "bridge", "simulate", "--seeds", "40", "--jobs", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    assert "broken promises: 0" in done.stdout
    assert "| D host that says who paid |" in done.stdout


# --- each rule, switched off, is missed -------------------------------------------------------------------------------


def broken(kind: Kind, promise: str = "P") -> bool:
    """Whether a breach of a promise is found within 2,000 runs; the first one ends the search."""
    for seed in range(2_000):
        if any(str(one).startswith(promise) for one in simulate(seed, Weather.HEAVY, kind).broken):
            return True
    return False


def test_a_blind_retry_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    real = relay._proof

    def blind(case, event, now, scene):
        if event.finding is Finding.UNKNOWN and case.sent < relay.MOST_SENDS:
            return relay._try(relay.replace(case, phase=relay.CasePhase.RECEIVED), now, scene)
        return real(case, event, now, scene)

    monkeypatch.setattr(relay, "_proof", blind)
    assert broken(Kind.C_RELAY, "P2")


def test_asking_whether_it_is_paid_instead_of_by_whom_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    real = evidence.from_witness

    def paid(said, device, waited):
        return real(Ours("anybody", "") if isinstance(said, Cash) else said, device, waited)

    monkeypatch.setattr(machines, "from_witness", paid)
    assert broken(Kind.D_WHO, "P6")


def test_believing_nobody_at_once_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    real = evidence.from_witness

    def hasty(said, device, waited):
        return Found(Finding.OTHERS, ()) if isinstance(said, Nobody) else real(said, device, waited)

    monkeypatch.setattr(machines, "from_witness", hasty)
    assert broken(Kind.D_WHO)


def test_an_exit_that_serves_others_taken_as_proof_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(casebook, "among_others", lambda proof, others: proof)
    assert broken(Kind.C_SENSOR) or broken(Kind.D_GATE)


def test_a_doubt_that_is_refused_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "_in_doubt", relay._refuse)
    assert broken(Kind.C_RELAY, "P1")


def test_starting_a_sent_case_over_after_a_crash_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    real = relay._start

    def forgetful(case, now, scene):
        if case.phase is relay.CasePhase.SENDING:
            case = relay.replace(case, phase=relay.CasePhase.RECEIVED)
        return real(case, now, scene)

    monkeypatch.setattr(relay, "_start", forgetful)
    assert broken(Kind.C_PLATE, "P2")


def test_a_repetition_under_a_new_number_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(relay, "_told_before", lambda case: False)
    assert broken(Kind.B_NUMBERED, "P2")
