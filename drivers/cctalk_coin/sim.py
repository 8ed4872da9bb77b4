"""A pay station's host on a pty, with the line's mishaps; see simhost for what it does, simline for the line.

Used by simulated lots only. The pty is not paced: bytes arrive at once.
"""

import contextlib
import select
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from drivers.cctalk_coin.options import options_of
from drivers.cctalk_coin.simhost import Faults, Host
from drivers.cctalk_coin.simline import Bus
from drivers.profile import DeviceTable, ExitTable
from drivers.pseudo_terminal import PseudoTerminal
from drivers.simlot.world import World

TICK: Final = 0.002


class _Line(threading.Thread):
    """Serves the pty at `path`, a symlink that survives unplugging."""

    def __init__(self, path: Path, host: Host) -> None:
        super().__init__(name=f"cctalk {path.name}", daemon=True)
        self.ended = threading.Event()
        self._line, self._host, self._faults = PseudoTerminal(path), host, host.faults
        self._bus = Bus(host.faults)
        self._line.plug()

    def run(self) -> None:
        """Serve until stopped."""
        while not self.ended.is_set():
            wanted = not self._faults.unplugged
            if not wanted:
                self._line.unplug()
                self._host.step(time.monotonic())
                self.ended.wait(TICK)
                continue
            self._line.plug()
            self._serve()
        self._line.unplug()

    def _serve(self) -> None:
        ready, _, _ = select.select([self._line.descriptor], [], [], TICK)
        now = time.monotonic()
        if ready:
            self._bus.we_say(self._line.read(), now)
        self._host.hear(self._bus.for_host(now), now)
        self._bus.host_says(self._host.step(now), now)
        if raw := self._bus.for_us(now):
            self._line.write(raw)


@dataclass(frozen=True, slots=True)
class Served:
    """A host that runs: where it is reached, its faults, and itself."""

    url: str
    faults: Faults
    host: Host
    line: _Line

    def stop(self) -> None:
        """End it; idempotent."""
        self.line.ended.set()
        with contextlib.suppress(RuntimeError):
            self.line.join()


def serve(
    world: World, device: DeviceTable, exits: Sequence[ExitTable], run_dir: Path, faults: Faults | None = None
) -> Served:
    """Start the host of pay station `device.id` on a pty at `run_dir`/<device id>. Raises Environment(CONFIG)."""
    del exits  # it moves none
    options = options_of(device)
    settings = options.settings
    faults = faults or Faults(no_echo=not options.echo)
    station = world.station(device.id)
    host = Host(
        station,
        faults,
        settings.values,
        settings.address,
        settings.check,
        options.kind,
        simple_polls=options.simple_polls,
        master_only=options.master_only,
    )
    line = _Line(run_dir / device.id, host)
    line.start()
    return Served(str(run_dir / device.id), faults, host, line)
