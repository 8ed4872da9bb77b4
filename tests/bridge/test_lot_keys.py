"""The lots' secrets in the bridge: fetched when the cloud is reached, kept at rest, of use while the line is down."""

import stat
from datetime import UTC, datetime

import pytest

from bridge.lot_keys import KeptKeys, check
from bridge.secret_store import CredentialSealer, FileStore, SealedStore
from bridge.uplink.uplink import signed_line
from parking.errors import BadMessage, Code, Environment
from parking.signing import SigningKey, to_text
from parking.stay import LotId
from parking.wire import CodeKey, LotKeys, encode

LOT = LotId(1001)
NOW = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
KEY = SigningKey.generate(1)


def keys_of(*kids: int) -> LotKeys:
    codes = tuple(CodeKey(kid=kid, key=to_text(bytes([kid]) * 32)) for kid in kids)
    return LotKeys(code_keys=codes, code_seconds=21_600, plate_key=to_text(bytes(32)), server_time=NOW)


class Kept:
    """Kept keys of a bridge that the cloud knows; `again` is the same after a restart."""

    def __init__(self, cloud, store, quick, bridge_config, identity):
        self.cloud, self.store, self.quick = cloud, store, quick
        self.config, self.identity = bridge_config(cloud.url), identity(cloud.url)
        cloud.public_keys["B-7"] = KEY.private.public_key()
        self.kept = None

    def again(self, every=60.0):
        self.close()
        self.kept = KeptKeys(
            self.store,
            [LOT],
            lambda: signed_line(self.config, self.identity, KEY, lambda: datetime.now(UTC)),
            self.quick,
            every,
        )
        self.kept.start()
        return self.kept

    def close(self):
        if self.kept is not None:
            self.kept.stop()


@pytest.fixture
def keeping(real_cloud, tmp_path, quick, bridge_config, identity):
    made = Kept(real_cloud, FileStore(tmp_path), quick, bridge_config, identity)
    yield made
    made.close()


def test_keys_are_fetched_when_the_cloud_is_reached_and_not_before(keeping, until):
    keeping.cloud.keys = keys_of(1)
    kept = keeping.again()
    assert kept.of(LOT) is None
    assert keeping.cloud.count("keys") == 0
    kept.connected(LOT)
    until(lambda: kept.of(LOT) == keys_of(1))
    assert keeping.cloud.forgeries == []


def test_keys_outlive_the_bridge_and_the_line(keeping, until):
    keeping.cloud.keys = keys_of(1, 2)
    kept = keeping.again()
    kept.connected(LOT)
    until(lambda: keeping.store.read(f"lot-{LOT}.keys") is not None)
    keeping.close()
    keeping.cloud.stop()
    assert keeping.again().of(LOT) == keys_of(1, 2)


def test_a_new_set_takes_the_place_of_the_former_one(keeping, until):
    """At the next connection, and by itself while the line stays up."""
    keeping.cloud.keys = keys_of(1)
    kept = keeping.again(every=0.05)
    kept.connected(LOT)
    until(lambda: kept.of(LOT) == keys_of(1))
    keeping.cloud.keys = keys_of(1, 2)
    until(lambda: kept.of(LOT) == keys_of(1, 2))
    keeping.cloud.keys = keys_of(2)
    until(lambda: keeping.store.read(f"lot-{LOT}.keys") == encode(keys_of(2)))
    assert kept.of(LOT) == keys_of(2)


def test_a_cloud_that_fails_is_asked_again_and_the_kept_keys_stay(keeping, until):
    keeping.store.replace(f"lot-{LOT}.keys", encode(keys_of(3)))
    kept = keeping.again()
    kept.connected(LOT)  # it has no keys to give
    until(lambda: keeping.cloud.count("keys") >= 2)
    assert kept.of(LOT) == keys_of(3)
    keeping.cloud.keys = keys_of(0)
    until(lambda: kept.of(LOT) == keys_of(0))


@pytest.mark.parametrize(
    "keys",
    [
        LotKeys(
            code_keys=(CodeKey(kid=1, key="AAAA"),), code_seconds=60, plate_key=to_text(bytes(32)), server_time=NOW
        ),
        LotKeys(code_keys=(), code_seconds=60, plate_key="", server_time=NOW),
        keys_of(1, 1),
    ],
    ids=["short", "no plate key", "twice"],
)
def test_keys_that_are_not_whole_are_not_taken(keeping, until, keys):
    with pytest.raises(BadMessage) as caught:
        check(keys)
    assert caught.value.code is Code.BAD_MESSAGE
    keeping.store.replace(f"lot-{LOT}.keys", encode(keys_of(3)))
    keeping.cloud.keys = keys
    kept = keeping.again()
    kept.connected(LOT)
    until(lambda: keeping.cloud.count("keys") >= 2)
    assert kept.of(LOT) == keys_of(3)


def test_a_lot_that_is_not_ours_is_not_asked_for(keeping, until):
    kept = keeping.again()
    kept.connected(LotId(4711))
    kept.connected(LOT)
    until(lambda: keeping.cloud.count("keys"))
    assert kept.of(LotId(4711)) is None


def test_damaged_keys_are_as_none_until_the_cloud_is_reached(keeping, until):
    keeping.store.replace(f"lot-{LOT}.keys", b"{}")
    keeping.cloud.keys = keys_of(1)
    kept = keeping.again()
    assert kept.of(LOT) is None
    kept.connected(LOT)
    until(lambda: kept.of(LOT) == keys_of(1))


def test_a_disk_that_takes_nothing_does_not_keep_fresh_keys_from_use(keeping, until, disk_full):
    class Full(FileStore):
        def replace(self, name, secret):
            raise disk_full

    keeping.store = Full(keeping.config.data)
    keeping.cloud.keys = keys_of(1)
    kept = keeping.again()
    kept.connected(LOT)
    until(lambda: kept.of(LOT) == keys_of(1))


def test_secrets_are_owner_only_and_sealed_where_there_is_a_root(keeping, until, tmp_path):
    keeping.cloud.keys = keys_of(1)
    plain = keeping.again()
    plain.connected(LOT)
    until(lambda: (tmp_path / f"lot-{LOT}.keys").exists())
    assert stat.S_IMODE((tmp_path / f"lot-{LOT}.keys").stat().st_mode) == 0o600
    keeping.store = SealedStore(tmp_path, CredentialSealer(bytes(range(32))))
    assert keeping.again().of(LOT) == keys_of(1)
    sealed = (tmp_path / f"lot-{LOT}.keys.systemd").read_bytes()
    assert to_text(bytes([1]) * 32).encode() not in sealed
    assert not (tmp_path / f"lot-{LOT}.keys").exists()


def test_a_bridge_without_a_cloud_has_no_keys_and_no_thread(tmp_path, threads_clean):
    kept = KeptKeys(FileStore(tmp_path), [LOT], None)
    kept.start()
    kept.connected(LOT)
    assert kept.of(LOT) is None
    kept.stop()


def test_a_store_that_cannot_be_read_keeps_no_bridge_from_starting(tmp_path):
    class Shut(FileStore):
        def read(self, name):
            raise Environment(Code.CONFIG, f"{name}: others may read it", "chmod 600")

    assert KeptKeys(Shut(tmp_path), [LOT], None).of(LOT) is None
