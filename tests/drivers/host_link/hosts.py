"""Simulated hosts as tests reach them: by HTTP, a folder, a file of SQLite, or tables in a real database server."""

from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from drivers.host_link import simtables
from drivers.host_link.sim import serve
from drivers.profile import DeviceTable, LotProfile
from drivers.simlot.world import World
from tests.rigs import databases

SERVERS = {"postgresql": databases.postgresql, "firebird": databases.firebird}
POSTGRESQL = simtables.Dialect(
    "TIMESTAMPTZ", lambda at: at, "%s", ("LOCK TABLE daiko_stays, daiko_fees, daiko_books, daiko_payments",)
)
FIREBIRD = simtables.Dialect("TIMESTAMP", lambda at: at.astimezone(ZoneInfo("Asia/Tokyo")).replace(tzinfo=None))


def host_of(way: str, world: World, lot: LotProfile, run_dir: Path, server: Any) -> tuple[Any, DeviceTable]:
    """A host reached in one way, and the device of a profile for it. `server` keeps its tables, if one does."""
    device = lot.device[0]
    if way == "http":
        served = serve(world, device, lot.exit, run_dir)
        return served, msgspec.structs.replace(device, url=served.url, timeout_seconds=0.3)
    if way == "postgresql":
        served = simtables.serve(world, server.empty(), POSTGRESQL, server.connect)
    elif way == "firebird":
        url = server.empty()
        served = simtables.serve(world, url, FIREBIRD, lambda: server.connect(url))
    else:
        served = serve(world, DeviceTable(id="host", family="host_link", url=f"{way}:///"), lot.exit, run_dir)
    names = device.options.get("names")
    options = ({"password": databases.PASSWORD} if server else {}) | ({"names": names} if names else {})
    return served, DeviceTable(id="host", family="host_link", url=served.url, timeout_seconds=2.0, options=options)
