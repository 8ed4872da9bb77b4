"""Whoever has a code may ask; only a person who has compared the fingerprint lets a bridge in, and fences the other."""

import asyncio
import json
import sqlite3
from datetime import UTC, datetime, timedelta

import pytest
import requests
from alembic import command
from alembic.config import Config
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from cloud import approval
from cloud.__main__ import main
from cloud.presence import Presence
from cloud.store import MIGRATIONS, Store
from parking.errors import BadMessage, Code, Refused
from parking.reports import DeviceHealth
from parking.wire import Problem, decode

WAKABA, GATED = 1001, 1002
FEED = f"/bridge/v1/lots/{WAKABA}/feed?after=0&wait=0"
ASK = "/bridge/v1/enrolment"


def health() -> DeviceHealth:
    return DeviceHealth(device="plates", up=True, detail="ok", at=datetime.now(UTC))


def refused(answer: requests.Response, status: int, code: Code) -> str:
    problem = decode(answer.content, Problem)
    assert (answer.status_code, problem.code) == (status, code)
    return problem.detail


def decide(cloud, verb, bridge, by="Sato", reason=""):
    async def work():
        async with cloud.cloud.store.write() as tx:
            await verb(tx, bridge.id, by, reason, cloud.clock())

    cloud.do(work())


def listed(cloud):
    async def work():
        async with cloud.cloud.store.read() as db:
            return await approval.listed(db, cloud.clock()), await approval.acts(db)

    return cloud.do(work())


def state(cloud, bridge):
    return next(row["state"] for row in listed(cloud)[0] if row["id"] == bridge.id)


# --- the code --------------------------------------------------------------------------------------------------------


def test_a_code_lets_one_key_ask_once(cloud, lot_bridge):
    code, bridge = cloud.code(WAKABA), lot_bridge(cloud.url)
    assert bridge.enrol(f" {code.lower().replace('-', ' ')} ").status_code == 200
    assert bridge.pending.fingerprint == bridge.fingerprint
    refused(lot_bridge(cloud.url).enrol(code), 403, Code.ENROL_CODE)


def test_an_answer_that_was_lost_is_given_again_to_the_same_key_even_after_the_code_has_died(cloud):
    bridge = cloud.waiting()
    first = bridge.id
    code = cloud.code(WAKABA)
    assert bridge.enrol(code).ok
    second = bridge.id
    assert second != first
    cloud.clock.ahead = timedelta(minutes=20)
    assert bridge.enrol(code).ok
    assert bridge.id == second
    assert len(listed(cloud)[0]) == 2


def test_a_code_that_was_never_made_lets_nobody_ask(cloud, lot_bridge):
    refused(lot_bridge(cloud.url).enrol("AAAA-BBBB-CCCC"), 403, Code.ENROL_CODE)


# --- before the approval ---------------------------------------------------------------------------------------------


def test_a_stolen_code_does_no_harm_to_a_running_lot(cloud):
    mine = cloud.bridge(WAKABA)
    mine.car(WAKABA, "7")
    token, order = cloud.pay("WAKABA1", "7")
    cloud.approve(order)
    thief = cloud.waiting(WAKABA)
    for path in (FEED, f"/bridge/v1/lots/{WAKABA}/keys", ASK):
        refused(thief.get(path), 403, Code.NOT_APPROVED)
    thief.reply = mine.reply  # even with everything else right
    refused(thief.report(WAKABA, health()), 403, Code.NOT_APPROVED)
    assert mine.get(FEED).ok
    assert mine.report(WAKABA, health()).ok
    assert mine.fetch().ok
    assert mine.generation == 1
    assert cloud.standing(order) == "authorized"
    assert cloud.stage(token) != "attendant"


