"""The driver of a pay station's cashless line: what it asks for, an approval said once, and what became of it.

The approval is written once, after the intent was journaled, and only the machine's own word settles it: VEND SUCCESS,
or a reset once it has the approval. What it never says stays uncertain.
"""

import contextlib
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

from drivers import base
from drivers.line_settings import LineSettings
from drivers.mdb_cashless.codec import LineCodec, Side
from drivers.mdb_cashless.device import Reader
from drivers.mdb_cashless.dialects import DIALECTS
from drivers.mdb_cashless.options import Options, options_of
from drivers.mdb_cashless.request import SETTLED, UNTOUCHED, Request, Stage
from drivers.mdb_cashless.words import AskVersion, Version
from drivers.peripheral import Serving
from drivers.profile import DeviceTable, ExitTable
from drivers.transport import Tap, Transport
from parking.errors import Code, Environment, NotSent, Uncertain
from parking.outcome import Evidence, EvidenceKind, Level
from parking.stay import StayRef
from parking.wire import FeeLine

log = logging.getLogger(__name__)

CAPABILITIES: Final = base.Capabilities(
    roles=base.Role.STAYS | base.Role.FEES | base.Role.SETTLE | base.Role.WITNESS,
    retry=base.Retry.NEVER,
    settle_level=Level.LEGACY_CONFIRMED,
)
CHARGE: Final = {"ja": "精算機の請求額", "en": "Asked for by the pay station"}
PROBE_PAUSE: Final = 0.5
PROBE_TRIES: Final = 3
"""Whoever stands there instead of an adapter is not to hear more of it."""


class MdbCashless:
    """Plays the roles stays, fee, settle and witness for one pay station."""

    capabilities = CAPABILITIES

    def __init__(
        self, device: DeviceTable, options: Options, clock: Callable[[], datetime], recorder: Tap | None = None
    ) -> None:
        """Nothing is opened yet; `clock` gives aware UTC."""
        self._hold = timedelta(seconds=options.hold_seconds)
        reader = Reader(options.manner(device.timeout_seconds), options.spoken, clock)
        self._url = device.url
        self._serving = Serving(Transport(device.url, options.line, recorder), reader)

    def close(self) -> None:
        """Give the port back; idempotent. What was asked for and approved stays known."""
        self._serving.close()

    # --- reading ------------------------------------------------------------------------------------------------------

    def stays(self, deadline: float) -> Sequence[base.Stay]:
        """What the machine asks for, as long as it is at it. Raises NotSent or Environment."""
        with self._reader(deadline) as reader:
            return () if reader.request is None else (base.Stay(reader.request.ref),)

    def quote(self, stay: StayRef, at: datetime, deadline: float) -> base.Quote | base.Refused:
        """The amount asked for. Refused: STAY_UNKNOWN, STAY_CHANGED, ALREADY_PAID. Raises as `stays` does."""
        with self._reader(deadline) as reader:
            request = reader.request
            if request is None or not request.ref.same_as(stay):
                return _unknown(reader, stay)
            if request.stage is not Stage.ASKED:
                return base.Refused(Code.ALREADY_PAID, "a payment for it is on its way to the machine")
            line = FeeLine(text=CHARGE, amount=request.amount)
            return base.Quote(request.ref, request.amount, (line,), at + self._hold)

    def who_settled(self, stay: StayRef, reference: str, deadline: float) -> base.Testimony:
        """What became of the approval for `reference`, by what the machine has said since. Never raises."""

        def look(reader: Reader) -> base.Testimony | None:
            return _testimony(reader.about(stay), stay, reference)

        return self._serving.wait(look, deadline) or base.CannotTell("the line is busy")

    # --- settling -----------------------------------------------------------------------------------------------------

    def settle(self, order: base.SettleOrder) -> base.Outcome:
        """Approve what the machine asks for, once. Raises NotSent or Environment when no byte of it has left."""
        with self._reader(order.deadline) as reader:
            request = reader.about(order.stay)
            if request is None or order.stay.entered_at is None:
                return _unknown(reader, order.stay)
            if request.reference != order.reference or request.stage in UNTOUCHED:
                known = _refusal(request, order)
                if known is not None:
                    return known
                order.intend(reader.wording(request), None)
                request.approve(order.reference)
        self._serving.wait(lambda _: request.decided or None, order.deadline)
        outcome = self._outcome(request, order.deadline)
        log.info("%s: approval for %s: %s", order.reference, order.stay.key, outcome)
        if isinstance(outcome, NotSent):
            raise outcome
        return outcome

    def _outcome(self, request: Request, deadline: float) -> base.Outcome | NotSent:
        """What came of an approval by now, read while the line stands still."""

        def look(_: Reader) -> base.Outcome | NotSent | None:
            return _outcome(request)

        return self._serving.wait(look, deadline) or base.Uncertain("nothing is known at the deadline")

    @contextlib.contextmanager
    def _reader(self, deadline: float) -> Iterator[Reader]:
        """The reader, once its adapter answers. Raises Environment or NotSent."""
        with self._serving.held(deadline):
            pass  # raises what keeps the line from being there, without waiting
        self._serving.wait(lambda reader: reader.alive or None, deadline)
        with self._serving.held(deadline) as reader:
            if not reader.alive:
                detail, remedy = (
                    f"{self._url}: the adapter does not answer",
                    "check its cable, its supply and the baud rate",
                )
                raise NotSent(Code.DEVICE_UNAVAILABLE, detail, remedy)
            yield reader


