"""How hostile a world is: the chance of each fault, and a count of those that struck."""

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random
from typing import Final


class Weather(StrEnum):
    """How much goes wrong."""

    NONE = "none"
    SOME = "some"
    HEAVY = "heavy"


FAULTS: Final = {
    "crash": 0.012,
    "request lost": 0.12,
    "reply lost": 0.12,
    "acts late": 0.08,
    "machine restarts": 0.03,
    "unreachable": 0.10,
    "silent witness": 0.15,
    "answers twice": 0.08,
    "feed repeated": 0.25,
    "feed reordered": 0.20,
    "report reply lost": 0.20,
    "webhook lost": 0.20,
    "webhook repeated": 0.20,
    "provider call lost": 0.15,
    "provider reply lost": 0.15,
    "line down": 0.35,
    "cash meanwhile": 0.30,
    "opened by hand": 0.15,
    "opened by key": 0.03,
    "opening not confirmed": 0.20,
    "code from a phone": 0.50,
    "forged code": 0.10,
    "office PC lost": 0.02,
}
"""The chance per occasion in heavy weather; a third of it in some."""

_FACTOR: Final = {Weather.NONE: 0.0, Weather.SOME: 1 / 3, Weather.HEAVY: 1.0}


@dataclass(slots=True)
class Faults:
    """Decides what strikes, by the run's own dice."""

    dice: Random
    weather: Weather
    struck: Counter[str] = field(default_factory=Counter)
    over: bool = False

    def strikes(self, name: str) -> bool:
        """Whether this fault strikes now; at the end of a run none does any more."""
        if self.over or self.dice.random() >= FAULTS[name] * _FACTOR[self.weather]:
            return False
        self.struck[name] += 1
        return True
