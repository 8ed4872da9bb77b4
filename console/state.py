"""What the window shows, as one immutable value, and how it changes: pure, no Qt, no I/O, no clock, no threads.

    advance(State, inputs) -> State

Tables are dicts by key; an unchanged table stays the same object, so that a view can tell with `is` whether to repaint.
Nothing is ever assumed to have happened: an order is *sending*, then *commanded*, and only an event of the bridge
makes it *confirmed* or *not confirmed*.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar

from console.inputs import (
    Acknowledged,
    Contact,
    Input,
    LinkLost,
    Notice,
    Order,
    OrderAnswered,
    OrderFailed,
    OrderGiven,
    Progress,
    SignedOff,
    SignedOn,
    SnapshotTaken,
    Tick,
)
from console.rows import StayRow, stay_row
from parking.commands import CommandReply, OperatorRole, Verb
from parking.desk import (
    KEPT_GONE,
    AlarmEnded,
    AlarmRaised,
    AlarmView,
    CaseChanged,
    CasePhase,
    CaseView,
    CommandState,
    CommandView,
    Event,
    ExitChanged,
    ExitView,
    LinkChanged,
    LinkView,
    LotView,
    OverrideDone,
    OverrideUnmatched,
    OverrideView,
    Snapshot,
    StayChanged,
    StayGone,
    StayState,
    StayView,
)
from parking.errors import Code

NEVER: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Session:
    """Who has signed in here, and until when it lasts if nothing is ordered."""

    token: str
    operator: str
    role: OperatorRole
    idle: timedelta
    until: datetime


@dataclass(frozen=True, slots=True)
class State:
    """Everything the window knows. `now` is our clock; `skew` is what the bridge's clock is ahead of it.

    `sign_in`: the bridge wants a PIN for orders; `session` is None while nobody has given one.
    """

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
    unmatched: Mapping[str, OverrideView] = field(default_factory=dict)
    alarms: Mapping[str, AlarmView] = field(default_factory=dict)
    sign_in: bool = False
    session: Session | None = None
    orders: Mapping[str, Order] = field(default_factory=dict)
    notices: Mapping[str, Notice] = field(default_factory=dict)
    acknowledged: frozenset[str] = frozenset()
    ended: tuple[str, ...] = ()
    """Keys of the stays that have ended and are still on show, oldest first."""

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
            case Tick() | SignedOn() | SignedOff():
                self._session(item)
            case LinkLost():
                self._lost(item)
            case OrderGiven(command, at):
                self._put("orders", self.state.orders, command.command_id, Order(command, at))
                self._session(item)
            case OrderAnswered(command_id, reply):
                self._answered(command_id, reply)
            case OrderFailed(command_id, code, detail, certain):
                self._failed(command_id, Progress.UNSENT if certain else Progress.UNKNOWN, code, detail)
            case Acknowledged(command_id):
                self._drop("notices", self.state.notices, command_id)
                self._drop("orders", self.state.orders, command_id)
                self._set(acknowledged=self.state.acknowledged | {command_id})

    def _session(self, item: Tick | SignedOn | SignedOff | OrderGiven) -> None:
        session = self.state.session
        match item:
            case Tick(now):
                self._set(now=now)
                if session is not None and now >= session.until:
                    self._set(session=None)
            case OrderGiven(at=at) if session is not None:
                self._set(session=replace(session, until=at + session.idle))
            case SignedOn(signed, at):
                idle = timedelta(seconds=signed.idle_seconds)
                self._set(session=Session(signed.session, signed.operator, signed.role, idle, at + idle))
            case SignedOff():
                self._set(session=None)

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
            stays={view.key: stay_row(view) for view in (*snapshot.gone, *snapshot.stays)},
            exits={},
            cases={},
            links={link.key: link for link in snapshot.links},
            unmatched={row.key: row for row in snapshot.unmatched},
            alarms={row.key: row for row in snapshot.alarms},
            sign_in=snapshot.sign_in,
            ended=tuple(view.key for view in snapshot.gone),
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
            case StayGone(key=key, stay=last):
                self._gone(key, last)
            case ExitChanged(exit=view):
                self._exit(view)
            case CaseChanged(case=case):
                self._case(case)
            case LinkChanged(link=link):
                self._put("links", state.links, link.key, link)
            case _:
                self._waiting(event.body)

    def _gone(self, key: str, last: StayView | None) -> None:
        """The latest stays that have ended stay on show; the oldest of them goes."""
        if last is None:
            self._drop("stays", self.state.stays, key)
            return
        self._put("stays", self.state.stays, key, stay_row(last))
        ended = (*(other for other in self.state.ended if other != key), key)
        self._set(ended=ended[-KEPT_GONE:])
        row = self.state.stays.get(ended[0])
        if len(ended) > KEPT_GONE and row is not None and row.view.state is StayState.GONE:
            self._drop("stays", self.state.stays, ended[0])

    def _waiting(self, body: object) -> None:
        state = self.state
        match body:
            case OverrideUnmatched(override=row):
                self._put("unmatched", state.unmatched, row.key, row)
            case OverrideDone(key=key):
                self._drop("unmatched", state.unmatched, key)
            case AlarmRaised(alarm=alarm):
                self._put("alarms", state.alarms, alarm.key, alarm)
            case AlarmEnded(key=key):
                self._drop("alarms", state.alarms, key)

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
            if reply.code == Code.SIGN_IN:
                self._set(session=None)
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
