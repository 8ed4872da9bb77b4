"""The registry: known families make drivers, unknown ones say which are known, and no simulator comes along."""

import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from drivers import profile, registry
from drivers.base import Role
from drivers.host_link.driver import WAYS
from drivers.profile import DeviceTable
from drivers.pseudo_terminal import PseudoTerminal
from parking.errors import Code, Environment

ROOT = Path(__file__).parents[2]


def now() -> datetime:
    return datetime.now(UTC)


@pytest.mark.parametrize("path", sorted((ROOT / "seeds" / "lots").glob("*.toml")), ids=lambda path: path.stem)
def test_every_device_of_the_seeds_has_a_driver_for_its_roles(path: Path) -> None:
    lot = profile.load(path)
    drivers = {device.id: registry.create_driver(device, lot.exit, now, None) for device in lot.device}
    assert Role.STAYS in drivers[lot.roles.stays].capabilities.roles
    if lot.roles.settle:
        assert Role.SETTLE | Role.WITNESS in drivers[lot.roles.settle].capabilities.roles
    if lot.roles.books:
        assert Role.BOOKS in drivers[lot.roles.books].capabilities.roles
    for exit_ in lot.exit:
        assert Role.EXIT in drivers[exit_.device].capabilities.roles
    for driver in drivers.values():
        driver.close()


def test_an_unknown_family_is_answered_with_the_known_ones() -> None:
    device = DeviceTable(id="gate", family="modbus", url="/dev/ttyUSB0")
    with pytest.raises(Environment) as error:
        registry.create_driver(device, (), now)
    assert error.value.code is Code.CONFIG
    assert "'gate'" in error.value.detail
    assert "'modbus'" in error.value.detail
    for name in registry.FAMILIES:
        assert name in error.value.remedy


def test_bad_options_are_refused_when_the_driver_is_made() -> None:
    lot = profile.load(ROOT / "seeds" / "lots" / "gated-host.toml")
    for device in lot.device:
        wrong = msgspec.structs.replace(device, options={"colour": "red"})
        with pytest.raises(Environment) as error:
            registry.create_driver(wrong, lot.exit, now)
        assert device.id in error.value.detail


@pytest.mark.parametrize(
    ("url", "family"),
    [
        ("COM3", "modbus_io"),
        ("COM3", "mdb_cashless"),
        ("/dev/ttyUSB0", "cctalk_coin"),
        ("/dev/ttyUSB0", "osdp"),
        ("/dev/ttyUSB0", "modbus_io"),
        ("socket://10.0.0.5:502", "modbus_io"),
        ("listen://0.0.0.0:20007", "zvt_terminal"),
        ("http://10.0.0.5:7101", "host_link"),
        ("HTTPS://host", "host_link"),
        ("sqlite:///srv/host/lot.db", "host_link"),
        ("postgresql://user@host/lot", "host_link"),
        ("firebird://host/lot", "host_link"),
        ("folder:///srv/handover", "host_link"),
    ],
)
def test_an_address_tells_which_families_can_speak_there(url: str, family: str) -> None:
    assert family in registry.families_for(url)
    assert registry.families_for("gopher://host") == ()


@pytest.mark.parametrize("family", registry.families_for("/dev/ttyUSB0"))
def test_whoever_is_asked_at_a_silent_line_says_that_nothing_answers(tmp_path: Path, family: str) -> None:
    line = PseudoTerminal(tmp_path / "line")
    line.plug()
    try:
        found = registry.family(family).module().probe(str(tmp_path / "line"), time.monotonic() + 3)
    finally:
        line.unplug()
    assert not found.answered


def test_every_family_is_described_in_both_languages() -> None:
    for name, family in registry.FAMILIES.items():
        assert set(family.summary) == {"ja", "en"}, name
        assert all(family.summary.values())


def test_the_registry_brings_no_simulator_along() -> None:
    look = "import sys, drivers.registry; print([name for name in sys.modules if 'sim' in name.split('.')[-1]])"
    done = subprocess.run([sys.executable, "-c", look], cwd=ROOT, capture_output=True, text=True, check=True)
    found = [name for name in eval(done.stdout) if name.startswith("drivers")]
    assert found == []


def test_a_bridge_carries_only_the_families_of_its_lot() -> None:
    look = """if True:
        import sys
        from drivers import registry
        registry.family("usb_relay").module()
        known = {f"drivers.{name}" for name in registry.FAMILIES}
        print(sorted(known & set(sys.modules)))
    """
    done = subprocess.run([sys.executable, "-c", look], cwd=ROOT, capture_output=True, text=True, check=True)
    assert eval(done.stdout) == ["drivers.usb_relay"]


def test_the_schemes_of_a_host_are_those_that_its_driver_speaks() -> None:
    assert registry.FAMILIES["host_link"].schemes == set(WAYS)
