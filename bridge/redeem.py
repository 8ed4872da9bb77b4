"""What a code from a driver's phone is worth: a scanned QR code, or a typed one; how wrong ones cost time. Pure.

A QR code is the signed completion itself and needs nothing secret. A typed code is proven by the lot's own secret,
which whoever holds this computer has too: so it is bound to the stay that the attendant chose, tries are limited like
those of prepaid electricity meters (STS), and a business day has a cap in number and in yen (docs/offline-codes.md).
"""

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from bridge.case import Stated
from bridge.sessions import Lock, Pace
from drivers.profile import Policy
from parking import completion as completions
from parking.commands import Redeem, RedeemReply
from parking.completion import Completion
from parking.errors import BadMessage, Code, DaikoError, Refused
from parking.signing import KeyRing, from_text
from parking.stay import LotId, fold_digits
from parking.wire import LotKeys

SCANNED: Final = 60
"""Longer codes are scanned ones: the shortest signed completion has over 220 digits, a typed code 21."""

TRIES: Final = Pace(3, timedelta(seconds=10), timedelta(seconds=1280))
"""Three wrong typed codes: 10 s; each further one twice as long, up to 1,280 s."""

_MINUTE: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Standing:
    """The lot as it stands: `cursor` (no number up to it is missing), which numbers are known, its exits, its keys."""

    lot: LotId
    cursor: int
    known: Callable[[int], bool]
    exits: Collection[str]
    ring: KeyRing
    keys: LotKeys | None
    policy: Policy


@dataclass(frozen=True, slots=True)
class Today:
    """Typed codes taken on a business day."""

    codes: int = 0
    yen: int = 0

    def and_one(self, amount: int) -> "Today":
        """One more."""
        return Today(self.codes + 1, self.yen + amount)


class Worthless(Refused):
    """A code that is genuine and opens nothing all the same; `states` is what it says."""

    def __init__(self, code: Code, detail: str, states: Stated | Completion) -> None:
        super().__init__(code, detail)
        self.states = states


def is_scanned(redeem: Redeem) -> bool:
    """Whether the text is a QR code's."""
    return len(fold_digits(redeem.text)) > SCANNED


def check_order(redeem: Redeem, standing: Standing) -> None:
    """Whether the order itself makes sense. Raises Refused or BadMessage: no author, no stay, no such exit."""
    if not redeem.actor.strip():
        raise BadMessage(Code.BAD_MESSAGE, "a code needs the name of who applies it")
    if redeem.exit and redeem.exit not in standing.exits:
        raise Refused(Code.EXIT_UNKNOWN, f"no exit {redeem.exit!r} in this lot")
    if not is_scanned(redeem) and redeem.stay is None:
        raise BadMessage(Code.BAD_MESSAGE, "choose the stay first: a typed code is good for one stay only")


def scanned(redeem: Redeem, standing: Standing, now: datetime) -> tuple[Completion, bytes]:
    """The completion of a QR code that may be acted upon, and its packed bytes.

    Raises BadMessage(BAD_COMPLETION | BAD_SIGNATURE | UNKNOWN_KEY | WRONG_LOT), or Worthless(CODE_USED | EXPIRED |
    WRONG_CODE: for another stay than the one chosen).
    """
    packed = completions.from_digits(fold_digits(redeem.text))
    completion = completions.verify(packed, standing.ring)
    if completion.lot != standing.lot:
        raise BadMessage(Code.WRONG_LOT, f"this payment is for lot {completion.lot}, not for {standing.lot}")
    if redeem.stay is not None and not redeem.stay.same_as(completion.stay):
        raise Worthless(Code.WRONG_CODE, "this payment is for another stay than the one chosen", completion)
    _still_good(completion, standing, now)
    return completion, packed


def typed(redeem: Redeem, standing: Standing, now: datetime) -> Stated:
    """What a typed code states, if it may be acted upon; the caps are `check_caps`' business.

    Raises BadMessage: UNKNOWN_KEY if this bridge has not got the lot's keys, WRONG_CODE if it does not hold (that
    alone counts as a wrong try). Raises Worthless(CODE_USED | EXPIRED).
    """
    if standing.keys is None or redeem.stay is None:
        raise BadMessage(
            Code.UNKNOWN_KEY,
            "the lot's keys for typed codes have not come from the cloud yet",
            "scan the QR code instead, which needs none; or open by hand for this stay",
        )
    keys = {one.kid: from_text(one.key) for one in standing.keys.code_keys}
    read = completions.read_code(redeem.text, keys, standing.lot, redeem.stay, standing.cursor, now)
    stated = Stated(
        lot=standing.lot,
        number=read.number,
        stay=read.stay,
        amount=read.amount,
        paid_at=read.paid_at,
        # the code knows the minute alone: it must not end before the phone says so
        valid_until=read.paid_at + _MINUTE + timedelta(seconds=standing.keys.code_seconds),
        exit=redeem.exit,
    )
    _still_good(stated, standing, now)
    return stated


def check_caps(stated: Stated, today: Today, policy: Policy) -> None:
    """Raises Worthless(CODE_LIMIT) if the business day has had its typed codes."""
    after = today.and_one(stated.amount)
    if after.codes > policy.codes_per_day:
        raise Worthless(
            Code.CODE_LIMIT, f"{today.codes} typed codes today, no more than {policy.codes_per_day}", stated
        )
    if after.yen > policy.code_yen_per_day:
        detail = f"{today.yen:,} yen by typed codes today; with this one more than {policy.code_yen_per_day:,}"
        raise Worthless(Code.CODE_LIMIT, detail, stated)


def wait(lock: Lock, now: datetime) -> tuple[Lock, int]:
    """Whole seconds until a typed code is looked at again, and the lock (mended if the clock was set back)."""
    lock = lock.rebased(now, TRIES)
    return lock, math.ceil(lock.wait(now).total_seconds())


def failed(lock: Lock, now: datetime) -> Lock:
    """One more wrong typed code."""
    return lock.failed(now, TRIES)


def yes(states: Stated | Completion) -> RedeemReply:
    """The code is worth a release, and the case is under way."""
    return RedeemReply(accepted=True, number=states.number, stay=states.stay, amount=states.amount)


def no(error: DaikoError, seconds: int = 0) -> RedeemReply:
    """The code opens nothing; `seconds`: the next one is looked at after so long."""
    detail = f"{error.detail} — {error.remedy}" if error.remedy else error.detail
    reply = RedeemReply(accepted=False, code=error.code, detail=detail, wait_seconds=seconds)
    if not isinstance(error, Worthless):
        return reply
    states = error.states
    return RedeemReply(
        accepted=False,
        code=error.code,
        detail=detail,
        number=states.number,
        stay=states.stay,
        amount=states.amount,
    )


def locked(seconds: int) -> RedeemReply:
    """No typed code is looked at now; a QR code would be."""
    return no(
        BadMessage(Code.WRONG_CODE, f"not looked at: after wrong codes the entry waits {seconds} s more"), seconds
    )


def _still_good(states: Stated | Completion, standing: Standing, now: datetime) -> None:
    # numbers up to the cursor without a row are those of a former bridge, which may have acted on them
    if states.number <= standing.cursor or standing.known(states.number):
        raise Worthless(Code.CODE_USED, f"{states.reference} has been handled already: it acts once only", states)
    if now > states.valid_until:
        raise Worthless(Code.EXPIRED, f"{states.reference} was good until {states.valid_until:%H:%M} UTC", states)
