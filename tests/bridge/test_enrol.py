"""Enrolment against a real cloud: one code, one key that stays here, one identity on disk."""

import threading
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bridge import keys
from bridge.await_approval import ApprovalWait, CloudTime, Patience
from bridge.enrol import advice, enrol
from bridge.journal import Journal
from bridge.uplink.cloud_line import Refusal
from bridge.uplink.uplink import Uplink
from parking.errors import BadMessage, Code, Environment, Refused
from parking.signing import fingerprint
from parking.wire import EnrolPending, encode

pytestmark = pytest.mark.usefixtures("threads_clean")


@pytest.fixture
def config(real_cloud, bridge_config):
    return bridge_config(real_cloud.url)


@pytest.fixture
def said():
    return []


def test_a_code_becomes_an_identity(real_cloud, config, said):
    identity = enrol(config, " CODE-1 ", said.append)
    assert identity == keys.load_identity(config.data)
    assert (identity.bridge_id, identity.generation, identity.lots) == ("B-7", 3, (1001,))
    assert identity.cloud_url == real_cloud.url
    assert any(fingerprint(keys.load_key(config.data).public_bytes) in line for line in said)
    assert real_cloud.enrolled_name == "office PC"
    assert "signature" not in real_cloud.heads["enrol"][0]
    assert 'keyid="B-7"' in real_cloud.heads["enrolment"][0]["signature-input"]
    assert keys.load_pending(config.data) is None


def test_the_private_key_is_not_in_anything_that_is_sent_or_said(real_cloud, config, said):
    enrol(config, "CODE-1", said.append)
    from parking.signing import to_text

    seed = keys.load_key(config.data).seed
    for text in (*said, str(real_cloud.heads), (config.data / "identity.json").read_text()):
        assert to_text(seed) not in text
        assert seed.hex() not in text


def test_what_was_enrolled_can_talk(real_cloud, config, inbox, quick, until):
    identity = enrol(config, "CODE-1", print)
    real_cloud.add(1)
    key = keys.load_key(config.data)
    uplink = Uplink(config, identity, key, inbox, 1001, lambda: datetime.now(UTC), quick)
    uplink.start()
    until(lambda: inbox.cursor(1001) == 1)
    uplink.stop()
    assert real_cloud.forgeries == []


def test_a_refused_code_is_told_in_the_clouds_words_and_the_key_is_kept_for_the_next_try(real_cloud, config, said):
    with pytest.raises(Refusal) as caught:
        enrol(config, "OLD", said.append)
    assert caught.value.code is Code.ENROL_CODE
    assert "ask the operator for a new one" in str(caught.value)
    assert not (config.data / "identity.json").exists()
    first = keys.load_key(config.data)
    enrol(config, "CODE-1", said.append)
    assert keys.load_key(config.data).seed == first.seed


def test_a_second_enrolment_needs_again(real_cloud, config, said):
    enrol(config, "CODE-1", said.append)
    real_cloud.codes.add("CODE-2")
    with pytest.raises(Refused) as caught:
        enrol(config, "CODE-2", said.append)
    assert caught.value.code is Code.CONFLICT
    assert "--again" in caught.value.remedy
    assert real_cloud.count("enrol") == 1  # the code was not spent
    enrol(config, "CODE-2", said.append, again=True)
    assert real_cloud.codes == set()


def test_again_mends_a_damaged_identity(real_cloud, config, said):
    config.data.mkdir()
    (config.data / "identity.json").write_text("{")
    (config.data / "identity.json").chmod(0o600)
    with pytest.raises(Environment):
        enrol(config, "CODE-1", said.append)
    enrol(config, "CODE-1", said.append, again=True)
    assert keys.load_identity(config.data).bridge_id == "B-7"


def test_lots_that_the_code_does_not_cover_and_a_wrong_clock_are_pointed_out(real_cloud, config, said):
    real_cloud.skew = timedelta(seconds=-500)
    enrol(replace(config, lots={1002: None}), "CODE-1", said.append)
    assert any("1002" in line and "注意" in line for line in said)
    assert any("+500 s" in line for line in said)
    assert real_cloud.count("enrolment") == 1  # signed by the cloud's time, and so taken at once


@pytest.mark.parametrize(
    "reply",
    [
        b"<html>",
        b'{"schema":2}',
        b'{"schema":1,"bridge_id":"B","generation":1,"lots":[1],"server_time":"2026-01-01T00:00:00Z",%b}'
        % b'"completion_keys":[{"key_id":1,"public_key":"AAAA"}]',
    ],
)
@pytest.mark.parametrize("door", ["enrol", "enrolment"])
def test_a_garbled_reply_stores_nothing(real_cloud, config, said, reply, door):
    real_cloud.force[door] = (200, reply)
    with pytest.raises(BadMessage):
        enrol(config, "CODE-1", said.append)
    assert not (config.data / "identity.json").exists()


def test_a_cloud_that_is_not_there_is_told_with_a_remedy(real_cloud, config, said):
    real_cloud.stop()
    with pytest.raises(Environment) as caught:
        enrol(config, "CODE-1", said.append)
    assert caught.value.code is Code.LINK_DOWN
    assert "[cloud] url" in caught.value.remedy


def test_enrolment_gives_the_journal_its_birth_mark_and_again_a_new_one(real_cloud, config, said):
    enrol(config, "CODE-1", said.append)
    with closing(Journal(config.data / "journal.db")) as journal:
        assert journal.generation(1001) == 3
    real_cloud.codes.add("CODE-2")
    real_cloud.generation = 4
    enrol(config, "CODE-2", said.append, again=True)
    with closing(Journal(config.data / "journal.db")) as journal:
        assert journal.generation(1001) == 4


