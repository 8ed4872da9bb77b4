"""The whole bridge on real wires: simulated lots as processes, a serial line at 9600 baud, HTTP and Modbus TCP.

The independent record is the lot's own history: what its devices received and did.
"""

import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from bridge.app import Bridge
from bridge.config import load
from bridge.enrol import adopt
from bridge.journal import Journal
from bridge.keys import Identity, make_key
from demo.stack import LOTS, SimLot, Stack
from drivers.profile import WhenDown
from parking import completion as completions
from parking.commands import Command, Verb, Verdict
from parking.completion import Completion
from parking.desk import CasePhase, CaseView, CommandState, CommandView, Position, StayState, StayView
from parking.errors import Code, Environment
from parking.money import yen
from parking.outcome import EvidenceKind
from parking.reports import Override, OverrideMatched, Whose
from parking.signing import SigningKey, to_text
from parking.stay import LotId
from parking.wire import CompletionKey, Entry

KEY = SigningKey.from_seed(1, bytes(range(32)))
PLATES, GATED = LotId(1001), LotId(1002)


class Office:
    """A lot office: two simulated lots, and a bridge that can be stopped and started again."""

    def __init__(self, run: Path) -> None:
        self.stack = Stack(run, speed=5)
        self.number = {PLATES: 0, GATED: 0}
        for lot in self.stack.lots.values():
            lot.start()
        self.stack.write_bridge_config()
        config = load(self.stack.bridge_config)
        make_key(config.data)
        keys = (CompletionKey(key_id=1, public_key=to_text(KEY.public_bytes)),)
        adopt(
            config.data,
            Identity(
                cloud_url=config.cloud_url, bridge_id="b1", generation=1, lots=(PLATES, GATED), completion_keys=keys
            ),
        )
        self.bridge = Bridge(config)
        self.bridge.start()

    @property
    def plates(self) -> SimLot:
        return self.stack.lots[LOTS[0]]

    @property
    def gated(self) -> SimLot:
        return self.stack.lots[LOTS[1]]

    def restart(self) -> None:
        self.bridge.stop()
        self.bridge = Bridge(load(self.stack.bridge_config))
        self.bridge.start()

    def close(self) -> None:
        self.bridge.stop()
        self.stack.abandon()

    def until(self, check: Callable[[], Any], seconds: float = 10.0) -> Any:
        end = time.monotonic() + seconds
        while not (seen := check()):
            assert time.monotonic() < end, "waited in vain"
            time.sleep(0.01)
        return seen

    def stay(self, name: str) -> StayView:
        found: StayView = self.until(
            lambda: next((view for view in self.bridge.snapshot().stays if view.stay.name == name), None)
        )
        return found

    def park(self, bay: str) -> StayView:
        self.plates.tell("arrive", bay=bay)
        self.plates.wait_history("plate_up", exit=bay)
        return self.stay(bay)

    def ticket(self) -> StayView:
        return self.stay(str(self.gated.tell("arrive")["name"]))

    def paid(self, view: StayView, amount: int, exit_: str = "", key: SigningKey = KEY) -> Entry:
        lot = LotId(view.lot)
        self.number[lot] += 1
        now = datetime.now(UTC).replace(microsecond=0)
        completion = Completion(
            1, lot, self.number[lot], view.stay, yen(amount), now, now + timedelta(minutes=20), exit_
        )
        return Entry(number=completion.number, completion=to_text(completions.sign(completion, key)))

    def deliver(self, view: StayView, amount: int, exit_: str = "") -> int:
        entry = self.paid(view, amount, exit_)
        self.bridge.accept(LotId(view.lot), [entry])
        return entry.number

    def case(self, lot: LotId, number: int) -> CaseView:
        return next(view for view in self.bridge.snapshot().cases if (view.lot, view.number) == (lot, number))

    def ends(self, lot: LotId, number: int, *phases: CasePhase, seconds: float = 10.0) -> CaseView:
        wanted = phases or (CasePhase.SETTLED, CasePhase.REFUSED)
        self.until(lambda: self.case(lot, number).phase in wanted, seconds)
        return self.case(lot, number)

    def releases(self, lot: SimLot, exit_: str) -> int:
        return sum(
            line["what"] == "release" and line["exit"] == exit_ and line["by"] == "bus" for line in lot.history()
        )

    def order(self, verb: Verb, exit_: str = "", **more: Any) -> Command:
        return Command(
            command_id=os.urandom(8).hex(),
            lot=more.pop("lot", PLATES),
            verb=verb,
            actor="Tanaka",
            reason="1 malfunction",
            exit=exit_,
            **more,
        )

    def command_of(self, exit_: str, lot: LotId = PLATES) -> CommandView | None:
        view = next(view for view in self.bridge.snapshot().exits if (view.lot, view.exit) == (lot, exit_))
        return view.command


