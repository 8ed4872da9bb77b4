"""Leave now, pay later: only when payment is impossible, only within the day's budget, and it is paid, or a loss."""

import asyncio
import uuid
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, update

from cloud import alarms, claims
from cloud.claims import ClaimState
from cloud.payments.base import ProviderState
from cloud.payments.claim import ClaimProvider
from cloud.schema import lots
from parking.errors import BadMessage, Code, Environment, NotSent, Refused, Uncertain
from parking.outcome import Evidence, EvidenceKind, Level
from parking.reports import Claim, Override, Settled, StayClosed, Whose
from parking.reports import Refused as LotRefused

WAKABA = 1001
DOWN = NotSent(Code.PROVIDER, "the line is cut")
HAND_MADE = "01JDEXAMP1E00000000000000A"


def now() -> datetime:
    return datetime.now(UTC)


def settled(number: int) -> Settled:
    seen = (Evidence(EvidenceKind.OBSERVED, "plate down"),)
    return Settled(number=number, at=now(), level=Level.PHYSICALLY_OBSERVED, evidence=seen)


def policy(cloud, **values) -> None:
    async def write():
        async with cloud.cloud.store.write() as tx:
            await tx.connection.execute(update(lots).where(lots.c.id == WAKABA).values(**values))

    cloud.do(write())


def rows(cloud, read=claims.listed):
    async def work():
        async with cloud.cloud.store.read() as db:
            return await read(db, WAKABA)

    return cloud.do(work())


def impossible(cloud, bay: str, error: Exception = DOWN) -> str:
    """The driver asks for the fee and finds the provider down; the quote's token."""
    cloud.provider.trouble.append(("begin", error, False))
    quote = cloud.do(cloud.cloud.cashier.fee("WAKABA1", bay, ""))
    with pytest.raises(Environment) as caught:
        cloud.do(cloud.cloud.cashier.pay(quote.token, "en"))
    assert caught.value.code is Code.PROVIDER
    return str(quote.token)


@pytest.fixture
def bridge(cloud):
    """The bridge of a lot that lets out against claims, with cars in bays 7, 8 and 9."""
    made = cloud.bridge(WAKABA)
    made.stays = {bay: made.car(WAKABA, bay) for bay in ("7", "8", "9")}
    policy(cloud, when_down="claim")
    return made


def leave(cloud, bridge, bay: str = "7", number: int = 1) -> tuple[str, str]:
    """A driver leaves against a claim and the lot lets him out: the quote's token, the claim's name."""
    token = impossible(cloud, bay)
    assert cloud.do(cloud.cloud.cashier.claim_offer(token)) is not None
    cloud.do(cloud.cloud.cashier.claim(token))
    assert bridge.report(WAKABA, settled(number)).ok
    cloud.until(lambda: cloud.standing(cloud.order(token)) == "captured")
    return token, cloud.do(cloud.cloud.cashier.payment(token)).claim


def test_a_claim_takes_the_whole_road_and_is_due_once_the_car_could_leave(cloud, bridge):
    token = impossible(cloud, "7")
    assert cloud.do(cloud.cloud.cashier.claim(token)).endswith(f"/p/{token}")
    page = cloud.do(cloud.cloud.cashier.payment(token))
    assert (page.stage, page.reference) == ("releasing", "DK-1001-1")
    assert [row["state"] for row in rows(cloud)] == ["held"]
    assert bridge.report(WAKABA, settled(1)).ok
    cloud.until(lambda: cloud.stage(token) == "done" and rows(cloud)[0]["state"] == "due")
    assert not {"capture", "void", "refund"} & {verb for verb, _ in cloud.provider.calls}
    cloud.do(cloud.cloud.cashier.claim(token))  # the button twice
    assert len(rows(cloud)) == 1


def test_a_claim_of_a_car_that_was_not_let_out_is_cancelled(cloud, bridge):
    token = impossible(cloud, "7")
    cloud.do(cloud.cloud.cashier.claim(token))
    assert bridge.report(WAKABA, LotRefused(number=1, at=now(), code=Code.DEVICE_REFUSED, detail="no")).ok
    cloud.until(lambda: cloud.standing(cloud.order(token)) == "voided")
    assert [row["state"] for row in rows(cloud)] == ["cancelled"]


