"""A simulated first management server over the books of a `World`, with faults: over HTTP, or by tables or files."""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import msgspec

from drivers.host_link import codec, simfolder, simtables
from drivers.host_link.codec import ProblemCode
from drivers.host_link.simclerk import WORLD_SAYS
from drivers.profile import DeviceTable, ExitTable
from drivers.simlot.books import Booking, Rate
from drivers.simlot.http import Hangup, JsonServer, Request, Response
from drivers.simlot.mishaps import Mishaps
from drivers.simlot.world import World
from parking.errors import BadMessage, Code, Environment, Refused
from parking.money import yen

SILENT_SECONDS: Final = 60.0
"""How long a silent host keeps a caller waiting before it hangs up."""

_STATUS: Final = {
    ProblemCode.BAD_REQUEST: HTTPStatus.BAD_REQUEST,
    ProblemCode.BAD_KEY: HTTPStatus.UNAUTHORIZED,
    ProblemCode.UNKNOWN_FACILITY: HTTPStatus.NOT_FOUND,
    ProblemCode.UNKNOWN_TICKET: HTTPStatus.NOT_FOUND,
    ProblemCode.ALREADY_PAID: HTTPStatus.CONFLICT,
    ProblemCode.CODE_REUSED: HTTPStatus.CONFLICT,
    ProblemCode.AMOUNT_TOO_LOW: HTTPStatus.UNPROCESSABLE_ENTITY,
    ProblemCode.NO_SUCH_PAGE: HTTPStatus.NOT_FOUND,
}


@dataclass
class Faults(Mishaps):
    """What goes wrong; set by attribute at any time, from any thread, and in force when the assignment returns.

    The `…_once` faults strike the next booking and are then over. `error_500_once` fails before the booking,
    `error_500_booked_once` after it; `delay_ms` delays every reply after the work was done.
    """

    unplugged: bool = False
    silent: bool = False
    drop_request_once: bool = False
    drop_reply_once: bool = False
    error_500_once: bool = False
    error_500_booked_once: bool = False
    delay_ms: int = 0
    watch: Callable[[], None] | None = field(default=None, repr=False, compare=False)

    def __setattr__(self, name: str, value: object) -> None:
        """Let the server know at once, so that a plug is out when it was pulled."""
        super().__setattr__(name, value)
        watch = self.__dict__.get("watch")
        if watch is not None and name in ("unplugged", "silent"):
            watch()


