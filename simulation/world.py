"""One run: a lot, its cars, the line to the cloud, people; all of it decided by one seed."""

from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from bridge.case import Stated
from cloud.checkout import Standing
from parking.reports import Way
from parking.signing import KeyRing, SigningKey
from parking.stay import NameKind, StayRef
from parking.wire import Entry
from simulation.checker import Broken, check
from simulation.faults import Faults, Weather
from simulation.history import History, Person
from simulation.machines import Kind, Machine
from simulation.memory import InMemory, OnDisk, Storage
from simulation.money import Cloud
from simulation.office import LOT, Office
from simulation.timeline import EPOCH, Poll, Timeline

KEY = SigningKey.from_seed(1, bytes(range(32)))
RING = KeyRing({1: KEY.public_bytes})
BUSY = 400.0
"""Seconds in which drivers come and pay."""
QUIET = 4_000.0
"""By then faults are over and people have looked at everything."""
END = 200_000.0
"""By then what nobody ever received has been voided."""


@dataclass(slots=True)
class Result:
    """What one run came to."""

    seed: int
    kind: Kind
    payments: int
    persons: int
    after_loss: int
    outcomes: Counter[str]
    struck: Counter[str]
    broken: list[Broken]
    trace: list[str] = field(default_factory=list)


class World:
    """Puts a run together. With `kind` the lot is of that way, else the seed chooses."""

    def __init__(
        self,
        seed: int,
        weather: Weather,
        kind: Kind | None = None,
        trace: list[str] | None = None,
        storage: Storage | None = None,
    ) -> None:
        self.seed = seed
        self.dice = Random(seed)  # noqa: S311 - repeatable on purpose
        self.line = Timeline(trace)
        self.faults = Faults(self.dice, weather)
        self.history = History()
        self.machine = Machine(kind or self.dice.choice(list(Kind)), self.history)
        self.office = Office(self.line, self.faults, self.machine, RING, self.history, storage or InMemory())
        self.cloud = Cloud(self.line, self.faults, KEY, LOT, self.history)
        self.feed, self.uplink = Poll(self.line, self._read_feed), Poll(self.line, self._report)
        self.office.news = lambda: self.uplink.within(self.dice.uniform(0.1, 2))
        self.cloud.issued = lambda: self.feed.within(self.dice.uniform(0.2, 3))
        self.up = True
        self.orders = 0
        self.decided = 0
        self.floor = 0

    def run(self) -> None:
        """Let it all happen, to the end."""
        self.office.start()
        for at in range(self.dice.choice((1, 2, 2, 3))):
            self._car(str(at + 1))
        self._lines()
        self._soon()
        if self.faults.strikes("office PC lost"):
            self.line.after(self.dice.uniform(10, BUSY), self._replace)
        self.line.run(BUSY)
        self.faults.over = True
        self._set(up=True)
        self.line.run(QUIET)
        acted = {act.number for act in self.history.acts if act.by == "relay"}
        self.decided = self.cloud.person_resolves(acted) if self.history.replaced_at is not None else 0
        self.line.run(END)
        self.history.kept = {one.number for one in self.history.signed if self.office.journal.known(LOT, one.number)}

    # --- cars and people ---------------------------------------------------------------------------------------------

    def _car(self, name: str) -> None:
        stay = StayRef(NameKind.BAY, name, EPOCH - timedelta(hours=1))
        self.line.after(self.dice.uniform(1, 200), lambda: self._pay(stay))
        if self.dice.random() < 0.4:  # who was turned away tries again, if the car is still there
            self.line.after(self.dice.uniform(200, BUSY - 20), lambda: self._pay(stay))
        if self.machine.nature.status and self.faults.strikes("cash meanwhile"):
            self.line.after(self.dice.uniform(1, 260), lambda: self._cash(name))
        if self.faults.strikes("opened by hand"):
            give_back = self.dice.random() < 0.3
            self.line.after(self.dice.uniform(1, 300), lambda: self._open_by_hand(name, give_back))
        if self.machine.kind not in (Kind.C_SENSOR, Kind.D_GATE) and self.faults.strikes("opened by key"):
            self.line.after(self.dice.uniform(1, 300), lambda: self._open_by_key(name))
        self._drive_out(name)

    def _pay(self, stay: StayRef) -> None:
        if stay.name in self.machine.gone:
            return
        self.orders += 1
        order = f"o{self.orders}"
        if self.cloud.pay(order, stay, 100 * self.dice.randint(1, 20)):
            self.line.tell(f"driver  pays for {stay.name} by phone, order {order}")
            self.line.after(self.dice.uniform(3, 60), lambda: self._show_code(order))

    def _cash(self, name: str) -> None:
        if self.machine.take_cash(name, self.line.seconds):
            self.line.tell(f"driver  pays for {name} in cash")

    def _open_by_hand(self, name: str, give_back: bool) -> None:
        if name in self.machine.gone or not self.office.alive:
            return
        self.line.tell(f"person  opens for {name}{' and gives the payment back' if give_back else ''}")
        self.office.open_by_hand(name, give_back)

    def _open_by_key(self, name: str) -> None:
        if name in self.machine.gone:
            return
        self.line.tell(f"person  opens for {name} with the key, and tells nobody")
        self.machine.open_by_hand(name, self.line.seconds, by_key=True)
        self.history.people.append(Person(self.line.seconds, "opened", name))

    def _show_code(self, order: str) -> None:
        """The line is down: the driver shows the phone to the attendant."""
        made = self.cloud.completions.get(order)
        if made is None or self.up or self.cloud.payments[order].standing is not Standing.AUTHORIZED:
            return
        if self.faults.strikes("forged code"):
            self.history.forged.add(made.number + 1_000)
            self.office.accept([Entry(number=made.number + 1_000, completion="AAAA")], Way.QR)
        if not self.faults.strikes("code from a phone"):
            return
        self.line.tell(f"person  checks the code of {order}")
        if self.dice.random() < 0.5:
            self.office.accept([self.cloud.entries[made.number - 1]], Way.QR)
        else:
            minute = made.paid_at.replace(second=0)
            self.office.accept_code(
                Stated(LOT, made.number, made.stay, made.amount, minute, minute + timedelta(minutes=20), "")
            )

    def _drive_out(self, name: str) -> None:
        """A car leaves once it can: it is let out, or its booking opens the legacy's own gate."""
        acts = [act for act in self.history.acts if act.stay == name]
        free = any(act.kind == "release" for act in acts)
        if "release" not in [step.value for step in self.machine.nature.steps]:
            free = free or any(act.kind == "book" for act in acts)
        if free and self.dice.random() < 0.5:
            self.machine.gone.add(name)
            self.line.tell(f"car     {name} leaves")
            self.line.after(self.dice.uniform(1, 10), lambda: self.office.left(name))
            return
        if self.line.seconds < QUIET - 200:
            wait = self.dice.uniform(4, 40) if self.line.seconds < BUSY + 100 else self.dice.uniform(100, 400)
            self.line.after(wait, lambda: self._drive_out(name))

    def _replace(self) -> None:
        self.line.tell("office  the PC is gone; another one is enrolled")
        self.floor = self.cloud.replace_bridge()
        self.office.lose_everything(self.floor)

    # --- the line ----------------------------------------------------------------------------------------------------

    def _lines(self) -> None:
        if self.faults.strikes("line down"):
            down = self.dice.uniform(1, 200)
            self.line.after(down, lambda: self._set(up=False))
            self.line.after(down + self.dice.uniform(5, 180), lambda: self._set(up=True))

    def _set(self, *, up: bool) -> None:
        self.up = up or self.faults.over
        self.line.tell(f"line    {'up' if self.up else 'down'}")
        if self.up:
            self._soon()

    def _read_feed(self) -> None:
        entries = self.cloud.entries
        if self.up and self.office.alive and entries:
            at = 0 if self.faults.strikes("feed repeated") else self.office.journal.cursor(LOT)
            batch = [entry for entry in entries[at:] if entry.number > self.floor]
            if self.faults.strikes("feed reordered"):
                self.dice.shuffle(batch)
                batch = batch[: self.dice.randint(0, len(batch))]
            if batch:
                self.office.accept(batch)
        behind = self.up and self.office.alive and self.office.journal.cursor(LOT) < len(entries)
        if self.line.seconds < QUIET - 100:
            self.feed.within(self.dice.uniform(0.2, 3) if behind else self._idle())

    def _report(self) -> None:
        if self.up and self.office.alive:
            journal, generation = self.office.journal, self.office.generation
            first, batch = journal.reports(LOT, generation, 20)
            if batch:
                through = self.cloud.take(first, batch, generation)
                if not self.faults.strikes("report reply lost"):
                    with journal.transaction() as tx:
                        tx.accepted(LOT, generation, through)
                self.uplink.within(self.dice.uniform(0.1, 2))
        if self.line.seconds < QUIET - 50:
            self.uplink.within(self._idle())

    def _idle(self) -> float:
        return self.dice.uniform(10, 40) if self.line.seconds < BUSY + 60 else 300.0

    def _soon(self) -> None:
        self.feed.within(self.dice.uniform(0.2, 3))
        self.uplink.within(self.dice.uniform(0.1, 2))


def simulate(
    seed: int,
    weather: Weather = Weather.HEAVY,
    kind: Kind | None = None,
    *,
    trace: bool = False,
    on_disk: bool = False,
) -> Result:
    """One run from its seed; `on_disk` over the bridge's own journal, which changes nothing but the time it takes."""
    lines: list[str] | None = [] if trace else None
    if not on_disk:
        world = World(seed, weather, kind, lines)
        world.run()
        return _result(world, lines)
    with TemporaryDirectory(prefix="daiko-simulation-") as folder:
        disk = OnDisk(Path(folder))
        try:
            world = World(seed, weather, kind, lines, disk)
            world.run()
        finally:
            disk.close()
    return _result(world, lines)


def _result(world: World, lines: list[str] | None) -> Result:
    outcomes = Counter(payment.standing.value for payment in world.cloud.payments.values())
    return Result(
        seed=world.seed,
        kind=world.machine.kind,
        payments=len(world.cloud.payments),
        persons=world.office.persons,
        after_loss=world.decided,
        outcomes=outcomes,
        struck=world.faults.struck,
        broken=check(world.history),
        trace=lines or [],
    )
