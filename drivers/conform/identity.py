"""Who a machine says it is, asked by the probe of its family, which changes nothing."""

import time
from typing import Final

import msgspec

from drivers.conform.words import Words, told
from drivers.profile import DeviceTable
from drivers.registry import family
from parking.errors import DaikoError

WITHIN: Final = 3.0
"""Seconds in which it must have said so."""
NAMED: Final = Words("機器が名乗った", "it says who it is")
NAMELESS: Final = Words("機器は名乗らない（名乗れない機種もある）", "it does not say who it is; some machines never do")


class Identity(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What a device of the profile said when it was asked who it is. `named`: it said something."""

    device: str
    family: str
    named: bool
    words: Words


def named(device: DeviceTable) -> Identity:
    """Ask a device, at the address in its table. Never raises a DaikoError: a device that is away is nameless."""
    try:
        finding = family(device.family).module().probe(device.url, time.monotonic() + WITHIN)
    except DaikoError as error:
        return Identity(device=device.id, family=device.family, named=False, words=told(error))
    words = msgspec.structs.replace(
        NAMED if finding.answered else NAMELESS, said=finding.identity or "; ".join(finding.hints)
    )
    return Identity(device=device.id, family=device.family, named=finding.answered, words=words)
