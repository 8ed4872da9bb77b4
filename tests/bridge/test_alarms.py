"""An alarm lasts as long as its cause: payments that are not settled, completions kept aside, disk, clock, ports."""

from datetime import UTC, datetime, timedelta

import pytest
from msgspec.structs import replace

from bridge.alarms import BEGUN_SECONDS, DOUBT_SECONDS, REJECT_KEPT, Condition, Reject, alarms
from bridge.board import Board
from bridge.case import Case
from parking.desk import AlarmEnded, AlarmRaised, AlarmView, CasePhase
from parking.errors import Code, Environment
from parking.signing import SigningKey, to_text
from parking.stay import LotId, NameKind, StayRef
from parking.wire import Entry

LOT = LotId(1001)
T0 = datetime(2026, 11, 23, 3, 0, tzinfo=UTC)
STAY = StayRef(NameKind.BAY, "7", T0)


def after(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def case(phase: CasePhase = CasePhase.RECEIVED, **more: object) -> Case:
    made = Case(
        lot=LOT,
        number=5,
        reference="DK-1001-5",
        stay=STAY,
        exit="",
        amount=600,
        paid_at=T0,
        valid_until=after(3600),
        since=T0,
        phase=phase,
        code=Code.NO_REPLY if phase is CasePhase.IN_DOUBT else "",
    )
    return replace(made, **more)


def codes(condition: Condition, now: datetime) -> list[str]:
    return [alarm.code for alarm in alarms(condition, now)]


def of(*cases: Case) -> Condition:
    return Condition(lot=LOT, alarm_seconds=600, cases=cases)


@pytest.mark.parametrize("phase", [CasePhase.RECEIVED, CasePhase.CHECKING, CasePhase.SENDING, CasePhase.IN_DOUBT])
def test_a_payment_that_is_not_settled_in_time_is_an_alarm(phase: CasePhase) -> None:
    assert Code.UNSETTLED not in codes(of(case(phase)), after(599))
    (alarm,) = alarms(of(case(phase)), after(601))
    assert (alarm.code, alarm.case, alarm.stay, alarm.since) == (Code.UNSETTLED, 5, STAY, after(600))
    assert "600 yen" in alarm.detail


@pytest.mark.parametrize("phase", [CasePhase.SETTLED, CasePhase.REFUSED])
def test_what_is_over_is_no_alarm(phase: CasePhase) -> None:
    assert codes(of(case(phase)), after(9999)) == []


def test_a_doubt_is_an_alarm_once_evidence_had_its_time() -> None:
    doubt = case(CasePhase.IN_DOUBT)
    assert codes(of(doubt), after(DOUBT_SECONDS - 1)) == []
    assert codes(of(doubt), after(DOUBT_SECONDS + 1)) == [Code.NO_REPLY]
    assert codes(of(doubt), after(601)) == [Code.UNSETTLED]


def test_a_payment_that_comes_late_is_given_the_time_to_be_settled() -> None:
    late = case(since=after(900), tried_since=after(900))
    assert codes(of(late), after(900 + BEGUN_SECONDS - 1)) == []
    assert codes(of(late), after(900 + BEGUN_SECONDS + 1)) == [Code.UNSETTLED]


def test_a_completion_kept_aside_is_shown_for_a_day() -> None:
    aside = Condition(lot=LOT, alarm_seconds=600, rejects=(Reject(9, Code.BAD_SIGNATURE, "forged", T0),))
    (alarm,) = alarms(aside, after(1))
    assert (alarm.code, alarm.what) == (Code.BAD_SIGNATURE, "reject-9")
    assert codes(aside, T0 + REJECT_KEPT + timedelta(seconds=1)) == []


def test_disk_journal_clock_and_ports_are_alarms_with_their_remedies() -> None:
    trouble = Environment(Code.DISK, "journal.db: database or disk is full", "make room")
    condition = Condition(
        lot=LOT,
        alarm_seconds=600,
        journal=trouble,
        lost="there is a fresh journal",
        skew=timedelta(days=-3),
        hung=("plates",),
    )
    found = {alarm.code: alarm.detail for alarm in alarms(condition, T0)}
    assert set(found) == {Code.DISK, Code.JOURNAL_LOST, Code.CLOCK, Code.PORT_HUNG}
    assert "make room" in found[Code.DISK]
    assert "4320 min slow" in found[Code.CLOCK]
    assert "plates" in found[Code.PORT_HUNG]
    assert codes(Condition(lot=LOT, alarm_seconds=600, skew=timedelta(seconds=-119)), T0) == []


def test_the_board_raises_and_ends_alarms_once_and_keeps_since_when() -> None:
    board = Board([], [], T0)
    seq = board.snapshot(T0).seq

    def show(detail: str, at: datetime) -> None:
        board.alarms([AlarmView(lot=LOT, what="journal", code=Code.DISK, detail=detail, since=at)])

    show("full", T0)
    show("full", after(5))
    show("full, really", after(9))
    assert [alarm.since for alarm in board.snapshot(T0).alarms] == [T0]
    board.alarms([])
    board.alarms([])
    assert board.snapshot(T0).alarms == ()
    bodies = [event.body for event in board.events(seq) or ()]
    assert [type(body) for body in bodies] == [AlarmRaised, AlarmRaised, AlarmEnded]


def test_a_poison_completion_is_kept_aside_reported_and_shown_and_the_next_one_settles(plates_office) -> None:
    office = plates_office
    office.start()
    office.park("7")
    office.park("8")
    forged = office.pay("7", key=SigningKey.from_seed(9, bytes(32)))
    good = office.pay("8")
    office.cloud.entries[3] = Entry(number=3, completion=to_text(b"\xff" * 40))
    office.ends(good, CasePhase.SETTLED)
    office.until(lambda: {alarm.what for alarm in office.snapshot().alarms} == {f"reject-{forged}", "reject-3"})
    refused = lambda: [one.number for one in office.cloud.reports if type(one).__name__ == "Refused"]  # noqa: E731 - one short question, asked twice
    office.until(lambda: sorted(refused()) == [forged, 3])
    assert office.bridge.cursor(1001) == 3
    assert (office.releases("7"), office.releases("8")) == (0, 1)


def test_a_payment_behind_a_dead_device_raises_an_alarm_that_ends_with_it(plates_office) -> None:
    office = plates_office
    office.edit_profile("[roles]", "[policy]\nalarm_seconds = 10\n\n[roles]")
    office.start()
    office.park("7")
    office.until(lambda: office.stay_of("7"))
    office.lot.tell("fault", device="plates", fault="unplug_on_write", act=True)
    number = office.pay("7")
    office.until(lambda: (case := office.case(number)) is not None and case.phase is CasePhase.IN_DOUBT)
    alarm = office.until(lambda: office.alarm(Code.UNSETTLED), 15)
    assert (alarm.case, alarm.stay.name) == (number, "7")
    office.lot.tell("clear-faults")
    office.ends(number, CasePhase.SETTLED)
    office.until(lambda: office.alarm(Code.UNSETTLED) is None)
    assert office.releases("7") == 1
