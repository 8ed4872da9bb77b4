"""What the window shows, as one immutable value, and how it changes: pure, no Qt, no I/O, no clock, no threads.

    advance(State, inputs) -> State

Tables are dicts by key; an unchanged table stays the same object, so that a view can tell with `is` whether to repaint.
Nothing is ever assumed to have happened: an order is *sending*, then *commanded*, and only an event of the bridge
makes it *confirmed* or *not confirmed*.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final, TypeVar

from console.rows import StayRow, stay_row
from parking.desk import (
    CaseChanged,
    CasePhase,
    CaseView,
    Command,
    CommandReply,
    CommandState,
    CommandView,
    Event,
    ExitChanged,
    ExitView,
    LinkChanged,
    LinkView,
    LotView,
    Snapshot,
    StayChanged,
    StayGone,
    Verb,
)

NEVER: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Contact(StrEnum):
    """Whether the bridge can be reached."""

    CONNECTING = "connecting"
    ONLINE = "online"
    OFFLINE = "offline"


class Progress(StrEnum):
    """How far an order of ours has come, before the first event about it."""

    SENDING = "sending"
    COMMANDED = "commanded"
    REFUSED = "refused"
    UNSENT = "unsent"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Order:
    """An order given in this window which no event has mentioned yet."""

    command: Command
    at: datetime
    progress: Progress = Progress.SENDING


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that an attendant must see and acknowledge: an order that is not known to have worked.

    `outcome` is a CommandState or Progress word.
    """

    command_id: str
    lot: int
    verb: str
    outcome: str
    at: datetime
    exit: str = ""
    case: int = 0
    code: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class SnapshotTaken:
    """The bridge's snapshot and our own clock when it came."""

    snapshot: Snapshot
    at: datetime


@dataclass(frozen=True, slots=True)
class LinkLost:
    """The bridge cannot be reached, and why."""

    at: datetime
    code: str
    detail: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Tick:
    """Time passes."""

    now: datetime


@dataclass(frozen=True, slots=True)
class OrderGiven:
    """The attendant confirmed an order; it is on its way to the bridge."""

    command: Command
    at: datetime


@dataclass(frozen=True, slots=True)
class OrderAnswered:
    """The bridge took the order on or refused it."""

    command_id: str
    reply: CommandReply


@dataclass(frozen=True, slots=True)
class OrderFailed:
    """No answer: `certain` says that the order never left."""

    command_id: str
    code: str
    detail: str
    certain: bool


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The attendant has seen a notice."""

    command_id: str


Input = SnapshotTaken | Event | LinkLost | Tick | OrderGiven | OrderAnswered | OrderFailed | Acknowledged


@dataclass(frozen=True, slots=True)
class State:
    """Everything the window knows. `now` is our clock; `skew` is what the bridge's clock is ahead of it."""

    now: datetime = NEVER
    skew: timedelta = timedelta(0)
    contact: Contact = Contact.CONNECTING
    contact_since: datetime | None = None
    trouble: LinkLost | None = None
    seq: int = 0
    needs_snapshot: bool = True
    lots: Mapping[int, LotView] = field(default_factory=dict)
    stays: Mapping[str, StayRow] = field(default_factory=dict)
    exits: Mapping[str, ExitView] = field(default_factory=dict)
    cases: Mapping[str, CaseView] = field(default_factory=dict)
    links: Mapping[str, LinkView] = field(default_factory=dict)
    orders: Mapping[str, Order] = field(default_factory=dict)
    notices: Mapping[str, Notice] = field(default_factory=dict)
    acknowledged: frozenset[str] = frozenset()

    @property
    def bridge_now(self) -> datetime:
        """The time by the bridge's clock, in which all its views are dated."""
        return self.now + self.skew

    @property
    def live(self) -> bool:
        """Whether what is shown is kept up to date; if not, all of it is drawn as stale."""
        return self.contact is Contact.ONLINE


def advance(state: State, inputs: Iterable[Input]) -> State:
    """Take inputs in order; each table is copied at most once, however many of its rows change."""
    draft = _Draft(state)
    for item in inputs:
        draft.take(item)
    return draft.state


K = TypeVar("K")
V = TypeVar("V")


