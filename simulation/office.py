"""The lot office: the shipped casebook over a journal that crashes, and ports whose machines answer or do not."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Final

from msgspec.structs import replace

from bridge import events
from bridge.case import Case, Opening, Stated, Step
from bridge.casebook import Casebook, Staged
from bridge.exit_log import LINGER, Turn
from bridge.messages import ByCode, ForCase, HandActed, Incoming, Message, Reply
from drivers.base import Applied, Outcome, Refused, Uncertain
from parking.commands import Verdict
from parking.desk import CasePhase, CommandState, CommandView
from parking.errors import Code
from parking.outcome import Evidence, EvidenceKind, Level
from parking.reports import Way
from parking.signing import KeyRing
from parking.stay import LotId, NameKind, StayRef
from parking.wire import Entry
from simulation.faults import Faults
from simulation.history import History, Person
from simulation.machines import Machine
from simulation.memory import Kept, Storage
from simulation.timeline import EPOCH, Timeline

LOT = LotId(1)
OBSERVE = 4.0
"""Seconds within which a machine acts if it acts at all (`times.observe` of a profile)."""
PERSON_AFTER = 900.0
"""Seconds after which somebody comes and looks at what is in doubt."""


_UNHEARD: Final = Reply()
"""Nobody waits for an answer here: what is decided is seen at once."""


class Office:
    """One bridge. `life` changes with each crash, so that what a dead process had planned does not happen."""

    def __init__(
        self,
        line: Timeline,
        faults: Faults,
        machine: Machine,
        keys: KeyRing,
        history: History,
        storage: Storage,
    ) -> None:
        self._line, self._faults, self.machine, self._keys, self._history = line, faults, machine, keys, history
        self._storage = storage
        self.generation = 1
        self.life = 0
        self.alive = False
        self.persons = 0
        self._called: set[int] = set()
        self._turns = 0
        self.news: Callable[[], object] = lambda: None
        """Called when something was committed, or the process is there again."""

    def start(self) -> None:
        """Begin, or begin again after a crash: recovery first, then the feed."""
        self.life += 1
        self.alive = True
        self.journal: Kept = self._storage.open()
        self._book = Casebook(self.journal, self._keys, self.generation, self._scene)
        for message in self._book.beginning():
            self.handle(message)
        self.news()

    def lose_everything(self, floor: int) -> None:
        """The PC is gone with its journal; another one takes over, enrolled anew."""
        self._storage.lose()
        self.generation += 1
        with self._storage.open().transaction() as tx:
            tx.begin_feed(LOT, floor)
        self.start()

    # --- what comes in -----------------------------------------------------------------------------------------------

    def accept(self, entries: Sequence[Entry], way: Way = Way.FEED) -> bool:
        """Completions; whether they may be called received."""
        return self.handle(Incoming(LOT, entries, _UNHEARD, way, "Sato" if way is Way.QR else "")) is not None

    def accept_code(self, stated: Stated) -> bool:
        """A typed code, already proven."""
        return self.handle(ByCode(stated, "Sato", _UNHEARD)) is not None

    def open_by_hand(self, stay: str, give_back: bool) -> None:
        """An order in the window: kept, carried out by the port, kept again; then the stay's payment follows."""
        self._turns += 1
        now, who, where = self._line.now, f"hand-{self._turns}", (LOT, self.machine.exit_of(stay))
        turn = Turn(who, 0, now, now + LINGER, None)
        view = CommandView(command_id=who, verb="release", state=CommandState.COMMANDED, at=now, actor="Sato")
        silent = self._line.seconds < self.machine.silent_until
        if silent or self.handle(HandActed(where, turn)) is None or not self._keep(where[1], view, None):
            return
        self.machine.open_by_hand(stay, self._line.seconds)
        self._history.people.append(Person(self._line.seconds, "opened", stay))
        confirmed = not self._faults.strikes("opening not confirmed")
        state = CommandState.CONFIRMED if confirmed else CommandState.NOT_CONFIRMED
        ref = StayRef(NameKind.BAY, stay, EPOCH - timedelta(hours=1))
        opening = Opening(
            command_id=who,
            lot=LOT,
            stay=ref,
            actor="Sato",
            reason="malfunction",
            at=now,
            give_back=give_back,
            confirmed=confirmed,
        )
        cases = self.open_cases(stay)
        if self._crashes():
            return
        if give_back and cases:  # from the commit on
            self._history.people.append(Person(self._line.seconds, "gave_back", stay, cases[-1].number))
        if not self._keep(where[1], replace(view, state=state), opening):
            return
        self.handle(HandActed(where, Turn(who, 0, now, now if confirmed else now + LINGER, confirmed or None)))
        if cases:
            told = events.Overridden("Sato", "malfunction", give_back, confirmed)
            self.handle(ForCase(cases[-1].key, told))

    def _keep(self, exit_: str, view: CommandView, opening: Opening | None) -> bool:
        """Commit an order as it stands; False if the process died over it."""
        with self.journal.transaction() as tx:
            tx.put_command(LOT, exit_, view)
            if opening is not None:
                tx.put_opening(opening)
        return not self._crashes()

    def left(self, stay: str) -> None:
        """The car is seen to be gone."""
        for case in self.open_cases(stay):
            if case.phase is CasePhase.IN_DOUBT:
                self.handle(ForCase(case.key, events.Left("the car has left")))

    def open_cases(self, stay: str) -> list[Case]:
        """Cases of a stay that are not over."""
        return [case for case in self.journal.open_cases() if case.stay.name == stay] if self.alive else []

    # --- the thread of decisions -------------------------------------------------------------------------------------

    def handle(self, message: Message) -> list[events.Effect] | None:
        """Decide, commit, carry out; None if the process died meanwhile, committed or not."""
        if not self.alive or self._crashes():
            return None
        staged = Staged()
        with self.journal.transaction() as tx:
            self._book.decide(tx, message, self._line.now, staged)
        if self._crashes():
            return None
        self._book.merge(staged)
        self.news()
        for case, effect, _ in staged.effects:
            self._line.tell(f"bridge  {case.reference} {case.phase.value} → {type(effect).__name__}")
            self._perform(case, effect)
        self._wake()
        self._call(staged)
        return [effect for _, effect, _ in staged.effects]

    def _crashes(self) -> bool:
        if self._faults.strikes("crash"):
            self._line.tell("bridge  killed")
            self.alive = False
            self.life += 1
            self._line.after(self._faults.dice.uniform(1, 40), self.start)
        return not self.alive

    def _wake(self) -> None:
        due = self._book.next_due()
        if due is not None:
            self._later(max(0.0, (due - self._line.now).total_seconds()), self._due)

    def _due(self) -> None:
        for message in self._book.due(self._line.now):
            self.handle(message)

    def _later(self, seconds: float, do: Callable[[], object]) -> None:
        """Do something unless this process has died by then."""
        life = self.life
        self._line.after(seconds, lambda: do() if self.life == life and self.alive else None)

    def _scene(self, case: Case, rival: bool) -> events.Scene:
        nature = self.machine.nature
        seen = Level.PHYSICALLY_OBSERVED if nature.sensor else Level.LINK_ACKED
        return events.Scene(
            steps=nature.steps,
            settle_level=self.machine.settle_level,
            release_level=seen,
            settle_retry=nature.retry,
            release_retry=nature.retry,
            give_up=20.0,
            retry=1.0,
            exit=self.machine.exit_of(case.stay.name),
            rival=rival,
        )

    # --- ports -------------------------------------------------------------------------------------------------------

    def _perform(self, case: Case, effect: events.Effect) -> None:
        if isinstance(effect, events.Act):
            self._later(0.05, lambda: self._act(case))
        elif isinstance(effect, events.Look):
            self._later(0.2, lambda: self._look(case))

    def _act(self, case: Case) -> None:
        step, stay = case.step or Step.RELEASE, case.stay.name
        silent = self._line.seconds < self.machine.silent_until
        if silent or self._faults.strikes("unreachable"):
            self._say(case, events.NothingSent(case.attempt, Code.LINK_DOWN, "port gone"))
            return
        against = self.machine.refusal(step, stay, case.reference)
        if against:
            code = Code.ALREADY_PAID if against == "paid" else Code.STAY_UNKNOWN
            self._say(case, events.Finished(case.attempt, Refused(code, against)))
            return
        intent = events.Intending(case.attempt, b"\x01", self.machine.count(stay))
        effects = self.handle(ForCase(case.key, intent, _UNHEARD))
        if effects is None:
            return
        if not any(isinstance(effect, events.Go) for effect in effects):
            self._say(case, events.NothingSent(case.attempt, Code.CONFLICT, "halted"))
            return
        if not self._crashes():
            self._write(case, step)

    def _write(self, case: Case, step: Step) -> None:
        """The first byte leaves: from here on the machine may act, whatever becomes of us."""
        dice, silence = self._faults.dice, Uncertain("no reply")
        if self._faults.strikes("machine restarts"):
            self.machine.restart(self._line.seconds + dice.uniform(3, 60))
            self._finish(1.0, case, silence)
        elif self._faults.strikes("request lost"):
            self._finish(1.0, case, silence)
        elif self.machine.repeated(case.reference, case.sequence or case.attempt):
            self._finish(0.1, case, self._applied(step))
        elif self._faults.strikes("acts late"):
            self._late(dice.uniform(0.2, OBSERVE * 0.9), case, step)
            self._finish(1.0, case, silence)
        else:
            acted = self._does(case, step)
            if self._faults.strikes("reply lost"):
                self._finish(1.0, case, silence)
            elif acted:
                self._finish(0.1, case, self._applied(step))
            else:
                self._finish(0.1, case, Refused(Code.ALREADY_PAID, "paid"))

    def _late(self, seconds: float, case: Case, step: Step) -> None:
        """It will act, unless it forgets."""
        restarts = self.machine.restarts
        self._line.after(seconds, lambda: self._does(case, step) if restarts == self.machine.restarts else None)

    def _does(self, case: Case, step: Step) -> bool:
        acted = self.machine.act(step, case.stay.name, case.reference, case.number, self._line.seconds)
        self._line.tell(f"machine {step.value} for {case.reference}: {'done' if acted else 'refused'}")
        return acted

    def _applied(self, step: Step) -> Outcome:
        if step is Step.SETTLE:
            return Applied(self.machine.settle_level, (Evidence(EvidenceKind.RECEIPT, "R-1"),))
        level = Level.PHYSICALLY_OBSERVED if self.machine.nature.sensor else Level.LINK_ACKED
        return Applied(level, (Evidence(EvidenceKind.ECHO, "echo"),))

    def _finish(self, seconds: float, case: Case, outcome: Outcome) -> None:
        self._later(seconds, lambda: self._say(case, events.Finished(case.attempt, outcome)))
        if self._faults.strikes("answers twice"):
            repeated = outcome if isinstance(outcome, Applied | Refused) else Uncertain("late noise")
            self._later(seconds + 2.0, lambda: self._say(case, events.Finished(case.attempt, repeated)))

    def _look(self, case: Case) -> None:
        silent = self._line.seconds < self.machine.silent_until
        if silent or self._faults.strikes("silent witness"):
            self._say(case, events.Proof(case.attempt, events.Finding.UNKNOWN, ()))
            return
        waited = self._line.now - case.since >= timedelta(seconds=OBSERVE)
        found = self.machine.look(
            case.step or Step.RELEASE,
            case.stay.name,
            case.reference,
            case.counter,
            case.sent,
            waited,
            self._line.seconds,
        )
        proof = events.Proof(case.attempt, found.finding, found.proofs, found.detail, found.moved, found.still)
        self._say(case, proof)

    def _say(self, case: Case, event: events.Event) -> None:
        self._line.tell(f"port    {case.reference} {type(event).__name__} {getattr(event, 'finding', '')}".rstrip())
        self.handle(ForCase(case.key, event))

    # --- people ------------------------------------------------------------------------------------------------------

    def _call(self, staged: Staged) -> None:
        for case in staged.cases.values():
            if case.phase is CasePhase.IN_DOUBT and case.number not in self._called:
                self._called.add(case.number)
                self._line.after(PERSON_AFTER, lambda number=case.number: self._person(number))  # type: ignore[misc]  # the default binds this number

    def _person(self, number: int) -> None:
        """Somebody goes and looks at the machine and its book, and decides what is still in doubt."""
        self._called.discard(number)
        if not self.alive:
            self._line.after(60.0, lambda: self._person(number))
            return
        case = self.journal.case(LOT, number)
        if case is None or case.phase is not CasePhase.IN_DOUBT:
            return
        self.persons += 1
        kind = "book" if case.step is Step.SETTLE else "release"
        acted = any(one.number == number and one.kind == kind and one.by == "relay" for one in self._history.acts)
        if case.booked and not acted:
            self.open_by_hand(case.stay.name, give_back=False)
        else:
            verdict = Verdict.SETTLED if acted else Verdict.NOT_SETTLED
            self._history.people.append(Person(self._line.seconds, verdict.value, case.stay.name, number))
            self.handle(ForCase(case.key, events.Decided(verdict, "Sato", "looked")))
        self._line.tell(f"person  decides {case.reference}: {'it acted' if acted else 'it did not act'}")
        after = self.journal.case(LOT, number)
        if after is not None and after.phase is CasePhase.IN_DOUBT and number not in self._called:
            self._called.add(number)
            self._line.after(60.0, lambda: self._person(number))
