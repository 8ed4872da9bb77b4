"""Which rows are shown, in which order: search, filters, sorting, and how fresh a reading is. Pure.

Lists of keys are made here and not by a Qt proxy model, which is some hundred times slower over Python rows.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from operator import attrgetter
from typing import Any, Final

from console.rows import StayRow, fold, fold_bay
from console.state import Progress, State
from parking.desk import CasePhase, CaseView, CommandState, ExitKind, ExitView, Position, StayState, Verb


class Filter(StrEnum):
    """Which stays to show."""

    IN_LOT = "in_lot"
    PAID = "paid"
    IN_DOUBT = "in_doubt"
    GONE = "gone"
    ALL = "all"


_EVERY: Final = frozenset(state.value for state in StayState)
_WANTED: Final[Mapping[Filter, frozenset[str]]] = {
    Filter.IN_LOT: _EVERY - {StayState.GONE.value},
    Filter.PAID: frozenset({StayState.PAID.value}),
    Filter.IN_DOUBT: frozenset({StayState.IN_DOUBT.value}),
    Filter.GONE: frozenset({StayState.GONE.value}),
    Filter.ALL: _EVERY,
}

_URGENCY: Final = {
    StayState.IN_DOUBT: 0,
    StayState.SETTLING: 1,
    StayState.PAID: 2,
    StayState.PARKED: 3,
    StayState.GONE: 4,
}


@dataclass(frozen=True, slots=True)
class Selection:
    """What the attendant asked for. `lot` 0 means all lots."""

    search: str = ""
    wanted: Filter = Filter.IN_LOT
    lot: int = 0
    column: str = "name"
    descending: bool = False


def arrange(state: State, selection: Selection) -> list[StayRow]:
    """The rows to show, in order. A search ignores the filter: who looks for a plate wants the car, wherever it is."""
    rows: Iterator[StayRow] = iter(state.stays.values())
    if selection.lot:
        rows = (row for row in rows if row.view.lot == selection.lot)
    if selection.search.strip():
        rows = _search(rows, selection.search)
    else:
        states = _WANTED[selection.wanted]
        rows = (row for row in rows if row.state in states)
    return sorted(rows, key=SORTS[selection.column], reverse=selection.descending)


def counts(state: State, lot: int) -> dict[Filter, int]:
    """How many stays each filter would show."""
    by_state = Counter([row.state for row in state.stays.values() if lot in (0, row.view.lot)])
    return {wanted: sum(by_state[word] for word in states) for wanted, states in _WANTED.items()}


def _search(rows: Iterator[StayRow], text: str) -> Iterator[StayRow]:
    needle, bay = fold(text), fold_bay(text)
    if not needle:
        return iter(())
    return (row for row in rows if needle in row.haystack or (row.bay and bay in row.bay))


def entered(row: StayRow) -> datetime:
    """When the stay began, as far as is known: the lot's entry time, else when the bridge saw it first."""
    return row.view.stay.entered_at or row.view.seen_at


SORTS: Final[Mapping[str, Callable[[StayRow], Any]]] = {
    "lot": attrgetter("order"),
    "name": attrgetter("order"),
    "plate": lambda row: row.view.plate,
    "entered": entered,
    "elapsed": lambda row: -entered(row).timestamp(),
    "paid": lambda row: -1 if row.view.paid is None else row.view.paid,
    "state": lambda row: (_URGENCY[row.view.state], row.order),
    "via": lambda row: row.view.via,
}


def in_doubt(state: State, lot: int = 0) -> list[CaseView]:
    """The cases that wait for evidence or a person, longest first."""
    cases = (case for case in state.cases.values() if case.phase is CasePhase.IN_DOUBT and lot in (0, case.lot))
    return sorted(cases, key=lambda case: case.since)


def exits_of(state: State, lot: int = 0) -> list[ExitView]:
    """The exits in the bridge's own order, lot by lot."""
    return [view for view in state.exits.values() if lot in (0, view.lot)]


@dataclass(frozen=True, slots=True)
class Reading:
    """An exit as it may be shown: never a stale value as if it were live. `age` None: never read."""

    position: Position
    vehicle: bool | None
    held: bool
    age: timedelta | None
    fresh: bool


def reading(state: State, view: ExitView) -> Reading:
    """What may be said of an exit now: a reading older than its `fresh_for`, or without a bridge, is unknown."""
    if view.read_at is None:
        return Reading(Position.UNKNOWN, None, False, None, False)
    age = max(state.bridge_now - view.read_at, timedelta(0))
    if not state.live or age > timedelta(seconds=view.fresh_for):
        return Reading(Position.UNKNOWN, None, view.held, age, False)
    return Reading(view.position, view.vehicle, view.held, age, view.position is not Position.UNKNOWN)


@dataclass(frozen=True, slots=True)
class LastOrder:
    """The last order to an exit, as far as it has come; `outcome` as in Progress and CommandState."""

    verb: str
    at: datetime
    actor: str
    outcome: str
    code: str = ""

    @property
    def failed(self) -> bool:
        """Whether a person must look."""
        return self.outcome not in _FINE


_FINE: Final = frozenset({Progress.SENDING, Progress.COMMANDED, CommandState.COMMANDED, CommandState.CONFIRMED})


def last_order(state: State, view: ExitView) -> LastOrder | None:
    """What the bridge says of the last order to this exit, or one of ours that it has not mentioned yet."""
    for order in reversed(tuple(state.orders.values())):
        command = order.command
        if (command.lot, command.exit) != (view.lot, view.exit) or command.verb is Verb.RESOLVE:
            continue
        at = order.at + state.skew
        if view.command is None or at >= view.command.at:
            notice = state.notices.get(command.command_id)
            return LastOrder(command.verb, at, command.actor, order.progress, notice.code if notice else "")
        break
    if view.command is None:
        return None
    told = view.command
    return LastOrder(told.verb, told.at, told.actor, told.state, told.code)


def stay_for(state: State, view: ExitView, chosen: str) -> StayRow | None:
    """Whom an order to this exit is most likely for: the car in a plate's own bay, else the chosen stay of that lot."""
    if view.kind is ExitKind.PLATE:
        bay = fold_bay(view.exit)
        for row in state.stays.values():
            if row.bay and row.bay == bay and row.view.lot == view.lot and row.state != StayState.GONE.value:
                return row
    row_chosen = state.stays.get(chosen)
    return row_chosen if row_chosen is not None and row_chosen.view.lot == view.lot else None
