"""Orders by hand: release, hold open, end a hold, resolve a doubt.

A manual release must work with the cloud dead, and with the journal dead: what cannot be journaled goes to a plain
fallback log beside it, and the gate opens all the same (P8).
"""

import json
import logging
import os
import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from msgspec.structs import replace

from bridge import relay
from bridge.board import Board
from bridge.core import Core
from bridge.journal import Journal, Transaction
from bridge.machines import LotMachines
from bridge.messages import ForCase, Reply
from bridge.worker import PortWorker, Urgency
from drivers.base import Applied, Outcome, Refused
from drivers.profile import ExitTable
from parking.desk import CasePhase, Command, CommandReply, CommandState, CommandView, Verb
from parking.errors import Code, DaikoError, Environment, NotSent
from parking.stay import LotId
from parking.wire import Override

log = logging.getLogger(__name__)

JOURNAL_SECONDS = 1.0
"""How long a release by hand waits for the journal before it goes to the fallback log."""


class Orders:
    """Takes orders on, carries them out on the right port, and says what came of them."""

    def __init__(
        self,
        *,
        core: Core,
        journal: Journal,
        board: Board,
        lots: dict[LotId, LotMachines],
        workers: dict[tuple[LotId, str], PortWorker],
        clock: Callable[[], datetime],
        fallback: Path,
    ) -> None:
        """`workers` by lot and device id; `fallback` is the log for when the journal is dead."""
        self._core, self._journal, self._board = core, journal, board
        self._lots, self._workers, self._clock, self._fallback = lots, workers, clock, fallback
        self._guard = threading.Lock()
        # Ids of former runs come from memory, not from a query: a hung disk must not keep a gate shut.
        self._replies = dict.fromkeys(journal.command_ids(), CommandReply(accepted=True, detail="known from before"))

    def command(self, command: Command) -> CommandReply:
        """Take an order on, or refuse it; a repeated `command_id` gets the first answer again."""
        with self._guard:
            former = self._replies.get(command.command_id)
            if former is not None:
                return former
            self._replies[command.command_id] = CommandReply(accepted=True, detail="in hand")
        reply = self._check(command)
        if reply.accepted:
            reply = self._resolve(command) if command.verb is Verb.RESOLVE else self._begin(command)
        self._replies[command.command_id] = reply
        return reply

    def _check(self, command: Command) -> CommandReply:
        lot = self._lots.get(LotId(command.lot))
        if lot is None:
            return _no(Code.LOT_UNKNOWN, f"this bridge does not serve lot {command.lot}")
        if not command.actor.strip() or not command.reason.strip():
            return _no(Code.BAD_MESSAGE, "an order by hand needs its author and a reason")
        if command.verb is not Verb.RESOLVE and command.exit not in lot.exits:
            return _no(Code.EXIT_UNKNOWN, f"no exit {command.exit!r} in this lot")
        return CommandReply(accepted=True)

    def _resolve(self, command: Command) -> CommandReply:
        if command.verdict is None:
            return _no(Code.BAD_MESSAGE, "a verdict is needed: settled or not settled")
        case = self._journal.case(LotId(command.lot), command.case)
        if case is None:
            return _no(Code.NOT_FOUND, f"no case {command.case} in this lot")
        if case.phase is not CasePhase.IN_DOUBT:
            return _no(Code.CONFLICT, f"the case is not in doubt, it is {case.phase.value}")
        reply = Reply()
        event = relay.Decided(command.verdict, command.actor, command.reason)
        self._core.put(ForCase(case.key, event, reply))
        try:
            reply.wait(5.0)
        except DaikoError as error:
            return _no(error.code, error.detail)
        after = self._journal.case(LotId(command.lot), command.case)
        if after is not None and after.phase is CasePhase.IN_DOUBT:
            return _no(
                Code.CONFLICT, "the legacy system has booked this payment: open by hand, then resolve as settled"
            )
        return CommandReply(accepted=True)

    def _begin(self, command: Command) -> CommandReply:
        lot = self._lots[LotId(command.lot)]
        exit_ = lot.exits[command.exit]
        view = CommandView(
            command_id=command.command_id,
            verb=command.verb.value,
            state=CommandState.COMMANDED,
            at=self._clock(),
            actor=command.actor,
        )
        self._board.command(_exit_key(command), view)
        worker = self._workers[(lot.lot, exit_.device)]
        worker.submit(Urgency.BY_HAND, lambda: self._carry_out(command, lot, exit_, view))
        return CommandReply(accepted=True)

    def _carry_out(self, command: Command, lot: LotMachines, exit_: ExitTable, view: CommandView) -> None:
        def intend(intent: bytes, _counter: int | None) -> None:
            self._keep(command, view, intent)

        try:
            outcome: Outcome | DaikoError = lot.by_hand(command.verb, exit_, f"HAND-{command.command_id[:8]}", intend)
        except DaikoError as error:
            outcome = error
        except Exception:
            log.exception("bug in the driver of %s", exit_.device)
            outcome = NotSent(Code.BUG, "a defect of the driver; see the bridge's log")
        state, code, detail = _judge(outcome, lot, command.verb)
        after = replace(view, state=state, at=self._clock(), code=code, detail=detail)
        self._board.command(_exit_key(command), after)
        self._keep(command, after, b"")
        log.info("%s of %s by hand: %s %s", command.verb.value, command.exit, state.value, detail)

    def _keep(self, command: Command, view: CommandView, intent: bytes) -> None:
        """Journal an order as it stands; or, if that is impossible, write it to the fallback log."""

        def write(tx: Transaction) -> None:
            lot = LotId(command.lot)
            tx.put_command(lot, command.exit, view, intent)
            stay = command.stay.key if command.stay else ""
            tx.note(
                lot,
                stay,
                view.at,
                command.actor,
                f"{view.verb}_{view.state.value}",
                f"{command.exit}: {command.reason}",
            )
            if view.state is not CommandState.COMMANDED:
                self._core.report(tx, lot, _override(command, view))

        try:
            self._core.write(write, JOURNAL_SECONDS)
        except DaikoError as error:
            log.error("an order by hand goes to %s: %s", self._fallback, error)
            line = {"lot": command.lot, "exit": command.exit, "verb": view.verb, "state": view.state.value}
            line |= {"actor": command.actor, "reason": command.reason, "at": view.at.isoformat()}
            line |= {"command_id": command.command_id, "intent": intent.hex()}
            self._append(json.dumps(line, ensure_ascii=False))

    def _append(self, line: str) -> None:
        try:
            with self._fallback.open("a", encoding="utf-8") as log_file:
                log_file.write(line + "\n")
                log_file.flush()
                os.fsync(log_file.fileno())
        except OSError as error:
            log.critical("the fallback log cannot be written either (%s): %s", error, line)


def _judge(outcome: Outcome | DaikoError, lot: LotMachines, verb: Verb) -> tuple[CommandState, str, str]:
    if isinstance(outcome, Applied):
        proof = "; ".join(evidence.text for evidence in outcome.evidence)
        if outcome.level >= lot.done_level(verb):
            return CommandState.CONFIRMED, "", proof
        return CommandState.NOT_CONFIRMED, Code.NOT_OBSERVED, proof
    if isinstance(outcome, Refused | NotSent | Environment):
        return CommandState.REFUSED, outcome.code, outcome.detail
    return CommandState.NOT_CONFIRMED, outcome.code, outcome.detail


def _override(command: Command, view: CommandView) -> Override:
    return Override(
        command_id=command.command_id,
        verb=command.verb.value,
        exit=command.exit,
        actor=command.actor,
        reason=command.reason,
        at=view.at,
        stay=command.stay,
        outcome=view.state.value,
    )


def _exit_key(command: Command) -> str:
    return f"{command.lot}/{command.exit}"


def _no(code: Code, detail: str) -> CommandReply:
    return CommandReply(accepted=False, code=code, detail=detail)
