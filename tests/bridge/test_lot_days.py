"""A lot's days over a real journal and real machines: what is told, when, once, and again when it changed."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from msgspec.structs import replace

from bridge import days
from bridge.board import Board
from bridge.by_hand import ByHand
from bridge.case import Case
from bridge.core import Core
from bridge.day_rounds import DayRounds
from bridge.fallback import FallbackLog, Line
from bridge.journal import Journal
from bridge.machines import LotMachines
from bridge.steady_clock import SteadyClock
from bridge.worker import PortWorker
from drivers import profile
from drivers.host_link import sim as host_sim
from drivers.modbus_io import sim as modbus_sim
from drivers.profile import LotProfile
from drivers.simlot.world import World
from parking.commands import Command, Verb
from parking.desk import CasePhase, CommandState, CommandView
from parking.money import yen
from parking.reports import Counter, LotDay
from parking.signing import KeyRing
from parking.stay import LotId, NameKind, StayRef

SEEDS = Path(__file__).parents[2] / "seeds" / "lots"
SIMS: dict[str, ModuleType] = {"host_link": host_sim, "modbus_io": modbus_sim}
NOON = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
MORNING = datetime(2026, 11, 24, 19, 1, tzinfo=UTC)
"""04:01 in Tokyo: the day of the 24th has just ended, by the cut-over hour of the gated lot."""
DAY, MINUTE = timedelta(days=1), timedelta(minutes=1)


@dataclass
class Lot:
    """Machines, journal, and a clock in hand. `later` is where the clock stands."""

    run: Path
    seed: str
    now: datetime = NOON
    served: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        read = profile.load(SEEDS / f"{self.seed}.toml")
        self.lot = LotId(read.lot.id)
        self.world = World(read, self.run, lambda: self.now)
        for device in read.device:
            self.served[device.id] = SIMS[device.family].serve(self.world, device, read.exit, self.run)
        quick = tuple(replace(one, url=self.served[one.id].url, timeout_seconds=0.5) for one in read.device)
        self.profile: LotProfile = replace(read, device=quick)
        self.open()

    def open(self) -> None:
        """The bridge's part of it; once more after `close`: a restart."""
        self.machines = LotMachines(self.profile, lambda: self.now)
        self.journal = Journal(self.run / "journal.db")
        self.core = Core(
            journal=self.journal,
            keys=KeyRing({}),
            generation=1,
            clock=lambda: self.now,
            scene=self.machines.scene,
            perform=lambda case, effect: None,
            show=lambda view: None,
        )
        self.workers = {(self.lot, name): PortWorker(name, 30.0) for name in self.machines.machines}
        by_hand = ByHand(
            core=self.core,
            journal=self.journal,
            board=Board([], [], self.now),
            clock=lambda: self.now,
            fallback=FallbackLog(self.run),
        )
        self.rounds = DayRounds(
            self.core, self.journal, by_hand, {self.lot: self.machines}, self.workers, lambda: self.now
        )
        self.core.start()
        for worker in self.workers.values():
            worker.start()

    def close(self) -> None:
        for worker in self.workers.values():
            worker.stop(5)
        self.core.stop()
        self.journal.close()
        for machine in self.machines.machines.values():
            machine.driver.close()

    def end(self) -> None:
        self.close()
        for served in self.served.values():
            served.stop()
        self.world.close()

    def at(self, now: datetime) -> list[LotDay]:
        """A round at this time; what it told."""
        before, self.now = len(self.told()), now
        assert self.rounds.round()
        return self.told()[before:]

    def told(self) -> list[LotDay]:
        """All that was ever queued for the cloud about days."""
        return [report for report in self.journal.reports(self.lot, 1, 10_000)[1] if isinstance(report, LotDay)]

    def case(self, number: int, phase: CasePhase = CasePhase.SETTLED, **more: Any) -> Case:
        """A payment at noon of the 24th, as the journal has it."""
        bay = self.profile.lot.names is NameKind.BAY
        made = Case(
            lot=self.lot,
            number=number,
            reference=f"DK-{self.lot}-{number}",
            stay=StayRef(self.profile.lot.names, "7" if bay else f"T{number}"),
            exit="",
            amount=200,
            paid_at=NOON,
            valid_until=NOON + 20 * MINUTE,
            since=NOON,
            phase=phase,
            **more,
        )
        with self.journal.transaction() as tx:
            tx.put_case(made, b"" if self.journal.case(self.lot, number) is None else None)
        return made

    def book(self, number: int) -> None:
        """The host books a payment of a car that came in."""
        self.world.host_pay(self.world.arrive().name, yen(200), f"DK-{self.lot}-{number}")

    def by_hand(self, name: str, exit_: str = "7") -> Line:
        """A release by hand that was confirmed."""
        order = Command(command_id=name, lot=self.lot, verb=Verb.RELEASE, actor="Sato", reason="1 stuck", exit=exit_)
        view = CommandView(command_id=name, verb="release", state=CommandState.CONFIRMED, at=self.now, actor="Sato")
        return Line(command=order, view=view)


