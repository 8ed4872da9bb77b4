"""A host that goes by number plates, or has them beside its tickets: what it is asked, and what is recorded of it."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote

import msgspec
import pytest

from drivers import base, profile
from drivers.host_link import codec
from drivers.host_link.driver import create
from drivers.host_link.sim import serve
from drivers.recorder import Recorder
from drivers.simlot.world import World
from parking.money import Yen
from parking.stay import NameKind, StayRef

SEED = Path(__file__).parents[3] / "seeds" / "lots" / "gated-plates.toml"
PLATE = "品川330あ7391"


def now() -> datetime:
    return datetime.now(UTC)


def soon() -> float:
    return time.monotonic() + 2.0


@pytest.fixture
def camera(tmp_path: Path) -> Iterator[Any]:
    """The seed lot that goes by plates, with one car, a driver, and what it records."""
    lot = profile.load(SEED)
    world = World(lot, tmp_path, now, seed=11)
    world.arrive(plate="品川 330 あ 73-91", minutes_ago=65)
    served = serve(world, lot.device[0], lot.exit, tmp_path)
    recorder = Recorder(tmp_path / "wire.jsonl", now)
    driver = create(msgspec.structs.replace(lot.device[0], url=served.url), (), now, recorder)
    yield SimpleNamespace(world=world, driver=driver, wire=tmp_path / "wire.jsonl", close=recorder.close)
    driver.close()
    recorder.close()
    served.stop()
    world.close()


def recorded(camera: Any) -> str:
    camera.close()
    lines = [msgspec.json.decode(line)["hex"] for line in camera.wire.read_bytes().splitlines()]
    return b"".join(bytes.fromhex(line) for line in lines).decode()


def test_a_host_may_name_its_stays_by_plate_and_is_asked_by_it(camera: Any) -> None:
    (seen,) = camera.driver.stays(soon())
    assert (seen.ref.kind, seen.ref.name) == (NameKind.PLATE, PLATE)
    intents: list[bytes] = []
    order = base.SettleOrder(
        seen.ref, Yen(600), "DK-1003-1", now(), 1, soon(), lambda raw, counter: intents.append(raw)
    )
    assert isinstance(camera.driver.settle(order), base.Applied)
    assert [one.reference for one in camera.world.host_bookings(PLATE)] == ["DK-1003-1"]


def test_no_recording_of_a_host_holds_a_plate_whatever_it_says(camera: Any) -> None:
    (seen,) = camera.driver.stays(soon())
    camera.driver.quote(seen.ref, now(), soon())
    camera.world.pay_cash(PLATE)
    order = base.SettleOrder(seen.ref, Yen(600), "DK-1003-1", now(), 1, soon(), lambda raw, counter: None)
    refused = camera.driver.settle(order)
    nobody = camera.driver.quote(StayRef(NameKind.PLATE, "横浜301む9528"), now(), soon())
    text = recorded(camera)
    for plate in (PLATE, "73-91", "横浜", quote(PLATE)):
        assert plate not in text
    assert '"TicketNo":"***' in text
    assert "/api/payments?facility=F-13&ticket=***" in text
    assert '"EntryTime":"' in text
    assert PLATE not in refused.detail
    assert isinstance(nobody, base.Refused)


def test_a_hosts_own_words_are_struck_out_for_they_may_spell_a_plate_in_any_way() -> None:
    said = '{"Code":"already-paid","Message":"the car 品川 330 あ 73-91 is paid"}'.encode()
    kept = codec.Blackener(tickets=True)(said)
    assert (len(kept), b'"Code":"already-paid"' in kept) == (len(said), True)
    assert "73-91" not in kept.decode()


def test_where_tickets_are_tickets_only_the_plates_beside_them_are_struck_out(lane: Any, tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "wire.jsonl", now)
    lane.world.arrive(plate="多摩 581 に 64-37")
    options = {"facility": "F-12", "api_key": "simulated-host-key"}
    lane.driver = create(
        profile.DeviceTable(id="host", family="host_link", url=lane.served.url, options=options), (), now, recorder
    )
    assert "多摩 581 に 64-37" in [one.plate for one in lane.driver.stays(soon())]
    lane.driver.close()
    recorder.close()
    lines = [msgspec.json.decode(line)["hex"] for line in (tmp_path / "wire.jsonl").read_bytes().splitlines()]
    text = b"".join(bytes.fromhex(line) for line in lines).decode()
    assert "多摩" not in text
    assert lane.ticket in text


@pytest.mark.parametrize("way", ["sqlite", "folder"])
def test_tables_and_files_that_go_by_plates_leave_none_in_a_recording(tmp_path: Path, way: str) -> None:
    lot = profile.load(SEED)
    world = World(lot, tmp_path, now, seed=11)
    world.arrive(plate="品川 330 あ 73-91", minutes_ago=65)
    device = profile.DeviceTable(id="host", family="host_link", url=f"{way}:///", options={"names": "plate"})
    served = serve(world, device, lot.exit, tmp_path)
    recorder = Recorder(tmp_path / "wire.jsonl", now)
    driver = create(msgspec.structs.replace(device, url=served.url), (), now, recorder)
    (seen,) = driver.stays(soon())
    assert (seen.ref.kind, seen.ref.name) == (NameKind.PLATE, PLATE)
    served.faults.refuse_once = True
    order = base.SettleOrder(seen.ref, Yen(600), "DK-1003-1", now(), 1, soon(), lambda raw, counter: None)
    assert isinstance(driver.settle(order), base.Refused)
    again = base.SettleOrder(seen.ref, Yen(600), "DK-1003-2", now(), 1, soon(), lambda raw, counter: None)
    assert isinstance(driver.settle(again), base.Applied)
    driver.who_settled(seen.ref, "DK-1003-2", soon())
    driver.close()
    served.stop()
    world.close()
    text = recorded(SimpleNamespace(wire=tmp_path / "wire.jsonl", close=recorder.close))
    assert "DK-1003-2" in text
    for word in (PLATE, "73-91", "品川", "till is closed"):
        assert word not in text
