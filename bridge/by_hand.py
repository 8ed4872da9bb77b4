"""Carries orders by hand out on the port's thread, and keeps what came of them.

The order of things: the intent is kept, the bytes go out, the outcome is kept; then the stay's phone payment follows.
What the journal does not take within a second goes to the fallback log, and the exit opens all the same (P8).
"""

import logging
from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Final

from msgspec.structs import replace

from bridge import crash_points, events, overrides
from bridge.board import Board
from bridge.case import Case
from bridge.core import Core
from bridge.exit_log import LINGER, Turn
from bridge.fallback import FallbackLog, Line
from bridge.journal import Journal, Transaction
from bridge.machines import LotMachines
from bridge.messages import ForCase, HandActed
from drivers.base import Applied, Outcome, Refused
from drivers.profile import ExitTable
from parking.commands import Command, Verb
from parking.desk import CommandState, CommandView
from parking.errors import Code, DaikoError, Environment, NotSent
from parking.reports import Claim
from parking.stay import LotId

log = logging.getLogger(__name__)

JOURNAL_SECONDS: Final = 1.0
"""How long an order by hand waits for the journal before it goes to the fallback log."""

IMPORT_SECONDS: Final = 10.0

Write = Callable[[Transaction], None]


class ByHand:
    """What happens to an order once it is taken on."""

    def __init__(
        self, *, core: Core, journal: Journal, board: Board, clock: Callable[[], datetime], fallback: FallbackLog
    ) -> None:
        self._core, self._journal, self._board, self._clock = core, journal, board, clock
        self._fallback = fallback
        self._given_up: set[str] = set()
        self._begun: set[str] = set()

    def carry_out(
        self, command: Command, lot: LotMachines, exit_: ExitTable, view: CommandView, claim: Claim | None
    ) -> None:
        """Have the device act and keep the outcome; runs on the thread of the device's port. Never raises."""
        command = replace(command, session="", second="")  # who is signed in is nothing to keep
        self._begun.add(command.command_id)
        where = (command.lot, command.exit)
        turn = Turn(command.command_id, 0, view.at, view.at + LINGER, None)

        def intend(intent: bytes, _counter: int | None) -> None:
            if command.command_id in self._given_up:
                raise NotSent(Code.PORT_HUNG, "the port came back too late: another car may stand there by now")
            self._core.put(HandActed(where, turn))
            self._keep(Line(command=command, view=view, intent=intent, claim=claim))

        try:
            outcome: Outcome | DaikoError = lot.by_hand(command.verb, exit_, f"HAND-{command.command_id[:8]}", intend)
        except DaikoError as error:
            outcome = error
        except Exception:
            log.exception("bug in the driver of %s", exit_.device)
            outcome = NotSent(Code.BUG, "a defect of the driver; see the bridge's log")
        state, code, detail = _judge(outcome, lot, command.verb)
        after = replace(view, state=state, at=self._clock(), code=code, detail=detail)
        self._board.command(f"{command.lot}/{command.exit}", after)
        self._core.put(HandActed(where, _over(turn, after)))
        self._end(command, after, claim)
        log.info("%s of %s by hand: %s %s", command.verb.value, command.exit, state.value, detail)

    def withdrawn(self, command: Command, view: CommandView, code: Code, detail: str, claim: Claim | None) -> None:
        """The order was never begun; certainly nothing was sent."""
        after = replace(view, state=CommandState.REFUSED, at=self._clock(), code=code, detail=detail)
        self._board.command(f"{command.lot}/{command.exit}", after)
        self._end(command, after, claim)

    def stuck(self, command: Command, view: CommandView) -> None:
        """The port hangs in the midst of it: nobody knows. If it comes back before the first byte, nothing is sent."""
        self._given_up.add(command.command_id)
        detail = "the port hangs: look at the exit, and open it with its own key"
        shown = replace(view, state=CommandState.NOT_CONFIRMED, at=self._clock(), code=Code.PORT_HUNG, detail=detail)
        self._board.command(f"{command.lot}/{command.exit}", shown)

    def bring_in(self, *, running: bool = True) -> int:
        """Import the fallback log, if there is one; how many lines. Raises DaikoError if the journal is still dead.

        Before the core is `running` it goes straight into the journal, so that what was opened by hand in a former run
        is known before any of its payments is taken up again.
        """
        if not self._fallback.waiting:
            return 0
        commit = self._through_core if running else self._directly
        return self._fallback.bring_in(lambda line: self._bring_in(line, commit), self._clock())

    def end_interrupted(self) -> None:
        """Orders of a former run that were begun and have no outcome: nobody knows whether their exit moved.

        After `bring_in`, which may hold the outcome. Goes straight into the journal, as that does. Raises DaikoError.
        """
        for line in self._journal.under_way():
            command = line.command
            if command.command_id in self._begun:
                continue  # of this run: it is still to come
            detail = "the bridge stopped in the midst of it: look at the exit"
            after = replace(line.view, state=CommandState.NOT_CONFIRMED, code=Code.INTERRUPTED, detail=detail)
            case = self.payment_of(command)
            whole = replace(line, view=after, number=case.number if case else 0)
            self._directly(partial(self._write, line=whole))
            self._board.command(f"{command.lot}/{command.exit}", after)
            self.follow(command, after, case)
            log.warning("%s of %s by hand: %s", command.verb.value, command.exit, detail)

    def _through_core(self, write: Write) -> None:
        self._core.write(write, IMPORT_SECONDS)

    def _directly(self, write: Write) -> None:
        with self._journal.transaction() as tx:
            write(tx)
            crash_points.here("byhand.directly.before-commit")
        crash_points.here("byhand.directly.after-commit")

    def kept_aside(self) -> list[str]:
        """The ids of orders of a former run that the journal does not know yet."""
        return self._fallback.command_ids()

    def payment_of(self, command: Command) -> Case | None:
        """The phone payment that an order is about. Raises Environment if the journal cannot be read."""
        if command.stay is None:
            return None
        cases = self._journal.cases_of(LotId(command.lot), command.stay)
        return overrides.payment_of(command, cases)

    def _end(self, command: Command, view: CommandView, claim: Claim | None) -> None:
        try:
            case = self.payment_of(command)
        except Environment:
            case = None
        self._keep(Line(command=command, view=view, number=case.number if case else 0, claim=claim))
        self.follow(command, view, case or self._meanwhile(command))

    def _meanwhile(self, command: Command) -> Case | None:
        """A payment that came while the order was being kept: it did not see the opening, so it must be told."""
        try:
            return self.payment_of(command)
        except Environment:
            return None  # it is read again when the fallback log is brought in

    def follow(self, command: Command, view: CommandView, case: Case | None) -> None:
        """What was opened for a stay ends its payment; for whom it was and is not said, stays on the list."""
        row = overrides.orphan(command, view)
        if row is not None:
            self._board.unmatched(row)
        opened = overrides.opened(view) and command.verb in overrides.OPENING
        if opened and case is not None and not case.over:
            confirmed = view.state is CommandState.CONFIRMED
            told = events.Overridden(command.actor, command.reason, command.give_back, confirmed)
            self._core.put(ForCase(case.key, told))

    def _keep(self, line: Line) -> None:
        """Journal an order as it stands; or, if that is impossible, write it to the fallback log."""
        try:
            self._core.write(lambda tx: self._write(tx, line), JOURNAL_SECONDS)
        except DaikoError as error:
            log.error("an order by hand goes to %s: %s", self._fallback.path, error)
            self._fallback.append(line)

    def _bring_in(self, line: Line, commit: Callable[[Write], None]) -> None:
        known = self._journal.command(line.command.command_id)
        if known is not None and (known.state is line.view.state or known.state is not CommandState.COMMANDED):
            return
        case = self.payment_of(line.command)  # the dead journal could not be asked
        whole = replace(line, number=case.number if case else 0)
        commit(lambda tx: self._write(tx, whole))
        self.follow(line.command, line.view, case)

    def _write(self, tx: Transaction, line: Line) -> None:
        command, view = line.command, line.view
        lot, stay = LotId(command.lot), command.stay.key if command.stay else ""
        under_way = view.state is CommandState.COMMANDED
        tx.put_command(lot, command.exit, view, line.intent, replace(line, intent=b"") if under_way else None)
        said = f"{command.exit}: {command.reason}"
        tx.note(lot, stay, view.at, command.actor, f"{view.verb}_{view.state.value}", said)
        if under_way:
            return
        self._core.report(tx, lot, overrides.report(command, view, line.number, line.claim))
        if line.claim is not None and not overrides.opened(view):
            tx.put_claim(command.command_id, lot, "", 0)
        row, opening = overrides.orphan(command, view), overrides.opening(command, view)
        if row is not None:
            tx.put_override(row)
        if opening is not None:
            tx.put_opening(opening)


def _over(turn: Turn, view: CommandView) -> Turn:
    acted = _ACTED.get(view.state)
    return Turn(turn.who, 0, turn.at, turn.until if acted is None else view.at, acted)


_ACTED: Final = {CommandState.CONFIRMED: True, CommandState.REFUSED: False}
"""Whether an exit moved on an order by hand; what is not in here is not known."""


def _judge(outcome: Outcome | DaikoError, lot: LotMachines, verb: Verb) -> tuple[CommandState, str, str]:
    if isinstance(outcome, Applied):
        proof = "; ".join(evidence.text for evidence in outcome.evidence)
        if outcome.level >= lot.done_level(verb):
            return CommandState.CONFIRMED, "", proof
        return CommandState.NOT_CONFIRMED, Code.NOT_OBSERVED, proof
    if isinstance(outcome, Refused | NotSent | Environment):
        return CommandState.REFUSED, outcome.code, outcome.detail
    return CommandState.NOT_CONFIRMED, outcome.code, outcome.detail