@pytest.fixture
def lot_of(tmp_path: Path) -> Iterator[Callable[[str], Lot]]:
    made: list[Lot] = []

    def make(seed: str) -> Lot:
        made.append(Lot(tmp_path, seed))
        return made[-1]

    yield make
    for lot in made:
        lot.end()


@pytest.fixture
def gated(lot_of: Callable[[str], Lot]) -> Lot:
    """A lot with a host that keeps books; the bridge has run since the day before, and one payment is booked."""
    lot = lot_of("gated-host")
    assert lot.at(NOON - DAY) == []
    lot.now = NOON
    lot.case(1)
    lot.book(1)
    return lot


def test_a_day_is_told_at_its_end_and_once(gated: Lot) -> None:
    assert [part.day for part in gated.at(NOON)] == ["2026-11-23"]
    assert gated.at(MORNING - 2 * MINUTE) == []
    (told,) = gated.at(MORNING)
    assert (told.day, told.part, told.parts, told.legacy_trouble) == ("2026-11-24", 1, 1, "")
    assert [(row.number, row.phase, row.amount) for row in told.journal] == [(1, "settled", 200)]
    assert told.legacy is not None
    assert [(row.reference, row.amount) for row in told.legacy] == [("DK-1002-1", 200)]
    assert gated.at(MORNING + MINUTE) == []
    assert gated.at(MORNING + timedelta(hours=20)) == []


def test_a_restart_tells_nothing_twice(gated: Lot) -> None:
    gated.at(MORNING)
    gated.close()
    gated.open()
    assert gated.at(MORNING + MINUTE) == []


def test_days_on_which_the_bridge_was_off_are_told_when_it_is_back(gated: Lot) -> None:
    gated.close()
    gated.open()
    told = gated.at(MORNING + 3 * DAY)
    assert [part.day for part in told] == [f"2026-11-{day}" for day in (23, 24, 25, 26, 27)]
    assert [len(part.journal) for part in told] == [0, 1, 0, 0, 0]


def test_a_payment_that_ends_later_has_its_day_told_again(gated: Lot) -> None:
    gated.case(2, CasePhase.IN_DOUBT)
    (first,) = [part for part in gated.at(MORNING) if part.day == "2026-11-24"]
    gated.case(2, CasePhase.SETTLED, by="Sato")
    (again,) = gated.at(MORNING + 2 * MINUTE)
    assert [row.phase for row in first.journal] == ["settled", "in_doubt"]
    assert [(row.phase, row.by) for row in again.journal] == [("settled", "relay"), ("settled", "Sato")]
    assert again.at > first.at


def test_a_booking_that_was_struck_is_missed_when_the_next_day_ends(gated: Lot) -> None:
    gated.at(MORNING)
    gated.world.strike_booking("DK-1002-1")
    assert gated.at(MORNING + MINUTE) == []
    told = {part.day: part for part in gated.at(MORNING + DAY)}
    assert set(told) == {"2026-11-24", "2026-11-25"}
    assert told["2026-11-24"].legacy == ()


def test_books_that_cannot_be_read_are_waited_for_and_then_named_and_told_again_when_they_can(gated: Lot) -> None:
    gated.at(NOON)
    gated.served["host"].faults.unplugged = True
    assert gated.at(MORNING) == []
    (told,) = gated.at(MORNING + days.PATIENCE)
    assert told.legacy is None
    assert told.legacy_trouble.startswith("[link-down]")
    assert len(told.journal) == 1
    assert gated.at(MORNING + days.PATIENCE + MINUTE) == []
    gated.served["host"].faults.unplugged = False
    (again,) = gated.at(MORNING + days.PATIENCE + days.RETRY)
    assert (again.legacy_trouble, len(again.legacy or ())) == ("", 1)


