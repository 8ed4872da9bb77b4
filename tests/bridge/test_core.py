"""The core commits before it acts, keeps what devices said, and lets one bad message harm no other (P3, P4, P7, P9)."""

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bridge import relay
from bridge.case import Case, Step
from bridge.core import Core
from bridge.journal import Journal
from bridge.messages import ForCase, Write
from drivers.base import Applied, Retry, Uncertain
from parking import completion as completions
from parking.completion import Completion
from parking.desk import CasePhase
from parking.errors import Code, Environment, NotSent
from parking.money import yen
from parking.outcome import Evidence, EvidenceKind, Level
from parking.signing import KeyRing, SigningKey, to_text
from parking.stay import LotId, NameKind, StayRef
from parking.wire import Entry, Received, Refused, Settled

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
    """A core on a real journal, with the port's side of it in the hands of the test."""

    def __init__(self, path: Path) -> None:
        self.journal = Journal(path)
        self.effects: queue.Queue[tuple[Case, relay.Act | relay.Look]] = queue.Queue()
        self.scene = relay.Scene(
            (Step.RELEASE,), Level.SENT, Level.PHYSICALLY_OBSERVED, Retry.NEVER, Retry.NEVER, 20.0, 1.0
        )
        self.core = Core(
            journal=self.journal,
            keys=KeyRing({1: KEY.public_bytes}),
            generation=1,
            clock=clock,
            scene=lambda case, rival: relay.Scene(
                *(getattr(self.scene, name) for name in relay.Scene.__slots__ if name != "rival"), rival=rival
            ),
            perform=lambda case, effect: self.effects.put((case, effect)),
            show=lambda view: None,
        )
        self.core.start()

    def next(self, kind: type[relay.Act] | type[relay.Look]) -> Case:
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


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.db"


@pytest.fixture
def stage(path: Path) -> Iterator[Stage]:
    with staged(path) as made:
        yield made


def settle(stage: Stage, case: Case) -> None:
    stage.core.intend(case.key, case.attempt, b"\x01\x05", 41)
    stage.core.put(ForCase(case.key, relay.Finished(case.attempt, Applied(Level.PHYSICALLY_OBSERVED, (SEEN,)))))
    stage.flush()


def test_received_is_durable_when_accept_returns(stage: Stage) -> None:
    stage.core.accept(LOT, [entry(1)], 5)
    assert stage.phase(1) is CasePhase.CHECKING
    assert stage.journal.cursor(LOT) == 1
    assert isinstance(stage.reports()[0], Received)


def test_the_intent_is_in_the_journal_before_the_driver_may_write(stage: Stage) -> None:
    stage.core.accept(LOT, [entry(1)], 5)
    case = stage.next(relay.Act)
    stage.core.intend(case.key, case.attempt, b"\x01\x05\x00", 41)
    kept = stage.journal.case(LOT, 1)
    assert kept is not None
    assert (kept.phase, kept.intent, kept.counter) == (CasePhase.SENDING, b"\x01\x05\x00", 41)


def test_a_settled_completion_is_reported_with_its_evidence(stage: Stage) -> None:
    stage.core.accept(LOT, [entry(1)], 5)
    settle(stage, stage.next(relay.Act))
    assert stage.phase(1) is CasePhase.SETTLED
    last = stage.reports()[-1]
    assert isinstance(last, Settled)
    assert last.evidence == (SEEN,)


def test_the_same_completion_again_acts_once(stage: Stage) -> None:
    same = entry(1)
    stage.core.accept(LOT, [same, same], 5)
    stage.core.accept(LOT, [same], 5)
    settle(stage, stage.next(relay.Act))
    stage.core.accept(LOT, [same], 5)
    assert stage.effects.empty()
    assert [type(report) for report in stage.reports()] == [Received, Settled]


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (lambda: entry(1, key=FORGER), Code.BAD_SIGNATURE),
        (lambda: entry(1, lot=LotId(1002)), Code.WRONG_LOT),
        (lambda: entry(2, at=1), Code.WRONG_LOT),
        (lambda: Entry(number=1, completion="%%%"), Code.BAD_MESSAGE),
        (lambda: Entry(number=1, completion="AAAA"), Code.BAD_COMPLETION),
    ],
)
def test_what_does_not_verify_opens_nothing_and_blocks_nobody(
    stage: Stage, bad: Callable[[], Entry], code: Code
) -> None:
    stage.core.accept(LOT, [bad(), entry(2, bay="8")], 5)
    assert stage.next(relay.Act).number == 2
    assert stage.effects.empty()
    refused = stage.reports()[0]
    assert isinstance(refused, Refused)
    assert (refused.number, refused.code) == (1, code)
    assert stage.journal.cursor(LOT) == 2


