"""The first time on site: each exit opens once, each machine books once, and somebody sees if it is the right one."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import msgspec

from drivers import base
from drivers.conform.bench import Bench, NotReadyError
from drivers.conform.judge import enough
from drivers.conform.report import Trial
from drivers.conform.sight import Eye
from drivers.conform.subject import Lot, Seen, Subject
from drivers.conform.words import Words, quoting, told
from parking.errors import DaikoError
from parking.outcome import Level
from parking.stay import StayRef

Tell = Callable[[Trial], None]


def singles(subject: Subject) -> tuple[Subject, ...]:
    """A subject as what is tried one after the other: each of its exits, or itself."""
    return tuple(replace(subject, exit=exit_) for exit_ in subject.exits) if subject.exit else (subject,)


def trials(subject: Subject, lot: Lot, folder: Path, tell: Tell) -> tuple[Trial, ...]:
    """Try a subject; at a device with exits each of them in turn. Raises Environment(CONFIG) for bad options."""
    found = []
    for one in singles(subject):
        bench = Bench(one, lot, folder)
        try:
            found.append(_one(bench))
            tell(found[-1])
        finally:
            bench.close()
    return tuple(found)


def _one(bench: Bench) -> Trial:
    if (blind := _blind(bench.harness.eye)) is not None:
        return _wrong(bench, blind)  # before a person has to do anything for it
    try:
        trial = _trial(bench)
    except NotReadyError as late:
        trial = _wrong(bench, late.what)
    except DaikoError as error:
        trial = _wrong(bench, told(error))
    try:
        bench.tidy()
    except DaikoError as error:
        return msgspec.structs.replace(trial, right=False, broken=(*trial.broken, bench.lasting(told(error))))
    return trial


def _trial(bench: Bench) -> Trial:
    """One order, watched by whoever stands there, and by the device that sees the exit."""
    subject = bench.subject
    stay = bench.ready()
    worth = bench.worth(stay)
    if isinstance(worth, base.Refused):
        return _wrong(bench, told(worth))
    bench.lot.stand_by(subject)
    outcome, seen, began = _watched(bench, stay, worth)
    eye = bench.harness.eye
    lacks = enough(outcome, subject.needed)
    whole = seen.moved == _wanted(subject) and (eye is None or eye.opened == set(seen.moved))
    return Trial(
        subject=subject.title,
        place=subject.place,
        exit=subject.exit.id if subject.exit else "",
        right=whole and not lacks,
        moved=seen.moved,
        seconds=seen.at - began if began is not None and seen.at is not None else None,
        by_sensor=isinstance(outcome, base.Applied) and outcome.level is Level.PHYSICALLY_OBSERVED,
        detail=bench.lasting(told(outcome)),
        broken=lacks if isinstance(outcome, base.Applied) else (),
        sight=None if eye is None else eye.testimony,
    )


def _watched(bench: Bench, stay: StayRef | None, worth: int) -> tuple[base.Outcome, Seen, float | None]:
    """What came of the order, what was seen, and when its first byte left (monotonic seconds)."""
    began: list[float] = []
    with ThreadPoolExecutor(1) as port:
        deadline = time.monotonic() + bench.subject.seconds
        acting = port.submit(
            bench.harness.order,
            stay,
            worth,
            bench.reference(),
            deadline,
            lambda _raw, _counter: began.append(time.monotonic()),
        )
        seen = bench.lot.watch(bench.subject)
        return acting.result(), seen, began[0] if began else None


def _wanted(subject: Subject) -> tuple[str, ...]:
    return (subject.exit.id if subject.exit else subject.device.id,)


def _blind(eye: Eye | None) -> Words | None:
    """Why the device that sees the exit cannot bear witness."""
    if eye is None:
        return None
    place = eye.place
    try:
        eye.look()
    except DaikoError as error:
        why = told(error)
        return quoting(
            f"この出口を見る機器 {place.ja} を読み取れないため、開けていない: {why.ja}",
            f"{place.en}, which sees this exit, cannot be read, so it was not opened: {why.en}",
            why,
        )
    return None


def _wrong(bench: Bench, why: Words) -> Trial:
    """A trial that came to no order, or to none that anybody knows of."""
    subject = bench.subject
    return Trial(
        subject=subject.title,
        place=subject.place,
        exit=subject.exit.id if subject.exit else "",
        right=False,
        detail=bench.lasting(why),
    )