def test_a_host_that_is_away_at_a_second_look_does_not_undo_what_was_read(gated: Lot) -> None:
    gated.at(MORNING)
    gated.served["host"].faults.unplugged = True
    told = [part.day for part in gated.at(MORNING + DAY + days.PATIENCE)]
    assert told == ["2026-11-25"]  # today's is told without; yesterday's stands


def test_a_clock_that_goes_back_has_the_day_replaced_by_a_later_telling(gated: Lot) -> None:
    ahead = gated.at(MORNING + 2 * DAY)
    gated.case(2)
    back = gated.at(MORNING)
    assert "2026-11-24" in [part.day for part in back]
    (first,), (second,) = ([part for part in some if part.day == "2026-11-24"] for some in (ahead, back))
    assert second.at > first.at
    assert len(second.journal) == 2


def test_nothing_is_told_before_the_cloud_has_said_what_time_it_is(gated: Lot) -> None:
    clock = SteadyClock(lambda: MORNING, lambda: 0.0)
    gated.rounds._clock = clock
    assert not gated.rounds.round()
    assert gated.told() == []
    clock.hear(MORNING)
    assert gated.rounds.round()
    assert gated.told() != []


# --- counters ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def plates(lot_of: Callable[[str], Lot]) -> Lot:
    """A lot with counting plates whose day ends at midnight; the counters were read at the end of the 23rd."""
    lot = lot_of("bay-plates")
    lot.at(NOON - timedelta(hours=11))
    return lot


AFTER = datetime(2026, 11, 24, 15, 1, tzinfo=UTC)
"""00:01 in Tokyo."""


def count_of(told: list[LotDay], exit_: str = "7") -> Any:
    (count,) = [count for part in told for count in part.counts if count.exit == exit_]
    return count


def test_the_plates_own_counter_is_held_against_the_journal(plates: Lot) -> None:
    plates.case(1, sent_at=NOON, turn=1)
    for _ in range(2):
        plates.world.release("7", "bus")
    plates.world.release("7", "hand")  # the key at the plate is none of our commands, and it does not count it
    with plates.journal.transaction() as tx:
        tx.put_command(plates.lot, "7", plates.by_hand("c1").view)
    told = plates.at(AFTER)
    assert len({count.exit for part in told for count in part.counts}) == 20
    count = count_of(told)
    assert (count.moved, count.by_relay, count.by_hand, count.unsure) == (2, 1, 1, 0)
    assert (count_of(told, "8").moved, count_of(told, "8").by_relay) == (0, 0)


def test_what_was_opened_without_a_journal_counts_where_it_belongs(plates: Lot) -> None:
    plates.world.release("7", "bus")
    FallbackLog(plates.run).append(plates.by_hand("c1"))
    count = count_of(plates.at(AFTER))
    assert (count.moved, count.by_hand) == (1, 1)
    assert count_of(plates.at(AFTER + DAY)).by_hand == 0


def test_a_doubt_that_is_settled_later_turns_from_unsure_into_known(plates: Lot) -> None:
    plates.case(1, CasePhase.IN_DOUBT, sent_at=NOON, turn=1)
    plates.world.release("7", "bus")
    first = count_of(plates.at(AFTER))
    plates.case(1, sent_at=NOON, turn=1)
    again = count_of(plates.at(AFTER + MINUTE))
    assert [(one.moved, one.by_relay, one.unsure) for one in (first, again)] == [(1, 0, 1), (1, 1, 0)]


def test_counters_that_cannot_be_read_are_waited_for_then_named_and_made_up_for(plates: Lot) -> None:
    plates.served["plates"].faults.silent = True
    plates.world.release("7", "bus")
    assert plates.at(AFTER) == []
    assert count_of(plates.at(AFTER + days.PATIENCE)).state is Counter.UNREAD
    plates.served["plates"].faults.silent = False
    end = time.monotonic() + 15
    while not (told := plates.at(AFTER + days.PATIENCE + days.RETRY)):  # the line settles first
        assert time.monotonic() < end
    again = count_of(told)
    assert (again.state, again.moved) == (Counter.MOVED, 1)


def test_the_reading_after_an_outage_tells_since_when_it_counts(plates: Lot) -> None:
    plates.world.release("7", "bus")
    told = plates.at(AFTER + 3 * DAY)
    assert [(part.day, len(part.counts)) for part in told] == [
        *((f"2026-11-{day}", 0) for day in (24, 25, 26)),
        ("2026-11-27", 20),
    ]
    count = count_of(told)
    assert (count.moved, count.since) == (1, NOON - timedelta(hours=11))
