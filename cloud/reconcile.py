"""Compares one business day of a lot as its four witnesses have it, to the yen. Pure.

    provider × cloud ledger × bridge journal × legacy books and counters  →  typed differences

A payment belongs to the day in which it was paid, as its completion states: the bridge reads the same. A difference
has a stable key, so that its reason, once given, is not lost when the day is compared again.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from cloud.checkout import Standing
from cloud.payments.base import ProviderState
from parking.reports import Counter, ExitCount, JournalRow, LegacyRow

Facts = dict[str, str | int]


class Kind(StrEnum):
    """What disagrees."""

    PROVIDER_ONLY = "provider_only"
    """The provider holds money under an order that the ledger does not know."""
    NOT_AT_PROVIDER = "not_at_provider"
    """The ledger says that money moved; the provider does not."""
    PROVIDER_DIFFERS = "provider_differs"
    """Ledger and provider name different states or amounts."""
    NOT_IN_JOURNAL = "not_in_journal"
    """A completion was signed and the bridge has never seen it, though it has told of its day."""
    JOURNAL_ONLY = "journal_only"
    """The bridge acted on a number that was never signed: a forged typed code, or a lost ledger."""
    CAPTURED_UNSETTLED = "captured_unsettled"
    """The driver was charged, and the lot did not act."""
    SETTLED_UNCHARGED = "settled_uncharged"
    """The lot acted, and the driver was not charged: a loss."""
    AMOUNT_DIFFERS = "amount_differs"
    """Ledger and journal name different amounts."""
    STILL_OPEN = "still_open"
    """Nobody knows yet how the payment ends."""
    NOT_BOOKED = "not_booked"
    """Settled by the journal; the legacy's books do not have it."""
    BOOKED_ONLY = "booked_only"
    """The legacy has booked a payment of ours that the journal did not settle."""
    BOOKED_DIFFERS = "booked_differs"
    """The legacy has booked another amount."""
    BOOKS_UNREAD = "books_unread"
    """The legacy keeps books, and they could not be read."""
    COUNT = "count"
    """An exit's own counter moved more or less often than the journal can explain."""
    COUNTER_RESET = "counter_reset"
    """An exit's counter went backwards: the device was replaced or set anew, and tells nothing of the day."""
    COUNTER_UNREAD = "counter_unread"
    """An exit's counter could not be read."""
    OVERRIDE_UNMATCHED = "override_unmatched"
    """An exit was opened by hand, and nobody has said for whom."""
    TOLD_AFTER_CLOSE = "told_after_close"
    """The bridge has told a day otherwise after it was closed; it stays closed, and is looked into here."""
    NO_REPORT = "no_report"
    """The bridge has not told of the day."""


@dataclass(frozen=True, slots=True)
class Paid:
    """A payment of the ledger: its completion's number (0: none was signed) and where it stands."""

    order_id: str
    number: int
    amount: int
    standing: Standing
    provider: str = ""


@dataclass(frozen=True, slots=True)
class Stated:
    """A payment as the provider states it now."""

    order_id: str
    state: ProviderState
    amount: int


@dataclass(frozen=True, slots=True)
class Opened:
    """An opening by hand of which nobody has said for whom it was."""

    command_id: str
    exit: str
    actor: str
    reason: str


