"""The books of a simulated first management server: open stays, its own tariff, and who paid for what.

Not thread-safe: the world holds its lock around every call. Times are lot time.
"""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Literal

import msgspec

from parking.errors import Code, Refused
from parking.money import NOTHING, Yen, yen


class SimTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The profile's `[sim]`: the legacy's tariff and habits, and the traffic (see docs/lot-profile.md)."""

    cash_machine: bool = True
    unit_minutes: Annotated[int, msgspec.Meta(ge=1, le=1440)] = 30
    unit_yen: Annotated[int, msgspec.Meta(ge=0, le=100_000)] = 200
    cap_yen: Annotated[int, msgspec.Meta(ge=0, le=1_000_000)] = 2000
    grace_minutes: Annotated[int, msgspec.Meta(ge=0, le=1440)] = 20
    empty_plate: Literal["up", "down"] = "up"
    cars_per_hour: Annotated[float, msgspec.Meta(gt=0, le=3600)] = 20.0
    stay_minutes: Annotated[float, msgspec.Meta(gt=0, le=10_000)] = 45.0
    cash_share: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.3


class Means(StrEnum):
    """By what a stay was paid."""

    CASH = "cash"
    PROXY = "proxy"


@dataclass(frozen=True, slots=True)
class Booking:
    """One payment in the host's books; `receipt` is the host's own number, `reference` empty for cash."""

    receipt: str
    ticket: str
    amount: Yen
    means: Means
    reference: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Rate:
    """What a ticket costs at an instant; `due` is what is left to pay, the same until `valid_until`."""

    ticket: str
    entered_at: datetime
    at: datetime
    units: int
    fee: Yen
    paid: Yen
    due: Yen
    valid_until: datetime


@dataclass(slots=True)
class OpenStay:
    """A car that is in, as the host knows it."""

    ticket: str
    plate: str
    entered_at: datetime


class Books:
    """What the host knows and books. Raises errors.Refused with STAY_UNKNOWN, ALREADY_PAID, WRONG_AMOUNT, CONFLICT."""

    def __init__(self, tariff: SimTable, lease_seconds: int) -> None:
        """`lease_seconds` is the longest time for which a rate is given."""
        self._tariff = tariff
        self._lease = timedelta(seconds=lease_seconds)
        self._open: dict[str, OpenStay] = {}
        self._bookings: list[Booking] = []
        self._receipts = 0
        self._begun: dict[str, str] = {}

    def open(self, ticket: str, plate: str, entered_at: datetime) -> None:
        """A ticket was taken. A plate may come again: what it paid for its last stay is not this one's."""
        self._begun[ticket] = f"R{self._receipts:06d}"
        self._open[ticket] = OpenStay(ticket, plate, entered_at)

    def close(self, ticket: str) -> None:
        """The car went out."""
        self._open.pop(ticket, None)

    def stays(self) -> tuple[OpenStay, ...]:
        """All cars that are in, oldest first."""
        return tuple(sorted(self._open.values(), key=lambda stay: (stay.entered_at, stay.ticket)))

    def bookings(self, ticket: str) -> tuple[Booking, ...]:
        """Who paid for a ticket, oldest first; known also after the car has gone."""
        begun = self._begun.get(ticket, "")
        return tuple(booking for booking in self._bookings if booking.ticket == ticket and booking.receipt > begun)

    def all_bookings(self) -> tuple[Booking, ...]:
        """Every payment, oldest first."""
        return tuple(self._bookings)

    def strike(self, reference: str) -> Booking:
        """Somebody takes a booking out of the books again. Raises Refused(NOT_FOUND)."""
        for at, booking in enumerate(self._bookings):
            if reference and booking.reference == reference:
                return self._bookings.pop(at)
        raise Refused(Code.NOT_FOUND, f"no booking under {reference!r}")

    def known(self, ticket: str) -> bool:
        """Whether this ticket is open or was ever paid."""
        return ticket in self._open or bool(self.bookings(ticket))

    def rate(self, ticket: str, at: datetime) -> Rate:
        """What an open stay costs: each begun unit, at most the cap in each 24 hours from entry.

        After a payment nothing is due until the grace to drive out is over, then the difference.
        """
        stay = self._open.get(ticket)
        if stay is None:
            raise Refused(Code.STAY_UNKNOWN, f"no open stay with ticket {ticket}")
        units, next_step = self._units(stay.entered_at, at)
        fee = self._fee(units)
        bookings = self.bookings(ticket)
        paid = yen(sum(booking.amount for booking in bookings))
        due = yen(max(0, fee - paid))
        valid_until = min(next_step, at + self._lease)
        if bookings and at < (leave_by := bookings[-1].at + timedelta(minutes=self._tariff.grace_minutes)):
            due, valid_until = NOTHING, leave_by
        return Rate(ticket, stay.entered_at, at, units, fee, paid, due, valid_until)

    def pay(self, ticket: str, amount: Yen, means: Means, reference: str, at: datetime) -> Booking:
        """Book a payment once per reference; the same reference again returns the first booking.

        Raises Refused: CONFLICT (reference used for something else), STAY_UNKNOWN, ALREADY_PAID, WRONG_AMOUNT.
        """
        for booking in self._bookings:
            if reference and booking.reference == reference:
                if (booking.ticket, booking.amount) != (ticket, amount):
                    raise Refused(Code.CONFLICT, f"{reference} was used for {booking.ticket}, {booking.amount} yen")
                return booking
        rate = self.rate(ticket, at)
        if rate.due == 0 and self.bookings(ticket):
            raise Refused(Code.ALREADY_PAID, f"ticket {ticket} is paid, {self.bookings(ticket)[-1].means.value}")
        if amount < rate.due:
            raise Refused(Code.WRONG_AMOUNT, f"ticket {ticket}: {amount} yen offered, {rate.due} yen due")
        self._receipts += 1
        booking = Booking(f"R{self._receipts:06d}", ticket, amount, means, reference, at)
        self._bookings.append(booking)
        return booking

    def _units(self, entered_at: datetime, at: datetime) -> tuple[int, datetime]:
        unit = timedelta(minutes=self._tariff.unit_minutes)
        begun = max(1, math.ceil((at - entered_at) / unit))
        return begun, entered_at + begun * unit

    def _fee(self, units: int) -> Yen:
        per_day = max(1, math.ceil(1440 / self._tariff.unit_minutes))
        days, rest = divmod(units, per_day)
        cap = self._tariff.cap_yen
        return yen(days * min(cap, per_day * self._tariff.unit_yen) + min(cap, rest * self._tariff.unit_yen))
