"""Takes orders by hand on: release, hold open, end a hold, resolve a doubt, say afterwards for whom an opening was.

A manual release must work with the cloud dead, and with the journal dead (P8): see bridge.by_hand.
"""

import secrets
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from bridge import events, overrides
from bridge.board import Board
from bridge.by_hand import ByHand
from bridge.case import Case
from bridge.core import Core
from bridge.journal import Journal, Transaction
from bridge.machines import LotMachines
from bridge.messages import ForCase, Reply
from bridge.overrides import no
from bridge.port_jobs import HUNG
from bridge.worker import PortWorker, Urgency
from parking.commands import Command, CommandReply, Verb
from parking.desk import CasePhase, CommandState, CommandView, OverrideView
from parking.errors import Code, DaikoError, Environment
from parking.reports import Claim, OverrideMatched, Whose
from parking.stay import LotId

DECIDE_SECONDS: Final = 5.0
CLAIM_SIGNS: Final = 26
_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


class Orders:
    """Checks orders and hands them to who carries them out. Thread-safe."""

    def __init__(
        self,
        *,
        core: Core,
        journal: Journal,
        board: Board,
        lots: dict[LotId, LotMachines],
        workers: dict[tuple[LotId, str], PortWorker],
        clock: Callable[[], datetime],
        by_hand: ByHand,
        cloud_url: str,
    ) -> None:
        """`workers` by lot and device id; `cloud_url` is where claims are paid."""
        self._core, self._journal, self._board, self._clock = core, journal, board, clock
        self._lots, self._workers, self._by_hand, self._cloud_url = lots, workers, by_hand, cloud_url
        self._guard = threading.Lock()
        self._claiming = threading.Lock()
        # Ids of former runs come from memory, not from a query: a hung disk must not keep a gate shut.
        former = journal.command_ids() if journal.readable else []
        former += by_hand.kept_aside()
        self._replies = dict.fromkeys(former, CommandReply(accepted=True, detail="known from before"))

    def command(self, command: Command) -> CommandReply:
        """Take an order on, or refuse it; a repeated `command_id` gets the first answer again."""
        with self._guard:
            former = self._replies.get(command.command_id)
            if former is not None:
                return former
            self._replies[command.command_id] = CommandReply(accepted=True, detail="in hand")
        reply = self._check(command) or self._take_on(command)
        self._replies[command.command_id] = reply
        return reply

    def _check(self, command: Command) -> CommandReply | None:
        lot = self._lots.get(LotId(command.lot))
        if lot is None:
            return no(Code.LOT_UNKNOWN, f"this bridge does not serve lot {command.lot}")
        if not command.actor.strip() or not command.reason.strip():
            return no(Code.BAD_MESSAGE, "an order by hand needs its author and a reason")
        if command.verb not in (Verb.RESOLVE, Verb.ASSIGN) and command.exit not in lot.exits:
            return no(Code.EXIT_UNKNOWN, f"no exit {command.exit!r} in this lot")
        return overrides.refusal(command)

    def _take_on(self, command: Command) -> CommandReply:
        match command.verb:
            case Verb.RESOLVE:
                return self._resolve(command)
            case Verb.ASSIGN:
                return self._assign(command)
            case _ if command.claim is not None:
                return self._against_claim(command, command.claim)
            case _:
                return self._begin(command, None)

    def _begin(self, command: Command, claim: Claim | None) -> CommandReply:
        lot = self._lots[LotId(command.lot)]
        exit_ = lot.exits[command.exit]
        view = CommandView(
            command_id=command.command_id,
            verb=command.verb.value,
            state=CommandState.COMMANDED,
            at=self._clock(),
            actor=command.actor,
        )
        self._board.command(f"{command.lot}/{command.exit}", view)
        worker = self._workers[(lot.lot, exit_.device)]
        worker.submit(
            Urgency.BY_HAND,
            lambda: self._by_hand.carry_out(command, lot, exit_, view, claim),
            withdrawn=lambda: self._by_hand.withdrawn(command, view, Code.PORT_HUNG, HUNG, claim),
            stuck=lambda: self._by_hand.stuck(command, view),
        )
        return CommandReply(accepted=True)

    def _against_claim(self, command: Command, amount: int) -> CommandReply:
        """One at a time, so that two at once cannot leave on the same yen of the budget."""
        profile, now = self._lots[LotId(command.lot)].profile, self._clock()
        lot, day = LotId(command.lot), overrides.business_day(profile, now)
        with self._claiming:
            try:
                refused = overrides.claim_refusal(profile.policy, amount, self._journal.claimed(lot, day))
                if refused is not None:
                    return refused
                self._core.write(lambda tx: tx.put_claim(command.command_id, lot, day, amount), DECIDE_SECONDS)
            except DaikoError as error:
                return no(error.code, f"no claim without the journal: {error.detail}")
        name = "".join(secrets.choice(_ALPHABET) for _ in range(CLAIM_SIGNS))
        until = now + timedelta(days=profile.policy.claim_days)
        self._begin(command, Claim(claim_id=name, amount=amount, until=until))
        return CommandReply(accepted=True, claim_url=f"{self._cloud_url}/c/{name}")

    def _resolve(self, command: Command) -> CommandReply:
        if command.verdict is None:
            return no(Code.BAD_MESSAGE, "a verdict is needed: settled or not settled")
        case = self._case(command)
        if isinstance(case, CommandReply):
            return case
        if case.phase is not CasePhase.IN_DOUBT:
            return no(Code.CONFLICT, f"the case is not in doubt, it is {case.phase.value}")
        decided = events.Decided(command.verdict, command.actor, command.reason)
        after = self._decide(case, decided)
        if isinstance(after, CommandReply):
            return after
        if after.phase is CasePhase.IN_DOUBT:
            return no(Code.CONFLICT, "the legacy system has booked this payment: open by hand, then resolve as settled")
        return CommandReply(accepted=True)

    def _assign(self, command: Command) -> CommandReply:
        """Match an opening to its stay, or to nobody; the stay's payment follows."""
        row = next((row for row in self._unmatched() if row.command_id == command.override), None)
        if row is None or row.lot != command.lot:
            return no(Code.NOT_FOUND, f"no opening {command.override[:40]!r} waits to be matched in this lot")
        try:
            case = self._by_hand.payment_of(command)
        except Environment as error:
            return no(error.code, error.detail)
        still_open = case is not None and not case.over
        opening = overrides.assigned(command, row, case.number if case is not None and still_open else 0)
        matched = OverrideMatched(
            command_id=row.command_id,
            actor=command.actor,
            reason=command.reason,
            at=self._clock(),
            whose=command.whose,
            stay=command.stay if command.whose is Whose.STAY else None,
            number=case.number if case else 0,
            give_back=command.give_back,
        )

        def write(tx: Transaction) -> None:
            tx.match_override(row.command_id)
            stay = command.stay.key if command.stay else ""
            tx.note(LotId(command.lot), stay, matched.at, command.actor, "assign", f"{row.exit}: {command.reason}")
            self._core.report(tx, LotId(command.lot), matched)
            if opening is not None:
                tx.put_opening(opening)

        if case is not None and still_open:
            after = self._decide(case, events.Overridden(command.actor, command.reason, command.give_back))
            if isinstance(after, CommandReply):
                return after
        try:
            self._core.write(write, DECIDE_SECONDS)
        except DaikoError as error:
            return no(error.code, error.detail)
        self._board.matched(row.key)
        return CommandReply(accepted=True)

    def _unmatched(self) -> list[OverrideView]:
        try:
            return self._journal.unmatched()
        except Environment:
            return []

    def _case(self, command: Command) -> Case | CommandReply:
        try:
            case = self._journal.case(LotId(command.lot), command.case)
        except Environment as error:
            return no(error.code, error.detail)
        return case if case is not None else no(Code.NOT_FOUND, f"no case {command.case} in this lot")

    def _decide(self, case: Case, event: events.Event) -> Case | CommandReply:
        """The case after an event, or why it could not be decided."""
        reply = Reply()
        self._core.put(ForCase(case.key, event, reply))
        try:
            reply.wait(DECIDE_SECONDS)
            return self._journal.case(case.lot, case.number) or case
        except DaikoError as error:
            return no(error.code, error.detail)
