"""For whom an exit was opened by hand, and what that does to the stay's phone payment. Pure."""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from bridge.case import Case, Opening
from drivers.profile import LotProfile, Policy, WhenDown
from parking.commands import Command, CommandReply, Verb
from parking.desk import CasePhase, CommandState, CommandView, OverrideView
from parking.errors import Code
from parking.reports import Claim, Override, Whose, day_of
from parking.stay import LotId

OPENING = (Verb.RELEASE, Verb.HOLD_OPEN)
_ONE_WORD: Final = re.compile(r"[a-z0-9_]*:?")
"""A reason from the console's list, without a note."""


def refusal(command: Command) -> CommandReply | None:
    """What is contradictory about for whom an order is; None if nothing."""
    opens = command.verb in (*OPENING, Verb.ASSIGN)
    if opens and command.whose is Whose.STAY and command.stay is None:
        return no(Code.BAD_MESSAGE, "say for which stay it is")
    if command.whose is not Whose.STAY and (command.give_back or command.claim is not None):
        return no(Code.BAD_MESSAGE, "only a stay has a payment or leaves against a claim")
    nobody = command.whose is Whose.NOBODY and command.verb in (Verb.RELEASE, Verb.ASSIGN) and not command.emergency
    if nobody and _ONE_WORD.fullmatch(command.reason.strip()):
        return no(Code.BAD_MESSAGE, "an opening for nobody needs words of its own: what was it for?")
    if command.verb is Verb.ASSIGN and (command.whose is Whose.LATER or not command.override):
        return no(Code.BAD_MESSAGE, "say which opening it was, and for whom")
    if command.claim is not None and command.verb is not Verb.RELEASE:
        return no(Code.BAD_MESSAGE, "only a release can be against a claim")
    return None


def payment_of(command: Command, cases: Sequence[Case]) -> Case | None:
    """The phone payment that an order is about, among all cases of the stay's name: one still open, or the latest."""
    if command.whose is not Whose.STAY or command.stay is None:
        return None
    stay = command.stay
    living = [case for case in cases if case.stay.same_as(stay) and case.phase is not CasePhase.REFUSED]
    named = [case for case in living if case.number == command.case]
    return max(named or living, key=lambda case: (not case.over, case.number), default=None)


def opened(view: CommandView) -> bool:
    """Whether the exit may have opened: a refusal means that certainly nothing moved."""
    return view.state in (CommandState.CONFIRMED, CommandState.NOT_CONFIRMED)


def orphan(command: Command, view: CommandView) -> OverrideView | None:
    """The row that somebody must still match: nobody was named, or it is not known whether the exit opened."""
    if command.verb not in OPENING or not opened(view):
        return None
    if command.whose is not Whose.LATER and view.state is CommandState.CONFIRMED:
        return None
    return OverrideView(
        lot=command.lot,
        command_id=command.command_id,
        exit=command.exit,
        verb=command.verb.value,
        actor=command.actor,
        reason=command.reason,
        at=view.at,
    )


def opening(command: Command, view: CommandView) -> Opening | None:
    """What is remembered for payments of the stay that we have not heard of yet."""
    if command.verb not in OPENING or command.whose is not Whose.STAY or command.stay is None or not opened(view):
        return None
    return Opening(
        command_id=command.command_id,
        lot=LotId(command.lot),
        stay=command.stay,
        actor=command.actor,
        reason=command.reason,
        at=view.at,
        give_back=command.give_back,
        confirmed=view.state is CommandState.CONFIRMED,
    )


def assigned(command: Command, row: OverrideView, number: int) -> Opening | None:
    """The same for an opening of which somebody says only now that it was for a stay; `number` is what it ended."""
    if command.whose is not Whose.STAY or command.stay is None:
        return None
    return Opening(
        command_id=row.command_id,
        lot=LotId(command.lot),
        stay=command.stay,
        actor=command.actor,
        reason=command.reason,
        at=row.at,
        give_back=command.give_back,
        number=number,
    )


def report(command: Command, view: CommandView, number: int, claim: Claim | None) -> Override:
    """What the cloud is told of an order that has come to its end."""
    return Override(
        command_id=command.command_id,
        verb=command.verb.value,
        exit=command.exit,
        actor=command.actor,
        reason=command.reason,
        at=view.at,
        stay=command.stay,
        outcome=view.state.value,
        whose=command.whose,
        number=number,
        give_back=command.give_back and opened(view),
        claim=claim if opened(view) else None,
    )


def claim_refusal(policy: Policy, amount: int, claimed: int) -> CommandReply | None:
    """Whether a car may not leave against a claim: `claimed` yen have left so today already."""
    if policy.when_down is not WhenDown.CLAIM:
        return no(Code.CLAIM_POLICY, f"the lot's policy is {policy.when_down.value!r}, not to let out against claims")
    if claimed + amount > policy.loss_budget:
        return no(Code.BUDGET, f"{claimed:,} of {policy.loss_budget:,} yen have left against claims today")
    return None


def business_day(profile: LotProfile, now: datetime) -> str:
    """The lot's business day, by its own time zone and cut-over hour."""
    return day_of(now, ZoneInfo(profile.lot.time_zone), profile.lot.day_starts).isoformat()


def no(code: Code, detail: str) -> CommandReply:
    """An order that is not taken on."""
    return CommandReply(accepted=False, code=code, detail=detail)
