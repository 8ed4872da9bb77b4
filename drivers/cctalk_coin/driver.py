"""The driver of a pay station in which we take coins or bills: it credits them until the station is satisfied.

The line is served by a thread of its own (drivers.peripheral); what is said there is decided by device.Acceptor. A
payment is an account of coins or bills: each is shown once, and what became of it is read from how the host goes on.
"""

import logging
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

from drivers import base
from drivers.cctalk_coin.account import Account, Period, testimony, verdict
from drivers.cctalk_coin.codec import HOST, Check, Codec
from drivers.cctalk_coin.device import Acceptor
from drivers.cctalk_coin.kinds import BILLS
from drivers.cctalk_coin.options import options_of
from drivers.line_settings import LineSettings
from drivers.peripheral import Serving
from drivers.profile import DeviceTable, ExitTable
from drivers.transport import Tap, Transport
from parking.errors import Code, DaikoError, NotSent
from parking.money import Yen
from parking.outcome import Level
from parking.stay import NameKind, StayRef
from parking.wire import FeeLine

log = logging.getLogger(__name__)

CAPABILITIES: Final = base.Capabilities(
    roles=base.Role.STAYS | base.Role.FEES | base.Role.SETTLE | base.Role.WITNESS,
    retry=base.Retry.NEVER,
    settle_level=Level.LEGACY_CONFIRMED,
    partial=True,
)
LOOK: Final = 0.05
"""Seconds between two looks at a payment under way: what time alone brings about is seen so."""
MARGIN: Final = 4.0
"""Seconds before the deadline, at most, in which no new coin is shown: the last one is to be seen taken."""
LISTEN: Final = 1.5
ENOUGH: Final = 5
"""Seconds for which a probe listens at one speed, and requests after which it has heard enough."""
ONE_SECOND: Final = timedelta(seconds=1)