@pytest.fixture
def office() -> Iterator[Office]:
    run = Path(tempfile.mkdtemp(prefix="daiko-office-"))
    made = Office(run)
    yield made
    made.close()
    shutil.rmtree(run)


def test_a_paid_car_is_let_out_of_its_bay_once_and_proven(office: Office) -> None:
    view = office.park("7")
    number = office.deliver(view, 200)
    case = office.ends(PLATES, number)
    assert case.phase is CasePhase.SETTLED
    kinds = {evidence.kind for evidence in case.evidence}
    assert {EvidenceKind.COUNTER, EvidenceKind.OBSERVED} <= kinds
    assert office.releases(office.plates, "7") == 1
    assert office.stay("7").state is StayState.PAID
    assert [entry.what for entry in office.bridge.timeline(PLATES, view.stay.key).entries] == [
        "arrived",
        "received",
        "checking",
        "sending",
        "settled",
    ]


def test_a_ticket_is_booked_at_the_host_and_the_gate_opens(office: Office) -> None:
    view = office.ticket()
    office.gated.tell("drive-out", name=view.stay.name, exit="OUT1")
    office.gated.wait_history("drive_up", stay=view.stay.name)
    case = office.ends(GATED, office.deliver(view, 200, "OUT1"))
    assert case.phase is CasePhase.SETTLED
    assert EvidenceKind.RECEIPT in {evidence.kind for evidence in case.evidence}
    office.gated.wait_history("left", stay=view.stay.name)
    assert office.releases(office.gated, "OUT1") == 1


def test_cash_wins_the_race(office: Office) -> None:
    view = office.ticket()
    office.gated.tell("pay-cash", name=view.stay.name)
    case = office.ends(GATED, office.deliver(view, 200, "OUT1"))
    assert (case.phase, case.code) == (CasePhase.REFUSED, Code.ALREADY_PAID)
    assert office.releases(office.gated, "OUT1") == 0


def test_a_wrong_amount_is_refused_and_nothing_moves(office: Office) -> None:
    view = office.ticket()
    case = office.ends(GATED, office.deliver(view, 150, "OUT1"))
    assert (case.phase, case.code) == (CasePhase.REFUSED, Code.WRONG_AMOUNT)
    assert office.releases(office.gated, "OUT1") == 0


def test_yesterdays_payment_does_not_open_for_todays_car(office: Office) -> None:
    view = office.park("7")
    office.plates.tell("hand-release", exit="7")
    office.plates.wait_history("plate_down", exit="7")
    office.plates.tell("drive-out", name="7")
    office.plates.wait_history("left", stay="7")
    office.until(lambda: not any(one.stay.name == "7" for one in office.bridge.snapshot().stays))
    office.park("7")
    case = office.ends(PLATES, office.deliver(view, 200))
    assert (case.phase, case.code) == (CasePhase.REFUSED, Code.STAY_CHANGED)
    assert office.releases(office.plates, "7") == 0


def test_an_empty_bay_is_not_opened(office: Office) -> None:
    view = office.park("7")
    office.plates.tell("hand-release", exit="7")
    office.plates.tell("drive-out", name="7")
    office.plates.wait_history("left", stay="7")
    case = office.ends(PLATES, office.deliver(view, 200))
    assert (case.phase, case.code) == (CasePhase.REFUSED, Code.STAY_UNKNOWN)
    assert office.releases(office.plates, "7") == 0


@pytest.mark.timeout(90)
@pytest.mark.parametrize("acted", [False, True])
def test_a_lost_line_is_a_doubt_that_the_counter_ends(office: Office, acted: bool) -> None:
    view = office.park("12")
    office.plates.tell("fault", device="plates", fault="unplug_on_write", act=acted)
    number = office.deliver(view, 200)
    assert office.ends(PLATES, number, CasePhase.IN_DOUBT).phase is CasePhase.IN_DOUBT
    time.sleep(1.0)
    assert office.case(PLATES, number).phase is CasePhase.IN_DOUBT
    office.plates.tell("clear-faults")
    case = office.ends(PLATES, number, seconds=60)
    assert case.phase is CasePhase.SETTLED
    assert office.releases(office.plates, "12") == 1


def test_a_person_ends_a_doubt_with_name_and_reason(office: Office) -> None:
    view = office.park("12")
    office.plates.tell("fault", device="plates", fault="unplug_on_write")
    number = office.deliver(view, 200)
    office.ends(PLATES, number, CasePhase.IN_DOUBT)
    said = office.bridge.command(office.order(Verb.RESOLVE, case=number, verdict=Verdict.NOT_SETTLED))
    assert said.accepted
    case = office.case(PLATES, number)
    assert (case.phase, case.code, case.by) == (CasePhase.REFUSED, Code.NOT_SETTLED, "Tanaka")
    again = office.bridge.command(office.order(Verb.RESOLVE, case=number, verdict=Verdict.SETTLED))
    assert (again.accepted, again.code) == (False, Code.CONFLICT)


