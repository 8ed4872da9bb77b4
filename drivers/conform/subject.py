"""What is tested: one device of a lot profile in one of the parts it plays."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from drivers.profile import DeviceTable, ExitTable, LotProfile
from parking.errors import Code, Environment
from parking.outcome import Level
from parking.stay import NameKind


class Part(StrEnum):
    """The part that the device plays."""

    EXIT = "exit"
    """It lets cars out."""
    DESK = "desk"
    """A pay station that asks us for money, or takes coins from us."""
    HOST = "host"
    """A host that books payments."""


@dataclass(frozen=True, slots=True)
class Subject:
    """One device in one part; `exit` is there for Part.EXIT alone. `needed` is what the profile calls done."""

    part: Part
    device: DeviceTable
    exits: tuple[ExitTable, ...]
    names: NameKind
    needed: Level
    seconds: float
    """How long one act may take, as the bridge allows it by the profile's [times]."""
    exit: ExitTable | None = None

    @property
    def title(self) -> str:
        """Its name for people."""
        return f"{self.device.id} ({self.device.family}) as {self.part.value}"


@dataclass(frozen=True, slots=True)
class Seen:
    """What somebody saw after an order: which exits opened, or which machines say that they were paid.

    `at`: when the first one was seen to (monotonic seconds); None if nothing was.
    """

    moved: tuple[str, ...]
    at: float | None


class Lot(Protocol):
    """The lot around the device: people, cars, and the machine's own count. Simulated, or a person who is asked."""

    simulated: bool
    """Whether everything can be brought about at any moment."""

    def url(self, device: str) -> str:
        """Where a device is."""
        ...

    def car(self, subject: Subject) -> str:
        """Somebody wants to leave, or puts a ticket in; returns the stay's name, "" where the machine has one only."""
        ...

    def price(self, subject: Subject) -> int:
        """What the machine itself asks for, in yen."""
        ...

    def taken(self, subject: Subject, reference: str) -> int:
        """What the machine counts: releases by us, or yen from us, ever; a host's under `reference` only."""
        ...

    def watch(self, subject: Subject) -> Seen:
        """Watch the machines while an order is carried out; returns when something moved, or nothing will."""
        ...

    def cash(self, subject: Subject, name: str) -> None:
        """Somebody pays at the machine, or opens it by hand."""
        ...

    def cancel(self, subject: Subject) -> None:
        """Who stands at the machine takes the ticket back."""
        ...

    def restart(self, subject: Subject) -> None:
        """The machine loses its power, and has it again when this returns."""
        ...

    def tidy(self, subject: Subject, name: str) -> None:
        """The car leaves, the machine asks for nothing."""
        ...


Say = Callable[[str], None]


def subjects(profile: LotProfile, device: str = "") -> tuple[Subject, ...]:
    """What a profile has to test; with `device`, of that one only. Raises Environment(CONFIG) if there is nothing."""
    roles, times = profile.roles, profile.times
    found = []
    for table in profile.device:
        exits = tuple(exit_ for exit_ in profile.exit if exit_.device == table.id)
        if table.id == roles.settle:
            desk = profile.lot.names is NameKind.DESK
            seconds = 2 * table.timeout_seconds + (times.observe if desk else 0.0)
            part = Part.DESK if desk else Part.HOST
            found.append(
                Subject(part, table, exits, profile.lot.names, roles.settle_done_when.level, seconds),
            )
        if exits:
            seconds = table.timeout_seconds + times.observe
            # what another device has to see, this one cannot prove
            needed = Level.SENT if exits[0].seen_by else roles.done_when.level
            found.append(Subject(Part.EXIT, table, exits, profile.lot.names, needed, seconds, exits[0]))
    chosen = tuple(one for one in found if device in ("", one.device.id))
    if not chosen:
        known = ", ".join(dict.fromkeys(one.device.id for one in found))
        raise Environment(
            Code.CONFIG, f"nothing to test at {device!r}" if device else "nothing to test", f"one of {known}"
        )
    return chosen
