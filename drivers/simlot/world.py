"""A simulated lot: cars, bays, tickets, cash and time, without a byte of any protocol.

The simulators of the driver families (`drivers.<family>.sim`) translate between their bytes and this world. Everything
that happens is a line in `history.jsonl`, from which an independent checker can tell what the machines did:

    arrive · plate_up · plate_down · gate_up · gate_down · release · hold · end_hold · cash · host_paid · drive_up
    · left · struck

`release` is each command that a machine received; `by` is bus (our driver), cash or host (the legacy itself), or hand.
"""

import random
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import msgspec

from drivers.profile import LotProfile
from drivers.simlot.books import Booking, Books, Means, OpenStay, Rate, SimTable
from drivers.simlot.clock import Clockwork, History
from drivers.simlot.exits import Car, Gate, Plate, Whereabouts
from drivers.simlot.names import check_kinds, plate_of
from drivers.simlot.station import Station
from drivers.simlot.traffic import Traffic
from parking.desk import ExitKind, Position
from parking.errors import Code, Environment, Refused
from parking.money import Yen
from parking.stay import NameKind, normalise

HISTORY: Final = "history.jsonl"
RELEASED_BY: Final = ("bus", "cash", "host", "hand")


@dataclass(frozen=True, slots=True)
class CarView:
    """A car as the control port shows it; times are lot time."""

    name: str
    kind: NameKind
    plate: str
    entered_at: datetime
    where: Whereabouts
    exit: str


@dataclass(frozen=True, slots=True)
class ExitReading:
    """A gate or plate as it really stands, whatever a device may report."""

    exit: str
    kind: ExitKind
    position: Position
    held: bool
    vehicle: bool
    released_by_bus: int


def sim_table(profile: LotProfile) -> SimTable:
    """The profile's `[sim]`, checked; raises Environment(CONFIG) that names the key."""
    try:
        return msgspec.convert(profile.sim, SimTable)
    except msgspec.ValidationError as error:
        place = str(error).replace("`$", "`$.sim")
        detail = place if "`$" in place else f"{place} - at `$.sim`"
        raise Environment(Code.CONFIG, detail, "see docs/lot-profile.md, section [sim]") from error


