"""What goes over the devices' wires, written down for fault finding where the configuration wants it."""

from collections.abc import Callable
from datetime import datetime
from typing import Final

from bridge import crash_points
from bridge.config import BridgeConfig
from drivers.profile import DeviceTable
from drivers.recorder import Recorder
from drivers.transport import Tap
from parking.stay import LotId

SECRET_OPTIONS: Final = ("api_key", "password", "secret")
"""Driver options whose values never go into a recording. The drivers strike out number plates: they know the fields."""


class Recordings:
    """The recorders of one bridge, one a device."""

    def __init__(self, config: BridgeConfig, clock: Callable[[], datetime]) -> None:
        """Nothing is opened before a device asks."""
        self._config, self._clock = config, clock
        self._recorders: list[Recorder] = []

    def tap(self, lot: LotId, table: DeviceTable) -> Tap | None:
        """What a device's driver tells its bytes. Raises Environment(DISK) if the file cannot be opened."""
        if not self._config.record:
            return crash_points.tap()
        wires = self._config.data / "wires"
        wires.mkdir(parents=True, exist_ok=True)
        secrets = [str(value).encode() for name, value in table.options.items() if name in SECRET_OPTIONS]
        self._recorders.append(Recorder(wires / f"{lot}-{table.id}.jsonl", self._clock, secrets))
        return self._recorders[-1]

    def close(self) -> None:
        """Write down what is held back and close all files."""
        for recorder in self._recorders:
            recorder.close()
