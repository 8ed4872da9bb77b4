"""Orders by hand on the port's thread: on record once, never late for another car, no payment an orphan (P1, P8)."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from bridge import events
from bridge.board import Board
from bridge.by_hand import ByHand
from bridge.fallback import FallbackLog, Line
from bridge.machines import LotMachines
from drivers.base import Applied, Intend, Outcome
from drivers.profile import ExitTable
from parking import completion as completions
from parking.commands import Command, Verb
from parking.desk import CasePhase, CommandState, CommandView, ExitKind, ExitView
from parking.errors import NotSent
from parking.outcome import Level
from parking.reports import Override, Whose
from parking.signing import KeyRing, from_text
from parking.stay import StayRef
from parking.wire import Entry
from tests.rigs.core_stage import KEY, LOT, SEEN, Stage, clock, entry, staged

LABEL = {"ja": "7番", "en": "Bay 7"}
PLATE = ExitTable(id="7", kind=ExitKind.PLATE, label=LABEL, device="plates", channel=0, bay="7")


class Port:
    """In the place of a lot's machines: lets the intent be committed, then writes; `hangs` before that if told to."""

    def __init__(self) -> None:
        self.reached, self.goes_on = threading.Event(), threading.Event()
        self.goes_on.set()
        self.written = 0

    def by_hand(self, verb: Verb, exit_: ExitTable, reference: str, intend: Intend) -> Outcome:
        self.reached.set()
        assert self.goes_on.wait(10)
        intend(b"\x01\x05", None)
        self.written += 1
        return Applied(Level.PHYSICALLY_OBSERVED, (SEEN,))

    def done_level(self, verb: Verb) -> Level:
        return Level.PHYSICALLY_OBSERVED


class Office:
    """Orders by hand over a real core and journal."""

    def __init__(self, stage: Stage, folder: Path) -> None:
        self.stage, self.folder, self.port = stage, folder, Port()
        self.board = Board([], [ExitView(lot=LOT, exit="7", kind=ExitKind.PLATE, label=LABEL)], clock())
        self.by_hand = ByHand(
            core=stage.core, journal=stage.journal, board=self.board, clock=clock, fallback=FallbackLog(folder)
        )

    def carry_out(self, command: Command) -> None:
        self.by_hand.carry_out(command, cast("LotMachines", self.port), PLATE, begun(command), None)

    def shown(self) -> CommandView | None:
        view = self.board.exit_view(f"{LOT}/7")
        return view.command if view is not None else None


def order(stay: StayRef | None = None) -> Command:
    whose = Whose.STAY if stay is not None else Whose.LATER
    return Command(
        command_id="hand-1", lot=LOT, verb=Verb.RELEASE, actor="Sato", reason="1 rain", exit="7", stay=stay, whose=whose
    )


def begun(command: Command) -> CommandView:
    return CommandView(
        command_id=command.command_id, verb="release", state=CommandState.COMMANDED, at=clock(), actor=command.actor
    )


def stay_of(paid: Entry) -> StayRef:
    return completions.verify(from_text(paid.completion), KeyRing({1: KEY.public_bytes})).stay


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    with staged(tmp_path / "journal.db") as stage:
        yield Office(stage, tmp_path)


def test_opening_for_a_stay_ends_its_open_payment(office: Office) -> None:
    stage, paid = office.stage, entry(1)
    stage.core.accept(LOT, [paid], 5)
    waiting = stage.next(events.Act)
    office.carry_out(order(stay_of(paid)))
    stage.flush()
    case = stage.journal.case(LOT, 1)
    assert case is not None
    assert (case.phase, case.by) == (CasePhase.SETTLED, "Sato")
    with pytest.raises(NotSent):  # the act that waits at the port is halted: no second release
        stage.core.intend(waiting.key, waiting.attempt, b"\x01\x05", None)


def test_an_order_that_was_given_up_on_a_hung_port_is_not_sent_when_the_port_comes_back(office: Office) -> None:
    command, port = order(), office.port
    port.goes_on.clear()
    thread = threading.Thread(target=office.carry_out, args=(command,))
    thread.start()
    assert port.reached.wait(10)
    office.by_hand.stuck(command, begun(command))
    shown = office.shown()
    assert shown is not None
    assert shown.state is CommandState.NOT_CONFIRMED
    port.goes_on.set()
    thread.join(10)
    assert port.written == 0
    shown = office.shown()
    assert shown is not None
    assert shown.state is CommandState.REFUSED


def test_a_fallback_log_that_comes_again_after_a_crash_is_on_record_once(office: Office) -> None:
    """The power went between the import and the setting aside of the file."""
    command = order()
    confirmed = CommandView(command_id="hand-1", verb="release", state=CommandState.CONFIRMED, at=clock(), actor="Sato")
    fallback = FallbackLog(office.folder)
    for view in (begun(command), confirmed):
        fallback.append(Line(command=command, view=view))
    kept = fallback.path.read_bytes()
    assert office.by_hand.bring_in() == 2
    fallback.path.write_bytes(kept)
    assert office.by_hand.bring_in() == 2
    assert [type(one) for one in office.stage.reports()].count(Override) == 1
    assert office.stage.journal.audit_head().entry == 1