def test_a_dead_device_is_tried_again_until_it_lives(office: Office) -> None:
    view = office.park("3")
    office.plates.tell("fault", device="plates", fault="unplugged")
    number = office.deliver(view, 200)
    office.until(lambda: office.case(PLATES, number).code)
    assert office.case(PLATES, number).phase in (CasePhase.RECEIVED, CasePhase.CHECKING)
    office.plates.tell("clear-faults")
    assert office.ends(PLATES, number).phase is CasePhase.SETTLED
    assert office.releases(office.plates, "3") == 1


def test_a_release_by_hand_is_confirmed_by_the_device_only(office: Office) -> None:
    office.park("15")
    assert office.bridge.command(office.order(Verb.RELEASE, "15")).accepted
    office.until(lambda: (c := office.command_of("15")) and c.state is CommandState.CONFIRMED)
    assert office.releases(office.plates, "15") == 1
    reports = partial(office.bridge.reports, PLATES, 100)
    overrides = office.until(lambda: [report for report in reports()[1] if isinstance(report, Override)])
    assert [(one.actor, one.outcome) for one in overrides] == [("Tanaka", "confirmed")]


def test_a_repeated_order_acts_once(office: Office) -> None:
    office.park("15")
    order = office.order(Verb.RELEASE, "15")
    assert office.bridge.command(order) == office.bridge.command(order)
    office.until(lambda: (c := office.command_of("15")) and c.state is CommandState.CONFIRMED)
    office.restart()
    assert office.bridge.command(order).detail == "known from before"
    time.sleep(0.3)
    assert office.releases(office.plates, "15") == 1


def test_a_hold_keeps_the_gate_open_until_it_is_ended(office: Office) -> None:
    assert office.bridge.command(office.order(Verb.HOLD_OPEN, "OUT1", lot=GATED)).accepted
    office.until(lambda: (c := office.command_of("OUT1", GATED)) and c.state is CommandState.CONFIRMED)
    held = office.until(lambda: next((e for e in office.bridge.snapshot().exits if e.exit == "OUT1" and e.held), None))
    assert held.position is Position.OPEN
    assert office.bridge.command(office.order(Verb.END_HOLD, "OUT1", lot=GATED)).accepted
    office.gated.wait_history("gate_down", exit="OUT1")


@pytest.mark.parametrize(
    ("order", "code"),
    [
        ({"verb": Verb.RELEASE, "exit_": "99"}, Code.EXIT_UNKNOWN),
        ({"verb": Verb.RELEASE, "exit_": "7", "lot": 4711}, Code.LOT_UNKNOWN),
        ({"verb": Verb.RESOLVE, "case": 7, "verdict": Verdict.SETTLED}, Code.NOT_FOUND),
        ({"verb": Verb.RESOLVE, "case": 7}, Code.BAD_MESSAGE),
    ],
)
def test_an_order_that_cannot_be_is_refused_with_its_reason(office: Office, order: dict[str, Any], code: Code) -> None:
    said = office.bridge.command(office.order(order.pop("verb"), order.pop("exit_", ""), **order))
    assert (said.accepted, said.code) == (False, code)
    assert said.detail


