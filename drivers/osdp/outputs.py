"""The driver of a reader or controller whose output opens an exit: we are its control panel (CP).

A release is one OUT command with a time of its own (temporary on, then as before). It is preceded by a look (already
open: refused), and what became of it is read from its acknowledgement, the output and the inputs. A lost answer is
asked for in the way that cannot make the device act twice (cp.Cp.again); after that it is only looked.
"""

import logging
import time
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

from drivers.base import Capabilities, ExitState, Outcome, Refused, ReleaseOrder, Retry, Role, Target
from drivers.osdp import proof
from drivers.osdp.cp import Cp
from drivers.osdp.line import Line, random_bytes
from drivers.osdp.options import Outputs, Settings
from drivers.osdp.words import TICK, Command, Control, Out, Reply, statuses
from drivers.profile import DeviceTable
from drivers.transport import Tap, Transport
from parking.desk import Position
from parking.errors import Code, DaikoError, Environment, NotSent, Uncertain
from parking.outcome import Level

T = TypeVar("T")
log = logging.getLogger(__name__)

WATCH_PAUSE: Final = 0.02
"""Seconds between two looks at a moving arm."""


class OsdpOutputs:
    """One device on one line or connection. All calls come from the thread that owns the port."""

    def __init__(self, device: DeviceTable, settings: Settings, options: Outputs, recorder: Tap | None = None) -> None:
        """Opens nothing yet."""
        self._options, self._timeout = options, device.timeout_seconds
        transport = Transport(device.url, options.line, recorder)
        crc = options.check == "crc"
        cp = Cp(options.address, settings.scbk, random_bytes, default_key=settings.default_key, crc=crc)
        self._line = Line(transport, cp, device.timeout_seconds)
        self._pulsing: dict[int, float] = {}
        watched = options.open_base >= 0
        self.capabilities = Capabilities(
            roles=Role.EXIT,
            retry=Retry.NEVER,  # within one link it is repeated here; over a restart no number is left to repeat
            release_level=Level.PHYSICALLY_OBSERVED if watched else Level.LINK_ACKED,
        )

    def close(self) -> None:
        """Give the port back; idempotent."""
        self._line.close()

    # --- reading -----------------------------------------------------------------------------------------------------

    def read(self, targets: Sequence[Target], deadline: float) -> Sequence[ExitState]:
        """The state of each target, in order. Raises NotSent, Environment or Uncertain."""
        if not targets:
            return ()
        options = self._options
        inputs = self._inputs(deadline)
        outputs = self._outputs(deadline)
        now = time.monotonic()
        return tuple(
            ExitState(
                position=self._position(_one(inputs, options.open_base, target.channel, "open_base")),
                held=bool(_one(outputs, 0, target.channel, "channels"))
                and now >= self._pulsing.get(target.channel, now),
                vehicle=_one(inputs, options.vehicle_base, target.channel, "vehicle_base"),
            )
            for target in targets
        )

    def read_counter(self, target: Target, deadline: float) -> int | None:
        """None: OSDP has no counter."""
        del target, deadline
        return None

    @staticmethod
    def _position(opened: bool | None) -> Position:
        if opened is None:
            return Position.UNKNOWN
        return Position.OPEN if opened else Position.CLOSED

    def _inputs(self, deadline: float) -> tuple[bool, ...]:
        """Raises Environment(CONFIG) if the device reports none."""
        if self._options.open_base < 0 and self._options.vehicle_base < 0:
            return ()
        data = self._line.ask(Command.ISTAT, Reply.ISTATR, deadline)
        if data is None:
            remedy = "set open_base and vehicle_base to -1 in the lot profile"
            raise Environment(Code.CONFIG, "the device does not report its inputs", remedy)
        return statuses(data)

    def _outputs(self, deadline: float) -> tuple[bool, ...] | None:
        """None: the device does not report them, as some readers do not."""
        data = self._line.ask(Command.OSTAT, Reply.OSTATR, deadline)
        return None if data is None else statuses(data)

    def _opened(self, target: Target, deadline: float) -> bool | None:
        if self._options.open_base < 0:
            return None
        return _one(self._inputs(deadline), self._options.open_base, target.channel, "open_base")

    def _switched(self, target: Target, deadline: float) -> bool | None:
        return _one(self._outputs(deadline), 0, target.channel, "channels")

    # --- acting ------------------------------------------------------------------------------------------------------

    def release(self, target: Target, order: ReleaseOrder) -> Outcome:
        """Let one car out: look, commit the intent, say it, watch until `order.deadline`.

        Refused if the exit is already open, its output already on, or the device says no. Raises NotSent or Environment
        only if no byte of the command left.
        """
        if (no := self._unknown(target) or self._look(target, order.deadline)) is not None:
            return no
        tenths = self._options.pulse_ms // 100
        letter = self._line.compose(Command.OUT, Out(target.channel, Control.ON_FOR, tenths).data)
        order.intend(letter.raw, None)
        begins = time.monotonic() + self._options.repeats * self._timeout  # at the latest
        self._pulsing[target.channel] = begins + tenths * TICK
        told = self._line.act(letter, order.deadline, self._options.repeats)
        if (no := proof.refused(told)) is not None:
            return no
        switched = any(statuses(told.outputs[target.channel : target.channel + 1]))
        outcome = proof.verdict(self._watch(target, proof.Sight(told, switched), order.deadline))
        log.info("%s: release of %s: %s", order.reference, target.exit, outcome)
        return outcome

    def hold_open(self, target: Target, order: ReleaseOrder) -> Outcome:
        """Open and stay open. Raises as `release` does."""
        return self._set_hold(target, order, on=True)

    def end_hold(self, target: Target, order: ReleaseOrder) -> Outcome:
        """Give closing back to the controller. Raises as `release` does."""
        return self._set_hold(target, order, on=False)

    def _set_hold(self, target: Target, order: ReleaseOrder, on: bool) -> Outcome:
        if (unknown := self._unknown(target)) is not None:
            return unknown
        self._before(lambda: self._line.begin(order.deadline))
        letter = self._line.compose(Command.OUT, Out(target.channel, Control.ON if on else Control.OFF).data)
        order.intend(letter.raw, None)
        self._pulsing.pop(target.channel, None)
        told = self._line.act(letter, order.deadline, self._options.repeats)
        if (no := proof.refused(told)) is not None:
            return no
        output: bool | None = None
        opened: bool | None = None
        while True:
            output = _known(self._glance(self._switched, target, order.deadline), output)
            opened = _known(self._glance(self._opened, target, order.deadline), opened)
            seen = output is on and (not on or bool(opened) or self._options.open_base < 0)
            if seen or time.monotonic() + WATCH_PAUSE >= order.deadline:
                return proof.hold_verdict(told, on, output, opened)
            time.sleep(WATCH_PAUSE)

    def _unknown(self, target: Target) -> Refused | None:
        if target.channel < self._options.channels:
            return None
        return Refused(Code.EXIT_UNKNOWN, f"the device has no channel {target.channel} ({target.exit})")

    def _look(self, target: Target, deadline: float) -> Refused | None:
        """Why there must be no release now. The link is the one on which the command will go out."""
        if self._before(lambda: self._switched(target, deadline)):
            return Refused(Code.CONFLICT, "the output is already on")
        if self._before(lambda: self._opened(target, deadline)):
            return Refused(Code.CONFLICT, "the arm is already up")
        return None

    @staticmethod
    def _before(ask: Callable[[], T]) -> T:
        """Ask while nothing was commanded yet, so that NotSent is certain."""
        try:
            return ask()
        except Uncertain as error:
            raise NotSent(Code.DEVICE_UNAVAILABLE, f"no answer before the command: {error.detail}") from error

    def _watch(self, target: Target, sight: proof.Sight, deadline: float) -> proof.Sight:
        watched = self._options.open_base >= 0
        while not proof.complete(sight, watched) and time.monotonic() + WATCH_PAUSE < deadline:
            known = sight.acknowledged or sight.switched
            switched = None if known else self._glance(self._switched, target, deadline)
            sight = sight.with_reading(switched, self._glance(self._opened, target, deadline))
            if not proof.complete(sight, watched):
                time.sleep(WATCH_PAUSE)
        return sight

    @staticmethod
    def _glance(look: Callable[[Target, float], bool | None], target: Target, deadline: float) -> bool | None:
        """A look that may fail without harm: None then."""
        try:
            return look(target, deadline)
        except DaikoError as error:
            log.debug("not readable just now: %s", error)
            return None


def _one(values: Sequence[bool] | None, base: int, channel: int, key: str) -> bool | None:
    """One input or output; None if none is wired. Raises Environment(CONFIG) if the device has fewer."""
    if values is None or base < 0:
        return None
    if base + channel >= len(values):
        detail = f"the device reports {len(values)}, and number {base + channel} is asked for"
        raise Environment(Code.CONFIG, detail, f"correct {key} or the exit's channel in the lot profile")
    return values[base + channel]


def _known(new: bool | None, old: bool | None) -> bool | None:
    return old if new is None else new
