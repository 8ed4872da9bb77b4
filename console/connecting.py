"""What the wizard that connects a machine knows and decides. Pure, no Qt.

Events bring its state forward, and the state says which tool is to run.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

from console.address import address_of
from console.toolbox import (
    Answer,
    Asking,
    Failure,
    FamilyRow,
    FindingRow,
    PortRow,
    Trouble,
    asking,
    read,
)

FAMILY_SECONDS: Final = 10
"""How long each family may try. Some only listen, and a machine may take as long as this to say something."""

LIST_PATIENCE: Final = 20.0
PROBE_PATIENCE: Final = FAMILY_SECONDS + 10.0
"""Seconds without a word after which a tool is given up. A port may hang in the kernel."""


class Job(StrEnum):
    """Which tool runs."""

    FAMILIES = "families"
    PORTS = "ports"
    PROBE = "probe"


_ROWS: Final[Mapping[Job, type[Any]]] = {Job.FAMILIES: FamilyRow, Job.PORTS: PortRow, Job.PROBE: FindingRow}


@dataclass(frozen=True, slots=True)
class Refresh:
    """Look for ports, anew."""


@dataclass(frozen=True, slots=True)
class Choose:
    """A port of the list."""

    url: str


@dataclass(frozen=True, slots=True)
class Type:
    """The address field as it stands now."""

    text: str


@dataclass(frozen=True, slots=True)
class Turn:
    """To the address field, or to the list of ports."""

    by_address: bool


@dataclass(frozen=True, slots=True)
class Narrow:
    """Ask as this family alone; "" as each that could speak there."""

    family: str


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask what answers there."""


@dataclass(frozen=True, slots=True)
class Told:
    """A tool wrote a line on its standard error."""

    line: str


@dataclass(frozen=True, slots=True)
class Failed:
    """A tool did not come to its end by itself."""

    failure: Failure
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Stop:
    """End the tool that runs, and forget what was found."""


Event = Refresh | Choose | Type | Turn | Narrow | Ask | Told | Answer | Failed | Stop


@dataclass(frozen=True, slots=True)
class State:
    """`job` is the tool that is to run; `trouble` why the last one gave nothing; `findings` what the probe said."""

    job: Job | None = None
    families: tuple[FamilyRow, ...] = ()
    ports: tuple[PortRow, ...] | None = None
    chosen: str = ""
    by_address: bool = False
    typed: str = ""
    family: str = ""
    asking: Asking | None = None
    findings: tuple[FindingRow, ...] | None = None
    trouble: Trouble | None = None

    @property
    def port(self) -> PortRow | None:
        """The port that is chosen, also by typing one of its names."""
        if not self.by_address:
            return next((row for row in self.ports or () if row.url == self.chosen), None)
        typed = address_of(self.typed)[0]
        return next((row for row in self.ports or () if typed in (row.url, row.stable)), None) if typed else None

    @property
    def obstacle(self) -> str:
        """Why nothing can be asked yet: the last part of a text's key; "" if it can."""
        port = self.port
        if port is not None:
            return _in_the_way(port)
        if not self.by_address:
            return "port.none" if self.ports == () else "port.choose"
        problem = address_of(self.typed)[1]
        return f"address.{problem}" if problem else ""

    @property
    def url(self) -> str:
        """Where to ask; "" while there is an obstacle."""
        if self.obstacle:
            return ""
        return self.port.address if self.port is not None else address_of(self.typed)[0]

    @property
    def ready(self) -> bool:
        """Whether one may ask now. No port is asked before it is known who has it."""
        return self.job is None and bool(self.families and self.url) and (self.ports is not None or "://" in self.url)

    @property
    def fitting(self) -> tuple[FamilyRow, ...]:
        """The families that could speak there."""
        scheme = self.url.partition("://")[0].lower() if "://" in self.url else ""
        return tuple(row for row in self.families if scheme in row.schemes)

    @property
    def found(self) -> FindingRow | None:
        """What answered."""
        return next((row for row in self.findings or () if row.answered), None)

    @property
    def words(self) -> tuple[str, ...]:
        """The command line of the tool that is to run, behind `python -m drivers`."""
        if self.job is not Job.PROBE:
            return (self.job, "--json") if self.job else ()
        family = ("--family", self.family) if self.family else ()
        return ("probe", self.url, *family, "--seconds", str(FAMILY_SECONDS), "--json")

    @property
    def patience(self) -> float:
        """Seconds without a word after which that tool is given up."""
        return PROBE_PATIENCE if self.job is Job.PROBE else LIST_PATIENCE


def advance(state: State, event: Event) -> State:
    """The state after an event. What comes when it makes no sense changes nothing."""
    match event:
        case Choose() | Type() | Turn() | Narrow() if state.job is not Job.PROBE:
            return replace(_chosen(state, event), findings=None)
        case Refresh() if state.job is None:
            job = Job.PORTS if state.families else Job.FAMILIES
            return replace(state, job=job, trouble=None, findings=None)
        case Ask() if state.ready:
            return replace(state, job=Job.PROBE, asking=None, trouble=None, findings=None)
        case Told(line) if state.job is Job.PROBE:
            return replace(state, asking=asking(line) or state.asking)
        case Stop():
            return replace(state, job=None, asking=None, trouble=None, findings=None)
        case Failed(failure, detail) if state.job:
            return replace(state, job=None, asking=None, trouble=Trouble(failure, detail=detail))
        case Answer() if state.job:
            return _answered(replace(state, job=None, asking=None), state.job, event)
    return state


def _chosen(state: State, event: Choose | Type | Turn | Narrow) -> State:
    match event:
        case Choose(url):
            return replace(state, chosen=url, by_address=False, family="")
        case Type(text):
            return replace(state, typed=text, by_address=True, family="")
        case Turn(by_address):
            return replace(state, by_address=by_address, family="")
        case Narrow(family):
            known = any(row.family == family for row in state.fitting)
            return replace(state, family=family if known else "")


def _answered(state: State, job: Job, answer: Answer) -> State:
    rows: tuple[Any, ...] | Trouble = read(answer, _ROWS[job])
    if isinstance(rows, Trouble):
        return replace(state, trouble=rows)
    match job:
        case Job.FAMILIES:
            return replace(state, families=rows, job=Job.PORTS)
        case Job.PORTS:
            still = any(row.url == state.chosen for row in rows)
            only = rows[0].url if len(rows) == 1 else ""
            return replace(state, ports=rows, chosen=state.chosen if still else only)
        case Job.PROBE:
            return replace(state, findings=rows)


def _in_the_way(port: PortRow) -> str:
    if port.held_by:
        return "port.bridge" if port.by_bridge else "port.held"
    if port.hint:
        return "port.forbidden" if port.group else "port.no_group"
    return ""
