"""The driver of a first management server over HTTP: stays, fees, bookings, who paid, and its books.

A booking is written once, on a connection of its own, after the books were read and the intent was journaled. When the
reply is lost the books are asked who paid; what they cannot tell stays uncertain, and nothing is ever written again.
"""

import logging
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Annotated, Final, Literal

import msgspec

from drivers import base
from drivers.host_link import codec
from drivers.host_link.http import Line, Reply
from drivers.profile import DeviceTable, ExitTable
from drivers.transport import Tap
from parking.errors import BadMessage, Code, DaikoError, Environment, NotSent, Uncertain
from parking.money import yen
from parking.outcome import Evidence, EvidenceKind, Level
from parking.stay import NameKind, StayRef, normalise
from parking.wire import FeeLine

log = logging.getLogger(__name__)

CAPABILITIES: Final = base.Capabilities(
    roles=base.Role.STAYS | base.Role.FEES | base.Role.SETTLE | base.Role.WITNESS | base.Role.BOOKS,
    retry=base.Retry.QUERY_FIRST,
    settle_level=Level.LEGACY_CONFIRMED,
)

_OK: Final = 200
_REFUSALS: Final = {
    codec.ProblemCode.UNKNOWN_TICKET: Code.STAY_UNKNOWN,
    codec.ProblemCode.ALREADY_PAID: Code.ALREADY_PAID,
    codec.ProblemCode.CODE_REUSED: Code.CONFLICT,
    codec.ProblemCode.AMOUNT_TOO_LOW: Code.WRONG_AMOUNT,
}


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The device's `[device.options]`. `names` says what the host's ticket numbers are."""

    facility: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    api_key: Annotated[str, msgspec.Meta(min_length=1, max_length=256, pattern="^[!-~]+$")]
    names: Literal["ticket", "plate"] = "ticket"


class HostLink:
    """Plays the roles stays, fee, settle, witness and books for one facility of a host."""

    capabilities = CAPABILITIES

    def __init__(self, device: DeviceTable, recorder: Tap | None = None) -> None:
        """Nothing is opened yet; raises Environment(CONFIG) that names the option or the address at fault."""
        self._options = _options(device)
        self._names = NameKind(self._options.names)
        by_plate = self._names is NameKind.PLATE
        self._line = Line(device.url, self._options.api_key, recorder, by_plate=by_plate)
        self._timeout = device.timeout_seconds
        self._spelling: dict[str, str] = {}

    def close(self) -> None:
        """Give the connection back."""
        self._line.close()

    # --- reading ------------------------------------------------------------------------------------------------------

    def stays(self, deadline: float) -> Sequence[base.Stay]:
        """All open stays. Raises NotSent (not reached), Uncertain (no reply), BadMessage, Environment (wrong key)."""
        reply = self._line.read("GET", codec.stays_target(self._options.facility), deadline)
        listed = self._understood(reply, codec.StayList)
        found = [stay for row in listed.stays if (stay := self._stay(row)) is not None]
        self._spelling = {ref: raw for ref, raw in self._spelling.items() if ref in {one.ref.name for one in found}}
        return found

    def quote(self, stay: StayRef, at: datetime, deadline: float) -> base.Quote | base.Refused:
        """The host's fee, now; its validity is carried over to our clock, which need not agree with the host's.

        Refused: STAY_UNKNOWN, STAY_CHANGED, ALREADY_PAID. Raises as `stays` does.
        """
        rate = self._rate(stay, deadline)
        if isinstance(rate, base.Refused):
            return rate
        if rate.due == 0 and rate.paid > 0:
            return base.Refused(
                Code.ALREADY_PAID, f"{self._called(stay.name)}: {rate.paid} yen are paid, nothing is due"
            )
        lines = tuple(FeeLine(text=line.text, amount=line.amount) for line in rate.lines)
        ref = StayRef(stay.kind, stay.name, _whole(rate.entry_time))
        return base.Quote(ref, yen(rate.due), lines, at + (rate.valid_until - rate.rate_time))

    def who_settled(self, stay: StayRef, reference: str, deadline: float) -> base.Testimony:
        """Who paid, by the host's books. Never raises.

        Nobody is what the books say now: a request that is still on its way may yet be booked.
        """
        try:
            paid = self._payments(stay, deadline)
        except DaikoError as error:
            return base.CannotTell(str(error))
        if isinstance(paid, base.Refused):
            return base.CannotTell(paid.detail)
        return _testimony(paid, reference)

    def bookings(self, since: datetime, until: datetime, deadline: float) -> Sequence[base.Booking]:
        """What the host booked under a code that it was given, by its own clock. Raises as `stays` does.

        A list of another span, or of another facility, raises BadMessage(CONTRADICTION): it proves nothing missing.
        """
        target = codec.bookings_target(self._options.facility, since, until)
        listed = self._understood(self._line.read("GET", target, deadline), codec.BookingList)
        if (listed.facility, listed.since, listed.until) != (self._options.facility, since, until):
            spoke = f"{listed.facility}, {listed.since.isoformat()} to {listed.until.isoformat()}"
            raise BadMessage(
                Code.CONTRADICTION, f"asked for the books of {since.isoformat()} on, the host gave {spoke}"
            )
        return [
            base.Booking(row.authorisation_code, yen(row.amount), row.payment_time, row.receipt_no)
            for row in listed.payments
            if row.authorisation_code
        ]

    # --- booking ------------------------------------------------------------------------------------------------------

    def settle(self, order: base.SettleOrder) -> base.Outcome:
        """Book the payment once. Raises NotSent or Environment when it is certain that nothing was written."""
        try:
            known = self._before(order)
        except (Uncertain, BadMessage) as error:
            raise NotSent(error.code, f"the books could not be read: {error.detail}", error.remedy) from error
        if known is not None:
            return known
        body = codec.encode(
            codec.PaymentRequest(
                facility=self._options.facility,
                ticket_no=self._ticket(order.stay),
                amount=order.amount,
                authorisation_code=order.reference,
                payment_time=order.paid_at,
            )
        )
        order.intend(codec.request_bytes(codec.PAY_PATH, self._line.host, body), None)
        try:
            patience = min(order.deadline, time.monotonic() + self._timeout)  # the rest is for asking who paid
            reply = self._line.write(codec.PAY_PATH, body, patience)
        except Uncertain as error:
            return self._after(order, error.detail, error.code)
        return self._read_booking(order, reply)

    def _before(self, order: base.SettleOrder) -> base.Outcome | None:
        """Who paid and what is due, right before the intent (P6); None means: go ahead."""
        paid = self._payments(order.stay, order.deadline)
        if isinstance(paid, base.Refused):
            return paid
        match _testimony(paid, order.reference):
            case base.Ours() as ours:
                return _applied(ours)
            case base.Cash(detail):
                return base.Refused(Code.ALREADY_PAID, detail)
        rate = self._rate(order.stay, order.deadline)
        if isinstance(rate, base.Refused):
            return rate
        if rate.due != order.amount:
            return base.Refused(Code.WRONG_AMOUNT, f"{rate.due} yen are due now, {order.amount} were paid")
        return None

    def _read_booking(self, order: base.SettleOrder, reply: Reply) -> base.Outcome:
        if reply.status == _OK:
            return self._booked(order, reply)
        problem = _problem(reply)
        if problem is None or reply.status not in range(400, 500):
            return self._after(order, f"the host answered {reply.status}", Code.NO_REPLY)
        return base.Refused(_REFUSALS.get(problem.code, Code.DEVICE_REFUSED), f"{problem.code}: {problem.message}")

    def _booked(self, order: base.SettleOrder, reply: Reply) -> base.Outcome:
        try:
            booking = codec.decode(reply.body, codec.PaymentReply)
        except BadMessage as error:
            return self._after(order, error.detail, Code.BAD_MESSAGE)
        booked = (booking.ticket_no, booking.amount, booking.authorisation_code)
        if booked != (self._ticket(order.stay), order.amount, order.reference):
            return self._after(order, f"the host confirmed something else: {booked}", Code.CONTRADICTION)
        text = f"receipt {booking.receipt_no} for {booking.authorisation_code}"
        return base.Applied(Level.LEGACY_CONFIRMED, (Evidence(EvidenceKind.RECEIPT, text),))

    def _after(self, order: base.SettleOrder, detail: str, code: Code) -> base.Outcome:
        """The reply was lost or is no reply: ask the books once, if there is time."""
        match self.who_settled(order.stay, order.reference, order.deadline):
            case base.Ours() as ours:
                return _applied(ours)
            case base.Cash(other):
                return base.Refused(Code.ALREADY_PAID, other)
            case base.Nobody() | base.CannotTell() as silent:
                return base.Uncertain(f"{detail}; asked who paid: {silent.detail or 'nobody yet'}", code)

    # --- helpers of both ----------------------------------------------------------------------------------------------

    def _payments(self, stay: StayRef, deadline: float) -> codec.PaymentList | base.Refused:
        ticket = self._ticket(stay)
        reply = self._line.read("GET", codec.payments_target(self._options.facility, ticket), deadline)
        return self._about(ticket, reply, codec.PaymentList)

    def _rate(self, stay: StayRef, deadline: float) -> codec.RateReply | base.Refused:
        ticket = self._ticket(stay)
        body = codec.encode(codec.RateRequest(facility=self._options.facility, ticket_no=ticket))
        reply = self._line.read("POST", codec.RATE_PATH, deadline, body)
        rate = self._about(ticket, reply, codec.RateReply)
        if isinstance(rate, codec.RateReply) and stay.entered_at not in (None, _whole(rate.entry_time)):
            return base.Refused(Code.STAY_CHANGED, f"{self._called(ticket)} entered at {rate.entry_time.isoformat()}")
        return rate

    def _about(self, ticket: str, reply: Reply, kind: type[codec.R]) -> codec.R | base.Refused:
        """A reply about one ticket; a typed refusal of it is a value."""
        problem = _problem(reply)
        if problem is not None and problem.code in _REFUSALS:
            return base.Refused(_REFUSALS[problem.code], problem.message)
        answer = self._understood(reply, kind)
        if answer.ticket_no != ticket:
            asked, spoken = self._called(ticket), self._called(answer.ticket_no)
            raise BadMessage(Code.CONTRADICTION, f"asked about {asked}, the host spoke of {spoken}")
        return answer

    def _understood(self, reply: Reply, kind: type[codec.M]) -> codec.M:
        if reply.status == _OK:
            return codec.decode(reply.body, kind)
        problem = _problem(reply)
        if problem is None:
            raise Uncertain(Code.NO_REPLY, f"{self._line.url}: answered {reply.status}, not in its own words")
        if problem.code in (codec.ProblemCode.BAD_KEY, codec.ProblemCode.UNKNOWN_FACILITY):
            remedy = "correct api_key and facility under [device.options] in the lot profile"
            raise Environment(Code.UNAUTHORIZED, f"{self._line.url}: {problem.message}", remedy)
        raise BadMessage(Code.DEVICE_REFUSED, f"{self._line.url}: {problem.code}: {problem.message}")

    def _called(self, ticket: str) -> str:
        """A stay in words for logs and journal: never a plate."""
        return "a plate" if self._names is NameKind.PLATE else f"ticket {ticket}"

    def _ticket(self, stay: StayRef) -> str:
        return self._spelling.get(stay.name, stay.name)

    def _stay(self, row: codec.OpenStay) -> base.Stay | None:
        try:
            name = normalise(self._names, row.ticket_no)
        except BadMessage as error:
            log.warning("a stay of the host is left out: %s", error.detail)
            return None
        self._spelling[name] = row.ticket_no
        ref = StayRef(self._names, name, _whole(row.entry_time))
        return base.Stay(ref, yen(row.paid_amount), row.paid_by, row.plate)


def create(
    device: DeviceTable,
    exits: Sequence[ExitTable],
    clock: Callable[[], datetime],  # noqa: ARG001 - every family's `create` has it; this one uses the relay's times only
    recorder: Tap | None = None,
) -> HostLink:
    """Make the driver; `exits` may be all of the lot.

    Raises Environment(CONFIG) for bad options, or if an exit hangs on this device, which opens none.
    """
    hanging = [exit_.id for exit_ in exits if exit_.device == device.id]
    if hanging:
        raise Environment(
            Code.CONFIG,
            f"device {device.id!r}: a host opens no exits, but {hanging[0]!r} hangs on it",
            "name the relay or plate controller as the exit's device",
        )
    return HostLink(device, recorder)


def probe(url: str, deadline: float) -> base.Finding:
    """Ask, without a key and without changing anything, whether such a host answers at `url`."""
    try:
        line = Line(url, "probe", None)
        reply = line.read("GET", codec.stays_target("probe"), deadline)
    except DaikoError as error:
        return base.Finding(False, "", (str(error),))
    line.close()
    problem = _problem(reply)
    if problem is None:
        return base.Finding(False, "", (f"{url}: something else answers there: HTTP {reply.status}",))
    hints = ('family = "host_link"', f'url = "{line.url}"', "facility and api_key: ask the host's operator")
    return base.Finding(True, f"first management server (host link), {problem.code}", hints)


def _options(device: DeviceTable) -> Options:
    try:
        return msgspec.convert(device.options, Options)
    except msgspec.ValidationError as error:
        raise Environment(
            Code.CONFIG, f"device {device.id!r}, [device.options]: {error}", "see drivers/host_link/README.md"
        ) from error


def _problem(reply: Reply) -> codec.Problem | None:
    if reply.status == _OK:
        return None
    try:
        return codec.decode(reply.body, codec.Problem)
    except BadMessage:
        return None


def _testimony(paid: codec.PaymentList, reference: str) -> base.Testimony:
    for payment in paid.payments:
        if payment.authorisation_code == reference:
            return base.Ours(reference, f"receipt {payment.receipt_no}, {payment.amount} yen")
    if not paid.payments:
        return base.Nobody("the host's books show no payment")
    if paid.due > 0:
        return base.Nobody(f"{paid.due} yen are due")
    last = paid.payments[-1]
    return base.Cash(f"paid by {last.means}, receipt {last.receipt_no}, {last.amount} yen")


def _applied(ours: base.Ours) -> base.Applied:
    proof = (Evidence(EvidenceKind.RECEIPT, ours.detail), Evidence(EvidenceKind.WITNESS, f"paid by {ours.reference}"))
    return base.Applied(Level.LEGACY_CONFIRMED, proof)


def _whole(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(microsecond=0)
