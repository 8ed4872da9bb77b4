"""An order by hand that a crash cuts off is not forgotten: it ends as not confirmed, told and listed (P8)."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bridge.board import Board
from bridge.by_hand import ByHand
from bridge.core import Core
from bridge.fallback import FallbackLog, Line
from bridge.journal import Journal
from parking.commands import Command, Verb
from parking.desk import CommandState, CommandView
from parking.errors import Code
from parking.reports import Override, Whose
from parking.signing import KeyRing
from parking.stay import LotId, NameKind, StayRef

NOW = datetime(2026, 11, 24, 2, 0, tzinfo=UTC)
LOT = LotId(1001)
STAY = StayRef(NameKind.BAY, "7", NOW - timedelta(hours=1))


class Desk:
    """The part of a bridge that keeps orders by hand, over a real journal."""

    def __init__(self, folder: Path) -> None:
        self.journal = Journal(folder / "journal.db")
        self.board = Board((), (), NOW)
        self.fallback = FallbackLog(folder)
        core = Core(
            journal=self.journal,
            keys=KeyRing({}),
            generation=1,
            clock=lambda: NOW,
            scene=lambda case, rival: pytest.fail("no case here"),
            perform=lambda case, effect: pytest.fail("nothing acts here"),
            show=lambda view: None,
        )
        self.by_hand = ByHand(
            core=core, journal=self.journal, board=self.board, clock=lambda: NOW, fallback=self.fallback
        )

    def begun(self, stay: StayRef | None) -> None:
        """As a former run left it: the intent is journaled, and nothing else."""
        whose = Whose.LATER if stay is None else Whose.STAY
        command = Command(
            command_id="c1", lot=LOT, verb=Verb.RELEASE, actor="佐藤", reason="rain", exit="7", stay=stay, whose=whose
        )
        view = CommandView(command_id="c1", verb="release", state=CommandState.COMMANDED, at=NOW, actor="佐藤")
        self.fallback.append(Line(command=command, view=view, intent=b"\x01\x05"))
        self.by_hand.bring_in(running=False)

    def told(self) -> list[Override]:
        return [one for one in self.journal.reports(LOT, 1, 100)[1] if isinstance(one, Override)]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    made = Desk(tmp_path)
    yield made
    made.journal.close()


def test_it_ends_as_not_confirmed_is_told_and_stands_on_the_list(desk: Desk) -> None:
    desk.begun(None)
    assert desk.told() == []
    desk.by_hand.end_interrupted()
    view = desk.journal.command("c1")
    assert view is not None
    assert (view.state, view.code, view.at) == (CommandState.NOT_CONFIRMED, Code.INTERRUPTED, NOW)
    assert [(one.command_id, one.outcome) for one in desk.told()] == [("c1", "not_confirmed")]
    assert [row.command_id for row in desk.journal.unmatched()] == ["c1"]


def test_a_payment_of_its_stay_that_comes_later_meets_it(desk: Desk) -> None:
    desk.begun(STAY)
    assert desk.journal.openings(LOT, STAY, NOW - timedelta(minutes=1)) == []
    desk.by_hand.end_interrupted()
    (opening,) = desk.journal.openings(LOT, STAY, NOW - timedelta(minutes=1))
    assert (opening.command_id, opening.confirmed) == ("c1", False)


def test_it_ends_once_and_what_has_ended_is_kept_whole_no_longer(desk: Desk) -> None:
    desk.begun(STAY)
    for _ in range(2):
        desk.by_hand.end_interrupted()
    assert len(desk.told()) == 1
    assert desk.journal.under_way() == []
