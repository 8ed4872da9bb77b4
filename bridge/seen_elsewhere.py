"""An exit that one device moves and another one sees, as one exit device. No decisions: the relay makes them.

The device that moves it proves nothing by itself (a plain relay board says nothing at all), so the other one is looked
at before, which refuses what is open already, and after, until it is seen open. Each device is asked on the thread of
its own port.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from drivers import base
from drivers.profile import ExitTable
from parking.desk import Position
from parking.errors import Code, DaikoError, NotSent, Uncertain
from parking.outcome import Evidence, EvidenceKind, Level

log = logging.getLogger(__name__)

PAUSE: Final = 0.02
"""Seconds between two looks at a moving arm."""

See = Callable[[str, Sequence[base.Target], float], Sequence[base.ExitState]]
"""Reads targets of a device, by its id, on the thread of that device's port, until a deadline (monotonic seconds).

Raises NotSent, Environment or Uncertain.
"""


class SeenElsewhere:
    """An exit device whose positions come from other devices; has the face of base.ExitDevice."""

    def __init__(self, mover: base.ExitDevice, exits: Mapping[str, ExitTable], see: See) -> None:
        """`exits` by id: all that `mover` moves, those it sees itself as well."""
        self._mover, self._exits, self._see = mover, exits, see

    def release(self, target: base.Target, order: base.ReleaseOrder) -> base.Outcome:
        """Look, have it moved, look until it is seen open. Raises as the mover does."""
        exit_ = self._exits[target.exit]
        if exit_.seen_by is None:
            return self._mover.release(target, order)
        if (refused := self._open_already(exit_, order)) is not None:
            return refused
        return self._proved(exit_, self._mover.release(target, order), order, "closed before, open after")

    def hold_open(self, target: base.Target, order: base.ReleaseOrder) -> base.Outcome:
        """Open and stay open. Raises as the mover does."""
        return self._proved(self._exits[target.exit], self._mover.hold_open(target, order), order, "open")

    def end_hold(self, target: base.Target, order: base.ReleaseOrder) -> base.Outcome:
        """Give closing back, which nothing shows before cars have passed. Raises as the mover does."""
        return self._mover.end_hold(target, order)

    def read(self, targets: Sequence[base.Target], deadline: float) -> Sequence[base.ExitState]:
        """Holds from the mover, positions and cars from who sees them. Raises as both do."""
        states = {
            target.exit: state for target, state in zip(targets, self._mover.read(targets, deadline), strict=True)
        }
        eyes: dict[str, list[base.Target]] = {}
        for target in targets:
            if (eye := self._exits[target.exit].seen_by) is not None:
                eyes.setdefault(eye.device, []).append(base.Target(target.exit, eye.channel))
        for device, there in eyes.items():
            for target, seen in zip(there, self._see(device, there, deadline), strict=True):
                states[target.exit] = replace(seen, held=states[target.exit].held or seen.held)
        return tuple(states[target.exit] for target in targets)

    def read_counter(self, target: base.Target, deadline: float) -> int | None:
        """The mover's. Raises as it does."""
        return self._mover.read_counter(target, deadline)

    def _open_already(self, exit_: ExitTable, order: base.ReleaseOrder) -> base.Refused | None:
        try:
            position = self._position(exit_, order.deadline)
        except Uncertain as error:
            raise NotSent(Code.DEVICE_UNAVAILABLE, f"nobody sees {exit_.id}: {error.detail}") from error
        if position is not Position.OPEN:
            return None
        code = Code.ALREADY_PAID if exit_.bay else Code.CONFLICT
        return base.Refused(code, f"{exit_.id} is open already, as {exit_.eye.device} sees")

    def _proved(self, exit_: ExitTable, outcome: base.Outcome, order: base.ReleaseOrder, text: str) -> base.Outcome:
        """What the mover said, and whether the exit was seen open. A doubt stays one: its relay may still be on."""
        if exit_.seen_by is None or not isinstance(outcome, base.Applied):
            return outcome
        while True:
            try:
                if self._position(exit_, order.deadline) is Position.OPEN:
                    proof = Evidence(EvidenceKind.OBSERVED, f"{exit_.eye.device}: {text}")
                    return replace(outcome, level=Level.PHYSICALLY_OBSERVED, evidence=(proof, *outcome.evidence))
            except DaikoError as error:
                log.debug("not to be seen just now: %s", error)
            if time.monotonic() + PAUSE >= order.deadline:
                return outcome
            time.sleep(PAUSE)

    def _position(self, exit_: ExitTable, deadline: float) -> Position:
        eye = exit_.eye
        return self._see(eye.device, (base.Target(exit_.id, eye.channel),), deadline)[0].position
