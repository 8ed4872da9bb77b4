"""A lot's business day as journal, legacy's books and exits' counters have it, for the cloud to compare. Pure.

A payment belongs to the day in which it was paid, as its completion states: bridge and cloud read the same signed time.
A release belongs between the two readings of its exit's counter between which it was let write: by the order of orders,
not by a clock (P10).
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Final

import msgspec

from bridge.case import Case
from bridge.evidence import COUNTER_SPAN
from bridge.exit_log import turn_of
from drivers.base import Booking
from parking.commands import Verb
from parking.desk import CommandState, CommandView
from parking.reports import Counter, ExitCount, JournalRow, LegacyRow, LotDay

ROWS: Final = 50
"""Most rows of a kind in one part: a full batch of such parts stays below what the cloud takes at once."""

LOOK_BACK: Final = 7
"""Days that are looked at again, for a late settlement or a late booking."""

KEPT: Final = 60
"""Days after which a day that could not be told is given up, and what was noted for it is forgotten."""

PATIENCE: Final = timedelta(minutes=20)
"""How long after a day's end books and counters may stay silent before it is told without them (the cloud waits 30)."""

RETRY: Final = timedelta(minutes=10)
"""Pause between tries to read what could not be read for a day that was told without."""

SLACK: Final = timedelta(hours=1)
"""How far the legacy's clock may be off, and how long after a settlement its booking may be dated."""

SLICE: Final = timedelta(hours=4)
"""Books are read so much at a time: no order waits behind a long list."""

SPARE: Final = 50
"""A counter that seems to have gone so far beyond what is explained has not passed its end, it went backwards."""


class Mark(msgspec.Struct, frozen=True):
    """Where an exit's counter stood at a day's end; `turn` and `command` are the latest orders before the reading."""

    exit: str
    day: str
    count: int
    turn: int
    command: int
    at: datetime


class TellRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What the journal keeps of a told day; without `told_at` it is the day before the first that will be told.

    `seen` is the digest of what the journal itself had, `digest` of all that was told; `trouble`: something could not
    be read.
    """

    told_at: datetime | None = None
    looked_at: datetime | None = None
    seen: str = ""
    digest: str = ""
    trouble: bool = False


@dataclass(frozen=True, slots=True)
class Content:
    """What there is to tell of a day. `settled_by` is when its last payment reached its end."""

    journal: tuple[JournalRow, ...]
    counts: tuple[ExitCount, ...] = ()
    settled_by: datetime | None = None
    legacy: tuple[LegacyRow, ...] | None = None
    legacy_trouble: str = ""

    @property
    def seen(self) -> str:
        """The digest of what comes from the journal."""
        return _digest(self.journal, self.counts)

    @property
    def digest(self) -> str:
        """The digest of all."""
        return _digest(self.journal, self.counts, self.legacy, self.legacy_trouble)

    @property
    def trouble(self) -> bool:
        """Whether something could not be read, and may be readable later."""
        return bool(self.legacy_trouble) or any(count.state is Counter.UNREAD for count in self.counts)


def from_cases(cases: Sequence[Case]) -> Content:
    """The journal's part of a day, of the cases that were paid in it."""
    rows = tuple(
        JournalRow(number=case.number, phase=case.phase.value, amount=case.charged, by=case.by)
        for case in sorted(cases, key=lambda case: case.number)
    )
    return Content(rows, settled_by=max((case.since for case in cases), default=None))


def days_to_look_at(records: Mapping[str, TellRecord], today: date) -> list[date]:
    """The ended days after the first record, oldest first: the latest ones, and older ones that were never told."""
    first = min(records)
    ended = [today - timedelta(days=back) for back in range(KEPT, 0, -1)]
    recent = today - timedelta(days=LOOK_BACK)
    untold = {day for day in ended if day.isoformat() not in records}
    return [day for day in ended if day.isoformat() > first and (day >= recent or day in untold)]


def is_due(record: TellRecord | None, seen: str, span: tuple[datetime, datetime], now: datetime) -> bool:
    """Whether a day must be read and, if it differs, told (again).

    It was never told, or before its end; the journal has it otherwise now; something could not be read the last time;
    or a day has ended since, whose end is a good moment to look into the books once more.
    """
    if record is None or record.told_at is None or record.looked_at is None:
        return True
    if record.told_at < span[1] or record.seen != seen:
        return True
    if record.looked_at > now:  # the clock was wrong
        return True
    passed = now - record.looked_at
    return passed >= RETRY if record.trouble else record.looked_at < now - (now - span[1]) % timedelta(days=1)


