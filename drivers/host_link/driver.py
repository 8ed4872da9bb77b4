"""The driver of a first management server: stays, fees, bookings, who paid, and its books.

How the server is reached is one of three ways, chosen by the address: HTTP, a database's tables, a folder of files
(drivers.host_link.host). The order of things is the same for all: the books are read, the intent is journaled, the
payment is written once, and what came of it is asked for. What nobody can tell stays uncertain, and nothing is ever
written again.
"""

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, Protocol
from urllib.parse import urlsplit

from drivers import base
from drivers.host_link import codec, folder_host, http_host, sql_host
from drivers.host_link.host import Host, Payment, Slip
from drivers.line_settings import LineSettings
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

FIRST_PAUSE: Final = 0.02
SLOWEST_PAUSE: Final = 0.5
"""Seconds between two looks at an order that lies with the host: twice as many each time."""
LAST_LOOK: Final = 0.1
"""Seconds before the deadline at which the last look begins."""


class HostLink:
    """Plays the roles stays, fee, settle, witness and books for one facility of a host."""

    capabilities = CAPABILITIES

    def __init__(self, device: DeviceTable, host: Host) -> None:
        """`host` is how it is reached; nothing is opened yet."""
        self._host = host
        self._names = NameKind(device.options.get("names", NameKind.TICKET))
        self._timeout = device.timeout_seconds
        self._spelling: dict[str, str] = {}

    def close(self) -> None:
        """Give the connection back."""
        self._host.close()

    # --- reading ------------------------------------------------------------------------------------------------------

    def stays(self, deadline: float) -> Sequence[base.Stay]:
        """All open stays. Raises NotSent (not reached), Uncertain (no reply), BadMessage, Environment (wrong key)."""
        found = [stay for row in self._host.stays(deadline) if (stay := self._stay(row)) is not None]
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
        """Who paid, by our order where it lies with the host, and by the host's books. Never raises.

        Nobody is what the books say now: a request that is still on its way may yet be booked.
        """
        try:
            slip = self._host.slip(reference, deadline)
            if slip is not None and slip.receipt:
                ticket, amount = slip.booked or (slip.ticket, slip.amount)
                if not self._names_it(stay, ticket):
                    return base.CannotTell(f"the host's receipt {slip.receipt} under {reference} is for another stay")
                return base.Ours(reference, f"receipt {slip.receipt}, {amount} yen")
            paid = self._host.payments(self._ticket(stay), stay.entered_at, deadline)
        except DaikoError as error:
            return base.CannotTell(str(error))
        if isinstance(paid, base.Refused):
            return base.CannotTell(paid.detail)
        said = _testimony(paid, reference)
        if isinstance(said, base.Ours):
            return said
        if slip is not None and slip.waiting:  # also beside cash: the host may take it up all the same
            return base.CannotTell(slip.unread or "our order lies with the host, which has not answered yet")
        if slip is None and not self._host.never_left(reference):
            return base.CannotTell("our order is not there any more, and the host has not answered it")
        return base.Nobody(f"{slip.refused.detail}; {said.detail}") if slip and isinstance(said, base.Nobody) else said

    def bookings(self, since: datetime, until: datetime, deadline: float) -> Sequence[base.Booking]:
        """What the host booked under a code that it was given, by its own clock. Raises as `stays` does.

        A list of another span, or of another facility, raises BadMessage(CONTRADICTION): it proves nothing missing.
        """
        return [
            base.Booking(row.authorisation_code, yen(row.amount), row.payment_time, row.receipt_no)
            for row in self._host.bookings(since, until, deadline)
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
        payment = Payment(self._ticket(order.stay), order.amount, order.reference, order.paid_at)
        order.intend(self._host.compose(payment), None)
        try:
            patience = min(order.deadline, time.monotonic() + self._timeout)  # the rest is for asking who paid
            reply = self._host.book(payment, patience)
        except (Uncertain, BadMessage) as error:
            return self._after(order, error.detail, error.code)
        if reply is None:
            return self._after(order, "the order was written and is not to be seen", Code.NO_REPLY)
        return reply if isinstance(reply, base.Refused) else self._booked(order, reply)

    def _before(self, order: base.SettleOrder) -> base.Outcome | None:
        """Our own order, who paid and what is due, right before the intent (P6); None means: go ahead."""
        slip = self._host.slip(order.reference, order.deadline)
        if slip is not None:
            return self._answered(order, slip)
        # The fee first: what makes nothing due meanwhile stands in the books then.
        rate = self._rate(order.stay, order.deadline)
        paid = self._host.payments(self._ticket(order.stay), order.stay.entered_at, order.deadline)
        if isinstance(paid, base.Refused):
            return paid
        match _testimony(paid, order.reference):
            case base.Ours() as ours:
                return _applied(ours)
            case base.Cash(detail):
                return base.Refused(Code.ALREADY_PAID, detail)
        if isinstance(rate, base.Refused):
            return rate
        if rate.due != order.amount:
            return base.Refused(Code.WRONG_AMOUNT, f"{rate.due} yen are due now, {order.amount} were paid")
        return None

    def _booked(self, order: base.SettleOrder, booking: codec.PaymentReply) -> base.Outcome:
        booked = (booking.ticket_no, booking.amount, booking.authorisation_code)
        if booked != (self._ticket(order.stay), order.amount, order.reference):
            return self._after(order, f"the host confirmed something else: {booked}", Code.CONTRADICTION)
        text = f"receipt {booking.receipt_no} for {booking.authorisation_code}"
        return base.Applied(Level.LEGACY_CONFIRMED, (Evidence(EvidenceKind.RECEIPT, text),))

    def _after(self, order: base.SettleOrder, detail: str, code: Code) -> base.Outcome:
        """The reply was lost or is no reply: look for our order as long as there is time, or ask the books once."""
        for _ in _looks(order.deadline) if self._host.takes_orders else ():
            if (slip := self._glance(order)) is not None:
                return self._answered(order, slip)
        match self.who_settled(order.stay, order.reference, order.deadline):
            case base.Ours() as ours:
                return _applied(ours)
            case base.Cash(other) if not self._host.takes_orders:
                return base.Refused(Code.ALREADY_PAID, other)
            case said:
                return base.Uncertain(f"{detail}; asked who paid: {said.detail or 'nobody yet'}", code)

    def _answered(self, order: base.SettleOrder, slip: Slip) -> base.Outcome:
        """What the host makes of the order that lies with it, if it says so in time."""
        for _ in _looks(order.deadline):
            if not slip.waiting or self._another(order, slip):
                break
            slip = self._glance(order) or slip
        if slip.booked is not None and not self._is(order, *slip.booked):
            return base.Uncertain(f"the host's receipt {slip.receipt} is for something else", Code.CONTRADICTION)
        if self._another(order, slip):
            return base.Refused(Code.CONFLICT, f"{order.reference} was used for another payment, {slip.amount} yen")
        if slip.receipt:
            text = f"receipt {slip.receipt} for {order.reference}"
            return base.Applied(Level.LEGACY_CONFIRMED, (Evidence(EvidenceKind.RECEIPT, text),))
        if slip.refusal:
            return slip.refused
        if slip.unread:
            return base.Uncertain(slip.unread, Code.BAD_MESSAGE)
        text = f"the order {order.reference} lies with the host, which has not answered yet"
        return base.Applied(Level.LINK_ACKED, (Evidence(EvidenceKind.ECHO, text),))

    def _glance(self, order: base.SettleOrder) -> Slip | None:
        """Our order where it lies; None also while the host is not reached."""
        try:
            return self._host.slip(order.reference, order.deadline)
        except DaikoError as error:
            log.info("%s: not looked at: %s", order.reference, error)
            return None

    def _another(self, order: base.SettleOrder, slip: Slip) -> bool:
        """Whether what lies under our reference is an order for something else; unknown if only an answer is left."""
        return bool(slip.ticket) and not self._is(order, slip.ticket, slip.amount)

    def _is(self, order: base.SettleOrder, ticket: str, amount: int) -> bool:
        return amount == order.amount and self._names_it(order.stay, ticket)

    # --- helpers of both ----------------------------------------------------------------------------------------------

    def _rate(self, stay: StayRef, deadline: float) -> codec.RateReply | base.Refused:
        ticket = self._ticket(stay)
        rate = self._host.rate(ticket, deadline)
        if isinstance(rate, codec.RateReply) and stay.entered_at not in (None, _whole(rate.entry_time)):
            return base.Refused(Code.STAY_CHANGED, f"{self._called(ticket)} entered at {rate.entry_time.isoformat()}")
        return rate

    def _called(self, ticket: str) -> str:
        """A stay in words for logs and journal: never a plate."""
        return "a plate" if self._names is NameKind.PLATE else f"ticket {ticket}"

    def _names_it(self, stay: StayRef, ticket: str) -> bool:
        """Whether a ticket as the host spells it is this stay's; its spelling is forgotten once the car has left."""
        try:
            return normalise(self._names, ticket) == stay.name
        except BadMessage:
            return False

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


class Reach(Protocol):
    """Makes the host behind an address. Raises Environment(CONFIG) that names the option or the address at fault."""

    def __call__(self, device: DeviceTable, recorder: Tap | None, clock: Callable[[], datetime]) -> Host:
        """Nothing is opened yet."""
        ...


def _http(device: DeviceTable, recorder: Tap | None, clock: Callable[[], datetime]) -> Host:
    del clock
    return http_host.HttpHost(device, recorder)


def _sql(device: DeviceTable, recorder: Tap | None, clock: Callable[[], datetime]) -> Host:
    del clock
    return sql_host.create(device, recorder)


WAYS: Final[Mapping[str, tuple[Reach, Callable[[str, float], base.Finding]]]] = {
    "http": (_http, http_host.probe),
    "https": (_http, http_host.probe),
    "sqlite": (_sql, sql_host.probe),
    "postgresql": (_sql, sql_host.probe),
    "firebird": (_sql, sql_host.probe),
    "folder": (folder_host.FolderHost, folder_host.probe),
}
"""How a host is reached, by the scheme of its address."""


def create(
    device: DeviceTable,
    exits: Sequence[ExitTable],
    clock: Callable[[], datetime],
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
    reach, _ = _way(device.url)
    return HostLink(device, reach(device, recorder, clock))


def probe(url: str, deadline: float) -> base.Finding:
    """Ask, without a key and without changing anything, whether such a host is at `url`."""
    try:
        _, ask = _way(url)
        return ask(url, deadline)
    except DaikoError as error:
        return base.Finding(False, "", (str(error),))


def line(device: DeviceTable) -> LineSettings:
    """No host of these ways is on a serial line."""
    del device
    return LineSettings()


def _way(url: str) -> tuple[Reach, Callable[[str, float], base.Finding]]:
    try:
        scheme = urlsplit(url).scheme
    except ValueError:
        scheme = ""
    if scheme not in WAYS:
        known = "http://192.168.0.10:7101, postgresql://user@host/db or folder:///srv/handover"
        raise Environment(Code.CONFIG, f"{url!r} is not a host's address", f"write it like {known}")
    return WAYS[scheme]


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


def _looks(deadline: float) -> Iterator[None]:
    """Comes at the instants of looks, with pauses before them, until there is no time for another."""
    pause = FIRST_PAUSE
    while (left := deadline - LAST_LOOK - time.monotonic()) > 0:
        time.sleep(min(pause, left))
        pause = min(2 * pause, SLOWEST_PAUSE)
        yield


def _whole(at: datetime) -> datetime:
    return at.astimezone(UTC).replace(microsecond=0)
