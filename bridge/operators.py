"""The operators of this bridge: who may sign in, with which role. One owner-only file in the data directory.

The command line changes the file while the bridge runs; the bridge looks at it before each order. A file that cannot be
read, or is gone although PINs were given, lets nobody sign in: it must not open the door again.
"""

import unicodedata
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Final

import msgspec
from msgspec.structs import replace

from bridge import owner_files
from bridge.audit import RELAY
from parking import wire
from parking.commands import OperatorRole
from parking.errors import BadMessage, Code, DaikoError, Environment, Refused
from parking.wire import Message, Moment, Part

FILE: Final = "operators.json"
MOST_NAME: Final = 40


class Operator(Part, frozen=True, kw_only=True):
    """One person; `changed` is when PIN or role were last given: sessions from before are over."""

    name: str
    role: OperatorRole
    pin: str
    changed: Moment


class Roster(Message, frozen=True, kw_only=True):
    """The file."""

    operators: tuple[Operator, ...] = ()

    def find(self, name: str) -> Operator | None:
        """The operator of this name."""
        return next((one for one in self.operators if one.name == name), None)


class Door(StrEnum):
    """Whether orders need a PIN."""

    OPEN = "open"
    """Nobody has ever been given one: orders carry the name that was typed."""
    GUARDED = "guarded"
    SHUT = "shut"
    """The file is unreadable or gone: nobody can sign in, emergencies excepted."""


@dataclass(frozen=True, slots=True)
class Staff:
    """What is known of the operators now; `problem` says why the door is shut."""

    door: Door
    roster: Roster
    problem: str = ""


def fold_name(name: str) -> str:
    """A name in its one spelling. Raises BadMessage(BAD_NAME): empty, too long, with control characters, or `relay`."""
    folded = " ".join(unicodedata.normalize("NFKC", name).split())
    if not folded or len(folded) > MOST_NAME or not folded.isprintable() or folded.lower() == RELAY:
        raise BadMessage(Code.BAD_NAME, f"{name[:MOST_NAME]!r} cannot be an operator's name", "take another one")
    return folded


class OperatorFile:
    """The file, read again whenever it has changed. Not thread-safe."""

    def __init__(self, data: Path) -> None:
        """`data` is the bridge's directory."""
        self._path = data / FILE
        self._stamp: tuple[int, ...] | None = None
        self._staff: Staff | None = None

    def staff(self, *, once_given: bool) -> Staff:
        """The operators now; `once_given`: whether a PIN has ever been given here."""
        stamp = self._now()
        if self._staff is None or stamp != self._stamp:
            self._staff, self._stamp = self._read(once_given=once_given), stamp
        return self._staff

    def load(self) -> Roster | None:
        """The file, None if there is none. Raises Environment(CONFIG | DISK)."""
        raw = owner_files.read(self._path)
        if raw is None:
            return None
        try:
            return wire.decode(raw, Roster)
        except BadMessage as error:
            raise Environment(
                Code.CONFIG, f"{self._path}: {error.detail}", "put it back from a backup, or remove it and add all anew"
            ) from error

    def save(self, roster: Roster) -> None:
        """Store the operators. Raises Environment(DISK)."""
        owner_files.replace(self._path, msgspec.json.format(wire.encode(roster), indent=1))

    def _read(self, *, once_given: bool) -> Staff:
        try:
            roster = self.load()
        except DaikoError as error:
            return Staff(Door.SHUT, Roster(), str(error))
        if roster is None and once_given:
            return Staff(Door.SHUT, Roster(), f"{self._path} is gone, although PINs were given: put it back")
        if roster is None or not roster.operators:
            return Staff(Door.OPEN, Roster())
        return Staff(Door.GUARDED, roster)

    def _now(self) -> tuple[int, ...]:
        try:
            status = self._path.stat()
        except OSError as error:
            return (error.errno or 0,)
        return (status.st_mtime_ns, status.st_size, status.st_ino, status.st_mode)


# --- changes ---------------------------------------------------------------------------------------------------------


def add(roster: Roster, name: str, role: OperatorRole, pin: str, now: datetime) -> Roster:
    """With a new operator; `pin` is hashed. Raises Refused(CONFLICT) if the name is taken."""
    if roster.find(name) is not None:
        raise Refused(Code.CONFLICT, f"{name} is an operator already", "use `operator pin` or `operator role`")
    one = Operator(name=name, role=role, pin=pin, changed=now)
    return replace(roster, operators=(*roster.operators, one))


def change(
    roster: Roster, name: str, now: datetime, *, role: OperatorRole | None = None, pin: str | None = None
) -> Roster:
    """With another role or PIN. Raises Refused(NOT_FOUND)."""
    old = _found(roster, name)
    new = replace(old, role=role or old.role, pin=pin or old.pin, changed=now)
    return replace(roster, operators=tuple(new if one is old else one for one in roster.operators))


def remove(roster: Roster, name: str) -> Roster:
    """Without an operator. Raises Refused(NOT_FOUND)."""
    old = _found(roster, name)
    return replace(roster, operators=tuple(one for one in roster.operators if one is not old))


def _found(roster: Roster, name: str) -> Operator:
    one = roster.find(name)
    if one is None:
        raise Refused(Code.NOT_FOUND, f"no operator {name}", "`operator list` shows who there is")
    return one
