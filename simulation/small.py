"""A lot so small that all of it can be explored: its state as one hashable value, and its machine. Pure.

One stay, one machine, one port; time stands at one of a few instants, which is all that the rules can tell apart. Cases
and what ports have to say are held by number (simulation.decided), so that a state is small and quickly compared.
"""

from typing import NamedTuple

from bridge.case import Case, Step
from bridge.evidence import ExitSeen, Found, from_exit, from_witness
from drivers import base
from parking.desk import Position
from simulation.machines import Kind, Nature

INSTANTS = (0.0, 2.0, 9.0, 40.0, 2_000.0)
"""Seconds: at once; a little later; an act would have shown; given up; all completions have expired."""
LAST = len(INSTANTS) - 1
FAULTS = ("crash", "unreachable", "request lost", "reply lost", "acts late", "silent witness", "repeated", "reordered")
_SHIFT = {name: 3 * at for at, name in enumerate(FAULTS)}
_GUARDS = sum(4 << shift for shift in _SHIFT.values())


class Job(NamedTuple):
    """What the port is to do or is at.

    `stage` of an act: begin, write, reply; of a look: begin, reply; of an order by hand: begin, write, reply, follow.
    `said` is the number of an event; an order by hand is given in `number` (1: with the money back), and has in
    `attempt` whether its exit is known to have moved (0).
    """

    kind: str
    number: int
    attempt: int = 0
    stage: str = "begin"
    said: int = 0


class Hand(NamedTuple):
    """The turn of an order by hand at its exit, as the bridge knows it; `number` 0: of a former run."""

    number: int
    acted: bool | None


class Kept(NamedTuple):
    """What the journal keeps of an opening by hand; `number` is the payment that it ended."""

    give_back: bool
    confirmed: bool
    number: int = 0


class Small(NamedTuple):
    """Everything there is.

    `spent` counts the faults that struck (see `spend`); `cash` and `by_hand` say that a person may still do so, once
    each. `starting` are cases that a bridge which has just started has not taken up yet. `acts` (kind, by, number) and
    `people` (word, number) are sorted; `begun` is an order by hand, by its word, of which the journal has no outcome
    yet; `late` is what the machine is still to do; `told` are the cases whose present number a machine with numbered
    commands has heard.
    """

    spent: int = 0
    cash: bool = False
    by_hand: bool = False
    cases: tuple[int, ...] = ()
    alive: bool = True
    starting: tuple[int, ...] = ()
    jobs: tuple[Job, ...] = ()
    instant: int = 0
    paid: str = ""
    counter: int = 0
    is_open: bool = False
    late: tuple[tuple[str, int], ...] = ()
    told: tuple[int, ...] = ()
    acts: tuple[tuple[str, str, int], ...] = ()
    given: tuple[int, ...] = ()
    people: tuple[tuple[str, int], ...] = ()
    hand: Hand | None = None
    opening: Kept | None = None
    begun: str = ""

    def times(self, fault: str) -> int:
        """How often a fault has struck."""
        return self.spent >> _SHIFT[fault] & 7

    def spend(self, fault: str) -> "Small":
        """A fault strikes once more; its count is a digit to the base of eight."""
        return self._replace(spent=self.spent + (1 << _SHIFT[fault]))

    def acted(self, kind: str, by: str, number: int = 0) -> "Small":
        """The machine did something."""
        return self._replace(acts=tuple(sorted((*self.acts, (kind, by, number)))))

    def said(self, word: str, number: int = 0) -> "Small":
        """A person did or decided something."""
        return self._replace(people=tuple(sorted((*self.people, (word, number)))))


def no_more(spent: int, than: int) -> bool:
    """Whether each fault has struck at most as often here as there, all counts compared at once by their guard bits."""
    return (than | _GUARDS) - spent & _GUARDS == _GUARDS


def strikes(spent: int) -> int:
    """How many faults that is in all."""
    return sum(spent >> shift & 7 for shift in _SHIFT.values())


def refusal(state: Small, nature: Nature, step: Step, number: int) -> bool:
    """Whether the machine, read right before the act, says that somebody else has paid."""
    return step is Step.SETTLE and nature.status and state.paid not in ("", str(number))


def act(state: Small, kind: Kind, nature: Nature, step: Step, number: int) -> tuple[Small, bool]:
    """What the machine does with a request that reaches it."""
    if kind is Kind.B_NUMBERED:
        return state.acted("book", "relay", number), True
    if step is Step.SETTLE:
        if state.paid:
            return state, state.paid == str(number) and kind in (Kind.D_WHO, Kind.D_GATE)
        return state._replace(paid=str(number)).acted("book", "relay", number), True
    return opened(state, nature).acted("release", "relay", number), True


def opened(state: Small, nature: Nature) -> Small:
    """The exit opens. What no driver can read of it is left out, so that states are equal which look the same."""
    return state._replace(counter=state.counter + nature.counts, is_open=nature.sensor)


def look(state: Small, kind: Kind, nature: Nature, case: Case, waited: bool) -> Found:
    """Evidence, by the shipped rules."""
    if case.step is Step.SETTLE:
        return from_witness(_testimony(state, kind, case), "machine", waited)
    position = Position.UNKNOWN
    if nature.sensor:
        position = Position.OPEN if state.is_open else Position.CLOSED
    seen = base.ExitState(position, held=False, vehicle=True if nature.sensor else None)
    count = state.counter if nature.counts else None
    shared = kind is not Kind.C_PLATE
    return from_exit(ExitSeen("exit", "machine", case.counter, count, seen, shared), case.sent, waited)


def _testimony(state: Small, kind: Kind, case: Case) -> base.Testimony:
    if kind in (Kind.A_DESK, Kind.B_COINS, Kind.B_NUMBERED):
        return base.CannotTell("no book")
    if kind is Kind.D_PAID:
        return base.CannotTell("paid, but not by whom") if state.paid else base.Nobody()
    if state.paid == str(case.number):
        return base.Ours(case.reference, "receipt")
    return base.Cash("somebody else") if state.paid else base.Nobody()