class CctalkCoin:
    """One coin acceptor or bill validator on one line: the pay station `desk` of its options."""

    capabilities = CAPABILITIES

    def __init__(
        self,
        device: DeviceTable,
        clock: Callable[[], datetime],
        recorder: Tap | None = None,
        serving: Serving[Acceptor] | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`clock` gives aware UTC. Raises Environment(CONFIG); opens nothing yet."""
        self._options = options = options_of(device)
        self._clock, self._monotonic = clock, monotonic
        transport = Transport(device.url, options.line, recorder)
        self._serving = serving or Serving(transport, Acceptor(options.settings))
        self._began: tuple[int, datetime] | None = None
        self._advised = ""

    def close(self) -> None:
        """Give the port back; idempotent."""
        self._serving.close()

    # --- reading -----------------------------------------------------------------------------------------------------

    def stays(self, deadline: float) -> Sequence[base.Stay]:
        """The station, while it takes money; it began to when this driver first saw it. Raises NotSent, Environment."""
        with self._serving.held(deadline) as acceptor:
            period, advice = acceptor.period, acceptor.advice
        if advice and advice != self._advised:
            log.warning("pay station %s: %s", self._options.desk, advice)
        self._advised = advice
        if period is None:
            return ()
        credited = period.account.delivered if period.account else 0
        return (base.Stay(self._ref(period), Yen(credited), "phone" if credited else ""),)

    def quote(self, stay: StayRef, at: datetime, deadline: float) -> base.Quote | base.Refused:
        """The most that will be credited: such a device is not told how much is wanted. Raises as `stays` does.

        Refused: STAY_UNKNOWN, STAY_CHANGED, ALREADY_PAID, DEVICE_REFUSED (it cannot be made of what is enabled).
        """
        cap = self._options.cap_yen
        with self._serving.held(deadline) as acceptor:
            period = self._payable(acceptor, stay)
            letter = acceptor.letter(cap)
        if isinstance(period, base.Refused):
            return period
        if letter is None:
            return self._unmakeable(cap)
        what = self._options.accepts.capitalize()
        text = {
            "ja": f"精算機が満額になるまで投入します（上限 {cap:,}円）。請求は投入した額だけです。",
            "en": f"{what} are credited until the machine has enough, at most ¥{cap:,}; only these are charged.",
        }
        until = at + timedelta(seconds=self._options.hold_seconds)
        return base.Quote(self._ref(period), Yen(cap), (FeeLine(text=text, amount=cap),), until, at_most=True)

    def who_settled(self, stay: StayRef, reference: str, deadline: float) -> base.Testimony:
        """What became of our coins for `reference`, as far as it is known since this program started. Never raises."""
        del deadline  # nothing is asked: the host cannot be

        def look(acceptor: Acceptor) -> base.Testimony:
            account = acceptor.account(reference)
            if account is None:
                return base.CannotTell("nothing is known of this payment since the bridge was started")
            if not account.stay.same_as(stay):
                return base.CannotTell("the payment was for another stay")
            return testimony(account)

        return self._serving.wait(look, self._monotonic()) or base.CannotTell("the line is not served")

    # --- acting ------------------------------------------------------------------------------------------------------

    def settle(self, order: base.SettleOrder) -> base.Outcome:
        """Credit coins until `order.amount` is reached or the station takes no more. Raises NotSent, Environment.

        The bytes of the intent are those of all replies, one coin more in each, if nothing comes between.
        """
        with self._serving.held(order.deadline) as acceptor:
            known = acceptor.account(order.reference)
            period = self._payable(acceptor, order.stay)
            letter, before = acceptor.letter(order.amount), acceptor.counter
        if known is not None and (known.open_ or known.delivered):
            return verdict(known)
        if isinstance(period, base.Refused):
            return period
        if order.amount > self._options.cap_yen:
            return base.Refused(Code.WRONG_AMOUNT, f"{order.amount} yen are more than {self._options.cap_yen}")
        if letter is None:
            return self._unmakeable(order.amount)
        until = order.deadline - min(MARGIN, (self._options.confirm_polls + 1) * self._options.patience)
        if self._monotonic() >= until:
            raise NotSent(Code.DEVICE_UNAVAILABLE, "too little time is left to show a coin and see it taken")
        order.intend(letter, before)
        with self._serving.held(order.deadline) as acceptor:
            same = acceptor.period is period and (acceptor.letter(order.amount), acceptor.counter) == (letter, before)
            account = acceptor.begin(order.reference, order.stay, order.amount, until) if same else None
        if account is None:
            return base.Refused(Code.STAY_CHANGED, "the station changed its mind before the first coin")
        outcome = self._watch(account, order.deadline)
        log.info("%s: %s", order.reference, outcome)
        return outcome

    def _watch(self, account: Account, deadline: float) -> base.Outcome:
        """Wait until nothing changes any more, or until the deadline; no coin is shown for it after that."""
        found: list[base.Outcome] = []

        def look(acceptor: Acceptor) -> bool | None:
            if not acceptor.finished(account, self._monotonic()):
                return None
            found.append(verdict(account))
            return True

        def end(acceptor: Acceptor) -> bool:
            acceptor.withdraw(account)
            found.append(verdict(account))
            return True

        while not found and self._monotonic() < deadline:
            self._serving.wait(look, min(deadline, self._monotonic() + LOOK))
        if not found:
            self._serving.wait(end, self._monotonic())
        return found[0]

    def _payable(self, acceptor: Acceptor, stay: StayRef) -> Period | base.Refused:
        period = acceptor.period
        if stay.kind is not NameKind.DESK or stay.name != self._options.desk:
            return base.Refused(Code.STAY_UNKNOWN, f"this is pay station {self._options.desk}")
        if period is None:
            why = f"; {acceptor.advice}" if acceptor.advice else ""
            return base.Refused(Code.STAY_UNKNOWN, f"the pay station takes no money now{why}")
        if acceptor.advice:
            return base.Refused(Code.DEVICE_REFUSED, f"nothing can be credited: {acceptor.advice}")
        if not self._ref(period).same_as(stay):
            return base.Refused(Code.STAY_CHANGED, "the pay station now serves somebody else")
        account = period.account
        if account is not None and (account.open_ or account.delivered):
            return base.Refused(Code.ALREADY_PAID, account.words)
        return period

    def _unmakeable(self, amount: int) -> base.Refused:
        what = f"{amount} yen cannot be made exactly of the {self._options.accepts} that are enabled"
        return base.Refused(Code.DEVICE_REFUSED, what)

    def _ref(self, period: Period) -> StayRef:
        """A period begins when it is first seen, and never in the same second as the one before."""
        if self._began is None or self._began[0] != period.number:
            now = self._clock().replace(microsecond=0)
            self._began = (period.number, max(now, self._began[1] + ONE_SECOND) if self._began else now)
        return StayRef(NameKind.DESK, self._options.desk, self._began[1])


def create(
    device: DeviceTable, exits: Sequence[ExitTable], clock: Callable[[], datetime], recorder: Tap | None = None
) -> CctalkCoin:
    """The driver of `device`; raises Environment(CONFIG)."""
    del exits  # it moves none
    return CctalkCoin(device, clock, recorder)


def probe(url: str, deadline: float) -> base.Finding:
    """Listen, and say nothing: which addresses a host polls there. `deadline` is monotonic seconds. Raises Environment.

    A host polls often, so each of the two usual speeds is listened to for LISTEN seconds at most.
    """
    began = time.monotonic()
    deadline = min(deadline, began + 2 * LISTEN)
    last = "nothing that looks like ccTalk was heard; a host that finds no acceptor may have stopped asking"
    for at, baud in enumerate((9600, 4800), 1):
        try:
            heard = _listen(url, baud, began + (deadline - began) * at / 2)
        except DaikoError as error:
            if not isinstance(error, NotSent):
                raise
            last = error.detail
            continue
        if heard is not None:
            return heard
    return base.Finding(answered=False, identity=last)


def _listen(url: str, baud: int, until: float) -> base.Finding | None:
    transport = Transport(url, LineSettings(baud))
    codecs = {check: Codec(check, None) for check in Check}
    asked: dict[tuple[Check, int], int] = {}
    try:
        while time.monotonic() < until and sum(asked.values()) < ENOUGH:
            chunk = transport.read_some(min(until, time.monotonic() + 0.05))
            for check, codec in codecs.items():
                if not chunk:
                    codec.reset()
                for frame in codec.feed(chunk):
                    if frame.destination != HOST:
                        asked[check, frame.destination] = asked.get((check, frame.destination), 0) + 1
    finally:
        transport.close()
    if not asked:
        return None
    check, address = max(asked, key=lambda one: asked[one])
    places = ", ".join(f"{there} ({count}×)" for (_, there), count in sorted(asked.items(), key=lambda one: -one[1]))
    hints: tuple[str, ...] = (f"address = {address}", f'checksum = "{check.value}"', f"baud = {baud}")
    if address == BILLS.address:
        hints += (f'accepts = "{BILLS.accepts}"',)
    return base.Finding(answered=True, identity=f"ccTalk, {baud} baud: a host asks address {places}", hints=hints)


def line(device: DeviceTable) -> LineSettings:
    """How characters look on its serial line; raises Environment(CONFIG)."""
    return options_of(device).line
