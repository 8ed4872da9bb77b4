"""What can happen next in a small lot: by machine, line, port, timers and people; each fault, a crash anywhere."""

from collections.abc import Iterator
from typing import Final

from bridge import events
from bridge.case import Case, Step
from bridge.evidence import Found
from drivers.base import Applied, Refused, Uncertain
from parking.commands import Verdict
from parking.desk import CasePhase
from parking.errors import Code
from parking.outcome import Level
from simulation.decided import HAND, Decided
from simulation.machines import NATURE, Kind
from simulation.plain import MOMENTS, waited
from simulation.small import INSTANTS, LAST, Job, Small, act, look, opened, refusal

Next = Iterator[tuple[str, Small]]
_FIRST: Final = {HAND: 0, "act": 1, "look": 2}


class Moves:
    """One kind of machine, whose every fault strikes up to `each` times."""

    def __init__(self, kind: Kind, each: int, paid: int) -> None:
        """`paid` is how many completions there are for the one stay."""
        self.kind, self._nature, self._each = kind, NATURE[kind], each
        self.book = Decided(self._nature, paid)
        self.faults = self.people = True
        """Whether faults may strike, and whether somebody may pay or open besides."""

    def of(self, state: Small) -> Next:
        """Everything that can happen."""
        yield from self._machine(state)
        if not state.late and not state.jobs and not state.starting and state.instant < LAST:
            yield f"until {INSTANTS[state.instant + 1]:.0f} s", self.book.later(state)
        if not state.alive:
            yield "start", self.book.start(state)
            return
        if self._may(state, "crash"):
            yield "crash", state.spend("crash")._replace(alive=False, jobs=(), starting=())
        if state.starting:  # recovery comes before everything else
            yield f"{state.starting[0]} is taken up", self.book.take_up(state)
            return
        yield from self._line(state)
        yield from self._port(state)
        yield from self._timers(state)
        if self.people and state.by_hand:
            for order in ("opens", "gives_back"):
                job = Job(HAND, int(order == "gives_back"))
                yield f"a person {order}", state._replace(by_hand=False, jobs=(*state.jobs, job))
        if self.at_rest(state):
            yield from self._decisions(state)

    def is_over(self, state: Small) -> bool:
        """Whether nothing happens any more unless a fault strikes, and nobody pays or opens besides."""
        before, self.faults, self.people = self.faults, False, False
        over = next(self.of(state), None) is None
        self.faults, self.people = before, True
        return over

    def _may(self, state: Small, fault: str) -> bool:
        return self.faults and state.times(fault) < self._each

    def _machine(self, state: Small) -> Next:
        for at, (step, number) in enumerate(state.late):
            rest = state._replace(late=state.late[:at] + state.late[at + 1 :])
            yield f"late {step} for {number}", act(rest, self.kind, self._nature, Step(step), number)[0]
        if self.people and state.cash and not state.paid:
            yield "cash", state._replace(cash=False, paid="cash").acted("book", "cash")

    def _line(self, state: Small) -> Next:
        first = next((number for number in self.book.entries if number not in state.given), None)
        for number in self.book.entries:
            if number in state.given:
                if self._may(state, "repeated"):
                    yield f"completion {number} again", self.book.completion(state.spend("repeated"), number)
                continue
            if state.instant == LAST:
                continue
            ordered = number == first
            if ordered or self._may(state, "reordered"):
                given = state if ordered else state.spend("reordered")
                given = given._replace(given=tuple(sorted((*state.given, number))))
                yield f"completion {number}", self.book.completion(given, number)

    def _timers(self, state: Small) -> Next:
        now, busy = MOMENTS[state.instant], [job.number for job in state.jobs if job.kind != HAND]
        for case in self.book.cases(state):
            if case.due is not None and case.due <= now and not case.over and case.number not in busy:
                yield f"due {case.number}", self.book.tell(state, case.number, events.Due())[0]

    # --- the port ----------------------------------------------------------------------------------------------------

    def _port(self, state: Small) -> Next:
        if not state.jobs:
            return
        busy = next((job for job in state.jobs if job.stage != "begin"), None)
        job = busy or min(state.jobs, key=lambda one: _FIRST[one.kind])
        at = state.jobs.index(job)
        rest = state._replace(jobs=state.jobs[:at] + state.jobs[at + 1 :])
        if job.kind == HAND:
            yield from self._hand(rest, job)
            return
        case = self.book.case(state, job.number)
        if case is None:
            yield "nothing to do", rest
        elif job.stage == "reply":
            event = self.book.event(job.said)
            yield f"{job.kind} {job.number} answers", self.book.tell(rest, job.number, event)[0]
        elif job.kind == "look":
            yield from self._look(rest, job, case)
        elif job.stage == "write":
            yield from self._write(rest, job, case)
        else:
            yield from self._begin(rest, job, case)

    def _reply(self, state: Small, job: Job, said: events.Event) -> Small:
        return state._replace(jobs=(job._replace(stage="reply", said=self.book.keep(said)), *state.jobs))

    def _hand(self, state: Small, job: Job) -> Next:
        """By hand: the order is kept, the exit opens, what was opened is kept, and the stay's payment follows."""
        word = "gives_back" if job.number else "opens"
        match job.stage:
            case "begin":
                begun = self.book.by_hand(state, None)._replace(begun=word)
                begun = begun.said("gives_back") if job.number else begun  # from the commit on
                yield "the order by hand is kept", _on(begun, job, "write")
            case "write":
                done = opened(state, self._nature).acted("release", "person").said("opened")
                yield "opened by hand", _on(done, job, "reply")
                if self._may(done, "reply lost"):
                    yield "opened by hand, no reply", _on(done.spend("reply lost"), job._replace(attempt=1), "reply")
            case "reply":
                kept = self.book.opened(state, confirmed=not job.attempt, give_back=bool(job.number))
                yield "the opening is kept", _on(kept, Job(HAND, 0), "follow")
            case _:
                yield "the payment follows", self.book.follow(state)

    def _begin(self, state: Small, job: Job, case: Case) -> Next:
        step = case.step or Step.RELEASE
        if self._may(state, "unreachable"):
            said = events.NothingSent(job.attempt, Code.LINK_DOWN, "")
            yield f"unreachable for {job.number}", self._reply(state.spend("unreachable"), job, said)
        if refusal(state, self._nature, step, job.number):
            said_no = events.Finished(job.attempt, Refused(Code.ALREADY_PAID, ""))
            yield f"refused for {job.number}", self._reply(state, job, said_no)
            return
        count = state.counter if self._nature.counts else None
        waiting = state._replace(jobs=(job, *state.jobs))
        after, go = self.book.tell(waiting, job.number, events.Intending(job.attempt, b"x", count))
        rest = after._replace(jobs=after.jobs[1:])
        if go:
            yield f"intent of {job.number}", _on(rest, job, "write")
        else:
            yield f"halt {job.number}", self._reply(rest, job, events.NothingSent(job.attempt, Code.CONFLICT, ""))

    def _write(self, state: Small, job: Job, case: Case) -> Next:
        step, silence = case.step or Step.RELEASE, events.Finished(job.attempt, Uncertain(""))
        if self._may(state, "request lost"):
            yield f"request of {job.number} lost", self._reply(state.spend("request lost"), job, silence)
        if self.kind is Kind.B_NUMBERED:
            if job.number in state.told:
                known = events.Finished(job.attempt, Applied(Level.LEGACY_CONFIRMED, ()))
                yield f"{job.number} is known by its number", self._reply(state, job, known)
                return
            state = state._replace(told=tuple(sorted((*state.told, job.number))))
        if self._may(state, "acts late"):
            late = tuple(sorted((*state.late, (step.value, job.number))))
            will = state.spend("acts late")._replace(late=late)
            yield f"{job.number} will act late", self._reply(will, job, silence)
        done, acted = act(state, self.kind, self._nature, step, job.number)
        if self._may(done, "reply lost"):
            yield f"{job.number} acts, reply lost", self._reply(done.spend("reply lost"), job, silence)
        best = Level.PHYSICALLY_OBSERVED if self._nature.sensor or step is Step.SETTLE else Level.LINK_ACKED
        outcome = Applied(best, ()) if acted else Refused(Code.ALREADY_PAID, "")
        yield f"{job.number} acts", self._reply(done, job, events.Finished(job.attempt, outcome))

    def _look(self, state: Small, job: Job, case: Case) -> Next:
        if self._may(state, "silent witness"):
            unknown = events.Proof(job.attempt, events.Finding.UNKNOWN, ())
            yield f"no witness for {job.number}", self._reply(state.spend("silent witness"), job, unknown)
        found = self._see(state, case)
        yield f"{job.number} looked into: {found.finding}", self._reply(state, job, _proof(job.attempt, found))

    def _see(self, state: Small, case: Case) -> Found:
        return look(state, self.kind, self._nature, case, waited(case, state.instant) and not state.late)

    # --- people ------------------------------------------------------------------------------------------------------

    def at_rest(self, state: Small) -> bool:
        """Whether all machines have come to rest, so that a person may look and decide."""
        return state.alive and state.instant == LAST and not (state.jobs or state.late or state.starting)

    def person_needed(self, state: Small, case: Case) -> bool:
        """Whether another look, undisturbed, leaves the case in doubt."""
        if case.phase is not CasePhase.IN_DOUBT:
            return False
        seen = self.book.tell(state, case.number, _proof(case.attempt, self._see(state, case)))[0]
        after = self.book.case(seen, case.number)
        return after is not None and after.phase is CasePhase.IN_DOUBT

    def _decisions(self, state: Small) -> Next:
        for case in self.book.cases(state):
            if not self.person_needed(state, case):
                continue
            kind = "book" if case.step is Step.SETTLE else "release"
            acted = (kind, "relay", case.number) in state.acts
            verdict = Verdict.SETTLED if acted or case.booked else Verdict.NOT_SETTLED
            known = state.said(verdict.value, case.number)
            if case.booked and not acted:
                known = known.acted("release", "person")
            decided = events.Decided(verdict, "Sato", "looked")
            yield f"a person decides {case.number}: {verdict}", self.book.tell(known, case.number, decided)[0]


def _on(state: Small, job: Job, stage: str) -> Small:
    return state._replace(jobs=(job._replace(stage=stage), *state.jobs))


def _proof(attempt: int, found: Found) -> events.Proof:
    return events.Proof(attempt, found.finding, found.proofs, "", found.moved, found.still)
