"""The driver of a pay station that thinks we are its card terminal: what it asks for, our approval, what became of it.

The approval is journaled before the result (04 0F) is said, and the result is said once in a dialogue. It counts as
applied when the machine has acknowledged the result and has the end (06 0F): it acknowledges that as well, or shows it
by its next command. Some machines print "failed" when the end does not come, although they have the result, so the
result alone proves nothing.
"""

import logging
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

from drivers import base
from drivers.base import (
    Applied,
    CannotTell,
    Capabilities,
    Cash,
    Finding,
    Nobody,
    Ours,
    Outcome,
    Quote,
    Refused,
    Retry,
    Role,
    SettleOrder,
    Stay,
    Testimony,
    Uncertain,
)
from drivers.line_settings import LineSettings
from drivers.peripheral import Serving
from drivers.profile import DeviceTable, ExitTable
from drivers.transport import Tap, Transport
from drivers.zvt_terminal.approval import Approval, Charge, Delivery
from drivers.zvt_terminal.device import Terminal
from drivers.zvt_terminal.settings import Options, by_tcp, full_url, line_of, line_settings, options_of
from parking.errors import Code, NotSent
from parking.errors import Uncertain as LineBroke
from parking.money import yen
from parking.outcome import Evidence, EvidenceKind, Level
from parking.stay import NameKind, StayRef, normalise
from parking.wire import FeeLine

log = logging.getLogger(__name__)

KEPT: Final = 500
"""Charges whose stays are remembered."""

FINAL: Final = frozenset((Delivery.COMPLETED, Delivery.REJECTED, Delivery.WITHDRAWN))