def test_a_second_payment_for_the_same_stay_waits_for_no_one_and_is_refused(stage: Stage) -> None:
    first, second = entry(1), entry(2)
    stage.core.accept(LOT, [first], 5)
    stage.next(relay.Act)
    stage.core.accept(LOT, [second], 5)
    assert stage.phase(2) is CasePhase.REFUSED
    assert stage.phase(1) is CasePhase.CHECKING


def test_a_later_payment_for_the_same_stay_is_taken_once_the_first_is_over(stage: Stage) -> None:
    stage.core.accept(LOT, [entry(1)], 5)
    settle(stage, stage.next(relay.Act))
    assert stage.core._by_place == {}
    stage.core.accept(LOT, [entry(2)], 5)
    assert stage.next(relay.Act).number == 2


def test_two_payments_for_one_stay_in_one_batch_act_once(stage: Stage) -> None:
    stage.core.accept(LOT, [entry(1), entry(2)], 5)
    assert stage.next(relay.Act).number == 1
    assert stage.phase(2) is CasePhase.REFUSED
    assert stage.effects.empty()


def test_after_a_crash_doubts_are_looked_into_before_recovery_is_over(path: Path) -> None:
    with staged(path) as before:
        before.core.accept(LOT, [entry(1), entry(2, bay="8")], 5)
        case = before.next(relay.Act)
        before.core.intend(case.key, case.attempt, b"\x01\x05", None)
    with staged(path) as after:
        assert not after.core.wait_recovered(0.2)
        seen = {}
        for _ in range(2):
            case, effect = after.effects.get(timeout=5)
            seen[case.number] = (effect, case)
        assert isinstance(seen[1][0], relay.Look)
        assert isinstance(seen[2][0], relay.Act)
        doubt = seen[1][1]
        after.core.put(ForCase(doubt.key, relay.Proof(doubt.attempt, relay.Finding.OURS, (SEEN,))))
        assert after.core.wait_recovered(5)
        after.flush()
        assert after.phase(1) is CasePhase.SETTLED


def test_a_driver_waiting_for_go_is_halted_when_the_journal_fails(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage.core.accept(LOT, [entry(1)], 5)
    case = stage.next(relay.Act)
    broken(stage, monkeypatch)
    with pytest.raises(NotSent):
        stage.core.intend(case.key, case.attempt, b"\x01\x05", None)
    monkeypatch.undo()
    assert stage.phase(1) is CasePhase.CHECKING


def test_nothing_is_acknowledged_when_the_journal_fails(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    broken(stage, monkeypatch)
    with pytest.raises(Environment):
        stage.core.accept(LOT, [entry(1)], 5)
    monkeypatch.undo()
    stage.core.accept(LOT, [entry(1)], 5)
    assert stage.next(relay.Act).number == 1


def test_what_a_device_did_is_kept_until_the_journal_works_again(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.core.accept(LOT, [entry(1)], 5)
    case = stage.next(relay.Act)
    stage.core.intend(case.key, case.attempt, b"\x01\x05", None)
    failed = broken(stage, monkeypatch)
    stage.core.put(ForCase(case.key, relay.Finished(case.attempt, Uncertain("no reply"))))
    assert failed.wait(5)
    monkeypatch.undo()
    stage.next(relay.Look)
    assert stage.phase(1) is CasePhase.IN_DOUBT


def broken(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """A disk that is full: every commit fails until undone."""
    failed = threading.Event()

    @contextmanager
    def full() -> Iterator[None]:
        failed.set()
        raise Environment(Code.DISK, "database or disk is full", "free disk space")
        yield

    monkeypatch.setattr(stage.journal, "transaction", full)
    return failed


def test_one_bad_message_harms_no_other_of_its_batch(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    hold = threading.Event()
    stage.core.put(Write(lambda tx: None, after=lambda: hold.wait(5) and None))

    def bug(tx: object) -> None:
        raise RuntimeError("a defect")

    stage.core.put(Write(bug))
    accepted = threading.Thread(target=lambda: stage.core.accept(LOT, [entry(1)], 5))
    accepted.start()
    hold.set()
    accepted.join(5)
    assert stage.phase(1) is CasePhase.CHECKING
    assert "a defect" in caplog.text


def test_an_intent_for_a_case_that_is_over_is_halted(stage: Stage) -> None:
    stage.core.accept(LOT, [entry(1)], 5)
    case = stage.next(relay.Act)
    settle(stage, case)
    with pytest.raises(NotSent):
        stage.core.intend(case.key, case.attempt, b"\x01\x05", None)
