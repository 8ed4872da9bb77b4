"""Which cars are in the lot: folds what a device reports into stays with a lasting identity. Pure.

A bay sensor only says "occupied". The entry time, which tells today's car from yesterday's, must outlive a restart of
the bridge: a bay that is still occupied after a restart keeps its stay, unless that stay was already settled; then the
plate was down meanwhile and the car may be another one.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec

from drivers.base import Stay
from parking.stay import NameKind, StayRef


class KnownStay(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A stay as the bridge keeps it. `device_entered_at` is what the device says of this presence, this run.

    `plate` is a token (bridge.plates), never a plate.
    """

    ref: StayRef
    seen_at: datetime
    paid: int = 0
    paid_by: str = ""
    plate: str = ""
    device_entered_at: datetime | None = None
    settled: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """What a reading brought."""

    opened: tuple[KnownStay, ...]
    closed: tuple[KnownStay, ...]
    updated: tuple[KnownStay, ...]


def fold(known: Mapping[str, KnownStay], seen: Iterable[Stay], now: datetime, first: bool) -> Change:
    """Compare what is known (by stay key) with a reading; `first`: it is the first since the bridge started."""
    by_name = {(stay.ref.kind, stay.ref.name): stay for stay in known.values()}
    opened: list[KnownStay] = []
    updated: list[KnownStay] = []
    still: set[str] = set()
    for stay in seen:
        old = by_name.get((stay.ref.kind, stay.ref.name))
        if old is None or not _same(old, stay, first):
            opened.append(_fresh(stay, now))
            continue
        still.add(old.ref.key)
        new = msgspec.structs.replace(
            old, paid=stay.paid, paid_by=stay.paid_by, plate=stay.plate, device_entered_at=stay.ref.entered_at
        )
        if new != old:
            updated.append(msgspec.structs.replace(new, seen_at=now))
    closed = tuple(stay for key, stay in known.items() if key not in still)
    return Change(tuple(opened), closed, tuple(updated))


def present(known: Mapping[str, KnownStay], seen: Sequence[Stay], wanted: StayRef) -> StayRef | None:
    """Which stay stands where `wanted` is expected: itself, another one, or None if nothing stands there."""
    for stay in seen:
        if (stay.ref.kind, stay.ref.name) != (wanted.kind, wanted.name):
            continue
        for old in known.values():
            if (old.ref.kind, old.ref.name) == (wanted.kind, wanted.name) and _same(old, stay, first=False):
                return old.ref
        return stay.ref
    return None


def _same(old: KnownStay, stay: Stay, first: bool) -> bool:
    if stay.ref.kind is not NameKind.BAY:
        return old.ref.same_as(stay.ref)
    if first:
        return not old.settled
    return old.device_entered_at == stay.ref.entered_at


def _fresh(stay: Stay, now: datetime) -> KnownStay:
    return KnownStay(
        ref=stay.ref,
        seen_at=now,
        paid=stay.paid,
        paid_by=stay.paid_by,
        plate=stay.plate,
        device_entered_at=stay.ref.entered_at,
    )
