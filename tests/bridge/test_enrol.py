"""Enrolment against a real cloud: one code, one key that stays here, one identity on disk."""

from datetime import UTC, datetime, timedelta

import pytest

from bridge import keys
from bridge.enrol import enrol
from bridge.uplink.cloud_line import Refusal
from bridge.uplink.uplink import Uplink
from parking.errors import BadMessage, Code, Environment, Refused
from parking.signing import fingerprint

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
    assert fingerprint(keys.load_key(config.data).public_bytes) in said[0]
    assert real_cloud.enrolled_name == "office PC"
    assert "signature" not in real_cloud.heads["enrol"][0]


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
    from dataclasses import replace

    real_cloud.skew = timedelta(seconds=-500)
    enrol(replace(config, lots={1002: None}), "CODE-1", said.append)
    assert any("1002" in line and "注意" in line for line in said)
    assert any("+500 s" in line for line in said)


@pytest.mark.parametrize(
    "reply",
    [
        b"<html>",
        b'{"schema":2}',
        b'{"schema":1,"bridge_id":"B","generation":1,"lots":[1],"server_time":"2026-01-01T00:00:00Z",%b}'
        % b'"completion_keys":[{"key_id":1,"public_key":"AAAA"}]',
    ],
)
def test_a_garbled_reply_stores_nothing(real_cloud, config, said, reply):
    real_cloud.force["enrol"] = (200, reply)
    with pytest.raises(BadMessage):
        enrol(config, "CODE-1", said.append)
    assert not (config.data / "identity.json").exists()


def test_a_cloud_that_is_not_there_is_told_with_a_remedy(real_cloud, config, said):
    real_cloud.stop()
    with pytest.raises(Environment) as caught:
        enrol(config, "CODE-1", said.append)
    assert caught.value.code is Code.LINK_DOWN
    assert "[cloud] url" in caught.value.remedy