class World:
    """The physical lot. Thread-safe; moves when anything is called, and by `step` from a ticking thread."""

    def __init__(
        self,
        profile: LotProfile,
        run_dir: Path,
        clock: Callable[[], datetime],
        *,
        speed: float = 1.0,
        seed: int | None = None,
        traffic: bool = False,
    ) -> None:
        """Build the lot of `profile`; `speed` is lot seconds per second, `clock` gives aware UTC.

        Raises Environment(CONFIG) for a lot that this simulator does not know, or an unusable run directory.
        """
        self.table = sim_table(profile)
        check_kinds(profile)
        self._lock = threading.RLock()
        self._now = clock
        self._dice = random.Random(seed)  # noqa: S311 - arrivals and ticket numbers of a toy lot, no secret
        self._names = profile.lot.names
        self._history = _open_history(run_dir)
        self._clock = Clockwork(clock(), speed, self._history)
        self._books = Books(self.table, profile.fee.lease_seconds)
        self._cars: dict[str, Car] = {}
        self._plates: dict[str, Plate] = {}
        self._bays: dict[str, Plate] = {}
        self._gates: dict[str, Gate] = {}
        self.stations: dict[str, Station] = {}
        self._counts = {exit_.id: 0 for exit_ in profile.exit}
        self._build(profile)
        if traffic:
            Traffic(self, self._clock, self._dice, self.table)

    def _build(self, profile: LotProfile) -> None:
        rises_empty = self.table.empty_plate == "up"
        for exit_ in profile.exit:
            if exit_.kind is ExitKind.GATE:
                self._gates[exit_.id] = Gate(exit_.id, self._clock, self._left, self._at_loop)
                continue
            plate = Plate(exit_.id, self._clock, self._left, rises_empty=rises_empty)
            self._plates[exit_.id] = plate
            self._bays[exit_.bay or normalise(NameKind.BAY, exit_.id)] = plate

    def station(self, device: str) -> Station:
        """The pay station in which a device is built."""
        with self._lock:
            return self.stations.setdefault(device, Station(device, self._now, self._history.add))

    # --- time ---------------------------------------------------------------------------------------------------------

    def step(self, now: datetime) -> None:
        """Let everything happen that is due until `now`."""
        with self._lock:
            self._clock.advance(now)

    def lot_time(self) -> datetime:
        """The lot's own time, now."""
        with self._lock:
            self._advance()
            return self._clock.lot_time

    def close(self) -> None:
        """Close the history file."""
        with self._lock:
            self._history.close()

    def _advance(self) -> None:
        self._clock.advance(self._now())

    # --- what a device does and sees ----------------------------------------------------------------------------------

    def release(self, exit_id: str, by: str, reference: str = "") -> None:
        """A machine was told to let one car out; raises Refused(EXIT_UNKNOWN)."""
        if by not in RELEASED_BY:
            raise ValueError(by)
        with self._lock:
            self._advance()
            barrier = self._barrier(exit_id)
            stay = barrier.car.name if barrier.car else ""
            self._clock.say("release", exit_id, stay, by, reference)
            self._counts[exit_id] += by == "bus"
            barrier.release()

    def hold(self, exit_id: str, on: bool, by: str) -> None:
        """A machine was told to stay open, or to close by itself again; telling it twice changes nothing."""
        with self._lock:
            self._advance()
            barrier = self._barrier(exit_id)
            self._clock.say("hold" if on else "end_hold", exit_id, by=by)
            if barrier.held != on:
                barrier.hold(on)

    def position(self, exit_id: str) -> Position:
        """Where the arm or plate is."""
        return self.reading(exit_id).position

    def held(self, exit_id: str) -> bool:
        """Whether it is held open."""
        return self.reading(exit_id).held

    def vehicle(self, exit_id: str) -> bool:
        """Whether a car is in the bay, or on the gate's loop."""
        return self.reading(exit_id).vehicle

    def release_count(self, exit_id: str) -> int:
        """How many releases came over the bus."""
        return self.reading(exit_id).released_by_bus

    def reading(self, exit_id: str) -> ExitReading:
        """Everything about one exit at one instant; raises Refused(EXIT_UNKNOWN)."""
        with self._lock:
            self._advance()
            at = self._barrier(exit_id)
            kind = ExitKind.PLATE if exit_id in self._plates else ExitKind.GATE
            return ExitReading(exit_id, kind, at.position, at.held, at.vehicle, self._counts[exit_id])

    def _barrier(self, exit_id: str) -> Plate | Gate:
        found = self._plates.get(exit_id) or self._gates.get(exit_id)
        if found is None:
            raise Refused(Code.EXIT_UNKNOWN, f"no exit {exit_id!r}", f"one of {', '.join(self._counts)}")
        return found

    # --- what the host knows and books --------------------------------------------------------------------------------

    def host_stays(self) -> tuple[OpenStay, ...]:
        """The open stays in the host's books."""
        with self._lock:
            self._advance()
            return self._books.stays()

    def host_rate(self, ticket: str) -> Rate:
        """What a ticket costs now; raises Refused(STAY_UNKNOWN)."""
        with self._lock:
            self._advance()
            return self._books.rate(ticket, self._clock.lot_time)

    def host_pay(self, ticket: str, amount: Yen, reference: str) -> Booking:
        """Book a payment on behalf, once per reference; raises as Books.pay does."""
        with self._lock:
            self._advance()
            before = len(self._books.bookings(ticket))
            booking = self._books.pay(ticket, amount, Means.PROXY, reference, self._clock.lot_time)
            if len(self._books.bookings(ticket)) > before:
                self._clock.say("host_paid", stay=ticket, by="host", reference=reference)
            return booking

    def host_bookings(self, ticket: str) -> tuple[Booking, ...]:
        """Who paid for a ticket; raises Refused(STAY_UNKNOWN) for a number that was never issued or paid."""
        with self._lock:
            self._advance()
            if not self._books.known(ticket):
                raise Refused(Code.STAY_UNKNOWN, f"no stay with ticket {ticket}")
            return self._books.bookings(ticket)

    def host_booked(self) -> tuple[Booking, ...]:
        """Every payment in the host's books, oldest first."""
        with self._lock:
            self._advance()
            return self._books.all_bookings()

    def host_books(self) -> tuple[tuple[Rate, tuple[Booking, ...]], ...]:
        """All open stays with their rate and payments, at one instant."""
        with self._lock:
            self._advance()
            at = self._clock.lot_time
            tickets = [stay.ticket for stay in self._books.stays()]
            return tuple((self._books.rate(ticket, at), self._books.bookings(ticket)) for ticket in tickets)

    # --- what people do -----------------------------------------------------------------------------------------------

    def arrive(self, bay: str = "", plate: str = "", minutes_ago: float = 0.0) -> CarView:
        """A car comes in: into `bay` (the first free one if empty), or it takes a ticket.

        `minutes_ago` puts its entry back in lot time, for stays that are worth something at once. Raises
        Refused: NOT_FOUND (no such bay), CONFLICT (occupied, full, or a plate that is in already).
        """
        with self._lock:
            self._advance()
            plate = plate or ("" if self._bays else plate_of(self._dice.randrange(21_000_000)))
            name = self._free_bay(bay) if self._bays else self._named_by_plate(plate)
            entered = (self._clock.lot_time - timedelta(minutes=minutes_ago)).replace(microsecond=0)
            car = Car(name, self._names, plate, entered)
            self._cars[name] = car
            if self._bays:
                car.exit = self._bays[name].exit_id
                self._bays[name].arrive(car)
            else:
                self._books.open(name, plate, entered)
            self._clock.say("arrive", car.exit, name)
            return _view(car)

    def pay_cash(self, name: str) -> int:
        """The driver pays what is due at the pay station; returns the amount in yen, 0 where plates keep no books.

        Raises Refused: STAY_UNKNOWN, ALREADY_PAID, DEVICE_UNAVAILABLE (there is no cash machine).
        """
        with self._lock:
            self._advance()
            car = self._car(name)
            if not self.table.cash_machine:
                raise Refused(Code.DEVICE_UNAVAILABLE, "this lot has no cash machine - `$.sim.cash_machine` is false")
            return self._cash_at_plate(car) if self._bays else self._cash_for_ticket(car)

    def strike_booking(self, reference: str) -> None:
        """Somebody at the host takes a booking out of its books. Raises Refused(NOT_FOUND)."""
        with self._lock:
            self._advance()
            booking = self._books.strike(reference)
            self._clock.say("struck", stay=booking.ticket, by="host", reference=reference)

    def drive_out(self, name: str, exit_id: str = "") -> None:
        """The driver wants out, and goes on wanting until the machine lets the car go.

        Raises Refused: STAY_UNKNOWN, EXIT_UNKNOWN, CONFLICT (already on its way).
        """
        with self._lock:
            self._advance()
            car = self._car(name)
            if car.where is not Whereabouts.PARKED:
                raise Refused(Code.CONFLICT, f"{car.name} is already on its way out")
            if self._bays:
                self._bays[car.name].drive_out(car)
                return
            gate = self._gates.get(exit_id or next(iter(self._gates)))
            if gate is None:
                raise Refused(Code.EXIT_UNKNOWN, f"no gate {exit_id!r}", f"one of {', '.join(self._gates)}")
            gate.drive_out(car)

    def cars(self) -> tuple[CarView, ...]:
        """All cars that are in, in the order of their arrival."""
        with self._lock:
            self._advance()
            return tuple(_view(car) for car in self._cars.values())

    def exits(self) -> tuple[ExitReading, ...]:
        """All exits, in the profile's order, at one instant."""
        with self._lock:
            return tuple(self.reading(exit_id) for exit_id in self._counts)

    def history(self, after: int = 0) -> Sequence[dict[str, str]]:
        """The lines of the history from number `after` on."""
        with self._lock:
            self._advance()
            return tuple(self._history.entries[max(0, after) :])

    def _cash_at_plate(self, car: Car) -> int:
        plate = self._bays[car.name]
        if plate.position is Position.OPEN:
            raise Refused(Code.ALREADY_PAID, f"bay {car.name}: the plate is down, nothing to pay")
        self._clock.say("cash", plate.exit_id, car.name, "cash")
        self.release(plate.exit_id, "cash")
        return 0

    def _cash_for_ticket(self, car: Car) -> int:
        rate = self._books.rate(car.name, self._clock.lot_time)
        self._books.pay(car.name, rate.due, Means.CASH, "", self._clock.lot_time)
        self._clock.say("cash", car.exit, car.name, "cash")
        if car.where is Whereabouts.AT_EXIT:
            self.release(car.exit, "cash")
        return rate.due

    def _at_loop(self, car: Car) -> None:
        """The legacy reads the ticket at the lane, and opens by itself if its own books say paid."""
        bookings = self._books.bookings(car.name)
        paid = bool(bookings) and self._books.rate(car.name, self._clock.lot_time).due == 0
        if paid and self._gates[car.exit].position is Position.CLOSED:
            self.release(car.exit, "cash" if bookings[-1].means is Means.CASH else "host")

    def _left(self, car: Car) -> None:
        car.where = Whereabouts.GONE
        del self._cars[car.name]
        self._books.close(car.name)
        self._clock.say("left", car.exit, car.name)

    def _car(self, name: str) -> Car:
        car = self._cars.get(normalise(self._names, name))
        if car is None:
            raise Refused(Code.STAY_UNKNOWN, f"no car in the lot under {name!r}")
        return car

    def _free_bay(self, wanted: str) -> str:
        if not wanted:
            free = next((bay for bay, plate in self._bays.items() if plate.car is None), None)
            if free is None:
                raise Refused(Code.CONFLICT, "every bay is occupied")
            return free
        bay = normalise(NameKind.BAY, wanted)
        if bay not in self._bays:
            raise Refused(Code.NOT_FOUND, f"no bay {wanted!r}", f"one of {', '.join(self._bays)}")
        if self._bays[bay].car is not None:
            raise Refused(Code.CONFLICT, f"bay {bay} is occupied")
        return bay

    def _named_by_plate(self, plate: str) -> str:
        """The ticket that is taken; where cameras read plates nobody takes one, and the plate is the name."""
        if self._names is not NameKind.PLATE:
            return self._new_ticket()
        name = normalise(NameKind.PLATE, plate)
        if name in self._cars:
            raise Refused(Code.CONFLICT, "a car with this plate is in already")
        return name

    def _new_ticket(self) -> str:
        while True:
            ticket = f"{self._dice.randrange(10_000_000, 100_000_000)}"
            if ticket not in self._cars and not self._books.known(ticket):
                return ticket


def _view(car: Car) -> CarView:
    return CarView(car.name, car.kind, car.plate, car.entered_at, car.where, car.exit)


def _open_history(run_dir: Path) -> History:
    try:
        run_dir.mkdir(parents=True, exist_ok=True)
        return History(run_dir / HISTORY)
    except OSError as error:
        raise Environment(
            Code.CONFIG, f"{run_dir}: {error.strerror}", "choose a directory that can be written"
        ) from error
