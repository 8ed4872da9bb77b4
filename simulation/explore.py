"""Every interleaving of a small lot: the shipped casebook and relay, each fault, a crash anywhere.

States are met in the order of how many faults it took to get there. Where the lot stood just so after fewer strikes of
each fault, all that may still happen could happen there, too: what is met again with more of them is passed over.

Invariants read the machine's acts and the final word on each payment; they know nothing of how the relay decides.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field

from bridge.case import Case, Step
from parking.desk import CasePhase
from simulation.machines import NATURE, Kind
from simulation.moves import Moves
from simulation.small import FAULTS, LAST, Small, no_more

EACH = 2
"""How often each fault strikes in one life."""
LARGEST_FIRST = (
    Kind.D_GATE,
    Kind.D_PAID,
    Kind.D_WHO,
    Kind.A_DESK,
    Kind.B_NUMBERED,
    Kind.C_PLATE,
    Kind.C_SENSOR,
    Kind.C_RELAY,
)
SAYS_WHO = (Kind.D_WHO,)
"""Where no doubt may be left to a person."""
_Place = tuple[int, int]
"""A state: packed, and the faults that struck on the way."""


@dataclass(slots=True)
class Explored:
    """How much there was, and what was wrong with it: (what, the way there).

    `states` differ in more than in how often which fault has struck. `ends` are those after which nothing happens
    unless a fault strikes; `persons` those in which only a person can end a doubt. `faults` is how many struck in the
    life that took the most.
    """

    kind: Kind
    states: int = 0
    transitions: int = 0
    ends: int = 0
    persons: int = 0
    faults: int = 0
    broken: list[tuple[str, list[str]]] = field(default_factory=list)
    complete: bool = True


class Explorer:
    """One kind of machine: each fault up to `each` times, up to `total` faults in one life, a crash being one."""

    def __init__(self, kind: Kind, each: int, total: int, paid: int = 2, *, by_hand: bool = True) -> None:
        """`paid` is how many completions there are for the one stay; `by_hand`: a person may open once."""
        self._kind, self._total = kind, min(total, each * len(FAULTS))
        self._moves, self._packing = Moves(kind, each, paid), _Packing()
        self._start = Small(cash=NATURE[kind].status, by_hand=by_hand)
        self._found = Explored(kind)
        self._known: dict[int, int | tuple[int, ...]] = {}
        self._came: dict[_Place, tuple[_Place, str]] | None = None
        self._progress: Callable[[Explored], None] = lambda _: None

    def run(self, most: int = 1_000_000_000, progress: Callable[[Explored], None] = lambda _: None) -> Explored:
        """All states that can be reached; stops at the first broken promise, or after `most` states.

        `progress` is told now and then.
        """
        self._progress = progress
        bad = self._search(most)
        if bad is not None:
            self._came = {}
            self._search(most)  # once more, keeping in mind the ways: that takes room
            self._found.broken.append((bad[0], self._way(bad[1])))
        return self._found

    def _search(self, most: int) -> tuple[str, _Place] | None:
        found = self._found = Explored(self._kind)
        self._known = {}
        level, following = [self._packing.pack(self._start)], list[_Place]()
        while level:
            self._moves.faults = found.faults < self._total
            for at, place in enumerate(level):  # it grows meanwhile, by what took no fault
                if at % 5_000 == 0:
                    self._progress(found)
                for name, after in self._moves.of(self._packing.unpack(place)):
                    found.transitions += 1
                    state = self._ended(after)
                    reached = self._packing.pack(state)
                    news = self._is_new(reached)
                    if news:
                        (level if reached[1] == place[1] else following).append(reached)
                        if self._came is not None:
                            self._came[reached] = place, name
                    if news > 1 and (what := self._judge(state)):
                        return what, reached
                if len(self._known) >= most:
                    found.complete = False
                    return None
            level, following = following, []
            found.faults += bool(level)
        return None

    def _is_new(self, place: _Place) -> int:
        """0 if nothing new can follow, 1 if the state is known, but with other faults on the way, 2 if it is new."""
        core, spent = place
        before = self._known.get(core)
        if before is None:
            self._known[core] = spent
            self._found.states += 1
            return 2
        if isinstance(before, int):
            before = (before,)
        if any(no_more(one, spent) for one in before):
            return 0
        self._known[core] = (*before, spent)
        return 1

    def _ended(self, state: Small) -> Small:
        """All payments are over and no request is on its way to the machine: nothing that may follow changes that."""
        book = self._moves.book
        if state.late or len(state.given) < len(book.entries) or any(job.stage == "write" for job in state.jobs):
            return state
        if not all(case.over for case in book.cases(state)):
            return state
        return Small(
            spent=state.spent,
            cash=state.cash,
            cases=state.cases,
            paid=state.paid,
            instant=LAST,
            acts=state.acts,
            given=state.given,
            people=state.people,
        )

    def _way(self, place: _Place) -> list[str]:
        way: list[str] = []
        while self._came and place in self._came:
            place, name = self._came[place]
            way.append(name)
        return way[::-1]

    # --- invariants --------------------------------------------------------------------------------------------------

    def _judge(self, state: Small) -> str:
        """The promise that is broken here, if one is."""
        moves, found = self._moves, self._found
        if what := _always(state) or self._at_once(state):
            return what
        if not moves.at_rest(state):
            return ""
        if any(moves.person_needed(state, case) for case in moves.book.cases(state)):
            found.persons += 1
            return f"P5: a person is needed although {self._kind.value}" if self._kind in SAYS_WHO else ""
        if moves.is_over(state):
            found.ends += 1
            return self._finally(state) or (self._finally(state.acted("book", "cash")) if state.cash else "")
        return ""

    def _at_once(self, state: Small) -> str:
        """P6: of two payments for one stay never are both with the machine."""
        sent = [case.number for case in self._moves.book.cases(state) if _under_way(case)]
        return f"P6: completions {sent} for one stay are under way at once" if len(sent) > 1 else ""

    def _finally(self, state: Small) -> str:
        """What may not be when nothing can happen any more."""
        for case in self._moves.book.cases(state):
            if not case.over:
                return f"P1: completion {case.number} never ends ({case.phase.value})"
            if what := _ended_wrong(state, case):
                return what
        return ""


@dataclass(frozen=True, slots=True)
class World:
    """One small world to explore, see Explorer."""

    kind: Kind
    total: int = EACH * len(FAULTS)
    each: int = EACH
    paid: int = 2
    by_hand: bool = True

    def explore(self, progress: Callable[[Explored], None] = lambda _: None) -> Explored:
        """All of it."""
        explorer = Explorer(self.kind, self.each, self.total, self.paid, by_hand=self.by_hand)
        return explorer.run(progress=progress)


def worlds(total: int | None = None, kind: Kind | None = None) -> list[World]:
    """What is explored, largest first: two completions for one stay, cash, one opening by hand, each fault up to twice.

    `total` bounds how many faults there are in one life; None does not. Coins are left out: towards the bridge their
    machine cannot be told from a desk.
    """
    bound = EACH * len(FAULTS) if total is None else total
    return [World(one, bound) for one in ([kind] if kind else LARGEST_FIRST)]


def _under_way(case: Case) -> bool:
    """Whether the machine may have its request, or had it. A doubt may be about an opening before it was sent."""
    if case.phase in (CasePhase.RECEIVED, CasePhase.CHECKING):
        return case.booked or case.sequence > 0  # it is told again, and nobody knows what came of telling it before
    sent = case.step is Step.SETTLE or case.sent_at is not None
    return case.phase is CasePhase.SENDING or (case.phase is CasePhase.IN_DOUBT and (sent or case.booked))


def _ended_wrong(state: Small, case: Case) -> str:
    ours = any(by == "relay" and number == case.number for _, by, number in state.acts)
    words = {word for word, number in state.people if number in (0, case.number)}
    if case.phase is CasePhase.SETTLED and not ours and not words & {"settled", "opened"}:
        return f"P1: completion {case.number} is settled, and nothing and nobody let the car out"
    if case.phase is CasePhase.REFUSED and ours and not words & {"not_settled", "gives_back"}:
        return f"P1: completion {case.number} is refused, and the machine acted on it"
    cash_first = ("book", "cash", 0) in state.acts and ("book", "relay", case.number) not in state.acts
    if case.phase is CasePhase.SETTLED and cash_first and not words:
        return f"P6: completion {case.number} is charged besides cash"
    return ""


def _always(state: Small) -> str:
    """What may never be, at any moment."""
    acts = state.acts
    twice = next((one for at, one in enumerate(acts[1:]) if one == acts[at] and one[1] == "relay"), None)
    return f"P2: completion {twice[2]} made the machine {twice[0]} twice" if twice else ""


class _Packing:
    """States as numbers, the rarer parts of them by reference: of millions, each takes little room."""

    def __init__(self) -> None:
        self._numbers: tuple[dict[Hashable, int], ...] = ({}, {}, {})
        self._parts: tuple[list[tuple[object, ...]], ...] = ([], [], [])

    def pack(self, state: Small) -> _Place:
        """The state, and apart from it the faults that struck."""
        packed = 0
        for at, part in enumerate((state[3:6], state[6:11], state[11:])):
            number = self._numbers[at].get(part)
            if number is None:
                number = self._numbers[at][part] = len(self._parts[at])
                self._parts[at].append(part)
            packed = packed << 30 | number
        return packed << 2 | state.cash << 1 | state.by_hand, state.spent

    def unpack(self, place: _Place) -> Small:
        """What was packed."""
        packed, spent = place
        first, second, third = (self._parts[at][packed >> 62 - 30 * at & 0x3FFFFFFF] for at in range(3))
        return Small._make((spent, bool(packed & 2), bool(packed & 1), *first, *second, *third))
