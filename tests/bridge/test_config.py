"""bridge.toml: what is right is resolved, what is wrong is named with file, place and remedy."""

from pathlib import Path

import pytest

from bridge.config import FeedWay, LogLevel, load
from parking.errors import Code, Environment

SEEDS = Path(__file__).parents[2] / "seeds" / "lots"

GOOD = f"""
[bridge]
name = "office PC"
data = "state"

[cloud]
url = "https://cloud.example/daiko/"

[[lot]]
profile = '{SEEDS / "bay-plates.toml"}'

[lot.urls]
plates = "socket://127.0.0.1:4001"

[[lot]]
profile = '{SEEDS / "gated-host.toml"}'
"""


def write(tmp_path, text):
    path = tmp_path / "bridge.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_paths_are_relative_to_the_file_and_profiles_are_loaded_by_lot(tmp_path):
    config = load(write(tmp_path, GOOD))
    assert config.data == tmp_path / "state"
    assert config.cloud_url == "https://cloud.example/daiko"
    assert config.feed is FeedWay.AUTO
    assert config.log_level is LogLevel.INFO
    assert (config.api_host, config.api_port) == ("127.0.0.1", 0)
    assert sorted(config.lots) == [1001, 1002]
    assert config.lots[1001].device[0].url == "socket://127.0.0.1:4001"


def test_a_profile_is_found_beside_the_file(tmp_path, monkeypatch):
    (tmp_path / "lot.toml").write_bytes((SEEDS / "gated-host.toml").read_bytes())
    text = '[bridge]\nname = "b"\ndata = "d"\n[cloud]\nurl = "http://127.0.0.1:1"\n[[lot]]\nprofile = "lot.toml"\n'
    path = write(tmp_path, text)
    monkeypatch.chdir(tmp_path.parent)
    assert list(load(path).lots) == [1002]


@pytest.mark.parametrize(
    ("old", "new", "place", "remedy"),
    [
        ('name = "office PC"', 'nmae = "office PC"', "$.bridge", "docs/bridge-config.md"),
        ('name = "office PC"', "name = 3", "$.bridge.name", "docs/bridge-config.md"),
        ('data = "state"', "", "$.bridge", "docs/bridge-config.md"),
        ('data = "state"', 'data = "state"\nlog_level = "loud"', "$.bridge.log_level", "docs/bridge-config.md"),
        ("[cloud]", "[claud]", "claud", "docs/bridge-config.md"),
        ("https://cloud.example/daiko/", "cloud.example", "$.cloud.url", "https://"),
        ("https://cloud.example/daiko/", "ftp://cloud.example", "$.cloud.url", "https://"),
        ("https://cloud.example/daiko/", "https://cloud.example:99999", "$.cloud.url", "docs/bridge-config.md"),
        ("https://cloud.example/daiko/", "https://me:pw@cloud.example", "$.cloud.url", "docs/bridge-config.md"),
        ("https://cloud.example/daiko/", "https://cloud.example/?q=1", "$.cloud.url", "docs/bridge-config.md"),
        ("https://cloud.example/daiko/", "http://cloud.example", "$.cloud.url", "use https://"),
        ("https://cloud.example/daiko/", "http://127.evil.example", "$.cloud.url", "use https://"),
        ('url = "https', 'feed = "pigeon"\nurl = "https', "$.cloud.feed", "docs/bridge-config.md"),
        ('url = "https', 'ca_file = "none.pem"\nurl = "https', "$.cloud.ca_file", "PEM"),
        ("[cloud]", '[api]\nlisten = "0.0.0.0:80"\n[cloud]', "$.api.listen", "127.0.0.1 only"),
        ("[cloud]", '[api]\nlisten = "127.evil.example:80"\n[cloud]', "$.api.listen", "127.0.0.1 only"),
        ("[cloud]", '[api]\nlisten = "192.168.1.5:80"\n[cloud]', "$.api.listen", "127.0.0.1 only"),
        ("[cloud]", '[api]\nlisten = "127.0.0.1"\n[cloud]', "$.api.listen", "127.0.0.1:0"),
        ("[cloud]", '[api]\nlisten = "127.0.0.1:70000"\n[cloud]', "$.api.listen", "127.0.0.1:0"),
        ("gated-host.toml", "bay-plates.toml", "$.lot[1].profile", "one [[lot]]"),
        ("gated-host.toml", "nowhere.toml", "nowhere.toml", "path"),
        ("plates =", "pletes =", "urls.pletes", "docs/lot-profile.md"),
    ],
)
def test_a_mistake_is_located_and_comes_with_a_remedy(tmp_path, old, new, place, remedy):
    assert old in GOOD
    with pytest.raises(Environment) as caught:
        load(write(tmp_path, GOOD.replace(old, new)))
    assert caught.value.code is Code.CONFIG
    assert place in caught.value.detail
    assert remedy in caught.value.remedy
    assert ".toml" in caught.value.detail


def test_a_bridge_without_a_lot_is_a_mistake(tmp_path):
    with pytest.raises(Environment, match="`lot`"):
        load(write(tmp_path, GOOD.partition("[[lot]]")[0]))


def test_hostile_bytes_and_missing_files_are_configuration_errors(tmp_path):
    path = tmp_path / "bridge.toml"
    with pytest.raises(Environment, match=r"bridge\.toml"):
        load(path)
    path.write_bytes(bytes(range(256)))
    with pytest.raises(Environment, match="not TOML"):
        load(path)


@pytest.mark.parametrize("listen", ["127.0.0.1:8080", "localhost:8080"])
def test_both_spellings_of_this_computer_bind_loopback(tmp_path, listen):
    config = load(write(tmp_path, GOOD.replace("[cloud]", f'[api]\nlisten = "{listen}"\n[cloud]')))
    assert (config.api_host, config.api_port) == ("127.0.0.1", 8080)


def test_there_is_no_page_in_the_lots_network_unless_an_address_is_given(tmp_path):
    assert load(write(tmp_path, GOOD)).lot_page is None
    given = GOOD.replace("[[lot]]", '[lot_page]\nlisten = "192.168.1.5:8080"\n\n[[lot]]', 1)
    assert load(write(tmp_path, given)).lot_page == ("192.168.1.5", 8080)


@pytest.mark.parametrize(
    "listen",
    [
        "0.0.0.0:8080",
        "8.8.8.8:80",
        "192.168.1.5",
        "192.168.1.5:0",
        "lot.example:8080",
        "224.0.0.1:80",
        "192.168.1.5:65536",
    ],
)
def test_the_lots_page_never_listens_to_the_world(tmp_path, listen):
    given = GOOD.replace("[[lot]]", f'[lot_page]\nlisten = "{listen}"\n\n[[lot]]', 1)
    with pytest.raises(Environment) as refused:
        load(write(tmp_path, given))
    assert refused.value.code is Code.CONFIG
    assert "$.lot_page.listen" in refused.value.detail
