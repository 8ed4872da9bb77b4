"""The first time on site: each exit opens once, each machine books once, and somebody sees if it is the right one."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

from drivers import base
from drivers.conform.bench import Bench, NotReadyError
from drivers.conform.report import Trial
from drivers.conform.subject import Lot, Subject
from drivers.conform.words import as_is, told
from parking.errors import DaikoError
from parking.outcome import Level

Tell = Callable[[Trial], None]


def trials(subject: Subject, lot: Lot, folder: Path, tell: Tell) -> tuple[Trial, ...]:
    """Try a subject; at a device with exits each of them in turn. Raises Environment(CONFIG) for bad options."""
    found = []
    for one in (subject,) if subject.exit is None else [replace(subject, exit=exit_) for exit_ in subject.exits]:
        bench = Bench(one, lot, folder)
        try:
            found.append(_trial(bench))
            tell(found[-1])
        finally:
            bench.close()
    return tuple(found)


def _trial(bench: Bench) -> Trial:
    """One order, watched by whoever stands there."""
    subject = bench.subject
    name = subject.exit.id if subject.exit else ""
    try:
        stay = bench.ready()
        worth = bench.worth(stay)
        if isinstance(worth, base.Refused):
            return Trial(subject=subject.title, exit=name, right=False, detail=told(worth))
        began: list[float] = []
        with ThreadPoolExecutor(1) as port:
            deadline = time.monotonic() + subject.seconds
            acting = port.submit(
                bench.harness.order,
                stay,
                worth,
                bench.reference(),
                deadline,
                lambda _raw, _counter: began.append(time.monotonic()),
            )
            seen = bench.lot.watch(subject)
            outcome = acting.result()
    except NotReadyError as late:
        return Trial(subject=subject.title, exit=name, right=False, detail=late.what)
    except DaikoError as error:
        return Trial(subject=subject.title, exit=name, right=False, detail=as_is(str(error)))
    finally:
        bench.tidy()
    return Trial(
        subject=subject.title,
        exit=name,
        right=isinstance(outcome, base.Applied) and seen.moved == (name or subject.device.id,),
        moved=seen.moved,
        seconds=seen.at - began[0] if began and seen.at is not None else None,
        by_sensor=isinstance(outcome, base.Applied) and outcome.level is Level.PHYSICALLY_OBSERVED,
        detail=told(outcome),
    )
