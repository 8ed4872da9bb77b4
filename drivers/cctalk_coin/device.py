"""The coin acceptor or bill validator that we are, as its host sees it: a pure state machine.

Credit is a counter of events (1…255, then 1 again; 0 only after power-up) and the five newest of them, which the host
reads when it polls and compares with what it read before (Generic Specification 4.7, part 2, headers 229 and 159). That
heals lost replies, and credits twice if a host starts to count anew while the old events are still there. Hence:

* One event at a time: the next one follows only when the present counter is certainly known to the host.
* After a silence in which the host may have given up, after a gap in our own service, and when the host begins to
  identify us, we come back as after a power failure: counter 0, no events, all coins inhibited.
* Only the last of several requests that came together is answered: the host has given up waiting for the others.

What is said of coins here holds for bills. A bill may be held in escrow first: that event credits nothing. Once the
host has ordered it into the stacker it may be credited, and the next poll shows the event that does so.
"""

from collections import OrderedDict, deque
from typing import Final

from drivers.cctalk_coin.account import Account, Credit, Fate, Period
from drivers.cctalk_coin.billtable import RETURNED
from drivers.cctalk_coin.codec import BROADCAST, HOST, NAK, REPLY, Codec, Frame
from drivers.cctalk_coin.coins import mix
from drivers.cctalk_coin.course import Course, Told
from drivers.cctalk_coin.echo import Echo
from drivers.cctalk_coin.escrow import Escrow, State
from drivers.cctalk_coin.events import Events
from drivers.cctalk_coin.headers import Header
from drivers.cctalk_coin.kinds import BILLS
from drivers.cctalk_coin.settings import Settings
from drivers.cctalk_coin.tally import QUESTIONS, Tally
from parking.stay import StayRef

GAP: Final = 0.05
"""Seconds of stillness after which a frame that has not ended never will (Generic Specification 4.7, part 1)."""
ADDRESS_DELAY: Final = 0.004
"""Seconds per address that an answer to an address poll is held back, so that devices answer one after the other."""
REMEMBERED: Final = 256
"""Payments whose fate is kept in mind."""