class _Problem(Exception):
    def __init__(self, code: ProblemCode, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class _Key(msgspec.Struct, frozen=True):
    """The part of the device's options that the host checks."""

    facility: str = ""
    api_key: str = ""


@dataclass(slots=True)
class Host:
    """Answers requests from the world's books."""

    world: World
    key: _Key
    faults: Faults
    over: threading.Event = field(default_factory=threading.Event)

    def answer(self, request: Request) -> Response:
        """The reply to one request, or none at all; faults included."""
        if self.faults.silent:
            self.over.wait(SILENT_SECONDS)
            raise Hangup
        booking = request.target == codec.PAY_PATH
        if booking and self.faults.take("drop_request_once"):
            raise Hangup
        if booking and self.faults.take("error_500_once"):
            return Response(HTTPStatus.INTERNAL_SERVER_ERROR, b"the database is busy")
        response = self._reply(request)
        if booking and self.faults.take("drop_reply_once"):
            raise Hangup
        if booking and self.faults.take("error_500_booked_once"):
            return Response(HTTPStatus.INTERNAL_SERVER_ERROR, b"the printer is out of paper")
        if self.faults.delay_ms:
            self.over.wait(self.faults.delay_ms / 1000)
        return response

    def _reply(self, request: Request) -> Response:
        try:
            return Response(HTTPStatus.OK, codec.encode(self._work(request)))
        except _Problem as problem:
            code, message = problem.code, problem.message
        except BadMessage as error:
            code, message = ProblemCode.BAD_REQUEST, error.detail
        except Refused as error:
            code, message = WORLD_SAYS.get(error.code, ProblemCode.BAD_REQUEST), error.detail
        return Response(_STATUS[code], codec.encode(codec.Problem(code=code, message=message)))

    def _work(self, request: Request) -> codec.Message:
        if request.headers.get(codec.KEY_HEADER.lower()) != self.key.api_key:
            raise _Problem(ProblemCode.BAD_KEY, f"the header {codec.KEY_HEADER} holds no key that is known here")
        parts = urlsplit(request.target)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        match request.method, parts.path:
            case "GET", codec.STAYS_PATH:
                return self._stays(query)
            case "GET", codec.PAYMENTS_PATH:
                return self._payments(query)
            case "GET", codec.BOOKINGS_PATH:
                return self._bookings(query)
            case "POST", codec.RATE_PATH:
                return self._rate(request.body)
            case "POST", codec.PAY_PATH:
                return self._pay(request.body)
        raise _Problem(ProblemCode.NO_SUCH_PAGE, f"nothing under {request.method} {parts.path}")

    def _facility(self, facility: str) -> None:
        if facility != self.key.facility:
            raise _Problem(ProblemCode.UNKNOWN_FACILITY, f"no facility {facility!r} here")

    def _stays(self, query: dict[str, str]) -> codec.StayList:
        self._facility(query.get("facility", ""))
        rows = []
        for stay in self.world.host_stays():
            bookings = self.world.host_bookings(stay.ticket)
            rows.append(
                codec.OpenStay(
                    ticket_no=stay.ticket,
                    entry_time=stay.entered_at,
                    plate=stay.plate,
                    paid_amount=sum(booking.amount for booking in bookings),
                    paid_by=bookings[-1].means.value if bookings else "",
                )
            )
        return codec.StayList(facility=self.key.facility, time=self.world.lot_time(), stays=tuple(rows))

    def _payments(self, query: dict[str, str]) -> codec.PaymentList:
        self._facility(query.get("facility", ""))
        ticket = query.get("ticket", "")
        bookings = self.world.host_bookings(ticket)
        try:
            due = self.world.host_rate(ticket).due
        except Refused:
            due = yen(0)  # the car has gone
        rows = tuple(codec.BookedPayment(**_booked(booking)) for booking in bookings)
        return codec.PaymentList(ticket_no=ticket, due=due, payments=rows)

    def _bookings(self, query: dict[str, str]) -> codec.BookingList:
        self._facility(query.get("facility", ""))
        try:
            since, until = (datetime.fromisoformat(query.get(name, "")) for name in ("since", "until"))
            rows = tuple(
                codec.Booked(ticket_no=booking.ticket, **_booked(booking))
                for booking in self.world.host_booked()
                if since <= booking.at < until
            )
        except (ValueError, TypeError) as error:  # no time at all, or one without its offset
            raise _Problem(ProblemCode.BAD_REQUEST, f"since and until: {error}") from error
        return codec.BookingList(facility=self.key.facility, since=since, until=until, payments=rows)

    def _rate(self, body: bytes) -> codec.RateReply:
        asked = codec.decode(body, codec.RateRequest)
        self._facility(asked.facility)
        rate = self.world.host_rate(asked.ticket_no)
        return codec.RateReply(
            ticket_no=rate.ticket,
            entry_time=rate.entered_at,
            rate_time=rate.at,
            valid_until=rate.valid_until,
            due=rate.due,
            paid=rate.paid,
            lines=_lines(rate),
        )

    def _pay(self, body: bytes) -> codec.PaymentReply:
        asked = codec.decode(body, codec.PaymentRequest)
        self._facility(asked.facility)
        booking = self.world.host_pay(asked.ticket_no, yen(asked.amount), asked.authorisation_code)
        return codec.PaymentReply(
            receipt_no=booking.receipt,
            ticket_no=booking.ticket,
            amount=booking.amount,
            authorisation_code=booking.reference,
        )


def _booked(booking: Booking) -> dict[str, Any]:
    return {
        "receipt_no": booking.receipt,
        "amount": booking.amount,
        "means": booking.means.value,
        "payment_time": booking.at,
        "authorisation_code": booking.reference,
    }


def _lines(rate: Rate) -> tuple[codec.RateLine, ...]:
    minutes = _minutes(rate.entered_at, rate.at)
    used = {"ja": f"駐車料金（{minutes}分・{rate.units}単位）", "en": f"Parking, {minutes} min, {rate.units} units"}
    lines = [codec.RateLine(text=used, amount=rate.fee)]
    if rate.paid:
        lines.append(codec.RateLine(text={"ja": "お支払い済み", "en": "Already paid"}, amount=-rate.paid))
    return tuple(lines)


def _minutes(start: datetime, end: datetime) -> int:
    return max(0, int((end - start).total_seconds() // 60))


class Served:
    """A host that listens: where, what goes wrong, and how to end it."""

    def __init__(self, host: Host) -> None:
        """Listen on a free port of 127.0.0.1; raises OSError if there is none."""
        self._host = host
        self._server = JsonServer(host.answer)
        self._lock = threading.Lock()
        self.url = self._server.url
        self.faults = host.faults
        self.faults.watch = self._obey
        self._obey()

    def stop(self) -> None:
        """End for good; idempotent."""
        self.faults.watch = None
        self._host.over.set()
        with self._lock:
            self._server.stop()

    def _obey(self) -> None:
        """Pull the plug or put it in; let go whom a silent host kept waiting."""
        with self._lock:
            if not self.faults.silent:
                self._host.over.set()
                self._host.over = threading.Event()
            if self.faults.unplugged:
                self._server.unplug()
            else:
                self._server.plug()


def serve(
    world: World, device: DeviceTable, exits: Sequence[ExitTable], run_dir: Path, faults: Faults | None = None
) -> Served | simtables.Tables | simfolder.Folder:
    """Let `device` of a profile answer from `world`'s books, in the way that its address has.

    A database server is not started here: tests/rigs/databases.py does that.
    """
    del exits  # a host has none; every family's `serve` takes them
    match urlsplit(device.url).scheme:
        case "sqlite":
            return simtables.serve_file(world, run_dir / f"{device.id}.db")
        case "folder":
            return simfolder.serve(world, run_dir / device.id)
        case "postgresql" | "firebird" as scheme:
            raise Environment(
                Code.CONFIG, f"device {device.id!r}: no simulator for {scheme}", "simulate the same tables by sqlite:"
            )
    key = msgspec.convert(device.options, _Key)  # by the facility and key of the device's options
    return Served(Host(world, key, faults or Faults()))
