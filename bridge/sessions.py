"""Who has signed in, and who must wait after wrong PINs. Pure: the caller brings the time, the tokens and the names.

A name that is not there is counted like one that is, so that nothing tells them apart.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

MOST_SESSIONS: Final = 32
MOST_NAMES: Final = 256
"""Wrong names that are remembered; the longest forgotten goes first."""

LONGEST: Final = timedelta(hours=12)
"""A session ends after so long however busy it is: a shift at most, and a stolen token's life."""

CLOCK_STEP: Final = timedelta(seconds=30)
"""A clock that goes back further ends all sessions: how long they were idle is not known any more."""


@dataclass(frozen=True, slots=True)
class Pace:
    """After `free` wrong PINs, wait `first`, then twice as long for each further one, up to `most`."""

    free: int
    first: timedelta
    most: timedelta


ONE_NAME: Final = Pace(5, timedelta(seconds=30), timedelta(minutes=15))
ALL_NAMES: Final = Pace(20, timedelta(seconds=1), timedelta(minutes=1))
FORGIVEN_AFTER: Final = timedelta(minutes=15)
"""So long without any wrong PIN, and the count over all names begins anew; that of one name ends with a right PIN."""


@dataclass(frozen=True, slots=True)
class Lock:
    """Wrong PINs so far, the last of them, and until when none is looked at."""

    failures: int = 0
    until: datetime | None = None
    last: datetime | None = None

    def wait(self, now: datetime) -> timedelta:
        """How long to wait yet."""
        return max(self.until - now, timedelta(0)) if self.until is not None else timedelta(0)

    def rebased(self, now: datetime, pace: Pace) -> "Lock":
        """A clock that was set back must not make the wait longer than it can be."""
        return replace(self, until=now + pace.most, last=now) if self.wait(now) > pace.most else self

    def failed(self, now: datetime, pace: Pace) -> "Lock":
        """One more."""
        failures = self.failures + 1
        beyond = failures - pace.free
        until = None
        if beyond >= 0:
            until = now + min(pace.first * 2 ** min(beyond, 20), pace.most)
        return Lock(failures, until, now)


class Locks:
    """The locks of all names, and the one over all of them. Not thread-safe."""

    def __init__(self, known: Mapping[str, Lock] = {}, over_all: Lock | None = None) -> None:
        """As they were kept; see `of` and `over_all`."""
        self._names: dict[str, Lock] = dict(known)
        self.over_all = over_all or Lock()

    def of(self, name: str) -> Lock:
        """A name's lock."""
        return self._names.get(name, Lock())

    def wait(self, name: str, now: datetime) -> timedelta:
        """How long this name must wait before its PIN is looked at."""
        self.over_all = self.over_all.rebased(now, ALL_NAMES)
        if name in self._names:
            self._names[name] = self._names[name].rebased(now, ONE_NAME)
        return max(self.of(name).wait(now), self.over_all.wait(now))

    def failed(self, name: str, now: datetime) -> timedelta:
        """A wrong PIN, or a name that is not there; how long the name must wait now."""
        lock = self._names.pop(name, Lock()).failed(now, ONE_NAME)
        self._names[name] = lock
        if len(self._names) > MOST_NAMES:
            del self._names[next(iter(self._names))]
        last = self.over_all.last
        before = Lock() if last is not None and now - last >= FORGIVEN_AFTER else self.over_all
        self.over_all = before.failed(now, ALL_NAMES)
        return self.wait(name, now)

    def forgiven(self, name: str) -> None:
        """A right PIN, or a new one."""
        self._names.pop(name, None)


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody who has signed in, and when they last gave an order."""

    operator: str
    since: datetime
    used: datetime


class Sessions:
    """The sessions by their tokens, of which only hashes are held. Not thread-safe."""

    def __init__(self, idle: timedelta) -> None:
        """A session ends `idle` after its last order, and `LONGEST` after it began."""
        self._idle = idle
        self._sessions: dict[bytes, Session] = {}

    def open(self, token: str, operator: str, now: datetime) -> None:
        """Begin a session; beyond 32 the one that has been idle longest ends."""
        self._end_idle(now)
        if len(self._sessions) >= MOST_SESSIONS:
            del self._sessions[min(self._sessions, key=lambda name: self._sessions[name].used)]
        self._sessions[_name(token)] = Session(operator, now, now)

    def who(self, token: str, now: datetime) -> Session | None:
        """Whose token this is, if the session has not ended."""
        self._end_idle(now)
        return self._sessions.get(_name(token)) if token else None

    def used(self, token: str, now: datetime) -> None:
        """An order was given with this token: the session lasts on."""
        session = self.who(token, now)
        if session is not None:
            self._sessions[_name(token)] = replace(session, used=max(now, session.used))

    def close(self, token: str) -> Session | None:
        """End a session; whose it was."""
        return self._sessions.pop(_name(token), None)

    def close_all_of(self, operator: str) -> None:
        """End all sessions of an operator."""
        self._sessions = {name: one for name, one in self._sessions.items() if one.operator != operator}

    def _end_idle(self, now: datetime) -> None:
        self._sessions = {
            name: one
            for name, one in self._sessions.items()
            if -CLOCK_STEP <= now - one.used < self._idle and now - one.since < LONGEST
        }


def _name(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
