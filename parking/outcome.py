"""What came of an order to a machine, and what proves it."""

from enum import IntEnum, StrEnum

import msgspec


class Level(IntEnum):
    """How much is known about an act. A lot profile says which level counts as done."""

    SENT = 1
    LINK_ACKED = 2
    LEGACY_CONFIRMED = 3
    PHYSICALLY_OBSERVED = 4


class EvidenceKind(StrEnum):
    """What kind of proof, strongest first; in-doubt cases are settled in this order (P5)."""

    RECEIPT = "receipt"
    """The device's own receipt or transaction number for our reference."""
    COUNTER = "counter"
    """A device counter moved by exactly our act, compared with the value journaled before."""
    WITNESS = "witness"
    """A system that knows who paid says that it was us."""
    OBSERVED = "observed"
    """An input showed the plate down, the gate up, or the car gone."""
    ECHO = "echo"
    """The device echoed or acknowledged our command."""
    PERSON = "person"
    """A named person looked and decided, with a reason."""


class Evidence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One proof: its kind, and what was seen in a form that a person can read."""

    kind: EvidenceKind
    text: str
