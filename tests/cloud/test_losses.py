"""What becomes of money that nobody can settle by rule: losses, long waits, and the decisions of named persons."""

import json
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from sqlalchemy import select, update

from cloud import alarms, decisions
from cloud.__main__ import main
from cloud.decisions import Decision
from cloud.payments.base import ProviderState
from cloud.schema import lots, quotes
from cloud.schema_by_hand import decisions as decision_rows
from parking.errors import Code, Refused
from parking.outcome import Evidence, EvidenceKind, Level
from parking.reports import InDoubt, Received, Settled
from parking.reports import Refused as LotRefused

WAKABA = 1001
SATO = Decision("Sato", "saw the camera")


def now() -> datetime:
    return datetime.now(UTC)


def settled(number: int = 1) -> Settled:
    seen = (Evidence(EvidenceKind.OBSERVED, "plate down"),)
    return Settled(number=number, at=now(), level=Level.PHYSICALLY_OBSERVED, evidence=seen)


DOUBT = InDoubt(number=1, at=datetime(2026, 11, 24, tzinfo=UTC), code=Code.NO_REPLY, detail="silence")


def rows(cloud, read):
    async def work():
        async with cloud.cloud.store.read() as db:
            return await read(db, WAKABA)

    return cloud.do(work())


def codes(cloud) -> list[str]:
    return [row["code"] for row in rows(cloud, alarms.alarms_of)]


def decide(cloud, order: str, what: str, decision: Decision = SATO) -> None:
    async def work():
        async with cloud.cloud.store.write() as tx:
            if what == "refund":
                await decisions.refund(tx, cloud.cloud.orders, order, decision, now())
            else:
                await decisions.resolve(tx, cloud.cloud.orders, order, decision, settled=what == "settled", now=now())

    cloud.do(work())


def kept(cloud) -> list[tuple[str, str, str, str]]:
    async def read(db, lot):
        query = select(decision_rows).where(decision_rows.c.lot_id == lot).order_by(decision_rows.c.id)
        return [(row.verb, row.actor, row.reason, row.standing) for row in await db.execute(query)]

    return rows(cloud, read)


def refused_with(cloud, *words: object) -> Code:
    with pytest.raises(Refused) as caught:
        decide(cloud, *words)
    return caught.value.code


@pytest.fixture
def bridge(cloud):
    """The bridge of the lot with lock plates; the payment for bay 7 is authorized as completion 1."""
    made = cloud.bridge(WAKABA)
    made.stay = made.car(WAKABA, "7")
    made.token, made.order = cloud.pay("WAKABA1", "7")
    cloud.approve(made.order)
    return made


def test_a_release_that_turns_up_after_the_void_is_listed_as_a_loss_once_and_never_charged(cloud, bridge):
    refused = LotRefused(number=1, at=now(), code=Code.DEVICE_UNAVAILABLE, detail="no answer")
    assert bridge.report(WAKABA, refused).ok
    cloud.until(lambda: cloud.standing(bridge.order) == "voided")
    assert bridge.report(WAKABA, settled(), settled()).ok
    [loss] = rows(cloud, alarms.losses_of)
    assert loss["order_id"] == bridge.order
    assert "plate down" in loss["detail"]
    assert codes(cloud) == [Code.LOSS]
    assert ("capture", bridge.order) not in cloud.provider.calls


def test_an_authorization_that_has_lapsed_when_the_lot_settles_is_a_loss(cloud, bridge):
    cloud.do(expired(cloud, bridge.order))
    assert codes(cloud) == [Code.CONTRADICTION]
    # from now on the provider only repeats what it stated before
    cloud.provider.say(bridge.order, ProviderState.EXPIRED)
    cloud.provider.capture = cloud.provider.query  # a capture of nothing, as providers answer it
    assert bridge.report(WAKABA, settled()).ok
    cloud.until(lambda: cloud.standing(bridge.order) == "lost")
    assert [row["order_id"] for row in rows(cloud, alarms.losses_of)] == [bridge.order]
    assert cloud.stage(bridge.token) == "done"