class _Draft:
    """A state under change: remembers which tables are already its own copies."""

    def __init__(self, state: State) -> None:
        self.state = state
        self._own: dict[str, object] = {}

    def take(self, item: Input) -> None:
        match item:
            case Event():
                self._event(item)
            case SnapshotTaken(snapshot, at):
                self._snapshot(snapshot, at)
            case Tick(now):
                self._set(now=now)
            case LinkLost():
                self._lost(item)
            case OrderGiven(command, at):
                self._put("orders", self.state.orders, command.command_id, Order(command, at))
            case OrderAnswered(command_id, reply):
                self._answered(command_id, reply)
            case OrderFailed(command_id, code, detail, certain):
                self._failed(command_id, Progress.UNSENT if certain else Progress.UNKNOWN, code, detail)
            case Acknowledged(command_id):
                self._drop("notices", self.state.notices, command_id)
                self._drop("orders", self.state.orders, command_id)
                self._set(acknowledged=self.state.acknowledged | {command_id})

    def _set(self, **changes: object) -> None:
        self.state = replace(self.state, **changes)  # type: ignore[arg-type]  # the callers name fields of State

    def _put(self, name: str, table: Mapping[K, V], key: K, row: V) -> None:
        if self._own.get(name) is not table:
            table = dict(table)
            self._own[name] = table
            self._set(**{name: table})
        table[key] = row  # type: ignore[index]  # our own copy is a dict

    def _drop(self, name: str, table: Mapping[K, V], key: K) -> None:
        if key in table:
            rest = {other: row for other, row in table.items() if other != key}
            self._own[name] = rest
            self._set(**{name: rest})

    def _snapshot(self, snapshot: Snapshot, at: datetime) -> None:
        self._own.clear()
        was_online = self.state.contact is Contact.ONLINE
        self._set(
            now=max(at, self.state.now),
            skew=snapshot.server_time - at,
            contact=Contact.ONLINE,
            contact_since=self.state.contact_since if was_online else at,
            trouble=None,
            seq=snapshot.seq,
            needs_snapshot=False,
            lots={lot.lot: lot for lot in snapshot.lots},
            stays={view.key: stay_row(view) for view in snapshot.stays},
            exits={},
            cases={},
            links={link.key: link for link in snapshot.links},
        )
        for exit_view in snapshot.exits:
            self._exit(exit_view)
        for case in snapshot.cases:
            self._case(case)
        shown = {view.command.command_id for view in snapshot.exits if view.command}
        self._set(acknowledged=self.state.acknowledged & shown)

    def _event(self, event: Event) -> None:
        state = self.state
        if event.seq <= state.seq or state.needs_snapshot:
            return
        if event.seq != state.seq + 1:
            self._set(needs_snapshot=True)
            return
        self._set(seq=event.seq)
        match event.body:
            case StayChanged(stay=view):
                self._put("stays", state.stays, view.key, stay_row(view))
            case StayGone(key=key):
                self._drop("stays", state.stays, key)
            case ExitChanged(exit=view):
                self._exit(view)
            case CaseChanged(case=case):
                self._case(case)
            case LinkChanged(link=link):
                self._put("links", state.links, link.key, link)

    def _exit(self, view: ExitView) -> None:
        self._put("exits", self.state.exits, view.key, view)
        command = view.command
        if command is None:
            return
        self._drop("orders", self.state.orders, command.command_id)
        if command.state in (CommandState.NOT_CONFIRMED, CommandState.REFUSED):
            self._notice(_of_exit(view, command))

    def _case(self, case: CaseView) -> None:
        self._put("cases", self.state.cases, case.key, case)
        if case.phase is not CasePhase.IN_DOUBT:
            for order in tuple(self.state.orders.values()):
                if (order.command.lot, order.command.case) == (case.lot, case.number):
                    self._drop("orders", self.state.orders, order.command.command_id)

    def _lost(self, lost: LinkLost) -> None:
        since = self.state.contact_since if self.state.contact is Contact.OFFLINE else lost.at
        self._set(contact=Contact.OFFLINE, contact_since=since, trouble=lost, needs_snapshot=True)

    def _answered(self, command_id: str, reply: CommandReply) -> None:
        order = self.state.orders.get(command_id)
        if order is None:
            return  # an event was faster than the answer
        if reply.accepted:
            self._put("orders", self.state.orders, command_id, replace(order, progress=Progress.COMMANDED))
        else:
            self._failed(command_id, Progress.REFUSED, reply.code, reply.detail)

    def _failed(self, command_id: str, progress: Progress, code: str, detail: str) -> None:
        order = self.state.orders.get(command_id)
        if order is None:
            return
        command = order.command
        self._put("orders", self.state.orders, command_id, replace(order, progress=progress))
        self._notice(
            Notice(
                command_id,
                command.lot,
                command.verb,
                progress,
                order.at,
                exit=command.exit,
                case=command.case,
                code=code,
                detail=detail,
            )
        )

    def _notice(self, notice: Notice) -> None:
        if notice.command_id not in self.state.acknowledged:
            self._put("notices", self.state.notices, notice.command_id, notice)


def _of_exit(view: ExitView, command: CommandView) -> Notice:
    return Notice(
        command.command_id,
        view.lot,
        command.verb,
        command.state,
        command.at,
        exit=view.exit,
        code=command.code,
        detail=command.detail,
    )


def pending_resolve(state: State, case: CaseView) -> Order | None:
    """The order of ours to decide this case which the bridge has not carried out yet."""
    for order in reversed(tuple(state.orders.values())):
        command = order.command
        if command.verb is Verb.RESOLVE and (command.lot, command.case) == (case.lot, case.number):
            return order
    return None
