"""Where the phone is, as far as it says, and whether that fits a lot (a hint, never a proof). Pure."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from cloud.views import LotPage

EARTH_M: Final = 6_371_000.0
MOST_BLUR_M: Final = 300.0
"""How much of the phone's own uncertainty is granted to it: a phone that knows only its town proves nothing."""


@dataclass(frozen=True, slots=True)
class Place:
    """A phone's position in degrees, and its own estimate of the error in metres."""

    latitude: float
    longitude: float
    accuracy: float = 0.0

    @classmethod
    def parse(cls, values: Mapping[str, str]) -> "Place | None":
        """Read `lat`, `lon` and `acc`; None if there is no position in them that makes sense."""
        try:
            place = cls(float(values["lat"]), float(values["lon"]), float(values.get("acc") or 0))
        except (KeyError, ValueError):
            return None
        sane = abs(place.latitude) <= 90 and abs(place.longitude) <= 180 and place.accuracy >= 0
        return place if sane else None

    def away(self, lot: LotPage) -> bool:
        """Whether the phone is outside the lot's radius, its uncertainty granted."""
        metres = metres_between(self.latitude, self.longitude, lot.latitude, lot.longitude)
        return metres - min(self.accuracy, MOST_BLUR_M) > lot.radius_m


def metres_between(latitude: float, longitude: float, other_latitude: float, other_longitude: float) -> float:
    """Great-circle distance of two positions in degrees, in metres (haversine)."""
    phi, other_phi = math.radians(latitude), math.radians(other_latitude)
    half_turn = math.radians(other_longitude - longitude) / 2
    h = math.sin((other_phi - phi) / 2) ** 2 + math.cos(phi) * math.cos(other_phi) * math.sin(half_turn) ** 2
    return 2 * EARTH_M * math.asin(min(1.0, math.sqrt(h)))