async def expired(cloud, order: str) -> None:
    event = cloud.provider.say(order, ProviderState.EXPIRED)
    async with cloud.cloud.store.write() as tx:
        await cloud.cloud.orders.stated(tx, event, now())


def test_a_payment_that_waits_longer_than_the_lot_allows_raises_one_alarm(cloud, bridge):
    async def patience(seconds: int) -> None:
        async with cloud.cloud.store.write() as tx:
            await tx.connection.execute(update(lots).where(lots.c.id == WAKABA).values(alarm_seconds=seconds))

    cloud.do(patience(90))
    cloud.clock.ahead = timedelta(seconds=80)
    cloud.until(lambda: cloud.stage(bridge.token) == "attendant")
    assert codes(cloud) == []
    cloud.clock.ahead = timedelta(seconds=95)
    cloud.until(lambda: codes(cloud) == [Code.UNSETTLED])
    cloud.clock.ahead = timedelta(seconds=300)
    version = cloud.do(cloud.cloud.cashier.payment(bridge.token)).version
    cloud.do(cloud.cloud.cashier.changed(bridge.token, version, 2.5))  # rounds go by, nothing changes
    assert codes(cloud) == [Code.UNSETTLED]


def test_what_no_bridge_has_received_is_voided_by_itself_when_its_time_is_over(cloud, bridge):
    cloud.clock.ahead = timedelta(hours=23, minutes=59)
    cloud.cloud.lines.heard(WAKABA)
    cloud.until(lambda: Code.UNSETTLED in codes(cloud))
    assert cloud.standing(bridge.order) == "authorized"
    cloud.clock.ahead = timedelta(hours=24, seconds=5)
    cloud.until(lambda: cloud.standing(bridge.order) == "voided")
    page = cloud.do(cloud.cloud.cashier.payment(bridge.token))
    assert (page.stage, page.code) == ("not_charged", Code.LOT_OFFLINE)


def test_what_a_bridge_has_received_is_never_voided_by_time(cloud, bridge):
    assert bridge.report(WAKABA, Received(number=1, at=now())).ok
    cloud.clock.ahead = timedelta(days=3)
    cloud.until(lambda: set(codes(cloud)) == {Code.UNSETTLED, Code.EXPIRED}, 8)
    assert cloud.standing(bridge.order) == "authorized"
    assert ("void", bridge.order) not in cloud.provider.calls


@pytest.mark.parametrize(("verdict", "end"), [("settled", "captured"), ("not-settled", "voided")])
def test_a_doubt_that_a_replaced_bridge_left_is_decided_by_a_named_person(cloud, bridge, verdict, end):
    cloud.bridge(WAKABA)  # another PC takes the lot over
    assert cloud.standing(bridge.order) == "in_doubt"
    decide(cloud, bridge.order, verdict)
    cloud.until(lambda: cloud.standing(bridge.order) == end)
    assert kept(cloud) == [(verdict, "Sato", "saw the camera", "in_doubt")]


def test_what_a_machine_took_of_a_payment_that_was_let_go_is_the_loss_and_no_more(cloud, bridge):
    assert bridge.report(WAKABA, LotRefused(number=1, at=now(), code=Code.NO_REPLY, detail="silence")).ok
    cloud.until(lambda: cloud.standing(bridge.order) == "voided")
    assert bridge.report(WAKABA, msgspec.structs.replace(settled(), credited=10)).ok
    assert [loss["amount"] for loss in rows(cloud, alarms.losses_of)] == [10]


