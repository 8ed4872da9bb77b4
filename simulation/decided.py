"""What the shipped casebook decides in a small lot, remembered: equal questions are asked once.

Each decision is made by a casebook read from the journal alone, as after a restart, so nothing else can matter.
"""

from collections.abc import Hashable, Iterable
from datetime import timedelta
from typing import NamedTuple

from msgspec.structs import replace

from bridge import events
from bridge.case import Case, Opening
from bridge.casebook import Casebook, Staged
from bridge.exit_log import LINGER, Exit, Turn
from bridge.messages import ForCase, HandActed, Incoming, Message, Reply
from parking import completion as completions
from parking.completion import Completion
from parking.desk import CasePhase
from parking.money import yen
from parking.outcome import Level
from parking.signing import KeyRing, SigningKey, to_text
from parking.stay import LotId, NameKind, StayRef
from parking.wire import Entry
from simulation.machines import Nature
from simulation.memory import MemoryJournal
from simulation.plain import GIVE_UP, MOMENTS, least_count, numbered_anew, plain, ranks
from simulation.small import Hand, Job, Kept, Small
from simulation.timeline import EPOCH

LOT = LotId(1)
EXIT: Exit = (LOT, "exit")
KEY = SigningKey.from_seed(1, bytes(range(32)))
RING = KeyRing({1: KEY.public_bytes})
HAND = "hand"
STAY = StayRef(NameKind.BAY, "1", EPOCH - timedelta(hours=1))
MOST_REMEMBERED = 300_000
"""Decisions kept in memory, about 1 kB each."""


class _Answer(NamedTuple):
    """What a decision changed. `lower` is by how much counters are lowered; None: no case has read one."""

    cases: tuple[int, ...]
    hand: Hand | None
    opening: Kept | None
    go: bool
    jobs: tuple[Job, ...]
    lower: int | None
    renumbered: tuple[int, ...]


