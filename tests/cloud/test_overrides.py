"""A manual override leaves no orphan: it meets its stay's payment, and what nobody explains is listed every night."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from cloud import alarms, overrides
from cloud.schema import lots, payments
from parking.errors import Code
from parking.outcome import Evidence, EvidenceKind, Level
from parking.reports import InDoubt, Override, OverrideMatched, Received, Redeemed, Settled, Way, Whose
from parking.reports import Refused as LotRefused
from parking.stay import NameKind, StayRef

WAKABA = 1001
OTHER = StayRef(NameKind.BAY, "9", datetime(2026, 11, 24, 3, 0, tzinfo=UTC))


def now() -> datetime:
    return datetime.now(UTC)


def settled(number: int = 1, by: str = "relay") -> Settled:
    seen = (Evidence(EvidenceKind.OBSERVED, "plate down"),)
    return Settled(number=number, at=now(), level=Level.PHYSICALLY_OBSERVED, evidence=seen, by=by)


def override(stay=None, whose=Whose.STAY, at=None, **more) -> Override:
    said = {"verb": "release", "exit": "P7", "actor": "Sato", "reason": "flap stuck", "outcome": "confirmed", **more}
    command_id = said.pop("command_id", str(uuid.uuid4()))
    return Override(command_id=command_id, at=at or now(), stay=stay, whose=whose, **said)


def listed(cloud, *, unmatched: bool = False):
    async def read():
        async with cloud.cloud.store.read() as db:
            return await overrides.listed(db, WAKABA, unmatched=unmatched)

    return cloud.do(read())


def alarm_codes(cloud) -> list[str]:
    async def read():
        async with cloud.cloud.store.read() as db:
            return [row["code"] for row in await alarms.alarms_of(db, WAKABA)]

    return cloud.do(read())


@pytest.fixture
def bridge(cloud):
    """The bridge of the lot with lock plates, a car in bay 7, its payment authorized as completion 1."""
    made = cloud.bridge(WAKABA)
    made.stay = made.car(WAKABA, "7")
    made.token, made.order = cloud.pay("WAKABA1", "7")
    cloud.approve(made.order)
    return made


def test_an_opening_that_gives_a_captured_payment_back_refunds_it_once(cloud, bridge):
    assert bridge.report(WAKABA, settled()).ok
    cloud.until(lambda: cloud.standing(bridge.order) == "captured")
    back = override(bridge.stay, number=1, give_back=True)
    assert bridge.report(WAKABA, back).ok
    cloud.until(lambda: cloud.standing(bridge.order) == "refunded")
    assert bridge.report(WAKABA, back).ok
    assert cloud.stage(bridge.token) == "refunded"
    assert cloud.provider.calls.count(("refund", bridge.order)) == 1
    [row] = listed(cloud)
    assert (row["order_id"], row["whose"]) == (bridge.order, "stay")
    assert "refunded" in row["payment"]


@pytest.mark.parametrize("doubt", [False, True], ids=["authorized", "in-doubt"])
def test_giving_back_waits_for_what_the_lot_says(cloud, bridge, doubt):
    if doubt:
        assert bridge.report(WAKABA, InDoubt(number=1, at=now(), code=Code.NO_REPLY, detail="silence")).ok
    assert bridge.report(WAKABA, override(bridge.stay, number=1, give_back=True)).ok
    assert cloud.standing(bridge.order) == ("in_doubt" if doubt else "authorized")
    assert not {"capture", "void", "refund"} & {verb for verb, _ in cloud.provider.calls}
    assert bridge.report(WAKABA, LotRefused(number=1, at=now(), code=Code.OVERRIDDEN, detail="by hand")).ok
    cloud.until(lambda: cloud.standing(bridge.order) == "voided")
    assert alarm_codes(cloud) == []


def test_a_payment_that_was_given_back_and_settled_after_all_is_brought_to_a_person(cloud, bridge):
    assert bridge.report(WAKABA, override(bridge.stay, number=1, give_back=True), settled()).ok
    cloud.until(lambda: cloud.standing(bridge.order) == "captured")
    assert alarm_codes(cloud) == [Code.CONTRADICTION]


def test_an_opening_for_another_stay_than_the_numbers_gives_nothing_back(cloud, bridge):
    assert bridge.report(WAKABA, settled(), override(OTHER, number=1, give_back=True)).ok
    cloud.until(lambda: cloud.standing(bridge.order) == "captured")
    assert alarm_codes(cloud) == [Code.CONTRADICTION]
    assert listed(cloud)[0]["order_id"] == ""


def test_an_opening_for_a_stay_without_payment_is_listed_as_such(cloud, bridge):
    assert bridge.report(WAKABA, override(OTHER)).ok
    assert [row["payment"] for row in listed(cloud)] == ["no payment, nothing to charge"]
    assert listed(cloud, unmatched=True) == []


def test_what_is_matched_later_meets_its_payment_then(cloud, bridge):
    assert bridge.report(WAKABA, settled()).ok
    cloud.until(lambda: cloud.standing(bridge.order) == "captured")
    later = override(whose=Whose.LATER)
    assert bridge.report(WAKABA, later).ok
    assert [row["command_id"] for row in listed(cloud, unmatched=True)] == [later.command_id]
    said = OverrideMatched(
        command_id=later.command_id, actor="Abe", reason="cash", at=now(), whose=Whose.STAY, stay=bridge.stay,
        number=1, give_back=True,
    )  # fmt: skip
    assert bridge.report(WAKABA, said).ok
    cloud.until(lambda: cloud.standing(bridge.order) == "refunded")
    [row] = listed(cloud)
    assert (row["actor"], row["matched_by"], row["matched_reason"]) == ("Sato", "Abe", "cash")
    assert listed(cloud, unmatched=True) == []


def test_a_matching_that_comes_before_its_opening_is_not_undone_by_it(cloud, bridge):
    later = override(whose=Whose.LATER)
    said = OverrideMatched(
        command_id=later.command_id, actor="Abe", reason="rescue", at=now(), whose=Whose.NOBODY, stay=None
    )
    assert bridge.report(WAKABA, said, later).ok
    [row] = listed(cloud)
    assert (row["whose"], row["verb"], row["actor"], row["matched_by"]) == ("nobody", "release", "Sato", "Abe")


def test_as_the_lots_day_ends_each_unmatched_opening_raises_an_alarm_every_night_anew(cloud, bridge):
    assert bridge.report(
        WAKABA,
        override(whose=Whose.LATER),
        override(whose=Whose.NOBODY),
        override(whose=Whose.LATER, outcome="refused"),
        override(whose=Whose.LATER, verb="end_hold"),
    ).ok
    cloud.until(lambda: nightly_at(cloud) is not None)
    assert alarm_codes(cloud) == []
    for nights in (1, 2):
        cloud.clock.ahead = timedelta(days=nights)
        cloud.until(lambda nights=nights: alarm_codes(cloud).count(Code.UNMATCHED) == nights, 8)


def nightly_at(cloud):
    async def read():
        async with cloud.cloud.store.read() as db:
            return (await db.execute(select(lots.c.nightly_at).where(lots.c.id == WAKABA))).scalar()

    return cloud.do(read())


# --- codes that the phone carried ------------------------------------------------------------------------------------


def redeemed(stay, number: int = 1, amount: int = 0) -> Redeemed:
    return Redeemed(number=number, at=now(), way=Way.CODE, actor="Sato", stay=stay, amount=amount)


def amount_of(cloud, order: str) -> int:
    async def read():
        async with cloud.cloud.store.read() as db:
            return (await db.execute(select(payments.c.amount).where(payments.c.order_id == order))).scalar_one()

    return int(cloud.do(read()))


def test_a_code_that_says_what_was_signed_counts_as_received(cloud, bridge):
    assert bridge.report(WAKABA, redeemed(bridge.stay, amount=amount_of(cloud, bridge.order)), settled()).ok
    cloud.until(lambda: cloud.standing(bridge.order) == "captured")
    assert alarm_codes(cloud) == []


@pytest.mark.parametrize("wrong", ["amount", "stay"])
def test_a_code_that_says_something_else_captures_nothing_and_waits_for_a_person(cloud, bridge, wrong):
    amount = amount_of(cloud, bridge.order)
    code = redeemed(OTHER, amount=amount) if wrong == "stay" else redeemed(bridge.stay, amount=amount - 100)
    assert bridge.report(WAKABA, code, settled()).ok
    assert cloud.standing(bridge.order) == "in_doubt"
    assert alarm_codes(cloud) == [Code.CONTRADICTION, Code.CONTRADICTION]
    assert not {"capture", "void", "refund"} & {verb for verb, _ in cloud.provider.calls}


def test_a_forged_number_that_is_refused_when_the_true_one_comes_frees_its_money(cloud, bridge):
    assert bridge.report(WAKABA, redeemed(OTHER, amount=600), settled()).ok
    aside = LotRefused(number=1, at=now(), code=Code.CONTRADICTION, detail="the number was taken")
    assert bridge.report(WAKABA, aside).ok
    cloud.until(lambda: cloud.standing(bridge.order) == "voided")


def test_a_code_with_a_number_that_was_never_signed_is_an_alarm(cloud, bridge):
    assert bridge.report(WAKABA, redeemed(bridge.stay, number=40, amount=600), Received(number=1, at=now())).ok
    assert alarm_codes(cloud) == [Code.CONTRADICTION]
    assert cloud.standing(bridge.order) == "authorized"
