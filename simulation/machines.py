"""Legacy machines as small as they can be while they lose, delay and forget like real ones. Each keeps its own record.

The four ways of the architecture: A a pay station that asks for money, B coins pushed, C an exit device, D a host.
"""

from dataclasses import dataclass, field
from enum import StrEnum

from bridge.case import Step
from bridge.evidence import ExitSeen, Found, from_exit, from_witness
from drivers import base
from drivers.base import Retry
from parking.desk import Position
from parking.outcome import Level
from simulation.history import Act, History

FIRST_COUNT = 65_534
OPEN_FOR = 6.0
"""Seconds that a gate stays up after a pulse, as its controller has it."""


class Kind(StrEnum):
    """A way into a legacy system, with what its machine can tell afterwards."""

    A_DESK = "A charge desk"
    B_COINS = "B cash credit"
    B_NUMBERED = "B cash credit, numbered commands"
    C_RELAY = "C relay board, no counter"
    C_SENSOR = "C relay board, arm sensor"
    C_PLATE = "C lock plate, counter"
    D_WHO = "D host that says who paid"
    D_PAID = "D host that says only that it is paid"
    D_GATE = "D host with a gate behind"


@dataclass(frozen=True, slots=True)
class Nature:
    """What a driver for this machine declares."""

    steps: tuple[Step, ...]
    retry: Retry
    witness: str
    counts: bool = False
    sensor: bool = False
    status: bool = True


NATURE = {
    Kind.A_DESK: Nature((Step.SETTLE,), Retry.NEVER, "none"),
    Kind.B_COINS: Nature((Step.SETTLE,), Retry.NEVER, "none"),
    Kind.B_NUMBERED: Nature((Step.SETTLE,), Retry.SAME_SEQUENCE, "knows repetitions", status=False),
    Kind.C_RELAY: Nature((Step.RELEASE,), Retry.NEVER, "exit seen", status=False),
    Kind.C_SENSOR: Nature((Step.RELEASE,), Retry.NEVER, "arm, exit seen", sensor=True, status=False),
    Kind.C_PLATE: Nature((Step.RELEASE,), Retry.QUERY_FIRST, "counter", counts=True, sensor=True, status=False),
    Kind.D_WHO: Nature((Step.SETTLE,), Retry.QUERY_FIRST, "who paid"),
    Kind.D_PAID: Nature((Step.SETTLE,), Retry.NEVER, "paid, not who"),
    Kind.D_GATE: Nature((Step.SETTLE, Step.RELEASE), Retry.QUERY_FIRST, "who paid; counter", counts=True, sensor=True),
}


@dataclass(slots=True)
class Machine:
    """All machines of one lot. `paid` is who paid for a stay: `cash`, or our reference."""

    kind: Kind
    history: History
    paid: dict[str, str] = field(default_factory=dict)
    counters: dict[str, int] = field(default_factory=dict)
    open_until: dict[str, float] = field(default_factory=dict)
    gone: set[str] = field(default_factory=set)
    silent_until: float = 0.0
    restarts: int = 0
    told: set[tuple[str, int]] = field(default_factory=set)

    @property
    def nature(self) -> Nature:
        """What its driver declares."""
        return NATURE[self.kind]

    @property
    def settle_level(self) -> Level:
        """The level that its bookings reach."""
        return Level.LEGACY_CONFIRMED

    def refusal(self, step: Step, stay: str, reference: str) -> str:
        """What reading it right before the act says against it: paid, gone, or nothing."""
        if step is Step.SETTLE and self.nature.status and self.paid.get(stay, reference) != reference:
            return "paid"
        return "gone" if stay in self.gone else ""

    def take_cash(self, stay: str, now: float) -> bool:
        """The pay station takes coins unless nothing is due any more."""
        if stay in self.paid or stay in self.gone:
            return False
        self.paid[stay] = "cash"
        self.history.acts.append(Act(now, "book", "cash", stay))
        return True

    def repeated(self, reference: str, sequence: int) -> bool:
        """Whether it knows this command by its number; else it does from now on, also if it is slow to act on it."""
        known = (reference, sequence) in self.told
        self.told.add((reference, sequence))
        return known and self.kind is Kind.B_NUMBERED

    def act(self, step: Step, stay: str, reference: str, number: int, now: float) -> bool:
        """Do what is asked; whether it did.

        A host books a reference once, a machine refuses what is paid already, one with numbered commands books whatever
        it is told under a new number.
        """
        if self.kind is Kind.B_NUMBERED:
            self.history.acts.append(Act(now, "book", "relay", stay, number))
            return True
        if step is Step.SETTLE:
            if stay in self.paid:
                return self.paid[stay] == reference and self.kind in (Kind.D_WHO, Kind.D_GATE)
            self.paid[stay] = reference
            self.history.acts.append(Act(now, "book", "relay", stay, number))
            return True
        exit_ = self.exit_of(stay)
        self.counters[exit_] = (self.counters.get(exit_, FIRST_COUNT) + 1) % 65_536
        self.open_until[exit_] = now + OPEN_FOR
        self.history.acts.append(Act(now, "release", "relay", stay, number))
        return True

    def restart(self, until: float) -> None:
        """Power is gone: it forgets what it was about to do and says nothing for a while; books and counters last.

        A machine that knows commands by their numbers keeps them until they are done.
        """
        self.restarts += self.kind is not Kind.B_NUMBERED
        self.silent_until = until
        self.open_until.clear()

    def open_by_hand(self, stay: str, now: float, *, by_key: bool = False) -> None:
        """By the bridge's port, as a release; or by the key switch, another input: then the counter does not move."""
        exit_ = self.exit_of(stay)
        if not by_key:
            self.counters[exit_] = (self.counters.get(exit_, FIRST_COUNT) + 1) % 65_536
        self.open_until[exit_] = now + OPEN_FOR
        self.history.acts.append(Act(now, "release", "person", stay))

    def exit_of(self, stay: str) -> str:
        """Plates belong to bays; a gate serves all."""
        return stay if self.kind is Kind.C_PLATE else "gate"

    def count(self, stay: str) -> int | None:
        """The release counter of the stay's exit, where there is one."""
        return self.counters.get(self.exit_of(stay), FIRST_COUNT) if self.nature.counts else None

    def look(
        self, step: Step, stay: str, reference: str, before: int | None, sent: int, waited: bool, now: float
    ) -> Found:
        """Evidence, by the shipped rules."""
        if step is Step.SETTLE:
            return from_witness(self._testimony(stay, reference), "machine", waited)
        position = Position.UNKNOWN
        if self.nature.sensor:
            position = Position.OPEN if now < self.open_until.get(self.exit_of(stay), 0.0) else Position.CLOSED
        state = base.ExitState(position, held=False, vehicle=stay not in self.gone if self.nature.sensor else None)
        return from_exit(
            ExitSeen("exit", "machine", before, self.count(stay), state, self.kind is not Kind.C_PLATE), sent, waited
        )

    def _testimony(self, stay: str, reference: str) -> base.Testimony:
        who = self.paid.get(stay, "")
        if self.kind in (Kind.A_DESK, Kind.B_COINS, Kind.B_NUMBERED):
            return base.CannotTell("it keeps no book that can be read")
        if self.kind is Kind.D_PAID:
            return base.CannotTell("paid, but not by whom") if who else base.Nobody()
        if who == reference:
            return base.Ours(reference, "receipt")
        return base.Cash("cash") if who else base.Nobody()