def _unknown(reader: Reader, stay: StayRef) -> base.Refused:
    asked = reader.request
    if asked is None or asked.ref.name != stay.name:
        return base.Refused(Code.STAY_UNKNOWN, "the machine asks for nothing by this name")
    return base.Refused(Code.STAY_CHANGED, "the machine asks for something else by now")


def _refusal(request: Request, order: base.SettleOrder) -> base.Refused | None:
    """Why a request is not approved for this order; None: go ahead. Raises NotSent while another is under way."""
    if request.stage is Stage.ASKED:
        if request.amount != order.amount:
            return base.Refused(Code.WRONG_AMOUNT, f"{request.amount} yen are asked for, {order.amount} were paid")
        return None
    if request.stage in SETTLED:
        return base.Refused(Code.ALREADY_PAID, f"paid by {request.reference}: {request.words}")
    if request.open:
        raise NotSent(Code.DEVICE_UNAVAILABLE, f"an approval of {request.reference} is under way")
    return base.Refused(Code.STAY_UNKNOWN, request.words)


def _outcome(request: Request) -> base.Outcome | NotSent:
    """What came of an approval as far as it is known; one that still waits to be said is taken back."""
    match request.stage:
        case Stage.SOLD | Stage.RESET:
            return base.Applied(Level.LEGACY_CONFIRMED, (Evidence(EvidenceKind.WITNESS, request.words),))
        case Stage.FAILED | Stage.NOT_TAKEN:
            return base.Refused(Code.DEVICE_REFUSED, request.words)
        case Stage.WITHDRAWN | Stage.LATE:
            return base.Refused(Code.STAY_UNKNOWN, request.words)
        case Stage.UNSENT:
            return NotSent(Code.LINK_DOWN, request.words)
        case Stage.READY:
            request.withhold()
            return NotSent(Code.DEVICE_UNAVAILABLE, "the approval was taken back before it was said")
        case _:
            return base.Uncertain(request.words or "the machine has not said what became of the approval")


def _testimony(request: Request | None, stay: StayRef, reference: str) -> base.Testimony:
    if request is None or (stay.entered_at is None and request.reference != reference):
        return base.CannotTell("nothing is remembered of this request")
    if request.stage in UNTOUCHED:
        return base.Nobody(request.words)
    if request.stage is Stage.ASKED:
        return base.Nobody("the machine still asks for it")
    if request.stage not in SETTLED:
        return base.CannotTell(request.words or "the machine has not said what became of the approval")
    if request.reference == reference:
        return base.Ours(reference, request.words)
    return base.Cash(f"paid by {request.reference}")


def create(
    device: DeviceTable, exits: Sequence[ExitTable], clock: Callable[[], datetime], recorder: Tap | None = None
) -> MdbCashless:
    """Make the driver; `exits` may be all of the lot.

    Raises Environment(CONFIG) for bad options, or if an exit hangs on this device, which opens none.
    """
    hanging = [exit_.id for exit_ in exits if exit_.device == device.id]
    if hanging:
        raise Environment(
            Code.CONFIG,
            f"device {device.id!r}: a pay station's reader opens no exits, but {hanging[0]!r} hangs on it",
            "name the relay or plate controller as the exit's device",
        )
    return MdbCashless(device, options_of(device), clock, recorder)


def probe(url: str, deadline: float) -> base.Finding:
    """Ask an adapter for its version, and nothing else. Raises Environment if the port cannot be opened."""
    port = Transport(url, LineSettings(Options().baud))
    try:
        for spelling, dialect in DIALECTS.items():
            codec = LineCodec(dialect(), Side.READER)
            for _ in range(PROBE_TRIES):
                port.write(codec.encode(AskVersion()), deadline)
                pause = min(deadline, time.monotonic() + PROBE_PAUSE)
                while time.monotonic() < deadline and (data := port.read_some(pause)):
                    for word in codec.feed(data):
                        if isinstance(word, Version):
                            identity = (
                                f"MDB adapter ({spelling}), firmware {word.firmware}, serial number {word.serial}"
                            )
                            return base.Finding(True, identity, ('family = "mdb_cashless"', f'dialect = "{spelling}"'))
        return base.Finding(False, "nothing answered")
    except (NotSent, Uncertain) as error:
        return base.Finding(False, str(error))
    finally:
        port.close()


def line(device: DeviceTable) -> LineSettings:
    """How characters look on its serial line; raises Environment(CONFIG)."""
    return options_of(device).line
