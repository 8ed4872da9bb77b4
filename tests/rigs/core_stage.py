"""A core on a real journal, with the ports' side of it in the hands of the test."""

import dataclasses
import queue
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bridge import events
from bridge.case import Case, Step
from bridge.core import Core
from bridge.journal import Journal
from bridge.messages import ForCase
from drivers.base import Applied, Retry
from parking import completion as completions
from parking.completion import Completion
from parking.desk import CasePhase
from parking.money import yen
from parking.outcome import Evidence, EvidenceKind, Level
from parking.signing import KeyRing, SigningKey, to_text
from parking.stay import LotId, NameKind, StayRef
from parking.wire import Entry

LOT = LotId(1001)
KEY = SigningKey.from_seed(1, bytes(range(32)))
FORGER = SigningKey.from_seed(1, bytes(32))
SEEN = Evidence(EvidenceKind.OBSERVED, "plate 7 down")


def clock() -> datetime:
    return datetime.now(UTC)


def entry(number: int, *, bay: str = "7", lot: LotId = LOT, key: SigningKey = KEY, at: int | None = None) -> Entry:
    now = clock().replace(microsecond=0)
    completion = Completion(
        key_id=1,
        lot=lot,
        number=number,
        stay=StayRef(NameKind.BAY, bay, now - timedelta(hours=1)),
        amount=yen(600),
        paid_at=now,
        valid_until=now + timedelta(minutes=20),
    )
    return Entry(number=at or number, completion=to_text(completions.sign(completion, key)))


class Stage:
    """The core and its journal; what it has ports do waits in `effects`."""

    def __init__(self, path: Path) -> None:
        self.journal = Journal(path)
        self.effects: queue.Queue[tuple[Case, events.Act | events.Look]] = queue.Queue()
        self.scene = events.Scene(
            (Step.RELEASE,), Level.SENT, Level.PHYSICALLY_OBSERVED, Retry.NEVER, Retry.NEVER, 20.0, 1.0
        )
        self.core = Core(
            journal=self.journal,
            keys=KeyRing({1: KEY.public_bytes}),
            generation=1,
            clock=clock,
            scene=lambda case, rival: dataclasses.replace(self.scene, rival=rival),
            perform=lambda case, effect: self.effects.put((case, effect)),
            show=lambda view: None,
        )
        self.core.start()

    def next(self, kind: type[events.Act] | type[events.Look]) -> Case:
        case, effect = self.effects.get(timeout=5)
        assert isinstance(effect, kind)
        return case

    def phase(self, number: int) -> CasePhase | None:
        case = self.journal.case(LOT, number)
        return case.phase if case else None

    def flush(self) -> None:
        self.core.write(lambda tx: None, 5)

    def reports(self) -> list[object]:
        return list(self.journal.reports(LOT, 1, 100)[1])

    def close(self) -> None:
        self.core.stop()
        self.journal.close()


@contextmanager
def staged(path: Path) -> Iterator[Stage]:
    stage = Stage(path)
    try:
        yield stage
    finally:
        stage.close()


def settle(stage: Stage, case: Case) -> None:
    stage.core.intend(case.key, case.attempt, b"\x01\x05", 41)
    stage.core.put(ForCase(case.key, events.Finished(case.attempt, Applied(Level.PHYSICALLY_OBSERVED, (SEEN,)))))
    stage.flush()
