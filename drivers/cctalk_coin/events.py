"""The credit buffer: a counter of events, and the five newest. Pure.

The counter runs 1…255, then 1 again; 0 only after power-up (Generic Specification 4.7, part 2, header 229). Beyond the
specification, an event that the host has long known is taken out of its slot: a host that begins to count anew, without
our noticing, finds nothing there to credit again.
"""

from collections.abc import Iterable
from typing import Final

SLOTS: Final = 5
FORGET: Final = 8
"""Polls after which an event is taken out of its slot."""

MOST: Final = 255


class Events:
    """Starts as after power-up."""

    def __init__(self) -> None:
        self.counter = 0
        self._slots: list[tuple[int, int]] = []
        self._ages: list[int] = []

    def add(self, event: tuple[int, int]) -> int:
        """A coin (place, path) was taken; returns its number."""
        self.counter = self.counter % MOST + 1
        self._slots = [event, *self._slots][:SLOTS]
        self._ages = [0, *self._ages][:SLOTS]
        return self.counter

    def known(self) -> None:
        """The host went on after it was shown the events."""
        self._ages = [age + 1 for age in self._ages]
        self._slots = [(0, 0) if age >= FORGET else slot for slot, age in zip(self._slots, self._ages, strict=True)]

    @property
    def fresh(self) -> bool:
        """Whether there is an event that a host could credit."""
        return any(place for place, _ in self._slots)

    def data(self) -> bytes:
        """As the host reads it."""
        return bytes((self.counter, *(byte for slot in self._slots for byte in slot))).ljust(1 + 2 * SLOTS, b"\0")

    def ahead(self, events: Iterable[tuple[int, int]]) -> list[bytes]:
        """As the host will read it after each of these further events, if it knows of each at once."""
        copy = Events()
        copy.counter, copy._slots, copy._ages = self.counter, list(self._slots), list(self._ages)
        return [copy.data() for event in events if copy.add(event)]
