"""Our own bytes, which a one-wire line gives back: taken off what is heard, exactly these and no others. Pure."""

from typing import Final

WITHIN: Final = 0.1
"""Seconds, beyond the time on the wire, in which they come back; USB adapters hold bytes for 16 ms."""


class Echo:
    """What is still to come back of what was said last."""

    def __init__(self, seconds_per_char: float) -> None:
        """Nothing was said yet."""
        self._seconds_per_char = seconds_per_char
        self._left = b""
        self._until = 0.0

    def expect(self, raw: bytes, now: float) -> None:
        """`raw` has just been said."""
        self._left = raw
        self._until = now + len(raw) * self._seconds_per_char + WITHIN

    def forget(self) -> None:
        """Nothing is to come back."""
        self._left = b""

    def strip(self, data: bytes, now: float) -> tuple[bytes, bool]:
        """What others said of `data`; and whether all that we had said has come back with it, unchanged."""
        if not self._left or now > self._until:
            self._left = b""
            return data, False
        common = min(len(data), len(self._left))
        same = next((at for at in range(common) if data[at] != self._left[at]), common)
        self._left = self._left[same:] if same == common else b""  # else: a collision, or a line without echo
        return data[same:], same == common and not self._left