class Acceptor:
    """Implements drivers.peripheral.Peripheral."""

    def __init__(self, settings: Settings) -> None:
        """As after power-up."""
        self.settings = settings
        self._codec = Codec(settings.check, frozenset((settings.address, BROADCAST)))
        self._echo = Echo(settings.seconds_per_char)
        self._inhibits = settings.money()
        self._kind = self._inhibits.kind
        self._escrow = Escrow(settings.escrow_seconds)
        self._course = Course(settings, self._inhibits, self._escrow)
        self._tally = Tally(settings.serial)
        self._accounts: OrderedDict[str, Account] = OrderedDict()
        self.period: Period | None = None
        """The present enabled period."""
        self._periods = 0
        self._called: float | None = None
        self._byte_at = float("-inf")
        self.restarts: deque[str] = deque(maxlen=16)
        """Why it came back as after a power failure, the last few times."""
        self._power_up()

    def _power_up(self, inhibits: bool = True) -> None:
        self._events = Events()
        self._escrow.clear()
        if inhibits:
            self._inhibits.power_up()
        self._codec.reset()
        self._echo.forget()
        self._flight: Credit | None = None
        self._payer: Account | None = None
        self._course.forget()
        self._saying: tuple[bytes, Told | None] | None = None
        self._echoing: Told | None = None
        self._later: tuple[float, bytes] | None = None
        self._heard: float | None = None
        self._shut_at: float | None = None
        self._enough = False

    # --- the line (drivers.peripheral.Peripheral) ------------------------------------------------------------------

    def opened(self, now: float) -> None:
        """The line is there: nobody knows what the host has done meanwhile."""
        self._restart("the line was opened")
        self._called = now

    def lost(self, now: float, certain: bool) -> None:
        """The line broke."""
        if self._saying is not None and not certain:
            self._left()
        self._restart("the line broke")
        self._called = now

    def receive(self, data: bytes, now: float) -> bytes:
        """Take what came; returns the reply, if one is due at once."""
        if self._stood_still(now):
            return b""  # who knows how old these bytes are
        data, whole = self._echo.strip(data, now)
        if whole and self._echoing is not None:
            self._echoing.echoed = True
        if not data:
            return b""
        if now - self._byte_at > GAP:
            self._codec.reset()
        self._byte_at = now
        frames = self._codec.feed(data)
        if not frames:
            return b""
        self._silence(now)
        self._heard, self._later = now, None
        self._follow(frames, now)
        for frame in frames[:-1]:
            self._act(frame, now)
            self._course.went_by(frame.header)
        reply = self._reply(frames[-1], now)
        self._course.went_by(frames[-1].header)
        self._advance(now)
        return reply

    def due(self, now: float) -> bytes:
        """What was held back; also notices silence."""
        if not self._stood_still(now):
            self._silence(now)
        self._advance(now)
        if self._later is None or now < self._later[0]:
            return b""
        (_, raw), self._later = self._later, None
        return self._say(raw)

    def written(self, now: float) -> None:
        """The reply has left."""
        if self._saying is None:
            return
        raw, self._echoing = self._saying
        self._left()
        if self._echoing is not None:
            self._echoing.written = now
        if self.settings.echo:
            self._echo.expect(raw, now)

    # --- what the driver asks and orders ---------------------------------------------------------------------------

    @property
    def counter(self) -> int:
        """The event counter as the host reads it."""
        return self._events.counter

    @property
    def advice(self) -> str:
        """Why such a host gets no money from us, and the option that would mend it; empty if it may get some."""
        return self._course.advice or self._inhibits.advice

    def account(self, reference: str) -> Account | None:
        """What is known of a payment."""
        return self._accounts.get(reference)

    def letter(self, amount: int) -> bytes | None:
        """The exact bytes in which `amount` will be shown, reply after reply, if nothing comes between.

        None if it cannot be made exactly of what is enabled now and not larger than the step.
        """
        coins = mix(amount, self._usable(), amount)
        if not coins:
            return None
        shown = self._events.ahead(event for value in coins for event in self._inhibits.events(value))
        return b"".join(self._framed(HOST, REPLY, data) for data in shown)

    def begin(self, reference: str, stay: StayRef, amount: int, until: float) -> Account | None:
        """Start to credit `amount` in the present period, with no new coin after `until`; None if there is none."""
        if self.period is None:
            return None
        account = Account(reference, stay, amount, self.counter, until)
        self._accounts[reference] = self.period.account = self._payer = account
        while len(self._accounts) > REMEMBERED:
            self._accounts.popitem(last=False)
        return account

    def withdraw(self, account: Account) -> None:
        """Show no more coins of this payment; the fate of one that was shown may still turn out. A bill goes back."""
        if self._payer is account:
            self._give_back("the time was over")
        account.stop(self._course.because("the time was over"))
        self._close(account)

    def finished(self, account: Account, now: float) -> bool:
        """Whether nothing will change any more by waiting."""
        self._advance(now)
        return bool(account.stopped) and not account.awaited

    # --- requests --------------------------------------------------------------------------------------------------

    def _reply(self, frame: Frame, now: float) -> bytes:
        if frame.header == Header.ADDRESS_POLL and not frame.data:
            self._later = (now + ADDRESS_DELAY * self.settings.address, bytes((self.settings.address,)))
            return b""
        host = frame.source or HOST
        if frame.header == self._kind.poll and not frame.data:
            self._notice_beginning(frame, now)
            if self._payer is not None:
                self._payer.blinking = False  # it is still shut, and goes on
            self._next_event(now)
            raw = self._framed(host, REPLY, self._events.data())
            return self._say(raw, self._course.show(len(raw)))
        data = self._act(frame, now)
        if data is not None:
            return self._say(self._framed(host, REPLY, data))
        if self.settings.nak and frame.destination != BROADCAST:
            return self._say(self._framed(host, NAK, b""))
        return b""

    def _act(self, frame: Frame, now: float) -> bytes | None:
        """Do what a request orders; the reply's data, or None if it makes no sense."""
        header, data = frame.header, frame.data
        if header == Header.RESET and not data:
            self._restart("the host reset us")
            self._heard = now
            return b""
        self._notice_beginning(frame, now)
        if header in self._inhibits.orders:
            done = self._inhibits.order(header, data)
            self._look_at_inhibits(now)
            return b"" if done else None
        if header == Header.ROUTE_BILL and self._kind is BILLS:
            return self._route(data, now)
        if header in QUESTIONS:
            return self._tally.answer(header, data)
        asked = header in self._inhibits.questions
        return self._inhibits.answer(header, data) if asked else self._kind.fixed_reply(header, data)

    def _notice_beginning(self, frame: Frame, now: float) -> None:
        """Forget what a host that begins anew would count again."""
        if self._course.begins_anew(frame) and self._events.fresh:
            self._restart(self._course.beginning(frame.header))
            self._heard = now

    # --- events ----------------------------------------------------------------------------------------------------

    def _next_event(self, now: float) -> None:
        """Show what became of a bill that was held; else the next coin, if the host certainly knows the counter."""
        if (moved := self._escrow.moved()) is not None:
            number, self._course.follows = self._events.add(moved), 0
            if self._flight is not None:
                self._flight.number = number
            if moved != RETURNED:
                self._tally.accepted()
            return
        payer = self._payer
        if payer is None or payer.stopped or self._flight or self._course.follows < self.settings.confirm:
            return
        left, usable = payer.amount - payer.delivered, self._usable()
        if not left or not usable:
            return
        coins = mix(left, usable, payer.amount)
        if now > payer.until:
            payer.stop("the time was over")
        elif coins is None:
            payer.stop(f"{left} yen cannot be made exactly of the {self._kind.accepts} that are enabled now")
        else:
            first, *more = self._inhibits.events(coins[0])
            self._tally.inserted()
            if more:
                self._escrow.take(first[0], now)
            else:
                self._tally.accepted()
            self._flight, self._course.follows = Credit(coins[0], self._events.add(first)), 0
            payer.credits.append(self._flight)

    def _route(self, data: bytes, now: float) -> bytes | None:
        """The host says what becomes of the bill in escrow; from its word on a bill to be stacked may be credited."""
        if len(data) != 1:
            return None
        before = self._escrow.state
        answer = self._escrow.route(data[0], now)
        if before is State.HOLDS and self._flight is not None:
            if self._escrow.state is State.STACKS:
                self._flight.fate = Fate.SHOWN
            elif self._escrow.state is State.RETURNS:
                self._give_back("the station gave a bill back")
        return answer

    def _give_back(self, why: str) -> None:
        """The bill in escrow, if there is one, goes back: nothing credits it, and nothing follows it."""
        if self._escrow.state not in (State.HOLDS, State.RETURNS) or self._flight is None:
            return
        self._escrow.give_back()
        self._flight.fate, self._flight = Fate.KEPT, None
        if self._payer is not None:
            self._payer.stop(why)

    def _follow(self, frames: list[Frame], now: float) -> None:
        """Count a request that goes on as before, after a reply that showed the counter as it stands."""
        if not self._course.hear(frames, now):
            return
        self._events.known()
        if self._escrow.state is not State.EMPTY:
            return  # the event that credits the bill was not yet shown
        if self._flight is not None and self._course.follows >= self.settings.confirm:
            self._flight.fate, self._flight = Fate.DELIVERED, None

    def _advance(self, now: float) -> None:
        """What time alone brings about: inhibits that last, a bill held too long, a payment that is complete."""
        self._look_at_inhibits(now)
        if self._escrow.overdue(now):
            self._give_back("the station did not say in time what becomes of a bill")
        payer = self._payer
        if payer is None:
            return
        if self._shut_at is not None and now - self._shut_at >= self.settings.grace:
            payer.blinking = False
        if payer.full_at is None and payer.delivered >= payer.amount:
            payer.full_at = now
        if payer.full_at is not None and now - payer.full_at >= self.settings.grace:
            payer.stop("all coins were taken")
        if payer.stopped:
            self._close(payer)

    def _close(self, account: Account) -> None:
        if self._payer is account and not account.awaited:
            self._payer = None
            if self.settings.always_open and self.period is not None and account.delivered:
                self._new_period()

    # --- inhibits --------------------------------------------------------------------------------------------------

    def _usable(self) -> frozenset[int]:
        return frozenset(value for value in self._inhibits.enabled().values() if value <= self.settings.step)

    def _look_at_inhibits(self, now: float) -> None:
        """A station that has read our events and shuts right then has enough; one that begins anew shuts as well."""
        if self._inhibits.enabled():
            if self.period is None:
                if self._payer is not None and self._shut_at is not None:
                    self._payer.let_in_again(now - self._shut_at)
                self._new_period()
            self._shut_at = None
        elif self.period is not None:
            if self._shut_at is None:
                settled = self._escrow.state is State.EMPTY  # else it may shut because of the bill that it decides on
                self._shut_at, self._enough = now, settled and self._course.as_usual
            if now - self._shut_at >= self.settings.pause:
                self._end_period("the station takes no more", satisfied=self._enough)

    def _new_period(self) -> None:
        self._give_back("the station went on to the next customer")
        self._periods += 1
        self.period = Period(self._periods)

    def _end_period(self, why: str, satisfied: bool = False) -> None:
        if self.period is not None and self.period.account is not None:
            self.period.account.stop(why, satisfied)
        self.period = None

    # --- beginning anew --------------------------------------------------------------------------------------------

    def _stood_still(self, now: float) -> bool:
        """Whether we ourselves did not serve the line for so long that the host may have given up."""
        before, self._called = self._called, now
        if before is None or now - before <= self.settings.patience:
            return False
        self._restart(f"we did not serve the line for {now - before:.1f} s", silence=True)
        return True

    def _silence(self, now: float) -> None:
        if self._heard is not None and now - self._heard > self.settings.patience:
            self._restart(f"the host was silent for {now - self._heard:.1f} s", silence=True)

    def _restart(self, why: str, silence: bool = False) -> None:
        """Come back as after a power failure; what was shown and not delivered stays unknown for ever.

        After a mere silence in which the host had no coin of ours to count again, its inhibits are kept: it cannot see
        that anything happened, and would not say them again before the next customer. Whose they are nobody knows.
        """
        kept = silence and not self.counter and self._flight is None
        why = self._course.because(why) if silence else why
        if self._flight is not None:
            self._flight.fate = Fate.KEPT if self._flight.fate in (Fate.PENDING, Fate.HELD) else Fate.UNKNOWN
        self._end_period(why)
        if self._payer is not None:
            self._payer.stop(why)
            self._payer.blinking = False
        if not kept and (self.counter or self._inhibits.touched):
            self.restarts.append(why)
        self._power_up(inhibits=not kept)
        if self._inhibits.enabled():
            self._new_period()

    # --- bytes -----------------------------------------------------------------------------------------------------

    def _framed(self, to: int, header: int, data: bytes) -> bytes:
        return self._codec.encode(Frame(to, header, data, self.settings.address))

    def _say(self, raw: bytes, told: Told | None = None) -> bytes:
        self._saying = (raw, told)
        return raw

    def _left(self) -> None:
        self._saying = None
        if self._flight is not None and self._flight.fate is Fate.PENDING:
            self._flight.fate = Fate.HELD if self._escrow.state is State.HOLDS else Fate.SHOWN
