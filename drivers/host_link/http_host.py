"""A host that is reached over HTTP: it books while we wait, and its reply is its word (drivers.host_link.codec)."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Final

import msgspec

from drivers import base
from drivers.host_link import codec
from drivers.host_link.host import REFUSALS, Options, Payment, Slip, options
from drivers.host_link.http import Line, Reply
from drivers.profile import DeviceTable
from drivers.transport import Tap
from parking.errors import BadMessage, Code, DaikoError, Environment, Uncertain

_OK: Final = 200


class Facility(Options, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The host's name of this lot, and the key that it gave us."""

    facility: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    api_key: Annotated[str, msgspec.Meta(min_length=1, max_length=256, pattern="^[!-~]+$")]


class HttpHost:
    """One facility of a host behind an address."""

    takes_orders = False

    def __init__(self, device: DeviceTable, recorder: Tap | None) -> None:
        """Nothing is opened yet; raises Environment(CONFIG) that names the option or the address at fault."""
        self._options = options(device, Facility)
        self._line = Line(device.url, self._options.api_key, recorder, by_plate=self._options.names == "plate")
        self.url = self._line.url

    def close(self) -> None:
        """Give the connection back."""
        self._line.close()

    def stays(self, deadline: float) -> Sequence[codec.OpenStay]:
        """All open stays."""
        reply = self._line.read("GET", codec.stays_target(self._options.facility), deadline)
        return self._understood(reply, codec.StayList).stays

    def rate(self, ticket: str, deadline: float) -> codec.RateReply | base.Refused:
        """What a ticket costs now."""
        body = codec.encode(codec.RateRequest(facility=self._options.facility, ticket_no=ticket))
        return self._about(ticket, self._line.read("POST", codec.RATE_PATH, deadline, body), codec.RateReply)

    def payments(
        self,
        ticket: str,
        entered_at: datetime | None,  # noqa: ARG002 - this host itself knows which payments are of the present stay
        deadline: float,
    ) -> codec.PaymentList | base.Refused:
        """Who paid for a ticket."""
        reply = self._line.read("GET", codec.payments_target(self._options.facility, ticket), deadline)
        return self._about(ticket, reply, codec.PaymentList)

    def bookings(self, since: datetime, until: datetime, deadline: float) -> Sequence[codec.Booked]:
        """Every payment in a span of time."""
        target = codec.bookings_target(self._options.facility, since, until)
        listed = self._understood(self._line.read("GET", target, deadline), codec.BookingList)
        if (listed.facility, listed.since, listed.until) != (self._options.facility, since, until):
            spoke = f"{listed.facility}, {listed.since.isoformat()} to {listed.until.isoformat()}"
            raise BadMessage(
                Code.CONTRADICTION, f"asked for the books of {since.isoformat()} on, the host gave {spoke}"
            )
        return listed.payments

    def slip(self, reference: str, deadline: float) -> Slip | None:  # noqa: ARG002 - it takes no orders
        """None: this host answers at once."""
        return None

    def never_left(self, reference: str) -> bool:  # noqa: ARG002 - the books are all that there is to know
        """True: what its books do not show it has not booked."""
        return True

    def compose(self, payment: Payment) -> bytes:
        """The request, without the key."""
        return codec.request_bytes(codec.PAY_PATH, self._line.host, self._body(payment))

    def book(self, payment: Payment, deadline: float) -> codec.PaymentReply | base.Refused:
        """Post once. Raises Uncertain or BadMessage if what came back is no typed answer."""
        reply = self._line.write(codec.PAY_PATH, self._body(payment), deadline)
        if reply.status == _OK:
            return codec.decode(reply.body, codec.PaymentReply)
        problem = _problem(reply)
        if problem is None or reply.status not in range(400, 500):
            raise Uncertain(Code.NO_REPLY, f"the host answered {reply.status}")
        return base.Refused(REFUSALS.get(problem.code, Code.DEVICE_REFUSED), f"{problem.code}: {problem.message}")

    def _body(self, payment: Payment) -> bytes:
        return codec.encode(
            codec.PaymentRequest(
                facility=self._options.facility,
                ticket_no=payment.ticket,
                amount=payment.amount,
                authorisation_code=payment.reference,
                payment_time=payment.paid_at,
            )
        )

    def _about(self, ticket: str, reply: Reply, kind: type[codec.R]) -> codec.R | base.Refused:
        """A reply about one ticket; a typed refusal of it is a value."""
        problem = _problem(reply)
        if problem is not None and problem.code in REFUSALS:
            return base.Refused(REFUSALS[problem.code], problem.message)
        answer = self._understood(reply, kind)
        if answer.ticket_no != ticket:
            plates = self._options.names == "plate"
            asked, spoken = ("a plate", "another") if plates else (f"ticket {ticket}", f"ticket {answer.ticket_no}")
            raise BadMessage(Code.CONTRADICTION, f"asked about {asked}, the host spoke of {spoken}")
        return answer

    def _understood(self, reply: Reply, kind: type[codec.M]) -> codec.M:
        if reply.status == _OK:
            return codec.decode(reply.body, kind)
        problem = _problem(reply)
        if problem is None:
            raise Uncertain(Code.NO_REPLY, f"{self.url}: answered {reply.status}, not in its own words")
        if problem.code in (codec.ProblemCode.BAD_KEY, codec.ProblemCode.UNKNOWN_FACILITY):
            remedy = "correct api_key and facility under [device.options] in the lot profile"
            raise Environment(Code.UNAUTHORIZED, f"{self.url}: {problem.message}", remedy)
        raise BadMessage(Code.DEVICE_REFUSED, f"{self.url}: {problem.code}: {problem.message}")


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
    if problem.code == codec.ProblemCode.BAD_KEY:  # as it has to be: none was given
        return base.Finding(
            True, "first management server (host link); it answers, but the key is missing or wrong", hints
        )
    return base.Finding(True, f"first management server (host link), {problem.code}", hints)


def _problem(reply: Reply) -> codec.Problem | None:
    if reply.status == _OK:
        return None
    try:
        return codec.decode(reply.body, codec.Problem)
    except BadMessage:
        return None
