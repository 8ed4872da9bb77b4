"""Secrets lie where the configuration says, are of no use elsewhere, and are never taken for missing."""

import ctypes
import stat
import threading
from pathlib import Path

import pytest

from bridge import dpapi, keys
from bridge.secret_store import CredentialSealer, FileStore, SealedStore, StoreKind, open_store
from parking.errors import Code, Environment

ROOT = bytes(range(32))


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def credentials(tmp_path: Path) -> dict[str, str]:
    """The directory that systemd mounts for a service with LoadCredentialEncrypted=daiko-root."""
    directory = tmp_path / "credentials"
    directory.mkdir(mode=0o500)
    directory.chmod(0o700)
    (directory / "daiko-root").write_bytes(ROOT)
    (directory / "daiko-root").chmod(0o400)
    return {"CREDENTIALS_DIRECTORY": str(directory)}


def stores(data: Path):
    return [FileStore(data), SealedStore(data, CredentialSealer(ROOT))]


@pytest.mark.parametrize("which", [0, 1])
def test_a_secret_comes_back_and_is_its_owners_alone(data, which):
    store = stores(data)[which]
    assert store.read("pepper") is None
    assert store.create("pepper", lambda: b"first") == b"first"
    assert store.create("pepper", lambda: b"second") == b"first"
    store.replace("pepper", b"third")
    assert stores(data)[which].read("pepper") == b"third"
    assert {stat.S_IMODE(path.stat().st_mode) for path in data.iterdir()} == {0o600}
    assert len(list(data.iterdir())) == 1


@pytest.mark.parametrize("which", [0, 1])
def test_of_many_that_make_a_secret_at_once_all_get_the_same(data, which):
    made = []

    def make(number):
        made.append(stores(data)[which].create("pepper", lambda: bytes([number]) * 32))

    threads = [threading.Thread(target=make, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 8
    assert len(set(made)) == 1


def test_with_systemds_credential_nothing_on_disk_shows_the_secret(data, credentials):
    store = open_store(data, environment=credentials)
    assert store.kind is StoreKind.SYSTEMD
    key = keys.make_key(data, store)
    assert [path.name for path in data.iterdir()] == ["bridge.key.systemd"]
    assert key.seed not in (data / "bridge.key.systemd").read_bytes()
    assert keys.load_key(data, open_store(data, StoreKind.SYSTEMD, credentials)).seed == key.seed


def test_a_plain_secret_of_before_is_sealed_and_removed(data, credentials):
    seed = keys.make_key(data).seed
    store = open_store(data, environment=credentials)
    assert keys.load_key(data, store).seed == seed
    assert [path.name for path in data.iterdir()] == ["bridge.key.systemd"]


def test_without_the_credential_a_sealed_secret_is_not_taken_for_a_missing_one(data, credentials):
    keys.make_key(data, open_store(data, environment=credentials))
    plain = open_store(data, environment={})
    assert plain.kind is StoreKind.FILE
    for act in (
        lambda: plain.read(keys.KEY_FILE),
        lambda: plain.replace(keys.KEY_FILE, b"x"),
        lambda: keys.make_key(data, plain),
    ):
        with pytest.raises(Environment, match="sealed") as caught:
            act()
        assert caught.value.code is Code.CONFIG
    assert [path.name for path in data.iterdir()] == ["bridge.key.systemd"]


def test_another_root_a_changed_byte_and_a_swapped_name_do_not_open(data, credentials):
    store = open_store(data, environment=credentials)
    store.replace("pepper", b"secret")
    sealed = (data / "pepper.systemd").read_bytes()
    store.replace("other", b"x")
    (data / "other.systemd").write_bytes(sealed)
    with pytest.raises(Environment, match="another daiko-root"):
        store.read("other")
    for place in range(len(sealed)):
        (data / "pepper.systemd").write_bytes(sealed[:place] + bytes([sealed[place] ^ 1]) + sealed[place + 1 :])
        with pytest.raises(Environment, match="another daiko-root"):
            store.read("pepper")
    (data / "pepper.systemd").write_bytes(sealed)
    assert store.read("pepper") == b"secret"
    with pytest.raises(Environment, match="another daiko-root"):
        SealedStore(data, CredentialSealer(ROOT[::-1])).read("pepper")
    (data / "pepper.systemd").write_bytes(b"")
    with pytest.raises(Environment, match="another daiko-root"):
        store.read("pepper")


def test_a_place_that_this_run_cannot_have_is_told_with_the_remedy(data, credentials):
    with pytest.raises(Environment, match="daiko-root") as caught:
        open_store(data, StoreKind.SYSTEMD, {})
    assert "LoadCredentialEncrypted" in caught.value.remedy
    with pytest.raises(Environment, match="Windows only"):
        open_store(data, StoreKind.DPAPI, {})
    root = Path(credentials["CREDENTIALS_DIRECTORY"]) / "daiko-root"
    root.chmod(0o600)
    root.write_bytes(b"short")
    with pytest.raises(Environment, match="5 bytes, not 32"):
        open_store(data, environment=credentials)


def test_a_credentials_directory_without_our_root_means_files(data, tmp_path):
    assert open_store(data, environment={"CREDENTIALS_DIRECTORY": str(tmp_path)}).kind is StoreKind.FILE
    assert open_store(data, environment={"CREDENTIALS_DIRECTORY": ""}).kind is StoreKind.FILE


def test_a_secret_that_others_can_read_is_refused(data):
    store = FileStore(data)
    store.replace("pepper", b"x" * 32)
    (data / "pepper").chmod(0o640)
    with pytest.raises(Environment, match="chmod 600"):
        keys.load_pepper(store)


def test_the_pepper_is_made_once_and_a_damaged_one_is_named(data):
    store = FileStore(data)
    assert keys.load_pepper(store) is None
    pepper = keys.make_pepper(store)
    assert len(pepper) == 32
    assert keys.make_pepper(store) == keys.load_pepper(store) == pepper
    store.replace("pepper", b"short")
    with pytest.raises(Environment, match="5 bytes, not 32"):
        keys.load_pepper(store)


# DPAPI itself has not been run: what can be tested here is how bytes are handed over.


@pytest.mark.parametrize("content", [b"", b"\0", b"secret", bytes(range(256)) * 9])
def test_bytes_survive_the_way_into_a_windows_blob_and_back(content):
    blob = dpapi.to_blob(content)
    assert blob.length == len(content)
    assert dpapi.from_blob(blob) == content


def test_a_blob_is_laid_out_as_windows_has_it():
    assert dpapi.Blob.length.offset == 0
    assert dpapi.Blob.length.size == 4
    assert dpapi.Blob.data.offset == ctypes.sizeof(ctypes.c_void_p)
    assert ctypes.sizeof(dpapi.Blob) == 2 * ctypes.sizeof(ctypes.c_void_p)
