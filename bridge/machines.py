"""A lot's machines: who plays which role, and what a port's thread does with them. No decisions: those are the relay's.

Every method here but the constructor and `worker_of` runs on the thread that owns the port of the device concerned.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from bridge import evidence
from bridge.case import Case, Step
from bridge.events import Finding, Proof, Scene
from bridge.plates import LotPlates, in_memory
from bridge.seen_elsewhere import SeenElsewhere
from bridge.stays import KnownStay, present
from drivers import base
from drivers.profile import DeviceTable, ExitTable, LotProfile
from drivers.registry import create_driver
from drivers.transport import Tap
from parking.commands import Verb
from parking.errors import Code, DaikoError, Environment, NotSent
from parking.errors import Refused as RefusedError
from parking.money import yen
from parking.outcome import Level
from parking.stay import LotId, NameKind, StayRef
from parking.wire import Answer, Ask, Found, NotFound

log = logging.getLogger(__name__)

OnPort = Callable[[str, Callable[[], Sequence[base.ExitState]], float], Sequence[base.ExitState]]
"""Does a job on the thread of a device's port, by the device's id, until a deadline; raises as the job, or NotSent."""

Tapping = Callable[[DeviceTable], Tap | None]
"""Which devices' bytes are written down, and by whom."""


def _here(_device: str, job: Callable[[], Sequence[base.ExitState]], _deadline: float) -> Sequence[base.ExitState]:
    """Where there are no ports' threads."""
    return job()


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

    def __init__(
        self,
        profile: LotProfile,
        clock: Callable[[], datetime],
        tapping: Tapping = _no_tap,
        plates: LotPlates | None = None,
    ) -> None:
        """Make the drivers, each with the tap that `tapping` gives it; `plates` turns plates to tokens and back.

        Raises Environment(CONFIG) for an unknown family, bad options, or a role that a device cannot play.
        """
        self._tapping = tapping
        self.profile = profile
        self.lot = LotId(profile.lot.id)
        self.plates = plates or in_memory(self.lot, profile.lot.names)
        self.exits = {exit_.id: exit_ for exit_ in profile.exit}
        self._clock = clock
        self.on_port: OnPort = _here
        self.machines = {table.id: self._machine(table) for table in profile.device}
        self._movers = {name: self._mover(machine) for name, machine in self.machines.items() if machine.exits}
        for role, name, wanted in (
            ("stays", profile.roles.stays, base.Role.STAYS),
            ("fee", profile.roles.fee, base.Role.FEES),
            ("settle", profile.roles.settle, base.Role.SETTLE),
            ("witness", profile.roles.witness, base.Role.WITNESS),
            ("books", profile.roles.books, base.Role.BOOKS),
        ):
            if name and wanted not in self.machines[name].driver.capabilities.roles:
                raise Environment(
                    Code.CONFIG, f"device {name!r} cannot play the role {role!r}", "see its driver's page"
                )

        for exit_ in profile.exit:
            self._warn_if_never_done(exit_)

    def _warn_if_never_done(self, exit_: ExitTable) -> None:
        best = self.machines[exit_.device].driver.capabilities.release_level
        best, wanted = Level.PHYSICALLY_OBSERVED if exit_.seen_by else best, self.profile.roles.done_when
        if best < wanted.level:
            shown = f"{best.name.lower()} at best, done_when = {wanted.value}"
            log.warning("exit %s: %s: every payment there will end in doubt", exit_.id, shown)

    def _machine(self, table: DeviceTable) -> Machine:
        exits = tuple(exit_ for exit_ in self.profile.exit if exit_.device == table.id)
        driver = create_driver(table, exits, self._clock, self._tapping(table))
        if exits and base.Role.EXIT not in driver.capabilities.roles:
            raise Environment(Code.CONFIG, f"device {table.id!r} cannot open exits", "see its driver's page")
        return Machine(table, driver, exits)

    def _mover(self, machine: Machine) -> base.ExitDevice:
        """The driver that moves a device's exits, with the eyes of others where the profile names them."""
        driver, eyes = cast("base.ExitDevice", machine.driver), {exit_.eye.device for exit_ in machine.exits}
        for eye in eyes - {machine.table.id}:
            if base.Role.SIGHT not in self.machines[eye].driver.capabilities.roles:
                raise Environment(Code.CONFIG, f"device {eye!r} cannot see exits", "see its driver's page")
        if eyes == {machine.table.id}:
            return driver
        return SeenElsewhere(driver, {exit_.id: exit_ for exit_ in machine.exits}, self._see)

    def _see(self, device: str, targets: Sequence[base.Target], deadline: float) -> Sequence[base.ExitState]:
        machine = self.machines[device]
        soon = min(deadline, time.monotonic() + machine.table.timeout_seconds)
        return self.on_port(device, lambda: cast("base.ExitDevice", machine.driver).read(targets, soon), soon)

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
            exit=exit_.id if exit_ else "",
            rival=rival,
            partial=bool(roles.settle) and self.machines[roles.settle].driver.capabilities.partial,
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
            # a pay station acts while somebody stands before it, coin by coin
            acts = self.profile.times.observe if case.stay.kind is NameKind.DESK else 0.0
            order = base.SettleOrder(
                stay=self.plates.plain(case.stay),
                amount=yen(case.amount),
                reference=case.reference,
                paid_at=case.paid_at,
                attempt=case.sequence or case.attempt,
                deadline=now + 2 * machine.table.timeout_seconds + acts,
                intend=self.plates.intend(intend),
            )
            with self.plates.discreet():
                return self.plates.clean(cast("base.Settler", machine.driver).settle(order))
        exit_ = self.exit_for(case)
        if exit_ is None:
            return base.Refused(Code.EXIT_UNKNOWN, f"no exit {case.exit!r} in the profile")
        machine = self.machines[exit_.device]
        if (no := self._wrong_car(case, machine, known)) is not None:
            return no
        deadline = now + machine.table.timeout_seconds + self.profile.times.observe
        order_ = base.ReleaseOrder(case.reference, case.sequence or case.attempt, deadline, intend)
        return self._movers[machine.table.id].release(machine.target(exit_), order_)

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
            waited = (now - case.since).total_seconds() >= self.profile.times.observe
            look = self._testify if case.step is Step.SETTLE else self._inspect
            with self.plates.discreet():
                found = look(case, waited)
        except DaikoError as error:
            log.info("%s: no evidence to be had: %s", case.reference, error)
            found = evidence.Found(Finding.UNKNOWN)  # what the doubt is about stays on show
        proofs, detail = self.plates.clean_evidence(found.proofs), self.plates.scrub(found.detail)
        return Proof(case.attempt, found.finding, proofs, detail, found.moved, found.still)

    def _testify(self, case: Case, waited: bool) -> evidence.Found:
        machine = self.machines[self.witness_of(case)]
        deadline = time.monotonic() + machine.table.timeout_seconds
        stay = self.plates.plain(case.stay)
        said = cast("base.Witness", machine.driver).who_settled(stay, case.reference, deadline)
        return evidence.from_witness(said, machine.table.id, waited)

    def _inspect(self, case: Case, waited: bool) -> evidence.Found:
        exit_ = self.exit_for(case)
        if exit_ is None:
            return evidence.Found(Finding.UNKNOWN, (), "the exit is no longer in the profile")
        machine, driver = self.machines[exit_.device], self._movers[exit_.device]
        target, deadline = machine.target(exit_), time.monotonic() + machine.table.timeout_seconds
        count = driver.read_counter(target, deadline) if case.counter is not None else None
        (state,) = self._see(exit_.eye.device, (base.Target(exit_.id, exit_.eye.channel),), deadline)
        seen = evidence.ExitSeen(exit_.id, machine.table.id, case.counter, count, state, shared=not exit_.bay)
        return evidence.from_exit(seen, case.sent, waited)

    def answer(self, ask: Ask) -> Answer:
        """Ask the legacy for a fee. A car that it does not show as inside is not asked about by its plate."""
        asked = StayRef(ask.kind, ask.name)
        if asked.kind is NameKind.PLATE and not self.plates.seen:
            return _no_fee(ask, Code.DEVICE_UNAVAILABLE, "nobody knows yet which cars are there")
        stay = self.plates.inside(asked)
        if stay is None:
            return _no_fee(ask, Code.STAY_UNKNOWN, "no car of this name is in the lot")
        machine = self.machines[self.profile.roles.fee]
        try:
            deadline = time.monotonic() + min(machine.table.timeout_seconds, _until(ask, self._clock()))
            with self.plates.discreet():
                quote = cast("base.FeeSource", machine.driver).quote(stay, ask.at, deadline)
        except DaikoError as error:
            code = Code.DEVICE_UNAVAILABLE if not isinstance(error, RefusedError) else error.code
            return _no_fee(ask, code, error.detail)
        if isinstance(quote, base.Refused):
            return _no_fee(ask, quote.code, self.plates.scrub(quote.detail))
        ref = StayRef(asked.kind, asked.name, quote.stay.entered_at) if stay != asked else quote.stay
        found = Found(
            stay=ref,
            amount=quote.amount,
            lines=self.plates.clean_lines(quote.lines),
            valid_until=quote.valid_until,
            at_most=quote.at_most,
        )
        return Answer(ask_id=ask.ask_id, result=found)

    def by_hand(self, verb: Verb, exit_: ExitTable, reference: str, intend: base.Intend) -> base.Outcome:
        """Carry out an attendant's order. Raises NotSent or Environment when nothing left."""
        machine = self.machines[exit_.device]
        deadline = time.monotonic() + machine.table.timeout_seconds + self.profile.times.observe
        order = base.ReleaseOrder(reference, 1, deadline, intend)
        driver, target = self._movers[machine.table.id], machine.target(exit_)
        if verb is Verb.HOLD_OPEN:
            return driver.hold_open(target, order)
        if verb is Verb.END_HOLD:
            return driver.end_hold(target, order)
        return driver.release(target, order)

    def read_exits(self, machine: Machine) -> Sequence[base.ExitState]:
        """Read all exits of a device, in the order of `machine.exits`."""
        targets = tuple(machine.target(exit_) for exit_ in machine.exits)
        return self._movers[machine.table.id].read(targets, time.monotonic() + machine.table.timeout_seconds)

    def sight_seconds(self, machine: Machine) -> float:
        """How long the eyes of a machine's exits may take to show nothing, all together."""
        eyes = {exit_.eye.device for exit_ in machine.exits} - {machine.table.id}
        return sum(self.machines[eye].table.timeout_seconds for eye in eyes)

    def seen_stays(self, deadline: float) -> Sequence[base.Stay]:
        """Ask the device that knows the stays; plates in them are tokens."""
        driver = self.machines[self.profile.roles.stays].driver
        with self.plates.discreet():
            return self.plates.learn(cast("base.StayFeed", driver).stays(deadline))

    def counting(self) -> list[ExitTable]:
        """The exits whose device counts its releases."""
        return [
            exit_ for machine in self.machines.values() if machine.driver.capabilities.counts for exit_ in machine.exits
        ]

    def read_counter(self, exit_: ExitTable) -> int | None:
        """Where an exit's own counter stands; None if it has none after all. Raises as ExitDevice.read_counter does."""
        machine = self.machines[exit_.device]
        deadline = time.monotonic() + machine.table.timeout_seconds
        return self._movers[machine.table.id].read_counter(machine.target(exit_), deadline)

    def bookings(self, since: datetime, until: datetime) -> Sequence[base.Booking]:
        """Read the legacy's books. Raises as Books.bookings does."""
        machine = self.machines[self.profile.roles.books]
        deadline = time.monotonic() + machine.table.timeout_seconds
        with self.plates.discreet():
            return cast("base.Books", machine.driver).bookings(since, until, deadline)

    def done_level(self, verb: Verb) -> Level:
        """The level at which an order by hand counts as confirmed; ending a hold shows only when cars pass."""
        return Level.LINK_ACKED if verb is Verb.END_HOLD else self.profile.roles.done_when.level

    def _retry(self, device: str) -> base.Retry:
        return self.machines[device].driver.capabilities.retry if device else base.Retry.NEVER


def _no_fee(ask: Ask, code: str, detail: str) -> Answer:
    return Answer(ask_id=ask.ask_id, result=NotFound(code=code, detail=detail))


def _until(ask: Ask, now: datetime) -> float:
    left = (ask.expires_at - now).total_seconds()
    if left <= 0:
        raise NotSent(Code.EXPIRED, "the ask has expired")
    return left
