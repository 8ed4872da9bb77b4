"""Signing in, and whether an order may be carried out: joins operators, PINs, sessions, permits and the audit chain.

Thread-safe. Nothing here stands in the way of an emergency opening: for one, neither disk nor journal is touched.
"""

import logging
import math
import secrets
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from msgspec.structs import replace

from bridge import keys, permits, pins
from bridge.audit import RELAY
from bridge.journal import Journal, Transaction
from bridge.operators import Door, Operator, OperatorFile, Roster, Staff, fold_name
from bridge.permits import Denied, Person, Stake
from bridge.secret_store import SecretStore
from bridge.sessions import Lock, Locks, Sessions
from parking.commands import Command, CommandReply, OperatorRole, Redeem, RedeemReply, SignedIn, SignIn, SignOut, Verb
from parking.desk import CasePhase
from parking.errors import BadMessage, Code, DaikoError, Environment, Refused
from parking.signing import to_text
from parking.stay import LotId

log = logging.getLogger(__name__)

TOKEN_BYTES: Final = 32
FAILURES: Final = "pin_failures:"
UNTIL: Final = "pin_until:"
"""Counters of the journal that keep locks over a restart, by name; the empty name is that over all."""


class SignOn:
    """Who sits at the consoles, and what they may."""

    def __init__(
        self,
        *,
        data: Path,
        store: SecretStore,
        journal: Journal,
        write: Callable[[Callable[[Transaction], None]], None],
        two_persons_above: Mapping[LotId, int],
        idle: timedelta,
        clock: Callable[[], datetime],
    ) -> None:
        """`write` commits something and waits for it, raising a DaikoError if it cannot; limits in yen, by lot."""
        self._file, self._store, self._journal, self._write = OperatorFile(data), store, journal, write
        self._limits, self._idle, self._clock = two_persons_above, idle, clock
        self._guard = threading.Lock()
        self._one_at_a_time = threading.Lock()
        self._sessions, self._locks = Sessions(idle), _kept_locks(journal)
        self._pepper: bytes | None = None
        self._seen = Staff(Door.OPEN, Roster())
        self._staff()

    @property
    def needed(self) -> bool:
        """Whether orders need a PIN, as last seen; touches no disk."""
        return self._seen.door is not Door.OPEN

    def look(self) -> None:
        """See whether the operators have changed; called every few seconds, and before each order."""
        self._staff()

    def sign_in(self, request: SignIn) -> SignedIn:
        """Begin a session; takes about 50 ms. Raises Refused(SIGN_IN | LOCKED_OUT), the same for every wrong name."""
        with self._one_at_a_time:
            staff, now = self._staff(), self._clock()
            if staff.door is not Door.GUARDED:
                raise Refused(Code.SIGN_IN, staff.problem or "no operator has a PIN yet: orders need none")
            name = _name(request.operator)
            operator = staff.roster.find(name)
            self._admit_try(name, operator, now)
            kept, pepper = (operator.pin, self._pepper or b"") if operator else (pins.NOBODYS, b"")
            right = pins.verify(kept, request.pin[: pins.MOST_SIGNS * 4], name, pepper)
            if operator is None or not right:
                self._refuse_try(name, operator, now)
                raise Refused(Code.SIGN_IN, "name or PIN is wrong")
            return self._begin(operator, now)

    def sign_out(self, request: SignOut) -> CommandReply:
        """End a session; one that has ended already is no error."""
        with self._guard:
            session = self._sessions.close(request.session)
        if session is not None:
            self._chain(session.operator, "sign_out", {})
        return CommandReply(accepted=True)

    def named(self, command: Command) -> Command:
        """The order under the name of who has signed in, whatever was typed; see `permits.bare` for emergencies."""
        emergency = permits.is_emergency(command)
        staff = self._seen if emergency else self._staff()  # a hung disk must not keep a gate shut
        if staff.door is Door.OPEN:
            return command
        person = self._person(command.session, staff)
        if person is not None:
            command = replace(command, actor=person.name)
        if emergency:
            return permits.bare(command, person)
        return command

    def permit(self, command: Command) -> CommandReply | None:
        """None if the order may be carried out, otherwise the refusal."""
        if permits.is_emergency(command):
            return None
        staff = self._staff()
        if staff.door is Door.OPEN:
            return None
        first, second = self._person(command.session, staff), self._person(command.second, staff)
        limit = self._limits.get(LotId(command.lot), 0)
        denied = permits.permit(command, first, second, self._stake(command), limit)
        if denied is not None:
            log.warning("an order to %s at lot %d is not permitted: %s", command.verb, command.lot, denied.code)
            return CommandReply(accepted=False, code=denied.code, detail=_why(denied, staff))
        self._used(command.session, command.second)
        return None

    def admit(self, redeem: Redeem) -> Redeem | RedeemReply:
        """A code under the name of who has signed in, or the refusal."""
        staff = self._staff()
        if staff.door is Door.OPEN:
            return redeem
        person = self._person(redeem.session, staff)
        denied = permits.may(person, OperatorRole.ATTENDANT)
        if denied is not None or person is None:
            wrong = denied or Denied(Code.SIGN_IN, "")
            log.warning("a code at lot %d is not permitted: %s", redeem.lot, wrong.code)
            return RedeemReply(accepted=False, code=wrong.code, detail=_why(wrong, staff))
        self._used(redeem.session)
        return replace(redeem, actor=person.name)

    # --- inside ------------------------------------------------------------------------------------------------------

    def _staff(self) -> Staff:
        with self._guard:
            try:
                if self._pepper is None:
                    self._pepper = keys.load_pepper(self._store)
                staff = self._file.staff(once_given=self._pepper is not None)
                if staff.door is Door.GUARDED and self._pepper is None:
                    staff = Staff(Door.SHUT, Roster(), "the pepper of the PINs is gone: give all PINs anew")
            except DaikoError as error:
                staff = Staff(Door.SHUT, Roster(), str(error))
            if staff.problem and staff.problem != self._seen.problem:
                log.error("nobody can sign in: %s", staff.problem)
            self._seen = staff
            return staff

    def _person(self, token: str, staff: Staff) -> Person | None:
        with self._guard:
            session = self._sessions.who(token, self._clock())
        operator = staff.roster.find(session.operator) if session is not None else None
        if session is None or operator is None or operator.changed > session.since:
            return None
        return Person(operator.name, operator.role)

    def _used(self, *tokens: str) -> None:
        with self._guard:
            for token in tokens:
                self._sessions.used(token, self._clock())

    def _admit_try(self, name: str, operator: Operator | None, now: datetime) -> None:
        with self._guard:
            last = self._locks.of(name).last
            if operator is not None and last is not None and last < operator.changed <= now:
                self._locks.forgiven(name)  # a new PIN ends a lock
            wait = self._locks.wait(name, now)
        if wait:
            raise _locked(wait)

    def _refuse_try(self, name: str, operator: Operator | None, now: datetime) -> None:
        with self._guard:
            wait = self._locks.failed(name, now)
            in_a_row, over_all = self._locks.of(name).failures, self._locks.over_all.failures
            kept = {"": self._locks.over_all} | ({name: self._locks.of(name)} if operator else {})

        def write(tx: Transaction) -> None:
            for whose, lock in kept.items():
                tx.put_counter(FAILURES + whose, lock.failures)
                tx.put_counter(UNTIL + whose, math.ceil((lock.until or now).timestamp()))
            if wait:  # a wrong name may be a PIN that was typed into the wrong field
                body = {"known": operator is not None, "seconds": math.ceil(wait.total_seconds())}
                tx.audit(now, name if operator else "", "locked_out", body)

        # without the name: it may be a PIN that was typed into the wrong field
        log.warning("a sign-in failed, %d in a row under this name, %d under all", in_a_row, over_all)
        self._try_to_write(write)
        if wait:
            raise _locked(wait)

    def _begin(self, operator: Operator, now: datetime) -> SignedIn:
        token = to_text(secrets.token_bytes(TOKEN_BYTES))
        with self._guard:
            self._locks.forgiven(operator.name)
            self._sessions.open(token, operator.name, now)

        def write(tx: Transaction) -> None:
            forget_lock(tx, operator.name)
            tx.audit(now, operator.name, "sign_in", {"role": operator.role})

        self._try_to_write(write)
        idle = int(self._idle.total_seconds())
        return SignedIn(session=token, operator=operator.name, role=operator.role, idle_seconds=idle)

    def _chain(self, actor: str, what: str, body: Mapping[str, Any]) -> None:
        now = self._clock()
        self._try_to_write(lambda tx: _audit(tx, now, actor, what, body))

    def _try_to_write(self, write: Callable[[Transaction], None]) -> None:
        try:
            self._write(write)
        except DaikoError as error:  # who may open the gate must not hang on the disk
            log.error("signing in could not be journaled: %s", error)

    def _stake(self, command: Command) -> Stake:
        """What the order decides on; where that cannot be known, as if it undid a settled payment."""
        claimed = command.claim or 0
        if not command.give_back and command.verb is not Verb.RESOLVE:
            return Stake(claimed)
        try:
            lot = LotId(command.lot)
            case = self._journal.case(lot, command.case) if command.case else None
            stay = command.stay.key if command.stay is not None and command.verb is not Verb.RESOLVE else ""
            cases = [case] if case is not None else self._journal.cases(lot, stay)
        except Environment:
            return Stake(claimed, settled=True)
        if not cases:
            return Stake(claimed, settled=True)
        amount = max(claimed, *(one.amount for one in cases))
        return Stake(amount, any(one.phase is CasePhase.SETTLED for one in cases))


