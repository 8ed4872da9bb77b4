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

from console.inputs import Progress
from console.rows import StayRow, fold, fold_bay
from console.state import State
from parking.commands import OperatorRole, Verb
from parking.desk import CasePhase, CaseView, CommandState, ExitKind, ExitView, OverrideView, Position, StayState
from parking.errors import Code
from parking.stay import StayRef


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


def pending_case(state: State, lot: int, stay: StayRef) -> CaseView | None:
    """The latest phone payment for a stay that has not been refused."""
    of_it = (case for case in state.cases.values() if case.lot == lot and case.stay.same_as(stay))
    living = [case for case in of_it if case.phase is not CasePhase.REFUSED]
    return max(living, key=lambda case: case.number, default=None)


@dataclass(frozen=True, slots=True)
class TodoRow:
    """Something that a person must end: an alarm, or an override that is not matched."""

    key: str
    lot: int
    at: datetime
    code: str
    detail: str
    exit: str = ""
    stay: StayRef | None = None
    override: OverrideView | None = None


def todo(state: State, lot: int = 0) -> list[TodoRow]:
    """What waits for a person besides the cases in doubt, longest first."""
    rows = [
        TodoRow(alarm.key, alarm.lot, alarm.since, alarm.code, alarm.detail, stay=alarm.stay)
        for alarm in state.alarms.values()
    ]
    rows += [
        TodoRow(row.key, row.lot, row.at, Code.UNMATCHED, row.reason, exit=row.exit, override=row)
        for row in state.unmatched.values()
    ]
    return sorted((row for row in rows if lot in (0, row.lot)), key=lambda row: row.at)


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
    """Whom an order to this exit is most likely for.

    The car in a plate's own bay; at a lane the stay whose payment is pending there, the longest waiting first, unless
    the chosen one is among them; else the chosen stay of that lot.
    """
    if view.kind is ExitKind.PLATE:
        bay = fold_bay(view.exit)
        for row in state.stays.values():
            if row.bay and row.bay == bay and row.view.lot == view.lot and row.state != StayState.GONE.value:
                return row
    row_chosen, pending = state.stays.get(chosen), pending_at(state, view)
    if row_chosen is None or row_chosen.view.lot != view.lot:
        return pending[0] if pending else None
    return row_chosen if not pending or row_chosen in pending else pending[0]


def pending_at(state: State, view: ExitView) -> list[StayRow]:
    """The stays whose payment is under way or in doubt at this exit, longest first."""
    ended = (CasePhase.SETTLED, CasePhase.REFUSED)
    cases = [case for case in state.cases.values() if (case.lot, case.exit) == (view.lot, view.exit)]
    waiting = sorted((case for case in cases if case.phase not in ended), key=lambda case: case.since)
    inside = [row for row in state.stays.values() if row.view.lot == view.lot]
    return [row for case in waiting for row in inside if row.view.stay.same_as(case.stay)]


def may_connect(state: State) -> bool:
    """Whether who sits here may look for machines: an installer, or anybody where nobody has been given a PIN.

    While no bridge has been reached nobody knows of PINs; a lot's first machine is looked for before there is a bridge.
    """
    return not state.sign_in or (state.session is not None and state.session.role is OperatorRole.INSTALLER)
