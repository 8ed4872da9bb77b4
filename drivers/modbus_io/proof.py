"""What came of a release, judged from what was seen before and after. Pure.

Evidence must say whose act it was: where the device counts, an open plate proves nothing unless its counter moved by
exactly one, because somebody may have paid in cash at the same moment.
"""

from dataclasses import dataclass, replace

from drivers.base import Applied, Outcome, Refused, Uncertain
from drivers.modbus_io.pdu import Failure, Reply, Trouble
from parking.errors import Code
from parking.outcome import Evidence, EvidenceKind, Level

_DOUBTFUL = frozenset(
    (Trouble.DEVICE_FAILURE, Trouble.ACKNOWLEDGED, Trouble.GATEWAY_TARGET, Trouble.GATEWAY_PATH, Trouble.PARITY)
)
"""Exceptions after which the device may have acted, or still may."""


@dataclass(frozen=True, slots=True)
class Sight:
    """What was seen of one release.

    `reply` to the write, None if it was lost; `opened` as read afterwards; `before` and `after` of the counter, None
    where it is not known. The exit was seen closed before.
    """

    reply: Reply | None
    before: int | None = None
    opened: bool = False
    after: int | None = None

    def with_reading(self, opened: bool | None, after: int | None) -> "Sight":
        """The same after another look; what could not be read stays as it was."""
        return replace(
            self,
            opened=self.opened if opened is None else opened,
            after=self.after if after is None else after,
        )

    @property
    def moved(self) -> int | None:
        """How often the counter moved (it wraps at 65536); None if that is not known."""
        if self.before is None or self.after is None:
            return None
        return (self.after - self.before) % 0x10000

    @property
    def echoed(self) -> bool:
        """Whether the device acknowledged the write."""
        return self.reply is not None and not isinstance(self.reply, Failure)


def refused(reply: Reply | None) -> Refused | None:
    """A refusal, if the answer is one: the device says no and has not acted."""
    if isinstance(reply, Failure) and reply.code not in _DOUBTFUL:
        return Refused(Code.DEVICE_REFUSED, f"the device answered {reply}")
    return None


def complete(sight: Sight) -> bool:
    """Whether looking on cannot make the proof any better."""
    return sight.opened and (sight.before is None or bool(sight.moved))


def verdict(sight: Sight) -> Outcome:
    """The outcome at the deadline, or when the proof is complete."""
    if sight.opened and sight.moved == 0:
        return Uncertain("open, but not by our command: the device's counter did not move", Code.CONTRADICTION)
    level = _level(sight)
    if level is not None:
        return Applied(level, _evidence(sight))
    if isinstance(sight.reply, Failure):
        return Uncertain(f"the device answered {sight.reply} and nothing moved", Code.NOT_OBSERVED)
    if sight.moved:
        return Uncertain(f"no answer, and the device's counter moved by {sight.moved}", Code.CONTRADICTION)
    return Uncertain("no answer to the command, and nothing proves what became of it")


def _level(sight: Sight) -> Level | None:
    ours = sight.moved == 1
    if sight.opened and (ours or sight.echoed or sight.before is None):
        return Level.PHYSICALLY_OBSERVED
    if ours:
        return Level.LEGACY_CONFIRMED
    return Level.LINK_ACKED if sight.echoed else None


def _evidence(sight: Sight) -> tuple[Evidence, ...]:
    found = []
    if sight.moved == 1:
        found.append(Evidence(EvidenceKind.COUNTER, f"release counter {sight.before} → {sight.after}"))
    if sight.opened:
        found.append(Evidence(EvidenceKind.OBSERVED, "input: closed before, open after"))
    if sight.echoed:
        found.append(Evidence(EvidenceKind.ECHO, "the device echoed the command"))
    return tuple(found)


def hold_verdict(reply: Reply | None, on: bool, coil: bool | None, opened: bool | None) -> Outcome:
    """The outcome of beginning (`on`) or ending a hold.

    `coil` and `opened` as read afterwards, None where unknown. Ending a hold moves nothing by itself: closing belongs
    to the controller, so the coil is all there is to see.
    """
    echoed = reply is not None and not isinstance(reply, Failure)
    evidence = [Evidence(EvidenceKind.ECHO, "the device echoed the command")] if echoed else []
    if coil is on:
        evidence.insert(0, Evidence(EvidenceKind.OBSERVED, f"hold coil reads {'on' if on else 'off'}"))
        if on and opened:
            evidence.insert(0, Evidence(EvidenceKind.OBSERVED, "input: open"))
            return Applied(Level.PHYSICALLY_OBSERVED, tuple(evidence))
        return Applied(Level.LEGACY_CONFIRMED, tuple(evidence))
    if coil is not None:
        return Uncertain(f"the hold coil reads {'off' if on else 'on'} after the command", Code.CONTRADICTION)
    if echoed:
        return Applied(Level.LINK_ACKED, tuple(evidence))
    return Uncertain("no answer to the command, and the coil cannot be read back")