def test_the_gate_opens_by_hand_with_the_journal_dead(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    office.park("15")

    def dead() -> None:
        raise OSError("the disk is gone")

    monkeypatch.setattr(office.bridge._journal, "transaction", dead)
    assert office.bridge.command(office.order(Verb.RELEASE, "15")).accepted
    office.plates.wait_history("plate_down", exit="15")
    fallback = office.stack.bridge_data / "fallback.jsonl"
    office.until(lambda: fallback.exists() and "confirmed" in fallback.read_text(encoding="utf-8"))
    monkeypatch.undo()


def test_a_restart_keeps_stays_and_cases(office: Office) -> None:
    view = office.park("7")
    number = office.deliver(view, 200)
    office.ends(PLATES, number)
    other = office.park("8")
    office.restart()
    assert office.case(PLATES, number).phase is CasePhase.SETTLED
    time.sleep(1.2)
    assert office.stay("8").stay == other.stay
    assert office.ends(PLATES, office.deliver(other, 200)).phase is CasePhase.SETTLED
    assert (office.releases(office.plates, "7"), office.releases(office.plates, "8")) == (1, 1)


# --- overrides that leave no orphan -----------------------------------------------------------------------------------


def test_an_opening_for_nobody_known_waits_until_somebody_says_whose_it_was(office: Office) -> None:
    office.park("7")
    office.bridge.command(office.order(Verb.RELEASE, "7"))
    (row,) = office.until(lambda: office.bridge.snapshot().unmatched)
    office.restart()
    assert [one.command_id for one in office.bridge.snapshot().unmatched] == [row.command_id]
    refused = office.bridge.command(office.order(Verb.ASSIGN, whose=Whose.NOBODY, override="nonsense"))
    assert refused.code == Code.NOT_FOUND
    reply = office.bridge.command(office.order(Verb.ASSIGN, whose=Whose.NOBODY, override=row.command_id))
    assert reply.accepted
    assert office.bridge.snapshot().unmatched == ()
    _, reports = office.bridge.reports(PLATES, 100)
    assert any(isinstance(one, OverrideMatched) and one.command_id == row.command_id for one in reports)


def test_a_car_may_leave_against_a_claim_only_where_the_policy_says_so(office: Office) -> None:
    view = office.park("7")
    order = office.order(Verb.RELEASE, "7", whose=Whose.STAY, stay=view.stay, claim=800)
    assert office.bridge.command(order).code == Code.CLAIM_POLICY
    assert office.releases(office.plates, "7") == 0


def test_a_car_that_was_let_out_while_the_line_was_down_is_not_let_out_again_when_its_payment_arrives(
    office: Office,
) -> None:
    view = office.park("7")
    entry = office.paid(view, 800)
    office.bridge.command(office.order(Verb.RELEASE, "7", whose=Whose.STAY, stay=view.stay))
    office.until(lambda: (one := office.command_of("7")) and one.state is CommandState.CONFIRMED)
    assert office.releases(office.plates, "7") == 1
    office.bridge.accept(PLATES, [entry])
    assert office.ends(PLATES, entry.number).phase is CasePhase.SETTLED
    assert office.releases(office.plates, "7") == 1


def test_what_was_opened_with_a_dead_journal_is_known_after_a_restart_before_its_payment_arrives(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    view = office.park("7")
    entry = office.paid(view, 800)
    order = office.order(Verb.RELEASE, "7", whose=Whose.STAY, stay=view.stay)
    with monkeypatch.context() as patched:

        def fail(self: Journal) -> None:
            raise Environment(Code.DISK, "disk is full")

        patched.setattr(Journal, "transaction", fail)
        assert office.bridge.command(order).accepted
        office.until(lambda: (one := office.command_of("7")) and one.state is CommandState.CONFIRMED)
        data = office.bridge._config.data
        office.until(
            lambda: (data / "fallback.jsonl").exists() and b"confirmed" in (data / "fallback.jsonl").read_bytes()
        )
        office.bridge.stop()
    office.bridge = Bridge(load(office.stack.bridge_config))
    office.bridge.start()
    assert office.bridge.command(order).accepted  # repeated by a console that got no answer: acts no more
    office.bridge.accept(PLATES, [entry])
    assert office.ends(PLATES, entry.number).phase is CasePhase.SETTLED
    assert office.releases(office.plates, "7") == 1
    assert not (data / "fallback.jsonl").exists()
    assert len(list(data.glob("fallback-*.imported.jsonl"))) == 1
    _, reports = office.bridge.reports(PLATES, 200)
    assert [one.outcome for one in reports if isinstance(one, Override)] == ["confirmed"]


def test_claims_at_the_same_moment_never_exceed_the_budget_of_the_day(office: Office) -> None:
    view, machines = office.park("7"), office.bridge._lots[PLATES]
    policy = replace(machines.profile.policy, when_down=WhenDown.CLAIM, loss_budget=1000)
    machines.profile = replace(machines.profile, policy=policy)
    orders = [office.order(Verb.RELEASE, "7", whose=Whose.STAY, stay=view.stay, claim=400) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        replies = list(pool.map(office.bridge.command, orders))
    assert sorted(reply.code for reply in replies) == ["", "", *[Code.BUDGET] * 6]
    url = next(reply.claim_url for reply in replies if reply.accepted)
    assert re.fullmatch(r"https?://[^/]+/c/[0-9A-HJKMNP-TV-Z]{26}", url)


def test_whose_an_opening_was_said_later_still_ends_a_payment_that_comes_after_it(office: Office) -> None:
    view = office.park("7")
    entry = office.paid(view, 800)
    office.bridge.command(office.order(Verb.RELEASE, "7"))
    (row,) = office.until(lambda: office.bridge.snapshot().unmatched)
    said = office.order(Verb.ASSIGN, whose=Whose.STAY, stay=view.stay, override=row.command_id)
    assert office.bridge.command(said).accepted
    office.bridge.accept(PLATES, [entry])
    assert office.ends(PLATES, entry.number).by == "Tanaka"
    assert office.releases(office.plates, "7") == 1
