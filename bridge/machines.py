"""A lot's machines: who plays which role, and what a port's thread does with them. No decisions: those are the relay's.

Every method here but the constructor and `worker_of` runs on the thread that owns the port of the device concerned.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from bridge.case import Case, Step
from bridge.relay import Finding, Proof, Scene
from bridge.stays import KnownStay, present
from drivers import base
from drivers.profile import DeviceTable, ExitTable, LotProfile
from drivers.registry import create_driver
from drivers.transport import Tap
from parking.desk import Position, Verb
from parking.errors import Code, DaikoError, Environment, NotSent
from parking.errors import Refused as RefusedError
from parking.money import yen
from parking.outcome import Evidence, EvidenceKind, Level
from parking.stay import LotId, NameKind, StayRef
from parking.wire import Answer, Ask, Found, NotFound

log = logging.getLogger(__name__)

COUNTER_SPAN = 65536
"""Device counters are 16 bits wide."""


Tapping = Callable[[DeviceTable], Tap | None]
"""Which devices' bytes are written down, and by whom."""


def _no_tap(_: DeviceTable) -> Tap | None:
    return None


@dataclass(frozen=True, slots=True)
class Machine:
    """One device with its driver; `driver` implements the Protocols that its capabilities declare."""

    table: DeviceTable
    driver: base.Driver
    exits: tuple[ExitTable, ...]

    def target(self, exit_: ExitTable) -> base.Target:
        """The driver's name for an exit."""
        return base.Target(exit_.id, exit_.channel)


