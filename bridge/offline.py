"""Codes from drivers' phones, applied while the line may be down: checked, counted, journaled, and handed to the relay.

`bridge.redeem` decides; this keeps what it needs (keys, wrong tries, the day's codes) and does what it says.
"""

import logging
import math
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Final

from bridge import redeem as codes
from bridge.config import BridgeConfig
from bridge.core import Core
from bridge.journal import Journal, Transaction
from bridge.keys import Identity
from bridge.lot_keys import KeptKeys
from bridge.overrides import business_day
from bridge.sessions import Lock
from drivers.profile import LotProfile
from parking.commands import Redeem, RedeemReply
from parking.errors import Code, DaikoError, Environment, NotSent, Refused
from parking.reports import Way
from parking.signing import KeyRing, SigningKey, to_text
from parking.stay import LotId, fold_digits
from parking.wire import Entry

COMMIT_SECONDS: Final = 2.0
"""How long a commit is waited for; the console waits five seconds for an answer."""

MOST_REPLIES: Final = 256
FAILURES: Final = "code_failures:"
UNTIL: Final = "code_until:"
CODES: Final = "codes:"
YEN: Final = "code_yen:"
"""Counters of the journal, by lot; those of a day by lot and day."""

log = logging.getLogger(__name__)


class Offline:
    """Applies codes, one at a time: two at once could slip past a lock or a cap. Thread-safe."""

    def __init__(
        self,
        *,
        core: Core,
        journal: Journal,
        profiles: Mapping[LotId, LotProfile],
        enrolled: frozenset[int],
        ring: KeyRing,
        keys: KeptKeys,
        check: Callable[[LotId], None],
        clock: Callable[[], datetime],
    ) -> None:
        """`enrolled`: the lots that the cloud has given to this bridge. `check` raises if nothing may be accepted."""
        self._core, self._journal, self._profiles, self._enrolled = core, journal, profiles, enrolled
        self._ring, self._keys, self._check, self._clock = ring, keys, check, clock
        self._one_at_a_time = threading.Lock()
        self._replies: dict[str, RedeemReply] = {}
        self._locks: dict[LotId, Lock] = {}

    def start(self) -> None:
        """Begin to fetch keys."""
        self._keys.start()

    def stop(self) -> None:
        """End it."""
        self._keys.stop()

    def connected(self, lot: LotId) -> None:
        """The cloud has been reached: its keys may be newer."""
        self._keys.connected(lot)

    def redeem(self, redeem: Redeem) -> RedeemReply:
        """Act on a code, or say why not; a repeated `redeem_id` gets the first answer again."""
        with self._one_at_a_time:
            former = self._replies.get(redeem.redeem_id)
            if former is not None:
                return former
            reply = self._apply(redeem)
            if redeem.redeem_id:
                self._replies[redeem.redeem_id] = reply
            if len(self._replies) > MOST_REPLIES:
                del self._replies[next(iter(self._replies))]
            return reply

    def _apply(self, redeem: Redeem) -> RedeemReply:
        lot, now = LotId(redeem.lot), self._clock()
        try:
            standing = self._standing(lot)
            codes.check_order(redeem, standing)
            if codes.is_scanned(redeem):
                return self._scanned(redeem, standing, now)
            return self._typed(redeem, standing, now)
        except DaikoError as error:
            log.warning("a code shown in lot %d opens nothing: %s", lot, error)
            if error.code is Code.BAD_SIGNATURE:
                self._note_forgery(redeem, now)
            return codes.no(error)

    def _standing(self, lot: LotId) -> codes.Standing:
        profile = self._profiles.get(lot)
        if profile is None:
            raise Refused(Code.LOT_UNKNOWN, f"this bridge does not serve lot {lot}")
        if lot not in self._enrolled:
            raise Environment(Code.NOT_ENROLLED, f"the cloud has not given lot {lot} to this bridge", "enrol it")
        self._check(lot)
        return codes.Standing(
            lot=lot,
            cursor=self._journal.cursor(lot),
            known=lambda number: self._journal.known(lot, number),
            exits=frozenset(exit_.id for exit_ in profile.exit),
            ring=self._ring,
            keys=self._keys.of(lot),
            policy=profile.policy,
        )

    def _scanned(self, redeem: Redeem, standing: codes.Standing, now: datetime) -> RedeemReply:
        completion, packed = codes.scanned(redeem, standing, now)
        entry = Entry(number=completion.number, completion=to_text(packed))
        with _maybe_later():
            self._core.accept(standing.lot, [entry], COMMIT_SECONDS, way=Way.QR, actor=redeem.actor)
        return codes.yes(completion)

    def _typed(self, redeem: Redeem, standing: codes.Standing, now: datetime) -> RedeemReply:
        lot = standing.lot
        lock, seconds = codes.wait(self._lock(lot), now)
        if seconds:
            return codes.locked(seconds)
        try:
            stated = codes.typed(redeem, standing, now)
        except DaikoError as error:
            if error.code is not Code.WRONG_CODE:
                raise  # a genuine code that is used up or too old neither counts as wrong nor ends the count
            lock, seconds = codes.wait(codes.failed(lock, now), now)
            self._keep_wrong(redeem, lock, seconds, now)
            return codes.no(error, seconds)
        profile = self._profiles[lot]
        day = business_day(profile, now)
        taken = self._journal.counters(f"{CODES}{lot}:")
        today = codes.Today(taken.get(day, 0), self._journal.counters(f"{YEN}{lot}:").get(day, 0))
        codes.check_caps(stated, today, profile.policy)
        after, over = today.and_one(stated.amount), [f"{lot}:{past}" for past in taken if past < day]
        # counted first: a crash in between costs the day one code, and never gives it one more
        self._core.write(lambda tx: _count(tx, lot, day, after, over), COMMIT_SECONDS)
        self._locks[lot] = Lock()
        with _maybe_later():
            self._core.accept_code(stated, redeem.actor, COMMIT_SECONDS)
        return codes.yes(stated)

    def _lock(self, lot: LotId) -> Lock:
        if lot not in self._locks:
            failures = self._journal.counters(FAILURES).get(str(lot), 0)
            until = self._journal.counters(UNTIL).get(str(lot), 0)
            self._locks[lot] = Lock(failures, datetime.fromtimestamp(until, UTC) if until else None)
        return self._locks[lot]

    def _keep_wrong(self, redeem: Redeem, lock: Lock, seconds: int, now: datetime) -> None:
        """Count a wrong code. Raises if that cannot be journaled: then no further one is taken either."""
        lot = LotId(redeem.lot)
        self._locks[lot] = lock
        stay = redeem.stay.key if redeem.stay is not None else ""

        def write(tx: Transaction) -> None:
            tx.put_counter(f"{FAILURES}{lot}", lock.failures)
            tx.put_counter(f"{UNTIL}{lot}", math.ceil(lock.until.timestamp()) if lock.until else 0)
            tx.note(lot, stay, now, redeem.actor, "rejected", f"wrong typed code, {lock.failures} in a row")
            if seconds:
                tx.audit(now, redeem.actor, "wrong_codes", {"lot": lot, "in_a_row": lock.failures, "seconds": seconds})

        self._core.write(write, COMMIT_SECONDS)

    def _note_forgery(self, redeem: Redeem, now: datetime) -> None:
        detail = f"a QR code whose signature does not hold: {fold_digits(redeem.text)[:12]}"
        lot = LotId(redeem.lot)
        try:
            self._core.write(lambda tx: tx.note(lot, "", now, redeem.actor, "rejected", detail), COMMIT_SECONDS)
        except DaikoError as error:
            log.error("a forged code in lot %d could not be journaled: %s", lot, error)