def test_a_place_that_takes_no_journal_is_found_before_the_code_is_spent(real_cloud, config, said):
    config.data.mkdir()
    (config.data / "journal.db").mkdir()
    with pytest.raises(Environment) as caught:
        enrol(config, "CODE-1", said.append)
    assert caught.value.code is Code.DISK
    assert real_cloud.codes == {"CODE-1"}


# --- the wait for a person -------------------------------------------------------------------------------------------

ONCE = Patience(wait=0.0)
QUICK = Patience(wait=20.0, every=0.02, tell=0.05)


def wait_in_vain(config, code, said):
    with pytest.raises(Refused) as caught:
        enrol(config, code, said.append, patience=ONCE)
    assert caught.value.code is Code.NOT_APPROVED
    assert "same command" in caught.value.remedy


def test_nothing_is_ours_until_a_person_approves_and_no_second_code_is_needed(real_cloud, config, said):
    real_cloud.approved = False
    wait_in_vain(config, "CODE-1", said)
    assert not (config.data / "identity.json").exists()
    wait_in_vain(config, None, said)
    real_cloud.approved = True
    identity = enrol(config, None, said.append, patience=ONCE)
    assert identity == keys.load_identity(config.data)
    assert real_cloud.count("enrol") == 1
    assert keys.load_pending(config.data) is None


def test_the_approval_is_waited_for_and_the_wait_is_told(real_cloud, config, said, until):
    real_cloud.approved = False
    done = []
    waiter = threading.Thread(target=lambda: done.append(enrol(config, "CODE-1", said.append, patience=QUICK)))
    waiter.start()
    until(lambda: any("waiting for the approval … 0:0" in line for line in said))
    real_cloud.approved = True
    waiter.join(10)
    assert [identity.bridge_id for identity in done] == ["B-7"]


def test_a_cloud_that_is_away_for_a_while_ends_no_wait(real_cloud, config, said, until):
    real_cloud.approved = False
    done = []
    waiter = threading.Thread(target=lambda: done.append(enrol(config, "CODE-1", said.append, patience=QUICK)))
    waiter.start()
    until(lambda: real_cloud.count("enrolment"))
    real_cloud.stop()
    until(lambda: any("[link-down]" in line for line in said))
    real_cloud.force["enrolment"] = (502, b"<html>")
    real_cloud.start()
    before = real_cloud.count("enrolment")
    until(lambda: real_cloud.count("enrolment") > before)
    assert waiter.is_alive()
    del real_cloud.force["enrolment"]
    real_cloud.approved = True
    waiter.join(10)
    assert len(done) == 1


def test_a_clock_that_is_off_does_not_end_a_wait_that_goes_on_later(real_cloud, config, said):
    real_cloud.approved = False
    wait_in_vain(config, "CODE-1", said)
    real_cloud.approved = True
    clock = CloudTime(lambda: datetime.now(UTC) + timedelta(days=1))
    waiting, key = keys.load_pending(config.data), keys.load_key(config.data)
    reply = ApprovalWait(config, key, waiting, clock, QUICK, said.append).run()
    assert reply.bridge_id == "B-7"
    assert abs(clock() - datetime.now(UTC)) < timedelta(seconds=60)


def test_who_is_turned_down_hears_it_and_needs_a_new_code(real_cloud, config, said):
    real_cloud.force["enrolment"] = (401, b'{"schema":1,"code":"not-enrolled","detail":"rejected","remedy":"ask"}')
    with pytest.raises(Refusal, match="rejected"):
        enrol(config, "CODE-1", said.append)
    with pytest.raises(Environment, match="no enrolment waits") as caught:
        enrol(config, None, said.append)
    assert caught.value.code is Code.NOT_ENROLLED


def test_a_cloud_that_was_given_another_key_is_found_before_anybody_approves(real_cloud, config, said):
    reply = EnrolPending(bridge_id="B-7", fingerprint="0000-0000-0000-0000", server_time=datetime.now(UTC))
    real_cloud.force["enrol"] = (200, encode(reply))
    with pytest.raises(Refused) as caught:
        enrol(config, "CODE-1", said.append)
    assert caught.value.code is Code.FINGERPRINT
    assert real_cloud.count("enrolment") == 0


def test_the_old_identity_stays_until_the_new_enrolment_is_approved(real_cloud, config, said):
    old = enrol(config, "CODE-1", said.append)
    real_cloud.codes.add("CODE-2")
    real_cloud.approved, real_cloud.generation = False, 4
    with pytest.raises(Refused):
        enrol(config, "CODE-2", said.append, again=True, patience=ONCE)
    assert keys.load_identity(config.data) == old
    with closing(Journal(config.data / "journal.db")) as journal:
        assert journal.generation(1001) == 3
    real_cloud.approved = True
    assert enrol(config, None, said.append).generation == 4


def test_a_wait_at_another_cloud_is_not_gone_on_with(real_cloud, config, said):
    real_cloud.approved = False
    wait_in_vain(config, "CODE-1", said)
    with pytest.raises(Environment) as caught:
        enrol(replace(config, cloud_url="http://127.0.0.1:1"), None, said.append)
    assert caught.value.code is Code.CONFIG


def test_a_bridge_without_identity_says_what_to_do(real_cloud, config, said):
    assert "enrol --config FILE --code CODE" in advice(config.data)
    real_cloud.approved = False
    wait_in_vain(config, "CODE-1", said)
    shown = fingerprint(keys.load_key(config.data).public_bytes)
    assert shown in advice(config.data)
    assert advice(config.data).endswith("enrol --config FILE")
