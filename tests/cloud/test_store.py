"""The store: durable settings on every connection, one writer at a time, a schema that is its migrations."""

import asyncio
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import insert, select, text

from cloud.schema import metadata, operators
from cloud.store import Store
from parking.errors import Code, Environment
from parking.wire import FeedBatch, decode


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite+aiosqlite:///{tmp_path / 'cloud.sqlite3'}"


def within(work) -> None:
    asyncio.run(work())


def test_every_connection_is_set_to_lose_nothing(url):
    wanted = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 5000}

    async def work() -> None:
        store = Store(url)
        try:
            async with store.write() as tx, store.read() as one, store.read() as two:
                for db in (tx.connection, one, two):
                    assert {name: (await db.execute(text(f"PRAGMA {name}"))).scalar() for name in wanted} == wanted
        finally:
            await store.close()  # its thread would keep a test that fails from ending

    within(work)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX permissions")
def test_the_database_and_its_log_are_their_owners_alone(url, tmp_path):
    async def work() -> None:
        store = Store(url)
        await store.migrate()
        files = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
        assert files == dict.fromkeys(("cloud.sqlite3", "cloud.sqlite3-wal", "cloud.sqlite3-shm"), 0o600)
        await store.close()

    within(work)


def test_a_database_that_cannot_be_made_durable_is_refused():
    async def work() -> None:
        store = Store("sqlite+aiosqlite:///:memory:")
        with pytest.raises(Environment) as caught:
            await store.migrate()
        assert caught.value.code is Code.DISK
        await store.close()

    within(work)


def test_the_migrations_make_exactly_the_tables_that_the_code_knows(url):
    async def work() -> None:
        store = Store(url)
        await store.migrate()
        await store.migrate()  # a second start changes nothing
        async with store.read() as db:
            differences = await db.run_sync(
                lambda sync: compare_metadata(MigrationContext.configure(sync, opts={"compare_type": True}), metadata)
            )
        assert [one for one in differences if "alembic_version" not in str(one)] == []
        await store.close()

    within(work)


def test_a_database_of_a_newer_program_is_refused(url, tmp_path):
    async def work() -> None:
        store = Store(url)
        await store.migrate()
        await store.close()
        with sqlite3.connect(tmp_path / "cloud.sqlite3") as db:
            db.execute("UPDATE alembic_version SET version_num='9999'")
        db.close()
        store = Store(url)
        with pytest.raises(Environment) as caught:
            await store.migrate()
        assert caught.value.code is Code.CONFIG
        await store.close()

    within(work)


def test_writes_wait_for_each_other_instead_of_failing(url):
    async def work() -> None:
        store = Store(url)
        await store.migrate()

        async def one(number: int) -> None:
            async with store.write() as tx:
                count = len((await tx.connection.execute(select(operators.c.id))).all())
                await asyncio.sleep(0)
                await tx.connection.execute(insert(operators).values(id=count, name=str(number)))

        await asyncio.gather(*(one(number) for number in range(20)))
        async with store.read() as db:
            assert sorted((await db.execute(select(operators.c.id))).scalars()) == list(range(20))
        await store.close()

    within(work)


def test_another_process_may_write_at_the_same_time(url, tmp_path):
    """`lot add` and `enrol-code` run while the server does."""

    async def work() -> None:
        store = Store(url)
        await store.migrate()
        other = sqlite3.connect(tmp_path / "cloud.sqlite3", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        other.execute("INSERT INTO operators VALUES (1, 'other')")
        asyncio.get_running_loop().call_later(0.3, other.execute, "COMMIT")
        async with store.write() as tx:
            await tx.connection.execute(insert(operators).values(id=2, name="ours"))
        other.close()
        await store.close()

    within(work)


def test_a_bell_rings_after_the_commit_and_never_without_one(url):
    async def work() -> None:
        store = Store(url)
        await store.migrate()
        bell = store.bells.listen("x")

        async def fails() -> None:
            async with store.write() as tx:
                tx.ring("x")
                await tx.connection.execute(insert(operators).values(id=1 // 0, name=""))

        with pytest.raises(ZeroDivisionError):
            await fails()
        assert not bell.is_set()
        async with store.write() as tx:
            tx.ring("x")
            await tx.connection.execute(insert(operators).values(id=1, name=""))
            assert not bell.is_set()
        assert bell.is_set()
        await store.close()

    within(work)


KILLED = """
import asyncio, os, sys
from datetime import UTC, datetime
from pathlib import Path
from cloud.checkout import Limits
from cloud.config import completion_keys
from cloud.orders import Orders
from cloud.payments.base import ProviderEvent, ProviderState
from cloud.store import Store, Bells
from datetime import timedelta

url, key, order, amount, where = sys.argv[1:]
if where == "before-wake-up":
    Bells.ring = lambda self, bell: os._exit(9)

async def work():
    store = Store(url)
    orders = Orders(completion_keys(Path(key)).current, Limits(timedelta(minutes=30), timedelta(minutes=20)))
    event = ProviderEvent("w1", order, "ref-" + order, ProviderState.AUTHORIZED, int(amount), datetime.now(UTC))
    async with store.write() as tx:
        await orders.stated(tx, event, event.at)
        if where == "before-commit":
            os._exit(9)

asyncio.run(work())
"""


@pytest.mark.parametrize("where", ["before-commit", "before-wake-up"])
def test_killed_around_the_commit_the_feed_is_whole_after_a_restart(config, run, provider, where):
    with run() as cloud:
        bridge = cloud.bridge(1001)
        bridge.car(1001, "7")
        token, order = cloud.pay("WAKABA1", "7")
        amount = cloud.provider.books[order][1]
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, config.database_url, config.key_file, order, str(amount), where],
        cwd=Path(__file__).parents[2],
        env=os.environ,
        timeout=20,
    )
    assert killed.returncode == 9
    with run() as cloud:
        bridge.url = cloud.url
        path = "/bridge/v1/lots/1001/feed?after=0&wait=0"
        before = decode(bridge.get(path).content, FeedBatch).entries
        assert len(before) == (1 if where == "before-wake-up" else 0)
        cloud.approve(order)  # the provider sends its webhook again, having had no answer
        entries = decode(bridge.get(path).content, FeedBatch).entries
        assert [entry.number for entry in entries] == [1]
        assert bridge.completion(entries[0].completion).amount == amount
        assert cloud.stage(token) == "releasing"