def spans(
    span: tuple[datetime, datetime], settled_by: datetime | None, now: datetime
) -> Iterator[tuple[datetime, datetime]]:
    """The pieces of time to read the books for."""
    begins = span[0] - SLACK
    last = max(span[1], min(settled_by or span[1], now)) + SLACK
    while begins < last:
        yield begins, begins + SLICE
        begins += SLICE


def booked(
    lot: int, span: tuple[datetime, datetime], mine: set[int], known: Callable[[int], bool], books: Sequence[Booking]
) -> tuple[LegacyRow, ...]:
    """The bookings under our name that belong to a day: those of its payments, and those of nobody dated within it.

    `mine` are the numbers of the day's payments; `known` says whether the journal has a number on another day.
    """
    prefix, rows = f"DK-{lot}-", {}
    for one in books:
        if not one.reference.startswith(prefix):
            continue  # booked for somebody else's payment system
        name = one.reference[len(prefix) :]
        number = int(name) if name.isascii() and name.isdecimal() else 0
        within = span[0] <= one.booked_at < span[1]
        if number in mine or (within and not (number and known(number))):
            rows[(one.reference, one.receipt)] = LegacyRow(reference=one.reference, amount=one.amount, at=one.booked_at)
    return tuple(sorted(rows.values(), key=lambda row: (row.at, row.reference)))


@dataclass(frozen=True, slots=True)
class Acts:
    """What was let write, in the order of orders: cases with the exit of each, and orders by hand with exit and row."""

    cases: Sequence[tuple[str, Case]]
    by_hand: Sequence[tuple[str, int, CommandView]]


def counted(exits: Sequence[str], marks: Mapping[str, Sequence[Mark]], day: str, acts: Acts) -> tuple[ExitCount, ...]:
    """What each exit's counter tells of a day. `marks` by exit, oldest first, beyond the day, too.

    A day without a reading that a later one covers tells nothing of its own.
    """
    found = []
    for exit_ in exits:
        mine = marks.get(exit_, ())
        if any(mark.day > day for mark in mine) and all(mark.day != day for mark in mine):
            continue
        before = [mark for mark in mine if mark.day < day]
        now = next((mark for mark in mine if mark.day == day), None)
        if now is None:
            found.append(ExitCount(exit=exit_, moved=0, by_relay=0, by_hand=0, state=Counter.UNREAD))
        elif before:
            found.append(_between(exit_, before[-1], now, acts))
    return tuple(found)


def _between(exit_: str, before: Mark, now: Mark, acts: Acts) -> ExitCount:
    relay = [_acted(case) for where, case in acts.cases if where == exit_ and before.turn < case.turn <= now.turn]
    by_hand = [
        _HAND.get(view.state)
        for where, row, view in acts.by_hand
        if where == exit_ and view.verb == Verb.RELEASE and before.command < row <= now.command
    ]
    count = ExitCount(
        exit=exit_,
        moved=(now.count - before.count) % COUNTER_SPAN,
        by_relay=relay.count(True),
        by_hand=by_hand.count(True),
        unsure=relay.count(None) + by_hand.count(None),
        before=before.count,
        after=now.count,
        since=before.at,
    )
    if now.count < before.count and count.moved > count.by_relay + count.by_hand + count.unsure + SPARE:
        return msgspec.structs.replace(count, state=Counter.RESET, moved=0)
    return count


def _acted(case: Case) -> bool | None:
    turn = turn_of(case)
    return False if turn is None else turn.acted


_HAND: Final = {CommandState.CONFIRMED: True, CommandState.REFUSED: False}
"""Whether a release by hand moved the exit; what is not in here is not known."""


def parts(day: date, at: datetime, content: Content) -> list[LotDay]:
    """A day as reports, each small; a day of nothing is one part, too."""
    most = max(len(content.journal), len(content.legacy or ()), len(content.counts))
    number = max(1, -(-most // ROWS))
    return [
        LotDay(
            day=day.isoformat(),
            part=part + 1,
            parts=number,
            at=at,
            journal=content.journal[part * ROWS :][:ROWS],
            legacy=None if content.legacy is None else content.legacy[part * ROWS :][:ROWS],
            counts=content.counts[part * ROWS :][:ROWS],
            legacy_trouble=content.legacy_trouble,
        )
        for part in range(number)
    ]


def with_counts(content: Content, counts: tuple[ExitCount, ...]) -> Content:
    """The content with what the exits' counters tell."""
    return replace(content, counts=counts)


def with_books(content: Content, legacy: tuple[LegacyRow, ...] | None, trouble: str = "") -> Content:
    """The content with what the legacy has booked, or why that could not be read."""
    return replace(content, legacy=legacy, legacy_trouble=trouble)


def _digest(*parts_: object) -> str:
    return hashlib.sha256(msgspec.json.encode(parts_)).hexdigest()
