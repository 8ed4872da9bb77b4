"""What became of the coins or bills of one payment, and what that proves.

A coin is DELIVERED when the host has asked on as before, often enough, after replies that showed it. A coin that was
shown and not delivered is UNKNOWN once the host starts anew or we do; it is never shown again. So it is with a bill,
but while it is HELD in escrow nothing credits it; once the host has ordered it into the stacker, something may.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from math import ceil
from typing import Final

from drivers import base
from drivers.cctalk_coin.coins import mix_text
from parking.errors import Code
from parking.money import Yen
from parking.outcome import Evidence, EvidenceKind, Level
from parking.stay import StayRef

BLINK: Final = 2.0
"""Seconds: nobody puts the next ticket in so soon."""


class Fate(StrEnum):
    """Where a coin stands."""

    PENDING = "pending"
    """In the reply that is about to go out."""
    SHOWN = "shown"
    DELIVERED = "delivered"
    UNKNOWN = "unknown"
    KEPT = "kept"
    """It never left, or was given back: nothing can have credited it."""
    HELD = "held"
    """A bill that waits in the escrow; only what the host orders next may credit it."""


@dataclass(slots=True)
class Credit:
    """One coin or bill: its value in yen and the number of the event that credits it (or says that it is held)."""

    value: int
    number: int
    fate: Fate = Fate.PENDING


@dataclass(slots=True)
class Account:
    """One payment: `amount` yen at most for `stay`; no new coin after `until` (monotonic seconds).

    `before` is the event counter before the first coin. `stopped` says why no coin follows; `satisfied`, that it was
    the station that would take no more; `blinking`, that it may have shut for a moment only; `hint`, which option might
    have helped.
    """

    reference: str
    stay: StayRef
    amount: int
    before: int
    until: float
    credits: list[Credit] = field(default_factory=list)
    stopped: str = ""
    satisfied: bool = False
    blinking: bool = False
    hint: str = ""
    full_at: float | None = None

    def sum(self, *fates: Fate) -> int:
        """Yen of the coins with one of these fates."""
        return sum(one.value for one in self.credits if one.fate in fates)

    @property
    def delivered(self) -> int:
        """Yen that the host certainly has."""
        return self.sum(Fate.DELIVERED)

    @property
    def open_(self) -> int:
        """Yen of which nobody knows: shown, and not (yet) delivered."""
        return self.sum(Fate.PENDING, Fate.SHOWN, Fate.UNKNOWN)

    @property
    def awaited(self) -> bool:
        """Whether a coin's fate may still turn out, or whether the station really has enough."""
        return self.blinking or any(one.fate in (Fate.PENDING, Fate.SHOWN, Fate.HELD) for one in self.credits)

    def stop(self, why: str, satisfied: bool = False) -> None:
        """No coin follows; the first reason counts."""
        if not self.stopped:
            self.stopped, self.satisfied = why, satisfied
            self.blinking = satisfied

    def let_in_again(self, seconds: float) -> None:
        """The station shut, and takes money again so many seconds later: so soon it had not said that it has enough."""
        if seconds <= BLINK:
            self.satisfied = self.blinking = False
            pause = ceil(20 * seconds + 1) / 10
            self.hint = f"it took money again after {seconds:.1f} s: if it often does, set pause_seconds to {pause:g}"

    @property
    def words(self) -> str:
        """What is known, for people."""
        known = [one.value for one in self.credits if one.fate is Fate.DELIVERED]
        doubt = [one.value for one in self.credits if one.fate in (Fate.PENDING, Fate.SHOWN, Fate.UNKNOWN)]
        said = f"{self.delivered} of {self.amount} yen credited" + (f" ({mix_text(known)})" if known else "")
        if doubt:
            said += f", {sum(doubt)} yen shown but not known to be credited ({mix_text(doubt)})"
        return "; ".join(one for one in (said, self.stopped, self.hint) if one)


@dataclass(slots=True)
class Period:
    """A time in which money was let in: one customer. `account` is the payment that was made in it."""

    number: int
    account: Account | None = None


def verdict(account: Account) -> base.Outcome:
    """The outcome as far as it is known now."""
    if account.open_:
        return base.Uncertain(account.words, credited=Yen(account.delivered + account.open_))
    if not account.delivered:
        return base.Refused(Code.DEVICE_REFUSED, f"nothing was credited: {account.stopped or 'the time is over'}")
    known = [one for one in account.credits if one.fate is Fate.DELIVERED]
    text = f"event counter {account.before} → {known[-1].number}: {mix_text(one.value for one in known)}"
    text += f"; {account.hint}" if account.hint else ""
    proofs = [Evidence(EvidenceKind.COUNTER, text)]
    satisfied = account.satisfied and not account.blinking
    if satisfied:
        proofs.append(Evidence(EvidenceKind.WITNESS, f"the station takes no more after {account.delivered} yen"))
    level = Level.LEGACY_CONFIRMED if satisfied else Level.LINK_ACKED
    return base.Applied(level, tuple(proofs), credited=Yen(account.delivered))


def testimony(account: Account) -> base.Testimony:
    """What can be said about the payment later. Ours only if all of it was delivered."""
    if account.open_ or account.awaited or 0 < account.delivered < account.amount:
        return base.CannotTell(account.words)
    if account.delivered:
        return base.Ours(account.reference, account.words)
    return base.Nobody(account.words)
