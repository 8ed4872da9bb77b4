"""What the console sees: rows by key, and a ring of numbered events. Thread-safe; in memory only.

The numbers start at the clock's milliseconds of this run, so that they keep growing over a restart and a console that
comes back with an old number is told to take a snapshot.
"""

import threading
from collections import deque
from collections.abc import Sequence
from datetime import datetime
from typing import Final

from msgspec.structs import replace

from bridge.alarms import changes
from parking.desk import (
    KEPT_GONE,
    AlarmEnded,
    AlarmRaised,
    AlarmView,
    CaseChanged,
    CasePhase,
    CaseView,
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

RING: Final = 5000
KEPT_CASES: Final = 1000
_OVER: Final = (CasePhase.SETTLED, CasePhase.REFUSED)
Body = (
    StayChanged
    | StayGone
    | ExitChanged
    | CaseChanged
    | LinkChanged
    | OverrideUnmatched
    | OverrideDone
    | AlarmRaised
    | AlarmEnded
)


class Board:
    """The rows and the events."""

    def __init__(self, lots: Sequence[LotView], exits: Sequence[ExitView], started: datetime) -> None:
        """Start with the exits of the profiles, not read yet."""
        self._lots = tuple(lots)
        self._seq = int(started.timestamp() * 1000)
        self._events: deque[Event] = deque(maxlen=RING)
        self._news = threading.Condition()
        self._stays: dict[str, StayView] = {}
        self._gone: dict[str, StayView] = {}
        self._exits = {exit_.key: exit_ for exit_ in exits}
        self._cases: dict[str, CaseView] = {}
        self._links: dict[str, LinkView] = {}
        self._unmatched: dict[str, OverrideView] = {}
        self._alarms: dict[str, AlarmView] = {}
        self._closed = False

    def snapshot(self, now: datetime) -> Snapshot:
        """Everything at one sequence number."""
        with self._news:
            return Snapshot(
                seq=self._seq,
                server_time=now,
                lots=self._lots,
                stays=tuple(self._stays.values()),
                exits=tuple(self._exits.values()),
                cases=tuple(self._cases.values()),
                links=tuple(self._links.values()),
                unmatched=tuple(self._unmatched.values()),
                alarms=tuple(self._alarms.values()),
                gone=tuple(self._gone.values()),
            )

    def events(self, after: int) -> Sequence[Event] | None:
        """All events above `after`; None if some of them are no longer held."""
        with self._news:
            oldest = self._events[0].seq if self._events else self._seq + 1
            if after > self._seq or after < oldest - 1:
                return None
            return [event for event in self._events if event.seq > after]

    def wait(self, after: int, seconds: float) -> None:
        """Return when there is an event above `after`, or after `seconds`, or when closed."""
        with self._news:
            self._news.wait_for(lambda: self._seq != after or self._closed, seconds)

    def close(self) -> None:
        """Wake all who wait."""
        with self._news:
            self._closed = True
            self._news.notify_all()

    def stay(self, view: StayView) -> None:
        """Set a stay's row."""
        with self._news:
            if self._stays.get(view.key) != view:
                self._gone.pop(view.key, None)
                self._stays[view.key] = view
                self._publish(StayChanged(stay=view))

    def stay_view(self, key: str) -> StayView | None:
        """A stay's row, if shown."""
        with self._news:
            return self._stays.get(key)

    def stay_gone(self, key: str) -> None:
        """A stay has ended; the latest of these stay on show, for who comes back with a question."""
        with self._news:
            view = self._stays.pop(key, None)
            if view is None:
                return
            self._gone[key] = replace(view, state=StayState.GONE)
            if len(self._gone) > KEPT_GONE:
                del self._gone[next(iter(self._gone))]
            self._publish(StayGone(key=key, stay=self._gone[key]))

    def case(self, view: CaseView) -> None:
        """Set a case's row."""
        with self._news:
            if self._cases.get(view.key) != view:
                self._cases[view.key] = view
                self._publish(CaseChanged(case=view))
            if len(self._cases) > KEPT_CASES:
                ended = next((key for key, case in self._cases.items() if case.phase in _OVER), None)
                self._cases.pop(ended or "", None)  # the journal keeps it; the board would grow for ever

    def phase_of(self, lot: int, number: int) -> CasePhase | None:
        """In which phase a case is; None if no such case is shown."""
        with self._news:
            case = self._cases.get(f"{lot}/{number}")
            return None if case is None else case.phase

    def exit_read(self, view: ExitView) -> None:
        """Set an exit's row from a reading, keeping the last order shown. A mere new time is no event each second."""
        with self._news:
            old = self._exits.get(view.key)
            new = replace(view, command=old.command if old else None)
            self._exits[view.key] = new
            if old is None or replace(old, read_at=new.read_at) != new or _aged(old, new):
                self._publish(ExitChanged(exit=new))

    def exit_view(self, key: str) -> ExitView | None:
        """An exit's row."""
        with self._news:
            return self._exits.get(key)

    def command(self, exit_key: str, command: CommandView) -> None:
        """Show an order at its exit."""
        with self._news:
            if (old := self._exits.get(exit_key)) is not None:
                self._exits[exit_key] = replace(old, command=command)
                self._publish(ExitChanged(exit=self._exits[exit_key]))

    def unmatched(self, view: OverrideView) -> None:
        """Show an opening by hand that somebody must match."""
        with self._news:
            if self._unmatched.get(view.key) != view:
                self._unmatched[view.key] = view
                self._publish(OverrideUnmatched(override=view))

    def matched(self, key: str) -> None:
        """It is matched."""
        with self._news:
            if self._unmatched.pop(key, None) is not None:
                self._publish(OverrideDone(key=key))

    def link(self, view: LinkView) -> None:
        """Set a link's row; `since` stays while its state does."""
        with self._news:
            old = self._links.get(view.key)
            new = replace(view, since=old.since) if old and old.up == view.up else view
            if old is None or (old.up, old.detail) != (new.up, new.detail):
                self._publish(LinkChanged(link=new))
            self._links[view.key] = new

    def alarms(self, found: Sequence[AlarmView]) -> None:
        """Show these alarms and no others; an alarm's `since` stays as long as its cause."""
        with self._news:
            raised, ended = changes(self._alarms, found)
            for alarm in raised:
                old = self._alarms.get(alarm.key)
                self._alarms[alarm.key] = replace(alarm, since=old.since) if old is not None else alarm
                self._publish(AlarmRaised(alarm=self._alarms[alarm.key]))
            for key in ended:
                del self._alarms[key]
                self._publish(AlarmEnded(key=key))

    def _publish(self, body: Body) -> None:
        self._seq += 1
        self._events.append(Event(seq=self._seq, body=body))
        self._news.notify_all()


def _aged(old: ExitView, new: ExitView) -> bool:
    """Whether the console would soon call the old reading stale."""
    if old.read_at is None or new.read_at is None:
        return True
    return (new.read_at - old.read_at).total_seconds() >= 0 and int(new.read_at.timestamp()) // 2 != int(
        old.read_at.timestamp()
    ) // 2
