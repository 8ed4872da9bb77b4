"""A crash at every step of the bridge's journal, times what the machine makes of it: one effect, one end of the money.

Real bridge processes die at named places (bridge.crash_points) and start again. The places are those before and after
the commit of each message, event and write that the bridge knows, and before and after each report leaves it: a new one
without a trial is found by the last test.
"""

import ast
import itertools
import shutil
import sqlite3
import tempfile
import typing
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from bridge import crash_points, events, messages
from demo.program import ROOT
from parking import reports
from tests.rigs import crash_scenes as scenes
from tests.rigs.crash_scenes import Scene
from tests.rigs.figures import FULL, SEED, count
from tests.rigs.office import Office

OUTCOMES = ("acted", "drop_request_once", "drop_reply_once")
"""Acted and acknowledged; the request was lost; acted, and the reply was lost."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One crash: `wish` is the place, `:2` for the second time that it is passed."""

    scene: type[Scene]
    wish: str
    outcome: str = "acted"

    @property
    def id(self) -> str:
        return f"{self.scene.__name__}-{self.outcome}-{self.wish}"

    @property
    def place(self) -> str:
        return self.wish.partition(":")[0]


def commits(*names: str) -> list[str]:
    """Both sides of a commit; a name may say which time."""
    wishes = [name.partition(":") for name in names]
    return [f"{name}.{when}{nth}{number}" for name, nth, number in wishes for when in ("before-commit", "after-commit")]


def posts(*names: str) -> list[str]:
    """The steps of a report's way out."""
    return [f"{name}.{when}" for name in names for when in ("before-post", "after-post", "forgotten")]


PAYMENT = [*commits("incoming", "intending", "finished"), "act.before-write", "act.after-write"]
SENT = posts("received", "settled")
AT_THE_GATE = [f"{wish}:2" if wish.partition(".")[0] in ("intending", "act", "finished") else wish for wish in PAYMENT]
"""A gated payment passes these twice: booked by the host, then released at the gate."""
ONCE: dict[type[Scene], list[str]] = {
    scenes.Early: [
        *commits("anchor.begin", "lines.prepare", "lotwatch.link", "lookout.keep_time", "bridge.accepted"),
        *commits("lotwatch.case_changed"),
        *posts("audithead", "devicehealth"),
    ],
    scenes.NoCar: posts("refused"),
    scenes.Deaf: commits("nothingsent", "due"),
    scenes.Leaves: commits("left"),
    scenes.OverDoubt: commits("overridden"),
    scenes.Claimed: commits("orders.against_claim"),
    scenes.Assigned: [*commits("orders.assign"), *posts("overridematched")],
    scenes.WrongCode: commits("offline.keep_wrong"),
    scenes.Forged: commits("offline.note_forgery"),
    scenes.Traffic: [*commits("lotwatch.read_stays"), *posts("stayopened", "stayclosed")],
    scenes.Fallback: commits("byhand.directly", "byhand.directly:2"),
    scenes.LateFallback: commits("byhand.bring_in"),
    scenes.ByHandTold: posts("override"),
    scenes.TypedTold: posts("redeemed"),
}
TIMES_OUTCOMES: dict[type[Scene], list[str]] = {
    scenes.Plate: [*PAYMENT, *SENT],
    scenes.Host: [*PAYMENT, *SENT],
    scenes.Gate: [*AT_THE_GATE, *SENT],
    scenes.ByHand: commits("handacted", "byhand.keep", "byhand.keep:2", "handacted:2"),
    scenes.Typed: [*commits("offline.typed", "bycode", "intending", "finished"), "act.before-write", "act.after-write"],
    scenes.Scanned: [*commits("incoming"), "act.before-write", "act.after-write"],
}
DECIDED = [Trial(scenes.Gate, wish, "drop_request_once") for wish in (*commits("decided"), *posts("indoubt"))]
ALL = [
    *(
        Trial(*each)
        for scene, wishes in TIMES_OUTCOMES.items()
        for each in itertools.product([scene], wishes, OUTCOMES)
    ),
    *(Trial(scene, wish) for scene, wishes in ONCE.items() for wish in wishes),
    *DECIDED,
]
CHOSEN = ALL if FULL else ALL[SEED % 41 :: 41]
AGAIN = commits("start", "proof")
"""Places of recovery itself."""
ELSEWHERE = {
    "signon.refuse_try": "signing in goes on without the journal: tests/bridge/test_sign_on.py",
    "signon.begin": "the same",
    "signon.chain": "the same",
    "anchor.anchor": "as at the start, five minutes later",
    "byhand.end_interrupted": "goes straight into the journal: byhand.directly:2",
    "lotday": "no payment hangs on it; told again until it is accepted, like all reports",
    "lotdays.keep": "no payment hangs on it; the next start makes up for a day that was not told",
    "lotdays.read_counter": "the same",
    "bridge.disowned": "the cloud has given the lot to another bridge: it says so again to the next start",
    "lotwatch.recall": "after a dead journal only: tests/bridge/test_broken_disk.py",
}
"""Writes and reports that no trial cuts off, and why."""


