"""What must be in the box of a coin station: what it counted, less what the journal proves that we showed it."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from bridge.case import Case
from bridge.cash_audit import cash_audit
from bridge.journal import Journal
from drivers import profile
from parking.desk import CasePhase
from parking.errors import Code, Environment
from parking.outcome import Evidence, EvidenceKind
from parking.stay import LotId, NameKind, StayRef
from tests.bridge.test_bridge_cli import ROOT

NOON = datetime(2026, 11, 1, 3, tzinfo=UTC)


def case(number, phase=CasePhase.SETTLED, coins="", credited=None, at=NOON, desk="1", lot=1):
    proof = (Evidence(EvidenceKind.COUNTER, f"event counter 3 → 8: {coins}"),) if coins else ()
    return Case(
        lot=LotId(lot),
        number=number,
        reference=f"DK-{lot}-{number}",
        stay=StayRef(NameKind.DESK, desk),
        exit="",
        amount=3000,
        paid_at=at,
        valid_until=at + timedelta(hours=1),
        since=at + timedelta(days=1),
        tried_since=at,
        phase=phase,
        evidence=proof,
        credited=credited,
    )


@pytest.fixture
def config(tmp_path):
    cases = [
        case(1, coins="5×100 1×50", credited=550),
        case(2, CasePhase.IN_DOUBT, credited=300),
        case(3, CasePhase.REFUSED, credited=200),
        case(4, coins="1×500", credited=500, at=NOON - timedelta(days=2)),
        case(5, coins="1×500", credited=500, desk="2"),
        case(6, coins="1×500", credited=500, lot=2),
        case(7, coins="2×100", credited=300),  # settled by a person: a coin more may have been taken
    ]
    journal = Journal(tmp_path / "journal.db")
    with journal.transaction() as tx:
        for one in cases:
            tx.put_case(one, b"signed")
    journal.close()
    lot = profile.load(ROOT / "seeds" / "lots" / "coin-station.toml")
    return SimpleNamespace(data=tmp_path, lots={LotId(1): lot})


def test_what_the_journal_proves_is_taken_off_and_what_it_doubts_makes_a_span(config):
    japanese, english = cash_audit(config, None, None, NOON, {500: 1, 100: 10, 50: 1})
    assert english == [
        "¥  500: counted 1 - by phone 0 = in the box 1",
        "¥  100: counted 10 - by phone 7 = in the box 3",
        "¥   50: counted 1 - by phone 1 = in the box 0",
        "not known: up to ¥400 by phone (DK-1-2, DK-1-7)",
        "cash in all ¥400–¥800",
    ]
    assert japanese[-1] == "現金合計 400円–800円"


def test_without_a_time_all_that_was_ever_shown_counts(config):
    _, english = cash_audit(config, LotId(1), "1", None, {500: 1})
    assert english[0] == "¥  500: counted 1 - by phone 1 = in the box 0"


@pytest.mark.parametrize(("lot", "desk"), [(LotId(2), None), (None, "2")])
def test_a_station_that_is_not_there_is_answered_with_those_that_are(config, lot, desk):
    with pytest.raises(Environment) as caught:
        cash_audit(config, lot, desk, None, {})
    assert (caught.value.code, caught.value.remedy) == (Code.CONFIG, "--lot 1 --desk 1")


def test_of_several_stations_one_must_be_named(config):
    both = SimpleNamespace(data=config.data, lots={**config.lots, LotId(2): config.lots[LotId(1)]})
    with pytest.raises(Environment) as caught:
        cash_audit(both, None, None, None, {})
    assert caught.value.remedy == "--lot 1 --desk 1, --lot 2 --desk 1"
    assert cash_audit(both, LotId(2), None, None, {})[1] == [
        "¥  500: counted 0 - by phone 1 = in the box 0 * contradiction: more by phone than counted",
        "cash in all ¥0",
    ]
