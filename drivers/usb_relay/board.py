"""The relays of one board: what level they were told, and whether that is still believed. Levels only, never a toggle.

A board that we can know nothing about (the port was just opened, or an `off` could not be written) is told `off` for
every relay of ours before anything else: a pulse of a bridge that died in its midst ends here.
"""

import contextlib
import logging
import time
from collections.abc import Iterable
from typing import Final

from drivers.usb_relay.codec import Switch
from drivers.usb_relay.links import Link
from parking.errors import DaikoError, Uncertain

log = logging.getLogger(__name__)

OFF_PATIENCE: Final = 3.0
"""Seconds for which an `off` is tried, beyond any deadline: a relay that stays on holds the gate open."""
PAUSE: Final = 0.05


class Board:
    """One board on its port. For one thread at a time."""

    def __init__(self, link: Link, tells: bool, relays: Iterable[int], timeout: float) -> None:
        """`relays` are ours, numbered from 1; if the board `tells`, its answer is awaited for `timeout` seconds."""
        self._link, self._tells = link, tells
        self._relays = tuple(sorted(set(relays)))
        self._timeout = timeout
        self._off_since_opened = False
        self._told_on: set[int] = set()

    def ready(self, deadline: float, off_again: bool = False) -> dict[int, bool]:
        """How our relays stand: what they were told since the port was opened, or what the board says.

        `off_again`: a board that says nothing is told `off` once more for all that it was not told `on` for; an `off`
        that got lost on the way ends here. Raises NotSent, Environment or Uncertain, with those relays in the text that
        may be on because of us.
        """
        try:
            self._link.drain()
            if not (self._off_since_opened and self._link.is_open):
                self._all_off(deadline)
            elif off_again and not self._tells:
                for relay in set(self._relays) - self._told_on:
                    self._link.tell(Switch(relay, False), deadline)
            return self._ask(deadline) if self._tells else {relay: relay in self._told_on for relay in self._relays}
        except DaikoError as error:
            if not self._told_on:
                raise
            worry = f"relay {', '.join(map(str, sorted(self._told_on)))} may be on"
            raise type(error)(error.code, f"{worry}: {error.detail}", error.remedy) from error

    def on(self, relay: int, deadline: float) -> None:
        """Tell a relay `on`, once. Raises as Link.tell does."""
        self._told_on.add(relay)
        try:
            self._link.tell(Switch(relay, True), deadline)
        except Uncertain:
            raise
        except DaikoError:
            self._told_on.discard(relay)  # no byte left
            raise

    def off(self, relay: int) -> str:
        """Tell a relay `off` until it is written, and until the board says so if it can; returns why not, or "".

        Tries for OFF_PATIENCE seconds, opening the port anew if need be. Never raises a DaikoError.
        """
        end = time.monotonic() + OFF_PATIENCE
        self._off_since_opened = self._off_since_opened and self._link.is_open
        while trouble := self._off_once(relay, end):
            self._off_since_opened = False  # the port may be another one by now
            if time.monotonic() + PAUSE >= end:
                log.error("%s: relay %d MAY STILL BE ON: %s", self._link.url, relay, trouble)
                return trouble
            time.sleep(PAUSE)
        return ""

    def may_be_on(self, relay: int) -> bool:
        """Whether a relay was told `on`, as far as bytes left, and has not been told `off` since."""
        return relay in self._told_on

    def says(self, relay: int, deadline: float) -> bool | None:
        """Whether the board says that a relay is on; None if it says nothing."""
        with contextlib.suppress(DaikoError):
            return self._ask(deadline)[relay]
        return None

    def close(self) -> None:
        """Give the port back; idempotent."""
        self._off_since_opened = False
        self._link.close()

    def _all_off(self, deadline: float) -> None:
        for relay in self._relays:
            self._write_off(relay, deadline)
        if self._told_on:
            log.warning("%s: the port was opened anew, all relays were told off", self._link.url)
        self._told_on.clear()
        self._off_since_opened = True

    def _write_off(self, relay: int, deadline: float) -> None:
        for _ in range(self._link.off_times):
            self._link.tell(Switch(relay, False), deadline)

    def _off_once(self, relay: int, end: float) -> str:
        try:
            self._write_off(relay, end)
            time.sleep(self._link.crossing)
            self._link.drain()  # a line that broke may have taken the bytes all the same
            if not self._link.is_open:
                return "the line broke"
            if self._tells and self._ask(time.monotonic() + self._timeout)[relay]:
                return "the board says that it is on"
        except DaikoError as error:
            return error.detail
        self._told_on.discard(relay)
        return ""

    def _ask(self, deadline: float) -> dict[int, bool]:
        """How our relays stand, by the board; asking changes nothing. Raises NotSent, Environment or Uncertain."""
        return self._link.ask(self._relays, min(deadline, time.monotonic() + self._timeout))
