"""What is tested: one device of a lot profile in one of the parts it plays."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from drivers.conform.words import Words
from drivers.profile import DeviceTable, ExitTable, LotProfile
from parking.desk import ExitKind
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


PARTS: Final[Mapping[Part, Words]] = {
    Part.EXIT: Words("出口", "exit"),
    Part.DESK: Words("精算機", "pay station"),
    Part.HOST: Words("管理サーバー", "host"),
}
KINDS: Final[Mapping[ExitKind, Words]] = {
    ExitKind.GATE: Words("出口", "Exit"),
    ExitKind.PLATE: Words("ロック板", "Lock plate"),
}


@dataclass(frozen=True, slots=True)
class Sight:
    """A device that sees exits which others move, and all the exits it sees."""

    device: DeviceTable
    exits: tuple[ExitTable, ...]


@dataclass(frozen=True, slots=True)
class Subject:
    """One device in one part; `exit` is there for Part.EXIT alone. `needed` is what the profile calls done.

    `sights`: the other devices that see its exits, where it cannot.
    """

    part: Part
    device: DeviceTable
    exits: tuple[ExitTable, ...]
    names: NameKind
    needed: Level
    seconds: float
    """How long one act may take, as the bridge allows it by the profile's [times]."""
    exit: ExitTable | None = None
    sights: tuple[Sight, ...] = ()

    @property
    def title(self) -> Words:
        """Its name for people."""
        part, name, family = PARTS[self.part], self.device.id, self.device.family
        return Words(f"{name}（{family}）・{part.ja}", f"{name} ({family}) as {part.en}")

    @property
    def place(self) -> Words:
        """Which exit of the device is meant, by all its names; the device itself where there is none."""
        if (exit_ := self.exit) is None:
            return self.title
        kind, at = KINDS[exit_.kind], [one.id for one in self.exits].index(exit_.id) + 1
        ja, en = (exit_.label.get(language, "") for language in ("ja", "en"))
        return Words(
            f"{kind.ja} {at}/{len(self.exits)}: {exit_.id}（{ja or en or exit_.id}、チャンネル {exit_.channel}）",
            f"{kind.en} {at} of {len(self.exits)}: {exit_.id} ({en or ja or exit_.id}, channel {exit_.channel})",
        )

    @property
    def involved(self) -> tuple[str, ...]:
        """The devices that have a part in it, by their ids."""
        return (self.device.id, *(one.device.id for one in self.sights))

    @property
    def sight(self) -> Sight | None:
        """The other device that sees the exit."""
        if self.exit is None or self.exit.seen_by is None:
            return None
        return next((one for one in self.sights if one.device.id == self.exit.eye.device), None)


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

    def taken(self, subject: Subject, reference: str, *, now: bool) -> int:
        """What the machine counts: releases by us, or yen from us, ever; a host's under `reference` only.

        `now`: after an order. Else before one, when nothing can have come to what was counted last.
        """
        ...

    def stand_by(self, subject: Subject) -> None:
        """Have somebody look at the machines; returns when the order may go out."""
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


def subjects(profile: LotProfile, device: str = "") -> tuple[Subject, ...]:
    """What a profile has to test; with `device`, what that one settles, moves or sees.

    Raises Environment(CONFIG) if there is nothing.
    """
    roles, times, names = profile.roles, profile.times, profile.lot.names
    found = []
    for table in profile.device:
        exits = tuple(exit_ for exit_ in profile.exit if exit_.device == table.id)
        if table.id == roles.settle:
            desk = names is NameKind.DESK
            seconds = 2 * table.timeout_seconds + (times.observe if desk else 0.0)
            part = Part.DESK if desk else Part.HOST
            found.append(Subject(part, table, exits, names, roles.settle_done_when.level, seconds))
        if exits:
            seconds = table.timeout_seconds + times.observe
            needed, sights = roles.done_when.level, _sights(profile, exits)
            found.append(Subject(Part.EXIT, table, exits, names, needed, seconds, exits[0], sights))
    chosen = tuple(one for one in found if device in ("", *one.involved))
    if not chosen:
        known = ", ".join(dict.fromkeys(name for one in found for name in one.involved))
        raise Environment(
            Code.CONFIG, f"nothing to test at {device!r}" if device else "nothing to test", f"one of {known}"
        )
    return chosen


def _sights(profile: LotProfile, exits: tuple[ExitTable, ...]) -> tuple[Sight, ...]:
    """Who sees these exits, in the profile's order."""
    eyes = {exit_.eye.device for exit_ in exits if exit_.seen_by is not None}
    return tuple(
        Sight(table, tuple(one for one in profile.exit if one.eye.device == table.id))
        for table in profile.device
        if table.id in eyes
    )
