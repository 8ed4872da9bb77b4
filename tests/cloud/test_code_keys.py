"""A lot's secrets: only its own bridge gets them, nobody finds them in the database, and rotation locks nobody out."""

import asyncio
import re
import sqlite3
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import insert

from cloud.__main__ import main
from cloud.code_keys import OVERLAP, TRUST_AFTER, LotSecrets, SecretRounds
from cloud.config import completion_keys
from cloud.schema import lots, operators
from cloud.sealing import Sealing
from cloud.store import Store, Transaction
from parking.errors import Code, Environment
from parking.signing import from_text, to_text
from parking.wire import LotKeys, decode

START = datetime(2026, 11, 24, 3, 0, tzinfo=UTC)
DAY = timedelta(days=1)
GOOD = 21_600
SEALING = Sealing.derive(1, {1: b"1" * 32})


class Kept:
    """The secrets of lot 1 in a database of the test's own; every call is a transaction."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "cloud.sqlite3"
        self.store = Store(f"sqlite+aiosqlite:///{self.path}")
        self.secrets = LotSecrets(SEALING, GOOD, 30 * DAY)
        self.loop = asyncio.new_event_loop()
        self.run(self._prepare())

    async def _prepare(self) -> None:
        await self.store.migrate()
        async with self.store.write() as tx:
            await tx.connection.execute(insert(operators).values(id=1, name="one"))
            lot = {
                "operator_id": 1, "name": {}, "address": {}, "names": "bay", "time_zone": "Asia/Tokyo", "day_starts": 0,
                "latitude": 0, "longitude": 0, "radius_m": 50, "fee_by": "legacy", "lease_seconds": 300,
                "completions": 0, "generation": 0, "feed_floor": 0,
            }  # fmt: skip
            await tx.connection.execute(
                insert(lots), [{**lot, "id": 1, "code": "AAAAAA"}, {**lot, "id": 2, "code": "BBBBBB"}]
            )

    def run(self, work: Awaitable[object]) -> object:
        return self.loop.run_until_complete(asyncio.wait_for(work, 10))

    def write(self, work: Callable[[Transaction], Awaitable[object]]) -> object:
        async def do() -> object:
            async with self.store.write() as tx:
                return await work(tx)

        return self.run(do())

    def fetch(self, at: datetime, generation: int = 1, lot: int = 1) -> dict[int, str]:
        """The bridge asks for its keys: by number."""
        found = self.write(lambda tx: self.secrets.for_bridge(tx, lot, generation, at))
        assert isinstance(found, LotKeys)
        assert found.code_seconds == GOOD
        self.plate = found.plate_key
        return {one.kid: one.key for one in found.code_keys}

    def showing(self, at: datetime) -> tuple[int, str] | None:
        """Under which key a phone shows its code."""

        async def do() -> tuple[int, bytes] | None:
            async with self.store.read() as db:
                return await self.secrets.showing(db, 1, at)

        found = self.run(do())
        return (found[0], to_text(found[1])) if found else None

    def rotate(self, at: datetime) -> None:
        self.write(lambda tx: self.secrets.rotate(tx, 1, at))


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[Kept]:
    made = Kept(tmp_path)
    yield made
    made.run(made.store.close())
    made.loop.close()


def test_no_code_is_shown_before_the_lots_bridge_can_check_it(kept):
    kept.write(lambda tx: kept.secrets.ensure(tx, 1, START))
    assert kept.showing(START + DAY) is None
    keys = kept.fetch(START + DAY)
    assert kept.showing(START + DAY) == next(iter(keys.items()))


def test_keys_are_32_random_bytes_and_differ_between_lots_and_purposes(kept):
    mine, plate = kept.fetch(START), kept.plate
    other = kept.fetch(START, lot=2)
    found = [*mine.values(), *other.values(), plate, kept.plate]
    assert all(len(from_text(one)) == 32 for one in found)
    assert len(set(found)) == 4


def test_asking_again_gives_the_same_keys(kept):
    assert kept.fetch(START) == kept.fetch(START + DAY) == kept.fetch(START + 29 * DAY)


def test_a_key_is_rotated_after_thirty_days_with_both_good_for_a_while(kept):
    old = kept.fetch(START)
    kept.rotate(START + 30 * DAY - timedelta(seconds=1))
    assert kept.fetch(START + 29 * DAY) == old
    turn = START + 30 * DAY
    kept.rotate(turn)
    both = kept.fetch(turn)
    assert len(both) == 2
    assert old.items() < both.items()
    later = turn + TRUST_AFTER + timedelta(seconds=GOOD) + OVERLAP
    kept.rotate(later - timedelta(seconds=1))
    assert kept.fetch(later - timedelta(seconds=1)) == both
    kept.rotate(later)
    assert kept.fetch(later) == dict(both.items() - old.items())


def test_every_code_that_a_phone_was_shown_can_be_checked_as_long_as_it_is_good(kept):
    """Whenever the bridge asks, and whenever a round comes: checked hour by hour over 200 days, with lines down."""
    known, promised = kept.fetch(START), {}
    for hour in range(1, 24 * 200):
        at = START + timedelta(hours=hour)
        if hour % 7 == 0:
            kept.rotate(at)
        if hour % 50 == 0 and hour % 1000 > 300:  # the line is down for 300 of every 1,000 hours
            known = kept.fetch(at)
            assert {key for key, until in promised.items() if at < until} <= set(known.values()), f"hour {hour}"
        if hour % 5 == 0:
            number, key = kept.showing(at)
            assert known.get(number) == key, f"hour {hour}: shown under a key that the lot does not know"
            promised[key] = at + timedelta(seconds=GOOD)
    assert len(promised) > 3, "nothing was rotated"


def test_while_the_line_is_down_codes_are_shown_under_the_key_that_the_lot_has(kept):
    old = kept.fetch(START)
    for days in range(30, 90):
        kept.rotate(START + days * DAY)
        assert kept.showing(START + days * DAY) == next(iter(old.items()))
    assert len(kept.fetch(START + 90 * DAY)) == 2


def test_an_answer_that_got_lost_makes_no_code_worthless(kept):
    """The bridge was handed the new key, as we think; for an hour codes are still shown under the old one."""
    old, turn = kept.fetch(START), START + 30 * DAY
    kept.rotate(turn)
    new = dict(kept.fetch(turn).items() - old.items())
    assert kept.showing(turn + TRUST_AFTER - timedelta(seconds=1)) == next(iter(old.items()))
    assert kept.showing(turn + TRUST_AFTER) == next(iter(new.items()))


def test_the_keys_of_a_replaced_bridge_are_replaced(kept):
    stolen, plate = kept.fetch(START, generation=1), kept.plate
    both = kept.fetch(START + DAY, generation=2)
    assert stolen.items() < both.items()
    assert len(both) == 2
    assert kept.plate == plate, "plates that are on record must still match"
    over = START + DAY + TRUST_AFTER + timedelta(seconds=GOOD)
    assert kept.fetch(over, generation=2) == dict(both.items() - stolen.items())
    assert kept.fetch(over, generation=2) == kept.fetch(over + DAY, generation=2), "once is enough"


def test_a_bridge_that_is_replaced_during_a_rotation_leaves_two_keys_not_three(kept):
    kept.fetch(START)
    kept.rotate(START + 30 * DAY)
    kept.fetch(START + 30 * DAY, generation=1)
    assert len(kept.fetch(START + 30 * DAY, generation=2)) == 2


def test_numbers_run_from_0_to_3_and_neighbours_differ(kept):
    at, seen = START, []
    kept.fetch(at)
    for _ in range(6):
        at += 31 * DAY
        kept.rotate(at)
        numbers = sorted(kept.fetch(at))
        assert len(numbers) == 2
        seen += numbers
        at += 3 * DAY
        kept.rotate(at)
    assert set(seen) == {0, 1, 2, 3}


def test_the_database_alone_gives_no_secret_away(kept):
    keys = kept.fetch(START)
    raw = b"".join(file.read_bytes() for file in kept.path.parent.glob("cloud.sqlite3*"))
    for secret in (*keys.values(), kept.plate):
        assert from_text(secret) not in raw
        assert secret.encode() not in raw
        assert from_text(secret).hex().encode() not in raw.lower()


@pytest.mark.parametrize("meddle", ["other key file", "moved", "altered"])
def test_a_secret_that_does_not_open_is_told_with_its_remedy(kept, meddle):
    kept.fetch(START)
    kept.fetch(START, lot=2)
    if meddle == "other key file":
        kept.secrets = LotSecrets(Sealing.derive(1, {1: b"2" * 32}), GOOD, 30 * DAY)
    else:
        with sqlite3.connect(kept.path) as db:
            other = "SELECT sealed FROM lot_secrets WHERE lot_id = 2 AND purpose = 'code'"
            new = f"({other})" if meddle == "moved" else "CAST(sealed || 'x' AS BLOB)"
            db.execute(f"UPDATE lot_secrets SET sealed = {new} WHERE lot_id = 1 AND purpose = 'code'")
        db.close()
    with pytest.raises(Environment) as told:
        kept.fetch(START)
    assert told.value.code is Code.CONFIG
    assert "key file" in told.value.remedy


def test_when_the_completion_key_is_rotated_secrets_are_sealed_anew(kept):
    before = kept.fetch(START)
    kept.secrets = LotSecrets(Sealing.derive(2, {1: b"1" * 32, 2: b"2" * 32}), GOOD, 30 * DAY)
    kept.rotate(START)
    kept.secrets = LotSecrets(Sealing.derive(2, {2: b"2" * 32}), GOOD, 30 * DAY)
    assert kept.fetch(START) == before, "the old completion key may be removed now"


def test_a_round_makes_secrets_for_lots_that_were_onboarded_before_there_were_any(kept):
    kept.run(SecretRounds(kept.store, kept.secrets, lambda: START).round())
    with sqlite3.connect(kept.path) as db:
        rows = db.execute("SELECT lot_id, purpose FROM lot_secrets ORDER BY 1, 2").fetchall()
    db.close()
    assert rows == [(1, "code"), (1, "plate"), (2, "code"), (2, "plate")]


def test_one_lot_whose_secrets_do_not_open_does_not_stop_the_round(kept, caplog):
    kept.fetch(START)
    kept.fetch(START, lot=2)
    with sqlite3.connect(kept.path) as db:
        db.execute("UPDATE lot_secrets SET sealed = zeroblob(62) WHERE lot_id = 1")
    db.close()
    kept.run(SecretRounds(kept.store, kept.secrets, lambda: START + 31 * DAY).round())
    assert "lot 1 keeps its keys" in caplog.text
    assert len(kept.fetch(START + 31 * DAY, lot=2)) == 2, "the next lot's turn came"


def test_onboarding_a_lot_makes_its_secrets(tmp_path, capsys):
    config = tmp_path / "cloud.toml"
    config.write_text('[payments]\nurl = "http://127.0.0.1:1"\nwebhook_secret = "0123456789abcdef"\n')
    profile = Path(__file__).parents[2] / "seeds" / "lots" / "bay-plates.toml"
    assert main(["lot", "add", str(profile), "--config", str(config)]) == 0
    with sqlite3.connect(tmp_path / "cloud.sqlite3") as db:
        query = "SELECT purpose, length(sealed), given_to FROM lot_secrets WHERE lot_id = 1001 ORDER BY 1"
        assert db.execute(query).fetchall() == [("code", 2 + 12 + 32 + 16, 0), ("plate", 2 + 12 + 32 + 16, 0)]
    db.close()


# --- the bridges' door -----------------------------------------------------------------------------------------------


def test_an_enrolled_bridge_gets_the_keys_of_its_lot(cloud):
    bridge = cloud.bridge(1001)
    keys = decode(bridge.get("/bridge/v1/lots/1001/keys").content, LotKeys)
    assert len(keys.code_keys) == 1
    assert len(from_text(keys.code_keys[0].key)) == len(from_text(keys.plate_key)) == 32
    assert keys.code_seconds == GOOD


def test_nobody_else_gets_them(cloud, lot_bridge):
    bridge = cloud.bridge(1001)
    assert bridge.get("/bridge/v1/lots/1002/keys").status_code == 403
    assert bridge.http.get(f"{cloud.url}/bridge/v1/lots/1001/keys", timeout=5).status_code == 401
    stranger = lot_bridge(cloud.url)
    assert stranger.get("/bridge/v1/lots/1001/keys").status_code == 401
    replaced = cloud.bridge(1001)
    assert bridge.get("/bridge/v1/lots/1001/keys").status_code in (401, 403)
    assert replaced.get("/bridge/v1/lots/1001/keys").ok


def test_the_keys_survive_a_restart_and_no_log_holds_them(run, caplog):
    caplog.set_level(0)
    with run() as first:
        bridge = first.bridge(1001)
        before = decode(bridge.get("/bridge/v1/lots/1001/keys").content, LotKeys)
    with run() as second:
        bridge.url = second.url
        after = decode(bridge.get("/bridge/v1/lots/1001/keys").content, LotKeys)
    assert before.code_keys == after.code_keys
    assert before.plate_key == after.plate_key
    for secret in (before.code_keys[0].key, before.plate_key):
        assert secret not in caplog.text


def test_the_key_file_never_shows_in_a_repr(tmp_path):
    keys = completion_keys(tmp_path / "key.json")
    seeds = msgspec.json.decode((tmp_path / "key.json").read_bytes())["seeds"].values()
    said = repr(keys.sealing)
    assert not any(seed in said for seed in seeds)
    assert not re.search(r"b['\"]", said)