class Decided:
    """Casebooks over states, and the cases and events that states hold by number."""

    def __init__(self, nature: Nature, paid: int) -> None:
        """`paid` is how many completions there are for the one stay."""
        self._nature = nature
        self.entries = {number: _entry(number) for number in range(1, paid + 1)}
        self._arrivals = {number: Incoming(LOT, [entry], Reply()) for number, entry in self.entries.items()}
        self._cases: list[Case] = []
        self._lists: dict[tuple[int, ...], list[Case]] = {}
        self._numbers: dict[Case, int] = {}
        self._events: list[events.Event] = []
        self._event_numbers: dict[events.Event, int] = {}
        self._known: dict[Hashable, _Answer] = {}
        self._later: dict[tuple[tuple[int, ...], int], tuple[int, ...]] = {}

    def cases(self, state: Small) -> list[Case]:
        """All cases, by number."""
        found = self._lists.get(state.cases)
        if found is None:
            found = self._lists[state.cases] = [self._cases[at] for at in state.cases]
        return found

    def case(self, state: Small, number: int) -> Case | None:
        """One case."""
        return next((case for case in self.cases(state) if case.number == number), None)

    def keep(self, event: events.Event) -> int:
        """The number of something that a port has to say."""
        if event not in self._event_numbers:
            self._event_numbers[event] = len(self._events)
            self._events.append(event)
        return self._event_numbers[event]

    def event(self, number: int) -> events.Event:
        """What has this number."""
        return self._events[number]

    def later(self, state: Small) -> Small:
        """The next instant has come; a gate that was open has closed."""
        key = state.cases, state.instant + 1
        if key not in self._later:
            self._later[key] = tuple(self._number(plain(case, key[1])) for case in self.cases(state))
        return state._replace(instant=key[1], is_open=False, cases=self._later[key])

    # --- messages ----------------------------------------------------------------------------------------------------

    def completion(self, state: Small, number: int) -> Small:
        """A completion arrives, perhaps not for the first time."""
        return self._hear(state, number, self._arrivals[number], number)[0]

    def tell(self, state: Small, number: int, event: events.Event) -> tuple[Small, bool]:
        """Something happened to a case; whether a driver that waits may write."""
        return self._hear(state, event, ForCase((LOT, number), event), number)

    def opened(self, state: Small, confirmed: bool, give_back: bool) -> Small:
        """An order by hand has ended: how is known, and what was opened is kept for its stay."""
        state = self.by_hand(state, True if confirmed else None)
        return state._replace(opening=Kept(give_back, confirmed), begun="")

    def follow(self, state: Small) -> Small:
        """What was opened ends the payment of its stay."""
        living = [case for case in self.cases(state) if case.phase is not CasePhase.REFUSED]
        case = max(living, key=lambda one: (not one.over, one.number), default=None)
        if case is None or case.over or state.opening is None:
            return state
        kept = _opening(state.opening)
        told = events.Overridden(kept.actor, kept.reason, kept.give_back, kept.confirmed)
        return self.tell(state, case.number, told)[0]

    def by_hand(self, state: Small, acted: bool | None) -> Small:
        """An order by hand is written, or ends."""
        turn = _turn(Hand(state.hand.number if state.hand else 0, acted))
        return self._hear(state, turn, HandActed(EXIT, turn))[0]

    def start(self, state: Small) -> Small:
        """The bridge runs again: an order by hand without outcome ends as not confirmed, then open cases wait."""
        state = state._replace(hand=state.hand and Hand(0, None))
        if state.begun:
            state = self.follow(state._replace(opening=Kept(state.begun == "gives_back", confirmed=False), begun=""))
        waiting = tuple(case.number for case in self.cases(state) if not case.over)
        return state._replace(alive=True, starting=waiting)

    def take_up(self, state: Small) -> Small:
        """The first of the cases that wait since the start."""
        number, *rest = state.starting
        return self.tell(state._replace(starting=tuple(rest)), number, events.Start())[0]

    def _hear(self, state: Small, what: Hashable, message: Message, number: int = 0) -> tuple[Small, bool]:
        free = not any(job.number == number for job in state.jobs if job.kind != HAND)
        question = (state.cases, state.instant, state.hand, state.opening, number, free, what)
        answer = self._known.get(question)
        if answer is None:
            if len(self._known) >= MOST_REMEMBERED:
                self._known.clear()
            answer = self._known[question] = self._decide(state, message, number if free else 0)
        after = state._replace(
            cases=answer.cases,
            hand=answer.hand,
            opening=answer.opening,
            jobs=state.jobs + answer.jobs,
            counter=0 if answer.lower is None else state.counter - answer.lower,
            told=tuple(one for one in state.told if one not in answer.renumbered),
        )
        return after, answer.go

    def _decide(self, state: Small, message: Message, free: int) -> _Answer:
        journal, now, before = MemoryJournal(), MOMENTS[state.instant], self.cases(state)
        with journal.transaction() as tx:
            for case in before:
                tx.put_case(case)
            if state.opening is not None:
                tx.put_opening(_opening(state.opening))
        if state.hand is not None:
            journal.by_hand.append((EXIT, _turn(state.hand)))
        book, staged = Casebook(journal, RING, 1, self._scene), Staged()
        with journal.transaction() as tx:
            book.decide(tx, message, now, staged)
        merged = {case.number: case for case in (*before, *staged.cases.values())}
        hand = state.hand
        if isinstance(message, HandActed):
            latest = max([0, *(case.turn for case in before)])
            hand = Hand(message.turn.number or latest + 1, message.turn.acted)
        after = [plain(merged[number], state.instant) for number in sorted(merged)]
        after = [numbered_anew(case) if case.number == free else case for case in after]
        sequences = {case.number: case.sequence for case in before}
        changed = [number for number, case in merged.items() if case.sequence != sequences.get(number)]
        opening = next((_kept(one) for one in journal.openings(LOT, STAY, EPOCH)), None)
        return self._answer(after, hand, opening, staged, changed)

    def _answer(
        self, after: list[Case], hand: Hand | None, opening: Kept | None, staged: Staged, renumbered: list[int]
    ) -> _Answer:
        count, attempts = least_count(after), {case.number: case.attempt for case in after}
        rank = ranks([*(case.turn for case in after), hand.number if hand else 0])
        cases = [
            replace(case, turn=rank[case.turn], counter=None if case.counter is None else case.counter - (count or 0))
            for case in after
        ]
        return _Answer(
            cases=tuple(self._number(case) for case in cases),
            hand=hand and hand._replace(number=rank[hand.number]),
            opening=opening,
            go=any(isinstance(effect, events.Go) for _, effect, _ in staged.effects),
            jobs=tuple(_jobs(staged, attempts)),
            lower=count,
            renumbered=tuple(renumbered),
        )

    def _number(self, case: Case) -> int:
        if case not in self._numbers:
            self._numbers[case] = len(self._cases)
            self._cases.append(case)
        return self._numbers[case]

    def _scene(self, _: Case, rival: bool) -> events.Scene:
        nature = self._nature
        seen = Level.PHYSICALLY_OBSERVED if nature.sensor else Level.LINK_ACKED
        give_up = GIVE_UP.total_seconds()
        return events.Scene(
            nature.steps, Level.LEGACY_CONFIRMED, seen, nature.retry, nature.retry, give_up, 1.0, EXIT[1], rival=rival
        )


def _turn(hand: Hand) -> Turn:
    return Turn(HAND, hand.number, EPOCH, EPOCH + LINGER, hand.acted)


def _opening(kept: Kept) -> Opening:
    return Opening(
        command_id=HAND,
        lot=LOT,
        stay=STAY,
        actor="Sato",
        reason="malfunction",
        at=EPOCH,
        give_back=kept.give_back,
        confirmed=kept.confirmed,
        number=kept.number,
    )


def _kept(opening: Opening) -> Kept:
    return Kept(opening.give_back, opening.confirmed, opening.number)


def _jobs(staged: Staged, attempts: dict[int, int]) -> Iterable[Job]:
    for case, effect, _ in staged.effects:
        if isinstance(effect, events.Act | events.Look):
            yield Job("act" if isinstance(effect, events.Act) else "look", case.number, attempts[case.number])


def _entry(number: int) -> Entry:
    made = Completion(1, LOT, number, STAY, yen(600), EPOCH, EPOCH + timedelta(minutes=20))
    return Entry(number=number, completion=to_text(completions.sign(made, KEY)))
