"""The cloud and its payment provider, in little: the shipped checkout decides, calls and webhooks get lost."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from cloud import checkout
from cloud.checkout import Limits, Payment, Standing
from cloud.payments.base import ProviderEvent, ProviderState
from parking import completion as completions
from parking.completion import Completion
from parking.money import yen
from parking.outcome import Level
from parking.reports import InDoubt, OverrideMatched, Received, Redeemed, Refused, Report, Settled
from parking.signing import SigningKey, to_text
from parking.stay import LotId, StayRef
from parking.wire import Entry
from simulation.faults import Faults
from simulation.history import History, Money, Person, Said, Signed
from simulation.timeline import EPOCH, Timeline

LIMITS = Limits(authorization=timedelta(days=2), completion_valid=timedelta(minutes=20))
_SAYS = {Received: "received", Redeemed: "received", Settled: "settled", Refused: "refused", InDoubt: "in_doubt"}
_DONE = {
    ("authorized", "capture"): "captured",
    ("authorized", "void"): "voided",
    ("captured", "refund"): "refunded",
}


class Cloud:
    """One lot's cloud. `entries` are the completions in the order of their numbers, from 1."""

    def __init__(self, line: Timeline, faults: Faults, key: SigningKey, lot: LotId, history: History) -> None:
        self._line, self._faults, self._key, self._lot, self._history = line, faults, key, lot, history
        self.entries: list[Entry] = []
        self.completions: dict[str, Completion] = {}
        self.payments: dict[str, Payment] = {}
        self._stays: dict[str, StayRef] = {}
        self._provider: dict[str, str] = {}
        self._order_of: dict[int, str] = {}
        self._through = 0
        self._generation = 1
        self._asked: set[tuple[str, str]] = set()
        self.issued: Callable[[], object] = lambda: None
        """Called when there is something new in the feed."""

    # --- the driver and the provider ---------------------------------------------------------------------------------

    def pay(self, order: str, stay: StayRef, amount: int) -> bool:
        """The driver authorizes; False if a payment for the stay is in flight already."""
        flying = (Standing.OPEN, Standing.AUTHORIZED, Standing.IN_DOUBT, Standing.SETTLED, Standing.CAPTURED)
        if any(self.payments[one].standing in flying for one, at in self._stays.items() if at == stay):
            return False
        self.payments[order] = Payment(Standing.OPEN, yen(amount), self._line.now + timedelta(minutes=5))
        self._stays[order] = stay
        self._state(order, "authorized")
        for seconds in (21, 601, 1300, 90_000, 180_000):
            self._line.after(seconds, lambda: self._move(order, checkout.Tick()))
        return True

    def _state(self, order: str, state: str) -> None:
        """The provider's own record, and its webhook, which may get lost; then a poll brings it."""
        self._provider[order] = state
        amount = self.payments[order].amount
        self._history.money.append(Money(self._line.seconds, order, state, amount))
        self._line.tell(f"provider {order} {state}")
        event = ProviderEvent(f"{order}-{state}", order, order, ProviderState(state), amount, self._line.now)
        if self._faults.strikes("webhook lost"):
            self._line.after(60.0, lambda: self._move(order, event))
            return
        self._line.after(0.3, lambda: self._move(order, event))
        if self._faults.strikes("webhook repeated"):
            self._line.after(self._faults.dice.uniform(0.3, 200), lambda: self._move(order, event))

    def _command(self, order: str, verb: str) -> None:
        """Once per order and verb; repeated until the provider has answered."""
        if (order, verb) not in self._asked:
            self._asked.add((order, verb))
            self._line.after(0.2, lambda: self._call(order, verb))

    def _call(self, order: str, verb: str) -> None:
        if self._faults.strikes("provider call lost"):
            self._line.after(5.0, lambda: self._call(order, verb))
            return
        done = _DONE.get((self._provider[order], verb))
        if done is not None:
            self._state(order, done)
        if self._faults.strikes("provider reply lost"):
            self._line.after(5.0, lambda: self._call(order, verb))

    # --- decisions ---------------------------------------------------------------------------------------------------

    def _move(self, order: str, event: checkout.Event) -> None:
        before = self.payments[order]
        after, effects = checkout.step(before, event, self._line.now, LIMITS)
        self.payments[order] = after
        if after.standing is not before.standing:
            self._line.tell(f"cloud   {order} {before.standing} → {after.standing}")
        for effect in effects:
            match effect:
                case checkout.IssueCompletion(paid_at, valid_until):
                    self._issue(order, paid_at, valid_until)
                case checkout.Capture():
                    self._command(order, "capture")
                case checkout.Void():
                    self._command(order, "void")
                case checkout.Refund():
                    self._command(order, "refund")
                case checkout.Loss():
                    self._history.losses.append(order)
                case checkout.Alarm():
                    self._line.tell(f"alarm   {order} {effect.code}")

    def _issue(self, order: str, paid_at: datetime, valid_until: datetime) -> None:
        number, stay, amount = len(self.entries) + 1, self._stays[order], self.payments[order].amount
        made = Completion(self._key.key_id, self._lot, number, stay, amount, paid_at, valid_until)
        self.completions[order] = made
        self.entries.append(Entry(number=number, completion=to_text(completions.sign(made, self._key))))
        self._order_of[number] = order
        until = (valid_until - EPOCH).total_seconds()
        self._history.signed.append(Signed(self._line.seconds, order, number, stay.name, amount, until))
        self.issued()

    # --- the bridge --------------------------------------------------------------------------------------------------

    def take(self, first: int, reports: Sequence[Report], generation: int) -> int:
        """Apply what is new of a batch of reports; returns up to which all are taken."""
        if generation != self._generation:
            return 0
        for report in reports[max(0, self._through + 1 - first) :]:
            self._through += 1
            self._report(report)
        return self._through

    def _report(self, report: Report) -> None:
        at = self._line.seconds
        match report:
            case Received() | Redeemed() | Settled() | Refused() | InDoubt():
                by = getattr(report, "by", "relay")
                self._history.said.append(Said(at, report.number, _SAYS[type(report)], by))
                order = self._order_of.get(report.number)
                if order is None:
                    return
                if isinstance(report, Received | Redeemed):
                    self.payments[order] = replace(self.payments[order], received=True)
                self._move(order, report)
            case OverrideMatched(number=number, give_back=True) if number in self._order_of:
                self._move(self._order_of[number], checkout.GiveBack(report.actor, report.reason))
            case _:
                pass

    def replace_bridge(self) -> int:
        """Another bridge takes over: what its predecessor may have acted on is in doubt; returns the feed's floor."""
        self._generation += 1
        self._through = 0
        self._history.replaced_at = self._line.seconds
        for number, order in self._order_of.items():
            if self.payments[order].standing is Standing.AUTHORIZED:
                self._history.said.append(Said(self._line.seconds, number, "in_doubt", "cloud"))
                doubt = InDoubt(number=number, at=self._line.now, code="interrupted", detail="bridge replaced")
                self._move(order, doubt)
        return len(self.entries)

    def person_resolves(self, acted: set[int]) -> int:
        """A person at the operator decides what a replaced bridge left in doubt, by looking at the lot."""
        decided = 0
        for number, order in self._order_of.items():
            if self.payments[order].standing is not Standing.IN_DOUBT:
                continue
            decided += 1
            verdict = "settled" if number in acted else "not_settled"
            stay = self._stays[order].name
            self._history.people.append(Person(self._line.seconds, verdict, stay, number))
            self._history.said.append(
                Said(self._line.seconds, number, verdict.replace("not_settled", "refused"), "person")
            )
            now = self._line.now
            if number in acted:
                self._move(order, Settled(number=number, at=now, level=Level.SENT, evidence=(), by="person"))
            else:
                self._move(order, Refused(number=number, at=now, code="not-settled", detail="", by="person"))
        return decided
