"""The driver of USB relay boards: exits, and nothing else. A board proves little or nothing.

A release is `on`, a pause and `off`, timed here. It is not crash-safe: a bridge that dies in between leaves the relay
on, and the gate held open, until it runs again (board.py). `on` is written once and never again; `off` changes nothing
that is off already, so it is written as often as it takes.
"""

import logging
import time
from collections.abc import Callable, Sequence
from datetime import datetime

from drivers.base import (
    Applied,
    Capabilities,
    ExitState,
    Outcome,
    Refused,
    ReleaseOrder,
    Role,
    Target,
    Uncertain,
)
from drivers.line_settings import LineSettings
from drivers.profile import DeviceTable, ExitTable
from drivers.transport import Tap
from drivers.usb_relay.board import Board
from drivers.usb_relay.codec import Switch
from drivers.usb_relay.links import link_of
from drivers.usb_relay.options import options_of
from drivers.usb_relay.probing import probe as probe
from parking.desk import Position
from parking.errors import Code, NotSent
from parking.errors import Uncertain as UncertainError
from parking.outcome import Evidence, EvidenceKind, Level

log = logging.getLogger(__name__)


class UsbRelay:
    """One board. All calls come from the thread that owns the port."""

    def __init__(self, device: DeviceTable, exits: Sequence[ExitTable], recorder: Tap | None = None) -> None:
        """`exits` may be all of the lot. Raises Environment(CONFIG); opens nothing yet."""
        own = [exit_ for exit_ in exits if exit_.device == device.id]
        self._options = options = options_of(device, own)
        relays = [exit_.channel + 1 for exit_ in own]
        self._link = link_of(device, options, recorder)
        self._board = Board(self._link, options.tells, relays, device.timeout_seconds)
        self.capabilities = Capabilities(
            roles=Role.EXIT, release_level=Level.LINK_ACKED if options.tells else Level.SENT
        )

    def close(self) -> None:
        """Give the port back; idempotent."""
        self._board.close()

    def read(self, targets: Sequence[Target], deadline: float) -> Sequence[ExitState]:
        """Whether each target's relay is on; no board sees where the gate stands. Raises as Board.ready does.

        A board that says nothing is told `off` again: an `off` that got lost would hold the gate open for ever.
        """
        stands = self._board.ready(deadline, off_again=True)
        return tuple(ExitState(Position.UNKNOWN, stands[target.channel + 1], None) for target in targets)

    def read_counter(self, target: Target, deadline: float) -> int | None:
        """None: nothing is counted."""
        del target, deadline
        return None

    def release(self, target: Target, order: ReleaseOrder) -> Outcome:
        """Let one car out: commit the intent, `on`, `pulse_ms`, `off`.

        Uncertain if the relay may still be on. Refused while it is on. Raises NotSent or Environment only if no byte
        of the `on` left.
        """
        relay, pulse = target.channel + 1, self._options.pulse_ms / 1000
        if time.monotonic() + pulse >= order.deadline:
            raise NotSent(Code.DEVICE_UNAVAILABLE, f"no time left for a pulse of {pulse} s")
        if self._stands(target, order):
            return Refused(Code.CONFLICT, f"relay {relay} of {target.exit} is on: the exit is held open")
        order.intend(self._link.encode(Switch(relay, True)) + self._link.encode(Switch(relay, False)), None)
        doubt, seen, stuck = "", None, ""
        try:
            doubt = self._on(relay, order)
            ends = time.monotonic() + pulse
            seen = self._seen(relay, ends) if not doubt else None
            time.sleep(max(0.0, ends - time.monotonic()) if not doubt else 0.0)
        finally:  # whatever happened meanwhile
            if self._board.may_be_on(relay):
                stuck = self._board.off(relay)
        outcome = self._verdict(target, doubt, stuck, seen)
        log.info("%s: release of %s: %s", order.reference, target.exit, outcome)
        return outcome

    def hold_open(self, target: Target, order: ReleaseOrder) -> Outcome:
        """Switch on and leave it on. Ends by itself where the port is opened anew. Raises as `release` does."""
        relay = target.channel + 1
        self._stands(target, order)
        order.intend(self._link.encode(Switch(relay, True)), None)
        doubt = self._on(relay, order)
        return self._verdict(target, doubt, "", self._seen(relay, order.deadline))

    def end_hold(self, target: Target, order: ReleaseOrder) -> Outcome:
        """Switch off, which gives closing back to the controller. Raises as `release` does."""
        relay = target.channel + 1
        self._stands(target, order)
        order.intend(self._link.encode(Switch(relay, False)), None)
        return self._verdict(target, "", self._board.off(relay), True if self._options.tells else None)

    def _stands(self, target: Target, order: ReleaseOrder) -> bool:
        """Whether the relay is on, as far as that is known. A doubt is none yet: nothing but `off` was written."""
        try:
            return self._board.ready(order.deadline)[target.channel + 1]
        except UncertainError as error:
            raise NotSent(Code.DEVICE_UNAVAILABLE, f"not ready before the command: {error.detail}") from error

    def _on(self, relay: int, order: ReleaseOrder) -> str:
        """Write `on` once; what is in doubt about it, or ""."""
        try:
            self._board.on(relay, order.deadline)
        except UncertainError as error:
            log.warning("%s: `on` not written whole, not repeated: %s", order.reference, error.detail)
            return error.detail
        return ""

    def _seen(self, relay: int, deadline: float) -> bool | None:
        """Whether the board says that the relay is on; None where boards say nothing, or this one does not."""
        return self._board.says(relay, deadline) if self._options.tells else None

    def _verdict(self, target: Target, doubt: str, stuck: str, seen: bool | None) -> Outcome:
        """`stuck`: why the relay may still be on; `seen`: whether the board said what it was told."""
        name = f"relay {target.channel + 1} of {target.exit}"
        if stuck:
            return Uncertain(f"{name}: the relay may still be on, the exit held open: {stuck}", Code.LINK_DOWN)
        if doubt:
            return Uncertain(f"{name}: {doubt}", Code.LINK_DOWN)
        if not self._options.tells:
            return Applied(Level.SENT, ())
        if seen:
            return Applied(Level.LINK_ACKED, (Evidence(EvidenceKind.ECHO, f"the board said how {name} stood"),))
        if seen is False:
            return Uncertain(f"{name}: told on, and the board said off", Code.CONTRADICTION)
        return Uncertain(f"{name}: told on, and the board did not answer")


def create(
    device: DeviceTable, exits: Sequence[ExitTable], clock: Callable[[], datetime], recorder: Tap | None = None
) -> UsbRelay:
    """The driver of `device`; raises Environment(CONFIG)."""
    del clock  # nothing here has a time of day
    return UsbRelay(device, exits, recorder)


def line(device: DeviceTable) -> LineSettings:
    """How characters look on its serial line; raises Environment(CONFIG)."""
    return options_of(device, ()).line
