"""The configuration: mistakes are told with file, place and remedy; the completion key is the owner's alone."""

import stat
import sys
from pathlib import Path

import pytest

from cloud.config import completion_keys, load
from cloud.lots import read_profile
from parking.errors import Code, Environment

LEAST = '[payments]\nurl = "http://127.0.0.1:1"\napi_key = "k"\nwebhook_secret = "0123456789abcdef"\n'


def refusal(folder: Path, toml: str) -> str:
    path = folder / "cloud.toml"
    path.write_text(toml, encoding="utf-8")
    with pytest.raises(Environment) as caught:
        load(path)
    assert caught.value.code is Code.CONFIG
    assert caught.value.remedy
    assert str(path) in caught.value.detail
    return caught.value.detail


def test_the_least_configuration_has_sensible_defaults(tmp_path):
    (tmp_path / "cloud.toml").write_text(LEAST)
    config = load(tmp_path / "cloud.toml")
    assert config.database_url == f"sqlite+aiosqlite:///{tmp_path / 'cloud.sqlite3'}"
    assert config.key_file == str(tmp_path / "completion-key.json")
    assert (config.timing.authorization_minutes, config.timing.poll_seconds) == (2880, (5, 15, 60, 300))


@pytest.mark.parametrize(
    ("toml", "place"),
    [
        ("x = 1\n" + LEAST, "`x`"),
        ("[listen]\nport = 70000\n" + LEAST, "$.listen.port"),
        ("[listen]\nprot = 1\n" + LEAST, "$.listen"),
        (LEAST.replace("http://127.0.0.1:1", "ftp://x"), "$.payments.url"),
        (LEAST.replace("0123456789abcdef", "short"), "$.payments.webhook_secret"),
        ('public_url = "https://pay.example/x"\n' + LEAST, "$.public_url"),
        ('database_url = "mysql://x"\n' + LEAST, "$.database_url"),
        (
            "[timing]\ncompletion_valid_minutes = 40\nauthorization_minutes = 30\n" + LEAST,
            "$.timing.completion_valid_minutes",
        ),
        ("[timing]\nvoid_after_hours = 5.9\n" + LEAST, "$.timing.void_after_hours"),
        ("[timing]\nvoid_after_hours = 48.1\n" + LEAST, "$.timing.void_after_hours"),
        ("[timing]\npoll_seconds = []\n" + LEAST, "$.timing.poll_seconds"),
        ("[payments", "not TOML"),
        ('public_url = "http://pay.example"\n' + LEAST, "$.public_url"),
        (LEAST.replace("http://127.0.0.1:1", "http://psp.example"), "$.payments.url"),
        (LEAST.replace("http://127.0.0.1:1", "http://127.0.0.1.example"), "$.payments.url"),
        ("", "payments"),
    ],
)
def test_a_mistake_is_told_with_its_place(tmp_path, toml, place):
    assert place in refusal(tmp_path, toml)


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(Environment) as caught:
        load(tmp_path / "none.toml")
    assert "none.toml" in caught.value.detail


def test_the_completion_key_is_made_once_and_for_its_owner_only(tmp_path):
    first = completion_keys(tmp_path / "key.json")
    again = completion_keys(tmp_path / "key.json")
    assert first.public == again.public == {1: first.current.public_bytes}
    if sys.platform != "win32":
        assert stat.S_IMODE((tmp_path / "key.json").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["key.json"]


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")
def test_a_completion_key_that_others_can_read_is_refused(tmp_path):
    completion_keys(tmp_path / "key.json")
    (tmp_path / "key.json").chmod(0o644)
    with pytest.raises(Environment) as caught:
        completion_keys(tmp_path / "key.json")
    assert "chmod 600" in caught.value.remedy


@pytest.mark.parametrize("text", ["", "{}", '{"current":2,"seeds":{"1":"AAAA"}}', '{"current":1,"seeds":{"1":"AAAA"}}'])
def test_a_garbled_completion_key_is_refused_and_kept(tmp_path, text):
    path = tmp_path / "key.json"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(Environment):
        completion_keys(path)
    assert path.read_text() == text


PROFILE = """
[lot]
id = 5
code = "ABCDEF1"
name = { ja = "x", en = "x" }
address = { ja = "x", en = "x" }
names = "bay"
position = { latitude = 35, longitude = 139 }
[fee]
by = "cloud"
tariff = "t.toml"
"""
TARIFF = """
id = "t"
version = 1
name = { ja = "t" }
[[band]]
from = "00:00"
to = "24:00"
unit_minutes = 30
unit_yen = 100
"""


@pytest.mark.parametrize(
    ("profile", "tariff", "place"),
    [
        (PROFILE.replace('tariff = "t.toml"', ""), TARIFF, "$.fee.tariff"),
        (PROFILE, TARIFF.replace("30", "0"), "$.band[0].unit_minutes"),
        (PROFILE, TARIFF.replace("24:00", "23:00"), "no band at 23:00"),
        (
            PROFILE,
            TARIFF + '[[example]]\nenter = "2026-11-24T09:00:00Z"\nleave = "2026-11-24T09:10:00Z"\nyen = 1\n',
            "$.example[0]",
        ),
        (PROFILE.replace("names =", 'time_zone = "Asia/Nowhere"\nnames ='), TARIFF, "$.lot.time_zone"),
        (PROFILE.replace("ABCDEF1", "oil"), TARIFF, "$.lot.code"),
    ],
)
def test_a_lot_with_a_mistake_is_not_onboarded(tmp_path, profile, tariff, place):
    (tmp_path / "lot.toml").write_text(profile)
    (tmp_path / "t.toml").write_text(tariff)
    with pytest.raises(Environment) as caught:
        read_profile(tmp_path / "lot.toml")
    assert place in caught.value.detail
