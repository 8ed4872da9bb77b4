"""Looks over an installation without touching a device or the network: what is right, what is wrong, what to do."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from bridge import keys
from bridge.config import BridgeConfig
from bridge.operators import FILE, OperatorFile
from bridge.secret_store import open_store
from parking.errors import Code, DaikoError, Environment
from parking.signing import fingerprint

LEAST_FREE: Final = 100 * 1024 * 1024
"""Bytes; a lot's journal grows by a few kilobytes a car."""


NO_OPERATORS: Final = "none has a PIN: whoever sits at the console may give orders (docs/operators.md)"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    good: bool
    what: str
    text: str
    warning: bool = False

    @property
    def line(self) -> str:
        """For a person."""
        mark = "WRONG" if not self.good else "warn " if self.warning else "ok   "
        return f"{mark} {self.what}: {self.text}"


def check(config: BridgeConfig) -> Iterator[Finding]:
    """Everything that can be known before the bridge runs; the configuration itself has been read already."""
    yield Finding(True, "config", str(config.path))
    for lot, profile in config.lots.items():
        name = profile.lot.name.get("en", "")
        yield Finding(True, f"lot {lot}", f"{name}: {len(profile.device)} devices, {len(profile.exit)} exits")
    for what, look in (("data", _data), ("key", _key), ("identity", _identity)):
        yield _finding(what, look, config)
    staff = _finding("operators", _operators, config)
    yield replace(staff, warning=staff.text == NO_OPERATORS)


def _finding(what: str, look: Callable[[BridgeConfig], str], config: BridgeConfig) -> Finding:
    try:
        return Finding(True, what, look(config))
    except DaikoError as error:
        return Finding(False, what, str(error))


def _data(config: BridgeConfig) -> str:
    """The journal's place must take a file, now."""
    data = config.data
    place = next(folder for folder in (data, *data.parents) if folder.exists())
    try:
        with tempfile.TemporaryFile(dir=place) as file:
            file.write(b"daiko")
            file.flush()
    except OSError as error:
        remedy = "the bridge's user must be able to write there, and the disk must have room"
        raise Environment(Code.DISK, f"{place}: {error.strerror}", remedy) from error
    free = shutil.disk_usage(place).free
    if free < LEAST_FREE:
        raise Environment(
            Code.DISK, f"{place}: {free // 2**20} MB free", "make room: nothing is accepted on a full disk"
        )
    return f"{data} ({free // 2**20} MB free)" + ("" if data.exists() else ", will be made")


def _key(config: BridgeConfig) -> str:
    store = open_store(config.data, config.store)
    return f"{fingerprint(keys.load_key(config.data, store).public_bytes)} ({store.kind})"


def _operators(config: BridgeConfig) -> str:
    roster = OperatorFile(config.data).load()
    pepper = keys.load_pepper(open_store(config.data, config.store))
    if roster is None and pepper is not None:
        raise Environment(Code.CONFIG, f"{FILE} is gone, although PINs were given", "put it back, or add them anew")
    if roster is None or not roster.operators:
        return NO_OPERATORS
    if pepper is None:
        raise Environment(Code.CONFIG, "the pepper of the PINs is gone", "put it back, or give all PINs anew")
    return ", ".join(f"{one.name} ({one.role})" for one in roster.operators)


def _identity(config: BridgeConfig) -> str:
    identity = keys.load_identity(config.data)
    if identity.cloud_url != config.cloud_url:
        detail = f"paired with {identity.cloud_url}, but [cloud] url is {config.cloud_url}"
        raise Environment(Code.CONFIG, detail, "correct the url, or enrol with --again")
    missing = [str(lot) for lot in config.lots if lot not in identity.lots]
    if missing:
        detail = f"lots {', '.join(missing)} are not in the enrolment of {identity.bridge_id}"
        raise Environment(Code.CONFIG, detail, "enrol with --again, by a code for all lots of this bridge")
    return f"{identity.bridge_id}, generation {identity.generation}, lots {', '.join(map(str, identity.lots))}"