def test_the_former_bridge_works_until_the_very_approval_and_its_feed_ends_with_it(cloud):
    old = cloud.bridge(WAKABA)
    with old.get(f"/bridge/v1/lots/{WAKABA}/feed", stream=True) as stream:
        lines = stream.iter_lines(chunk_size=1)
        next(lines)
        new = cloud.waiting(WAKABA)
        assert old.report(WAKABA, health()).ok
        cloud.let_in(new)
        assert b"event: completion" not in list(lines)
    refused(old.report(WAKABA, health()), 403, Code.STALE_GENERATION)
    refused(old.get(ASK), 403, Code.STALE_GENERATION)
    assert new.fetch().ok
    assert (new.reply.lots, new.generation) == ((WAKABA,), 2)
    assert new.report(WAKABA, health()).ok


def test_an_approved_bridge_may_ask_again_and_hears_the_same(cloud):
    bridge = cloud.bridge(WAKABA, GATED)
    first = bridge.reply
    assert bridge.fetch().ok
    assert (bridge.reply.lots, bridge.generation) == (first.lots, first.generation) == ((WAKABA, GATED), 1)


def test_only_the_key_that_enrolled_may_ask_what_came_of_it(cloud):
    bridge = cloud.waiting(WAKABA)
    refused(requests.get(cloud.url + ASK, timeout=5), 401, Code.BAD_SIGNATURE)
    own, bridge.key = bridge.key, Ed25519PrivateKey.generate()
    refused(bridge.get(ASK), 401, Code.BAD_SIGNATURE)
    bridge.key = own
    prepared = bridge.signed("GET", ASK)
    refused(bridge.send(prepared), 403, Code.NOT_APPROVED)
    refused(bridge.send(prepared), 401, Code.REPLAYED)


# --- what a person decides -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shown", ["", "0000-0000-0000-0000", "another"])
def test_another_fingerprint_is_refused_and_the_bridge_goes_on_waiting(cloud, shown):
    old, thief = cloud.bridge(WAKABA), cloud.waiting(WAKABA)
    honest = cloud.waiting(GATED)
    with pytest.raises(Refused, match="another one") as caught:
        cloud.let_in(thief, shown=honest.fingerprint if shown == "another" else shown or " ")
    assert caught.value.code is Code.FINGERPRINT
    assert "do not approve" in caught.value.remedy
    assert state(cloud, thief) == "pending"
    assert old.get(FEED).ok


def test_a_fingerprint_may_be_typed_without_its_dashes_and_in_small_letters(cloud):
    bridge = cloud.waiting(WAKABA)
    cloud.let_in(bridge, shown=bridge.fingerprint.lower().replace("-", " "))
    assert state(cloud, bridge) == "approved"


def test_a_request_that_nobody_approves_in_a_day_is_over(cloud):
    bridge = cloud.waiting(WAKABA)
    cloud.clock.ahead = timedelta(hours=23, minutes=59)
    refused(bridge.send(bridge.signed("GET", ASK, created=cloud.clock())), 403, Code.NOT_APPROVED)
    cloud.clock.ahead = timedelta(hours=24, seconds=1)
    said = refused(bridge.send(bridge.signed("GET", ASK, created=cloud.clock())), 401, Code.NOT_ENROLLED)
    assert "24 hours" in said
    with pytest.raises(Refused, match="expired") as caught:
        cloud.let_in(bridge)
    assert caught.value.code is Code.CONFLICT


def test_who_is_turned_down_is_told_and_cannot_be_approved_any_more(cloud):
    old, thief = cloud.bridge(WAKABA), cloud.waiting(WAKABA)
    decide(cloud, approval.reject, thief, reason="nobody of ours")
    assert "rejected" in refused(thief.get(ASK), 401, Code.NOT_ENROLLED)
    with pytest.raises(Refused, match="rejected"):
        cloud.let_in(thief)
    with pytest.raises(Refused, match="rejected"):
        decide(cloud, approval.reject, thief)
    assert old.get(FEED).ok


