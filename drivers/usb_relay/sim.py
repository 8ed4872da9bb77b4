"""The board at the other end, on a pty paced like a real line or as a HID device, and the gate on its relays.

Used by simulated lots only. A relay that closes opens its exit once; one that stays closed holds it open. A board lives
on its USB cable: unplugged, its relays fall, unless it has power of its own. Faults are switched while it runs.
"""

import select
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from drivers.profile import DeviceTable, ExitTable
from drivers.pseudo_terminal import PseudoTerminal
from drivers.simlot.mishaps import Mishaps
from drivers.simlot.world import World
from drivers.usb_relay.codec import Ask, BoardEar, Stands, Switch, encode
from drivers.usb_relay.options import BoardProfile, Options, options_of

TICK: Final = 0.02
"""Seconds after which a switched fault is noticed on an idle line."""
HOLDS_AFTER: Final = 1.5
"""Seconds of a closed contact after which the gate's controller takes it for a hold."""
BUS: Final = "bus"
"""Who releases, as the world hears it."""


@dataclass
class Faults(Mishaps):
    """What is wrong with the board or its cable; set at any time, from any thread.

    `drop_on_once` loses the next `on`, `drop_offs` so many `off` commands. `unplug_on_write` pulls the cable at the
    next `on`; `act` says whether it is still carried out. `silent`: questions stay without an answer.
    """

    unplugged: bool = False
    own_power: bool = False
    drop_on_once: bool = False
    drop_offs: int = 0
    unplug_on_write: bool = False
    act: bool = False
    silent: bool = False


class Relays:
    """The board's relays, and what hangs on their contacts."""

    def __init__(self, world: World, options: Options, exits: Sequence[ExitTable], faults: Faults) -> None:
        """All are off."""
        self._world, self._options, self._faults = world, options, faults
        self._exits = {exit_.channel + 1: exit_.id for exit_ in exits}
        self._closed: dict[int, float] = {}
        self._holding: set[int] = set()

    @property
    def on(self) -> frozenset[int]:
        """Those whose contact is closed."""
        return frozenset(self._closed)

    def hear(self, word: Switch | Ask) -> bytes:
        """Do what it is told; what it says to that."""
        faults = self._faults
        if isinstance(word, Ask):
            if faults.silent or not self._options.answers:
                return b""
            relays = range(1, self._options.relays + 1)
            return b"".join(encode(Stands(relay, relay in self._closed)) for relay in relays)
        if word.relay > self._options.relays or faults.take("drop_on_once" if word.on else "drop_offs"):
            return b""
        pulled = word.on and faults.take("unplug_on_write")
        if faults.act or not pulled:
            self._switch(word.relay, word.on)
        faults.unplugged = faults.unplugged or pulled
        return b""

    def step(self) -> None:
        """A contact that has been closed for long is a hold."""
        for relay, since in self._closed.items():
            if relay in self._exits and relay not in self._holding and time.monotonic() - since > HOLDS_AFTER:
                self._holding.add(relay)
                self._world.hold(self._exits[relay], True, BUS)

    def power_off(self) -> None:
        """The cable is out."""
        if not self._faults.own_power:
            for relay in list(self._closed):
                self._switch(relay, False)

    def _switch(self, relay: int, on: bool) -> None:
        exit_id = self._exits.get(relay)
        if on and relay not in self._closed:
            self._closed[relay] = time.monotonic()
            if exit_id is not None:
                self._world.release(exit_id, BUS)
        elif not on and self._closed.pop(relay, None) is not None and relay in self._holding:
            self._holding.discard(relay)
            self._world.hold(self._exits[relay], False, BUS)


class _Line(threading.Thread):
    """Serves the pty at `path`, a symlink that survives unplugging."""

    def __init__(self, path: Path, relays: Relays, options: Options, faults: Faults) -> None:
        super().__init__(name=f"usb relay {path.name}", daemon=True)
        self.ended = threading.Event()
        self._line, self._relays, self._faults = PseudoTerminal(path), relays, faults
        self._char = options.line.seconds_per_char
        self._ear = BoardEar()
        self._line.plug()

    def run(self) -> None:
        """Serve until stopped."""
        while not self.ended.is_set():
            wanted = not self._faults.unplugged
            if self._line.plugged and not wanted:
                self._line.unplug()
                self._relays.power_off()
            elif wanted and not self._line.plugged:
                self._line.plug()
                self._ear = BoardEar()
            self._relays.step()
            if wanted:
                self._serve()
            else:
                self.ended.wait(TICK)
        self._line.unplug()

    def _serve(self) -> None:
        if not select.select([self._line.descriptor], [], [], TICK)[0]:
            return
        heard_at = time.monotonic()
        for word in self._ear.feed(self._line.read()):
            heard_at += self._char * len(encode(word))
            time.sleep(max(0.0, heard_at - time.monotonic()))
            said = self._relays.hear(word)
            if self._faults.unplugged:
                return
            if said:
                time.sleep(self._char * len(said))
                self._line.write(said)


class Line(Protocol):
    """What serves a board: a thread, until `ended` is set."""

    ended: threading.Event

    def start(self) -> None:
        """Begin."""
        ...

    def join(self, timeout: float | None = None) -> None:
        """Wait for its end."""
        ...


@dataclass(frozen=True, slots=True)
class Served:
    """A board that runs: where it is reached, its faults and its relays."""

    url: str
    faults: Faults
    line: Line
    relays: Relays

    def stop(self) -> None:
        """End it; idempotent."""
        self.line.ended.set()
        self.line.join()


def serve(
    world: World, device: DeviceTable, exits: Sequence[ExitTable], run_dir: Path, faults: Faults | None = None
) -> Served:
    """Start a board: on a pty at `run_dir`/<device id>, or as a device node below that. `exits` may be all of the lot.

    Raises Environment(CONFIG), also where a HID board cannot be simulated; the text says what is missing.
    """
    own = [exit_ for exit_ in exits if exit_.device == device.id]
    options, faults = options_of(device, own), faults or Faults()
    path, relays = run_dir / device.id, Relays(world, options, own, faults)
    if options.profile is BoardProfile.LCUS:
        line: Line = _Line(path, relays, options, faults)
        url = str(path)
    else:
        from drivers.usb_relay.simhid import HidLine  # Linux only, and needs more than this program brings

        line = HidLine(path, relays, options, faults)
        url = line.url
    line.start()
    return Served(url, faults, line, relays)