@contextmanager
def _maybe_later() -> Iterator[None]:
    """A journal that is slow may still take what nobody waits for any more."""
    try:
        yield
    except NotSent as error:
        remedy = "it may act in a moment all the same: look at the exit before you open by hand"
        raise Environment(Code.JOURNAL, error.detail, remedy) from error


def open_offline(
    *,
    config: BridgeConfig,
    enrolled: tuple[Identity, SigningKey] | None,
    keys: KeptKeys,
    core: Core,
    journal: Journal,
    check: Callable[[LotId], None],
    clock: Callable[[], datetime],
) -> Offline:
    """For the lots that this bridge is enrolled for."""
    lots = [lot for lot in config.lots if enrolled is not None and lot in enrolled[0].lots]
    return Offline(
        core=core,
        journal=journal,
        profiles=config.lots,
        enrolled=frozenset(lots),
        ring=enrolled[0].key_ring() if enrolled is not None else KeyRing({}),
        keys=keys,
        check=check,
        clock=clock,
    )


def _count(tx: Transaction, lot: LotId, day: str, today: codes.Today, over: Collection[str]) -> None:
    """The day's codes with the present one, and the end of the lock; days that are over are forgotten."""
    for name in (f"{FAILURES}{lot}", f"{UNTIL}{lot}", *(kind + past for past in over for kind in (CODES, YEN))):
        tx.drop_counter(name)
    tx.put_counter(f"{CODES}{lot}:{day}", today.codes)
    tx.put_counter(f"{YEN}{lot}:{day}", today.yen)