@pytest.mark.parametrize("error", [DOWN, Uncertain(Code.PROVIDER, "silence")], ids=["not-sent", "uncertain"])
@pytest.mark.parametrize("when_down", ["hold", "attendant"])
def test_where_the_policy_does_not_allow_it_nobody_leaves_against_a_claim(cloud, bridge, when_down, error):
    policy(cloud, when_down=when_down)
    token = impossible(cloud, "7", error)
    assert cloud.do(cloud.cloud.cashier.claim_offer(token)) is None
    with pytest.raises(Refused) as caught:
        cloud.do(cloud.cloud.cashier.claim(token))
    assert caught.value.code is Code.CLAIM_POLICY
    assert rows(cloud) == []


def test_who_could_pay_may_not_leave_against_a_claim(cloud, bridge):
    token, _ = cloud.pay("WAKABA1", "7")
    untried = cloud.do(cloud.cloud.cashier.fee("WAKABA1", "8", "")).token
    stale = impossible(cloud, "9")
    cloud.clock.ahead = timedelta(minutes=2, seconds=1)
    cloud.cloud.lines.heard(WAKABA)
    for one in (token, untried, stale):
        assert cloud.do(cloud.cloud.cashier.claim_offer(one)) is None
        with pytest.raises(Refused) as caught:
            cloud.do(cloud.cloud.cashier.claim(one))
        # Two minutes later the price may have changed with the hour, and with it the fee that was shown.
        assert caught.value.code in (Code.CONFLICT, Code.QUOTE_EXPIRED)
    assert rows(cloud) == []


def test_a_provider_that_is_back_takes_the_payment_after_all(cloud, bridge):
    token = impossible(cloud, "7")
    assert cloud.do(cloud.cloud.cashier.pay(token, "en")).startswith("https://shelf.example/")
    assert cloud.do(cloud.cloud.cashier.claim_offer(token)) is None
    cloud.approve(cloud.order(token))
    assert cloud.stage(token) == "releasing"


