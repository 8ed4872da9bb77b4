"""The installer's tool box, `python -m drivers …`: what its tools say, and how they fail. Pure.

The tools are programs of their own (docs/installers-tools.md): the console knows nothing of them but their words.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeVar

import msgspec

from parking.errors import one_line

LARGEST_ANSWER: Final = 1 << 20
"""Bytes. A tool that says more is ended."""

_REFUSED: Final = re.compile(r"drivers: \[([a-z-]+)\] (.*)")
_ASKING: Final = re.compile(r"asking ([a-z0-9_]+) ([0-9]{1,3})/([0-9]{1,3})")
_DONE: Final = (0, 1)
"""Well, and "nothing answered" or "nothing found"."""


class PortRow(msgspec.Struct, frozen=True, kw_only=True):
    """One line of `ports --json`, drivers.ports.SerialPort."""

    url: str
    description: str = ""
    vid_pid: str = ""
    serial_number: str = ""
    stable: str = ""
    held_by: str = ""
    hint: str = ""
    by_bridge: bool = False
    group: str = ""

    @property
    def address(self) -> str:
        """The name that a profile should take: the one that survives replugging, if there is one."""
        return self.stable or self.url


class FamilyRow(msgspec.Struct, frozen=True, kw_only=True):
    """One line of `families --json`: a kind of machine, in words by language, and the schemes that reach it."""

    family: str
    summary: dict[str, str] = {}
    schemes: tuple[str, ...] = ()


class FindingRow(msgspec.Struct, frozen=True, kw_only=True):
    """One line of `probe --json`, drivers.base.Finding."""

    family: str
    answered: bool
    identity: str = ""
    hints: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Asking:
    """Which family the probe asks now: the `at`-th `of` so many."""

    family: str
    at: int
    of: int


class Failure(StrEnum):
    """Why a tool gave nothing."""

    ABSENT = "absent"
    """It is not installed on this computer."""
    NOT_STARTED = "not_started"
    TIMED_OUT = "timed_out"
    UNREADABLE = "unreadable"
    """It said something that is no answer."""
    REFUSED = "refused"
    """It said why it cannot; `code` is an error code of docs/errors.md."""
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Trouble:
    """A failure with its particulars, as far as there are any."""

    failure: Failure
    code: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a tool left behind: exit code, standard output, and standard error."""

    code: int
    out: bytes
    err: str


Row = TypeVar("Row", PortRow, FamilyRow, FindingRow)


def read(answer: Answer, kind: type[Row]) -> tuple[Row, ...] | Trouble:
    """The rows of a tool's `--json`, or why there are none."""
    if answer.code not in _DONE or not answer.out:
        return _trouble(answer.err)
    try:
        return msgspec.json.decode(answer.out, type=tuple[kind, ...])  # type: ignore[valid-type]  # one of three structs
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        return Trouble(Failure.UNREADABLE, detail=one_line(str(error)))


def asking(line: str) -> Asking | None:
    """A line of the probe's standard error, if it tells who is asked."""
    found = _ASKING.fullmatch(line.strip())
    return Asking(found[1], int(found[2]), int(found[3])) if found else None


def _trouble(err: str) -> Trouble:
    lines = [one_line(line.strip()) for line in err.splitlines() if line.strip() and asking(line) is None]
    last = lines[-1] if lines else ""
    if found := next((found for line in lines if (found := _REFUSED.fullmatch(line))), None):
        return Trouble(Failure.REFUSED, found[1], found[2])
    return Trouble(Failure.ABSENT if "No module named" in last else Failure.BROKEN, detail=last)