def test_an_approval_happens_once(cloud):
    bridge = cloud.bridge(WAKABA)
    with pytest.raises(Refused, match=r"approved \(by Sato") as caught:
        cloud.let_in(bridge)
    assert caught.value.code is Code.CONFLICT
    with pytest.raises(Refused, match="approved") as caught:
        decide(cloud, approval.reject, bridge)
    assert "revoke" in caught.value.remedy
    assert bridge.get(FEED).ok


def test_what_asked_before_another_was_approved_cannot_be_approved_after_it(cloud):
    older, newer = cloud.waiting(WAKABA, GATED), cloud.waiting(WAKABA)
    cloud.let_in(newer)
    with pytest.raises(Refused, match="rejected"):
        cloud.let_in(older)
    assert newer.get(FEED).ok
    assert "rejected" in refused(older.get(ASK), 401, Code.NOT_ENROLLED)
    assert f"bridge {newer.id} was approved" in [act["detail"] for act in listed(cloud)[1]]


def test_who_waits_for_another_lot_goes_on_waiting(cloud):
    other = cloud.waiting(GATED)
    cloud.let_in(cloud.waiting(WAKABA))
    cloud.let_in(other)
    assert other.fetch().ok


def test_a_bridge_of_two_lots_that_lost_one_hears_of_the_other_alone(cloud):
    both = cloud.bridge(WAKABA, GATED)
    cloud.bridge(WAKABA)
    assert both.fetch().ok
    assert both.reply.lots == (GATED,)


def test_a_revoked_bridge_is_refused_at_once_and_its_feed_ends(cloud):
    bridge = cloud.bridge(WAKABA)
    bridge.car(WAKABA, "7")
    with bridge.get(f"/bridge/v1/lots/{WAKABA}/feed", stream=True) as stream:
        lines = stream.iter_lines(chunk_size=1)
        next(lines)
        order = cloud.pay("WAKABA1", "7")[1]
        decide(cloud, approval.revoke, bridge, reason="stolen")
        cloud.approve(order)
        assert b"event: completion" not in list(lines)
    for path in (FEED, f"/bridge/v1/lots/{WAKABA}/keys", ASK):
        assert "revoked" in refused(bridge.get(path), 401, Code.NOT_ENROLLED)
    refused(bridge.report(WAKABA, health()), 401, Code.NOT_ENROLLED)
    with pytest.raises(Refused, match="revoked"):
        decide(cloud, approval.revoke, bridge)


def test_a_bridge_that_waits_is_rejected_not_revoked(cloud):
    bridge = cloud.waiting(WAKABA)
    with pytest.raises(Refused, match="pending") as caught:
        decide(cloud, approval.revoke, bridge)
    assert "reject" in caught.value.remedy


def test_every_decision_is_kept_with_who_what_and_when(cloud):
    first, second, third = cloud.waiting(WAKABA), cloud.waiting(GATED), cloud.waiting(GATED)
    cloud.let_in(first, by="佐藤")
    decide(cloud, approval.reject, second, by="Tanaka", reason="typo in the code")
    decide(cloud, approval.revoke, first, by="Suzuki", reason="PC stolen")
    kept = [(act["bridge_id"], act["verb"], act["actor"], act["detail"]) for act in listed(cloud)[1]]
    assert kept == [
        (first.id, "approve", "佐藤", f"fingerprint {first.fingerprint}, generation 1"),
        (second.id, "reject", "Tanaka", "typo in the code"),
        (first.id, "revoke", "Suzuki", "PC stolen"),
    ]
    for verb in (approval.reject, approval.revoke):
        with pytest.raises(BadMessage, match="name"):
            decide(cloud, verb, third if verb is approval.reject else cloud.bridge(WAKABA), by=" ")
    assert state(cloud, third) == "pending"