def test_claims_at_the_same_moment_never_exceed_the_days_budget(cloud, bridge):
    tokens = [impossible(cloud, bay) for bay in ("7", "8", "9")]
    each = cloud.do(cloud.cloud.cashier.quote(tokens[0])).amount
    policy(cloud, loss_budget=2 * each + each // 2)

    async def at_once():
        asked = (cloud.cloud.cashier.claim(token) for token in tokens)
        return await asyncio.gather(*asked, return_exceptions=True)

    refused = [one for one in cloud.do(at_once()) if isinstance(one, Refused)]
    assert [error.code for error in refused] == [Code.BUDGET]
    assert sum(row["amount"] for row in rows(cloud)) == 2 * each


def test_the_budget_begins_anew_with_the_lots_day_and_a_cancelled_claim_frees_its_part(cloud, bridge):
    token = impossible(cloud, "7")
    policy(cloud, loss_budget=cloud.do(cloud.cloud.cashier.quote(token)).amount)
    cloud.do(cloud.cloud.cashier.claim(token))
    assert cloud.do(cloud.cloud.cashier.claim_offer(impossible(cloud, "8"))) is None
    assert bridge.report(WAKABA, LotRefused(number=1, at=now(), code=Code.DEVICE_REFUSED, detail="no")).ok
    cloud.until(lambda: [row["state"] for row in rows(cloud)] == ["cancelled"])
    assert cloud.do(cloud.cloud.cashier.claim_offer(impossible(cloud, "9"))) is not None


def test_a_claim_is_paid_later_at_once_without_any_completion(cloud, bridge):
    _, claim = leave(cloud, bridge)
    assert bridge.report(WAKABA, StayClosed(stay=bridge.stays["7"], at=now())).ok
    url = cloud.do(cloud.cloud.cashier.pay_claim(claim, "ja"))
    assert cloud.do(cloud.cloud.cashier.pay_claim(claim, "ja")) == url
    order = url.rpartition("/")[2]
    assert cloud.do(cloud.cloud.cashier.claim_page(claim)).paying
    cloud.approve(order)
    cloud.until(lambda: cloud.standing(order) == "captured")
    page = cloud.do(cloud.cloud.cashier.claim_page(claim))
    assert (page.state, page.paying) == ("paid", False)
    assert number_of_completions(cloud) == 1
    with pytest.raises(Refused) as caught:
        cloud.do(cloud.cloud.cashier.pay_claim(claim, "ja"))
    assert caught.value.code is Code.ALREADY_PAID


def test_the_payment_of_a_claim_that_comes_too_late_is_voided_and_the_claim_stays_due(cloud, bridge):
    _, claim = leave(cloud, bridge)
    order = cloud.do(cloud.cloud.cashier.pay_claim(claim, "ja")).rpartition("/")[2]
    cloud.clock.ahead = timedelta(minutes=16)
    late = cloud.provider.say(order, ProviderState.AUTHORIZED)
    cloud.do(cloud.cloud.cashier.apply(_later(late, timedelta(minutes=16))))
    cloud.until(lambda: cloud.standing(order) == "voided")
    assert cloud.do(cloud.cloud.cashier.claim_page(claim)).state == "due"


def test_a_claim_that_nobody_pays_in_time_is_a_loss_once(cloud, bridge):
    policy(cloud, claim_days=1)
    _, claim = leave(cloud, bridge)
    cloud.clock.ahead = timedelta(days=1, seconds=5)
    cloud.until(lambda: rows(cloud)[0]["state"] == "expired")
    cloud.clock.ahead = timedelta(days=2)
    [loss] = rows(cloud, alarms.losses_of)
    assert (loss["claim_id"], loss["amount"]) == (claim, rows(cloud)[0]["amount"])
    assert [row["code"] for row in rows(cloud, alarms.alarms_of)].count(Code.LOSS) == 1
    with pytest.raises(Refused) as caught:
        cloud.do(cloud.cloud.cashier.pay_claim(claim, "ja"))
    assert caught.value.code is Code.EXPIRED


def by_hand(bridge, amount: int = 600, outcome: str = "confirmed") -> Override:
    until = (now() + timedelta(days=14)).replace(microsecond=0)
    return Override(
        command_id=str(uuid.uuid4()), verb="release", exit="P7", actor="Sato", reason="provider down", at=now(),
        stay=bridge.stays["7"], outcome=outcome, whose=Whose.STAY,
        claim=Claim(claim_id=HAND_MADE, amount=amount, until=until),
    )  # fmt: skip


def test_a_claim_made_by_the_attendant_is_due_at_once_and_counts_for_the_stays_fee(cloud, bridge):
    assert bridge.report(WAKABA, by_hand(bridge, amount=9_000)).ok
    assert [(row["state"], row["actor"]) for row in rows(cloud)] == [("due", "Sato")]
    with pytest.raises(Refused) as caught:
        cloud.do(cloud.cloud.cashier.fee("WAKABA1", "7", ""))
    assert caught.value.code is Code.ALREADY_PAID
    # the car has left, so it is kept; that the budget was overrun is for a person to know
    assert [row["code"] for row in rows(cloud, alarms.alarms_of)] == [Code.BUDGET]
    order = cloud.do(cloud.cloud.cashier.pay_claim(HAND_MADE, "ja")).rpartition("/")[2]
    cloud.approve(order)
    cloud.until(lambda: rows(cloud)[0]["state"] == "paid")


def test_a_claim_by_hand_of_which_the_device_refused_to_open_is_cancelled(cloud, bridge):
    assert bridge.report(WAKABA, by_hand(bridge, outcome="refused")).ok
    assert [row["state"] for row in rows(cloud)] == ["cancelled"]


def test_a_claim_that_is_known_with_another_amount_is_an_alarm_and_is_not_changed(cloud, bridge):
    assert bridge.report(WAKABA, by_hand(bridge), by_hand(bridge, amount=100)).ok
    assert [row["amount"] for row in rows(cloud)] == [600]
    assert [row["code"] for row in rows(cloud, alarms.alarms_of)] == [Code.CONTRADICTION]


def test_a_claim_that_is_given_up_by_a_person_is_not_due_any_more(cloud, bridge):
    _, claim = leave(cloud, bridge)
    provider = ClaimProvider(cloud.cloud.store, cloud.clock)
    order = rows(cloud)[0]["order_id"]
    assert cloud.do(provider.refund(order, claim, rows(cloud)[0]["amount"])).state is ProviderState.REFUNDED
    assert cloud.do(provider.query(order, claim)).state is ProviderState.REFUNDED
    with pytest.raises(Refused):
        cloud.do(cloud.cloud.cashier.pay_claim(claim, "ja"))
    with pytest.raises(BadMessage):
        provider.parse_webhook({}, b"{}", now())


def test_an_unknown_claim_is_not_found(cloud):
    for ask in (cloud.cloud.cashier.claim_page(HAND_MADE), cloud.cloud.cashier.pay_claim(HAND_MADE, "en")):
        with pytest.raises(Refused) as caught:
            cloud.do(ask)
        assert caught.value.code is Code.NOT_FOUND


# --- a free exit -----------------------------------------------------------------------------------------------------


def test_a_free_exit_is_released_by_phone_without_any_provider(cloud):
    bridge = cloud.bridge(WAKABA)
    bridge.car(WAKABA, "7", minutes=0)
    policy(cloud, tariff=free_for_an_hour(cloud))
    quote = cloud.do(cloud.cloud.cashier.fee("WAKABA1", "7", ""))
    assert quote.amount == 0
    assert cloud.do(cloud.cloud.cashier.pay(quote.token, "en")).endswith(f"/p/{quote.token}")
    page = cloud.do(cloud.cloud.cashier.payment(quote.token))
    assert (page.stage, page.reference) == ("releasing", "DK-1001-1")
    assert bridge.report(WAKABA, settled(1)).ok
    cloud.until(lambda: cloud.stage(quote.token) == "done")
    cloud.until(lambda: cloud.standing(cloud.order(quote.token)) == "captured")
    assert cloud.provider.calls == []


@given(seconds=st.floats(1.7e9, 4e9))
def test_names_of_claims_read_like_the_bridges_own(seconds):
    at = datetime.fromtimestamp(seconds, UTC)
    made = claims.new_id(at)
    assert Claim(claim_id=made, amount=1, until=at).claim_id == made
    assert len(made) == 26
    assert claims.new_id(at + timedelta(milliseconds=1))[:10] >= made[:10]


def test_every_state_of_a_claim_is_known_to_its_provider(cloud, bridge):
    leave(cloud, bridge)
    provider = ClaimProvider(cloud.cloud.store, cloud.clock)
    row = rows(cloud)[0]

    async def at(state: ClaimState):
        async with cloud.cloud.store.write() as tx:
            await claims.turn(tx, row["claim_id"], state, now(), *ClaimState)
        return await provider.query(row["order_id"], row["claim_id"])

    stated = {state: cloud.do(at(state)).state for state in ClaimState}
    taken = {ClaimState.DUE, ClaimState.PAID, ClaimState.EXPIRED}
    assert {state for state in stated if stated[state] is ProviderState.CAPTURED} == taken


def number_of_completions(cloud) -> int:
    async def read():
        async with cloud.cloud.store.read() as db:
            return (await db.execute(select(lots.c.completions).where(lots.c.id == WAKABA))).scalar_one()

    return int(cloud.do(read()))


def free_for_an_hour(cloud) -> str:
    async def read():
        async with cloud.cloud.store.read() as db:
            return (await db.execute(select(lots.c.tariff).where(lots.c.id == WAKABA))).scalar_one()

    tariff = msgspec.json.decode(cloud.do(read()))
    return msgspec.json.encode({**tariff, "free_minutes": 60}).decode()


def _later(event, by: timedelta):
    return replace(event, at=event.at + by)