def test_a_doubt_of_which_only_the_most_is_known_is_not_settled_far_from_the_machine(cloud, bridge):
    async def coins():
        async with cloud.cloud.store.write() as tx:
            await tx.connection.execute(update(quotes).where(quotes.c.token == bridge.token).values(at_most=True))

    cloud.do(coins())
    cloud.bridge(WAKABA)
    assert refused_with(cloud, bridge.order, "settled") is Code.CONFLICT
    assert kept(cloud) == []
    decide(cloud, bridge.order, "not-settled")
    cloud.until(lambda: cloud.standing(bridge.order) == "voided")


def test_a_doubt_of_the_lots_own_bridge_is_decided_in_the_lot(cloud, bridge):
    assert refused_with(cloud, bridge.order, "settled") is Code.CONFLICT
    assert bridge.report(WAKABA, DOUBT).ok
    assert refused_with(cloud, bridge.order, "settled") is Code.CONFLICT
    assert (cloud.standing(bridge.order), kept(cloud)) == ("in_doubt", [])


def test_a_captured_payment_is_refunded_by_a_named_person_and_never_while_in_doubt(cloud, bridge):
    assert bridge.report(WAKABA, DOUBT).ok
    assert refused_with(cloud, bridge.order, "refund") is Code.CONFLICT
    assert bridge.report(WAKABA, settled()).ok
    cloud.until(lambda: cloud.standing(bridge.order) == "captured")
    assert refused_with(cloud, bridge.order, "refund", Decision(" ", "why")) is Code.CONFLICT
    decide(cloud, bridge.order, "refund")
    cloud.until(lambda: cloud.standing(bridge.order) == "refunded")
    assert refused_with(cloud, bridge.order, "refund") is Code.CONFLICT
    assert kept(cloud) == [("refund", "Sato", "saw the camera", "captured")]
    assert cloud.provider.calls.count(("refund", bridge.order)) == 1


def test_above_the_lots_limit_two_different_persons_decide(cloud, bridge):
    async def limit() -> None:
        async with cloud.cloud.store.write() as tx:
            await tx.connection.execute(update(lots).where(lots.c.id == WAKABA).values(two_persons_above=100))

    cloud.do(limit())
    assert bridge.report(WAKABA, settled()).ok
    cloud.until(lambda: cloud.standing(bridge.order) == "captured")
    for second in ("", "sato "):
        alone = Decision("Sato", "why", second)
        assert refused_with(cloud, bridge.order, "refund", alone) is Code.SECOND_PERSON
    decide(cloud, bridge.order, "refund", Decision("Sato", "why", "Abe"))
    cloud.until(lambda: cloud.standing(bridge.order) == "refunded")


def test_the_commands_list_and_decide_while_the_server_runs(cloud, bridge, config, tmp_path, capsys):
    cloud.bridge(WAKABA)
    file = tmp_path / "cloud.toml"
    file.write_text(
        f'database_url = "{config.database_url}"\nkey_file = "{config.key_file}"\n'
        '[payments]\nurl = "http://127.0.0.1:1"\nwebhook_secret = "wwwwwwwwwwwwwwwwwwww"\n'
    )

    def run(*words: str) -> tuple[int, str]:
        done = main([*words, "--config", str(file)])
        return done, capsys.readouterr().out

    why = ("--by", "Sato", "--reason", "saw the camera")
    assert run("refund", bridge.order, *why)[0] == 1
    assert run("resolve", bridge.order, "settled", *why) == (0, f"order {bridge.order} is settled now\n")
    cloud.until(lambda: cloud.standing(bridge.order) == "captured", 8)
    assert run("refund", bridge.order, *why)[0] == 0
    cloud.until(lambda: cloud.standing(bridge.order) == "refunded", 8)
    assert bridge.reply is not None
    for name in ("overrides", "claims", "losses", "alarms"):
        done, printed = run(name, "WAKABA1", "--json")
        assert (done, json.loads(printed)) == (0, [])
    assert run("overrides", "WAKABA1", "--unmatched")[1].startswith("at")
    assert run("alarms", "NOSUCH1")[0] == 1