def forget_lock(tx: Transaction, name: str) -> None:
    """A right PIN, or a new one: the lock of this name is not kept any more."""
    tx.drop_counter(FAILURES + name)
    tx.drop_counter(UNTIL + name)


def _audit(tx: Transaction, now: datetime, actor: str, what: str, body: Mapping[str, Any]) -> None:
    tx.audit(now, actor, what, body)


def _name(typed: str) -> str:
    try:
        return fold_name(typed)
    except BadMessage:
        return RELAY  # nobody's name


def _why(denied: Denied, staff: Staff) -> str:
    return f"nobody can sign in: {staff.problem}" if staff.door is Door.SHUT else denied.detail


def _locked(wait: timedelta) -> Refused:
    seconds = math.ceil(wait.total_seconds())
    return Refused(Code.LOCKED_OUT, f"too many wrong PINs: wait {seconds} s", "an emergency opening needs no PIN")


def _kept_locks(journal: Journal) -> Locks:
    if not journal.readable:
        return Locks()
    until = {name: datetime.fromtimestamp(seconds, UTC) for name, seconds in journal.counters(UNTIL).items()}
    locks = {
        name: Lock(failures, until.get(name), until.get(name)) for name, failures in journal.counters(FAILURES).items()
    }
    return Locks({name: lock for name, lock in locks.items() if name}, locks.get(""))
