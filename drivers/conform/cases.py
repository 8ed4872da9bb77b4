"""The cases of the suite, each a mishap and what must hold whatever it leads to (docs/conformance.md)."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from drivers import base
from drivers.conform.bench import Bench
from drivers.conform.doomed import Doomed, Will
from drivers.conform.identity import named
from drivers.conform.judge import Act, broken, well_done
from drivers.conform.subject import Part
from drivers.conform.wire import Splice
from drivers.conform.words import Words, quoting, told, witnessed
from parking.desk import Position
from parking.errors import NotSent
from parking.stay import StayRef, normalise

SILENCE: Final = {Part.DESK: 3.0, Part.EXIT: 1.5, Part.HOST: 1.5}
"""Seconds of silence: more than those put up with that poll us, and than an answer of the others may take."""
LAST_WORDS: Final = 0.3
"""Seconds for which a killed bridge lives on after its intent, at most."""


class Skip(Exception):
    """The case does not apply; `why` says so."""

    def __init__(self, why: Words) -> None:
        super().__init__(why.en)
        self.why = why


Found = tuple[tuple[Words, ...], Words]
"""What is broken, and what happened in words."""


@dataclass(frozen=True, slots=True)
class Case:
    """One case: `run` raises Skip, NotReadyError or DaikoError."""

    title: Mapping[str, str]
    run: Callable[[Bench], Found]


def identify(bench: Bench) -> Found:
    """It can be read, and says who it is if it can."""
    bench.answers()
    bench.harness.driver.close()
    identity = named(bench.subject.device)
    bench.answers()
    return (), identity.words


def normal(bench: Bench) -> Found:
    """A payment without mishaps."""
    act = bench.act(bench.ready())
    return (*broken(act), *well_done(act)), told(act.outcome)


def again(bench: Bench) -> Found:
    """The same order a second time, as a relay that lost its memory might give it."""
    if bench.subject.part is Part.EXIT:
        raise Skip(Words("ブリッジは開放を2度指示しない", "the bridge never gives a release twice"))
    stay = bench.ready()
    reference = bench.reference()
    first = bench.act(stay, reference=reference)
    second = bench.act(stay, reference=reference)
    total = first.taken + second.taken
    acted = Words(f"2回実行: {first.wanted} のところ {total}", f"acted twice: {total} of {first.wanted}")
    twice = (acted,) if total > first.wanted else ()
    one, other = told(first.outcome), told(second.outcome)
    return (*broken(first), *twice), quoting(f"{one.ja}。2度目: {other.ja}", f"{one.en}; then {other.en}", one, other)


def lost_request(bench: Bench) -> Found:
    """The command is lost."""
    wire = _line(bench)

    def lose() -> None:
        wire.mishaps.lose_up = 1

    return _disturbed(bench, lose)


def lost_reply(bench: Bench) -> Found:
    """The machine acts, its answer is lost."""
    wire = _line(bench)

    def lose() -> None:
        wire.mishaps.lose_down = 1

    return _disturbed(bench, lose)


def duplicate(bench: Bench) -> Found:
    """The answer comes twice."""
    wire = _line(bench)

    def double() -> None:
        wire.mishaps.twice_down = 1

    return _disturbed(bench, double)


def garbage(bench: Bench) -> Found:
    """Noise before every word, both ways, while it acts."""
    wire = _line(bench)

    def hiss() -> None:
        wire.mishaps.noise = True

    return _disturbed(bench, hiss)


def slow_line(bench: Bench) -> Found:
    """Byte by byte. It is done as if nothing were."""
    wire = _line(bench)
    wire.mishaps.slow = True
    act = bench.act(bench.ready())
    return (*broken(act), *well_done(act)), told(act.outcome)


def silence(bench: Bench) -> Found:
    """A silence longer than the machine's patience, right after a payment; then another customer."""
    wire = _line(bench)
    stay = bench.ready()
    reference = bench.reference()
    before = bench.before(reference)
    first = bench.act(stay, reference=reference)
    wire.mishaps.deaf = True
    time.sleep(SILENCE[bench.subject.part])
    wire.mishaps.deaf = False
    bench.answers()
    later = bench.count(first.outcome, stay, reference, before, first.wanted)
    bench.tidy()
    second = bench.act(bench.ready())
    found = (*broken(first), *broken(later), *broken(second), *well_done(second))
    one, other = told(first.outcome), told(second.outcome)
    return found, quoting(f"{one.ja}。沈黙の後: {other.ja}", f"{one.en}; after the silence: {other.en}", one, other)


def peer_restart(bench: Bench) -> Found:
    """The machine loses its power while it acts."""
    if not bench.lot.simulated:
        bench.lot.restart(bench.subject)
        act = bench.act(bench.ready())
        said = told(act.outcome)
        told_after = quoting(f"再起動の後: {said.ja}", f"after its restart: {said.en}", said)
        return (*broken(act), *well_done(act)), told_after
    thread = threading.Thread(target=bench.lot.restart, args=(bench.subject,))
    found = _disturbed(bench, thread.start)
    if thread.ident is not None:
        thread.join()
    return found


