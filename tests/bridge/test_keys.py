"""What the bridge keeps on disk: whole or not at all, for its owner alone."""

import os
import stat
import threading
from pathlib import Path

import pytest

from bridge import keys
from bridge.keys import Identity
from parking.errors import Code, Environment
from parking.signing import SigningKey, to_text
from parking.wire import CompletionKey


def who(generation=1):
    public = to_text(SigningKey.generate(9).public_bytes)
    return Identity(
        cloud_url="https://cloud.example",
        bridge_id="B-7",
        generation=generation,
        lots=(1001,),
        completion_keys=(CompletionKey(key_id=9, public_key=public),),
    )


def test_a_key_is_made_once_and_is_its_owners_alone(tmp_path):
    data = tmp_path / "new" / "data"
    first = keys.make_key(data)
    assert keys.make_key(data).seed == keys.load_key(data).seed == first.seed
    assert stat.S_IMODE((data / "bridge.key").stat().st_mode) == 0o600
    assert [path.name for path in data.iterdir()] == ["bridge.key"]  # no temporary file is left


def test_two_that_make_a_key_at_once_end_with_the_same(tmp_path):
    made = []
    threads = [threading.Thread(target=lambda: made.append(keys.make_key(tmp_path).seed)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(made)) == 1
    assert len(made) == 8


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o666, 0o610])
@pytest.mark.parametrize("name", ["bridge.key", "api-token"])
def test_a_secret_that_others_can_reach_is_refused_with_the_remedy(tmp_path, name, mode):
    keys.make_key(tmp_path)
    keys.api_token(tmp_path)
    (tmp_path / name).chmod(mode)
    with pytest.raises(Environment, match=rf"mode 0{mode:o}") as caught:
        keys.load_key(tmp_path) if name == "bridge.key" else keys.api_token(tmp_path)
    assert caught.value.code is Code.CONFIG
    assert caught.value.remedy == f"run: chmod 600 {tmp_path / name}"


def test_an_identity_that_others_could_have_changed_is_not_believed(tmp_path):
    keys.save_identity(tmp_path, who())
    (tmp_path / "identity.json").chmod(0o622)
    with pytest.raises(Environment) as caught:
        keys.load_identity(tmp_path)
    assert caught.value.code is Code.CONFIG


def test_an_identity_is_read_back_with_its_keys(tmp_path):
    identity = who()
    keys.save_identity(tmp_path, identity)
    keys.save_identity(tmp_path, who(2))
    keys.save_identity(tmp_path, identity)
    assert keys.load_identity(tmp_path) == identity
    assert stat.S_IMODE((tmp_path / "identity.json").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["identity.json"]


@pytest.mark.parametrize("load", [keys.load_key, keys.load_identity])
def test_before_the_enrolment_the_remedy_is_the_enrolment(tmp_path, load):
    with pytest.raises(Environment, match="enrol --config") as caught:
        load(tmp_path)
    assert caught.value.code is Code.NOT_ENROLLED


@pytest.mark.parametrize("content", [b"", b"short", b"x" * 33])
def test_a_damaged_key_is_named(tmp_path, content):
    keys.make_key(tmp_path)
    (tmp_path / "bridge.key").write_bytes(content)
    with pytest.raises(Environment, match=r"bridge\.key") as caught:
        keys.load_key(tmp_path)
    assert caught.value.code is Code.DISK


@pytest.mark.parametrize(
    "damage",
    [
        lambda raw: b"",
        lambda raw: raw[:40],
        lambda raw: b"\x00\xff" * 50,
        lambda raw: raw.replace(b'"schema":1', b'"schema":2'),
        lambda raw: raw.replace(b'"public_key":"', b'"public_key":"AAAA'),
    ],
)
def test_a_damaged_identity_is_named(tmp_path, damage):
    keys.save_identity(tmp_path, who())
    path = tmp_path / "identity.json"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(Environment, match="--again") as caught:
        keys.load_identity(tmp_path)
    assert caught.value.code is Code.DISK


def test_a_failed_write_leaves_the_old_identity_and_no_debris(tmp_path, monkeypatch):
    identity = who()
    keys.save_identity(tmp_path, identity)

    def full(number):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(Environment, match="No space left") as caught:
        keys.save_identity(tmp_path, who(2))
    assert caught.value.code is Code.DISK
    assert keys.load_identity(tmp_path) == identity
    assert [path.name for path in tmp_path.iterdir()] == ["identity.json"]


def test_content_and_directory_are_synced_before_a_key_counts(tmp_path, monkeypatch):
    synced = []
    real = os.fsync

    def fsync(number):
        synced.append(str(Path(f"/proc/self/fd/{number}").readlink()))
        real(number)

    monkeypatch.setattr(os, "fsync", fsync)
    keys.make_key(tmp_path)
    assert len(synced) == 2
    assert ".bridge.key." in synced[0]
    assert synced[1] == str(tmp_path)


def test_a_data_directory_that_is_a_file_is_told(tmp_path):
    (tmp_path / "data").write_text("in the way")
    with pytest.raises(Environment) as caught:
        keys.make_key(tmp_path / "data")
    assert caught.value.code is Code.DISK


def test_the_run_file_of_another_bridge_is_left_alone(tmp_path):
    keys.write_run_file(tmp_path, "http://127.0.0.1:1")
    keys.remove_run_file(tmp_path)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "api.json").write_text('{"url": "http://127.0.0.1:2", "pid": 1}')
    keys.remove_run_file(tmp_path)
    assert (tmp_path / "api.json").exists()
