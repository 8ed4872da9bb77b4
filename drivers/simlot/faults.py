"""The mishaps that the simulated machines of each family can have, and what they are."""

import dataclasses
import inspect
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from drivers.cctalk_coin import simhost as cctalk_coin
from drivers.host_link import sim as host_link
from drivers.host_link import simclerk as host_link_orders
from drivers.mdb_cashless import simfaults as mdb_cashless
from drivers.modbus_io import sim as modbus_io
from drivers.osdp import simwire as osdp
from drivers.usb_relay import sim as usb_relay
from drivers.zvt_terminal import ecr as zvt_terminal

FAULTS: Final[Mapping[str, tuple[type[Any], ...]]] = MappingProxyType(
    {
        "modbus_io": (modbus_io.Faults,),
        "host_link": (host_link.Faults, host_link_orders.ClerkFaults),
        "zvt_terminal": (zvt_terminal.Faults,),
        "mdb_cashless": (mdb_cashless.Faults,),
        "cctalk_coin": (cctalk_coin.Faults,),
        "usb_relay": (usb_relay.Faults,),
        "osdp": (osdp.Faults,),
    }
)
"""A host over HTTP has the first kind, one by tables or a folder the second."""


def switches(faults: Any) -> dict[str, bool | int]:
    """The mishaps of a kind, or of a machine, with what each is at rest: a switch, or a number."""
    return {one.name: one.default for one in dataclasses.fields(faults) if isinstance(one.default, bool | int)}


def names(faults: Any) -> list[str]:
    """Each as it is written behind `DEVICE.`."""
    return [name if isinstance(rest, bool) else f"{name}=N" for name, rest in switches(faults).items()]


def explained(family: str) -> str:
    """The mishaps of a family, and what its simulator says of them."""
    return "\n\n".join(f"  {', '.join(names(kind))}\n\n{_indented(kind)}" for kind in FAULTS.get(family, ()))


def _indented(kind: type[Any]) -> str:
    return "\n".join(f"    {line}".rstrip() for line in inspect.cleandoc(kind.__doc__ or "").splitlines())