def test_the_list_says_when_a_bridge_was_last_there_also_if_it_only_listens(cloud):
    bridge = cloud.bridge(WAKABA)
    heard = datetime.fromisoformat(listed(cloud)[0][0]["heard_at"])
    assert datetime.now(UTC) - heard < timedelta(seconds=20)
    cloud.clock.ahead = timedelta(minutes=5)
    presence = Presence(cloud.cloud.store, cloud.cloud.lines, cloud.clock)
    cloud.do(presence.round())
    assert datetime.fromisoformat(listed(cloud)[0][0]["heard_at"]) == heard
    with bridge.send(bridge.signed("GET", FEED[:-7], created=cloud.clock()), stream=True):
        cloud.clock.ahead = timedelta(minutes=9)
        cloud.do(presence.round())
    assert datetime.fromisoformat(listed(cloud)[0][0]["heard_at"]) - heard > timedelta(minutes=8)


# --- the commands, beside a running server ---------------------------------------------------------------------------


@pytest.fixture
def say(tmp_path, capsys):
    """Runs `python -m cloud bridge …` on the cloud's own database."""
    file = tmp_path / "cloud.toml"
    file.write_text('[payments]\nurl = "http://127.0.0.1:1"\napi_key = "k"\nwebhook_secret = "wwwwwwwwwwwwwwwwwwww"\n')

    def run(*words):
        capsys.readouterr()
        status = main(["bridge", *words, "--config", str(file)])
        out, err = capsys.readouterr()
        return status, out, err

    return run


def test_the_commands_approve_list_and_revoke_while_the_server_runs(cloud, say):
    bridge = cloud.waiting(WAKABA)
    status, out, _ = say("list", "--json")
    [row] = json.loads(out)
    assert (status, row["state"], row["lots"]) == (0, "pending", ["WAKABA1"])
    assert (row["name"], row["software"], row["fingerprint"]) == ("office", "test", bridge.fingerprint)
    status, _, err = say("approve", bridge.id, "--by", "Sato")
    assert status == 1
    assert "[fingerprint]" in err
    status, _, err = say("approve", bridge.id, "--by", "Sato", "--fingerprint", "1111-2222-3333-4444")
    assert status == 1
    assert "do not approve it" in err
    assert bridge.fingerprint not in err  # or somebody would copy it
    assert say("approve", bridge.id, "--by", "Sato", "--fingerprint", bridge.fingerprint)[0] == 0
    assert bridge.fetch().ok
    with bridge.get(f"/bridge/v1/lots/{WAKABA}/feed", stream=True) as stream:
        lines = stream.iter_lines(chunk_size=1)
        next(lines)
        assert say("revoke", bridge.id, "--by", "Sato", "--reason", "stolen")[0] == 0
        list(lines)  # the server finds it by itself, within a heartbeat
    assert bridge.get(FEED).status_code == 401
    assert "approve" in say("acts")[1]
    assert "revoked" in say("list")[1]


# --- what was there before -------------------------------------------------------------------------------------------


def test_bridges_of_before_are_approved_and_those_revoked_stay_so(tmp_path):
    url = f"sqlite+aiosqlite:///{tmp_path / 'cloud.sqlite3'}"

    def to_0004(connection):
        config = Config()
        config.set_main_option("script_location", str(MIGRATIONS))
        config.attributes["connection"] = connection
        command.upgrade(config, "0004")

    async def migrate(step=None):
        store = Store(url)
        if step is None:
            await store.migrate()
        else:
            async with store.write() as tx:
                await tx.connection.run_sync(step)
        await store.close()

    asyncio.run(migrate(to_0004))
    with sqlite3.connect(tmp_path / "cloud.sqlite3") as db:
        insert = "INSERT INTO bridges (id, public_key, generation, name, software, enrolled_at, revoked_at)"
        db.execute(f"{insert} VALUES ('b1', x'00', 1, 'n', 's', 5, NULL), ('b2', x'00', 2, 'n', 's', 6, 7)")
    asyncio.run(migrate())
    assert db.execute("SELECT id, state, asked_at FROM bridges ORDER BY id").fetchall() == [
        ("b1", "approved", 5),
        ("b2", "revoked", 6),
    ]
    db.close()