@pytest.fixture
def office(stage: Office) -> Iterator[Office]:
    """The stage, left as the next one wants to find it whatever happened."""
    yield stage
    stage.cloud.down = False
    if stage.ended():
        stage.start()
    stage.empty()
    stage.wait("the bridge to know that nobody is there, and the cloud to know all", lambda: quiet(stage))
    stage.kill()


def quiet(stage: Office) -> bool:
    """Whether nothing of this trial is left that the next one could meet."""
    shown = stage.snapshot()
    with closing(sqlite3.connect(f"{(stage.data / 'journal.db').as_uri()}?mode=ro", uri=True)) as journal:
        (waiting,) = journal.execute("select count(*) from reports").fetchone()
    return bool(shown) and not shown["stays"] and not waiting


@pytest.fixture(scope="module")
def stage() -> Iterator[Office]:
    run = Path(tempfile.mkdtemp(prefix="daiko-crash-"))
    made = Office(run)
    made.start()
    made.wait("keys for typed codes", lambda: len(list(made.data.glob("lot-*.keys*"))) >= len(made.lots))
    made.kill()
    yield made
    made.close()
    shutil.rmtree(run)


@pytest.mark.parametrize("trial", CHOSEN, ids=lambda trial: trial.id)
@pytest.mark.timeout(240)
def test_a_crash_anywhere_has_one_effect_and_one_end(office: Office, trial: Trial) -> None:
    crash(office, trial)
    count(f"crash points: {trial.scene.__name__}, places × outcomes")


@pytest.mark.parametrize("second", AGAIN if FULL else AGAIN[SEED % 4 :: 4])
@pytest.mark.timeout(240)
def test_a_second_crash_while_recovering_changes_nothing(office: Office, second: str) -> None:
    crash(office, Trial(scenes.Plate, "act.after-write"), second)
    count("crash points: while recovering from a crash")


def crash(office: Office, trial: Trial, second: str = "") -> None:
    """One crash (and a second one while recovering), and what came of it."""
    scene = trial.scene(office, trial.outcome)
    scene.prepare()
    office.start(DAIKO_CRASH_AT=trial.wish)
    with suppress(OSError, ValueError):  # it died in the midst of an order
        scene.provoke()
    office.wait("the crash", lambda: scene.poke() or office.ended(), scenes.ENDS)
    assert office.wait_end() == crash_points.STATUS, office.tail()
    if second:
        office.start(DAIKO_CRASH_AT=second, ready=False)
        assert office.wait_end(scenes.ENDS) == crash_points.STATUS, office.tail()
    office.start()
    scene.again()
    scene.judge()


# --- whether these are all -------------------------------------------------------------------------------------------


HAVE_WRITTEN = {"Write", "self._core.write", "self._try_to_write", "self._directly", "commit"}


def writes() -> set[str]:
    """What the bridge has written, named as its crash points are: after the method that hands it over."""
    found = set()
    for file in (ROOT / "bridge").rglob("*.py"):
        for owner in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            for method in owner.body if isinstance(owner, ast.ClassDef) and owner.name != "Core" else ():
                found |= {f"{owner.name}.{name}".replace("._", ".").lower() for name in handed_over(method)}
    return found


def handed_over(method: ast.stmt) -> Iterator[str]:
    """A function of its own is named after the method around it, a method after itself; what was given is passed on."""
    local = {node.name for node in ast.walk(method) if isinstance(node, ast.FunctionDef) and node is not method}
    for node in ast.walk(method):
        if not (isinstance(node, ast.Call) and node.args and ast.unparse(node.func) in HAVE_WRITTEN):
            continue
        match node.args[0]:
            case ast.Attribute(attr=name):
                yield name
            case ast.Name(id=name) if name not in local:
                continue
            case _ if isinstance(method, ast.FunctionDef):
                yield method.name


def test_there_is_a_trial_for_every_message_event_report_and_write() -> None:
    wrapped = (messages.ForCase, messages.Write)
    kinds = [one for one in typing.get_args(messages.Message) if one not in wrapped] + [*typing.get_args(events.Event)]
    steps = {kind.__name__.lower() for kind in kinds} | writes() | {"byhand.directly", "lines.prepare"}
    told = {kind.__name__.lower() for kind in typing.get_args(reports.Report)}
    wanted = {*commits(*(steps - set(ELSEWHERE))), *posts(*(told - set(ELSEWHERE)))}
    tried = {trial.place for trial in ALL} | set(AGAIN)
    assert {*wanted, "act.before-write", "act.after-write"} - tried == set()
