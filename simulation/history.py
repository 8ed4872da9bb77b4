"""What devices, provider and people themselves record, as plain values: all that the checker may read."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Act:
    """A machine did something. `kind`: book, release; `by`: relay, person, cash; `number` is our completion's, or 0."""

    at: float
    kind: str
    by: str
    stay: str
    number: int = 0


@dataclass(frozen=True, slots=True)
class Money:
    """The provider changed a payment's state: authorized, captured, voided, refunded."""

    at: float
    order: str
    state: str
    amount: int


@dataclass(frozen=True, slots=True)
class Signed:
    """The cloud signed a completion for an order."""

    at: float
    order: str
    number: int
    stay: str
    amount: int
    valid_until: float


@dataclass(frozen=True, slots=True)
class Said:
    """What the bridge reported about a number, as the cloud took it in: received, in_doubt, settled, refused."""

    at: float
    number: int
    what: str
    by: str = "relay"


@dataclass(frozen=True, slots=True)
class Person:
    """A person decided: settled, not_settled (about a number), opened, gave_back (for a stay)."""

    at: float
    what: str
    stay: str
    number: int = 0


@dataclass(slots=True)
class History:
    """One run. `kept` are the numbers in the bridge's journal at the end, `forged` those without a signature."""

    acts: list[Act] = field(default_factory=list)
    money: list[Money] = field(default_factory=list)
    signed: list[Signed] = field(default_factory=list)
    said: list[Said] = field(default_factory=list)
    people: list[Person] = field(default_factory=list)
    losses: list[str] = field(default_factory=list)
    kept: set[int] = field(default_factory=set)
    forged: set[int] = field(default_factory=set)
    replaced_at: float | None = None