class ZvtTerminal:
    """One terminal on one line. The roles are called on the thread that owns the port."""

    def __init__(self, device: DeviceTable, clock: Callable[[], datetime], recorder: Tap | None = None) -> None:
        """`clock` returns aware UTC. Raises Environment(CONFIG); opens nothing yet."""
        self._options = options = options_of(device)
        self._clock = clock
        self._desk = normalise(NameKind.DESK, options.desk)
        url = full_url(device.url)
        self._dialled = by_tcp(url)
        # Receipts begin where the clock is, so that they do not begin at 1 again after each restart.
        terminal = Terminal(options, line_of(url, options), receipt=int(clock().timestamp()) // 10 % 9999)
        self._serving = Serving(Transport(url, line_settings(options), recorder), terminal)
        self._refs: OrderedDict[int, StayRef] = OrderedDict()
        self._last: datetime | None = None
        self.capabilities = Capabilities(
            roles=Role.STAYS | Role.FEES | Role.SETTLE | Role.WITNESS,
            retry=Retry.NEVER,
            settle_level=Level.LEGACY_CONFIRMED,
        )

    def close(self) -> None:
        """Hang up and listen no more; idempotent."""
        self._serving.close()

    # --- what it asks for --------------------------------------------------------------------------------------------

    def stays(self, deadline: float) -> Sequence[Stay]:
        """What the machine asks for, if it does. Raises NotSent or Environment.

        A machine that dials us only to be paid asks for nothing while it has hung up.
        """
        try:
            with self._serving.held(deadline) as terminal:
                charge = terminal.asking
                return () if charge is None else (Stay(self._ref(charge)),)
        except NotSent:
            if self._dialled and self._serving.wait(lambda terminal: terminal.seen or None, deadline=0):
                return ()
            raise

    def quote(self, stay: StayRef, at: datetime, deadline: float) -> Quote | Refused:
        """Exactly what the machine asks for. Raises NotSent or Environment."""
        with self._serving.held(deadline) as terminal:
            charge = terminal.asking
            if charge is None or not self._ref(charge).same_as(stay):
                return self._not_asking(terminal, stay)
            named = {"ja": "精算機の請求額", "en": "What the pay station asks for"}
            until = at + timedelta(seconds=self._options.hold_seconds)
            return Quote(self._ref(charge), yen(charge.amount), (FeeLine(text=named, amount=charge.amount),), until)

    def _not_asking(self, terminal: Terminal, stay: StayRef) -> Refused:
        approval = next((one for one in terminal.approvals.values() if self._is_for(one, stay)), None)
        if approval is not None and approval.state is Delivery.COMPLETED:
            return Refused(Code.ALREADY_PAID, approval.detail)
        if terminal.asking is not None:
            return Refused(Code.STAY_CHANGED, "the pay station asks for something else by now")
        return Refused(Code.STAY_UNKNOWN, "the pay station asks for nothing")

    def _is_for(self, approval: Approval, stay: StayRef) -> bool:
        ref = self._refs.get(approval.charge.number)
        return ref is not None and ref.same_as(stay)

    def _ref(self, charge: Charge) -> StayRef:
        """The name of a charge, fixed when it is first seen; two in one second are told apart by the second."""
        if (known := self._refs.get(charge.number)) is not None:
            return known
        began = (self._clock() - timedelta(seconds=time.monotonic() - charge.began)).replace(microsecond=0)
        if self._last is not None and began <= self._last:
            began = self._last + timedelta(seconds=1)
        self._last = began
        self._refs[charge.number] = ref = StayRef(NameKind.DESK, self._desk, began)
        while len(self._refs) > KEPT:
            self._refs.popitem(last=False)
        return ref

    # --- approving ---------------------------------------------------------------------------------------------------

    def settle(self, order: SettleOrder) -> Outcome:
        """Approve what the machine asks for, once. Raises NotSent or Environment only if no byte of it left."""
        with self._serving.held(order.deadline) as terminal:
            if (no := self._refusal(terminal, order)) is not None:
                return no
            stamp = self._clock().astimezone()
            approval = terminal.prepare(order.reference, stamp, time.monotonic())
            order.intend(terminal.frame(approval), None)
            terminal.give(approval)
        self._serving.wait(lambda _: True if approval.state in FINAL else None, order.deadline)
        self._serving.wait(lambda terminal: terminal.withdraw(approval), deadline=0)
        outcome = _outcome(approval)
        log.info("%s: approval of %d yen: %s", order.reference, order.amount, outcome)
        return outcome

    def _refusal(self, terminal: Terminal, order: SettleOrder) -> Outcome | None:
        """Why nothing may be said: the order was obeyed before, or the machine does not ask for this."""
        before = terminal.approvals.get(order.reference)
        if before is not None and before.state is not Delivery.WITHDRAWN:
            return _outcome(before)
        charge = terminal.asking
        if charge is None or not self._ref(charge).same_as(order.stay):
            return self._not_asking(terminal, order.stay)
        if charge.amount != order.amount:
            return Refused(Code.WRONG_AMOUNT, f"the pay station asks for {charge.amount}, not {order.amount}")
        return None

    # --- evidence ----------------------------------------------------------------------------------------------------

    def who_settled(self, stay: StayRef, reference: str, deadline: float) -> Testimony:
        """What the machine has said about the approval for `reference` since; never raises."""
        del deadline  # nothing is asked: the machine has said it, or will
        found: list[Testimony] = []  # filled under the lock
        self._serving.wait(lambda terminal: found.append(self._testimony(terminal, stay, reference)), deadline=0)
        return found[0]

    def _testimony(self, terminal: Terminal, stay: StayRef, reference: str) -> Testimony:
        approval = terminal.approvals.get(reference)
        if approval is not None:
            return _told(approval)
        other = next((one for one in terminal.approvals.values() if self._is_for(one, stay)), None)
        if other is not None and other.state is not Delivery.WITHDRAWN:
            return Cash(f"approved for another payment, {other.detail}")
        if any(ref.same_as(stay) for ref in self._refs.values()):
            return Nobody("nothing was approved of what the pay station asked for")
        return CannotTell("the pay station has not asked for this since the bridge started")


def _told(approval: Approval) -> Testimony:
    match approval.state:
        case Delivery.COMPLETED:
            return Ours(approval.reference, approval.detail)
        case Delivery.QUEUED | Delivery.WITHDRAWN | Delivery.REJECTED:
            return Nobody(approval.detail)
        case _:
            return CannotTell(approval.detail)


def _outcome(approval: Approval) -> Outcome:
    detail = approval.detail
    match approval.state:
        case Delivery.COMPLETED:
            proofs = (f"result acknowledged, {detail}", approval.proof)
            return Applied(Level.LEGACY_CONFIRMED, tuple(Evidence(EvidenceKind.ECHO, text) for text in proofs))
        case Delivery.REJECTED:
            return Refused(Code.DEVICE_REFUSED, f"the machine refused the result: {detail}")
        case Delivery.WITHDRAWN if not approval.charge.ended:
            raise NotSent(Code.DEVICE_UNAVAILABLE, f"the machine did not answer, nothing was said: {detail}")
        case Delivery.QUEUED | Delivery.WITHDRAWN:
            return Refused(Code.STAY_UNKNOWN, f"the machine no longer asks: {detail}")
        case Delivery.ACKNOWLEDGED:
            return Uncertain(f"the machine has the result, but did not end the payment: {detail}", Code.NOT_OBSERVED)
        case _:
            return Uncertain(f"the result was said and not answered: {detail}")


def probe(url: str, deadline: float) -> Finding:
    """Listen, and answer nothing: does a machine speak ZVT there? `deadline` is monotonic seconds.

    Raises Environment if the port cannot be opened.
    """
    options = Options()
    hints = ('currency = "0392"', 'tid = "00000001"')
    url = full_url(url)
    transport = Transport(url, line_settings(options))
    lines = [line_of(url, Options(prefix=prefix)) for prefix in ((True, False) if by_tcp(url) else (False,))]
    try:
        while time.monotonic() < deadline:
            data = transport.read_some(deadline)
            for line in lines:
                if heard := line.hear(data, time.monotonic()):
                    more = ("prefix = true",) if len(lines) > 1 and line is lines[0] else ()
                    return Finding(True, f"ZVT, the machine says {heard[0].control:04x}", hints + more)
    except (NotSent, LineBroke) as error:
        return Finding(False, error.detail)
    finally:
        transport.close()
    return Finding(False, "no machine has said anything; begin a payment at it while this listens")


def create(
    device: DeviceTable, exits: Sequence[ExitTable], clock: Callable[[], datetime], recorder: Tap | None = None
) -> base.Driver:
    """The driver of `device`; raises Environment(CONFIG)."""
    del exits  # a terminal has none
    return ZvtTerminal(device, clock, recorder)


def line(device: DeviceTable) -> LineSettings:
    """How characters look on its serial line; raises Environment(CONFIG)."""
    return line_settings(options_of(device))