class LotMachines:
    """All machines of one lot."""

    def __init__(self, profile: LotProfile, clock: Callable[[], datetime], tapping: Tapping = _no_tap) -> None:
        """Make the drivers, each with the tap that `tapping` gives it.

        Raises Environment(CONFIG) for an unknown family, bad options, or a role that a device cannot play.
        """
        self._tapping = tapping
        self.profile = profile
        self.lot = LotId(profile.lot.id)
        self.exits = {exit_.id: exit_ for exit_ in profile.exit}
        self._clock = clock
        self.machines = {table.id: self._machine(table) for table in profile.device}
        for role, name, wanted in (
            ("stays", profile.roles.stays, base.Role.STAYS),
            ("fee", profile.roles.fee, base.Role.FEES),
            ("settle", profile.roles.settle, base.Role.SETTLE),
            ("witness", profile.roles.witness, base.Role.WITNESS),
        ):
            if name and wanted not in self.machines[name].driver.capabilities.roles:
                raise Environment(
                    Code.CONFIG, f"device {name!r} cannot play the role {role!r}", "see its driver's page"
                )

    def _machine(self, table: DeviceTable) -> Machine:
        exits = tuple(exit_ for exit_ in self.profile.exit if exit_.device == table.id)
        driver = create_driver(table, exits, self._clock, self._tapping(table))
        if exits and base.Role.EXIT not in driver.capabilities.roles:
            raise Environment(Code.CONFIG, f"device {table.id!r} cannot open exits", "see its driver's page")
        return Machine(table, driver, exits)

    def exit_for(self, case: Case) -> ExitTable | None:
        """Where the car of a case is let out: the lane that the completion names, or its bay's own plate."""
        if case.exit:
            return self.exits.get(case.exit)
        if case.stay.kind is NameKind.BAY:
            return next((exit_ for exit_ in self.profile.exit if exit_.bay == case.stay.name), None)
        return None

    def scene(self, case: Case, rival: bool) -> Scene:
        """What profile and drivers say about a case."""
        roles, times, exit_ = self.profile.roles, self.profile.times, self.exit_for(case)
        steps = ((Step.SETTLE,) if roles.settle else ()) + ((Step.RELEASE,) if exit_ else ())
        lost_lane = bool(case.exit) and exit_ is None
        return Scene(
            steps=() if lost_lane else steps,
            settle_level=roles.settle_done_when.level,
            release_level=roles.done_when.level,
            settle_retry=self._retry(roles.settle),
            release_retry=self._retry(exit_.device if exit_ else ""),
            give_up=times.give_up,
            retry=times.retry,
            rival=rival,
        )

    def device_of(self, case: Case) -> str:
        """Which device carries out the present step of a case."""
        exit_ = self.exit_for(case)
        if case.step is Step.RELEASE and exit_ is not None:
            return exit_.device
        return self.profile.roles.settle

    def witness_of(self, case: Case) -> str:
        """Which device is asked for evidence."""
        roles = self.profile.roles
        return (roles.witness or roles.settle) if case.step is Step.SETTLE else self.device_of(case)

    def act(self, case: Case, known: Mapping[str, KnownStay], intend: base.Intend) -> base.Outcome:
        """Carry out the present step. Raises NotSent or Environment when it is certain that nothing left."""
        now = time.monotonic()
        if case.step is Step.SETTLE:
            machine = self.machines[self.profile.roles.settle]
            order = base.SettleOrder(
                stay=case.stay,
                amount=yen(case.amount),
                reference=case.reference,
                paid_at=case.paid_at,
                attempt=case.attempt,
                deadline=now + 2 * machine.table.timeout_seconds,
                intend=intend,
            )
            return cast("base.Settler", machine.driver).settle(order)
        exit_ = self.exit_for(case)
        if exit_ is None:
            return base.Refused(Code.EXIT_UNKNOWN, f"no exit {case.exit!r} in the profile")
        machine = self.machines[exit_.device]
        if (no := self._wrong_car(case, machine, known)) is not None:
            return no
        deadline = now + machine.table.timeout_seconds + self.profile.times.observe
        order_ = base.ReleaseOrder(case.reference, case.attempt, deadline, intend)
        return self._exit_driver(machine).release(machine.target(exit_), order_)

    def _wrong_car(self, case: Case, machine: Machine, known: Mapping[str, KnownStay]) -> base.Refused | None:
        """P7: a completion opens a bay only for the stay it names. Read right before the release."""
        if case.stay.kind is not NameKind.BAY:
            return None
        if machine.table.id == self.profile.roles.stays:
            seen = self.seen_stays(time.monotonic() + machine.table.timeout_seconds)
            there = present(known, seen, case.stay)
        else:
            there = next((one.ref for one in known.values() if one.ref.name == case.stay.name), None)
        if there is None:
            return base.Refused(Code.STAY_UNKNOWN, f"no car in bay {case.stay.name}")
        if not there.same_as(case.stay):
            return base.Refused(Code.STAY_CHANGED, f"another car is in bay {case.stay.name}")
        return None

    def look(self, case: Case, now: datetime) -> Proof:
        """Look for evidence of the latest attempt, strongest first; never acts, never raises a DaikoError."""
        try:
            finding, evidence, detail = self._testify(case) if case.step is Step.SETTLE else self._inspect(case, now)
        except DaikoError as error:
            log.info("%s: no evidence to be had: %s", case.reference, error)
            finding, evidence, detail = Finding.UNKNOWN, (), ""  # what the doubt is about stays on show
        return Proof(case.attempt, finding, evidence, detail)

    def _testify(self, case: Case) -> tuple[Finding, tuple[Evidence, ...], str]:
        machine = self.machines[self.witness_of(case)]
        deadline = time.monotonic() + machine.table.timeout_seconds
        match cast("base.Witness", machine.driver).who_settled(case.stay, case.reference, deadline):
            case base.Ours(reference, detail):
                proof = Evidence(EvidenceKind.WITNESS, f"{machine.table.id}: paid by {reference} {detail}".strip())
                return Finding.OURS, (proof,), detail
            case base.Cash(detail):
                return Finding.OTHERS, (Evidence(EvidenceKind.WITNESS, f"{machine.table.id}: {detail}"),), detail
            case base.Nobody(detail):
                return Finding.NOT_ACTED, (), detail
            case base.CannotTell(detail):
                return Finding.UNKNOWN, (), detail

    def _inspect(self, case: Case, now: datetime) -> tuple[Finding, tuple[Evidence, ...], str]:
        exit_ = self.exit_for(case)
        if exit_ is None:
            return Finding.UNKNOWN, (), "the exit is no longer in the profile"
        machine, driver = self.machines[exit_.device], self._exit_driver(self.machines[exit_.device])
        target, deadline = machine.target(exit_), time.monotonic() + machine.table.timeout_seconds
        moved = None
        if case.counter is not None and (count := driver.read_counter(target, deadline)) is not None:
            moved = (count - case.counter) % COUNTER_SPAN
            if moved == 1:
                text = f"{machine.table.id}: release counter {case.counter} → {count}"
                return Finding.OURS, (Evidence(EvidenceKind.COUNTER, text),), ""
        (state,) = driver.read((target,), deadline)
        if state.position is Position.OPEN:
            return Finding.OURS, (Evidence(EvidenceKind.OBSERVED, f"{exit_.id} is open"),), ""
        waited = (now - case.since).total_seconds() >= self.profile.times.observe
        untouched = case.sent == 0 or (moved == 0 and waited)
        if untouched and state.position is Position.CLOSED and state.vehicle is not False:
            return Finding.NOT_ACTED, (), "the device did not act: its counter stands still and the exit is closed"
        return Finding.UNKNOWN, (), f"{exit_.id} is {state.position.value}" + (f", counter +{moved}" if moved else "")

    def answer(self, ask: Ask) -> Answer:
        """Ask the legacy for a fee."""
        machine = self.machines[self.profile.roles.fee]
        try:
            deadline = time.monotonic() + min(machine.table.timeout_seconds, _until(ask, self._clock()))
            quote = cast("base.FeeSource", machine.driver).quote(StayRef(ask.kind, ask.name), ask.at, deadline)
        except DaikoError as error:
            code = Code.DEVICE_UNAVAILABLE if not isinstance(error, RefusedError) else error.code
            return Answer(ask_id=ask.ask_id, result=NotFound(code=code, detail=error.detail))
        if isinstance(quote, base.Refused):
            return Answer(ask_id=ask.ask_id, result=NotFound(code=quote.code, detail=quote.detail))
        found = Found(stay=quote.stay, amount=quote.amount, lines=quote.lines, valid_until=quote.valid_until)
        return Answer(ask_id=ask.ask_id, result=found)

    def by_hand(self, verb: Verb, exit_: ExitTable, reference: str, intend: base.Intend) -> base.Outcome:
        """Carry out an attendant's order. Raises NotSent or Environment when nothing left."""
        machine = self.machines[exit_.device]
        deadline = time.monotonic() + machine.table.timeout_seconds + self.profile.times.observe
        order = base.ReleaseOrder(reference, 1, deadline, intend)
        driver, target = self._exit_driver(machine), machine.target(exit_)
        if verb is Verb.HOLD_OPEN:
            return driver.hold_open(target, order)
        if verb is Verb.END_HOLD:
            return driver.end_hold(target, order)
        return driver.release(target, order)

    def read_exits(self, machine: Machine) -> Sequence[base.ExitState]:
        """Read all exits of a device, in the order of `machine.exits`."""
        targets = tuple(machine.target(exit_) for exit_ in machine.exits)
        return self._exit_driver(machine).read(targets, time.monotonic() + machine.table.timeout_seconds)

    def seen_stays(self, deadline: float) -> Sequence[base.Stay]:
        """Ask the device that knows the stays."""
        driver = self.machines[self.profile.roles.stays].driver
        return cast("base.StayFeed", driver).stays(deadline)

    def done_level(self, verb: Verb) -> Level:
        """The level at which an order by hand counts as confirmed; ending a hold shows only when cars pass."""
        return Level.LINK_ACKED if verb is Verb.END_HOLD else self.profile.roles.done_when.level

    def _retry(self, device: str) -> base.Retry:
        return self.machines[device].driver.capabilities.retry if device else base.Retry.NEVER

    @staticmethod
    def _exit_driver(machine: Machine) -> base.ExitDevice:
        return cast("base.ExitDevice", machine.driver)


def _until(ask: Ask, now: datetime) -> float:
    left = (ask.expires_at - now).total_seconds()
    if left <= 0:
        raise NotSent(Code.EXPIRED, "the ask has expired")
    return left
