"""The lot of the seeds, simulated whole: its control port plays the customer, our driver is made by the registry."""

import json
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

import pytest

from drivers import profile, registry
from drivers.base import Applied, SettleOrder
from drivers.simlot.host import SimHost
from drivers.simlot.world import World
from parking.errors import Code
from parking.money import yen
from tests.rigs.mdb_station import soon, until

SEED = Path(__file__).parents[3] / "seeds" / "lots" / "mdb-station.toml"


def now():
    return datetime.now(UTC)


@pytest.fixture
def lot(tmp_path):
    read = profile.load(SEED)
    host = SimHost(read, World(read, tmp_path, now), tmp_path, now)
    run_file = host.start()
    device = profile.load(SEED, run_file.urls).device[0]
    driver = registry.create_driver(device, (), now)

    def call(path, **body):
        data = json.dumps(body).encode() if body else None
        with urllib.request.urlopen(urllib.request.Request(run_file.control + path, data), timeout=5) as answer:
            return json.load(answer)

    yield driver, call
    driver.close()
    host.stop()


def test_a_customer_pays_by_phone_what_the_station_asks_for(lot):
    driver, call = lot
    assert driver.stays(soon()) == ()
    assert call("/ask", device="pay", amount=700) == {"ticket": 1}
    (stay,) = until(lambda: driver.stays(soon()))
    order = SettleOrder(stay.ref, yen(700), "DK-1-1", now(), 1, soon(), lambda raw, counter: None)
    assert isinstance(driver.settle(order), Applied)
    station = call("/world")["stations"]["pay"]
    assert (station["asked"], station["line_sales"], station["line_yen"]) == (0, 1, 700)


def test_mishaps_are_ordered_at_the_control_port(lot):
    driver, call = lot
    assert call("/fault", device="pay", fault="fail_after_approval")["pay"]["fail_after_approval"] is True
    call("/fault", device="pay", fault="late_success_ms", value=20)
    call("/ask", device="pay", amount=700)
    (stay,) = until(lambda: driver.stays(soon()))
    order = SettleOrder(stay.ref, yen(700), "DK-1-1", now(), 1, soon(), lambda raw, counter: None)
    assert driver.settle(order).code is Code.DEVICE_REFUSED
    assert call("/world")["stations"]["pay"]["line_sales"] == 0
