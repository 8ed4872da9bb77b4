"""A lot that goes by plates, in the cloud: typed plates become tokens at once, and nothing of them is kept."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import requests

from cloud import lots, plates
from cloud.completions import after
from cloud.config import CloudConfig
from cloud.store import Store
from parking.errors import Code, DaikoError
from parking.reports import StayClosed, StayOpened
from parking.signing import from_text
from parking.stay import NameKind, StayRef, plate_token
from parking.wire import Answer, FeedBatch, Found, LotKeys, NotFound, decode

LOT, CODE = 1003, "NSG7P3Q"
SEED = Path(__file__).parents[2] / "seeds" / "lots" / "gated-plates.toml"
PLATE, TYPED = "品川330あ7391", "品川 ３３０ ア 73-91"


@pytest.fixture
def config(config: CloudConfig) -> CloudConfig:
    """With the lot that goes by plates."""

    async def add() -> None:
        store = Store(config.database_url)
        row, exits = lots.read_profile(SEED)
        async with store.write() as tx:
            await lots.add(tx, row, exits, (1, "operator 1"))
        await store.close()

    asyncio.run(add())
    return config


@pytest.fixture
def bridge(cloud: Any) -> Any:
    return cloud.bridge(LOT)


def key_of(bridge: Any) -> bytes:
    return from_text(decode(bridge.get(f"/bridge/v1/lots/{LOT}/keys").content, LotKeys).plate_key)


def answering(
    cloud: Any, bridge: Any, answers: Callable[[str], Found | NotFound], asked: list[str]
) -> threading.Thread:
    """Answers one fee question, and remembers by which name it was asked."""

    def work() -> None:
        asks: tuple[Any, ...] = ()
        while not asks:
            asks = decode(bridge.get(f"/bridge/v1/lots/{LOT}/feed?after=0&wait=5").content, FeedBatch).asks
        asked.append(asks[0].name)
        answer = Answer(ask_id=asks[0].ask_id, result=answers(asks[0].name))
        bridge.post(f"/bridge/v1/lots/{LOT}/answers", answer)

    thread = threading.Thread(target=work)
    thread.start()
    cloud.until(lambda: cloud.cloud.lines.online(LOT))
    return thread


def found(now: datetime) -> Callable[[str], Found]:
    entered = (now - timedelta(minutes=65)).replace(microsecond=0)
    return lambda name: Found(
        stay=StayRef(NameKind.PLATE, name, entered), amount=600, lines=(), valid_until=now + timedelta(minutes=3)
    )


def rows(config: CloudConfig, table: str, column: str) -> list[str]:
    path = config.database_url.removeprefix("sqlite+aiosqlite:///")
    with sqlite3.connect(path) as db:
        return [str(value) for (value,) in db.execute(f"select {column} from {table}")]


def everything(config: CloudConfig) -> bytes:
    folder = Path(config.database_url.removeprefix("sqlite+aiosqlite:///")).parent
    return b"".join(path.read_bytes() for path in folder.glob("cloud.sqlite3*"))


def test_the_lot_is_asked_by_token_and_payment_and_completion_bear_nothing_else(
    cloud: Any, bridge: Any, config: CloudConfig, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    token, asked = plate_token(key_of(bridge), PLATE), []
    thread = answering(cloud, bridge, found(cloud.clock()), asked)
    _, order = cloud.pay(CODE, TYPED, "OUT1")
    thread.join(5)
    cloud.approve(order)
    assert asked == [token]

    async def feed() -> Any:
        async with cloud.cloud.store.read() as db:
            return await after(db, LOT, 0)

    (entry,) = cloud.do(feed())
    assert bridge.completion(entry.completion).stay.name == token
    assert all(
        key.startswith(f"plate:{token}@") for table in ("quotes", "payments") for key in rows(config, table, "stay_key")
    )
    for text in (PLATE, "7391", "73-91"):
        assert text.encode() not in everything(config)
        assert text not in caplog.text


def miss(cloud: Any, typed: str) -> tuple[int, str, float]:
    answer = requests.post(f"{cloud.url}/l/{CODE}/fee", data={"name": typed}, timeout=10, allow_redirects=False)
    return answer.status_code, answer.text.replace(typed, "…"), answer.elapsed.total_seconds()


def test_wrong_plates_are_answered_alike_and_run_into_the_limit(cloud: Any, bridge: Any) -> None:
    """ADR 0023 also where the lot is asked: unknown and gone take the same page and the same least time."""
    key_of(bridge)
    nobody = NotFound(code=Code.STAY_UNKNOWN, detail="no car of this name is in the lot")
    said = []
    for plate in ("品川330あ7391", "横浜301む9528", "多摩581に6437", "なにわ500さ8246", "練馬502ね4783"):
        thread = answering(cloud, bridge, lambda _: nobody, [])
        said.append(miss(cloud, plate))
        thread.join(5)
    assert {(status, page) for status, page, _ in said} == {said[0][:2]}
    assert said[0][0] == 404
    assert min(seconds for _, _, seconds in said) >= 0.3
    assert miss(cloud, "品川330あ7391")[0] == 429


def test_what_is_no_plate_is_refused_in_words_that_do_not_repeat_it(
    cloud: Any, bridge: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    key_of(bridge)
    status, _, _ = miss(cloud, "品川330あ73-91!!")
    assert status == 400
    assert "73-91" not in caplog.text


def test_a_lot_whose_key_was_never_made_asks_nobody(cloud: Any, bridge: Any) -> None:
    with pytest.raises(DaikoError) as caught:
        cloud.do(cloud.cloud.cashier.fee(CODE, TYPED, ""))
    assert caught.value.code is Code.LOT_OFFLINE


def test_tokens_that_no_money_hangs_on_are_forgotten_a_month_after_the_car_has_left(
    cloud: Any, bridge: Any, config: CloudConfig
) -> None:
    """One car asked twice and paid once, another one asked and left; both came and went."""
    key, now = key_of(bridge), cloud.clock()
    for plate, pays in ((PLATE, True), (PLATE, False), ("横浜301む9528", False)):
        thread = answering(cloud, bridge, found(now), [])
        quote = cloud.do(cloud.cloud.cashier.fee(CODE, plate, ""))
        thread.join(5)
        if pays:
            cloud.do(cloud.cloud.cashier.pay(quote.token, "en"))
    for plate in (PLATE, "横浜301む9528"):
        stay = found(now)(plate_token(key, plate)).stay
        assert bridge.report(LOT, StayOpened(stay=stay, at=now), StayClosed(stay=stay, at=now)).ok

    def left(after: timedelta) -> list[int]:
        async def do() -> None:
            async with cloud.cloud.store.write() as tx:
                await plates.forget(tx, LOT, cloud.clock() + after)

        cloud.do(do())
        return [len(rows(config, table, "lot_id")) for table in ("stays", "quotes", "reports", "payments")]

    assert left(plates.KEPT - timedelta(hours=1)) == [2, 3, 4, 1]
    assert left(plates.KEPT + timedelta(hours=1)) == [0, 1, 0, 1]


def test_what_is_forgotten_is_so_each_night(cloud: Any, bridge: Any, config: CloudConfig) -> None:
    stay = found(cloud.clock())(plate_token(key_of(bridge), PLATE)).stay
    bridge.report(LOT, StayOpened(stay=stay, at=cloud.clock()), StayClosed(stay=stay, at=cloud.clock()))
    cloud.clock.ahead = plates.KEPT + timedelta(days=2)
    cloud.until(lambda: rows(config, "stays", "name") == [], 10)
