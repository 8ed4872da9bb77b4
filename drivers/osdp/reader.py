"""The driver of an exit that an access panel opens for a card: we are its card reader, and show the card once.

The line is served by a thread of its own (drivers.peripheral), since panels poll every 50 to 200 ms; what is said there
is decided by device.Reader.
"""

import logging
import time
from collections.abc import Sequence

from drivers import base
from drivers.base import Applied, Capabilities, ExitState, Outcome, Refused, ReleaseOrder, Retry, Role, Target
from drivers.osdp import device as card_reader
from drivers.osdp.device import Showing, Stage
from drivers.osdp.line import random_bytes
from drivers.osdp.options import Reader, Settings
from drivers.osdp.pd import OFFLINE, Identity
from drivers.osdp.words import Reply, Signal, wiegand26
from drivers.peripheral import Serving
from drivers.profile import DeviceTable
from drivers.transport import Tap, Transport
from parking.desk import Position
from parking.errors import Code, NotSent
from parking.outcome import Evidence, EvidenceKind, Level

log = logging.getLogger(__name__)


class OsdpReader:
    """One virtual reader on one line. The roles are called on the thread that owns the port."""

    def __init__(self, device: DeviceTable, settings: Settings, options: Reader, recorder: Tap | None = None) -> None:
        """Opens nothing yet."""
        self._url, self._timeout = device.url, device.timeout_seconds
        self._card = wiegand26(options.facility, options.card)
        identity = Identity(options.address, settings.scbk, settings.default_key)
        reader = card_reader.Reader(identity, options.granted_by, random_bytes)
        self._serving = Serving(Transport(device.url, options.line, recorder), reader)
        self.capabilities = Capabilities(
            roles=Role.EXIT,
            retry=Retry.NEVER,
            release_level=Level.LEGACY_CONFIRMED if options.granted_by else Level.LINK_ACKED,
        )

    def close(self) -> None:
        """Give the port back; idempotent."""
        self._serving.close()

    def read(self, targets: Sequence[Target], deadline: float) -> Sequence[ExitState]:
        """Nothing is seen of an exit from its reader, only whether a panel polls it. Raises NotSent or Environment."""
        self._online(deadline)
        return tuple(ExitState(Position.UNKNOWN, held=False, vehicle=None) for _ in targets)

    def read_counter(self, target: Target, deadline: float) -> int | None:
        """None: OSDP has no counter."""
        del target, deadline
        return None

    def release(self, target: Target, order: ReleaseOrder) -> Outcome:
        """Show the card once, and see what the panel does about it until `order.deadline`.

        The bytes of the intent are the reply that is said: its sequence number, MAC and check follow from the POLL that
        it answers. Raises NotSent or Environment only if no byte of it left.
        """
        self._online(order.deadline)
        order.intend(bytes((Reply.RAW,)) + self._card.raw, None)
        with self._serving.held(order.deadline) as reader:
            if not reader.online(time.monotonic()):
                raise self._offline()
            showing = reader.show(self._card)
        self._serving.wait(lambda reader: _over(showing, reader.granted_by) or None, order.deadline)
        self._serving.wait(lambda reader: reader.withdraw(showing), deadline=0)
        if showing.stage is Stage.WITHDRAWN:
            raise NotSent(Code.DEVICE_UNAVAILABLE, f"{self._url}: the panel did not ask for the card")
        outcome = _outcome(showing)
        log.info("%s: card for %s: %s", order.reference, target.exit, outcome)
        return outcome

    def hold_open(self, target: Target, order: ReleaseOrder) -> Outcome:
        """Refused: a card opens once."""
        return _no_hold(target, order)

    def end_hold(self, target: Target, order: ReleaseOrder) -> Outcome:
        """Refused: there is no hold to be ended."""
        return _no_hold(target, order)

    def _online(self, deadline: float) -> None:
        """Wait for a panel that polls us. Raises NotSent or Environment."""
        with self._serving.held(deadline):
            pass
        until = min(deadline, time.monotonic() + self._timeout)
        if not self._serving.wait(lambda reader: reader.online(time.monotonic()) or None, until):
            raise self._offline()

    def _offline(self) -> NotSent:
        return NotSent(
            Code.DEVICE_UNAVAILABLE,
            f"{self._url}: no panel has polled this reader for {OFFLINE:.0f} s",
            "check the line, and address and key of the reader at the panel",
        )


def _over(showing: Showing, signals: Sequence[Signal]) -> bool:
    """Whether waiting cannot tell more. `signals`: those by which the panel shows that it grants."""
    ended = showing.stage in (Stage.LOST, Stage.WITHDRAWN)
    return ended or (showing.stage is Stage.TAKEN and bool(showing.granted or showing.denied or not signals))


def _outcome(showing: Showing) -> Outcome:
    if showing.stage is not Stage.TAKEN:
        return base.Uncertain("the card was said, and the panel has not shown that it heard it")
    taken = Evidence(EvidenceKind.ECHO, "the panel took the card: its next command followed")
    if showing.granted:
        return Applied(Level.LEGACY_CONFIRMED, (Evidence(EvidenceKind.WITNESS, f"panel: {showing.granted}"), taken))
    if showing.denied:
        return base.Uncertain(f"the panel took the card, and {showing.denied}", Code.CONTRADICTION)
    return Applied(Level.LINK_ACKED, (taken,))


def _no_hold(target: Target, order: ReleaseOrder) -> Outcome:
    del order
    return Refused(Code.DEVICE_REFUSED, f"{target.exit}: a card opens once; hold it open at the access panel")