@dataclass(frozen=True, slots=True)
class Day:
    """All that the four witnesses say.

    `journal` None: the bridge has not told. `legacy` None: no books to read, unless `legacy_trouble` says why not.
    """

    ledger: Sequence[Paid]
    provider: Sequence[Stated]
    journal: Sequence[JournalRow] | None
    legacy: Sequence[LegacyRow] | None = None
    counts: Sequence[ExitCount] = ()
    legacy_trouble: str = ""
    unmatched: Sequence[Opened] = ()
    told_after_close: Sequence[str] = ()
    """Closed days that the bridge told otherwise on this day."""
    references: Mapping[str, int] = field(default_factory=dict)
    """Our names of payments towards the legacy, with the numbers behind them."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One disagreement. `yen` is what it is about, at most; `key` stays the same from one comparison to the next.

    `facts` are what the witnesses say, by name; cloud.day_words has the sentence of each kind.
    """

    key: str
    kind: Kind
    yen: int
    order_id: str = ""
    number: int = 0
    facts: Mapping[str, str | int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Totals:
    """The day in numbers: how many payments, and yen by where they ended."""

    payments: int
    captured: int
    returned: int
    waiting: int
    matched: int


HELD = (Standing.CAPTURED, Standing.SETTLED)
"""The driver is charged, or about to be."""
RETURNED = (Standing.LOST, Standing.VOIDED, Standing.REFUNDED, Standing.REFUSED, Standing.REFUNDING, Standing.LATE)
OPEN = (Standing.AUTHORIZED, Standing.IN_DOUBT)
_AT_PROVIDER = {
    Standing.CAPTURED: (ProviderState.CAPTURED,),
    Standing.SETTLED: (ProviderState.AUTHORIZED, ProviderState.CAPTURED),
    Standing.REFUNDED: (ProviderState.REFUNDED,),
    Standing.LOST: (ProviderState.VOIDED, ProviderState.DECLINED, ProviderState.EXPIRED),
    Standing.REFUNDING: (ProviderState.CAPTURED, ProviderState.REFUNDED),
    Standing.VOIDED: (ProviderState.VOIDED, ProviderState.DECLINED, ProviderState.EXPIRED),
    Standing.REFUSED: (ProviderState.AUTHORIZED, ProviderState.VOIDED, ProviderState.EXPIRED),
    Standing.LATE: (ProviderState.AUTHORIZED, ProviderState.VOIDED, ProviderState.EXPIRED),
    Standing.AUTHORIZED: (ProviderState.AUTHORIZED,),
    Standing.IN_DOUBT: (ProviderState.AUTHORIZED,),
}
_MONEY = (ProviderState.AUTHORIZED, ProviderState.CAPTURED)


def compare(day: Day) -> tuple[Totals, tuple[Difference, ...]]:
    """All differences of a day, those about money first."""
    found = [*_money(day), *_lot(day), *_legacy(day), *_counted(day), *_people(day)]
    touched = {difference.order_id for difference in found}
    totals = Totals(
        payments=len(day.ledger),
        captured=sum(paid.amount for paid in day.ledger if paid.standing in HELD),
        returned=sum(paid.amount for paid in day.ledger if paid.standing in RETURNED),
        waiting=sum(paid.amount for paid in day.ledger if paid.standing in OPEN),
        matched=sum(paid.order_id not in touched for paid in day.ledger),
    )
    return totals, tuple(sorted(found, key=lambda difference: (-difference.yen, difference.key)))


def _about(kind: Kind, paid: Paid, facts: Facts | None = None, yen: int | None = None) -> Difference:
    """A difference about a payment of the ledger; known by its number in the lot, by its order at the provider."""
    name = paid.order_id if kind in (Kind.NOT_AT_PROVIDER, Kind.PROVIDER_DIFFERS) else paid.number
    all_: Facts = {"standing": paid.standing.value, "amount": paid.amount, **(facts or {})}
    return Difference(f"{kind}:{name}", kind, paid.amount if yen is None else yen, paid.order_id, paid.number, all_)


def _booking(kind: Kind, row: JournalRow, facts: Facts) -> Difference:
    """A difference between the journal and the legacy's books."""
    all_: Facts = {"by": row.by, "amount": row.amount, **facts}
    return Difference(f"{kind}:{row.number}", kind, row.amount, number=row.number, facts=all_)


def _other(
    kind: Kind, name: str, facts: Facts | None = None, *, yen: int = 0, order_id: str = "", number: int = 0
) -> Difference:
    return Difference(f"{kind}:{name}", kind, yen, order_id, number, facts or {})


def _money(day: Day) -> Iterator[Difference]:
    """Provider against ledger."""
    stated = {row.order_id: row for row in day.provider}
    for paid in day.ledger:
        wanted = _AT_PROVIDER.get(paid.standing)
        said = stated.pop(paid.order_id, None)
        if wanted is None or paid.provider in ("none", "claims"):
            continue
        if said is None:
            yield _about(Kind.NOT_AT_PROVIDER, paid)
        elif said.state not in wanted or (said.state in _MONEY and said.amount != paid.amount):
            most = max(paid.amount, said.amount)
            yield _about(Kind.PROVIDER_DIFFERS, paid, {"state": said.state.value, "stated": said.amount}, most)
    for said in stated.values():
        if said.state in _MONEY:
            facts: Facts = {"state": said.state.value, "amount": said.amount}
            yield _other(Kind.PROVIDER_ONLY, said.order_id, facts, yen=said.amount, order_id=said.order_id)


def _lot(day: Day) -> Iterator[Difference]:
    """Ledger against journal."""
    if day.journal is None:
        if any(paid.number for paid in day.ledger):
            yield _other(Kind.NO_REPORT, "day")
        return
    rows = {row.number: row for row in day.journal}
    for paid in day.ledger:
        if paid.number == 0:
            continue
        row = rows.pop(paid.number, None)
        if (kind := _disagreement(paid, row)) is not None:
            heard: Facts = {} if row is None else {"phase": row.phase, "by": row.by, "told": row.amount}
            yield _about(kind, paid, heard)
    for row in rows.values():
        facts: Facts = {"phase": row.phase, "amount": row.amount}
        yield _other(Kind.JOURNAL_ONLY, str(row.number), facts, yen=row.amount, number=row.number)


def _disagreement(paid: Paid, row: JournalRow | None) -> Kind | None:
    if row is None:  # voided before the lot ever heard of it is as it should be
        return None if paid.standing in RETURNED else Kind.NOT_IN_JOURNAL
    if row.amount != paid.amount:
        return Kind.AMOUNT_DIFFERS
    if row.phase == "settled" and paid.standing in RETURNED:
        return Kind.SETTLED_UNCHARGED
    if row.phase != "settled" and paid.standing in HELD:
        return Kind.CAPTURED_UNSETTLED
    return Kind.STILL_OPEN if paid.standing in OPEN else None


def _legacy(day: Day) -> Iterator[Difference]:
    """Journal against the legacy's books."""
    if day.legacy_trouble:
        unseen = sum(row.amount for row in day.journal or () if row.phase == "settled")
        yield _other(Kind.BOOKS_UNREAD, "books", {"trouble": day.legacy_trouble}, yen=unseen)
    if day.legacy is None or day.journal is None:
        return
    names = {number: name for name, number in day.references.items()}
    booked: dict[str, list[LegacyRow]] = {}
    for one in day.legacy:
        booked.setdefault(one.reference, []).append(one)
    for row in day.journal:
        name = names.get(row.number, "")
        entries = booked.pop(name, [])
        total = sum(entry.amount for entry in entries)
        if row.phase == "settled" and not entries:
            yield _booking(Kind.NOT_BOOKED, row, {"reference": name})
        elif entries and row.phase == "refused":
            facts: Facts = {"phase": row.phase, "booked": total}
            yield _other(Kind.BOOKED_ONLY, name, facts, yen=total, number=row.number)
        elif entries and total != row.amount:
            yield _booking(Kind.BOOKED_DIFFERS, row, {"booked": total, "bookings": len(entries)})
    for name, entries in booked.items():
        if name not in day.references:
            total = sum(entry.amount for entry in entries)
            yield _other(Kind.BOOKED_ONLY, name, {"phase": "unknown", "booked": total}, yen=total)


_COUNTERS: Final = {Counter.RESET: Kind.COUNTER_RESET, Counter.UNREAD: Kind.COUNTER_UNREAD, Counter.MOVED: Kind.COUNT}


def _counted(day: Day) -> Iterator[Difference]:
    """Exits that moved more or less often than somebody told them to, or whose counters tell nothing."""
    for count in day.counts:
        known = count.by_relay + count.by_hand
        if count.state is Counter.MOVED and known <= count.moved <= known + count.unsure:
            continue
        moved: Facts = {"moved": count.moved, "before": count.before, "after": count.after}
        told: Facts = {"by_relay": count.by_relay, "by_hand": count.by_hand, "unsure": count.unsure}
        yield _other(_COUNTERS[count.state], count.exit, moved | told)


def _people(day: Day) -> Iterator[Difference]:
    """What people have left open."""
    for one in day.unmatched:
        facts: Facts = {"exit": one.exit, "actor": one.actor, "reason": one.reason}
        yield _other(Kind.OVERRIDE_UNMATCHED, one.command_id, facts)
    for closed in day.told_after_close:
        yield _other(Kind.TOLD_AFTER_CLOSE, closed)