def killed(bench: Bench) -> Found:
    """The bridge is killed when the command is about to leave, or has left; a new one asks what became of it."""
    bench.idle()
    bench.harness.driver.close()
    reference = bench.reference()
    subject = bench.subject
    will = Will(
        part=subject.part,
        device=subject.device,
        exits=subject.exits,
        names=subject.names,
        seconds=subject.seconds,
        reference=reference,
        exit=subject.exit,
    )
    before = bench.before(reference)
    with Doomed(will) as bridge:
        name = bench.customer()
        worth = bridge.act(name, bench.lot.price(subject))
        time.sleep(LAST_WORDS * bench.dice.random())
    bench.harness.anew()
    bench.answers()
    stay = None if subject.exit is not None else StayRef(subject.names, normalise(subject.names, name or "1"))
    act = bench.count(base.Uncertain("the bridge was killed"), stay, reference, before, worth)
    return broken(act), _in_words(act)


def late_approval(bench: Bench) -> Found:
    """The customer takes the ticket back; the phone pays a moment later."""
    if bench.subject.part is not Part.DESK:
        raise Skip(Words("取り消しの無い機器", "nobody cancels there"))
    stay = bench.ready()
    bench.lot.cancel(bench.subject)
    act = bench.act(stay)
    done = (Words("誰もいないのに支払われた", "paid for nobody"),) if isinstance(act.outcome, base.Applied) else ()
    return (*broken(act), *done), told(act.outcome)


UNSEEN: Final = Words(
    "ほかの人が出口を開けたことを機器が示さない", "the device does not show that its exit was opened by somebody else"
)


def cash_race(bench: Bench) -> Found:
    """Somebody pays at the machine before the phone's payment arrives."""
    if bench.subject.part is Part.EXIT and bench.harness.position is Position.UNKNOWN:
        raise Skip(UNSEEN)  # before a person has to do anything for it
    stay = bench.ready()
    bench.cash()
    if stay is None and not bench.opened():
        raise Skip(UNSEEN)
    act = bench.act(stay)
    late = Words("ほかの人が支払い済みなのに実行", "acted although somebody else had paid")
    done = (late,) if isinstance(act.outcome, base.Applied) else ()
    return (*broken(act), *done), told(act.outcome)


def unreachable(bench: Bench) -> Found:
    """The line is broken before the command: nothing was sent, and that is said at once."""
    wire = _line(bench)
    stay = bench.ready()
    worth = bench.worth(stay)
    wire.cut()
    time.sleep(0.2)
    act = bench.act(stay, worth=worth)
    sure = isinstance(act.outcome, NotSent | base.Refused) or not isinstance(act.outcome, base.Applied | base.Uncertain)
    wire.mend()
    bench.answers()
    said = told(act.outcome)
    doubt = quoting(f"何も送れないはずなのに: {said.ja}", f"nothing can have left, but it says {said.en}", said)
    return (*broken(act), *(() if sure else (doubt,))), said


def _line(bench: Bench) -> Splice:
    if bench.wire is None:
        raise Skip(Words("妨害できる回線が無い", "there is no line that could be disturbed here"))
    return bench.wire


def _disturbed(bench: Bench, mishap: Callable[[], None]) -> Found:
    """One act with a mishap at its first byte; whatever comes of it, the machine must answer again afterwards."""
    act = bench.act(bench.ready(), mishap)
    if bench.wire is not None:
        bench.wire.mishaps = type(bench.wire.mishaps)()
    bench.answers()
    return broken(act), _in_words(act)


def _in_words(act: Act) -> Words:
    said, taken, wanted = told(act.outcome), act.taken, act.wanted
    ja, en = f"{said.ja}。機器の記録は {wanted} のうち {taken}", f"{said.en}; the machine counts {taken} of {wanted}"
    if act.testimony is None:
        return quoting(ja, en, said)
    witness = witnessed(act.testimony)
    return quoting(f"{ja}。照会: {witness.ja}", f"{en}; the witness says: {witness.en}", said)


CASES: Final[Mapping[str, Case]] = MappingProxyType(
    {
        "identify": Case({"ja": "機器の確認", "en": "Identify"}, identify),
        "normal": Case({"ja": "通常の支払い", "en": "Normal payment"}, normal),
        "again": Case({"ja": "同じ指示の繰り返し", "en": "The same order again"}, again),
        "lost-request": Case({"ja": "指示が届かない", "en": "Request lost"}, lost_request),
        "lost-reply": Case({"ja": "応答が届かない", "en": "Reply lost"}, lost_reply),
        "duplicate": Case({"ja": "応答が二重に届く", "en": "Reply twice"}, duplicate),
        "garbage": Case({"ja": "雑音", "en": "Garbage on the line"}, garbage),
        "slow-line": Case({"ja": "1バイトずつ届く遅い回線", "en": "Slow line, byte by byte"}, slow_line),
        "silence": Case({"ja": "相手が待ちきれない沈黙", "en": "Silence longer than the peer's patience"}, silence),
        "peer-restart": Case({"ja": "機器の再起動", "en": "Peer restarted"}, peer_restart),
        "killed": Case({"ja": "指示の直後にブリッジが停止", "en": "Bridge killed after the write"}, killed),
        "late-approval": Case({"ja": "取消後に届いた支払い", "en": "Late approval after cancel"}, late_approval),
        "cash-race": Case({"ja": "現金との競合", "en": "Cash race"}, cash_race),
        "unreachable": Case({"ja": "回線の断線", "en": "Line broken before the command"}, unreachable),
    }
)
