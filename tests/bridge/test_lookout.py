"""The bridge looks after itself, in its order: the feed opens behind the doubts of the last run (P4)."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from bridge import events, lookout
from bridge.board import Board
from bridge.lookout import Lookout
from bridge.messages import ForCase
from bridge.reserve import Reserve
from tests.rigs.core_stage import LOT, SEEN, Stage, clock, entry, staged


class Feed:
    """In the place of bridge.lines: whether the feed has been opened."""

    def __init__(self) -> None:
        self.opened = False

    def tend(self) -> None:
        self.opened = True

    def lost(self, lot: int) -> str:
        return ""


@pytest.fixture
def restarted(tmp_path: Path) -> Iterator[Stage]:
    """A core that was stopped between an intent and its result, in its next run."""
    with staged(tmp_path / "journal.db") as before:
        before.core.accept(LOT, [entry(1)], 5)
        case = before.next(events.Act)
        before.core.intend(case.key, case.attempt, b"\x01\x05", None)
    with staged(tmp_path / "journal.db") as after:
        yield after


@pytest.fixture
def feed() -> Feed:
    return Feed()


@pytest.fixture
def looking(restarted: Stage, feed: Feed, tmp_path: Path) -> Lookout:
    return Lookout(
        journal=restarted.journal,
        core=restarted.core,
        board=Board([], [], clock()),
        lines=feed,  # type: ignore[arg-type]  # the real one would open connections
        reserve=Reserve(tmp_path),
        alarm_seconds={},
        workers={},
        clock=clock,
        usable=lambda: None,
        keyless=lambda _: False,
    )


def test_the_feed_stays_shut_until_the_doubts_of_the_last_run_were_looked_into(
    looking: Lookout, restarted: Stage, feed: Feed
) -> None:
    doubt = restarted.next(events.Look)
    looking.round()
    assert not feed.opened
    restarted.core.put(ForCase(doubt.key, events.Proof(doubt.attempt, events.Finding.OURS, (SEEN,))))
    assert restarted.core.wait_recovered(5)
    looking.round()
    assert feed.opened


def test_a_machine_that_does_not_answer_keeps_the_feed_shut_for_a_moment_only(
    looking: Lookout, restarted: Stage, feed: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    restarted.next(events.Look)
    looking.round()
    assert not feed.opened
    monkeypatch.setattr(lookout, "RECOVERY_SECONDS", 0.0)
    looking.round()
    assert feed.opened
