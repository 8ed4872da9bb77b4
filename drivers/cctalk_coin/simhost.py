"""The other end of the line in a simulated lot: a pay station that asks its coin acceptor or its bill validator.

Pure. Hosts differ where it matters for money: when they give up on a silent acceptor, what they do then, and from which
counter they count on. HABITS has one of each kind that is known (facts tried against hosts written by others).
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from drivers.cctalk_coin.billtable import ESCROW, HELD, STACKED, STACKER
from drivers.cctalk_coin.codec import HOST, NAK, REPLY, Check, Codec, Frame
from drivers.cctalk_coin.escrow import BACK, STACK
from drivers.cctalk_coin.headers import Header
from drivers.cctalk_coin.kinds import BILLS, COINS, Kind
from drivers.simlot.station import Station

GAP: Final = 0.05
MOST: Final = 255
CREDIT_BYTES: Final = 11


@dataclass(frozen=True, slots=True)
class Habit:
    """How a host goes on. `tries`: requests without an answer until it gives up, 0: never; `pause` seconds after that.

    `resets`: it then says RESET, once; `counts_on`: it takes the acceptor's present counter as known when it begins,
    instead of 0; `first`: what it asks when it begins, also anew; more new events than `most_jump` are not believed.
    """

    name: str
    tries: int = 0
    pause: float = 0.0
    resets: bool = False
    counts_on: bool = False
    first: tuple[int, ...] = (Header.SIMPLE_POLL, Header.CATEGORY, Header.PRODUCT, Header.COIN_ID)
    most_jump: int = 5


HABITS: Final = (
    Habit("retries at once, never gives up, begins at 0"),
    Habit("three tries, then RESET once and begins at 0, asking nothing", tries=3, resets=True, first=()),
    Habit("takes the present counter, believes no jump above 5", tries=3, counts_on=True),
    Habit("three tries, then begins at 0 without RESET", tries=3),
    Habit("three tries, then RESET once and a simple poll", tries=3, resets=True, first=(Header.SIMPLE_POLL,)),
)

OPEN: Final = b"\xff\xff"
BETWEEN: Final[tuple[tuple[tuple[int, bytes], ...], ...]] = (
    (),
    ((Header.STATUS, b""),),
    ((Header.OPTO_STATES, b""), (Header.INPUT_LINES, b"")),
    ((Header.INSERT_COUNTER, b""), (Header.ACCEPT_COUNTER, b"")),
    ((Header.SORTER_OVERRIDE, b""), (Header.SORTER_PATHS, b"\1")),
    ((Header.INHIBITS, b""), (Header.MASTER_INHIBIT, b"")),
    ((Header.SET_INHIBITS, OPEN),),
    ((176, b""),),
)
"""What hosts ask after each poll: the last of it no acceptor knows. Inhibits are said again only while open."""


@dataclass
class Faults:
    """What is wrong with the host or its line; set at any time, from any thread.

    `habit` is the place in HABITS, `poll_ms` and `answer_ms` how often it polls and how long it waits for an answer.
    `between`: the place in BETWEEN. `blinks`: it shuts for a moment, by header 228, after each coin.
    `drop_requests`, `drop_replies` and `garbage` count down: so many of the next are lost, or garbled on their way.
    Of bills: `straight` has them stacked without its word; else it stacks what it still wants and gives back the rest.
    `modeless`: it does not say which of the two it wants, but leaves it at what the validator does.
    `names`: it asks what the bill in escrow is called before it says what becomes of it.
    `returns` and `forgets` count down: so many it gives back all the same, of so many it never says what to do.
    """

    habit: int = 0
    poll_ms: int = 200
    answer_ms: int = 100
    drop_requests: int = 0
    drop_replies: int = 0
    garbage: int = 0
    cut: bool = False
    unplugged: bool = False
    late_ms: int = 0
    slow_ms: int = 0
    restart: bool = False
    late_inhibit: int = 0
    never_inhibits: bool = False
    quiet_when_shut: bool = False
    no_echo: bool = False
    between: int = 0
    blinks: bool = False
    names: bool = False
    straight: bool = False
    modeless: bool = False
    returns: int = 0
    forgets: int = 0

    def take(self, name: str) -> bool:
        """Whether one of what is counted down is due; it is used up now."""
        left = int(getattr(self, name))
        if left:
            setattr(self, name, left - 1 if not isinstance(getattr(self, name), bool) else False)
        return bool(left)


@dataclass(slots=True)
class _Asked:
    frame: Frame
    at: float
    tries: int = 1


@dataclass
class Host:
    """Polls the device at `address`; `values` are yen by place, as it has them in its own configuration.

    `simple_polls`: it asks header 254 after each poll. `master_only`: it lets money in by header 228 alone.
    """

    station: Station
    faults: Faults
    values: Sequence[int]
    address: int = 2
    check: Check = Check.SUM
    kind: Kind = COINS
    simple_polls: bool = False
    master_only: bool = False
    counted: Counter[int] = field(default_factory=Counter)
    """Coins by value that it has credited: the station's own cash audit."""
    known: int | None = 0
    shut: bool = True
    gave_up: int = 0

    def __post_init__(self) -> None:
        """It begins as when it is switched on."""
        self._codec = Codec(self.check, frozenset((HOST,)))
        self._byte_at = float("-inf")
        self._asked: _Asked | None = None
        self._next_at = float("-inf")
        self._todo: list[tuple[int, bytes]] = []
        self._late_polls = 0
        self._begin(reset=True)

    @property
    def habit(self) -> Habit:
        """Its present kind."""
        return HABITS[self.faults.habit % len(HABITS)]

    def _begin(self, reset: bool) -> None:
        """Everything that it asks before it polls for credit."""
        self._asked, self._beginning = None, True
        self.known = None if self.habit.counts_on else 0
        self.shut = True
        asks: list[tuple[int, bytes]] = [
            (self.kind.identity, b"\1") if header == Header.COIN_ID else (header, b"") for header in self.habit.first
        ]
        if self.kind is BILLS and not self.faults.modeless:
            asks.append((Header.SET_BILL_MODE, bytes((STACKER | (0 if self.faults.straight else ESCROW),))))
        asks += [self._let_in(False)] + ([] if self.master_only else [(Header.SET_MASTER_INHIBIT, b"\1")])
        self._todo = list(asks)
        if reset:
            self._todo.insert(0, (Header.RESET, b""))

    def step(self, now: float) -> bytes:
        """What it says now, if anything."""
        if self.faults.take("restart"):
            self._begin(reset=True)
        if self._asked is not None:
            if now - self._asked.at < self.faults.answer_ms / 1000:
                return b""
            return self._unanswered(self._asked, now)
        if now < self._next_at:
            return b""
        ask = self._what_next()
        if ask is None:
            return b""
        self._asked = _Asked(Frame(self.address, ask[0], ask[1]), now)
        return self._codec.encode(self._asked.frame)

    def hear(self, data: bytes, now: float) -> None:
        """Take what comes from the line; nothing in an answer says to which request it belongs."""
        if not data:
            return  # or it would never see that the line was still
        if now - self._byte_at > GAP:
            self._codec.reset()
        self._byte_at = now
        for frame in self._codec.feed(data):
            if self._asked is None or frame.header not in (REPLY, NAK):
                continue
            asked = self._asked.frame
            if asked.header == self.kind.poll and (frame.header == NAK or len(frame.data) != CREDIT_BYTES):
                continue
            self._asked = None
            if self._todo and self._todo[0] == (asked.header, asked.data):
                self._todo.pop(0)
            self._beginning = self._beginning and bool(self._todo)
            if asked.header == self.kind.poll:
                self._todo += self._between()
            self._next_at = now + ((0 if self._todo else self.faults.poll_ms) + self.faults.slow_ms) / 1000
            if asked.header == self.kind.poll:
                self._credit(frame.data)
            elif asked.header == (Header.SET_MASTER_INHIBIT if self.master_only else Header.SET_INHIBITS):
                self.shut = not any(asked.data)

    def _unanswered(self, asked: _Asked, now: float) -> bytes:
        tries = self.habit.tries
        if asked.frame.header == Header.RESET:  # said once, and never again
            self._asked = None
            self._todo = [one for one in self._todo if one[0] != Header.RESET]
            return b""
        if tries and asked.tries >= tries:
            self.gave_up += 1
            self._begin(reset=self.habit.resets and not self._beginning)
            self._next_at = now + self.habit.pause
            return b""
        asked.at, asked.tries = now, asked.tries + 1
        return self._codec.encode(asked.frame)

    def _what_next(self) -> tuple[int, bytes] | None:
        if self._todo:
            return self._todo[0]
        wanted_shut = not self.station.open and not self.faults.never_inhibits
        if wanted_shut and not self.shut and self._late_polls < self.faults.late_inhibit:
            self._late_polls += 1
            return (self.kind.poll, b"")
        if wanted_shut is not self.shut:
            self._late_polls = 0
            return self._let_in(not wanted_shut)
        return None if self.shut and self.faults.quiet_when_shut else (self.kind.poll, b"")

    def _let_in(self, money: bool) -> tuple[int, bytes]:
        if self.master_only:
            return (Header.SET_MASTER_INHIBIT, bytes((money,)))
        return (Header.SET_INHIBITS, OPEN if money else bytes(len(OPEN)))

    def _between(self) -> list[tuple[int, bytes]]:
        """What it asks before the next poll."""
        asks = [
            one
            for one in BETWEEN[self.faults.between % len(BETWEEN)]
            if one[1] != OPEN or not (self.shut or self.master_only)
        ]
        return asks + ([(Header.SIMPLE_POLL, b"")] if self.simple_polls else [])

    def _credit(self, data: bytes) -> None:
        """Credit what is new since the last counter that it knew."""
        counter, before = data[0], self.known
        self.known = counter
        if before is None:
            return
        if counter == 0:
            if before:
                self._begin_after_power_failure()
            return
        new = counter - before if counter >= before else counter - before + MOST
        if new > self.habit.most_jump:
            return
        for slot in range(new, 0, -1):
            place, result = data[2 * slot - 1 : 2 * slot + 1]
            if not place or place > len(self.values):
                continue
            value = self.values[place - 1]
            if self.kind is COINS or result == STACKED:
                self.counted[value] += 1
                self.station.coin(value)
                if self.faults.blinks and self.station.open:
                    self._todo += [(Header.SET_MASTER_INHIBIT, b"\0"), (Header.SET_MASTER_INHIBIT, b"\1")]
            elif result == HELD and slot == 1:  # else something has become of it already
                self._decide(value, place)

    def _decide(self, value: int, place: int) -> None:
        """A bill is in escrow."""
        if self.faults.take("forgets"):
            return
        if self.faults.names:
            self._todo += [(Header.SCALING, b"JP"), (Header.BILL_ID, bytes((place,)))]
        wanted = value <= self.station.missing and not self.faults.take("returns")
        self._todo.append((Header.ROUTE_BILL, bytes((STACK if wanted else BACK,))))

    def _begin_after_power_failure(self) -> None:
        """The acceptor has forgotten its inhibits."""
        self._begin(reset=False)
        self.known = 0
