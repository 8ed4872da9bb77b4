"""May this order be carried out by who has signed in? Pure.

An emergency opening is never refused; what it may not do without a session is move money (see `bare`).
"""

from dataclasses import dataclass
from typing import Final

from msgspec.structs import replace

from parking.commands import Command, OperatorRole, Verb
from parking.errors import Code
from parking.reports import Whose

RANKS: Final = tuple(OperatorRole)
"""From least to most."""

OPENING: Final = (Verb.RELEASE, Verb.HOLD_OPEN)
NOT_SIGNED_IN: Final = "(not signed in)"


@dataclass(frozen=True, slots=True)
class Person:
    """Who has signed in, with the role that they have now."""

    name: str
    role: OperatorRole

    def at_least(self, role: OperatorRole) -> bool:
        """Whether this person may all that `role` may."""
        return RANKS.index(self.role) >= RANKS.index(role)


@dataclass(frozen=True, slots=True)
class Stake:
    """What an order is about: yen of the payment or claim that it decides on; whether it undoes a settled payment."""

    amount: int = 0
    settled: bool = False


@dataclass(frozen=True, slots=True)
class Denied:
    """Why not: a stable code, and words."""

    code: Code
    detail: str


def is_emergency(command: Command) -> bool:
    """Whether this opens in an emergency; nothing else is one, whatever it says of itself."""
    return command.emergency and command.verb in OPENING


def moves_money(command: Command) -> bool:
    """Whether the order decides what becomes of a payment, beyond letting its car out."""
    return command.give_back or command.claim is not None or command.verb is Verb.RESOLVE


def permit(
    command: Command, first: Person | None, second: Person | None, stake: Stake, two_persons_above: int
) -> Denied | None:
    """None if the order may be carried out. `second` is who else has signed in for it."""
    if is_emergency(command):
        return None
    high = moves_money(command) and stake.amount > two_persons_above
    denied = may(first, OperatorRole.SUPERVISOR if high else _needed(command, stake))
    if denied is not None or not high or first is None:
        return denied
    if second is None or second.name == first.name:
        return Denied(Code.SECOND_PERSON, f"above {two_persons_above:,} yen a second person must sign in as well")
    if not second.at_least(OperatorRole.SUPERVISOR):
        return Denied(Code.SECOND_PERSON, f"the second person must be a supervisor, {second.name} is {second.role}")
    return None


def may(person: Person | None, role: OperatorRole) -> Denied | None:
    """Whether somebody has signed in, with this role or a higher one."""
    if person is None:
        return Denied(Code.SIGN_IN, "nobody has signed in, or the session has ended")
    if not person.at_least(role):
        return Denied(Code.ROLE, f"this needs the role {role}; {person.name} is {person.role}")
    return None


def bare(command: Command, person: Person | None) -> Command:
    """An emergency opening as it is carried out: it opens at once and moves no money.

    Unless an attendant or more gave it, for a stay and nothing else, it is to be said later for whom it was.
    """
    if person is None:
        command = replace(command, actor=f"{command.actor.strip()} {NOT_SIGNED_IN}".strip())
    elif person.at_least(OperatorRole.ATTENDANT) and not moves_money(command):
        return command
    return replace(
        command,
        whose=Whose.NOBODY if command.whose is Whose.NOBODY else Whose.LATER,
        stay=None,
        case=0,
        give_back=False,
        claim=None,
    )


def _needed(command: Command, stake: Stake) -> OperatorRole:
    if command.claim is not None or (command.give_back and stake.settled):
        return OperatorRole.SUPERVISOR
    return OperatorRole.ATTENDANT
